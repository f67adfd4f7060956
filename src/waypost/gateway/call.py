"""All that is known of one call while it walks. Each step reads what earlier steps wrote and adds its own part."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import Struct

from waypost.config.model import Timeouts
from waypost.conversation.faults import ErrorKind, Fault
from waypost.conversation.options import CallOptions
from waypost.conversation.reply import Usage
from waypost.conversation.request import Request
from waypost.dialects.dialect import Dialect, Glance
from waypost.gateway.keyring import ANYONE, Caller
from waypost.governance.allowances import Reservation
from waypost.governance.pricing import Price
from waypost.ledger.records import Attempt, Charge, Outcome
from waypost.routing.candidates import Candidate, Plan
from waypost.routing.decision import Decision
from waypost.routing.tables import Found
from waypost.upstream.lines import Line
from waypost.wire.exchange import Exchange

if TYPE_CHECKING:
    from waypost.gateway.gateway import Lane

NO_OPTIONS = CallOptions()


class Clamp(Struct, frozen=True):
    """Safe upper bounds in tokens. `max_output`: what the request is changed to ask for at most (per choice)."""

    input_bound: int
    output_bound: int
    max_output: int | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """Where a call goes: fixed once the order is known. `lanes` are the plan's candidates, `deadline` is loop time."""

    glance: Glance
    plan: Plan
    decision: Decision
    lanes: "tuple[Lane, ...]"
    clamp: Clamp
    timeouts: Timeouts
    deadline: float


class Call:
    """Times are seconds of the loop's clock unless the name says otherwise; money is nano-dollars.

    `counting` marks a token count: it walks like a call, costs nothing and has no stream.
    """

    __slots__ = (
        "accepted",
        "attempts",
        "caller",
        "charges",
        "committed",
        "cost",
        "counting",
        "course",
        "dialect",
        "dropped",
        "error",
        "estimated",
        "exchange",
        "fault",
        "first_byte_at",
        "found",
        "glance",
        "id",
        "line",
        "options",
        "outcome",
        "price",
        "provider_s",
        "replied",
        "request",
        "reservation",
        "seen_output",
        "served_by",
        "settled",
        "started_ns",
        "status",
        "tags",
        "tries",
        "unrecorded",
        "usage",
    )

    def __init__(
        self, exchange: Exchange, dialect: Dialect, call_id: str, started_ns: int, *, counting: bool = False
    ) -> None:
        self.exchange = exchange
        self.dialect = dialect
        self.id = call_id
        self.started_ns = started_ns
        self.counting = counting
        # admit
        self.caller: Caller = ANYONE
        self.glance: Glance | None = None
        self.options: CallOptions = NO_OPTIONS
        self.tags: tuple[tuple[str, str], ...] = ()
        # order
        self.found: Found | None = None
        self.course: Course | None = None
        self.reservation: Reservation | None = None
        self.accepted = False  # the journal holds its beginning
        # attempt, answer
        self.request: Request | None = None  # the neutral form, once a translation asked for it
        self.tries = 0  # attempts begun; those that ended are in `attempts`
        self.attempts: list[Attempt] = []
        self.served_by: Candidate | None = None
        self.line: Line | None = None  # what the last attempt dialled; holds secrets
        self.committed = False
        self.provider_s = 0.0  # time spent waiting for providers
        self.first_byte_at: float | None = None
        self.seen_output = 0  # tokens, estimated from what passed
        self.dropped: tuple[str, ...] = ()
        self.replied: list[bytes] | None = None  # the answer's bytes, only where the route stores bodies
        self.usage: Usage | None = None
        self.fault: Fault | None = None
        # record
        self.settled = False
        self.unrecorded = False  # a stranger's request and a dry run leave no row
        self.status = 0
        self.outcome: Outcome | None = None
        self.error: str | ErrorKind | None = None
        self.price: Price | None = None
        self.cost: int | None = None
        self.charges: tuple[Charge, ...] = ()
        self.estimated = False
