"""All that is known of one call while it walks. Each step reads what earlier steps wrote and adds its own part."""

from typing import TYPE_CHECKING

from msgspec import Struct

from waypost.config.model import Policy, Timeouts
from waypost.conversation.faults import Fault
from waypost.conversation.options import CallOptions
from waypost.conversation.reply import Usage
from waypost.conversation.request import Request
from waypost.dialects.dialect import Dialect, Glance
from waypost.dialects.embeddings.embedder import EmbeddingRequest, Encoding, Outgoing
from waypost.gateway.keyring import ANYONE, Caller
from waypost.governance.allowances import Allowance, Reservation
from waypost.governance.pricing import Price
from waypost.ledger.records import Attempt, Charge, Outcome
from waypost.ledger.responses import StoredResponse
from waypost.routing.candidates import Plan
from waypost.routing.decision import Decision
from waypost.routing.health import Health
from waypost.routing.tables import Found
from waypost.upstream.lines import Line
from waypost.wire.exchange import Exchange

if TYPE_CHECKING:
    from waypost.gateway.gateway import Lane, Service

NO_OPTIONS = CallOptions()


class Address(Struct, frozen=True):
    """What the path of a call says, in the protocols that say there which model is meant and whether to stream."""

    model: str | None
    stream: bool | None


class Clamp(Struct, frozen=True):
    """Safe upper bounds in tokens. `max_output`: what the request is changed to ask for at most (per choice)."""

    input_bound: int
    output_bound: int
    max_output: int | None = None


class Standing(Struct, frozen=True):
    """What holds for every call of one caller by one name, worked out once: where it goes and whose money it spends.

    `allowances` are those that count a call without tags. `key_policy` None: the key narrows nothing.
    """

    found: Found
    lanes: "tuple[Lane, ...]"
    healths: tuple[Health, ...]
    allowances: tuple[Allowance, ...]
    key_policy: Policy | None
    default_output: int  # tokens held for a call that sets no limit of its own
    single: bool  # one candidate, without a rate limit of its own


class Course(Struct, frozen=True):
    """Where a call goes: fixed once the order is known. `lanes` are the plan's candidates, `deadline` is loop time."""

    glance: Glance
    plan: Plan
    decision: Decision
    lanes: "tuple[Lane, ...]"
    clamp: Clamp
    timeouts: Timeouts
    deadline: float


class Embedding(Struct):
    """What is known of a call for embeddings beside what is of every call. `inputs`: how many.

    `request` is read once a provider has to be asked in another form; `batches` are what the attempt under way sends,
    `relayed` if that is the caller's own bytes.
    """

    inputs: int = 0
    request: EmbeddingRequest | None = None
    batches: tuple[Outgoing, ...] = ()
    relayed: bool = False

    @property
    def encoding(self) -> Encoding:
        """Of vectors that are not relayed."""
        return Encoding.FLOAT if self.request is None else self.request.encoding


class Lost(Struct):
    """What attempts that failed had used all the same: input tokens, and nano-dollars (None: not known).

    `held`: how much of that was held beside the call's own bound.
    """

    tokens: int = 0
    cost: int | None = 0
    held: int = 0


class Call(Struct):
    """Times are seconds of the loop's clock unless the name says otherwise; money is nano-dollars.

    `counting` marks a token count: it walks like a call, costs nothing and has no stream. `address` goes before what
    the body says. `embedding`: only of a call for embeddings, which has no stream either.
    """

    exchange: Exchange
    dialect: Dialect
    id: str
    started_ns: int
    counting: bool = False
    address: Address | None = None
    embedding: Embedding | None = None
    # admit
    service: "Service | None" = None  # what only some providers give
    caller: Caller = ANYONE
    options: CallOptions = NO_OPTIONS
    tags: tuple[tuple[str, str], ...] = ()
    # go on
    earlier: StoredResponse | None = None  # the answer that the call goes on from, where it is kept here
    continued: bytes | None = None  # the body with what was said before in it
    # order
    found: Found | None = None
    course: Course | None = None
    allowances: tuple[Allowance, ...] = ()  # the budgets that count this call
    reservation: Reservation | None = None
    accepted: bool = False  # the journal holds its beginning
    # attempt, answer
    request: Request | None = None  # the neutral form, once a translation asked for it
    tries: int = 0  # attempts begun; those that ended are in `attempts`
    attempts: tuple[Attempt, ...] = ()
    said: tuple[str, ...] = ()  # what the provider said of each failed attempt, without secrets
    lane: "Lane | None" = None  # that of the last attempt
    line: Line | None = None  # what the last attempt dialled; holds secrets
    committed: bool = False
    provider_s: float = 0.0  # time spent waiting for providers
    first_byte_at: float | None = None
    seen_output: int = 0  # tokens, estimated from what passed
    dropped: tuple[str, ...] = ()
    replied: list[bytes] | None = None  # the answer's bytes, only where the route stores bodies
    usage: Usage | None = None
    lost: Lost | None = None
    fault: Fault | None = None
    # record
    settled: bool = False
    unrecorded: bool = False  # a stranger's request and a dry run leave no row
    status: int = 0
    outcome: Outcome | None = None
    error: str | None = None
    price: Price | None = None
    cost: int | None = None
    charges: tuple[Charge, ...] = ()
    estimated: bool = False

    @property
    def body(self) -> bytes:
        """What is asked, all of it: the caller's own bytes, but where it goes on from what is kept here."""
        return self.exchange.body if self.continued is None else self.continued
