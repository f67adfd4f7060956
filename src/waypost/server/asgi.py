"""The same handler behind another server: an ASGI 3 application (asgi.readthedocs.io, HTTP and lifespan).

Knows ASGI's messages; connections, framing and their timeouts are the outer server's.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from waypost.config.model import Server
from waypost.server.http import ErrorBody, plain_error
from waypost.wire.exchange import Handler
from waypost.wire.http1 import BODILESS, response_headers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Lifespan = Callable[[], Awaitable[None]]

_HIGH_WATER = 64 * 1024
_OWN = frozenset(("connection", "content-length", "transfer-encoding"))


class AsgiExchange:
    """Satisfies `wire.exchange.Exchange`: what a handler sends waits here until the outer server takes it."""

    def __init__(self, scope: Scope, headers: Mapping[str, str], body: bytes, received_at: float) -> None:
        client = scope.get("client")
        self.method: str = scope["method"]
        self.path = scope.get("raw_path", scope["path"].encode()).decode("latin-1").partition("?")[0]
        self.query = scope.get("query_string", b"").decode("latin-1")
        self.headers = headers
        self.body = body
        self.peer = str(client[0]) if client else ""
        self.received_at = received_at
        self.started = False
        self.gone = False
        self.done = False
        self.aborted = False
        self._head: Message | None = None  # waits for the first piece of its body
        self._messages: deque[Message] = deque()
        self._pending = 0  # bytes that wait to be taken
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def respond(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        if self._closed():
            return
        lines = encode_headers(headers)
        if status != 204:
            lines.append((b"content-length", str(len(body)).encode()))
        if status in BODILESS or self.method == "HEAD":
            body = b""
        self.started = True
        self.done = True
        self._queue({"type": "http.response.start", "status": status, "headers": lines})
        self._queue({"type": "http.response.body", "body": body, "more_body": False})

    def start(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        if self._closed():
            return
        self._head = {"type": "http.response.start", "status": status, "headers": encode_headers(headers)}

    def send(self, data: bytes) -> None:
        if self.gone or self.done or not data:
            return
        self._begin("send")
        self._queue({"type": "http.response.body", "body": data, "more_body": True})

    async def drain(self) -> None:
        await self._room.wait()
        if self.gone:
            raise ConnectionAbortedError("the caller hung up or left its answer unread")

    def finish(self) -> None:
        if self.gone or self.done:
            return
        self._begin("finish")
        self.done = True
        self._queue({"type": "http.response.body", "body": b"", "more_body": False})

    def abort(self) -> None:
        if not self.done:
            self.done = True
            self.aborted = True
            self._news.set()

    def leave(self) -> None:
        """The caller is gone: nothing more will be taken."""
        self.gone = True
        self._messages.clear()
        self._room.set()
        self._news.set()

    async def forward(self, send: Send, stall_s: float) -> None:
        """Hands the answer over until it is whole. ConnectionAbortedError if it is cut, TimeoutError if not taken."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._messages:
                message = self._messages.popleft()
                async with asyncio.timeout(stall_s):
                    await send(message)
                self._pending -= len(message.get("body", b""))
                if self._pending <= _HIGH_WATER:
                    self._room.set()
            if self.aborted:
                raise ConnectionAbortedError("the answer was cut")
            if self.done or self.gone:
                return

    def _begin(self, what: str) -> None:
        head, self._head = self._head, None
        if head is not None:
            self.started = True
            self._queue(head)
        elif not self.started:
            raise RuntimeError(f"{what} before start")

    def _closed(self) -> bool:
        if self.gone:
            return True
        if self.started or self.done:
            raise RuntimeError("this request has been answered")
        return False

    def _queue(self, message: Message) -> None:
        self._messages.append(message)
        self._pending += len(message.get("body", b""))
        if self._pending > _HIGH_WATER:
            self._room.clear()
        self._news.set()


