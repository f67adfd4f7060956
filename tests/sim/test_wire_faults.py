"""Every fault, seen from the socket: which bytes come, and how the connection ends."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from waypost.sim import FaultKind, Simulator, refusing_address

from .conftest import Ask, Heard, encode_request
from .protocols import ALL, BY_NAME, GEMINI_ARRAY, RESPONSES

PROTOCOLS = [protocol.name for protocol in ALL]
_UNAVAILABLE = ("UNAVAILABLE", "ServiceUnavailableException")
# The kind of error in OpenAI's words, in Anthropic's, Google's and Amazon's; Cohere has none.
STATUSES = {
    FaultKind.STATUS_400: ("invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT", "ValidationException"),
    FaultKind.STATUS_401: (
        "invalid_request_error",
        "authentication_error",
        "UNAUTHENTICATED",
        "UnrecognizedClientException",
    ),
    FaultKind.STATUS_403: ("invalid_request_error", "permission_error", "PERMISSION_DENIED", "AccessDeniedException"),
    FaultKind.STATUS_404: ("invalid_request_error", "not_found_error", "NOT_FOUND", "ResourceNotFoundException"),
    FaultKind.STATUS_429: ("requests", "rate_limit_error", "RESOURCE_EXHAUSTED", "ThrottlingException"),
    FaultKind.STATUS_500: ("server_error", "api_error", "INTERNAL", "InternalServerException"),
    FaultKind.STATUS_503: ("service_unavailable_error", "api_error", *_UNAVAILABLE),
    FaultKind.STATUS_529: ("server_error", "overloaded_error", *_UNAVAILABLE),
}
TOO_LONG = {
    "openai": "maximum context length",
    "responses": "exceeds the context window",
    "anthropic": "prompt is too long:",
    "gemini": "exceeds the maximum number of tokens",
    "cohere": "too many tokens:",
    "bedrock": "prompt is too long:",
}
both = pytest.mark.parametrize("protocol", PROTOCOLS)
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def content_of(heard: Heard, protocol: str) -> int:
    """How many events of a stream say something."""
    known = BY_NAME[protocol]
    return sum(map(known.is_content, known.events(heard.body)))


def looks_finished(heard: Heard, protocol: str) -> bool:
    known = BY_NAME[protocol]
    streamed = heard.headers["content-type"].startswith(known.stream_type) and "chunked" in heard.head.decode()
    if streamed and protocol != GEMINI_ARRAY.name:
        return known.finish in heard.data or (known.end_mark is not None and known.end_mark in heard.data)
    return is_json(heard.raw_body) or (streamed and known.finish in heard.data)


def family(protocol: str) -> str:
    return "gemini" if protocol == GEMINI_ARRAY.name else protocol


def error_of(heard: Heard, protocol: str) -> str | None:
    """The kind of an error answer."""
    match family(protocol):
        case "cohere":
            return None
        case "bedrock":
            return heard.headers["x-amzn-errortype"].partition(":")[0]
        case "gemini":
            body = heard.json
            return str((body[0] if isinstance(body, list) else body)["error"]["status"])
        case _:
            return str(heard.json["error"]["type"])


@both
@whole_and_streamed
@pytest.mark.parametrize("kind", STATUSES)
async def test_statuses(ask: Ask, kind: FaultKind, protocol: str, stream: bool) -> None:
    heard = await ask(f"sim-small~{kind}", protocol=protocol, stream=stream)
    openai, anthropic, google, amazon = STATUSES[kind]
    kinds = {"anthropic": anthropic, "gemini": google, "bedrock": amazon, "cohere": None}
    assert heard.status == int(kind.removeprefix("status_"))
    assert heard.headers["content-type"].partition(";")[0] == "application/json"
    assert error_of(heard, protocol) == kinds.get(family(protocol), openai)
    assert BY_NAME[protocol].error_message(heard.json)
    assert "retry-after" not in heard.headers
    if protocol == "anthropic":
        assert heard.json["type"] == "error"
        assert heard.json["request_id"] == heard.headers["request-id"]


@both
async def test_rate_limits_tell_when_to_return(ask: Ask, protocol: str) -> None:
    heard = await ask("sim-small~429(retry_after=2)", protocol=protocol)
    assert (heard.status, heard.headers["retry-after"]) == (429, "2")
    headers = (
        "x-ratelimit-remaining-requests",
        "anthropic-ratelimit-requests-remaining",
        "x-trial-endpoint-call-remaining",
    )
    told = [heard.headers[name] for name in headers if name in heard.headers]
    assert told == ([] if family(protocol) in ("gemini", "bedrock") else ["0"])
    if protocol == "gemini":
        assert heard.json["error"]["details"][-1]["retryDelay"] == "2s"


@both
@whole_and_streamed
async def test_status_502_is_a_proxys_page(ask: Ask, protocol: str, stream: bool) -> None:
    heard = await ask("sim-small~status_502", protocol=protocol, stream=stream)
    assert (heard.status, heard.headers["content-type"]) == (502, "text/html")
    assert b"502 Bad Gateway" in heard.body


@both
@whole_and_streamed
async def test_context_overflow(ask: Ask, protocol: str, stream: bool) -> None:
    heard = await ask("sim-small~context_overflow", protocol=protocol, stream=stream)
    assert heard.status == 400
    assert TOO_LONG[family(protocol)] in BY_NAME[protocol].error_message(heard.json)
    if protocol in ("openai", "responses"):
        assert heard.json["error"]["code"] == "context_length_exceeded"


async def test_connect_refused(simulator: Simulator, ask: Ask) -> None:
    with refusing_address() as refusing:
        for address in (refusing, simulator.refusing_address):
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(*address.split(":"))
    heard = await ask("sim-small~connect_refused")
    assert heard.status == 400
    assert "property of an address" in heard.json["error"]["message"]


async def test_a_simulator_can_refuse_and_accept_again(simulator: Simulator, ask: Ask) -> None:
    address = simulator.address
    await simulator.refuse()
    with pytest.raises(ConnectionRefusedError):
        await ask()
    await simulator.accept()
    assert simulator.address == address
    assert (await ask()).status == 200


@both
@whole_and_streamed
@pytest.mark.parametrize(("kind", "ended"), [(FaultKind.RESET_BEFORE, "reset"), (FaultKind.CLOSE_BEFORE, "end")])
async def test_nothing_comes(ask: Ask, kind: FaultKind, ended: str, protocol: str, stream: bool) -> None:
    assert await ask(f"sim-small~{kind}", protocol=protocol, stream=stream) == Heard(b"", ended)


@both
async def test_reset_after_content(ask: Ask, protocol: str) -> None:
    heard = await ask("sim-small~reset_after(after=3)", protocol=protocol, stream=True)
    assert heard.ended == "reset"
    assert content_of(heard, protocol) == 3
    assert not looks_finished(heard, protocol)


async def test_reset_after_half_a_body(ask: Ask) -> None:
    heard = await ask("sim-small~reset_after")
    assert heard.ended == "reset"
    assert 0 < len(heard.raw_body) < int(heard.headers["content-length"])


@whole_and_streamed
async def test_reset_inside_the_head(ask: Ask, stream: bool) -> None:
    heard = await ask("sim-small~reset_after(after=0)", stream=stream)
    assert heard == Heard(b"HTTP/1.1 200 OK\r\ncon", "reset")


@both
@whole_and_streamed
async def test_stall_before(
    simulator: Simulator, connect: Callable[[], Awaitable[socket.socket]], protocol: str, stream: bool
) -> None:
    connection = await connect()
    await send_stalling(connection, "stall_before", protocol, stream)
    await simulator.until(lambda: simulator.received_count == 1)
    with pytest.raises(BlockingIOError):
        connection.recv(1)
    connection.close()
    await simulator.until(lambda: simulator.open_connections == 0)
    assert (simulator.answered_count, simulator.abandoned_count) == (0, 1)


async def send_stalling(connection: socket.socket, fault: str, protocol: str, stream: bool) -> None:
    asking = BY_NAME[protocol].asking("sim-small", f"Wait [[sim:{fault}]]", {"stream": stream})
    request = encode_request(asking.path, asking.body, asking.headers)
    await asyncio.get_running_loop().sock_sendall(connection, request)


@both
@whole_and_streamed
async def test_stall_mid(
    simulator: Simulator, connect: Callable[[], Awaitable[socket.socket]], protocol: str, stream: bool
) -> None:
    connection = await connect()
    await send_stalling(connection, "stall_mid(after=1)", protocol, stream)
    data = await asyncio.get_running_loop().sock_recv(connection, 1 << 16)
    heard = Heard(data, "open")
    if stream:
        assert content_of(heard, protocol) == 1
    else:
        assert 0 < len(heard.raw_body) < int(heard.headers["content-length"])
    with pytest.raises(BlockingIOError):
        connection.recv(1)
    connection.close()
    await simulator.until(lambda: simulator.open_connections == 0)
    assert (simulator.answered_count, simulator.abandoned_count) == (0, 1)


@both
async def test_truncated_stream_ends_well_and_says_too_little(ask: Ask, protocol: str) -> None:
    heard = await ask("sim-small~truncated", protocol=protocol, stream=True)
    complete = await ask("sim-small", protocol=protocol, stream=True)
    assert heard.chunks[-1] == b""
    assert not looks_finished(heard, protocol)
    assert content_of(heard, protocol) == content_of(complete, protocol)
    early = await ask("sim-small~truncated(after=2)", protocol=protocol, stream=True)
    assert content_of(early, protocol) == 2


@both
async def test_truncated_body_is_short_of_its_length(ask: Ask, protocol: str) -> None:
    heard = await ask("sim-small~truncated", protocol=protocol)
    assert heard.ended == "end"
    assert 0 < len(heard.raw_body) < int(heard.headers["content-length"])


@both
@whole_and_streamed
async def test_truncated_chunk_lacks_the_last(ask: Ask, protocol: str, stream: bool) -> None:
    heard = await ask("sim-small~truncated_chunk", protocol=protocol, stream=stream)
    assert heard.ended == "end"
    assert heard.chunks
    assert b"" not in heard.chunks
    assert not looks_finished(heard, protocol)


@both
async def test_malformed_body(ask: Ask, protocol: str) -> None:
    heard = await ask("sim-small~malformed_json", protocol=protocol)
    assert (heard.status, len(heard.raw_body)) == (200, int(heard.headers["content-length"]))
    with pytest.raises(json.JSONDecodeError):
        _ = heard.json


@both
async def test_malformed_event(ask: Ask, protocol: str) -> None:
    heard = await ask("sim-small~malformed_json(after=1)", protocol=protocol, stream=True)
    known = BY_NAME[protocol]
    pieces = known.pieces(heard.body)
    good = [is_json(piece) for piece in pieces]
    assert good.count(False) == 1
    assert sum(map(known.is_content, map(json.loads, pieces[: good.index(False)]))) == 1
    assert looks_finished(heard, protocol)


def is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


@both
@whole_and_streamed
async def test_wrong_content_type(ask: Ask, protocol: str, stream: bool) -> None:
    heard = await ask("sim-small~wrong_content_type", protocol=protocol, stream=stream)
    assert (heard.status, heard.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert heard.body.startswith(b"<!DOCTYPE html>")


@both
@pytest.mark.parametrize("after", [0, 2])
async def test_error_event(ask: Ask, protocol: str, after: int) -> None:
    heard = await ask(f"sim-small~error_event(after={after})", protocol=protocol, stream=True)
    assert (heard.status, heard.chunks[-1]) == (200, b"")
    assert content_of(heard, protocol) == after
    known = BY_NAME[protocol]
    events = known.events(heard.body)
    assert known.error_message(events[-1]) == "Overloaded"
    assert known.finish not in heard.data
    if not after:
        assert len(events) == 1
    match protocol:
        case "anthropic":
            assert b"event: error\n" in heard.body
        case "responses":
            assert events[-1]["type"] == ("response.failed" if after else "error")
            assert [event["sequence_number"] for event in events] == list(range(len(events)))
        case "bedrock":
            assert b":exception-type\x07\x00\x1bserviceUnavailableException" in heard.body
        case "gemini_array":
            assert heard.json[-1]["error"]["status"] == "UNAVAILABLE"


@both
async def test_error_in_a_whole_answer(ask: Ask, protocol: str) -> None:
    heard = await ask("sim-small~error_event(message=busy)", protocol=protocol)
    assert (heard.status, BY_NAME[protocol].error_message(heard.json)) == (200, "busy")


@both
@whole_and_streamed
async def test_empty_body(ask: Ask, protocol: str, stream: bool) -> None:
    heard = await ask("sim-small~empty_body", protocol=protocol, stream=stream)
    assert (heard.status, heard.headers["content-length"], heard.raw_body) == (200, "0", b"")


@both
@whole_and_streamed
async def test_empty_stream(ask: Ask, protocol: str, stream: bool) -> None:
    heard = await ask("sim-small~empty_stream", protocol=protocol, stream=stream)
    assert heard.status == 200
    expected = BY_NAME[protocol].stream_type if stream else "text/event-stream"
    assert heard.headers["content-type"].startswith(expected)
    assert heard.chunks == [b""]


@both
@whole_and_streamed
async def test_slow_trickle(ask: Ask, waits: list[float], protocol: str, stream: bool) -> None:
    plain = await ask("sim-small", protocol=protocol, stream=stream)
    assert not waits
    heard = await ask("sim-small~slow_trickle(size=5; pause_ms=3)", protocol=protocol, stream=stream)
    assert len(waits) == -(-len(heard.data) // 5)
    assert set(waits) == {0.003}
    assert without_model(heard.body) == without_model(plain.body)


def without_model(body: bytes) -> bytes:
    """A faulty answer, but for the name it was asked under."""
    start = body.find(b"sim-small~")
    while start >= 0:
        body = body[: start + 9] + body[body.index(b'"', start) :]
        start = body.find(b"sim-small~")
    return body


@both
@whole_and_streamed
async def test_bad_chunk(ask: Ask, protocol: str, stream: bool) -> None:
    heard = await ask("sim-small~bad_chunk", protocol=protocol, stream=stream)
    assert heard.headers["transfer-encoding"] == "chunked"
    assert heard.data.endswith(b"\r\nZZ\r\nnot a chunk\r\n")
    assert not looks_finished(heard, protocol)


@both
@whole_and_streamed
async def test_huge_header(ask: Ask, protocol: str, stream: bool) -> None:
    heard = await ask("sim-small~huge_header", protocol=protocol, stream=stream)
    assert len(heard.headers["x-sim-padding"]) == 128 * 1024
    small = await ask("sim-small~huge_header(size=10)", protocol=protocol, stream=stream)
    assert small.headers["x-sim-padding"] == "a" * 10
    assert looks_finished(small, protocol)


@both
@whole_and_streamed
async def test_garbage(ask: Ask, protocol: str, stream: bool) -> None:
    heard = await ask("sim-small~garbage", protocol=protocol, stream=stream)
    assert heard.data
    assert not heard.data.startswith(b"HTTP/")
    assert heard.ended == "end"


@both
async def test_sse_split(ask: Ask, protocol: str) -> None:
    plain = await ask("sim-echo", "naïve 日本語 ☕", protocol=protocol, stream=True)
    heard = await ask("sim-echo~sse_split", "naïve 日本語 ☕", protocol=protocol, stream=True)
    assert without_model(heard.body.replace(b"sim-echo~sse_split", b"sim-echo")) == plain.body
    assert any(not is_utf8(chunk) for chunk in heard.chunks)
    assert any(chunk.endswith(b":") for chunk in heard.chunks)
    if BY_NAME[protocol].stream_type == "text/event-stream":
        assert any(chunk.endswith((b"\n", b"\r")) and not chunk.endswith(b"\n\n") for chunk in heard.chunks)
        assert any(chunk.endswith(b"data:") for chunk in heard.chunks)


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


async def test_a_split_body_is_whole_again(ask: Ask, waits: list[float]) -> None:
    heard = await ask("sim-echo~sse_split", "naïve")
    assert heard.json["choices"][0]["message"]["content"] == "naïve"
    assert len(waits) > 10


@both
async def test_no_done(ask: Ask, protocol: str) -> None:
    heard = await ask("sim-small~no_done", protocol=protocol, stream=True)
    plain = await ask("sim-small", protocol=protocol, stream=True)
    mark = BY_NAME[protocol].end_mark
    assert heard.chunks[-1] == b""
    if mark is None:  # a protocol whose streams just end
        assert without_model(heard.body) == without_model(plain.body)
        return
    assert mark in plain.body
    assert mark not in heard.body
    assert without_model(plain.body).startswith(without_model(heard.body))
    # Where the end mark is what says why it stopped, that is missing, too.
    assert looks_finished(heard, protocol) is (protocol != RESPONSES.name)


@both
async def test_duplicate_usage(ask: Ask, protocol: str) -> None:
    known = BY_NAME[protocol]
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if protocol == "openai" else {}
    heard = await ask("sim-small~duplicate_usage", protocol=protocol, stream=True, **options)
    told = [event for event in known.events(heard.body) if known.final(event)]
    assert len(told) == 2
    assert told[0] == told[1]
    assert known.usage(told[0])[1]
    starts = [event for event in known.events(heard.body) if event.get("type") == "message_start"]
    assert len(starts) == (1 if protocol == "anthropic" else 0)


@both
@whole_and_streamed
async def test_no_usage(ask: Ask, protocol: str, stream: bool) -> None:
    asked = {"stream_options": {"include_usage": True}} if stream and protocol == "openai" else {}
    heard = await ask("sim-small~no_usage", protocol=protocol, stream=stream, **asked)
    assert b"usage" not in heard.body.replace(b"no_usage", b"")
    assert looks_finished(heard, protocol)


def test_every_kind_is_tested_here() -> None:
    from pathlib import Path

    text = Path(__file__).read_text()
    untested = [kind for kind in FaultKind if kind not in text and f"FaultKind.{kind.name}" not in text]
    assert not untested
