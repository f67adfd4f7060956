"""Anything at all, from either side: the only ways out are an answer, Refused and UpstreamFault."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from waypost.conversation.events import BlockEnded, BlockStarted, Event, Finished
from waypost.conversation.faults import Refused, UpstreamFault
from waypost.dialects.bedrock import DIALECT
from waypost.dialects.dialect import Edits, Shape
from waypost.wire.eventstream import event as message
from waypost.wire.eventstream import exception

REQUEST: dict[str, Any] = {
    "system": [
        {"text": "s"},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"guardContent": {"text": {"text": "g"}}},
    ],
    "inferenceConfig": {"maxTokens": 2000, "temperature": 0.5, "topP": 1, "stopSequences": ["x"]},
    "additionalModelRequestFields": {
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "inferenceConfig": {"topK": 4, "x": 1},
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "output_config": {"effort": "low"},
    },
    "outputConfig": {
        "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{}", "name": "n"}}},
        "effort": "low",
    },
    "requestMetadata": {"task": "t", "k": "v"},
    "serviceTier": {"type": "flex"},
    "performanceConfig": {"latency": "optimized"},
    "promptVariables": {"v": {"text": "t"}},
    "waypost": {"task": "qa"},
    "toolConfig": {
        "tools": [
            {"toolSpec": {"name": "f", "inputSchema": {"json": {}}, "strict": True}},
            {"cachePoint": {"type": "default"}},
            {"systemTool": {"name": "s"}},
        ],
        "toolChoice": {"tool": {"name": "f"}},
    },
    "messages": [
        {
            "role": "user",
            "content": [
                {"image": {"format": "png", "source": {"bytes": "iVBORw=="}}},
                {"document": {"format": "pdf", "name": "d", "source": {"s3Location": {"uri": "s3://b/k"}}}},
                {"audio": {"format": "mp3", "source": {"bytes": "AA=="}}},
                {"text": "hi"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                {"reasoningContent": {"redactedContent": "d2F5cG9zdC5nZW1pbmkueA=="}},
                {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "t", "content": [{"json": {"a": 1}}, {"text": "b"}], "status": "error"}},
                {"cachePoint": {"type": "default"}},
            ],
        },
    ],
}
REPLY: dict[str, Any] = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"text": "a"},
                {"citationsContent": {"content": [{"text": "c"}], "citations": [{"location": {"web": {"url": "u"}}}]}},
                {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}},
                {"toolUse": {"toolUseId": "u", "name": "g", "input": {}, "type": "server_tool_use"}},
                {"toolResult": {"toolUseId": "u", "content": [{"text": "x"}], "type": "r"}},
                {"reasoningContent": {"redactedContent": "AA=="}},
                {"image": {"format": "png", "source": {"bytes": "iVBORw=="}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": {"inputTokens": 1, "outputTokens": 2, "cacheDetails": [{"ttl": "1h", "inputTokens": 1}]},
    "metrics": {"latencyMs": 1},
}
STREAM: list[tuple[str, dict[str, Any]]] = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "a"}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"citation": {"location": {"web": {"url": "u"}}}}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"reasoningContent": {"text": "t"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"reasoningContent": {"signature": "s"}}}),
    ("contentBlockStop", {"contentBlockIndex": 1}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"reasoningContent": {"redactedContent": "AA=="}}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"reasoningContent": {"redactedContent": "AQ=="}}}),
    ("contentBlockStop", {"contentBlockIndex": 2}),
    ("contentBlockStart", {"contentBlockIndex": 3, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"toolUse": {"input": "{}"}}}),
    ("contentBlockStop", {"contentBlockIndex": 3}),
    ("contentBlockStart", {"contentBlockIndex": 4, "start": {"toolResult": {"toolUseId": "u", "type": "r"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 4, "delta": {"toolResult": [{"text": "x"}]}}),
    ("contentBlockStop", {"contentBlockIndex": 4}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 2}, "metrics": {"latencyMs": 1}}),
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
        edited = DIALECT.edit(body, seen, Edits(model="other", max_output=1, remove_options=True))
        assert DIALECT.glance(edited).max_output in (0, 1)
    request = None
    with suppress(Refused):
        request = DIALECT.read_request(body)
    if request is not None:
        written = DIALECT.write_request(request, Shape(model=""))
        again = DIALECT.read_request(written.body)
        assert json.loads(DIALECT.write_request(again, Shape(model="")).body) == json.loads(written.body)


@given(mutated(REPLY))
def test_replies_are_read_or_a_fault(body: bytes) -> None:
    with suppress(UpstreamFault):
        DIALECT.glance_reply(body)
    reply = None
    with suppress(UpstreamFault):
        reply = DIALECT.read_reply(body)
    if reply is not None:
        again = DIALECT.read_reply(DIALECT.write_reply(reply, "m"))
        assert DIALECT.read_reply(DIALECT.write_reply(again, "m")) == again


FRAMES = [message(name, json.dumps(data).encode()) for name, data in STREAM]
FAILING = [exception("throttlingException", b'{"message":"m"}'), message("later", b"{}"), exception("x", b"")]


def broken_at(place: int) -> st.SearchStrategy[list[bytes]]:
    name, data = STREAM[place]
    return mutated(data).map(lambda body: [*FRAMES[:place], message(name, body), *FRAMES[place + 1 :]])


def streams() -> st.SearchStrategy[bytes]:
    """Messages in any order, or the right ones with one of them broken."""
    shuffled = st.lists(st.sampled_from(FRAMES + FAILING), max_size=12)
    one_broken = st.integers(0, len(STREAM) - 1).flatmap(broken_at)
    return (shuffled | one_broken).map(b"".join)


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
    written = b"".join([writer.write(event) for event in events])
    DIALECT.framing().feed(written)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_stream_are_damage_or_nothing(stream: bytes) -> None:
    framing = DIALECT.framing()
    with suppress(ValueError):
        framing.feed(stream)


@given(st.integers(100, 599), mutated({"__type": "a#ThrottlingException", "message": "m"}))
def test_any_error_body_is_a_fault(status: int, body: bytes) -> None:
    fault = DIALECT.read_fault(status, {}, body)
    assert fault.status == status
    assert fault.message


DEEP = b"[" * 100_000 + b"]" * 100_000
PLACES = [
    b'{"messages":[{"role":"user","content":[{"text":"a"},{"toolUse":{"toolUseId":"t","name":"f","input":%s}}]}]}',
    b'{"messages":[{"role":"user","content":[{"video":%s}]}]}',
    b'{"messages":[{"role":"user","content":[{"text":"a"}]}],"additionalModelRequestFields":{"thinking":%s}}',
    b'{"messages":%s}',
    b'{"guardrailConfig":%s,"messages":[{"role":"user","content":[{"text":"\\ud800"}]}]}',
]


def test_deep_nesting_and_lone_surrogates_are_read_or_refused() -> None:
    for place in PLACES:
        for value in (DEEP, b'"\\ud800"', b'"\xff"', b"1" * 5000, b"1e999", b"9007199254740993"):
            for read in (DIALECT.glance, DIALECT.read_request):
                with suppress(Refused):
                    read(place % value)
            with suppress(UpstreamFault):
                DIALECT.read_reply(place % value)
