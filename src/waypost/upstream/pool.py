"""Connections to providers, kept and shared: one lane a peer. Sends a request, gives back its answer as it arrives.

Knows how connections are reused, counted and timed out. What is sent and what comes back it refuses to know.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

from waypost.conversation.faults import FaultKind
from waypost.upstream.connection import DeadlinePassed, Stale, UpstreamConnection, fault
from waypost.upstream.dial import Dialer, Origin, Peer
from waypost.wire.standstill import LOOK_S, Standstill

__all__ = ["DeadlinePassed", "Incoming", "Origin", "Outgoing", "Peer", "Pool"]

IDLE_S = 60.0  # shorter than servers keep idle connections, so that it is not they who close first
MAX_CONNECTIONS = 1000  # to one peer
_BUSY_SWEEP_S = 0.05
_IDLE_SWEEP_S = 1.0


class Outgoing(Struct):
    """One request. `prefix` is what `wire.http1.request_prefix` gives: request line, host and the headers that never
    change; `extra` (`wire.http1.header_lines`) are this call's. Content-length is added. Durations in seconds;
    `deadline` is loop time.

    `late` are header lines that have to be waited for, such as a token's; it raises UpstreamFault.
    `connect_s` bounds finding or opening a connection, `first_byte_s` the wait for `late` and that for the head of the
    answer, `stall_s` each silence within its body.
    """

    peer: Peer
    prefix: bytes
    body: bytes
    connect_s: float
    first_byte_s: float
    stall_s: float
    deadline: float
    extra: bytes = b""
    late: Callable[[], Awaitable[bytes]] | None = None

    def __repr__(self) -> str:
        return f"Outgoing({self.peer.origin})"  # the rest holds secrets


class Incoming:
    """An answer whose head has come. `close` it, always: nothing else frees its connection.

    `delimited_by_close`: only the connection's end will end the body, so whether it is whole can't be known from HTTP.
    """

    __slots__ = ("_connection", "_lane", "delimited_by_close", "headers", "status")

    def __init__(self, connection: UpstreamConnection, lane: "Lane") -> None:
        parser = connection.parser
        self._connection: UpstreamConnection | None = connection
        self._lane = lane
        self.status = parser.status
        self.headers: Mapping[str, str] = parser.headers
        self.delimited_by_close = parser.delimited_by_close

    async def next(self, silence_s: float | None = None) -> bytes:
        """The next piece of the body, b"" at its proper end. `silence_s` stands in for the request's `stall_s`.

        UpstreamFault, DeadlinePassed.
        """
        if self._connection is None:
            raise RuntimeError("the answer is closed")
        return await self._connection.next(silence_s)

    async def read(self, limit: int) -> bytes:
        """The whole (rest of the) body. UpstreamFault(MALFORMED) if it is larger than `limit` bytes."""
        connection = self._connection
        if connection is not None and connection.parser.complete:
            data = connection.take()
            if len(data) <= limit:
                return data
        else:
            data = await self.next()
        buffer = bytearray(data)
        while data and len(buffer) <= limit:
            data = await self.next()
            buffer += data
        if len(buffer) > limit:
            raise fault(FaultKind.MALFORMED, f"the answer is larger than {limit} bytes")
        return bytes(buffer)

    def close(self) -> None:
        """Done with it: a connection whose answer is whole serves the next call, any other is cut at once."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._lane.give_back(connection)


class Lane:
    """The connections to one peer."""

    __slots__ = ("_pool", "count", "idle", "limit", "peer", "waiters")

    def __init__(self, pool: "Pool", peer: Peer, limit: int) -> None:
        self._pool = pool
        self.peer = peer
        self.limit = limit
        self.count = 0  # open, or being opened
        self.idle: list[UpstreamConnection] = []  # the last one used is the first one used again
        self.waiters: deque[asyncio.Future[UpstreamConnection | None]] = deque()

    def give_back(self, connection: UpstreamConnection) -> None:
        pool = self._pool
        pool.busy.discard(connection)
        if not connection.rest(pool.loop.time() + pool.idle_s):
            return
        waiter = self._next_waiter() if self.waiters else None
        if waiter is not None:
            connection.idle = False
            waiter.set_result(connection)
        else:
            self.idle.append(connection)

    def take(self) -> UpstreamConnection:
        """One of the `idle`, of which there must be one: `ask` it, then `give_back` or `drop` it."""
        connection, pool = self.idle.pop(), self._pool
        connection.idle = False
        if not pool._attentive:
            pool._attend()
        pool.busy.add(connection)
        return connection

    def drop(self, connection: UpstreamConnection) -> None:
        """Cuts a connection whose answer nobody wants any more."""
        self._pool.busy.discard(connection)
        connection.cut()

    def lose(self, connection: UpstreamConnection) -> None:
        """A connection is gone: whoever waits may open another."""
        self._pool.busy.discard(connection)
        if connection.idle:
            self.idle.remove(connection)
        self.free()

    def free(self) -> None:
        self.count -= 1
        waiter = self._next_waiter()
        if waiter is not None:
            self.count += 1
            waiter.set_result(None)

    def drop_old(self, now: float) -> None:
        """Closes what has been idle for too long; the oldest come first."""
        for connection in self.idle:
            if connection.usable_until > now:
                break
            connection.cut()

    def _next_waiter(self) -> "asyncio.Future[UpstreamConnection | None] | None":
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                return waiter
        return None


