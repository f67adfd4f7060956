"""What a decision is told of the call: everything about it that may change the order, and nothing else."""

from msgspec import Struct

from waypost.config.model import Policy
from waypost.conversation.options import Constraints


class Facts(Struct, frozen=True, omit_defaults=True):
    """`at_s`: when the call came, seconds since 1970 (prices have dates). The bounds are tokens, safe ones.

    `budgeted`: some budget counts this call, so a candidate without a known price can't serve it. `key_policy` None:
    the key narrows nothing. `profile` is a credential's name, alone or as `provider/name`.
    """

    at_s: float
    input_bound: int
    output_bound: int
    stream: bool = False
    budgeted: bool = False
    needs: frozenset[str] = frozenset()
    constraints: Constraints | None = None
    key_policy: Policy | None = None
    profile: str | None = None
