"""The HTTP/1.1 server: listens, runs one handler per request, sweeps for what has waited too long, drains.

Knows connections and their clocks; what a request means is its handler's business, and how an error looks is said by a
callable that it is given.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast

from waypost.config.model import Address, Server
from waypost.server.http_connection import Connection, ServerExchange
from waypost.wire.exchange import Direct
from waypost.wire.heads import Heads
from waypost.wire.http1_request import RequestLimits
from waypost.wire.standstill import LOOK_S, Standstill

if TYPE_CHECKING:
    import ssl

# Gives what is to be run as a task, or answers in its own time without one.
Handler = Callable[[ServerExchange], Coroutine[Any, Any, None] | Direct]
ErrorBody = Callable[[int, str, str], tuple[list[tuple[str, str]], bytes]]  # status, message, path → headers, body
BACKLOG = 4096

_SWEEP_S = 0.25
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def plain_error(status: int, message: str, path: str) -> tuple[list[tuple[str, str]], bytes]:
    """An error as one line of text."""
    return [("content-type", "text/plain; charset=utf-8")], f"{message}\n".encode()


def date_line(now: float) -> str:
    """`now` in seconds since 1970 → the header line `date` (RFC 9110, 5.6.7), whatever the locale."""
    t = time.gmtime(now)
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    return f"date: {_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon]} {t.tm_year:04} {clock} GMT\r\n"


class HttpServer:
    """Serves `handler` on any number of addresses. Build it inside a running loop.

    `error_body` dresses the errors that no handler sees (malformed requests, timeouts, draining, a handler that
    raised). `on_error` is told of an exception that left a handler; the caller gets a 500, or a cut connection once an
    answer began.
    """

    def __init__(
        self,
        handler: Handler,
        settings: Server,
        *,
        error_body: ErrorBody = plain_error,
        on_error: Callable[[BaseException], None] | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.limits = RequestLimits(settings.max_head_bytes, settings.max_body_bytes)
        self.heads = Heads()
        self.error_body = error_body
        self.draining = False
        self._handler = handler
        self._on_error = on_error
        self._wall_clock = wall_clock
        self.date_line = date_line(wall_clock())
        self._loop = asyncio.get_running_loop()
        self._listeners: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._under_way: set[ServerExchange] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._standstill = Standstill()
        self._awaited: set[ServerExchange] | set[Connection] = self._under_way  # what `drain` waits to be empty
        self._quiet: asyncio.Future[None] | None = None

    async def start(
        self, address: Address, ssl_context: "ssl.SSLContext | None" = None, *, reuse_port: bool = False
    ) -> Address:
        """Listens, and says where (port 0 asks for a free one). OSError if it can't."""
        listener = await self._loop.create_server(
            lambda: Connection(self, self._loop),
            address.host,
            address.port,
            ssl=ssl_context,
            backlog=BACKLOG,
            reuse_address=True,
            reuse_port=reuse_port,
            ssl_handshake_timeout=self.settings.header_timeout_s if ssl_context else None,
        )
        self._listeners.append(listener)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._sweep_s(), self._sweep)
        name = listener.sockets[0].getsockname()
        return Address(name[0], name[1])

    async def drain(self, grace_s: float) -> int:
        """Stops listening, gives calls under way `grace_s` to end and be read, closes. Returns how many were cut."""
        deadline = self._loop.time() + grace_s
        self.draining = True
        self._stop_listening()
        await self._until_empty(self._under_way, deadline)
        cut = len(self._under_way)
        for connection in list(self._connections) if not cut else ():
            connection.close()
        await self._until_empty(self._connections, deadline)
        await self.close()
        return cut

    async def close(self) -> None:
        """Cuts whatever is left, and waits until every handler has ended."""
        self.draining = True
        self._stop_listening()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for exchange in list(self._under_way):
            self.cancel(exchange)
        while tasks := [exchange.task for exchange in self._under_way if exchange.task is not None]:
            await asyncio.wait(tasks)
        for connection in list(self._connections):
            connection.abort()
        self._connections.clear()

    @property
    def active(self) -> int:
        """How many requests are being handled."""
        return len(self._under_way)

    @property
    def connections(self) -> int:
        return len(self._connections)

    def sweep(self, now: float) -> None:
        """Ends every wait whose deadline (loop time) has passed."""
        self.date_line = date_line(self._wall_clock())
        for connection in [c for c in self._connections if c.deadline <= now]:
            connection.expire()

    # ---- called by connections

    def admit(self, connection: Connection) -> int:
        """Keeps track of a connection; says by how many there are now too many."""
        self._connections.add(connection)
        return len(self._connections) - self.settings.max_connections

    def forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._tell_quiet()

    def serve(self, exchange: ServerExchange) -> None:
        if self.draining:
            exchange.keep_alive = False
            self._answer_error(exchange, 503, "the server is shutting down")
            return
        self._under_way.add(exchange)
        try:
            begun = self._handler(exchange)
        except Exception as error:  # noqa: BLE001  one call's bug is one call's 500
            self.fail(exchange, error)
            self.end(exchange)
            return
        if isinstance(begun, CoroutineType):
            self.run(exchange, begun)
        else:
            exchange.direct = cast("Direct", begun)

    def run(self, exchange: ServerExchange, handling: Coroutine[Any, Any, None]) -> None:
        """Goes on with an exchange in a task of its own."""
        exchange.handling = handling
        exchange.task = self._loop.create_task(self._run(exchange, handling))

    def end(self, exchange: ServerExchange) -> None:
        """The exchange has been handled: nothing more will be done for it."""
        self._under_way.discard(exchange)
        if self._quiet is not None:
            self._tell_quiet()

    def cancel(self, exchange: ServerExchange) -> None:
        """Ends the handling of a request whose caller is gone. A task that never began can't note its own end."""
        if exchange.direct is not None:
            exchange.direct.cancel()
        elif exchange.task is not None:
            exchange.task.add_done_callback(lambda _: self._note_end(exchange))
            exchange.task.cancel()

    # ---- its parts

    def _note_end(self, exchange: ServerExchange) -> None:
        if exchange.handling is not None:
            exchange.handling.close()
        self.end(exchange)

    async def _run(self, exchange: ServerExchange, handling: Coroutine[Any, Any, None]) -> None:
        try:
            await handling
            if not exchange.done:
                raise RuntimeError("the handler ended without an answer")
        except asyncio.CancelledError:
            exchange.abort()
            raise
        except Exception as error:  # noqa: BLE001  the last line of defence: one call's bug is one call's 500
            self.fail(exchange, error)
        finally:
            exchange.task = exchange.handling = None
            self.end(exchange)

    async def _until_empty(self, those: "set[ServerExchange] | set[Connection]", deadline: float) -> None:
        self._awaited = those
        if those:
            self._quiet = self._loop.create_future()
            await asyncio.wait((self._quiet,), timeout=max(0.0, deadline - self._loop.time()))
            self._quiet = None

    def _tell_quiet(self) -> None:
        if self._quiet is not None and not self._awaited and not self._quiet.done():
            self._quiet.set_result(None)

    def fail(self, exchange: ServerExchange, error: Exception) -> None:
        """A mistake of ours: the caller gets a 500, or a cut connection once an answer began."""
        if exchange.gone and isinstance(error, ConnectionAbortedError):
            return
        if self._on_error is not None:
            self._on_error(error)
        if exchange.started:
            exchange.abort()
        elif not exchange.done:
            self._answer_error(exchange, 500, "internal error")

    def _answer_error(self, exchange: ServerExchange, status: int, message: str) -> None:
        headers, body = self.error_body(status, message, exchange.path)
        exchange.respond(status, headers, body)

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def _sweep_s(self) -> float:
        settings = self.settings
        shortest = min(
            settings.header_timeout_s, settings.body_timeout_s, settings.keep_alive_s, settings.write_stall_s
        )
        return min(_SWEEP_S, max(0.01, shortest / 4))

    def _sweep(self) -> None:
        now = self._loop.time()
        if self._sweeper is not None and self._standstill.puts_off(now - self._sweeper.when()):
            self._sweeper = self._loop.call_later(LOOK_S, self._sweep)
            return
        self._sweeper = self._loop.call_later(self._sweep_s(), self._sweep)
        self.sweep(now)
