"""A known number of calls over so many connections, each answer read to its end. Runs as a process of its own.

`main` takes one JSON argument, a `Task`, and prints one JSON object, a `Tally`.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httptools
import msgspec
import uvloop
from msgspec import Struct


class Task(Struct, frozen=True):
    """What to ask, `calls` times over each connection. `body` is a file.

    An answer is good if its status is 200 and `mark` is in it `least` times or more.
    """

    url: str
    body: str
    key: str
    connections: int
    calls: int
    mark: str
    least: int
    most_s: float


class Tally(Struct, frozen=True):
    good: int
    failed: int


class Asker(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, task: Task) -> None:
        self._request = request
        self._task = task
        self._mark = task.mark.encode()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._body: list[bytes] = []
        self.good = 0
        self.asked = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body.clear()
        if self._parser.get_status_code() == 200 and body.count(self._mark) >= self._task.least:
            self.good += 1
        if self.asked < self._task.calls and self._parser.should_keep_alive():
            self._ask()
        else:
            self._transport.close()

    def _ask(self) -> None:
        self.asked += 1
        self._transport.write(self._request)


async def ask(task: Task, body: bytes) -> Tally:
    """OSError if it can't connect at all."""
    parts = urlsplit(task.url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    head = (
        f"POST {target} HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {task.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    askers = []
    for _ in range(task.connections):
        _, asker = await loop.create_connection(
            lambda: Asker(head.encode() + body, task), parts.hostname or "127.0.0.1", parts.port or 80
        )
        askers.append(asker)
    await asyncio.wait([asker.over for asker in askers], timeout=task.most_s)
    good = sum(asker.good for asker in askers)
    return Tally(good, task.calls * task.connections - good)


def main() -> int:
    task = msgspec.json.decode(sys.argv[1], type=Task)
    print(msgspec.json.encode(uvloop.run(ask(task, Path(task.body).read_bytes()))).decode())  # noqa: T201  that is how it tells
    return 0
