"""Serving: what is remembered, in which order it is answered, and that everything ends when the peer leaves."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

import pytest
import trustme
import uvloop

from waypost.sim import Received, Simulator
from waypost.sim.connection import Connection
from waypost.sim.simulator import MOST_REMEMBERED, MOST_REMEMBERED_BYTES

from .conftest import Ask, Heard, converse, encode_request

Connect = Callable[[], Awaitable[socket.socket]]
HELLO = {"model": "sim-echo", "messages": [{"role": "user", "content": "Hello"}]}


def chat(text: str, *, model: str = "sim-echo", close: bool = False) -> bytes:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return encode_request("/v1/chat/completions", body, {"connection": "close"} if close else {})


async def read_answers(connection: socket.socket, count: int) -> list[Heard]:
    loop = asyncio.get_running_loop()
    data, answers = b"", list[Heard]()
    while len(answers) < count:
        head, found, rest = data.partition(b"\r\n\r\n")
        length = Heard(data, "open").headers.get("content-length") if found else None
        if length is None or len(rest) < int(length):
            piece = await loop.sock_recv(connection, 1 << 16)
            assert piece
            data += piece
            continue
        answers.append(Heard(head + found + rest[: int(length)], "open"))
        data = rest[int(length) :]
    return answers


async def test_requests_are_remembered(simulator: Simulator, send: Ask) -> None:
    await send("/v1/chat/completions?beta=true", HELLO, {"X-Twice": "1", "x-twice": "2"})
    (request,) = simulator.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions?beta=true")
    assert request.header("x-twice") == "1"
    assert [value for name, value in request.headers if name == "x-twice"] == ["1", "2"]
    assert request.header("absent") is None
    assert b"sim-echo" in request.body


def test_memory_is_bounded() -> None:
    simulator = Simulator()
    for number in range(MOST_REMEMBERED + 5):
        simulator.answer(Received("POST", f"/{number}", (), b""))
    assert len(simulator.requests) == MOST_REMEMBERED
    assert simulator.requests[0].path == "/5"
    large = Received("POST", "/large", (), bytes(MOST_REMEMBERED_BYTES // 4))
    for _ in range(6):
        simulator.answer(large)
    assert len(simulator.requests) == 4


async def test_connections_are_kept_and_pipelines_answered_in_order(simulator: Simulator, connect: Connect) -> None:
    connection = await connect()
    loop = asyncio.get_running_loop()
    requests = [
        chat("one"),
        chat("two", model="sim-echo~slow_trickle(size=50)"),
        chat("three"),
        chat("four", model="x~500"),
    ]
    await loop.sock_sendall(connection, b"".join(requests))
    answers = await read_answers(connection, 4)
    assert [answer.status for answer in answers] == [200, 200, 200, 500]
    assert [answer.json["choices"][0]["message"]["content"] for answer in answers[:3]] == ["one", "two", "three"]
    await loop.sock_sendall(connection, chat("five"))
    assert (await read_answers(connection, 1))[0].json["choices"][0]["message"]["content"] == "five"
    assert simulator.open_connections == 1


async def test_a_request_may_come_byte_by_byte(connect: Connect) -> None:
    connection = await connect()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for place, _ in enumerate(request := chat("Hello")):
        await asyncio.get_running_loop().sock_sendall(connection, request[place : place + 1])
    assert (await read_answers(connection, 1))[0].status == 200


async def test_too_long_a_pipeline_is_dropped(simulator: Simulator) -> None:
    flood = chat("one", model="sim-echo~stall_before") * 100
    assert (await converse(simulator.address, flood)).data == b""
    await simulator.until(lambda: simulator.open_connections == 0)


async def test_expectations_are_met(simulator: Simulator) -> None:
    request = encode_request("/v1/chat/completions", HELLO, {"expect": "100-continue", "connection": "close"})
    heard = await converse(simulator.address, request)
    assert heard.data.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("request_", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"])
async def test_what_is_not_http_is_refused(simulator: Simulator, request_: bytes) -> None:
    heard = await converse(simulator.address, request_)
    assert (heard.status, heard.ended) == (400, "end")


async def test_a_huge_head_is_refused(simulator: Simulator) -> None:
    request = encode_request("/v1/models", None, {"x": "a" * 300_000}, "GET")
    heard = await converse(simulator.address, request)
    # The rest of the head may still be on its way: then the refusal is a reset.
    assert heard.ended == "reset" or heard.status == 431


async def test_a_slow_answer_ends_when_the_peer_leaves(simulator: Simulator, connect: Connect) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        started.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    simulator.sleep = sleep
    connection = await connect()
    await asyncio.get_running_loop().sock_sendall(connection, chat("Hello", model="sim-echo~slow_trickle"))
    await started.wait()
    connection.close()
    await simulator.until(lambda: simulator.open_connections == 0)
    await asyncio.sleep(0)
    assert cancelled.is_set()
    assert (simulator.answered_count, simulator.abandoned_count) == (0, 1)


class FullTransport(asyncio.Transport):
    """Holds what is written until it is told that the peer took it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.calls.append("write")

    def get_write_buffer_size(self) -> int:
        return 5

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.calls.append(f"limit {high}")

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        self.calls.append("abort")


