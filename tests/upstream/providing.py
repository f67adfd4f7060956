"""A provider that does exactly what a test says, byte by byte."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from waypost.upstream.dial import Dialer
from waypost.upstream.pool import Incoming, Origin, Outgoing, Peer, Pool
from waypost.wire.http1 import request_prefix

WAIT_S = 10.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Link:
    """The provider's end of one connection. `number` counts connections from 0."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer

    async def request(self) -> tuple[bytes, bytes]:
        """The next request: head and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        sizes = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")]
        return head, await self.reader.readexactly(sizes[0]) if sizes else b""

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def hung_up(self) -> None:
        """Returns when the other side has closed."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass


Script = Callable[[Link], Awaitable[None]]


class Providing:
    def __init__(self, port: int, scheme: str = "http") -> None:
        self.links: list[Link] = []
        self.failures: list[BaseException] = []
        self.peer = Peer(Origin(scheme, "127.0.0.1", port))
        self.prefix = request_prefix("POST", "/v1/x", f"127.0.0.1:{port}", [("authorization", "Bearer secret")])

    def call(self, body: bytes = b"{}", **changes: Any) -> Outgoing:
        now = asyncio.get_running_loop().time()
        values: dict[str, Any] = {
            "peer": self.peer,
            "prefix": self.prefix,
            "body": body,
            "connect_s": 5.0,
            "first_byte_s": 10.0,
            "stall_s": 20.0,
            "deadline": now + 600.0,
        }
        return Outgoing(**(values | changes))


@asynccontextmanager
async def providing(script: Script, *, ssl_context: Any = None) -> AsyncIterator[Providing]:
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        link = Link(len(running.links), reader, writer)
        running.links.append(link)
        try:
            await script(link)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        except BaseException as error:  # noqa: BLE001  told when the provider stops
            running.failures.append(error)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=ssl_context)
    running = Providing(server.sockets[0].getsockname()[1], "https" if ssl_context else "http")
    try:
        yield running
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not running.failures, running.failures


@asynccontextmanager
async def pooling(dialer: Dialer | None = None, **options: Any) -> AsyncIterator[Pool]:
    pool = Pool(dialer or Dialer(), **options)
    try:
        yield pool
    finally:
        pool.close()


async def whole(answer: Incoming, limit: int = 1 << 20) -> tuple[int, bytes]:
    """Reads an answer to its end and gives its connection back."""
    try:
        return answer.status, await answer.read(limit)
    finally:
        answer.close()


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop run until `condition` holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  what is waited for is the loop itself
            await asyncio.sleep(0)
