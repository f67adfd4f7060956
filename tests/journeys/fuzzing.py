"""A whole gateway in this process between callers and providers that speak bytes, and what must hold whatever they say.

The gateway is what `waypost serve` builds. Providers are one parrot: it says what it is told to for a call, byte by
byte, and otherwise something sensible. Tests are synchronous: they run the yard's own loop.
"""

import asyncio
import gc
import json
import re
from collections import deque
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import httptools
import uvloop

from waypost.app import Waypost
from waypost.config.reader import read_config

KEY = "wp-fuzz"
BOUND_S = 20.0  # whatever takes longer has hung
AT_ONCE = 8  # calls of one batch; each has providers of its own, so that no breaker makes them one another's business
OPENAI_PATH = "/v1/chat/completions"
ANTHROPIC_PATH = "/v1/messages"
_MARK = re.compile(rb"mark-(\d+)-")
_CONFIGURATION = """\
server: {{listen: "127.0.0.1:0", admin: "127.0.0.1:0", drain_s: 5, {server}}}
store: {{ledger: "sqlite:///{folder}/waypost.db", state: "sqlite:///{folder}/state.db"}}
providers:
{providers}
routes:
{routes}
tasks: {{default: o0, qa: a0}}
keys: [{{name: fuzz, hash: "sha256:{digest}", team: fuzz}}]
budgets: [{{name: all, limit_usd: 10000, window: none}}]
breaker: {{minimum: 1000000, consecutive: 1000000, cooldown_s: 0.001, max_cooldown_s: 0.002}}
"""
_PROVIDER = """\
  {name}: {{kind: {kind}, base_url: "http://{address}{base}", api_key: sk-fuzz, class: local, proxy: none,
    count_tokens: {counts}, prices: {{"*": {{input: 1, output: 2}}}}}}
"""
_ROUTE = "  {name}: {{targets: [{name}/m], timeouts: {{connect_s: 5, first_byte_s: 0.4, stall_s: 0.2, total_s: 5}}}}\n"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Script:
    """What a provider does once asked: sends `pieces` one by one, then closes, goes on listening, or falls silent."""

    pieces: tuple[bytes, ...]
    close: bool = False

    @property
    def sent(self) -> bytes:
        return b"".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Answer:
    """`whole`: its framing says that nothing is missing."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool


class Parrot(asyncio.Protocol):
    """A provider's end of one connection."""

    def __init__(self, yard: "Yard") -> None:
        self._yard = yard
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._path = b""
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)  # what the gateway sends is HTTP: an error here is heard by the loop's handler

    def on_message_begin(self) -> None:
        self._path = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._yard.asked += 1
        found = _MARK.search(self._body)
        script = self._yard.scripts.get(int(found[1])) if found else None
        script = script or sensible(self._path, self._body)
        loop = asyncio.get_running_loop()
        for number, piece in enumerate(script.pieces):  # each in a turn of the loop of its own
            loop.call_later(number * 0.0005, self._do, "write", piece)
        if script.close:
            loop.call_later(len(script.pieces) * 0.0005, self._do, "close")

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None

    def _do(self, what: str, *how: bytes) -> None:
        if self._transport is not None:
            getattr(self._transport, what)(*how)


OPENAI_REPLY: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "hello there",
                "reasoning_content": "hm",
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    },
}
ANTHROPIC_REPLY: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "text", "text": "hello there"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 5},
}


def _chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


