"""Many connections to a gateway in a process of its own, and a provider whose streams are longer than any buffer."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PIECE = 32 * 1024
CONFIGURATION = """\
server: {{listen: "127.0.0.1:0", admin: "127.0.0.1:0", header_timeout_s: 300, keep_alive_s: 300, drain_s: 10}}
store: {{ledger: "sqlite:///{folder}/waypost.db", state: "sqlite:///{folder}/state.db"}}
providers:
  home: {{kind: openai, base_url: "http://{upstream}/v1", api_key: sk-x, class: local, proxy: none, models: [m]}}
"""
_WHOLE = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
    b'"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)
_CHUNK = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%b}]}\n\n'
)
_LAST = _CHUNK.replace(b'"delta":%b', b'"delta":{},"finish_reason":"stop"') + b"data: [DONE]\n\n"


@contextmanager
def descriptors(needed: int) -> Iterator[None]:
    """So many files may be open here and in processes started from here; skips where the machine does not allow it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"{needed} open files are needed and this machine allows {hard}: see ulimit -Hn")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def connected(address: str, count: int) -> Iterator[list[socket.socket]]:
    """Connections that say nothing of their own accord."""
    host, _, port = address.rpartition(":")
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection((host, int(port)), timeout=30)) for _ in range(count)]


def answer(connection: socket.socket) -> bytes:
    """The next whole answer of known length on a connection."""
    with connection.makefile("rb") as file:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = file.readline()
            assert line, "the gateway closed the connection"
            head += line
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return head + file.read(int(length.partition(b":")[2]))


def open_files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def peak_mib(pid: int) -> float:
    """The most memory that was ever resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024


@dataclass(slots=True)
class Provider:
    """Answers at once; a stream goes on for `pieces` pieces of 32 KiB, as fast as it is read. `sent` counts bytes."""

    pieces: int
    address: str = ""
    sent: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                body = await reader.readexactly(int(length.partition(b":")[2]))
                if b'"stream":true' in body:
                    await self._stream(writer)
                else:
                    plain = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                    writer.write(plain % (len(_WHOLE), _WHOLE))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the gateway hung up, or the test is over
        finally:
            writer.close()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        piece = _CHUNK % (b'{"content":"%b"}' % (b"x" * PIECE))
        for data in (*[piece] * self.pieces, _LAST):
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await writer.drain()
            self.sent += len(data)
        writer.write(b"0\r\n\r\n")


@asynccontextmanager
async def providing(pieces: int = 1) -> AsyncIterator[Provider]:
    provider = Provider(pieces)
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0, backlog=1024)
    provider.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        server.close()
        for task in provider.tasks:
            task.cancel()
        await asyncio.gather(*provider.tasks, return_exceptions=True)
