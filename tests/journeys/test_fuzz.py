"""Whatever callers and providers send: every call ends, none with a 500, nothing is left behind, and memory stays flat.

Each example is a batch of calls made at once. The sizes add up to more than 10,000 requests, the same ones in every
run; WAYPOST_FUZZ=N makes N times as many, drawn anew.
"""

import asyncio
import gc
import json
import os
import re
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journeys.fuzzing import (
    ANTHROPIC_FRAMES,
    ANTHROPIC_PATH,
    ANTHROPIC_REPLY,
    AT_ONCE,
    KEY,
    OPENAI_FRAMES,
    OPENAI_PATH,
    OPENAI_REPLY,
    STREAM_HEAD,
    Answer,
    Script,
    Yard,
    chunked,
    open_yard,
    read_answers,
    whole_answer,
)
from journeys.mutations import (
    ANTHROPIC_REQUEST,
    OPENAI_REQUEST,
    changed_bytes,
    changed_frames,
    changed_json,
    cut_up,
    to_bytes,
)

# What hypothesis would print of a failing example is large here, and it warns of that in good times too.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
Test = TypeVar("Test", bound=Callable[..., None])
TIMES = int(os.environ.get("WAYPOST_FUZZ", "1"))
FEW_FLAT_BYTES = 256 * 1024
TYPED = {400, 401, 402, 403, 404, 405, 408, 413, 417, 429, 431, 501, 502, 503, 504, 505}
REQUESTS = {OPENAI_PATH: OPENAI_REQUEST, ANTHROPIC_PATH: ANTHROPIC_REQUEST}


def sized(batches: int) -> Callable[[Test], Test]:
    return settings(
        max_examples=batches * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with open_yard(tmp_path_factory.mktemp("yard")) as opened:
        yield opened


@pytest.fixture(scope="module")
def brisk_yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """A gateway that does not wait long for the rest of a request."""
    limits = (
        "header_timeout_s: 0.1, body_timeout_s: 0.1, keep_alive_s: 0.1, max_head_bytes: 4KiB, max_body_bytes: 64KiB"
    )
    with open_yard(tmp_path_factory.mktemp("brisk"), limits) as opened:
        yield opened


def judge(answer: Answer) -> None:
    """What holds for any answer to anything."""
    assert answer.whole, "the answer was cut off"
    assert answer.status in TYPED or answer.status == 200, answer
    if answer.status != 200:
        assert "x-waypost-error" in answer.headers
        assert json.loads(answer.body)["error"]["message"]


def request(path: str, route: str, mark: str, *, stream: bool) -> bytes:
    """A valid call."""
    text = to_bytes({**REQUESTS[path], "model": route, "stream": stream})
    return text.replace(b"MARK", mark.encode())


# ---- bytes on the socket

VALID = [
    b"POST %b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%b" % (path.encode(), KEY.encode(), len(body), body)
    for path in REQUESTS
    for body in (request(path, "o1", "", stream=False), request(path, "a1", "", stream=True), b"{}")
]
VALID += [
    b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n"
    b"2\r\n{}\r\n0\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\n\r\n" % KEY.encode(),
    b"GET /livez HTTP/1.0\r\n\r\n",
    b"GET http://x/readyz?a=b HTTP/1.1\r\nhost: x\r\nconnection: keep-alive\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]
HTTP_TOKENS = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b":", b"\x00", b"\xff", b"HTTP/1.1", b"content-length: 5\r\n",
    b"content-length: -1\r\n", b"content-length: 99999999999999999999\r\n", b"transfer-encoding: chunked\r\n",
    b"transfer-encoding: gzip, chunked\r\n", b"host: y\r\n", b"connection: close\r\n", b"expect: 100-continue\r\n",
    b"expect: 200-maybe\r\n", b"x: " + b"y" * 5000 + b"\r\n", b"0\r\n\r\n", b"ffffffffffffffffff\r\n", b"5;a=b\r\n",
    b"upgrade: websocket\r\nconnection: upgrade\r\n", b"#", b"%00", b"?", b"//", b"/../", b"\xe2\x80\xa8",
]  # fmt: skip


class Wire(NamedTuple):
    pieces: tuple[bytes, ...]
    leaves: bool


@st.composite
def wires(draw: st.DrawFn) -> Wire:
    """One to three requests on a connection, changed somewhere, in pieces; some callers do not wait for answers."""
    whole = b"".join(draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=3)))
    match draw(st.integers(0, 5)):
        case 0:
            pass
        case 1:
            whole = draw(st.binary(max_size=40))
        case 2:
            whole = draw(changed_bytes(whole))
        case _:
            place = draw(st.integers(0, min(len(whole), 400)))
            length = draw(st.sampled_from([0, 0, 1, 3, 20]))
            whole = whole[:place] + draw(st.sampled_from(HTTP_TOKENS)) + whole[place + length :]
    return Wire(draw(cut_up(whole)), draw(st.integers(0, 5)) == 0)


