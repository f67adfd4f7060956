"""The fast path: a plain call goes through all the steps of the walk in two calls and without a task of its own.

Plain is a whole answer asked for, without options, at a route or target whose order is fixed and whose candidates are
all well, over a connection that is open. `FastPath.take` does all that comes before the provider, `FastCall` what comes
after it. What turns out not to be plain takes the walk: before anything was done from its start, later from where it
is, as a call whose first attempt is under way. Either way leaves the same row and answers the same.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from msgspec import Struct
from msgspec.json import encode

from waypost.conversation.faults import Refused, UpstreamFault
from waypost.conversation.reply import Usage, all_input, all_output
from waypost.dialects.dialect import Dialect, Edits, Glance
from waypost.gateway.attempt import Sent
from waypost.gateway.call import Call, Clamp, Course
from waypost.gateway.gateway import Gateway, Lane
from waypost.gateway.headers import showable
from waypost.gateway.interfaces import Incoming as Answer
from waypost.gateway.keyring import Caller
from waypost.gateway.prepared import Prepared, prepare
from waypost.gateway.walk import call_id, resume, walk
from waypost.gateway.whole import looked_at
from waypost.governance.allowances import Denied, Reservation, reserve_all
from waypost.governance.money import dollars
from waypost.governance.pricing import MILLION, cost
from waypost.ledger.errors import JournalUnavailable
from waypost.routing.decision import decide
from waypost.routing.facts import Facts
from waypost.routing.tables import Found
from waypost.upstream.connection import Stale, UpstreamConnection
from waypost.upstream.pool import Incoming, Pool
from waypost.wire.exchange import Direct, Exchange
from waypost.wire.heads import Head

MOST_PREPARED = 256  # of one sender


class DirectExchange(Exchange, Protocol):
    """What the data listener adds to an exchange for those that answer without a task."""

    head: Head | None  # one for all requests with the same head; what it has `known` is ours to set
    direct: Direct | None

    def answer(self, lines: str, body: bytes) -> None: ...
    def go_on(self, handling: Coroutine[Any, Any, None]) -> None: ...
    def end(self) -> None: ...
    def fail(self, error: Exception) -> None: ...


class Sender:
    """Who sends requests with one head, under one configuration. `plain` False: its headers hold options."""

    __slots__ = ("caller", "gateway", "plain", "prepared")

    def __init__(self, gateway: Gateway, caller: Caller, plain: bool) -> None:
        self.gateway = gateway
        self.caller = caller
        self.plain = plain
        self.prepared: dict[tuple[str, frozenset[str]], tuple[Prepared | None, bytes]] = {}


class FastPath:
    """`current` gives the gateway of the configuration in force. Never raises, and answers nobody itself."""

    __slots__ = ("_current", "_pool")

    def __init__(self, current: Callable[[], Gateway], pool: Pool) -> None:
        self._current = current
        self._pool = pool

    def take(self, exchange: DirectExchange, dialect: Dialect) -> Direct | Coroutine[Any, Any, None]:
        """The call under way, or the walk that it has to take."""
        gateway = self._current()
        sender = None if exchange.head is None else exchange.head.known
        if not isinstance(sender, Sender) or sender.gateway is not gateway:
            sender = meet(gateway, exchange)
        if sender is None or not sender.plain:
            return walk(gateway, exchange, dialect)
        try:
            glance = dialect.glance(exchange.body)
        except Refused:
            return walk(gateway, exchange, dialect)
        if glance.stream or glance.max_output is None or glance.options is not None or not is_plain(glance):
            return walk(gateway, exchange, dialect, glance)
        ready = sender.prepared.get((glance.model, glance.needs))
        if ready is None:
            ready = self._prepare(gateway, exchange, dialect, glance, sender)
        way, extra = ready
        call = None if way is None else begin(gateway, exchange, glance, way, extra)
        return walk(gateway, exchange, dialect, glance) if call is None else call

    def _prepare(
        self, gateway: Gateway, exchange: Exchange, dialect: Dialect, glance: Glance, sender: Sender
    ) -> tuple[Prepared | None, bytes]:
        way = gateway.prepared(
            (sender.caller.name, glance.model, dialect.name, glance.needs),
            lambda: prepare(gateway, self._pool, sender.caller, glance.model, dialect, glance.needs),
        )
        if len(sender.prepared) >= MOST_PREPARED:
            sender.prepared.pop(next(iter(sender.prepared)))
        ready = sender.prepared[glance.model, glance.needs] = (
            way,
            b"" if way is None else way.lines_from(exchange.headers),
        )
        return ready


def meet(gateway: Gateway, exchange: DirectExchange) -> Sender | None:
    """None: a stranger."""
    try:
        caller = gateway.keyring.identify(exchange.headers)
    except Refused:
        return None
    sender = Sender(gateway, caller, "x-waypost-" not in "\n".join(exchange.headers))
    if exchange.head is not None:
        exchange.head.known = sender
    return sender


def is_plain(glance: Glance) -> bool:
    """Whether nothing rare is asked for."""
    return (
        glance.task is None and glance.combination_id is None and glance.unpriced is None and not glance.unbounded_input
    )


def begin(gateway: Gateway, exchange: DirectExchange, glance: Glance, way: Prepared, extra: bytes) -> "FastCall | None":
    """All that comes before the provider. None, with nothing done, where the call is not plain after all."""
    most = glance.max_output
    if most is None or (way.ceiling is not None and most > way.ceiling) or not way.upstream.idle:
        return None
    for health in way.healths:
        if not health.is_well:
            return None
    if way.plan_id not in gateway.planned or (exchange.query and way.relayed):
        return None
    given = exchange.body
    try:
        body, dropped = written(way, given, glance)
    except Refused:
        return None
    started_ns = way.wall_ns()
    input_bound, output_bound = len(given) + way.around, most * glance.choices
    held, reserved = None, "[]"
    bounds: Sequence[int] = ()
    if way.allowances:
        bounds = [-(-(input_bound * a + output_bound * b) // MILLION) + each for a, b, each in way.units]
        granted = reserve_all(way.allowances, max(bounds), started_ns / 1e9)
        if isinstance(granted, Denied):
            return None
        held, reserved = granted, granted.charges_json(granted.amount)
    identity = call_id(started_ns, way.dice())
    try:
        way.journal.accept_line(identity, (way.accepted % (identity, started_ns, reserved)).encode())
    except JournalUnavailable:
        if held is not None:
            held.release(started_ns / 1e9)
        return None
    bound = (way.dice(), started_ns / 1e9, input_bound, output_bound, *bounds)
    connection = way.upstream.take()
    call = FastCall(exchange, gateway, way, glance, identity, started_ns, bound, held, dropped, connection, way.now())
    gateway.calls[identity] = call
    timeouts = way.timeouts
    connection.ask(
        b"%b%bcontent-length: %d\r\n\r\n" % (way.prefix, extra, len(body)),
        body,
        call,
        timeouts.first_byte_s,
        timeouts.stall_s,
        exchange.received_at + timeouts.total_s,
        whole=True,
    )
    return call


def written(way: Prepared, body: bytes, glance: Glance) -> tuple[bytes, tuple[str, ...]]:
    """The body as the provider is to get it, and what could not be carried. Raises Refused."""
    if not way.relayed:
        request = way.lane.dialect.write_request(way.dialect.read_request(body), way.shape)
        return request.body, request.dropped if way.tells_drops else ()
    edits = way.edits
    if way.moves_limit:
        edits = Edits(model=edits.model, max_output=glance.max_output, max_output_field=edits.max_output_field)
    return way.dialect.edit(body, glance, edits), ()


class FastCall(Struct, eq=False):
    """A plain call from the moment it is on record. The listener of its connection, and what its exchange cancels.

    `decided`: the decision's seed, its time, the bounds of input and output, and what it can cost at each candidate.
    """

    exchange: DirectExchange
    gateway: Gateway
    way: Prepared
    glance: Glance
    id: str
    started_ns: int
    decided: tuple[float, ...]
    held: Reservation | None
    dropped: tuple[str, ...]
    connection: UpstreamConnection
    sent_at: float
    gone_on: bool = False
    answer: Answer | BaseException | None = None

    # ---- what `/status` shows of a call

    @property
    def caller(self) -> Caller:
        return self.way.caller

    @property
    def found(self) -> Found:
        return self.way.standing.found

    @property
    def lane(self) -> Lane:
        return self.way.lane

    def cancel(self) -> None:
        """The caller is gone."""
        self.way.upstream.drop(self.connection)
        self._go_on(asyncio.CancelledError())

    # ---- called by the connection

    def done(self) -> bool:
        return self.gone_on

    def set_exception(self, exception: Exception, /) -> None:
        connection, upstream = self.connection, self.way.upstream
        if connection.parser.headed:
            self._go_on(Incoming(connection, upstream))  # its status tells more than its end
        else:
            upstream.drop(connection)
            self._go_on(exception)

    def set_result(self, result: None, /) -> None:
        try:
            if not self._finished():
                self._go_on(Incoming(self.connection, self.way.upstream))
        except Exception as error:  # noqa: BLE001  what would leave a task as an exception leaves this one so
            self._go_on(error)

    def _finished(self) -> bool:
        """Answers and records what went well; False for what did not, with nothing taken from the connection."""
        connection, way, exchange, held = self.connection, self.way, self.exchange, self.held
        parser = connection.parser
        lines = way.passed(parser.headers) if parser.status == 200 and parser.complete else None
        if lines is None:
            return False
        answered_at = way.now()
        told = connection.take()
        try:
            usage, body = looked_at(way.dialect, way.lane, told, self.started_ns)
        except UpstreamFault:
            usage = None
        owed = None if usage is None else cost(way.price, usage)
        if usage is None or owed is None or (held is not None and owed > held.amount):
            parser.put_back(told)
            return False
        way.upstream.give_back(connection)
        if self.dropped:
            lines = f"x-waypost-dropped: {showable(', '.join(self.dropped))}\r\n{lines}"
        sent_at, received_at = self.sent_at, exchange.received_at
        answered_us = int((answered_at - sent_at) * 1e6)
        charged = "[]"
        now = way.now()
        since_us = int((now - received_at) * 1e6)
        if held is not None:
            if owed:
                charged = held.charges_json(owed)
            held.settle(owed, (self.started_ns + since_us * 1000) / 1e9)
        way.health.succeeded(now, (now - sent_at) * 1e3)
        exchange.answer(
            f"x-waypost-call-id: {self.id}\r\n{way.names}x-waypost-overhead-us: {max(0, since_us - answered_us)}\r\n"
            f"x-waypost-cost-usd: {dollars(owed)}\r\ncontent-type: application/json\r\n{lines}",
            body,
        )
        self._record(usage, owed, charged, answered_us, since_us, int((now - sent_at) * 1e6))
        exchange.end()
        return True

    def _record(self, usage: Usage, owed: int, charged: str, answered_us: int, since_us: int, attempt_us: int) -> None:
        way = self.way
        total_us = int((way.now() - self.exchange.received_at) * 1e6)
        overhead_us = max(0, total_us - answered_us)
        read, write, reasoning = usage.cache_read, usage.cache_write, usage.reasoning
        ended = way.ended % (
            self.id,
            self.started_ns,
            usage.input,
            "null" if read is None else read,
            "null" if write is None else write,
            usage.output,
            "null" if reasoning is None else reasoning,
            owed,
            since_us,
            total_us,
            overhead_us,
            *self.decided,
            encode(self.dropped).decode() if self.dropped else "[]",
            answered_us,
            attempt_us,
            charged,
        )
        way.journal.end_line(self.id, ended.encode())
        way.series.note((all_input(usage), all_output(usage), owed, total_us, overhead_us))
        del self.gateway.calls[self.id]

    # ---- on to the walk

    def _go_on(self, answer: Answer | BaseException) -> None:
        """A hang-up may come after an answer that is not plain, and before the task has begun: it counts."""
        self.answer = answer
        if not self.gone_on:
            self.gone_on = True
            self.exchange.go_on(self._rest())

    async def _rest(self) -> None:
        """The same call as the walk has it, its first attempt under way. A hang-up is the task's from here on."""
        self.exchange.direct = None
        gateway, way, found = self.gateway, self.way, self.way.standing.found
        seed, at_s, input_bound, output_bound, *_ = self.decided
        input_bound, output_bound = int(input_bound), int(output_bound)
        facts = Facts(at_s, input_bound, output_bound, False, bool(way.allowances), self.glance.needs)
        course = Course(
            self.glance,
            found.plan,
            decide(found.plan, facts, (), int(seed)),
            way.standing.lanes,
            Clamp(input_bound, output_bound),
            way.timeouts,
            self.exchange.received_at + way.timeouts.total_s,
        )
        call = Call(
            self.exchange,
            way.dialect,
            self.id,
            self.started_ns,
            caller=way.caller,
            tags=way.caller.tags,
            found=found,
            course=course,
            allowances=way.allowances,
            reservation=self.held,
            accepted=True,
            line=way.lane.line,
            dropped=self.dropped,
        )
        gateway.calls[self.id] = call
        sent = None if isinstance(self.answer, Stale) else Sent(self.sent_at, self._told())
        await resume(gateway, call, course, sent)

    async def _told(self) -> Answer:
        if isinstance(self.answer, BaseException):
            raise self.answer
        assert self.answer is not None
        return self.answer
