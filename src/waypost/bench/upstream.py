"""An upstream that answers at once with fixed bytes: for machines without nginx. Runs as a process of its own.

Prints its port on a line, then serves until it is ended. Knows as much of HTTP/1.1 as a load of good requests needs.
"""

import asyncio
from typing import Any

import httptools
import uvloop

from waypost.bench.workload import ANSWERS


class Connection(asyncio.Protocol):
    """Answers by path alone; nothing is ever waited for."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._path = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_begin(self) -> None:
        self._path = b""

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_message_complete(self) -> None:
        self._transport.write(self._answers.get(self._path, NOT_FOUND))


NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


def whole_answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def serve() -> None:
    answers = {path.encode(): whole_answer(body.encode()) for path, body in ANSWERS.items()}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(answers), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  that is how it tells its port
    await server.serve_forever()


def main() -> int:
    uvloop.run(serve())
    return 0
