"""One caller's connection: feeds the request parser, starts one handler at a time, writes answers in order.

Knows when a connection is waiting for what, and until when. Refuses to know what is said.
"""

import asyncio
import socket
import struct
from collections.abc import Coroutine, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from waypost.wire.exchange import Direct
from waypost.wire.http1 import (
    BODILESS,
    CONTINUE,
    LAST_CHUNK,
    STATUS_LINES,
    Rejection,
    chunk,
    response_headers,
    status_line,
)
from waypost.wire.http1_request import ReceivedRequest, RequestParser

if TYPE_CHECKING:
    from waypost.server.http import HttpServer

WRITE_HIGH_WATER = 64 * 1024
_COPY_LIMIT = 64 * 1024  # bodies larger than this go out beside their head, not copied behind it
_LINGER_S = 5.0  # longest time for which a refused caller may go on sending before it reads its refusal
_REFUSABLE = 256  # connections beyond the cap that are told so; further ones are cut without a word
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ServerExchange(ReceivedRequest, eq=False):
    """Satisfies `wire.exchange.Exchange`. A struct, so that its many members are set without the interpreter."""

    connection: "Connection | None" = None  # None once nothing more can be sent
    server: "HttpServer | None" = None  # set, as `peer` is, by the connection that starts it
    peer: str = ""
    started: bool = False
    gone: bool = False
    done: bool = False  # answered in full, or given up
    task: "asyncio.Task[None] | None" = None
    handling: "Coroutine[Any, Any, None] | None" = None  # what the task runs
    direct: "Direct | None" = None  # what handles it without a task
    _held: bytes | None = None  # a head that waits for the first piece of its body
    _chunked: bool = False
    _bodiless: bool = False

    def respond(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        connection = self.connection
        if connection is None or self.started:
            self._refuse_second()
            return
        lines = response_headers(headers)
        own = connection.own_headers(self)
        length = "\r\n" if status == 204 else f"content-length: {len(body)}\r\n\r\n"
        data = f"{STATUS_LINES.get(status) or status_line(status)}{lines}{own}{length}".encode("latin-1")
        if status in BODILESS or self.method == "HEAD":
            body = b""
        self.started = True
        self.done = True
        self.connection = None
        connection.conclude(self, data, body)

    def answer(self, lines: str, body: bytes) -> None:
        """A whole answer of status 200 to a POST, given without a task: the end of its handling.

        `lines` are its header lines, each with its line break.
        """
        connection = self.connection
        if connection is None:  # the caller hung up
            self.end()
            return
        own = connection.own_headers(self)
        self.started = True
        self.done = True
        self.connection = None
        data = f"HTTP/1.1 200 OK\r\n{lines}{own}content-length: {len(body)}\r\n\r\n"
        connection.conclude(self, data.encode("latin-1"), body)
        self.end()

    def go_on(self, handling: Coroutine[Any, Any, None]) -> None:
        """What had no task goes on in one. `direct` stays in charge of a hang-up until the task has begun."""
        assert self.server is not None
        self.server.run(self, handling)

    def end(self) -> None:
        """What had no task has done all there was to do."""
        assert self.server is not None
        self.direct = None
        self.server.end(self)

    def start(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        connection = self.connection
        if connection is None or self.started:
            self._refuse_second()
            return
        lines = response_headers(headers)
        self._bodiless = status in BODILESS or self.method == "HEAD"
        self._chunked = self.chunkable and not self._bodiless
        if not self.chunkable:
            self.keep_alive = False
        own = connection.own_headers(self)
        framing = "transfer-encoding: chunked\r\n\r\n" if self._chunked else "\r\n"
        self._held = f"{status_line(status)}{lines}{own}{framing}".encode("latin-1")

    def send(self, data: bytes) -> None:
        connection = self.connection
        if connection is None or not data:
            return
        if self._held is None and not self.started:
            raise RuntimeError("send before start")
        if self._chunked:
            data = chunk(data)
        elif self._bodiless:
            data = b""
        if self._held is not None:
            data = self._held + data
            self._held = None
            self.started = True
        connection.write(data)

    async def drain(self) -> None:
        connection = self.connection
        if connection is None:
            if self.gone:
                raise ConnectionAbortedError("the caller hung up")
        elif connection.write_paused:
            await connection.writable()

    def finish(self) -> None:
        connection = self.connection
        if connection is None:
            return
        held, self._held = self._held, None
        if held is None and not self.started:
            raise RuntimeError("finish before start")
        last = LAST_CHUNK if self._chunked else b""
        self.started = True
        self.done = True
        self.connection = None
        connection.conclude(self, last if held is None else held + last, b"")

    def abort(self) -> None:
        connection = self.connection
        if connection is not None:
            self.leave()
            connection.cut(reset=self.started and not self._chunked)

    def leave(self) -> None:
        """Parts with the connection: nothing more can be sent."""
        self.connection = None
        self._held = None
        self.done = True

    def _refuse_second(self) -> None:
        """Once the caller has gone, answers go nowhere; else a second answer is the handler's mistake."""
        if not self.gone:
            raise RuntimeError("this request has been answered")


class Connection(asyncio.Protocol):
    """Feeds, answers, times out. `deadline` (loop time) is when `expire` is due; the server's sweep looks at it."""

    __slots__ = (
        "_exchange",
        "_keep_alive_s",
        "_lingering",
        "_loop",
        "_lost",
        "_parser",
        "_reading_paused",
        "_server",
        "_transport",
        "_waiter",
        "deadline",
        "peer",
        "write_paused",
    )

    def __init__(self, server: "HttpServer", loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._keep_alive_s = server.settings.keep_alive_s
        self._loop = loop
        self._parser: RequestParser[ServerExchange] = RequestParser(server.limits, ServerExchange, server.heads)
        self._transport: Any = None
        self._exchange: ServerExchange | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._lingering = False
        self._lost = False
        self._reading_paused = False
        self.write_paused = False
        self.deadline = inf
        self.peer = ""

    # ---- called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if isinstance(name, tuple) else ""
        self.deadline = self._loop.time() + self._server.settings.header_timeout_s
        excess = self._server.admit(self)
        if excess > _REFUSABLE:
            self._transport.abort()
        elif excess > 0:
            self._refuse(Rejection(503, "too many connections"))

    def connection_lost(self, error: Exception | None) -> None:
        self._server.forget(self)
        self._lost = True
        self._parser.close()
        self.deadline = inf
        exchange = self._exchange
        self._exchange = None
        if exchange is not None:
            exchange.gone = True
            exchange.leave()
            self._server.cancel(exchange)
        self._release()

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        parser = self._parser
        begun = parser.begun
        now = self._loop.time()
        parser.feed(data, now)
        if parser.ready and self._exchange is None and not self.write_paused:
            self._start(parser.ready.popleft())
            if parser.ready and parser.full:
                self._pause_reading()
        else:
            self._wait_on(now, begun)

    def _wait_on(self, now: float, begun: bool) -> None:
        """What came completes no request that could be started now. `begun`: one had begun before."""
        parser = self._parser
        if parser.full:
            self._pause_reading()
        if self._exchange is not None or self.write_paused:
            return
        if parser.fault is not None:
            self._refuse(parser.fault)
        elif parser.in_body:
            if parser.awaits_continue:
                self._continue()
            self.deadline = now + self._server.settings.body_timeout_s
        elif not begun:
            self.deadline = now + self._server.settings.header_timeout_s

    def eof_received(self) -> bool:
        return False  # a caller that closes its side has hung up: its call is cancelled at once

    def pause_writing(self) -> None:
        self.write_paused = True
        self.deadline = self._loop.time() + self._server.settings.write_stall_s

    def resume_writing(self) -> None:
        self.write_paused = False
        self._release()
        if self._lingering:
            self.deadline = self._loop.time() + _LINGER_S
        elif self._exchange is None:
            self._advance()
        else:
            self.deadline = inf

    # ---- called by the exchange

    def own_headers(self, exchange: ServerExchange) -> str:
        """The header lines that are the connection's. Decides whether it stays open after this answer."""
        server = self._server
        if server.draining:
            exchange.keep_alive = False
        if not exchange.keep_alive:
            return server.date_line + "connection: close\r\n"
        return server.date_line if exchange.chunkable else server.date_line + "connection: keep-alive\r\n"

    def write(self, data: bytes) -> None:
        if data:
            self._transport.write(data)

    async def writable(self) -> None:
        if self._waiter is None:
            self._waiter = self._loop.create_future()
        await asyncio.shield(self._waiter)
        if self._lost:
            raise ConnectionAbortedError("the caller hung up or left its answer unread")

    def conclude(self, exchange: ServerExchange, last: bytes, body: bytes) -> None:
        """Writes what is left of an answer, `body` behind `last`, and turns to the next request."""
        if len(body) > _COPY_LIMIT:
            self._transport.writelines((last, body))
        elif last:
            self._transport.write(last + body if body else last)
        self._exchange = None
        parser = self._parser
        if not exchange.keep_alive:
            self._part()
        elif parser.begun or parser.ready or self._reading_paused or parser.fault is not None:
            self._advance()
        elif not self.write_paused:
            self.deadline = self._loop.time() + self._keep_alive_s

    def cut(self, *, reset: bool) -> None:
        """Ends the connection without a proper end. `reset`: its end alone would look like the end of the answer."""
        self._exchange = None
        raw = self._transport.get_extra_info("socket") if reset else None
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    # ---- called by the server

    def expire(self) -> None:
        """The deadline has passed."""
        if self.write_paused or self._lingering:
            self._transport.abort()
        elif self._exchange is not None:
            self.deadline = inf
        elif self._parser.in_body:
            self._refuse(Rejection(408, "the request's body stopped coming", self._parser.path))
        elif self._parser.begun:
            self._refuse(Rejection(408, "the request's head took too long", self._parser.path))
        else:
            self._transport.close()

    def close(self) -> None:
        """Closes once what has been written is read."""
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    # ---- its parts

    def _advance(self) -> None:
        """Nothing is being answered: starts on the next request, or waits for one."""
        parser = self._parser
        if self.write_paused or self._lingering:
            return
        if parser.ready:
            self._start(parser.ready.popleft())
        elif parser.fault is not None:
            self._refuse(parser.fault)
        else:
            self._await_request()

    def _start(self, exchange: ServerExchange) -> None:
        self.deadline = inf
        self._exchange = exchange
        exchange.connection = self
        exchange.peer = self.peer
        exchange.server = self._server
        self._server.serve(exchange)

    def _part(self) -> None:
        """The last answer has been given: TLS has no half-open connections."""
        if self._transport.can_write_eof():
            self._close_soon()
        else:
            self._lingering = True
            self._transport.close()

    def _await_request(self) -> None:
        parser, settings = self._parser, self._server.settings
        now = self._loop.time()
        if self._reading_paused:
            self._read_on(now)
            return
        if parser.in_body:
            if parser.awaits_continue:
                self._continue()
            self.deadline = now + settings.body_timeout_s
        else:
            self.deadline = now + (settings.header_timeout_s if parser.begun else settings.keep_alive_s)

    def _continue(self) -> None:
        self._parser.awaits_continue = False
        self._transport.write(CONTINUE)

    def _pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def _read_on(self, now: float) -> None:
        """The requests read ahead have all been answered: reads what was held back, then the connection."""
        self._parser.feed(b"", now)
        if not self._parser.full:
            self._reading_paused = False
            self._transport.resume_reading()
        self._advance()

    def _refuse(self, rejection: Rejection) -> None:
        """Answers what is not a request, and closes once its sender had a chance to read that."""
        headers, body = self._server.error_body(rejection.status, rejection.message, rejection.path)
        head = status_line(rejection.status) + response_headers(headers)
        close = f"{self._server.date_line}connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write((head + close).encode("latin-1") + body)
        self._close_soon()

    def _close_soon(self) -> None:
        """Closes our side and swallows what still comes: closing at once could reset it before the answer is read."""
        self._lingering = True
        if not self.write_paused:
            self.deadline = self._loop.time() + _LINGER_S
        if self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _release(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
