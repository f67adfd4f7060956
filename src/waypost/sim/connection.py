"""One connection of the simulator: requests in by httptools, steps out, one answer after the other.

Knows sockets and how to misuse them. Refuses to know protocols: what to answer is asked of the `Answerer`.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

import httptools
from msgspec import Struct

from waypost.sim.perform import Ending, Step

Sleep = Callable[[float], Awaitable[object]]

MAX_BODY = 64 * 1024 * 1024  # bytes
MAX_HEAD = 256 * 1024  # bytes
MAX_PIPELINED = 64  # requests that wait for their turn; beyond it the connection is dropped
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: closing sends RST


class Received(Struct, frozen=True):
    """A request as it came. Header names are lower-case; a header that came twice is there twice."""

    method: str
    path: str  # with its query
    headers: tuple[tuple[str, str], ...]
    body: bytes
    keep_alive: bool = True

    def header(self, name: str) -> str | None:
        """The first header of that (lower-case) name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class Answerer(Protocol):
    """What a connection needs of the simulator."""

    sleep: Sleep

    def answer(self, received: Received) -> list[Step]: ...

    def connected(self, connection: "Connection") -> bool:
        """False refuses: there are too many."""
        ...

    def disconnected(self, connection: "Connection", unanswered: bool) -> None: ...

    def answered(self) -> None: ...


class Connection(asyncio.Protocol):
    """Answers in the order of the requests. Whatever it is doing ends when the peer leaves."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Received] = deque()
        self._playing: asyncio.Task[None] | None = None
        self._busy = False
        self._drained: asyncio.Future[None] | None = None
        self._paused = False
        self._path = b""
        self._headers: list[tuple[str, str]] = []
        self._head_size = 0
        self._body: list[bytes] = []
        self._body_size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        if not self._answerer.connected(self):
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        unanswered = self._busy or bool(self._waiting)
        self._transport = None
        self._waiting.clear()
        if self._playing is not None:
            self._playing.cancel()
        self._answerer.disconnected(self, unanswered)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        except httptools.HttpParserError:
            self._refuse(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def drop(self) -> None:
        """Cuts the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def on_message_begin(self) -> None:
        self._path = b""
        self._headers = []
        self._body = []
        self._head_size = self._body_size = 0

    def on_url(self, url: bytes) -> None:
        self._path += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))
        self._count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        if self._transport is not None and ("expect", "100-continue") in self._headers and not self._busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > MAX_BODY:
            self._refuse(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        received = Received(
            self._parser.get_method().decode("latin-1"),
            self._path.decode("latin-1"),
            tuple(self._headers),
            b"".join(self._body),
            self._parser.should_keep_alive(),
        )
        self._body = []
        self._waiting.append(received)
        if len(self._waiting) > MAX_PIPELINED:
            self.drop()
        elif not self._busy:
            self._answer_next()

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > MAX_HEAD:
            self._refuse(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )

    def _refuse(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if not self._busy:
                self._transport.write(answer)
            self._transport.close()

    def _answer_next(self) -> None:
        """Plays all that can be written without waiting; a task takes over where there is something to wait for."""
        while self._waiting and self._transport is not None and not self._transport.is_closing():
            received = self._waiting.popleft()
            steps = self._answerer.answer(received)
            if len(steps) == 1 and isinstance(steps[0], bytes) and not self._paused:
                self._transport.write(steps[0])
                self._answerer.answered()
                if not received.keep_alive:
                    self._transport.close()
                continue
            self._busy = True
            self._playing = asyncio.get_running_loop().create_task(self._play(steps, received.keep_alive))
            return

    async def _play(self, steps: list[Step], keep_alive: bool) -> None:
        transport = self._transport
        if transport is None:
            return
        for step in steps:
            if isinstance(step, bytes):
                await self._drain(transport)
                transport.write(step)
            elif isinstance(step, float):
                await self._answerer.sleep(step)
            else:
                await self._end(transport, step)
                return
        self._busy = False
        self._answerer.answered()
        if not keep_alive:
            transport.close()
        self._answer_next()

    async def _end(self, transport: asyncio.Transport, ending: Ending) -> None:
        match ending:
            case Ending.CLOSE:
                self._busy = False
                self._answerer.answered()
                transport.close()
            case Ending.RESET:
                await self._flush(transport)
                _reset_on_close(transport)
                self._busy = False
                self._answerer.answered()
                transport.abort()
            case Ending.SILENCE:
                await asyncio.get_running_loop().create_future()  # cancelled when the peer leaves

    async def _flush(self, transport: asyncio.Transport) -> None:
        """Waits until the kernel has every byte: aborting throws away what it has not."""
        transport.set_write_buffer_limits(high=0)
        if transport.get_write_buffer_size():
            self._paused = True
        await self._drain(transport)

    async def _drain(self, transport: asyncio.Transport) -> None:
        if self._paused:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained


def _reset_on_close(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
