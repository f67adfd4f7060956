"""What is wrong with an answer of status 200 that is no chat completion."""

from waypost.conversation.faults import Fault, FaultKind, UpstreamFault
from waypost.dialects.fault_text import excerpt
from waypost.dialects.openai_errors import read_error, says_error


def not_read(what: str, body: bytes, error: Exception) -> Fault:
    """`error` is the decoder's; what Python says of bytes that are no text would repeat them."""
    reason = "not valid UTF-8" if isinstance(error, UnicodeDecodeError) else error
    return Fault(kind=FaultKind.MALFORMED, message=f"{what} ({reason}): {excerpt(body)}")


def fault_in_answer(body: bytes) -> UpstreamFault:
    if says_error(body):
        return UpstreamFault(read_error(body))
    return UpstreamFault(
        Fault(kind=FaultKind.MALFORMED, message=f"the answer is not a chat completion: {excerpt(body)}")
    )
