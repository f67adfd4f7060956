"""A provider's answer that is none: an error, kept whole. What follows from it is for the fault table to say."""

from collections.abc import Mapping

from waypost.conversation.faults import Fault, FaultKind, UpstreamFault
from waypost.gateway.call import Call
from waypost.gateway.gateway import Lane
from waypost.gateway.interfaces import Incoming

MOST_ERROR_BYTES = 256 * 1024


class ProviderRefusal(UpstreamFault):
    """A provider's error answer, kept whole: in its own protocol the caller gets it as it came."""

    def __init__(self, fault: Fault, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(fault)
        self.status = status
        self.headers = headers
        self.body = body


async def read_refusal(call: Call, lane: Lane, incoming: Incoming) -> None:
    """An answer that is not 200: raises what it means, without the key that some providers quote in it."""
    status, headers = incoming.status, incoming.headers
    if status < 400:
        message = f"the provider answered {status}, which is no answer to a model call"
        raise UpstreamFault(Fault(kind=FaultKind.MALFORMED, status=status, message=message))
    try:
        body = await incoming.read(MOST_ERROR_BYTES)
    except UpstreamFault:
        body = b""  # the status alone says what is wrong
    if call.line is not None:
        body = call.line.conceal(body)
        headers = {name: call.line.conceal_text(value) for name, value in headers.items()}
    raise ProviderRefusal(lane.dialect.read_fault(status, headers, body), status, headers, body)