@sized(70)
@given(wires=st.lists(wires(), min_size=40, max_size=40, unique=True))
def test_any_bytes_get_http_answers(brisk_yard: Yard, wires: list[Wire]) -> None:
    async def work() -> list[bytes]:
        return await asyncio.gather(*(brisk_yard.say(each.pieces, leave_after=each.leaves) for each in wires))

    for heard in brisk_yard.run(work()):
        for answer in read_answers(heard):
            assert answer.status in TYPED | {200}, answer


# ---- headers

NAMES = [
    b"authorization", b"x-api-key", b"content-type", b"accept", b"accept-encoding", b"anthropic-version",
    b"anthropic-beta", b"openai-beta", b"user-agent", b"cookie", b"te", b"x-forwarded-for", b"x-waypost-task",
    b"x-waypost-combination", b"x-waypost-timeout", b"x-waypost-dry-run", b"x-waypost-cache", b"x-waypost-profile",
    b"x-waypost-tags", b"x-waypost-session", b"x-waypost-provider-key", b"x-waypost-", b"x-waypost-unheard-of",
]  # fmt: skip
VALUES = [
    b"", b" ", b"qa", b"default", b"0", b"1", b"-1", b"1e999", b"nan", b"inf", b"1s", b"true", b"on", b"off", b",",
    b"a=b,c", b"=,=", b"a=b," * 60, b"x" * 600, b"\xff\xfe", b"\xe2\x80\xa8", b"Bearer", b"Bearer ", b"Basic eA==",
    b"Bearer " + KEY.encode(), b"sk-other", b"\t", b"2023-06-01", b"bogus", b"gzip", b"text/plain", b"{}", b"%00",
]  # fmt: skip
NAME_CHARACTERS = b"abcdefghijklmnopqrstuvwxyzABC0123456789!#$%&'*+-.^_`|~"
header_names = st.sampled_from(NAMES) | st.lists(st.sampled_from(NAME_CHARACTERS), min_size=1, max_size=12).map(bytes)
header_values = st.sampled_from(VALUES) | st.binary(max_size=12).map(lambda value: value.translate(None, b"\r\n"))
FRAMING = {b"content-length", b"transfer-encoding", b"host", b"expect", b"upgrade", b"connection"}


@sized(170)
@given(
    batch=st.lists(
        st.lists(st.tuples(header_names, header_values), max_size=5).map(tuple),
        min_size=AT_ONCE,
        max_size=AT_ONCE,
        unique=True,
    ),
    stream=st.booleans(),
    query=st.sampled_from(
        ["", "", "", "?", "?a=b", "?beta=true", "?é", "?\x01", "?a=%00&&&", "?" + "x" * 3000, "#f", "?{}"]
    ),
)
def test_any_headers_get_an_answer(
    yard: Yard, batch: list[tuple[tuple[bytes, bytes], ...]], stream: bool, query: str
) -> None:
    async def work() -> list[Answer]:
        calls = []
        for slot, pairs in enumerate(batch):
            path = (OPENAI_PATH, ANTHROPIC_PATH)[slot % 2]
            body = request(path, f"{'ooaa'[slot % 4]}{slot}", yard.mark(), stream=stream)
            calls.append(yard.ask(path + query, body, [pair for pair in pairs if pair[0].lower() not in FRAMING]))
        return await asyncio.gather(*calls)

    for answer in yard.run(work()):
        judge(answer)


# ---- bodies


class Body(NamedTuple):
    path: str
    body: bytes
    provider: str
    model: str  # what stands behind the provider in the name asked for


