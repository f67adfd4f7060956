"""A load generator: so many connections, each asking again as soon as it is answered. Runs as a process of its own.

`main` takes one JSON argument, an `Order`, and prints one JSON object, a `Load`. Used where wrk is not installed.
"""

import asyncio
import sys
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import httptools
import msgspec
import uvloop
from msgspec import Struct

GRACE_S = 5.0  # for answers under way when the time is up


class Order(Struct, frozen=True):
    """What to ask, for how long, over how many connections. `key` becomes a bearer token."""

    url: str
    body: str
    key: str
    connections: int
    seconds: float


class Load(Struct, frozen=True):
    """What came of it. `seconds` is how long it really took; latencies are None without a good answer."""

    good: int
    failed: int
    seconds: float
    p50_us: float | None
    p99_us: float | None


class Asker(asyncio.Protocol):
    """One connection. Notes the latency of each good answer (status 200) and counts everything else as failed."""

    def __init__(self, request: bytes, until: float, latencies: list[float]) -> None:
        self._request = request
        self._until = until
        self._latencies = latencies
        self._parser = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._asked = 0.0
        self._waiting = False
        self.failed = 0
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
        if self._waiting:
            self.failed += 1
        if not self.over.done():
            self.over.set_result(None)

    def on_message_complete(self) -> None:
        now = perf_counter()
        self._waiting = False
        if self._parser.get_status_code() == 200:
            self._latencies.append(now - self._asked)
        else:
            self.failed += 1
        if now < self._until and self._parser.should_keep_alive():
            self._ask()
        else:
            self._transport.close()

    def _ask(self) -> None:
        self._waiting = True
        self._asked = perf_counter()
        self._transport.write(self._request)


async def load(order: Order) -> Load:
    """OSError if it can't connect at all."""
    parts = urlsplit(order.url)
    body = order.body.encode()
    head = (
        f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {order.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    began = perf_counter()
    latencies: list[float] = []
    askers = []
    for _ in range(order.connections):
        _, asker = await loop.create_connection(
            lambda: Asker(head.encode() + body, began + order.seconds, latencies),
            parts.hostname or "127.0.0.1",
            parts.port or 80,
        )
        askers.append(asker)
    _, late = await asyncio.wait([asker.over for asker in askers], timeout=order.seconds + GRACE_S)
    failed = sum(asker.failed for asker in askers) + len(late)
    return summarise(latencies, failed, perf_counter() - began)


def summarise(latencies: list[float], failed: int, seconds: float) -> Load:
    """`latencies` in seconds, in any order."""
    ordered = sorted(latencies)
    count = len(ordered)
    p50, p99 = (ordered[int(count * part)] * 1e6 for part in (0.5, 0.99)) if count else (None, None)
    return Load(count, failed, seconds, p50, p99)


def main() -> int:
    order = msgspec.json.decode(sys.argv[1], type=Order)
    result = uvloop.run(load(order))
    print(msgspec.json.encode(result).decode())  # noqa: T201  that is how it tells
    return 0
