"""The entries of the journal, as values: what a call was when it was accepted, and what became of it.

Knows the shape of one entry and its bytes (one line of JSON: an array whose first member names the kind). Knows
nothing of files, databases or time. Times are Unix nanoseconds, latencies microseconds, money nano-dollars, prices
nano-dollars per million tokens; None is unknown, never 0.
"""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Raw, Struct
from msgspec.json import Encoder
from msgspec.structs import astuple

NULL = Raw(b"null")
Charge = tuple[str, int, int]  # (budget, start of its window in Unix seconds, nano-dollars)


class Outcome(StrEnum):
    """How a call, or one attempt of it, ended."""

    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    TRUNCATED = "truncated"


class Attempt(Struct, frozen=True, array_like=True, gc=False):
    """One try at one provider. `profile` names the login, `error` is a fault's kind; latencies are microseconds."""

    provider: str
    model: str
    profile: str | None
    outcome: Outcome
    error: str | None
    status: int | None
    first_byte_us: int | None
    total_us: int


class Accepted(Struct, frozen=True, array_like=True, gc=False, tag="a"):
    """A call that Waypost took on. `reserved` is what its budgets hold for it: charged in full if no end follows."""

    id: str
    started_ns: int
    key: str | None = None
    team: str | None = None
    tags: Mapping[str, str] = {}
    task: str | None = None
    route: str | None = None
    revision: str = ""
    dialect: str | None = None
    reserved: tuple[Charge, ...] = ()


class Kind(Struct, frozen=True, array_like=True, gc=False):
    """What a call has in common with many others. The members are the columns of the table `kinds`, in this order.

    `price` is the price that was applied, as JSON: kind of token → dollars per million tokens.
    """

    key: str | None = None
    team: str | None = None
    task: str | None = None
    route: str | None = None
    revision: str = ""
    dialect: str | None = None
    provider: str | None = None
    model: str | None = None
    profile: str | None = None
    outcome: Outcome = Outcome.OK
    error: str | None = None
    status: int | None = None
    stream: bool = False
    estimated: bool = False
    price: Raw = NULL
    cache: str = "off"
    dropped: tuple[str, ...] = ()


class Ended(Struct, frozen=True, array_like=True, gc=False, tag="e"):
    """All that is kept of a call: what it has for itself, and its kind last.

    `decision` is the JSON of the routing decision. `charges` are what each budget is charged. `bodies` are the
    request's and the answer's text, only where a route stores them.
    """

    id: str
    started_ns: int
    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None
    cost_nano: int | None = None
    first_byte_us: int | None = None
    total_us: int | None = None
    overhead_us: int | None = None
    tags: Mapping[str, str] = {}
    decision: Raw = NULL
    attempts: tuple[Attempt, ...] = ()
    charges: tuple[Charge, ...] = ()
    bodies: tuple[str | None, str | None] | None = None
    kind: Kind = Kind()


class Planned(Struct, frozen=True, array_like=True, gc=False, tag="p"):
    """What all decisions made with one plan share. `id` is a hash of the content: writing it twice is harmless."""

    id: str
    revision: str
    statics: Raw


Entry = Accepted | Ended | Planned

_encode = Encoder().encode


def window_start(starts_at: float) -> int:
    """The start of a budget's window as a charge names it: Unix seconds, 0 for a window that never ends."""
    return 0 if starts_at == float("-inf") else int(starts_at)


def line(entry: Entry) -> bytes:
    """The entry as one line. A line break inside a raw member is white space of its JSON: a space replaces it."""
    try:
        text = _encode(entry)
    except UnicodeEncodeError:
        text = _encode(_encodable(entry))
    if b"\n" in text:
        text = text.replace(b"\n", b" ")
    return text + b"\n"


def _encodable(value: object) -> object:
    """The same with half surrogates replaced: text from outside must not cost a call its row."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_encodable(name): _encodable(member) for name, member in value.items()}
        case tuple():
            return [_encodable(member) for member in value]
        case Struct():
            tag = value.__struct_config__.tag
            return [*(() if tag is None else (tag,)), *map(_encodable, astuple(value))]
        case _:
            return value