OPENAI_EVENTS: list[tuple[str, Any]] = [
    ("", _chunk({"role": "assistant", "content": ""})),
    ("", _chunk({"reasoning_content": "hm"})),
    ("", _chunk({"content": "hello "})),
    ("", _chunk({"content": "there\u2028"})),
    (
        "",
        _chunk(
            {
                "tool_calls": [
                    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
                ]
            }
        ),
    ),
    ("", _chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]})),
    ("", _chunk({}, "tool_calls")),
    ("", {**_chunk({}), "choices": [], "usage": OPENAI_REPLY["usage"]}),
]
ANTHROPIC_EVENTS: list[tuple[str, Any]] = [
    ("message_start", {"message": {**ANTHROPIC_REPLY, "content": [], "stop_reason": None}}),
    ("ping", {}),
    ("content_block_start", {"index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
    ("content_block_delta", {"index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
    ("content_block_delta", {"index": 0, "delta": {"type": "signature_delta", "signature": "sig"}}),
    ("content_block_stop", {"index": 0}),
    ("content_block_start", {"index": 1, "content_block": {"type": "text", "text": ""}}),
    ("content_block_delta", {"index": 1, "delta": {"type": "text_delta", "text": "hello there\u2028"}}),
    ("content_block_stop", {"index": 1}),
    ("content_block_start", {"index": 2, "content_block": {"type": "tool_use", "id": "t1", "name": "f", "input": {}}}),
    ("content_block_delta", {"index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}}),
    ("content_block_stop", {"index": 2}),
    ("message_delta", {"delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 5}}),
    ("message_stop", {}),
]


def frames(events: Sequence[tuple[str, Any]]) -> list[bytes]:
    """Server-sent events as the two protocols send them, OpenAI's end mark excepted."""
    told = []
    for name, data in events:
        text = json.dumps({"type": name, **data} if name else data, ensure_ascii=False, separators=(",", ":"))
        told.append((f"event: {name}\n" if name else "").encode() + b"data: %b\n\n" % text.encode())
    return told


DONE = b"data: [DONE]\n\n"
OPENAI_FRAMES = [*frames(OPENAI_EVENTS), DONE]
ANTHROPIC_FRAMES = frames(ANTHROPIC_EVENTS)


def whole_answer(body: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (status, kind, len(body), body)


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(pieces: Sequence[bytes], *, ended: bool = True) -> list[bytes]:
    return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece] + [b"0\r\n\r\n"] * ended


def sensible(path: bytes, body: bytes) -> Script:
    openai = path.startswith(OPENAI_PATH.encode())
    if b"count_tokens" in path:
        return Script((whole_answer(b'{"input_tokens":3}'),))
    if re.search(rb'"stream":\s*true', body):
        return Script((STREAM_HEAD + b"".join(chunked(OPENAI_FRAMES if openai else ANTHROPIC_FRAMES)),))
    return Script((whole_answer(json.dumps(OPENAI_REPLY if openai else ANTHROPIC_REPLY).encode()),))


class Yard:
    """`scripts` is what the parrot says to calls whose body holds `mark-NUMBER-`. `complaints`: what must never be."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(repr(context)))
        self.scripts: dict[int, Script] = {}
        self.asked = 0
        self.complaints: deque[str] = deque(maxlen=20)
        self.waypost: Waypost
        self.port = 0
        self._marks = 0
        self._parrots: Any

    async def open(self, folder: Path, server: str) -> None:
        listening: Any = await self.loop.create_server(lambda: Parrot(self), "127.0.0.1", 0, backlog=1024)
        self._parrots = listening
        address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        names = [(f"o{n}", "openai", "/v1", "false") for n in range(AT_ONCE)]
        names += [(f"a{n}", "anthropic", "", "true") for n in range(AT_ONCE)]
        text = _CONFIGURATION.format(
            server=server,
            folder=folder,
            providers="".join(
                _PROVIDER.format(name=name, kind=kind, address=address, base=base, counts=counts)
                for name, kind, base, counts in names
            ),
            routes="".join(_ROUTE.format(name=name) for name, *_ in names),
            digest=sha256(KEY.encode()).hexdigest(),
        )
        self.waypost = Waypost(read_config(text, "yard", {}), {}, self._log)
        data, _ = await self.waypost.start()
        self.port = int(data.rpartition(":")[2])

    def _log(self, event: str, **values: object) -> None:
        if event == "internal_error":
            self.complaints.append(repr(values))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Bounded in time, and followed by a look at what must hold whenever all calls have ended."""
        result = self.loop.run_until_complete(asyncio.wait_for(work, BOUND_S))
        self.loop.run_until_complete(asyncio.wait_for(self._settled(), BOUND_S))
        self.scripts.clear()
        complaints = list(self.complaints)
        self.complaints.clear()
        assert not complaints, complaints
        for budget in self.waypost.gateway.budgets.allowances:
            assert budget.reserved == 0, "a reservation was left open"
            assert 0 <= budget.spent <= budget.limit
            budget.spent = 0  # a provider that tells absurd numbers may use up all of it, which would end the test
        return result

    async def _settled(self) -> None:
        while self.waypost.gateway.calls:  # noqa: ASYNC110  what is waited for is the loop itself
            await asyncio.sleep(0)

    def mark(self, script: Script | None = None) -> str:
        """A word to put into a call, by which the parrot knows it."""
        self._marks += 1
        if script is not None:
            self.scripts[self._marks] = script
        return f"mark-{self._marks}-"

    async def say(self, pieces: Sequence[bytes], *, leave_after: bool = False) -> bytes:
        """Sends bytes over a new connection and gives all that came back until the gateway closed it.

        `leave_after`: hangs up instead, as soon as everything is sent.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0)
            return b"" if leave_after else await reader.read()
        except ConnectionError:
            return b""  # reset: it was cut off in the middle of something
        finally:
            writer.close()

    async def ask(self, path: str, body: bytes, extra: Sequence[tuple[bytes, bytes]] = ()) -> Answer:
        """One call in well-formed HTTP. The connection serves it alone."""
        lines = [b"%b: %b\r\n" % pair for pair in ((b"authorization", b"Bearer " + KEY.encode()), *extra)]
        head = b"POST %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n%b\r\n"
        answers = read_answers(await self.say([head % (path.encode("latin-1"), len(body), b"".join(lines)), body]))
        assert len(answers) == 1, "a call got no answer, or several"
        return answers[0]

    async def close(self) -> None:
        cut = await self.waypost.stop()
        self._parrots.close()
        assert cut == 0, "a call was still under way at the end"
        mover = self.waypost._ledger.mover
        assert (mover.error, mover.damaged, mover.lag.entries) == (None, 0, 0), "a call left no row"


class _Answers:
    """What httptools tells of a connection's bytes."""

    def __init__(self) -> None:
        self.found: list[Answer] = []
        self.parser = httptools.HttpResponseParser(self)
        self._clear()

    def _clear(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""
        self.begun = False

    def on_status(self, status: bytes) -> None:
        self.begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if self.parser.get_status_code() != 100:
            self.keep(whole=True)
        self._clear()

    def keep(self, *, whole: bool) -> None:
        self.found.append(Answer(self.parser.get_status_code(), self.headers, self.body, whole))


def read_answers(data: bytes) -> list[Answer]:
    """A connection's bytes as HTTP, strictly. The last answer may not be whole."""
    answers = _Answers()
    answers.parser.feed_data(data)
    if answers.begun:
        answers.keep(whole=False)
    return answers.found


@contextmanager
def open_yard(folder: Path, server: str = "") -> Iterator[Yard]:
    yard = Yard()
    try:
        yard.loop.run_until_complete(yard.open(folder, server))
        try:
            yield yard
        finally:
            yard.loop.run_until_complete(yard.close())
        gc.collect()  # tasks and futures whose exception nobody asked for complain when they go
        yard.loop.run_until_complete(asyncio.sleep(0))
        assert not yard.complaints, list(yard.complaints)
    finally:
        yard.loop.run_until_complete(asyncio.sleep(0))  # uvloop waits for ever where a failure left handles half closed
        yard.loop.close()
