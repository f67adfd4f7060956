"""A simulator on a loopback port, and a client that sees the socket as it is."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

import pytest

from waypost.sim import Simulator

from .protocols import BY_NAME


class Heard(NamedTuple):
    """Everything that came over a socket until it ended, and how: "end" (FIN) or "reset" (RST)."""

    data: bytes
    ended: str

    @property
    def status(self) -> int:
        return int(self.data.split(b" ", 2)[1])

    @property
    def head(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[0]

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def raw_body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def chunks(self) -> list[bytes]:
        """The chunks of the body, the last one (empty) included if it came."""
        found, rest = [], self.raw_body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            found.append(rest[: int(size, 16)])
            assert rest[int(size, 16) :].startswith(b"\r\n")
            rest = rest[int(size, 16) + 2 :]
        return found

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks) if "transfer-encoding" in self.headers else self.raw_body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The decoded data of each event; `[DONE]` stays a string."""
        return read_events(self.body)


def read_events(body: bytes) -> list[Any]:
    data = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
    return [line.decode() if line == b"[DONE]" else json.loads(line) for line in data]


def encode_request(path: str, body: Any, headers: dict[str, str] | None = None, method: str = "POST") -> bytes:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: sim", f"content-length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def converse(address: str, request: bytes) -> Heard:
    """Sends bytes and listens until the other side ends; never ends first."""
    loop = asyncio.get_running_loop()
    host, _, port = address.rpartition(":")
    with socket.socket() as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, (host, int(port)))
        data = b""
        try:
            await loop.sock_sendall(connection, request)
            while piece := await loop.sock_recv(connection, 1 << 16):
                data += piece
        except ConnectionResetError:
            return Heard(data, "reset")
        return Heard(data, "end")


Ask = Callable[..., Awaitable[Heard]]


@pytest.fixture
def waits() -> list[float]:
    """What the simulator would have waited for, in seconds."""
    return []


@pytest.fixture
async def simulator(waits: list[float]) -> AsyncIterator[Simulator]:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    simulator = Simulator(seed=7, sleep=sleep)
    async with simulator.serve():
        yield simulator


@pytest.fixture
def send(simulator: Simulator) -> Ask:
    """`await send(path, body, headers, method)` → what came, then closed."""

    async def send(path: str, body: Any, headers: dict[str, str] | None = None, method: str = "POST") -> Heard:
        heads = {"connection": "close", **(headers or {})}
        return await converse(simulator.address, encode_request(path, body, heads, method))

    return send


@pytest.fixture
def ask(send: Ask) -> Ask:
    """`await ask("sim-small", "hi", protocol="openai", **members)` → what came, then closed."""

    async def ask(
        model: str = "sim-small", text: str = "Hello there", /, protocol: str = "openai", **members: Any
    ) -> Heard:
        asking = BY_NAME[protocol].asking(model, text, members)
        return await send(asking.path, asking.body, asking.headers)

    return ask


@pytest.fixture
async def connect(simulator: Simulator) -> AsyncIterator[Callable[[], Awaitable[socket.socket]]]:
    """Opens connections that the test drives by hand; all are closed at its end."""
    opened: list[socket.socket] = []

    async def connect() -> socket.socket:
        host, _, port = simulator.address.rpartition(":")
        connection = socket.socket()
        opened.append(connection)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (host, int(port)))
        return connection

    yield connect
    for connection in opened:
        with suppress(OSError):
            connection.close()
