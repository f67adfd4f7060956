"""The server over real sockets: answers, order, limits, hang-ups, timeouts, draining."""

import asyncio
import socket
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from server.serving import Caller, serving, until
from waypost.config.model import Address, Server
from waypost.server.http import HttpServer, date_line
from waypost.server.http_connection import Connection
from waypost.wire.exchange import Exchange

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OLD_GET = b"GET / HTTP/1.0\r\n\r\n"


def post(body: bytes, path: str = "/", more: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (path.encode(), more, len(body), body)


async def echo(exchange: Exchange) -> None:
    exchange.respond(200, [("x-path", exchange.path)], exchange.body)


async def stream(exchange: Exchange) -> None:
    exchange.start(200, [("content-type", "text/event-stream")])
    for piece in (b"one", b"two", b"", b"three"):
        exchange.send(piece)
        await exchange.drain()
    exchange.finish()


async def test_a_connection_serves_call_after_call() -> None:
    async with serving(echo) as running:
        caller = await running.caller()
        for body in (b"", b"hello", b"x" * 1_000_000):
            caller.send(post(body, "/p"))
            status, headers, answer = await caller.answer()
            assert (status, headers["x-path"], answer) == (200, "/p", body)
            assert "connection" not in headers
            assert headers["date"].endswith("gmt")


async def test_a_whole_answer_is_one_write() -> None:
    async with serving(echo) as running:
        caller = await running.caller()
        caller.send(post(b"hi"))
        first = await asyncio.wait_for(caller.reader.read(65536), 10)
        assert first.endswith(b"\r\n\r\nhi")


async def test_no_delay_is_asked_of_the_transport() -> None:
    seen: list[int] = []

    async def look(exchange: Exchange) -> None:
        raw = exchange.connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]
        seen.append(raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        exchange.respond(200, [], b"")

    async with serving(look) as running:
        await running.ask(GET)
    assert seen[0] != 0


async def test_a_stream_comes_in_chunks_and_the_connection_stays() -> None:
    async with serving(stream) as running:
        caller = await running.caller()
        for _ in range(2):
            caller.send(GET)
            status, headers, body = await caller.answer()
            assert (status, headers["transfer-encoding"], body) == (200, "chunked", b"onetwothree")


async def test_the_head_of_a_stream_goes_out_with_its_first_piece() -> None:
    go = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        exchange.start(200, [])
        assert not exchange.started
        await go.wait()
        exchange.send(b"now")
        assert exchange.started
        exchange.finish()

    async with serving(slow) as running:
        caller = await running.caller()
        caller.send(GET)
        await until(lambda: running.server.active == 1)
        go.set()
        first = await asyncio.wait_for(caller.reader.read(65536), 10)
        assert b"\r\n\r\n3\r\nnow\r\n" in first


async def test_until_the_first_piece_another_answer_may_still_be_given() -> None:
    async def change(exchange: Exchange) -> None:
        exchange.start(200, [])
        exchange.respond(502, [], b"no")

    async with serving(change) as running:
        assert (await running.ask(GET))[::2] == (502, b"no")


async def test_a_stream_to_http_1_0_ends_with_the_connection() -> None:
    async with serving(stream) as running:
        caller = await running.caller()
        caller.send(OLD_GET)
        status, headers = await caller.head()
        assert (status, headers["connection"]) == (200, "close")
        assert "transfer-encoding" not in headers
        assert await caller.rest() == b"onetwothree"


async def test_a_stream_to_http_1_0_that_is_cut_does_not_look_whole() -> None:
    async def cut(exchange: Exchange) -> None:
        exchange.start(200, [])
        exchange.send(b"half")
        await sent.wait()
        exchange.abort()

    sent = asyncio.Event()
    async with serving(cut) as running:
        caller = await running.caller()
        caller.send(OLD_GET)
        await caller.head()
        assert await caller.exactly(4) == b"half"
        sent.set()
        with pytest.raises(ConnectionResetError):
            await caller.rest()


async def test_a_stream_that_is_cut_has_no_last_chunk() -> None:
    async def cut(exchange: Exchange) -> None:
        exchange.start(200, [])
        exchange.send(b"half")
        await sent.wait()
        exchange.abort()

    sent = asyncio.Event()
    async with serving(cut) as running:
        caller = await running.caller()
        caller.send(GET)
        await caller.head()
        assert await caller.exactly(9) == b"4\r\nhalf\r\n"
        sent.set()
        assert await caller.rest() == b""


@pytest.mark.parametrize(("status", "method"), [(204, b"GET"), (304, b"GET"), (200, b"HEAD")])
async def test_answers_without_a_body(status: int, method: bytes) -> None:
    async def answer(exchange: Exchange) -> None:
        if exchange.path == "/stream":
            exchange.start(status, [])
            exchange.send(b"body")
            exchange.finish()
        else:
            exchange.respond(status, [], b"body" if status == 200 else b"")

    async with serving(answer) as running:
        caller = await running.caller()
        for path in (b"/stream", b"/", b"/stream"):
            caller.send(method + b" " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            told, headers = await caller.head()
            assert told == status
            assert "transfer-encoding" not in headers
            if status == 204:
                assert "content-length" not in headers


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (GET, True),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", False),
        (OLD_GET, False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
    ],
)
async def test_who_keeps_the_connection(sent: bytes, kept: bool) -> None:
    async with serving(echo) as running:
        caller = await running.caller()
        caller.send(sent)
        _, headers, _ = await caller.answer()
        assert headers.get("connection") == ("close" if not kept else "keep-alive" if sent.find(b"1.0") > 0 else None)
        if kept:
            caller.send(GET)
            assert (await caller.answer())[0] == 200
        else:
            assert await caller.rest() == b""


async def test_pipelined_calls_are_answered_in_order() -> None:
    running_now = 0

    async def handler(exchange: Exchange) -> None:
        nonlocal running_now
        running_now += 1
        assert running_now == 1
        await asyncio.sleep(0)
        running_now -= 1
        exchange.respond(200, [], exchange.body)

    async with serving(handler) as running:
        caller = await running.caller()
        caller.send(b"".join(post(b"%d" % number) for number in range(200)))
        for number in range(200):
            assert (await caller.answer())[2] == b"%d" % number


async def test_a_bad_request_behind_good_ones_is_told_after_their_answers() -> None:
    async with serving(echo) as running:
        caller = await running.caller()
        caller.send(post(b"1") + post(b"2") + b"GET / HTTP/1.1\r\n\r\n")
        assert (await caller.answer())[2] == b"1"
        assert (await caller.answer())[2] == b"2"
        status, headers, _ = await caller.answer()
        assert (status, headers["connection"]) == (400, "close")
        assert await caller.rest() == b""


async def test_errors_are_dressed_by_the_one_who_knows_how() -> None:
    def dress(status: int, message: str, path: str) -> tuple[list[tuple[str, str]], bytes]:
        return [("x-waypost-error", "too_large")], f"{status} {path}".encode()

    async with serving(echo, Server(max_body_bytes=10), error_body=dress) as running:
        status, headers, body = await running.ask(b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n")
        assert (status, headers["x-waypost-error"], body) == (413, "too_large", b"413 /v1/x")


async def test_a_caller_still_sending_a_large_body_can_read_its_refusal() -> None:
    async with serving(echo, Server(max_body_bytes=1000)) as running:
        caller = await running.caller()
        caller.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n")
        caller.send(b"x" * 8_000_000)
        await asyncio.wait_for(caller.writer.drain(), 10)
        assert (await caller.answer())[0] == 413


async def test_100_continue() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    async with serving(echo, Server(max_body_bytes=10)) as running:
        caller = await running.caller()
        caller.send(head % 2)
        assert (await caller.head())[0] == 100
        caller.send(b"hi")
        assert (await caller.answer())[::2] == (200, b"hi")
        caller.send(GET + head % 2)  # the answer to the first comes first
        assert (await caller.answer())[0] == 200
        assert (await caller.head())[0] == 100
        caller.send(b"ho")
        assert (await caller.answer())[::2] == (200, b"ho")
        caller.send(head % 11)
        assert (await caller.answer())[0] == 413


async def test_a_handler_that_raises_is_a_500_and_the_connection_stays() -> None:
    told: list[BaseException] = []

    async def broken(exchange: Exchange) -> None:
        if exchange.path == "/silent":
            return
        raise KeyError("secret")

    async with serving(broken, on_error=told.append) as running:
        caller = await running.caller()
        for path in ("/", "/silent"):
            caller.send(post(b"", path))
            status, _, body = await caller.answer()
            assert status == 500
            assert b"secret" not in body
    assert [type(error) for error in told] == [KeyError, RuntimeError]


async def test_a_handler_that_raises_in_the_middle_cuts_the_connection() -> None:
    async def broken(exchange: Exchange) -> None:
        exchange.start(200, [])
        exchange.send(b"half")
        await sent.wait()
        raise ValueError

    sent = asyncio.Event()
    async with serving(broken) as running:
        caller = await running.caller()
        caller.send(GET)
        await caller.head()
        sent.set()
        assert not (await caller.rest()).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("header", [("x", "a\r\nb: c"), ("x", "a\nb"), ("x", "a\rb"), ("x\r\ny", "z"), ("x", "\u20ac")])
async def test_no_header_can_end_its_line(header: tuple[str, str]) -> None:
    async def splits(exchange: Exchange) -> None:
        with pytest.raises(ValueError):
            exchange.start(200, [header])
        exchange.respond(200, [header], b"")

    async with serving(splits) as running:
        assert (await running.ask(GET))[0] == 500


async def test_one_request_has_one_answer() -> None:
    async def twice(exchange: Exchange) -> None:
        with pytest.raises(RuntimeError):
            exchange.send(b"too early")
        with pytest.raises(RuntimeError):
            exchange.finish()
        exchange.respond(200, [], b"one")
        with pytest.raises(RuntimeError):
            exchange.respond(200, [], b"two")
        with pytest.raises(RuntimeError):
            exchange.start(200, [])
        exchange.send(b"two")
        exchange.finish()
        exchange.abort()

    async with serving(twice) as running:
        caller = await running.caller()
        for _ in range(2):
            caller.send(GET)
            assert (await caller.answer())[::2] == (200, b"one")


async def test_a_caller_that_hangs_up_cancels_its_call() -> None:
    ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def waits(exchange: Exchange) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set_result(exchange.gone)
            exchange.send(b"into the void")
            exchange.start(200, [])
            exchange.respond(200, [], b"into the void")

    async with serving(waits) as running:
        caller = await running.caller()
        caller.send(GET)
        await until(lambda: running.server.active == 1)
        await caller.close()
        assert await asyncio.wait_for(ended, 10)
        await until(lambda: running.server.active == 0 and running.server.connections == 0)


async def test_hanging_up_after_the_answer_cancels_nothing() -> None:
    recorded = asyncio.Event()
    go = asyncio.Event()

    async def records(exchange: Exchange) -> None:
        exchange.respond(200, [], b"")
        await go.wait()
        recorded.set()

    async with serving(records) as running:
        caller = await running.caller()
        caller.send(GET)
        await caller.answer()
        await caller.close()
        await until(lambda: running.server.connections == 0)
        go.set()
        await asyncio.wait_for(recorded.wait(), 10)


async def test_a_slow_reader_holds_its_sender_back() -> None:
    waiting = asyncio.Event()
    sent = 0

    async def pours(exchange: Exchange) -> None:
        nonlocal sent
        exchange.start(200, [])
        for _ in range(400):
            exchange.send(b"x" * 50_000)
            sent += 50_000
            drained = asyncio.ensure_future(exchange.drain())
            await asyncio.sleep(0)
            if not drained.done():
                waiting.set()
            await drained
        exchange.finish()

    async with serving(pours) as running:
        caller = await running.caller(limit=1000)
        caller.send(GET)
        await asyncio.wait_for(waiting.wait(), 10)
        await until(lambda: True)
        assert sent < 20_000_000  # it did not run ahead of what socket buffers take
        _, _, body = await caller.answer()
        assert len(body) == 20_000_000


async def test_a_reader_that_stops_is_cut() -> None:
    failed: asyncio.Future[type[BaseException]] = asyncio.get_running_loop().create_future()

    async def pours(exchange: Exchange) -> None:
        exchange.start(200, [])
        try:
            while True:
                exchange.send(b"x" * 50_000)
                await exchange.drain()
        except BaseException as error:
            failed.set_result(type(error))
            raise

    async with serving(pours, Server(write_stall_s=100)) as running:
        caller = await running.caller(limit=1000)
        caller.send(GET)
        (connection,) = await connections(running.server)
        await until(lambda: connection.write_paused)
        running.server.sweep(asyncio.get_running_loop().time() + 99)
        assert not failed.done()
        running.server.sweep(asyncio.get_running_loop().time() + 101)
        assert await asyncio.wait_for(failed, 10) in (ConnectionAbortedError, asyncio.CancelledError)
        await until(lambda: running.server.connections == 0)


async def connections(server: HttpServer) -> set[Connection]:
    await until(lambda: server.connections > 0)
    return server._connections


@pytest.mark.parametrize(
    ("sent", "after_s", "status"),
    [
        (b"", 11, None),
        (b"GET / HT", 11, 408),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nx", 21, 408),
        (GET, 31, None),
        (GET + b"GET /", 11, 408),
    ],
)
async def test_what_is_waited_for_in_vain(sent: bytes, after_s: float, status: int | None) -> None:
    settings = Server(header_timeout_s=10, body_timeout_s=20, keep_alive_s=30)
    async with serving(echo, settings) as running:
        now = asyncio.get_running_loop().time()
        caller = await running.caller()
        await until(lambda: running.server.connections == 1)
        caller.send(sent)
        if sent.startswith(GET):
            assert (await caller.answer())[0] == 200
        (connection,) = running.server._connections
        begins = sent.removeprefix(GET)
        await until(lambda: connection._parser.begun or not begins)
        running.server.sweep(now + after_s - 2)
        assert connection._lingering is False
        running.server.sweep(now + after_s)
        if status is not None:
            told, headers, _ = await caller.answer()
            assert (told, headers["connection"]) == (status, "close")
        assert await caller.rest() == b""


async def test_a_server_that_stood_still_reads_before_it_blames() -> None:
    def stands_still(exchange: Exchange) -> Coroutine[Any, Any, None]:
        if exchange.path == "/still":
            slow.send(b"yz")
            time.sleep(0.9)  # the loop's own time, longer than the timeout: not a wait for anything
        return echo(exchange)

    async with serving(stands_still, Server(body_timeout_s=0.3)) as running:
        slow, other = await running.caller(), await running.caller()
        slow.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nx")
        await until(lambda: any(connection._parser.begun for connection in running.server._connections))
        other.send(GET.replace(b"/", b"/still", 1))
        assert (await slow.answer())[0] == 200


async def test_a_refused_caller_that_stays_is_cut_in_the_end() -> None:
    async with serving(echo) as running:
        caller = await running.caller()
        caller.send(b"nonsense\r\n\r\n")
        assert (await caller.answer())[0] == 400
        running.server.sweep(asyncio.get_running_loop().time() + 6)
        await until(lambda: running.server.connections == 0)


async def test_one_connection_too_many_is_told() -> None:
    async with serving(echo, Server(max_connections=1)) as running:
        first = await running.caller()
        first.send(GET)
        assert (await first.answer())[0] == 200
        second = await running.caller()
        status, headers, _ = await second.answer()
        assert (status, headers["connection"]) == (503, "close")
        first.send(GET)
        assert (await first.answer())[0] == 200


async def test_draining_lets_calls_end_and_takes_no_new_ones() -> None:
    go = asyncio.Event()

    async def waits(exchange: Exchange) -> None:
        if exchange.path == "/wait":
            await go.wait()
        exchange.respond(200, [], b"done")

    async with serving(waits) as running:
        busy, idle = await running.caller(), await running.caller()
        idle.send(GET)
        await idle.answer()
        busy.send(post(b"", "/wait"))
        await until(lambda: running.server.active == 1)
        draining = asyncio.ensure_future(running.server.drain(20))
        await until(lambda: running.server.draining)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(running.address.host, running.address.port)
        idle.send(GET)
        status, headers, _ = await idle.answer()
        assert (status, headers["connection"]) == (503, "close")
        assert not draining.done()
        go.set()
        status, headers, body = await busy.answer()
        assert (status, headers["connection"], body) == (200, "close", b"done")
        assert await asyncio.wait_for(draining, 10) == 0


async def test_draining_ends_with_its_grace() -> None:
    async def waits(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    async with serving(waits) as running:
        caller = await running.caller()
        caller.send(GET)
        await until(lambda: running.server.active == 1)
        assert await running.server.drain(0) == 1
        assert await caller.rest() == b""
        assert running.server.active == 0


async def test_many_idle_connections_have_no_task() -> None:
    async with serving(echo) as running:
        before = len(asyncio.all_tasks())
        callers: list[Caller] = [await running.caller() for _ in range(50)]
        await until(lambda: running.server.connections == 50)
        assert len(asyncio.all_tasks()) == before
        callers[49].send(GET)
        assert (await callers[49].answer())[0] == 200


async def test_an_address_in_use_is_told() -> None:
    async with serving(echo) as running:
        other = HttpServer(echo, Server())
        with pytest.raises(OSError):
            await other.start(Address("127.0.0.1", running.address.port))
        await other.close()


def test_dates_do_not_depend_on_the_locale() -> None:
    assert date_line(784111777.9) == "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
