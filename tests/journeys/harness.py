"""A simulator and a whole gateway in this process, joined by real sockets, and what both know afterwards.

The gateway is `waypost.app.Waypost` as `waypost serve` builds it. Two things are taken in hand: its mover does not run
by the clock (rows are moved when a test asks for them), and a call's end is heard, so that nothing has to be slept for.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import anthropic
import httpx2
import msgspec
import openai

from waypost.app import Waypost
from waypost.config.reader import read_config
from waypost.ledger.memory import MemoryJournal
from waypost.ledger.questions import get_bodies, get_call, list_calls
from waypost.ledger.records import Accepted, Ended, Planned
from waypost.ledger.running import RunningLedger, start_ledger
from waypost.ledger.sqlite import open_ledger
from waypost.sim import Received, Script, Simulator

SEED = 7
NEVER_S = 3600.0
PATIENCE_S = 20.0  # no journey takes as long: what does has hung
OPENAI = "openai"
ANTHROPIC = "anthropic"
CALL_ID = "x-waypost-call-id"
HERE = """
server: {{listen: '127.0.0.1:0', admin: '127.0.0.1:0', drain_s: 5{more}}}
store: {{ledger: 'sqlite:///{folder}/waypost.db', state: 'sqlite:///{folder}/state.db'}}
"""
Row = dict[str, Any]


class HeardJournal:
    """The ledger's journal, and word of every call that ended."""

    def __init__(self, ledger: RunningLedger) -> None:
        self._journal = ledger.journal
        self.ended: dict[str, Ended] = {}
        self.at_once: set[str] = set()  # calls that the fast path put on record
        self._listeners: list[asyncio.Future[None]] = []

    @property
    def waiting(self) -> int:
        return self._journal.waiting

    @property
    def error(self) -> str | None:
        return self._journal.error

    def accept(self, entry: Accepted) -> None:
        self._journal.accept(entry)

    def plan(self, entry: Planned) -> None:
        self._journal.plan(entry)

    def end(self, entry: Ended) -> None:
        self._journal.end(entry)
        self._hear(entry)

    def write_lines(self, accepted: Sequence[tuple[str, bytes]], ended: Sequence[tuple[str, bytes]]) -> None:
        self.at_once.update(call for call, _ in accepted)
        try:
            self._journal.write_lines(accepted, ended)
        finally:
            read = MemoryJournal()
            read.write_lines((), ended)
            for entry in read.ended:
                self._hear(entry)

    def _hear(self, entry: Ended) -> None:
        self.ended[entry.id] = entry
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            if not listener.done():
                listener.set_result(None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Asked again whenever a call has ended."""
        while not condition():
            listener = asyncio.get_running_loop().create_future()
            self._listeners.append(listener)
            await asyncio.wait_for(listener, PATIENCE_S)


@dataclass(slots=True)
class House:
    """`base` is the gateway's address as a URL, `logged` what it told its operator."""

    simulator: Simulator
    waypost: Waypost
    journal: HeardJournal
    ledger: RunningLedger
    base: str
    admin: str
    logged: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def rows(self) -> list[Row]:
        """Every call that has ended so far, oldest first, as the contract tells them."""
        self._move()
        with closing(open_ledger(self.ledger.path, readonly=True)) as ledger:
            return list_calls(ledger, limit=100_000)[::-1]

    async def row(self, call: str) -> Row:
        """The row of one call, as soon as it is there."""
        await self.journal.until(lambda: call in self.journal.ended)
        self._move()
        with closing(open_ledger(self.ledger.path, readonly=True)) as ledger:
            found = get_call(ledger, call)
        assert found is not None
        return found

    def bodies(self, call: str) -> tuple[str | None, str | None] | None:
        self._move()
        with closing(open_ledger(self.ledger.path, readonly=True)) as ledger:
            return get_bodies(ledger, call)

    def _move(self) -> None:
        assert self.ledger.mover.move(), self.ledger.mover.error

    @property
    def received(self) -> Received:
        """What reached the simulator last."""
        return self.simulator.requests[-1]

    def client(self, speaks: str, **options: Any) -> Any:
        """The official SDK's asynchronous client, pointed at the gateway. Retries are off unless asked for."""
        return new_client(speaks, self.base, **options)


def new_client(speaks: str, base: str, *, synchronous: bool = False, **options: Any) -> Any:
    """An SDK's own client for a server at `base`, without a path. Close it."""
    given: dict[str, Any] = {"api_key": "sk-journey", "max_retries": 0, "timeout": PATIENCE_S, **options}
    if speaks == OPENAI:
        given["base_url"] = f"{base}/v1"
        return openai.OpenAI(**given) if synchronous else openai.AsyncOpenAI(**given)
    given["base_url"] = base
    return anthropic.Anthropic(**given) if synchronous else anthropic.AsyncAnthropic(**given)


@asynccontextmanager
async def open_house(
    config: str | Callable[[Simulator], str],
    folder: Path,
    *,
    script: Script | None = None,
    environ: Mapping[str, str] | None = None,
    tls: str | None = None,
) -> AsyncIterator[House]:
    """`config` is a waypost.yaml without `server` and `store`; `{address}` in it is the simulator's. `tls` is that
    member of `server`.
    """
    simulator = Simulator(script, seed=SEED)
    async with simulator.serve():
        text = config(simulator) if callable(config) else config.replace("{address}", simulator.address)
        text += HERE.format(folder=folder, more="" if tls is None else f", tls: {tls}")
        logged: list[tuple[str, dict[str, object]]] = []
        waypost, ledger, journal = build(text, environ or {}, lambda event, **values: logged.append((event, values)))
        try:
            data, admin = await waypost.start()
            yield House(simulator, waypost, journal, ledger, f"http://{data}", f"http://{admin}", logged)
        finally:
            cut = await waypost.stop()
        assert cut == 0, "a call was still under way at the end"
        assert not waypost.gateway.calls
        errors = [values for event, values in logged if event == "internal_error"]
        assert not errors, errors


def build(text: str, environ: Mapping[str, str], log: Any) -> tuple[Waypost, RunningLedger, HeardJournal]:
    started: list[tuple[RunningLedger, HeardJournal]] = []

    def start(store: Any) -> RunningLedger:
        ledger = start_ledger(store, interval_s=NEVER_S)
        heard = HeardJournal(ledger)
        started.append((ledger, heard))
        ledger.journal = heard  # type: ignore[assignment]  # all of it that a gateway uses
        return ledger

    with patch("waypost.app.start_ledger", start):
        waypost = Waypost(read_config(text, "journey", environ), environ, log)
    return waypost, *started[0]


class Tee(httpx2.AsyncBaseTransport):
    """An SDK's transport that keeps the bytes of every answer, by call id: what was sent, whatever an SDK shows."""

    def __init__(self, *, verify: ssl.SSLContext | bool = False) -> None:
        self._inner = httpx2.AsyncHTTPTransport(verify=verify)
        self.answers: dict[str, bytearray] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        kept = self.answers[response.headers.get(CALL_ID, "")] = bytearray()
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Kept(response.stream, kept)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Kept(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, kept: bytearray) -> None:
        self._stream = stream
        self._kept = kept

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._kept += piece
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def answer_of(simulator: Simulator, received: Received) -> Any:
    """The whole answer that the simulator gives to a request that it received, streamed or not: what upstream sent.

    It is deterministic, and its streams add up to its whole answers (tests/sim show both).
    """
    body = {
        name: value
        for name, value in msgspec.json.decode(received.body).items()
        if name not in ("stream", "stream_options")
    }
    again = msgspec.structs.replace(received, body=msgspec.json.encode(body))
    steps = simulator.answer(again)
    head, _, answer = b"".join(step for step in steps if isinstance(step, bytes)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), (head, answer)
    return msgspec.json.decode(answer)
