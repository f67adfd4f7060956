"""The HTTP/1.1 server: listens, runs one handler per request, sweeps for what has waited too long, drains.

Knows connections and their clocks; what a request means is its handler's business, and how an error looks is said by a
callable that it is given.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from waypost.config.model import Address, Server
from waypost.server.http_connection import Connection, ServerExchange
from waypost.wire.exchange import Handler
from waypost.wire.http1_request import RequestLimits

if TYPE_CHECKING:
    import ssl

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
        self.error_body = error_body
        self.draining = False
        self._handler = handler
        self._on_error = on_error
        self._wall_clock = wall_clock
        self.date_line = date_line(wall_clock())
        self._loop = asyncio.get_running_loop()
        self._listeners: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._awaited: set[asyncio.Task[None]] | set[Connection] = self._tasks  # what `drain` waits to be empty
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
        await self._until_empty(self._tasks, deadline)
        cut = len(self._tasks)
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
        for task in list(self._tasks):
            self.cancel(task)
        if self._tasks:
            await asyncio.wait(self._tasks)
        for connection in list(self._connections):
            connection.abort()
        self._connections.clear()

    @property
    def active(self) -> int:
        """How many handlers run."""
        return len(self._tasks)

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
        task = self._loop.create_task(self._run(exchange))
        exchange.task = task
        self._tasks.add(task)

    def cancel(self, task: "asyncio.Task[None]") -> None:
        """Ends a handler whose caller is gone. One that never began has no end of its own that would be noted."""
        task.add_done_callback(self._note_end)
        task.cancel()

    # ---- its parts

    def _note_end(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._tell_quiet()

    async def _run(self, exchange: ServerExchange) -> None:
        try:
            await self._handler(exchange)
            if not exchange.done:
                raise RuntimeError("the handler ended without an answer")
        except asyncio.CancelledError:
            exchange.abort()
            raise
        except Exception as error:  # noqa: BLE001  the last line of defence: one call's bug is one call's 500
            self._fail(exchange, error)
        finally:
            task, exchange.task = exchange.task, None
            if task is not None:
                self._tasks.discard(task)
            if self._quiet is not None:
                self._tell_quiet()

    async def _until_empty(self, those: "set[asyncio.Task[None]] | set[Connection]", deadline: float) -> None:
        self._awaited = those
        if those:
            self._quiet = self._loop.create_future()
            await asyncio.wait((self._quiet,), timeout=max(0.0, deadline - self._loop.time()))
            self._quiet = None

    def _tell_quiet(self) -> None:
        if self._quiet is not None and not self._awaited and not self._quiet.done():
            self._quiet.set_result(None)

    def _fail(self, exchange: ServerExchange, error: Exception) -> None:
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
        self._sweeper = self._loop.call_later(self._sweep_s(), self._sweep)
        self.sweep(self._loop.time())
