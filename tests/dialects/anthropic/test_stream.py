"""Streams of this protocol → events, and what the watcher of a relayed one sees."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from msgspec import Raw

from waypost.conversation.blocks import Opaque, RedactedThinking, Text, Thinking, ToolCall
from waypost.conversation.events import (
    BlockEnded,
    BlockStarted,
    Delta,
    Event,
    Failed,
    Finished,
    Reported,
    Started,
    Stopped,
)
from waypost.conversation.faults import FaultKind, UpstreamFault
from waypost.conversation.reply import Stop, StopKind, Usage
from waypost.dialects.anthropic import DIALECT
from waypost.dialects.dialect import Seen
from waypost.wire.frames import Frame

Wire = dict[str, Any]


def encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def frame(data: Wire, named: bool = True) -> Frame:
    return Frame(b"", encoded(data), data["type"] if named else None)


def start(**message: object) -> Wire:
    return {"type": "message_start", "message": {"id": "msg_1", "model": "claude-x", **message}}


def begin(block: Wire, index: int = 0) -> Wire:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(kind: str, index: int = 0, **members: object) -> Wire:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **members}}


def end(index: int = 0) -> Wire:
    return {"type": "content_block_stop", "index": index}


def stopping(reason: str | None = "end_turn", usage: Wire | None = None, sequence: str | None = None) -> Wire:
    message: Wire = {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": sequence}}
    return message if usage is None else {**message, "usage": usage}


STOP: Wire = {"type": "message_stop"}
TEXT: Wire = {"type": "text", "text": ""}
THINKING: Wire = {"type": "thinking", "thinking": "", "signature": ""}
TOOL: Wire = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
SERVER: Wire = {"type": "server_tool_use", "id": "s", "name": "n", "input": {}}
CITATION: Wire = {"type": "char_location", "cited_text": "x"}


def read(frames: Iterable[Wire], named: bool = True) -> list[Event]:
    reader = DIALECT.reader()
    return [event for data in frames for event in reader.feed(frame(data, named))] + reader.end()


BLOCKS: list[tuple[str, list[Wire], list[Event]]] = [
    (
        "text",
        [begin(TEXT), {"type": "ping"}, delta("text_delta", text="a"), delta("text_delta", text=""), end()],
        [BlockStarted(0, Text("")), Delta(0, text="a"), BlockEnded(0)],
    ),
    (
        "text given with the start",
        [begin({"type": "text", "text": "a", "citations": [CITATION]}), end()],
        [
            BlockStarted(0, Text("")),
            Delta(0, text="a"),
            Delta(0, citation=Raw(encoded(CITATION))),
            BlockEnded(0),
        ],
    ),
    (
        "citations",
        [begin(TEXT), delta("citations_delta", citation=CITATION), end()],
        [BlockStarted(0, Text("")), Delta(0, citation=Raw(encoded(CITATION))), BlockEnded(0)],
    ),
    (
        "thinking",
        [
            begin(THINKING),
            delta("thinking_delta", thinking="hm"),
            delta("signature_delta", signature="s"),
            end(),
            begin({"type": "redacted_thinking", "data": "d"}, 1),
            end(1),
        ],
        [
            BlockStarted(0, Thinking("", None, "anthropic")),
            Delta(0, text="hm"),
            Delta(0, signature="s"),
            BlockEnded(0),
            BlockStarted(1, RedactedThinking("d", "anthropic")),
            BlockEnded(1),
        ],
    ),
    (
        "thinking given with the start",
        [begin({"type": "thinking", "thinking": "hm", "signature": "s"}), end()],
        [
            BlockStarted(0, Thinking("", None, "anthropic")),
            Delta(0, text="hm"),
            Delta(0, signature="s"),
            BlockEnded(0),
        ],
    ),
    (
        "tool call",
        [
            begin(TOOL),
            delta("input_json_delta", partial_json=""),
            delta("input_json_delta", partial_json='{"a"'),
            delta("input_json_delta", partial_json=":1}"),
            end(),
        ],
        [
            BlockStarted(0, ToolCall("toolu_1", "f", "")),
            Delta(0, arguments='{"a"'),
            Delta(0, arguments=":1}"),
            BlockEnded(0),
        ],
    ),
    (
        "tool call without arguments",
        [begin(TOOL), delta("input_json_delta", partial_json=""), end()],
        [BlockStarted(0, ToolCall("toolu_1", "f", "")), Delta(0, arguments="{}"), BlockEnded(0)],
    ),
    (
        "tool call given with the start",
        [begin({**TOOL, "input": {"a": 1}}), end()],
        [BlockStarted(0, ToolCall("toolu_1", "f", "")), Delta(0, arguments='{"a":1}'), BlockEnded(0)],
    ),
    (
        "server tool",
        [begin(SERVER), delta("input_json_delta", partial_json="{}"), end()],
        [
            BlockStarted(0, Opaque("anthropic", "server_tool_use", Raw(encoded(SERVER)))),
            Delta(0, opaque=Raw(b'{"type":"input_json_delta","partial_json":"{}"}')),
            BlockEnded(0),
        ],
    ),
    (
        "delta of a kind to come",
        [begin(TEXT), delta("whispered_delta", volume=1), end()],
        [
            BlockStarted(0, Text("")),
            Delta(0, opaque=Raw(b'{"type":"whispered_delta","volume":1}')),
            BlockEnded(0),
        ],
    ),
    (
        "indices of its own",
        [begin(TEXT, 3), delta("text_delta", 3, text="a"), end(3), begin(TOOL, 7), end(7)],
        [
            BlockStarted(0, Text("")),
            Delta(0, text="a"),
            BlockEnded(0),
            BlockStarted(1, ToolCall("toolu_1", "f", "")),
            Delta(1, arguments="{}"),
            BlockEnded(1),
        ],
    ),
    (
        "a stop of a block left unsaid",
        [begin(TEXT), delta("text_delta", text="a"), begin(TEXT, 1)],
        [BlockStarted(0, Text("")), Delta(0, text="a"), BlockEnded(0), BlockStarted(1, Text("")), BlockEnded(1)],
    ),
    ("an event of a kind to come", [{"type": "weather", "sun": True}], []),
]


@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
@pytest.mark.parametrize(("frames", "events"), [case[1:] for case in BLOCKS], ids=[case[0] for case in BLOCKS])
def test_blocks(frames: list[Wire], events: list[Event], named: bool) -> None:
    assert read([start(), *frames, stopping(), STOP], named) == [
        Started("msg_1", "claude-x"),
        *events,
        Stopped(Stop(StopKind.END, "end_turn")),
        Finished(),
    ]


USAGE_FRAMES = [
    start(
        usage={
            "input_tokens": 10,
            "cache_read_input_tokens": 2,
            "cache_creation_input_tokens": 3,
            "cache_creation": {"ephemeral_1h_input_tokens": 1},
            "output_tokens": 1,
        }
    ),
    stopping(None, {"output_tokens": 50, "output_tokens_details": {"thinking_tokens": 20}}),
    stopping("stop_sequence", {"output_tokens": 60, "input_tokens": 11}, "END"),
    STOP,
]
INPUT = Usage(input=10, cache_read=2, cache_write=3, cache_write_1h=1)
HALF = Usage(input=10, cache_read=2, cache_write=3, cache_write_1h=1, output=30, reasoning=20)
WHOLE = Usage(input=11, cache_read=2, cache_write=3, cache_write_1h=1, output=40, reasoning=20)


def test_usage_is_told_as_it_grows_and_output_only_once_it_is_real() -> None:
    assert read(USAGE_FRAMES) == [
        Started("msg_1", "claude-x"),
        Reported(INPUT),
        Reported(HALF),
        Reported(WHOLE),
        Stopped(Stop(StopKind.STOP_SEQUENCE, "stop_sequence", "END")),
        Finished(),
    ]


@pytest.mark.parametrize("length", range(5))
def test_a_cut_stream_says_so(length: int) -> None:
    frames = [start(), begin(TEXT), delta("text_delta", text="a"), end(), stopping()][:length]
    *_, last = read(frames)
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultKind.TRUNCATED
    assert Finished() not in read(frames)


def test_nothing_follows_the_end() -> None:
    assert read([start(), STOP, begin(TEXT), {"type": "error"}]) == [Started("msg_1", "claude-x"), Finished()]


def test_an_error_event_ends_the_stream() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    events = read([start(), begin(TEXT), error, delta("text_delta", text="late")])
    assert isinstance(events[-1], Failed)
    assert (events[-1].fault.kind, events[-1].fault.message) == (FaultKind.OVERLOADED, "busy")
    assert BlockEnded(0) not in events


BROKEN: list[tuple[str | None, bytes]] = [
    ("message_start", b"{"),
    ("message_start", b'{"type":"message_start"}'),
    ("message_stop", b"<html>"),
    ("content_block_delta", b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}'),
    ("content_block_start", b'{"index":0,"content_block":{"type":"text","text":""}}'),
    ("content_block_stop", b'{"index":0}'),
    ("message_delta", b"{}"),
    (None, b"[DONE"),
    (None, b'{"object":"chat.completion.chunk"}'),
    (None, b'{"type":"\xff"}'),
]


@pytest.mark.parametrize(("event", "data"), BROKEN)
def test_what_is_not_the_protocol_is_a_fault(event: str | None, data: bytes) -> None:
    with pytest.raises(UpstreamFault) as caught:
        DIALECT.reader().feed(Frame(b"", data, event))
    assert caught.value.fault.kind is FaultKind.MALFORMED


MISPLACED: list[list[Wire]] = [
    [start(), start()],
    [start(), begin(TEXT), delta("text_delta", 1, text="a")],
    [start(), begin(TEXT), end(1)],
    [start(), begin(TEXT), end(), end()],
    [start(), begin(TEXT), end(), delta("text_delta", text="a")],
    [start(), begin(TEXT), delta("input_json_delta", partial_json="{")],
    [start(), begin(TOOL), delta("text_delta", text="a")],
]


@pytest.mark.parametrize("frames", MISPLACED)
def test_what_stands_in_the_wrong_place_is_a_fault(frames: list[Wire]) -> None:
    with pytest.raises(UpstreamFault) as caught:
        read(frames)
    assert caught.value.fault.kind is FaultKind.MALFORMED


def test_frames_without_data_say_nothing() -> None:
    assert DIALECT.reader().feed(Frame(b": hello\n\n")) == []
    assert DIALECT.watcher(False).see(Frame(b": hello\n\n")) == Seen()


def watched(frames: Iterable[Wire], named: bool = True) -> list[Seen]:
    watcher = DIALECT.watcher(True)
    return [watcher.see(frame(data, named)) for data in frames]


WATCHED: list[tuple[Wire, bool]] = [
    (start(), False),
    ({"type": "ping"}, False),
    (begin(TEXT), False),
    (begin(THINKING), False),
    (begin({"type": "text", "text": "a"}), True),
    (begin(TOOL), True),
    (begin(SERVER), True),
    (begin({"type": "redacted_thinking", "data": "d"}), True),
    (delta("text_delta", text="a"), True),
    (delta("thinking_delta", thinking="a"), True),
    (end(), False),
    (stopping(None), False),
]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(("data", "content"), WATCHED, ids=lambda value: str(value)[:60])
def test_the_watcher_knows_content(data: Wire, content: bool, named: bool) -> None:
    assert watched([data], named) == [Seen(content=content)]


@pytest.mark.parametrize("named", [True, False])
def test_the_watcher_sees_usage_stop_and_end(named: bool) -> None:
    assert watched(USAGE_FRAMES, named) == [
        Seen(usage=INPUT),
        Seen(usage=HALF),
        Seen(usage=WHOLE, stop=Stop(StopKind.STOP_SEQUENCE, "stop_sequence", "END")),
        Seen(finished=True),
    ]


def test_the_watcher_sees_an_error_event() -> None:
    (seen,) = watched([{"type": "error", "error": {"type": "api_error", "message": "sk-abcdef123456 broke"}}])
    assert seen.fault is not None
    assert (seen.fault.kind, seen.fault.message) == (FaultKind.SERVER_ERROR, "[redacted] broke")


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("content_block_delta", b'{"type":"content_bl'),
        ("content_block_delta", b""),
        ("content_block_start", b'{"type":"content_bl'),
        ("message_start", b"[]"),
        ("message_delta", b'{"usage":5}'),
        (None, b"oops"),
    ],
)
def test_the_watcher_sees_what_is_not_the_protocol(event: str | None, data: bytes) -> None:
    fault = DIALECT.watcher(False).see(Frame(b"", data, event)).fault
    assert fault is not None
    assert fault.kind is FaultKind.MALFORMED
