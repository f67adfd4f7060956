"""What is wrong with an answer of status 200 that is no chat completion."""

from waypost.conversation.faults import Fault, FaultKind, UpstreamFault
from waypost.dialects.fault_text import excerpt
from waypost.dialects.openai_errors import read_error, says_error


def fault_in_answer(body: bytes) -> UpstreamFault:
    if says_error(body):
        return UpstreamFault(read_error(body))
    return UpstreamFault(
        Fault(kind=FaultKind.MALFORMED, message=f"the answer is not a chat completion: {excerpt(body)}")
    )
