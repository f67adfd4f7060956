"""Anything at all, from either side: the only ways out are an answer, Refused and UpstreamFault."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from waypost.conversation.events import BlockEnded, BlockStarted, Event, Finished
from waypost.conversation.faults import Refused, UpstreamFault
from waypost.dialects.anthropic import DIALECT
from waypost.dialects.dialect import Edits, Shape

REQUEST: dict[str, Any] = {
    "model": "claude-x",
    "max_tokens": 2000,
    "stream": True,
    "temperature": 0.5,
    "stop_sequences": ["x"],
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "metadata": {"user_id": "u", "task": "t"},
    "waypost": {"task": "qa"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    "tools": [{"name": "f", "input_schema": {}}, {"type": "web_search_20250305", "name": "web_search"}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "messages": [
        {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "u"}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "a"}]},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}]}},
            ],
        },
    ],
}
REPLY: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "text", "text": "a", "citations": [{"type": "char_location"}]},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        {"type": "redacted_thinking", "data": "d"},
    ],
    "stop_reason": "stop_sequence",
    "stop_sequence": "x",
    "usage": {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 1}},
}
STREAM: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path]
    if isinstance(value, dict):
        for name, inner in value.items():
            found += paths(inner, (*path, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            found += paths(inner, (*path, place))
    return found


def replaced(value: Any, path: tuple[str | int, ...], new: object) -> Any:
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def mutated(value: Any) -> st.SearchStrategy[bytes]:
    """The JSON of `value` with one part of it replaced by anything, or with a few of its bytes changed or cut."""
    whole = json.dumps(value).encode()
    parts = st.builds(
        lambda path, new: json.dumps(replaced(value, path, new)).encode(), st.sampled_from(paths(value)), anything
    )
    places = st.integers(0, len(whole))
    bytes_ = st.builds(lambda at, to, new: whole[:at] + new + whole[to:], places, places, st.binary(max_size=4))
    return parts | bytes_


@given(mutated(REQUEST))
def test_requests_are_read_or_refused(body: bytes) -> None:
    with suppress(Refused):
        seen = DIALECT.glance(body)
        DIALECT.edit(body, seen, Edits(model="other", max_output=1, remove_options=True))
    request = None
    with suppress(Refused):
        request = DIALECT.read_request(body)
    if request is not None:
        written = DIALECT.write_request(request, Shape(model=request.model))
        again = DIALECT.read_request(written.body)
        assert DIALECT.write_request(again, Shape(model=request.model)).body == written.body


@given(mutated(REPLY))
def test_replies_are_read_or_a_fault(body: bytes) -> None:
    with suppress(UpstreamFault):
        DIALECT.glance_reply(body)
    with suppress(UpstreamFault):
        DIALECT.read_reply(DIALECT.write_reply(DIALECT.read_reply(body), "m"))


def framed(name: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


FRAMES = [framed(data["type"], json.dumps(data).encode()) for data in STREAM]


def broken_at(place: int) -> st.SearchStrategy[list[bytes]]:
    name = STREAM[place]["type"]
    return mutated(STREAM[place]).map(lambda data: [*FRAMES[:place], framed(name, data), *FRAMES[place + 1 :]])


def streams() -> st.SearchStrategy[bytes]:
    """Frames in any order, the right ones with one of them broken, or no frames at all."""
    shuffled = st.lists(st.sampled_from(FRAMES), max_size=12)
    one_broken = st.integers(0, len(STREAM) - 1).flatmap(broken_at)
    return (shuffled | one_broken).map(b"".join) | st.binary(max_size=60)


@given(streams())
def test_streams_are_read_or_a_fault(stream: bytes) -> None:
    framing, reader, watcher = DIALECT.framing(), DIALECT.reader(), DIALECT.watcher(False)
    frames = framing.feed(stream) + framing.end()
    for frame in frames:
        watcher.see(frame)
    events: list[Event] = []
    with suppress(UpstreamFault):
        for frame in frames:
            events += reader.feed(frame)
        events += reader.end()
    started = [event.index for event in events if isinstance(event, BlockStarted)]
    ended = [event.index for event in events if isinstance(event, BlockEnded)]
    assert started == list(range(len(started)))
    assert ended == started[: len(ended)]
    assert Finished() not in events or (events[-1] == Finished() and ended == started)
    writer = DIALECT.writer("m", True)
    for event in events:
        writer.write(event)


@given(st.integers(100, 599), mutated({"type": "error", "error": {"type": "api_error", "message": "m"}}))
def test_any_error_body_is_a_fault(status: int, body: bytes) -> None:
    fault = DIALECT.read_fault(status, {}, body)
    assert fault.status == status
    assert fault.message
