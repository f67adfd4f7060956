"""An upstream that speaks all dialects, each with one answer: at once when whole, chunk by chunk when streamed.

Runs as a process of its own, whose argument says of how many chunks a stream is. Prints its port on a line, then
serves until it is ended. The path's first part says what is wanted (`whole` or `stream`), its second in which dialect.
Chunks come one at a time, as a model's tokens do: what a chunk costs is measured, not what a heap of them does.
"""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import httptools
import uvloop
from msgspec import Struct

from waypost.bench import conversations
from waypost.dialects.registry import DIALECTS

DELTAS = 2000  # of one stream, where nobody says otherwise
PACE_S = 0.001  # between the chunks of one stream: the least that the loop can wait
WHOLE, STREAM = "whole", "stream"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
_END = b"0\r\n\r\n"


class Answer(Struct, frozen=True):
    """`first` goes out at once, each of `chunks` after a moment."""

    first: bytes
    chunks: tuple[bytes, ...] = ()


class Connection(asyncio.Protocol):
    def __init__(self, answers: Mapping[tuple[str, ...], Answer]) -> None:
        self._answers = answers
        self._loop = asyncio.get_running_loop()
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
        answer = self._answers.get(tuple(self._path.decode("latin-1").split("/")[1:3]))
        self._transport.write(NOT_FOUND if answer is None else answer.first)
        if answer is not None and answer.chunks:
            self._send(answer.chunks, 0)

    def _send(self, chunks: tuple[bytes, ...], place: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(chunks[place])
        if place + 1 < len(chunks):
            self._loop.call_later(PACE_S, self._send, chunks, place + 1)


def answers(deltas: int) -> dict[tuple[str, ...], Answer]:
    """By the first parts of the path."""
    found: dict[tuple[str, ...], Answer] = {}
    for dialect in DIALECTS.values():
        body = conversations.reply_bytes(dialect, conversations.plain_reply())
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        found[WHOLE, dialect.name] = Answer(head % len(body) + body)
        kind = dialect.stream_type.encode()
        chunks = [_chunked(chunk) for chunk in conversations.stream_chunks(dialect, deltas)]
        found[STREAM, dialect.name] = Answer(
            b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % kind, (*chunks, _END)
        )
    return found


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(deltas: int) -> None:
    known = answers(deltas)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(known), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  that is how it tells its port
    await server.serve_forever()


def main() -> int:
    uvloop.run(serve(int(sys.argv[1])))
    return 0