class Pool:
    """Build it inside a running loop; `close` it at the end."""

    def __init__(self, dialer: Dialer, *, max_connections: int = MAX_CONNECTIONS, idle_s: float = IDLE_S) -> None:
        self.loop = asyncio.get_running_loop()
        self.busy: set[UpstreamConnection] = set()
        self.idle_s = idle_s
        self._dialer = dialer
        self._max_connections = max_connections
        self._lanes: dict[Peer, Lane] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._standstill = Standstill()
        self._attentive = False  # the timer is set for the short interval

    async def send(self, call: Outgoing) -> Incoming:
        """Sends, and returns once the head of the answer has come. UpstreamFault, DeadlinePassed."""
        lane = self.lane(call.peer)
        if not self._attentive:
            self._attend()
        body = call.body
        extra = call.extra if call.late is None else call.extra + await self._wait_for_lines(call.late, call)
        head = b"%b%bcontent-length: %d\r\n\r\n" % (call.prefix, extra, len(body))
        head_only = call.prefix[:5] == b"HEAD "
        connection = lane.idle.pop() if lane.idle else await self._open(lane, call)
        while True:
            self.busy.add(connection)
            try:
                await connection.begin(head, body, head_only, call.first_byte_s, call.stall_s, call.deadline)
                return Incoming(connection, lane)
            except Stale:
                lane.drop(connection)
                connection = await self._open(lane, call, fresh=True)
            except BaseException:
                self.busy.discard(connection)
                connection.cut()
                raise

    def lane(self, peer: Peer) -> Lane:
        """The connections to that peer; the same object as long as the pool lives."""
        lane = self._lanes.get(peer)
        if lane is None:
            lane = self._lanes[peer] = Lane(self, peer, self._max_connections)
        return lane

    def sweep(self, now: float) -> None:
        """Ends every wait whose deadline (loop time) has passed, and closes what has been idle for too long."""
        for connection in [c for c in self.busy if c.deadline <= now]:
            connection.expire(now)
        for lane in self._lanes.values():
            lane.drop_old(now)

    def close(self) -> None:
        """Cuts every connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._attentive = True  # no timer any more
        for connection in list(self.busy):
            connection.fail(fault(FaultKind.RESET, "the gateway is shutting down"))
        for lane in self._lanes.values():
            for connection in lane.idle:
                connection.cut()

    async def _wait_for_lines(self, late: Callable[[], Awaitable[bytes]], call: Outgoing) -> bytes:
        """No longer than for an answer: another candidate may need no credentials that have to be fetched."""
        until = min(self.loop.time() + call.first_byte_s, call.deadline)
        try:
            async with asyncio.timeout_at(until):
                return await late()
        except TimeoutError:
            if until == call.deadline:
                raise DeadlinePassed("the deadline of the call passed while credentials were waited for") from None
            raise fault(FaultKind.FIRST_BYTE_TIMEOUT, "no credentials in time") from None

    async def _open(self, lane: Lane, call: Outgoing, *, fresh: bool = False) -> UpstreamConnection:
        """A connection that is free or new (`fresh`: new in any case), within `connect_s` and the deadline."""
        now = self.loop.time()
        until = min(now + call.connect_s, call.deadline)
        try:
            async with asyncio.timeout_at(until):
                if lane.count < lane.limit:
                    lane.count += 1
                else:
                    waiter: asyncio.Future[UpstreamConnection | None] = self.loop.create_future()
                    lane.waiters.append(waiter)
                    connection = await self._await_turn(lane, waiter)
                    if connection is not None and not fresh:
                        return connection
                    if connection is not None:
                        connection.on_lost = None
                        connection.cut()
                return await self._dial(lane, until)
        except TimeoutError:
            if until == call.deadline:
                raise DeadlinePassed("the deadline of the call passed while connecting") from None
            raise fault(FaultKind.CONNECT, f"no connection to {lane.peer.origin} in time") from None

    async def _await_turn(
        self, lane: Lane, waiter: "asyncio.Future[UpstreamConnection | None]"
    ) -> UpstreamConnection | None:
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                given = waiter.result()
                if given is None:
                    lane.free()
                else:
                    lane.give_back(given)
            raise

    async def _dial(self, lane: Lane, until: float) -> UpstreamConnection:
        try:
            connection = await self._dialer.open(lane.peer, until)
        except BaseException:
            lane.free()
            raise
        connection.on_lost = lane
        if connection.lost:
            lane.free()
        return connection

    def _attend(self) -> None:
        self._attentive = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(_BUSY_SWEEP_S, self._tick)

    def _tick(self) -> None:
        now = self.loop.time()
        if self._timer is not None and self._standstill.puts_off(now - self._timer.when()):
            self._timer = self.loop.call_later(LOOK_S, self._tick)
            return
        self.sweep(now)
        self._timer = None
        self._attentive = bool(self.busy)
        if self.busy:
            self._timer = self.loop.call_later(_BUSY_SWEEP_S, self._tick)
        elif any(lane.count for lane in self._lanes.values()):
            self._timer = self.loop.call_later(_IDLE_SWEEP_S, self._tick)
