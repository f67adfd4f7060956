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
from msgspec.structs import replace

from waypost.conversation.faults import Refused, UpstreamFault
from waypost.conversation.reply import Usage
from waypost.dialects.dialect import Dialect, Glance
from waypost.gateway.admit import any_options
from waypost.gateway.attempt import Sent
from waypost.gateway.call import Call, Clamp, Course
from waypost.gateway.gateway import Gateway, Lane
from waypost.gateway.headers import limit_headers, showable
from waypost.gateway.interfaces import Incoming as Answer
from waypost.gateway.keyring import Caller
from waypost.gateway.prepared import Prepared, passed, prepare
from waypost.gateway.walk import call_id, resume, walk
from waypost.gateway.whole import says_nothing, translated
from waypost.governance.allowances import Denied, Reservation, reserve_all
from waypost.governance.money import dollars
from waypost.governance.pricing import cost, units_bound
from waypost.governance.signed_request import is_signed
from waypost.ledger.errors import JournalUnavailable
from waypost.routing.decision import decide
from waypost.routing.facts import Facts
from waypost.routing.tables import Found
from waypost.telemetry.log import place_of
from waypost.upstream.connection import Stale, UpstreamConnection
from waypost.upstream.pool import Incoming, Pool
from waypost.wire.exchange import Direct, Exchange
from waypost.wire.heads import Head
from waypost.wire.http1 import response_headers

MOST_PREPARED = 256  # of one sender


class DirectExchange(Exchange, Protocol):
    """What the data listener adds to an exchange for those that answer without a task."""

    head: Head | None  # one for all requests with the same head; what it has `known` is ours to set
    direct: Direct | None

    def answer(self, lines: str, body: bytes) -> None: ...
    def go_on(self, handling: Coroutine[Any, Any, None]) -> None: ...
    def end(self) -> None: ...


class Sender:
    """Who sends requests with one head that holds no options, under one configuration."""

    __slots__ = ("caller", "gateway", "prepared")

    def __init__(self, gateway: Gateway, caller: Caller) -> None:
        self.gateway = gateway
        self.caller = caller
        self.prepared: dict[tuple[str, frozenset[str]], tuple[Prepared | None, bytes]] = {}


class FastPath:
    """`current` gives the gateway of the configuration in force. Never raises. Build it inside a running loop.

    What the calls of one round of the event loop have to write goes out together at its end: one write to the journal,
    then the requests, then the answers. The other side of a socket is woken once and not for each of them.
    """

    __slots__ = ("_answered", "_begun", "_current", "_due", "_loop", "_pool")

    def __init__(self, current: Callable[[], Gateway], pool: Pool) -> None:
        self._current = current
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._begun: list[FastCall] = []  # not on record yet
        self._answered: list[FastCall] = []  # not answered yet
        self._due = False

    def take(self, exchange: DirectExchange, dialect: Dialect) -> Direct | Coroutine[Any, Any, None]:
        """The call under way, or the walk that it has to take."""
        gateway = self._current()
        sender = None if exchange.head is None else exchange.head.known
        if type(sender) is not Sender or sender.gateway is not gateway:
            sender = meet(gateway, exchange)
            if sender is None:
                return walk(gateway, exchange, dialect)
        try:
            glance = dialect.glance(exchange.body)
        except Exception:  # noqa: BLE001  whatever is wrong, the walk says it, and leaves a row
            return walk(gateway, exchange, dialect)
        if (
            glance.stream
            or glance.max_output is None
            or glance.options is not None
            or glance.unbounded_input
            or glance.unpriced is not None
            or glance.task is not None
            or glance.combination_id is not None
        ):
            return walk(gateway, exchange, dialect, glance)
        ready = sender.prepared.get((glance.model, glance.needs))
        if ready is None:
            ready = self._prepare(gateway, exchange, dialect, glance, sender)
        way, extra = ready
        call = None if way is None else begin(self, gateway, exchange, glance, way, extra)
        if call is None:
            return walk(gateway, exchange, dialect, glance)
        self._begun.append(call)
        if not self._due:
            self._wake()
        return call

    def answered(self, call: "FastCall") -> None:
        """The call can be answered and recorded."""
        self._answered.append(call)
        if not self._due:
            self._wake()

    def flush(self) -> None:
        """Writes all that is to be written."""
        self._due = False
        begun, answered = self._begun, self._answered
        self._begun, self._answered = [], []
        gateway = self._current()
        now = gateway.clock.now()
        answered = [call for call in answered if call.composed(now)]
        begun = [call for call in begun if not call.gone_on]
        try:
            gateway.journal.write_lines(
                [(call.id, call.record) for call in begun], [(call.id, call.record) for call in answered]
            )
        except Exception as error:  # noqa: BLE001  one call's bug must not take the others of its round along
            if not isinstance(error, JournalUnavailable):
                gateway.log("internal_error", error=type(error).__name__, trace=place_of(error))
            for call in begun:
                call.start_over()
            begun = []
        for call in begun:
            call.send()
        for call in answered:
            call.conclude()

    def _wake(self) -> None:
        self._due = True
        self._loop.call_soon(self.flush)

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
    """None for a stranger, for options that are headers, and for a signature: it holds for one body only."""
    if any_options(exchange.headers) or is_signed(exchange.headers):
        return None
    try:
        caller = gateway.keyring.identify(exchange, gateway.clock.wall_ns() / 1e9)
    except Refused:
        return None
    sender = Sender(gateway, caller)
    if exchange.head is not None:
        exchange.head.known = sender
    return sender


