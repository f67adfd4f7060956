"""The ASGI application, driven message by message as a server would."""

import asyncio
from typing import Any

import pytest

from waypost.config.model import Server
from waypost.server.asgi import AsgiApplication, Message
from waypost.wire.exchange import Exchange

SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "POST",
    "path": "/a b",
    "raw_path": b"/a%20b",
    "query_string": b"x=1",
    "headers": [(b"host", b"h"), (b"x-a", b"1"), (b"x-a", b"2")],
    "client": ("10.0.0.1", 1234),
}


class Outside:
    """The server's side: what it gives, what it got, and a gate that holds its `send` back."""

    def __init__(self, *messages: Message, scope: dict[str, Any] | None = None) -> None:
        self.scope = SCOPE | (scope or {})
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        for message in messages:
            self.incoming.put_nowait(message)
        self.got: list[Message] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def send(self, message: Message) -> None:
        await self.gate.wait()
        self.got.append(message)

    async def run(self, application: AsgiApplication) -> None:
        await asyncio.wait_for(application(self.scope, self.incoming.get, self.send), 10)

    @property
    def status(self) -> int:
        return int(self.got[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.got[1:])

    @property
    def whole(self) -> bool:
        return bool(self.got) and self.got[-1].get("more_body") is False


def piece(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


HANG_UP: Message = {"type": "http.disconnect"}


async def test_a_request_is_seen_whole() -> None:
    seen: list[Exchange] = []

    async def handler(exchange: Exchange) -> None:
        seen.append(exchange)
        exchange.respond(201, [("X-B", "3"), ("connection", "close")], b"done")

    outside = Outside(piece(b"he", True), piece(b"llo"))
    await outside.run(AsgiApplication(handler, Server()))
    (exchange,) = seen
    assert (exchange.method, exchange.path, exchange.query, exchange.peer) == ("POST", "/a%20b", "x=1", "10.0.0.1")
    assert exchange.headers == {"host": "h", "x-a": "1, 2"}
    assert exchange.body == b"hello"
    assert (outside.status, outside.body, outside.whole) == (201, b"done", True)
    assert outside.got[0]["headers"] == [(b"x-b", b"3"), (b"content-length", b"4")]


async def test_a_stream() -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.start(200, [])
        assert not exchange.started
        for data in (b"one", b"", b"two"):
            exchange.send(data)
            await exchange.drain()
        assert exchange.started
        exchange.finish()

    outside = Outside(piece(b""))
    await outside.run(AsgiApplication(handler, Server()))
    assert [message.get("body") for message in outside.got] == [None, b"one", b"two", b""]
    assert outside.whole


async def test_a_sender_is_held_back() -> None:
    held = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.start(200, [])
        for _ in range(5):
            exchange.send(b"x" * 50_000)
            draining = asyncio.ensure_future(exchange.drain())
            await asyncio.sleep(0)
            if not draining.done():
                held.set()
            await draining
        exchange.finish()

    outside = Outside(piece(b""))
    outside.gate.clear()
    running = asyncio.ensure_future(outside.run(AsgiApplication(handler, Server())))
    await asyncio.wait_for(held.wait(), 10)
    assert outside.got == []
    outside.gate.set()
    await running
    assert len(outside.body) == 250_000


async def test_a_caller_that_hangs_up_cancels_its_call() -> None:
    cancelled: list[bool] = []
    started = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(exchange.gone)
            exchange.send(b"into the void")
            exchange.respond(200, [], b"into the void")

    outside = Outside(piece(b""))
    running = asyncio.ensure_future(outside.run(AsgiApplication(handler, Server())))
    await started.wait()
    outside.incoming.put_nowait(HANG_UP)
    await running
    assert cancelled == [True]
    assert outside.got == []


async def test_a_caller_that_hangs_up_within_its_body_is_never_served() -> None:
    async def handler(exchange: Exchange) -> None:
        raise AssertionError

    outside = Outside(piece(b"he", True), HANG_UP)
    await outside.run(AsgiApplication(handler, Server()))
    assert outside.got == []


async def test_what_is_left_to_do_after_the_answer_is_done() -> None:
    recorded = False

    async def handler(exchange: Exchange) -> None:
        nonlocal recorded
        exchange.respond(200, [], b"")
        while not outside.whole:  # noqa: ASYNC110  what is waited for is the loop itself
            await asyncio.sleep(0)
        outside.incoming.put_nowait(HANG_UP)
        for _ in range(10):
            await asyncio.sleep(0)
        recorded = True

    outside = Outside(piece(b""))
    await outside.run(AsgiApplication(handler, Server()))
    assert recorded


@pytest.mark.parametrize(
    ("outside", "status"),
    [
        (Outside(piece(b"x" * 11)), 413),
        (Outside(piece(b"x" * 6, True), piece(b"x" * 6)), 413),
        (Outside(scope={"headers": [(b"content-length", b"11")]}), 413),
        (Outside(piece(b""), scope={"headers": [(b"authorization", b"a"), (b"authorization", b"b")]}), 400),
        (Outside(piece(b"x" * 10)), 200),
    ],
)
async def test_limits(outside: Outside, status: int) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.respond(200, [], exchange.body)

    await outside.run(AsgiApplication(handler, Server(max_body_bytes=10)))
    assert (outside.status, outside.whole) == (status, True)


async def test_errors_are_told_once() -> None:
    told: list[BaseException] = []

    async def handler(exchange: Exchange) -> None:
        if exchange.body == b"silent":
            return
        raise KeyError("secret")

    for body in (b"", b"silent"):
        outside = Outside(piece(body))
        await outside.run(AsgiApplication(handler, Server(), on_error=told.append))
        assert (outside.status, outside.whole) == (500, True)
        assert b"secret" not in outside.body
    assert [type(error) for error in told] == [KeyError, RuntimeError]


@pytest.mark.parametrize("raises", [False, True])
async def test_a_cut_answer_does_not_look_whole(raises: bool) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.start(200, [])
        exchange.send(b"half")
        if raises:
            raise ValueError
        exchange.abort()

    outside = Outside(piece(b""))
    with pytest.raises(ConnectionAbortedError):
        await outside.run(AsgiApplication(handler, Server()))
    assert outside.body == b"half"
    assert not outside.whole


async def test_an_answer_nobody_takes_ends() -> None:
    ended = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.start(200, [])
        try:
            while True:
                exchange.send(b"x" * 50_000)
                await exchange.drain()
        finally:
            ended.set()

    outside = Outside(piece(b""))
    outside.gate.clear()
    with pytest.raises(TimeoutError):
        await outside.run(AsgiApplication(handler, Server(write_stall_s=0.01)))
    assert ended.is_set()


async def test_headers_cannot_end_their_line() -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.respond(200, [("x", "a\r\nb: c")], b"")

    outside = Outside(piece(b""))
    await outside.run(AsgiApplication(handler, Server()))
    assert outside.status == 500


async def test_lifespan() -> None:
    steps: list[str] = []

    async def handler(exchange: Exchange) -> None:
        raise AssertionError

    async def start() -> None:
        steps.append("start")

    async def stop() -> None:
        steps.append("stop")

    outside = Outside({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}, scope={"type": "lifespan"})
    await outside.run(AsgiApplication(handler, Server(), start=start, stop=stop))
    assert steps == ["start", "stop"]
    assert [message["type"] for message in outside.got] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    async def broken() -> None:
        raise OSError("no port")

    outside = Outside({"type": "lifespan.startup"}, scope={"type": "lifespan"})
    with pytest.raises(OSError):
        await outside.run(AsgiApplication(handler, Server(), start=broken))
    assert outside.got == [{"type": "lifespan.startup.failed", "message": "no port"}]


async def test_other_protocols_are_not_served() -> None:
    async def handler(exchange: Exchange) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match="websocket"):
        await Outside(scope={"type": "websocket"}).run(AsgiApplication(handler, Server()))
