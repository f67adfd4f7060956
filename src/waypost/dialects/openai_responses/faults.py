"""What is wrong with an answer that is no response, or not a whole one."""

from waypost.conversation.faults import Fault, FaultKind
from waypost.dialects.fault_text import clean


def malformed(reason: str) -> Fault:
    return Fault(kind=FaultKind.MALFORMED, message=clean(reason))


def truncated() -> Fault:
    return Fault(kind=FaultKind.TRUNCATED, message="the stream ended before its response was over")
