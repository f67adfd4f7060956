"""Every fault, seen from the socket: which bytes come, and how the connection ends."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from waypost.sim import FaultKind, Simulator, refusing_address

from .conftest import ANTHROPIC_HEADERS, Ask, Heard, encode_request

PROTOCOLS = ["openai", "anthropic"]
STATUSES = {
    FaultKind.STATUS_400: ("invalid_request_error", "invalid_request_error"),
    FaultKind.STATUS_401: ("invalid_request_error", "authentication_error"),
    FaultKind.STATUS_403: ("invalid_request_error", "permission_error"),
    FaultKind.STATUS_404: ("invalid_request_error", "not_found_error"),
    FaultKind.STATUS_429: ("requests", "rate_limit_error"),
    FaultKind.STATUS_500: ("server_error", "api_error"),
    FaultKind.STATUS_503: ("service_unavailable_error", "api_error"),
    FaultKind.STATUS_529: ("server_error", "overloaded_error"),
}
both = pytest.mark.parametrize("protocol", PROTOCOLS)
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def is_content(event: Any) -> bool:
    if event == "[DONE]":
        return False
    if event.get("type") == "content_block_delta":
        return True
    return any(choice["delta"].get("content") for choice in event.get("choices", ()))


def looks_finished(heard: Heard) -> bool:
    return any(mark in heard.data for mark in (b"[DONE]", b"message_stop", b'"stop_reason":"', b'"finish_reason":"'))


@both
@whole_and_streamed
@pytest.mark.parametrize("kind", STATUSES)
async def test_statuses(ask: Ask, kind: FaultKind, protocol: str, stream: bool) -> None:
    heard = await ask(f"sim-small~{kind}", protocol=protocol, stream=stream)
    assert heard.status == int(kind.removeprefix("status_"))
    assert heard.headers["content-type"] == "application/json"
    assert heard.json["error"]["type"] == STATUSES[kind][PROTOCOLS.index(protocol)]
    assert "retry-after" not in heard.headers
    if protocol == "anthropic":
        assert heard.json["type"] == "error"
        assert heard.json["request_id"] == heard.headers["request-id"]


@both
async def test_rate_limits_tell_when_to_return(ask: Ask, protocol: str) -> None:
    heard = await ask("sim-small~429(retry_after=2)", protocol=protocol)
    assert (heard.status, heard.headers["retry-after"]) == (429, "2")
    assert "0" in (
        heard.headers.get("x-ratelimit-remaining-requests"),
        heard.headers.get("anthropic-ratelimit-requests-remaining"),
    )


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
    error = heard.json["error"]
    if protocol == "openai":
        assert error["code"] == "context_length_exceeded"
    else:
        assert error["message"].startswith("prompt is too long:")


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
    assert sum(map(is_content, heard.events)) == 3
    assert not looks_finished(heard)


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
    message = {"role": "user", "content": f"Wait [[sim:{fault}]]"}
    body = {"model": "sim-small", "messages": [message], "max_tokens": 99, "stream": stream}
    path = "/v1/chat/completions" if protocol == "openai" else "/v1/messages"
    await asyncio.get_running_loop().sock_sendall(connection, encode_request(path, body, ANTHROPIC_HEADERS))


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
        assert sum(map(is_content, heard.events)) == 1
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
    assert not looks_finished(heard)
    assert sum(map(is_content, heard.events)) == sum(map(is_content, complete.events))
    early = await ask("sim-small~truncated(after=2)", protocol=protocol, stream=True)
    assert sum(map(is_content, early.events)) == 2


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
    assert not looks_finished(heard)


@both
async def test_malformed_body(ask: Ask, protocol: str) -> None:
    heard = await ask("sim-small~malformed_json", protocol=protocol)
    assert (heard.status, len(heard.raw_body)) == (200, int(heard.headers["content-length"]))
    with pytest.raises(json.JSONDecodeError):
        _ = heard.json


@both
async def test_malformed_event(ask: Ask, protocol: str) -> None:
    heard = await ask("sim-small~malformed_json(after=1)", protocol=protocol, stream=True)
    data = [line[6:] for line in heard.body.split(b"\n") if line.startswith(b"data: ") and line != b"data: [DONE]"]
    good = [is_json(line) for line in data]
    assert good.count(False) == 1
    assert sum(map(is_content, map(json.loads, data[: good.index(False)]))) == 1
    assert looks_finished(heard)


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
    assert sum(map(is_content, heard.events)) == after
    assert heard.events[-1]["error"]["message"] == "Overloaded"
    assert not looks_finished(heard)
    if not after:
        assert len(heard.events) == 1
    if protocol == "anthropic":
        assert b"event: error\n" in heard.body


@both
async def test_error_in_a_whole_answer(ask: Ask, protocol: str) -> None:
    heard = await ask("sim-small~error_event(message=busy)", protocol=protocol)
    assert (heard.status, heard.json["error"]["message"]) == (200, "busy")


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
    assert heard.headers["content-type"].startswith("text/event-stream")
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
    assert not looks_finished(heard)


@both
@whole_and_streamed
async def test_huge_header(ask: Ask, protocol: str, stream: bool) -> None:
    heard = await ask("sim-small~huge_header", protocol=protocol, stream=stream)
    assert len(heard.headers["x-sim-padding"]) == 128 * 1024
    small = await ask("sim-small~huge_header(size=10)", protocol=protocol, stream=stream)
    assert small.headers["x-sim-padding"] == "a" * 10
    assert looks_finished(small)


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
    assert any(chunk.endswith(b"\n") and not chunk.endswith(b"\n\n") for chunk in heard.chunks)
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
    assert b"[DONE]" not in heard.body
    assert b"message_stop" not in heard.body
    assert looks_finished(heard)
    assert heard.chunks[-1] == b""


@both
async def test_duplicate_usage(ask: Ask, protocol: str) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if protocol == "openai" else {}
    heard = await ask("sim-small~duplicate_usage", protocol=protocol, stream=True, **options)
    told = [event["usage"] for event in heard.events if event != "[DONE]" and event.get("usage")]
    assert len(told) == 2
    assert told[0] == told[1]
    starts = [event for event in heard.events if event != "[DONE]" and event.get("type") == "message_start"]
    assert len(starts) == (1 if protocol == "anthropic" else 0)


@both
@whole_and_streamed
async def test_no_usage(ask: Ask, protocol: str, stream: bool) -> None:
    asked = {"stream_options": {"include_usage": True}} if stream and protocol == "openai" else {}
    heard = await ask("sim-small~no_usage", protocol=protocol, stream=stream, **asked)
    assert b"usage" not in heard.body.replace(b"no_usage", b"")
    assert looks_finished(heard)


def test_every_kind_is_tested_here() -> None:
    from pathlib import Path

    text = Path(__file__).read_text()
    untested = [kind for kind in FaultKind if kind not in text and f"FaultKind.{kind.name}" not in text]
    assert not untested