MODELS = [
    "",
    "",
    "",
    "/m",
    "/\\u00fc",
    "/\\u8def",
    "/a\\r\\nb: c",
    "/\\u0000",
    "/" + "x" * 3000,
    "/",
    "/a/b/c",
    "/\\ud83d\\ude00",
]


def bodies() -> st.SearchStrategy[Body]:
    """A changed request to either door, streamed or not, for a provider of either dialect."""

    def of(path: str, provider: str, stream: bool) -> st.SearchStrategy[Body]:
        value = {**REQUESTS[path], "model": "MODEL", "stream": stream}
        door = path + "/count_tokens" if path == ANTHROPIC_PATH and stream and provider == "a" else path
        return st.builds(
            lambda body, model: Body(door, body, provider, model), changed_json(value), st.sampled_from(MODELS)
        )

    kinds = [of(path, provider, stream) for path in REQUESTS for provider in ("o", "a") for stream in (False, True)]
    return st.one_of(kinds)


@sized(360)
@given(batch=st.lists(bodies(), min_size=AT_ONCE, max_size=AT_ONCE, unique=True))
def test_any_body_gets_an_answer(yard: Yard, batch: list[Body]) -> None:
    async def work() -> list[Answer]:
        names = [f"{each.provider}{slot}{each.model}".encode() for slot, each in enumerate(batch)]
        named = [each.body.replace(b"MODEL", name) for each, name in zip(batch, names, strict=True)]
        return await asyncio.gather(*(yard.ask(each.path, body) for each, body in zip(batch, named, strict=True)))

    for answer in yard.run(work()):
        judge(answer)


# ---- what providers answer


class Told(NamedTuple):
    """A call and what its provider says to it."""

    path: str
    provider: str
    stream: bool
    script: Script


def provider_of(provider: str) -> tuple[Any, list[bytes]]:
    return (OPENAI_REPLY, OPENAI_FRAMES) if provider == "o" else (ANTHROPIC_REPLY, ANTHROPIC_FRAMES)


