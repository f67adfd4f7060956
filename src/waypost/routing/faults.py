"""What follows from a provider's fault: one table, all of it. docs/routing.md shows it, and a test insists."""

from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct

from waypost.conversation.faults import FaultKind


class Rest(StrEnum):
    """For how long the blamed part is left alone, beyond what its breaker decides by counting."""

    NONE = "none"
    COOLDOWN = "cooldown"  # its breaker opens at once: one such fault is proof enough
    RETRY_AFTER = "retry_after"  # this target with this credential rests for what the provider asked, or one cooldown


class Consequence(Struct, frozen=True):
    """`try_next`: another candidate may do better. `blame_target`, `blame_credential`: whose breaker counts a failure.

    `retry_here`: where no other candidate is left, the same one may be tried once more at once (nothing had reached
    the provider). `larger_window`: only candidates with a larger or unknown context window are worth trying.
    """

    try_next: bool
    blame_target: bool = False
    blame_credential: bool = False
    retry_here: bool = False
    larger_window: bool = False
    rest: Rest = Rest.NONE


_CALLERS = Consequence(try_next=False)
_CREDENTIALS = Consequence(try_next=True, blame_credential=True, rest=Rest.COOLDOWN)
_TARGETS = Consequence(try_next=True, blame_target=True)

CONSEQUENCES: MappingProxyType[FaultKind, Consequence] = MappingProxyType(
    {
        FaultKind.BAD_REQUEST: _CALLERS,
        FaultKind.CONTENT_BLOCKED: _CALLERS,
        FaultKind.CONTEXT_OVERFLOW: Consequence(try_next=True, larger_window=True),
        FaultKind.UNAUTHORIZED: _CREDENTIALS,
        FaultKind.FORBIDDEN: _CREDENTIALS,
        FaultKind.QUOTA_EXHAUSTED: _CREDENTIALS,
        FaultKind.MODEL_NOT_FOUND: _TARGETS,
        FaultKind.RATE_LIMITED: Consequence(try_next=True, rest=Rest.RETRY_AFTER),
        FaultKind.OVERLOADED: _TARGETS,
        FaultKind.SERVER_ERROR: _TARGETS,
        FaultKind.UPSTREAM_TIMEOUT: _TARGETS,
        FaultKind.CONNECT: Consequence(try_next=True, blame_target=True, retry_here=True),
        FaultKind.RESET: _TARGETS,
        FaultKind.FIRST_BYTE_TIMEOUT: _TARGETS,
        FaultKind.STALL: _TARGETS,
        FaultKind.TRUNCATED: _TARGETS,
        FaultKind.MALFORMED: _TARGETS,
    }
)


def consequence(kind: FaultKind) -> Consequence:
    return CONSEQUENCES[kind]


def worth_trying_after_overflow(context_window: int | None, overflowed: int | None) -> bool:
    """Whether a candidate may hold what did not fit a window of `overflowed` tokens (None: not known)."""
    return context_window is None or overflowed is None or context_window > overflowed
