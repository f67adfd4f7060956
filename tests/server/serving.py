"""A server on a free port, and a caller that speaks bytes: for tests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from waypost.config.model import Address, Server
from waypost.server.http import HttpServer
from waypost.wire.exchange import Handler

WAIT_S = 10.0  # a test that waits longer than this for an event has failed


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[str, str]]:
        """The next head: status and headers."""
        text = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), WAIT_S)
        first, *lines = text.decode("latin-1").split("\r\n")[:-2]
        return int(first.split(" ")[1]), dict(line.lower().split(": ", 1) for line in lines)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next whole answer, of known length or in chunks."""
        status, headers = await self.head()
        if "content-length" in headers:
            return status, headers, await self.exactly(int(headers["content-length"]))
        body = b""
        while size := int((await self.line()).rstrip(), 16):
            body += await self.exactly(size)
            await self.line()
        await self.line()
        return status, headers, body

    async def line(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n"), WAIT_S)

    async def exactly(self, size: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(size), WAIT_S)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        return await asyncio.wait_for(self.reader.read(), WAIT_S)

    async def close(self) -> None:
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)


class Serving:
    def __init__(self, server: HttpServer, address: Address) -> None:
        self.server = server
        self.address = address
        self._callers: list[Caller] = []

    async def caller(self, **options: Any) -> Caller:
        reader, writer = await asyncio.open_connection(self.address.host, self.address.port, **options)
        caller = Caller(reader, writer)
        self._callers.append(caller)
        return caller

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        caller = await self.caller()
        caller.send(data)
        return await caller.answer()

    async def close(self) -> None:
        for caller in self._callers:
            await caller.close()


@asynccontextmanager
async def serving(
    handler: Handler, settings: Server | None = None, *, ssl_context: Any = None, **options: Any
) -> AsyncIterator[Serving]:
    server = HttpServer(handler, settings or Server(), **options)
    running = Serving(server, await server.start(Address("127.0.0.1", 0), ssl_context))
    try:
        yield running
    finally:
        await running.close()
        await server.close()


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop run until `condition` holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  what is waited for is the loop itself
            await asyncio.sleep(0)
