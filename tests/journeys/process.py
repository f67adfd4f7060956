"""`waypost serve` as a process of its own, and callers on plain sockets: for journeys that end in signals.

A `Gateway` keeps everything that its process says. A `Caller` is one kept-alive connection; it sees what really came,
and whether it came whole.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec

PATIENCE_S = 30.0  # nothing here takes as long: what does has hung
PROGRAM = "import sys; from waypost.cli import main; sys.exit(main())"
SOURCE = Path(__file__).parents[2] / "src"
# What a developer has set must not reach the processes under test.
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "SYSTEMROOT")

Body = Mapping[str, Any]


def environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "PYTHONPATH": str(SOURCE), **more}


@dataclass(slots=True)
class Gateway:
    """A running `waypost serve --json`. `events` are the lines of its log, `said` every byte of its output."""

    process: asyncio.subprocess.Process
    events: list[dict[str, Any]] = field(default_factory=list)
    said: bytearray = field(default_factory=bytearray)
    address: str = ""
    admin: str = ""
    _readers: tuple[asyncio.Task[None], ...] = ()
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    @classmethod
    async def spawn(cls, folder: Path, *words: str, environ: Mapping[str, str] | None = None) -> Self:
        """Starts it in `folder`, where its waypost.yaml is; does not wait until it serves."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", PROGRAM, "serve", "--json", *words),
            cwd=folder,
            env=environment(environ or {}),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        gateway = cls(process)
        assert process.stdout is not None and process.stderr is not None
        gateway._readers = tuple(asyncio.create_task(gateway._read(each)) for each in (process.stdout, process.stderr))
        return gateway

    @classmethod
    async def serve(cls, folder: Path, *words: str, environ: Mapping[str, str] | None = None) -> Self:
        gateway = await cls.spawn(folder, *words, environ=environ)
        await gateway.ready()
        return gateway

    async def ready(self) -> None:
        serving = await self.heard("serving")
        self.address, self.admin = serving["listen"], serving["admin"]

    async def heard(self, *names: str, after: int = 0) -> dict[str, Any]:
        """The first event of these names in the log, beyond the `after` first lines."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for told in self.events[after:]:
                    if told["event"] in names:
                        return told
                assert not self.over, f"the gateway ended without saying {names}:\n{self.said.decode()}"
                waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(waiting)
                await waiting

    def all_heard(self, event: str) -> list[dict[str, Any]]:
        return [told for told in self.events if told["event"] == event]

    @property
    def over(self) -> bool:
        return all(reader.done() for reader in self._readers)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def kill(self) -> None:
        """Ends it as a crash does, wherever it is."""
        if self.process.returncode is None:
            self.process.kill()
        await self.ended()

    async def stop(self) -> int:
        """Asks it to end, as an operator does. Returns its exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        return await self.ended()

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*self._readers)
            return await self.process.wait()

    async def readiness(self) -> bytes:
        """The status line of `/readyz` on the admin listener, which answers during a drain, too."""
        host, _, port = self.admin.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        line = await reader.readline()
        writer.close()
        return line.strip()

    async def status(self) -> dict[str, Any]:
        told: dict[str, Any] = await ask_once(self.admin, "/status")
        return told

    async def budgets(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in (await self.status())["budgets"]}

    async def idle(self) -> None:
        """Until no call is under way. Each look is a round trip, so this does not spin."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self.status())["in_flight"]:
                pass

    async def _read(self, stream: asyncio.StreamReader) -> None:
        try:
            while line := await stream.readline():
                self.said += line
                if line.startswith(b'{"at"'):
                    self.events.append(msgspec.json.decode(line))
                self._wake()
        finally:
            asyncio.get_running_loop().call_soon(self._wake)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(None)


@dataclass(slots=True)
class Answer:
    """`whole`: the message came to its end as HTTP. What the end means is for the body to say."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def call(self) -> str:
        return self.headers["x-waypost-call-id"]


class Caller:
    """One connection at a time, opened when needed. A cut one raises ConnectionError or asyncio.IncompleteReadError."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, path: str, body: Body | bytes | None = None, headers: Mapping[str, str] | None = None) -> None:
        """A request, without waiting for its answer: POST where there is a body."""
        reader, writer = self._streams or await asyncio.open_connection(self._host, self._port)
        self._streams = reader, writer
        content = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", "host: gateway"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        lines += ["content-type: application/json", f"content-length: {len(content)}"] if body is not None else []
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + content)

    async def head(self) -> Answer:
        """The next answer's head, its body still empty."""
        assert self._streams is not None
        head = await self._streams[0].readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        pairs = (line.partition(": ") for line in lines)
        return Answer(int(first.split(" ", 2)[1]), {name.lower(): value for name, _, value in pairs}, b"", whole=False)

    async def piece(self, answer: Answer) -> bool:
        """Reads the next piece of its body into it. False at the end."""
        assert self._streams is not None
        reader = self._streams[0]
        if "content-length" in answer.headers:
            answer.body = await reader.readexactly(int(answer.headers["content-length"]))
            answer.whole = True
            return False
        size = int(await reader.readuntil(b"\r\n"), 16)
        answer.body += (await reader.readexactly(size + 2))[:-2]
        answer.whole = size == 0
        return size > 0

    async def finish(self, answer: Answer) -> Answer:
        while await self.piece(answer):
            pass
        if answer.headers.get("connection") == "close":
            self.hang_up()
        return answer

    async def ask(
        self, path: str, body: Body | bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        await self.send(path, body, headers)
        return await self.finish(await self.head())

    def hang_up(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()


async def ask_once(address: str, path: str) -> Any:
    caller = Caller(address)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return (await caller.ask(path)).json
    finally:
        caller.hang_up()


async def run_command(
    folder: Path, words: Sequence[str], environ: Mapping[str, str] | None = None, given: bytes = b""
) -> tuple[int, bytes]:
    """A `waypost` command that ends by itself: its exit code, and all that it said on either stream."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", PROGRAM, *words),
        cwd=folder,
        env=environment(environ or {}),
        # A pipe only for what is to be read: a command that ends at once would close it under the writer.
        stdin=asyncio.subprocess.PIPE if given else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE_S):
        said, _ = await process.communicate(given or None)
    assert process.returncode is not None
    return process.returncode, said