ERRORS = [
    {"error": {"message": "m", "type": "server_error", "param": None, "code": "c"}},
    {"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
]
STATUSES = [
    *[b"200 OK"] * 40, b"201 Created", b"204 No Content", b"302 Found", b"400 Bad Request",
    b"401 Unauthorized", b"404 Not Found", b"413 Large", b"429 Slow", b"500 Oops", b"503 Busy", b"529 Over", b"999 X",
]  # fmt: skip
KINDS = [*[b"application/json"] * 12, b"application/json; charset=utf-8", b"text/html", b"", b"\xff"]
HEAD_TOKENS = [
    b"\r\n", b"\n", b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"retry-after: 1e999\r\n",
    b"retry-after: -5\r\n", b"retry-after: soon\r\n", b"x-request-id: \xff\r\n", b"x: " + b"y" * 70_000 + b"\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"connection: close\r\n", b"content-encoding: gzip\r\n", b"\x00", b" ",
    b"x-ratelimit-a: \x01\r\n", b"openai-b: a\tb\r\n",
]  # fmt: skip


@st.composite
def whole_replies(draw: st.DrawFn) -> Told:
    provider, path = draw(st.sampled_from("oa")), draw(st.sampled_from([OPENAI_PATH, ANTHROPIC_PATH]))
    status = draw(st.sampled_from(STATUSES))
    value = provider_of(provider)[0] if status.startswith(b"2") else draw(st.sampled_from(ERRORS))
    data = whole_answer(draw(changed_json(value)), status, draw(st.sampled_from(KINDS)))
    change = draw(st.integers(0, 14))
    if change == 0:
        place = draw(st.integers(0, min(len(data), 90)))
        data = data[:place] + draw(st.sampled_from(HEAD_TOKENS)) + data[place:]
    elif change == 1:
        data = data[: draw(st.integers(0, len(data)))]
    elif change == 2:
        data += draw(st.binary(max_size=5))
    return Told(path, provider, False, Script(draw(cut_up(data)), close=draw(st.integers(0, 9)) > 0))


@st.composite
def streamed_replies(draw: st.DrawFn) -> Told:
    provider, path = draw(st.sampled_from("oa")), draw(st.sampled_from([OPENAI_PATH, ANTHROPIC_PATH]))
    told = draw(changed_frames(provider_of(provider)[1]))
    if draw(st.integers(0, 3)) == 0:
        told = [b"".join(told)[: draw(st.integers(0, 3000))]]
    body = draw(cut_up(b"".join(told), most=6))
    match draw(st.integers(0, 9)):
        case 0:  # as long as the connection lasts, with nothing to tell whether it is whole
            data = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + b"".join(body)
        case 1:
            data = draw(changed_bytes(STREAM_HEAD + b"".join(chunked(body))))
        case _:
            data = STREAM_HEAD + b"".join(chunked(body, ended=draw(st.integers(0, 5)) > 0))
    return Told(path, provider, True, Script(draw(cut_up(data)), close=draw(st.integers(0, 19)) > 0))


def play(yard: Yard, batch: list[Told]) -> list[Answer]:
    async def work() -> list[Answer]:
        calls = []
        for slot, each in enumerate(batch):
            mark = yard.mark(each.script)
            calls.append(yard.ask(each.path, request(each.path, f"{each.provider}{slot}", mark, stream=each.stream)))
        return await asyncio.gather(*calls)

    return yard.run(work())


def speaks(path: str, provider: str) -> bool:
    return (path == OPENAI_PATH) == (provider == "o")


@sized(230)
@given(batch=st.lists(whole_replies(), min_size=AT_ONCE, max_size=AT_ONCE, unique=True))
def test_any_whole_answer_of_a_provider(yard: Yard, batch: list[Told]) -> None:
    for told, answer in zip(batch, play(yard, batch), strict=True):
        judge_told(told, answer)
        if answer.status != 200:
            continue
        if speaks(told.path, told.provider):
            assert answer.body in told.script.sent
        else:
            json.loads(answer.body, parse_constant=pytest.fail)


ENDS = {OPENAI_PATH: b"[DONE]", ANTHROPIC_PATH: b"message_stop"}
CHUNK_SIZE = re.compile(rb"\r\n[0-9a-f]+\r\n")  # what stands between two parts of a stream
STOPPED = re.compile(rb'\[DONE\]|message_stop|"finish_reason"\s*:\s*"')


@sized(250)
@given(batch=st.lists(streamed_replies(), min_size=AT_ONCE, max_size=AT_ONCE, unique=True))
def test_any_stream_of_a_provider(yard: Yard, batch: list[Told]) -> None:
    for told, answer in zip(batch, play(yard, batch), strict=True):
        judge_told(told, answer)
        if answer.status != 200:
            continue
        if ENDS[told.path] in answer.body:
            assert STOPPED.search(CHUNK_SIZE.sub(b"", told.script.sent)), "an end that nobody told"
        else:
            assert b'"error"' in answer.body or STOPPED.search(answer.body), "an end without a word"


def judge_told(told: Told, answer: Answer) -> None:
    """As `judge`; a provider's own refusal of what the caller asked is passed on in the provider's words."""
    if answer.status == 200 or "x-waypost-error" in answer.headers:
        assert answer.whole
    assert answer.status != 500, answer
    assert 200 <= answer.status < 600


# ---- memory


def test_memory_is_flat(yard: Yard) -> None:
    """The same calls again and again, good ones and broken ones: after two rounds nothing more is kept."""
    broken = [Script((whole_answer(b"{}"),)), Script((STREAM_HEAD + b"5\r\ndata:",), close=True)]

    def calls(slot: int) -> list[Told]:
        path, provider, stream = (OPENAI_PATH, ANTHROPIC_PATH)[slot % 2], "ooaa"[slot % 4], slot % 3 == 0
        reply, frames = provider_of(provider)
        streams = [Script((STREAM_HEAD + b"".join(chunked(frames[:count])),)) for count in (2, 6, 9, 99)]
        sound = streams if stream else [Script((whole_answer(to_bytes(reply)),))] * len(streams)
        return [Told(path, provider, stream, script) for script in (*broken, *sound)]

    batches = list(zip(*(calls(slot) for slot in range(AT_ONCE)), strict=True))

    def round_of_calls() -> int:
        for _ in range(5):
            for batch in batches:
                for told, answer in zip(batch, play(yard, list(batch)), strict=True):
                    judge_told(told, answer)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        kept = [round_of_calls() for _ in range(6)]
    finally:
        tracemalloc.stop()
    # The least of some rounds: a batch of rows on its way to the database may be in memory at any one moment.
    assert min(kept[3:]) - min(kept[:3]) < FEW_FLAT_BYTES, kept