class AsgiApplication:
    """`handler` as an ASGI application. `start` and `stop` run with the outer server's lifespan.

    `error_body` and `on_error` are as for `HttpServer`. A body larger than `settings.max_body_bytes` is a 413.
    """

    def __init__(
        self,
        handler: Handler,
        settings: Server,
        *,
        start: Lifespan | None = None,
        stop: Lifespan | None = None,
        error_body: ErrorBody = plain_error,
        on_error: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._handler = handler
        self._settings = settings
        self._start = start
        self._stop = stop
        self._error_body = error_body
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._serve(scope, receive, send)
            case "lifespan":
                await self._live(receive, send)
            case kind:
                raise ValueError(f"connections of kind {kind!r} are not served")

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"].removeprefix("lifespan.")
            step = self._start if kind == "startup" else self._stop
            try:
                if step is not None:
                    await step()
            except Exception as error:
                await send({"type": f"lifespan.{kind}.failed", "message": str(error)})
                raise
            await send({"type": f"lifespan.{kind}.complete"})
            if kind == "shutdown":
                return

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = join_headers(scope["headers"])
        body: bytes | None = b""
        if headers is not None:
            try:
                body = await self._read(headers, receive)
            except ConnectionAbortedError:
                return
        exchange = AsgiExchange(scope, headers or {}, body or b"", asyncio.get_running_loop().time())
        if headers is None:
            self._answer_error(exchange, 400, "a header that may be given once is given twice")
            await exchange.forward(send, self._settings.write_stall_s)
        elif body is None:
            self._answer_error(exchange, 413, f"the body is larger than {self._settings.max_body_bytes} bytes")
            await exchange.forward(send, self._settings.write_stall_s)
        else:
            await self._handle(exchange, receive, send)

    async def _read(self, headers: Mapping[str, str], receive: Receive) -> bytes | None:
        """The whole body; None if it is too large. ConnectionAbortedError if the caller hangs up before its end."""
        limit = self._settings.max_body_bytes
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            return None
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionAbortedError
            body += message.get("body", b"")
            if len(body) > limit:
                return None
            if not message.get("more_body", False):
                return bytes(body)

    async def _handle(self, exchange: AsgiExchange, receive: Receive, send: Send) -> None:
        """Runs the handler while its answer is handed over and its caller watched; whichever ends first ends the rest.

        An answer that is whole does not end its handler, which may have something left to do.
        """
        handling = asyncio.create_task(self._run(exchange))
        sending = asyncio.create_task(exchange.forward(send, self._settings.write_stall_s))
        watching = asyncio.create_task(_hang_up(receive))
        try:
            await asyncio.wait((sending, watching), return_when=asyncio.FIRST_COMPLETED)
            if not (sending.done() and sending.exception() is None):
                exchange.leave()
                handling.cancel()
            await asyncio.wait((handling,))
            if sending.done():
                sending.result()
        finally:
            for task in (handling, sending, watching):
                task.cancel()
            await asyncio.gather(handling, sending, watching, return_exceptions=True)

    async def _run(self, exchange: AsgiExchange) -> None:
        try:
            await self._handler(exchange)
            if not exchange.done and not exchange.gone:
                raise RuntimeError("the handler ended without an answer")
        except asyncio.CancelledError:
            exchange.abort()
            raise
        except Exception as error:  # noqa: BLE001  the last line of defence: one call's bug is one call's 500
            if exchange.gone and isinstance(error, ConnectionAbortedError):
                return
            if self._on_error is not None:
                self._on_error(error)
            if exchange.started:
                exchange.abort()
            else:
                self._answer_error(exchange, 500, "internal error")

    def _answer_error(self, exchange: AsgiExchange, status: int, message: str) -> None:
        headers, body = self._error_body(status, message, exchange.path)
        exchange.respond(status, headers, body)


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def join_headers(pairs: Sequence[tuple[bytes, bytes]]) -> dict[str, str] | None:
    """A scope's headers as `Exchange` has them; None if host or authorization is given more than once."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key not in headers:
            headers[key] = text
        elif key in ("host", "authorization"):
            return None
        else:
            headers[key] += ", " + text
    return headers


def encode_headers(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """An answer's headers as ASGI has them. ValueError for a line break in any of them."""
    response_headers(headers)
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers if name.lower() not in _OWN
    ]