async def test_a_reset_waits_until_what_went_before_is_out() -> None:
    connection, transport = Connection(Simulator()), FullTransport()
    connection.connection_made(transport)
    connection.data_received(chat("Hello", model="m~reset_after"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert transport.calls == ["write", "limit 0"]
    connection.resume_writing()
    for _ in range(5):
        await asyncio.sleep(0)
    assert transport.calls == ["write", "limit 0", "abort"]


async def test_a_slow_reader_holds_the_answer_back(simulator: Simulator, connect: Connect) -> None:
    connection = await connect()
    body = {**HELLO, "model": "m", "stream": True, "messages": [{"role": "user", "content": "[[sim:words=90000]]"}]}
    loop = asyncio.get_running_loop()
    request = encode_request("/v1/chat/completions", body, {"connection": "close"})
    await loop.sock_sendall(connection, request)
    await simulator.until(lambda: simulator.received_count == 1)
    for _ in range(100):
        await asyncio.sleep(0)  # every chance to write it all
    assert simulator.answered_count == 0
    data = bytearray()
    while piece := await loop.sock_recv(connection, 1 << 20):
        data += piece
    assert data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert simulator.answered_count == 1


async def test_leaving_cuts_every_connection() -> None:
    simulator = Simulator()
    async with simulator.serve() as address:
        stalled = asyncio.create_task(converse(address, chat("Hello", model="m~stall_before")))
        idle = asyncio.create_task(converse(address, b""))
        await simulator.until(lambda: simulator.received_count == 1 and simulator.open_connections == 2)
    assert (await stalled).data == (await idle).data == b""
    with pytest.raises(ConnectionRefusedError):
        await converse(address, b"")


async def test_one_address_at_a_time() -> None:
    simulator = Simulator()
    async with simulator.serve():
        with pytest.raises(RuntimeError, match="already serves"):
            async with simulator.serve():
                pass
    async with simulator.serve() as address:
        assert (await converse(address, chat("again", close=True))).status == 200


async def test_a_taken_port_is_an_error(simulator: Simulator) -> None:
    port = int(simulator.address.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        async with Simulator().serve(port=port):
            pass


async def test_tls() -> None:
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    async with Simulator().serve(tls=server) as address:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=client)
        writer.write(chat("Hello", close=True))
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("fault", ["reset_after", "reset_after(after=0)", "stall_mid", "slow_trickle(size=64)"])
def test_misbehaving_on_uvloop(fault: str) -> None:
    async def misbehave() -> tuple[bytes, str]:
        simulator = Simulator()
        async with simulator.serve() as address:
            request = chat("Hello", model=f"m~{fault}", close=True)
            call = asyncio.create_task(converse(address, request))
            if fault == "stall_mid":
                await simulator.until(lambda: simulator.received_count == 1)
                await simulator.refuse()
            heard = await call
            return heard.data, heard.ended

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        data, ended = runner.run(misbehave())
    match fault:
        case "reset_after(after=0)":
            assert (len(data), ended) == (20, "reset")
        case "reset_after":
            assert ended == "reset"
            assert data.startswith(b"HTTP/1.1 200 OK\r\n")
        case "stall_mid":
            assert not data.endswith(b"}")
        case _:
            assert (data[-1:], ended) == (b"}", "end")