def begin(
    path: FastPath, gateway: Gateway, exchange: DirectExchange, glance: Glance, way: Prepared, extra: bytes
) -> "FastCall | None":
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
    dropped: tuple[str, ...] = ()
    try:
        if way.renames is not None:
            body = way.rename(given, *way.renames)
        else:
            body, dropped = written(way, given, glance)
    except Exception:  # noqa: BLE001  as above
        return None
    started_ns = way.wall_ns()
    input_bound, output_bound = len(given) + way.around, most * glance.choices
    held, reserved = None, "[]"
    bounds: Sequence[int] = ()
    if way.allowances:
        bounds = [units_bound(units, input_bound, output_bound) for units in way.units]
        granted = reserve_all(way.allowances, max(bounds), started_ns / 1e9)
        if isinstance(granted, Denied):
            return None
        held, reserved = granted, granted.charges_json(granted.amount)
    identity = call_id(started_ns, way.dice())
    call = FastCall(
        path,
        exchange,
        gateway,
        way,
        glance,
        identity,
        started_ns,
        (way.dice(), started_ns / 1e9, input_bound, output_bound, *bounds),
        held,
        dropped,
        way.upstream.take(),
        (way.accepted % (identity, started_ns, reserved)).encode(),
        b"%b%bcontent-length: %d\r\n\r\n" % (way.prefix, extra, len(body)),
        body,
    )
    gateway.calls[identity] = call
    return call


def written(way: Prepared, body: bytes, glance: Glance) -> tuple[bytes, tuple[str, ...]]:
    """The body as the provider is to get it, and what could not be carried. Raises Refused."""
    if not way.relayed:
        asked, shown = way.dialect.read_request(body), way.dialect.for_request
        if says_nothing(asked):
            raise ValueError("there is nothing to be answered")
        if shown is not None and shown(way.dialect, asked) is not way.dialect:
            raise ValueError("its answer depends on what it says")
        request = way.lane.dialect.write_request(asked, way.shape)
        return request.body, request.dropped if way.tells_drops else ()
    most = glance.max_output if way.moves_limit else None
    return way.dialect.edit(body, glance, replace(way.edits, max_output=most)), ()


class FastCall(Struct, eq=False):
    """A plain call on its way. The listener of its connection, and what its exchange cancels.

    `decided`: the decision's seed, its time, the bounds of input and output, and what it can cost at each candidate.
    `record` is the line that the journal is to have next, `head` and `body` what is to be sent next.
    """

    path: FastPath
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
    record: bytes
    head: bytes
    body: bytes
    sent_at: float = 0.0  # once it is on record
    answered_at: float = 0.0
    priced: tuple[Usage, int, str] | None = None  # what was used, its cost, what the budgets are charged
    lines: str = ""  # headers of the answer
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

    # ---- called at the end of a round

    def start_over(self) -> None:
        """It could not be put on record. Nobody was called, so the walk does it again, and tells what is wrong."""
        self._undo()
        self.exchange.direct = None
        # The same id: should an entry of it be in the journal after all, then the end is that entry's end.
        self.exchange.go_on(walk(self.gateway, self.exchange, self.way.dialect, self.glance, identity=self.id))

    def send(self) -> None:
        timeouts = self.way.timeouts
        self.sent_at = self.way.now()
        deadline = self.exchange.received_at + timeouts.total_s
        try:
            self.connection.ask(
                self.head, self.body, self, timeouts.first_byte_s, timeouts.stall_s, deadline, whole=True
            )
        except Exception as error:  # noqa: BLE001  the connection was lost since it was taken
            self._fail(error)

    def composed(self, now: float) -> bool:
        """Pays, once what is left to be written is put together; False for a bug of ours, which the walk tells."""
        try:
            self._compose(now)
        except Exception as error:  # noqa: BLE001  one call's bug must not take the others of its round along
            self._go_on(error)
            return False
        return True

    def _compose(self, now: float) -> None:
        """`now` is the time of the answer."""
        assert self.priced is not None
        way, (usage, owed, charged) = self.way, self.priced
        sent_at = self.sent_at
        total_us, provider_us = int((now - self.exchange.received_at) * 1e6), int((self.answered_at - sent_at) * 1e6)
        own_us = total_us - provider_us if total_us > provider_us else 0
        read, write, reasoning = usage.cache_read, usage.cache_write, usage.reasoning
        self.lines = (
            f"x-waypost-call-id: {self.id}\r\n{way.names}x-waypost-overhead-us: {own_us}\r\n"
            f"x-waypost-cost-usd: {dollars(owed)}\r\ncontent-type: application/json\r\n{self.lines}"
        )
        ended = way.ended % (
            self.id,
            self.started_ns,
            usage.input,
            "null" if read is None else read,
            "null" if write is None else write,
            usage.output,
            "null" if reasoning is None else reasoning,
            owed,
            total_us,
            total_us,
            own_us,
            *self.decided,
            provider_us,
            int((now - sent_at) * 1e6),
            charged,
            encode(self.dropped).decode() if self.dropped else "[]",
        )
        self.record = ended.encode()
        taken = (usage.input or 0) + (read or 0) + (write or 0)
        way.series.note((taken, (usage.output or 0) + (reasoning or 0), owed, total_us, own_us))
        way.health.succeeded(now, (now - sent_at) * 1e3)
        if self.held is not None:
            self.held.settle(owed, self.decided[1] + now - self.exchange.received_at)

    def conclude(self) -> None:
        """It is on record: its caller gets the answer."""
        del self.gateway.calls[self.id]
        try:
            self.exchange.answer(self.lines, self.body)
        except Exception as error:  # noqa: BLE001  as above
            self.gateway.log("internal_error", error=type(error).__name__, trace=place_of(error), call=self.id)
            self.exchange.abort()
            self.exchange.end()

    # ---- called by the exchange and by the connection

    def cancel(self) -> None:
        """The caller is gone."""
        if self.priced is not None:
            return  # what is left to be done has to be done anyway
        if self.sent_at:
            self.way.upstream.drop(self.connection)
            self._go_on(asyncio.CancelledError())
        elif not self.gone_on:
            self.gone_on = True
            self._undo()
            self.exchange.end()

    def done(self) -> bool:
        return self.gone_on

    def set_exception(self, exception: Exception, /) -> None:
        connection, upstream = self.connection, self.way.upstream
        if connection.parser.headed:
            self._go_on(Incoming(connection, upstream))  # its status tells more than its end
        else:
            self._fail(exception)

    def set_result(self, result: None, /) -> None:
        try:
            if self._price():
                self.path.answered(self)
            else:
                self._go_on(Incoming(self.connection, self.way.upstream))
        except Exception as error:  # noqa: BLE001  what would leave a task as an exception leaves this one so
            self._fail(error)

    def _price(self) -> bool:
        """Whether all went well and what it costs is known. Else nothing is done and all is left to the walk."""
        connection, way, held = self.connection, self.way, self.held
        parser = connection.parser
        if parser.status != 200 or not parser.complete:
            return False
        lines, limited = passed(connection)
        if lines is None:
            return False
        self.answered_at = now = way.now()
        if limited and not way.relayed:
            now_s = self.started_ns / 1e9 + now - self.exchange.received_at
            lines += response_headers(limit_headers(way.lane.dialect, way.dialect, parser.headers, now_s))
        told = connection.take()
        try:
            if way.relayed:
                usage, self.body = way.dialect.glance_reply(told), told
            else:
                usage, self.body = translated(way.dialect, way.lane, told, self.id, self.started_ns)
        except UpstreamFault:
            usage = None
        owed = None if usage is None else cost(way.price, usage)
        if usage is None or owed is None or (held is not None and owed > held.amount):
            parser.put_back(told)
            return False
        way.upstream.give_back(connection)
        charged = held.charges_json(owed) if owed and held is not None else "[]"
        self.lines = lines
        if self.dropped:
            self.lines = f"x-waypost-dropped: {showable(', '.join(self.dropped))}\r\n{lines}"
        self.priced = usage, owed, charged
        return True

    def _undo(self) -> None:
        """Before it was sent: as if it had not come."""
        self.way.upstream.give_back(self.connection)
        if self.held is not None:
            self.held.release(self.started_ns / 1e9)
        del self.gateway.calls[self.id]

    # ---- on to the walk

    def _fail(self, error: Exception) -> None:
        self.way.upstream.drop(self.connection)
        self._go_on(error)

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
