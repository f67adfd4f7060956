"""Events → streams of this protocol, checked with the official SDK's own types and reader."""

import json
from typing import Any

import pytest
from anthropic.types import RawMessageStreamEvent
from msgspec import Raw
from pydantic import TypeAdapter

from waypost.conversation.blocks import (
    Audio,
    Opaque,
    RedactedThinking,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
)
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
from waypost.conversation.faults import CallerError, ErrorKind, Fault, FaultKind
from waypost.conversation.reply import Stop, StopKind, Usage
from waypost.dialects.anthropic import DIALECT

SDK: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
Wire = dict[str, Any]


def parse(stream: bytes) -> list[Wire]:
    framing = DIALECT.framing()
    frames = framing.feed(stream)
    assert framing.end() == []
    events = []
    for frame in frames:
        assert frame.data is not None
        data = json.loads(frame.data)
        assert data["type"] == frame.event
        if data["type"] not in ("error", "ping"):
            SDK.validate_json(frame.data)
        events.append(data)
    return events


def write(*events: Event) -> list[Wire]:
    writer = DIALECT.writer("asked-for", True)
    return parse(b"".join([writer.write(event) for event in events]))


def begun(block: Wire, index: int = 0) -> Wire:
    return {"type": "content_block_start", "index": index, "content_block": block}


def changed(delta: Wire, index: int = 0) -> Wire:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def ended(index: int = 0) -> Wire:
    return {"type": "content_block_stop", "index": index}


TEXT: Wire = {"type": "text", "text": ""}
THINKING: Wire = {"type": "thinking", "thinking": "", "signature": ""}
TOOL: Wire = {"type": "tool_use", "id": "call_1", "name": "f", "input": {}}
LOCATION = Raw(b'{"cited_text":"x","document_index":0,"end_char_index":1,"start_char_index":0,"type":"char_location"}')
SERVER = Raw(b'{"type":"server_tool_use","id":"s","name":"web_search","input":{}}')
SERVER_DELTA = Raw(b'{"type":"input_json_delta","partial_json":"{}"}')


def test_a_whole_stream() -> None:
    events = write(
        Started("chatcmpl-1", "gpt-x", 7),
        BlockStarted(0, Text("")),
        Delta(0, text="hel"),
        Delta(0, text="lo"),
        BlockEnded(0),
        Stopped(Stop(StopKind.TOOL, "tool_calls")),
        Reported(Usage(input=3, cache_read=2, output=4, reasoning=1)),
        Finished(),
    )
    started, *rest = events
    assert started["message"].pop("id").startswith("msg_")
    assert started == {
        "type": "message_start",
        "message": {
            "type": "message",
            "role": "assistant",
            "model": "gpt-x",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        },
    }
    assert rest == [
        begun(TEXT),
        changed({"type": "text_delta", "text": "hel"}),
        changed({"type": "text_delta", "text": "lo"}),
        ended(),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {
                "input_tokens": 3,
                "cache_read_input_tokens": 2,
                "output_tokens": 5,
                "output_tokens_details": {"thinking_tokens": 1},
            },
        },
        {"type": "message_stop"},
    ]


BLOCKS: list[tuple[str, list[Event], list[Wire]]] = [
    ("empty text", [BlockStarted(0, Text("")), Delta(0, text=""), BlockEnded(0)], []),
    ("empty thinking", [BlockStarted(0, Thinking("")), BlockEnded(0)], []),
    (
        "refusal",
        [BlockStarted(0, Refusal("")), Delta(0, text="no"), BlockEnded(0)],
        [begun(TEXT), changed({"type": "text_delta", "text": "no"}), ended()],
    ),
    (
        "text at the start",
        [BlockStarted(0, Text("a", None, (LOCATION,))), BlockEnded(0)],
        [
            begun(TEXT),
            changed({"type": "text_delta", "text": "a"}),
            changed({"type": "citations_delta", "citation": json.loads(bytes(LOCATION))}),
            ended(),
        ],
    ),
    (
        "citations",
        [
            BlockStarted(0, Text("")),
            Delta(0, citation=Raw(b'{"type":"url_citation"}')),
            Delta(0, citation=LOCATION),
            BlockEnded(0),
        ],
        [
            begun(TEXT),
            changed({"type": "citations_delta", "citation": json.loads(bytes(LOCATION))}),
            ended(),
        ],
    ),
    (
        "own thinking",
        [
            BlockStarted(0, Thinking("", None, "anthropic")),
            Delta(0, text="hm"),
            Delta(0, signature="s"),
            BlockEnded(0),
        ],
        [
            begun(THINKING),
            changed({"type": "thinking_delta", "thinking": "hm"}),
            changed({"type": "signature_delta", "signature": "s"}),
            ended(),
        ],
    ),
    (
        "another's thinking",
        [
            BlockStarted(0, Thinking("", None, "gemini")),
            Delta(0, text="hm"),
            Delta(0, signature="s"),
            BlockEnded(0),
        ],
        [
            begun(THINKING),
            changed({"type": "thinking_delta", "thinking": "hm"}),
            changed({"type": "signature_delta", "signature": "waypost.gemini.s"}),
            ended(),
        ],
    ),
    (
        "thinking whose text is kept back",
        [BlockStarted(0, Thinking("", None, "anthropic")), Delta(0, signature="s"), BlockEnded(0)],
        [begun(THINKING), changed({"type": "signature_delta", "signature": "s"}), ended()],
    ),
    (
        "another's signature in a block of its own, after the words",
        [
            BlockStarted(0, Thinking("", None, "gemini")),
            Delta(0, text="hm"),
            BlockEnded(0),
            BlockStarted(1, Thinking("", None, "gemini")),
            Delta(1, signature="s"),
            BlockEnded(1),
            BlockStarted(2, ToolCall("call_1", "f", "")),
            BlockEnded(2),
        ],
        [
            begun(THINKING),
            changed({"type": "thinking_delta", "thinking": "hm"}),
            changed({"type": "signature_delta", "signature": "waypost.gemini.s"}),
            ended(),
            begun(TOOL, 1),
            ended(1),
        ],
    ),
    (
        "another's signature of words that were not shown",
        [
            BlockStarted(0, Text("")),
            Delta(0, text="done"),
            BlockEnded(0),
            BlockStarted(1, Thinking("", None, "gemini")),
            Delta(1, signature="s"),
            BlockEnded(1),
            BlockStarted(2, ToolCall("call_1", "f", "")),
            BlockEnded(2),
        ],
        [
            begun(TEXT),
            changed({"type": "text_delta", "text": "done"}),
            ended(),
            begun(THINKING, 1),
            changed({"type": "signature_delta", "signature": "waypost.gemini.s"}, 1),
            ended(1),
            begun(TOOL, 2),
            ended(2),
        ],
    ),
    (
        "another's signature behind all words, which stay the last thing said",
        [
            BlockStarted(0, Thinking("", None, "gemini")),
            Delta(0, text="hm"),
            BlockEnded(0),
            BlockStarted(1, Text("")),
            Delta(1, text="done"),
            BlockEnded(1),
            BlockStarted(2, Thinking("", None, "gemini")),
            Delta(2, signature="s"),
            BlockEnded(2),
        ],
        [
            begun(THINKING),
            changed({"type": "thinking_delta", "thinking": "hm"}),
            ended(),
            begun(TEXT, 1),
            changed({"type": "text_delta", "text": "done"}, 1),
            ended(1),
        ],
    ),
    (
        "another's signature and nothing else",
        [BlockStarted(0, Thinking("", None, "gemini")), Delta(0, signature="s"), BlockEnded(0)],
        [begun(THINKING), changed({"type": "signature_delta", "signature": "waypost.gemini.s"}), ended()],
    ),
    (
        "thinking that nobody signed",
        [BlockStarted(0, Thinking("")), Delta(0, text="hm"), BlockEnded(0)],
        [begun(THINKING), changed({"type": "thinking_delta", "thinking": "hm"}), ended()],
    ),
    (
        "tool calls, then text",
        [
            BlockStarted(0, ToolCall("call_1", "f", "")),
            Delta(0, arguments='{"a":'),
            Delta(0, arguments="1}"),
            BlockEnded(0),
            BlockStarted(1, ToolCall("call_1", "f", "{}")),
            BlockEnded(1),
            BlockStarted(2, Text("")),
            Delta(2, text="done"),
            BlockEnded(2),
        ],
        [
            begun(TOOL),
            changed({"type": "input_json_delta", "partial_json": '{"a":'}),
            changed({"type": "input_json_delta", "partial_json": "1}"}),
            ended(),
            begun(TOOL, 1),
            changed({"type": "input_json_delta", "partial_json": "{}"}, 1),
            ended(1),
            begun(TEXT, 2),
            changed({"type": "text_delta", "text": "done"}, 2),
            ended(2),
        ],
    ),
    (
        "what can't be carried leaves no gap",
        [
            BlockStarted(0, Audio(Source(data="AA=="))),
            BlockEnded(0),
            BlockStarted(1, Opaque("openai_chat", "x", Raw(b"{}"))),
            Delta(1, opaque=Raw(b"{}")),
            BlockEnded(1),
            BlockStarted(2, ToolCall("call_1", "f", "")),
            BlockEnded(2),
        ],
        [begun(TOOL), ended()],
    ),
    (
        "own server tools",
        [
            BlockStarted(0, RedactedThinking("d", "anthropic")),
            BlockEnded(0),
            BlockStarted(1, Opaque("anthropic", "server_tool_use", SERVER)),
            Delta(1, opaque=SERVER_DELTA),
            BlockEnded(1),
        ],
        [
            begun({"type": "redacted_thinking", "data": "d"}),
            ended(),
            begun(json.loads(bytes(SERVER)), 1),
            changed(json.loads(bytes(SERVER_DELTA)), 1),
            ended(1),
        ],
    ),
    (
        "other choices",
        [
            BlockStarted(0, Text(""), 1),
            BlockStarted(0, Text("")),
            Delta(0, 1, text="b"),
            Delta(0, text="a"),
            BlockEnded(0, 1),
            BlockEnded(0),
            Stopped(Stop(StopKind.LENGTH), 1),
        ],
        [begun(TEXT), changed({"type": "text_delta", "text": "a"}), ended()],
    ),
    (
        "a block left open",
        [BlockStarted(0, Text("")), Delta(0, text="a"), BlockStarted(1, ToolCall("call_1", "f", ""))],
        [begun(TEXT), changed({"type": "text_delta", "text": "a"}), ended(), begun(TOOL, 1), ended(1)],
    ),
]


@pytest.mark.parametrize(("events", "expected"), [case[1:] for case in BLOCKS], ids=[case[0] for case in BLOCKS])
def test_blocks(events: list[Event], expected: list[Wire]) -> None:
    started, *blocks, delta, stopped = write(Started("x", "m"), *events, Finished())
    assert blocks == expected
    assert started["type"] == "message_start"
    assert delta["delta"] == {"stop_reason": None, "stop_sequence": None}
    assert stopped == {"type": "message_stop"}


def test_usage_told_in_parts_is_put_together() -> None:
    events = write(
        Started(None, None), Reported(Usage(input=3, output=1)), Reported(Usage(output=9, cache_read=0)), Finished()
    )
    assert events[1]["usage"] == {"input_tokens": 3, "cache_read_input_tokens": 0, "output_tokens": 9}


def test_the_model_asked_for_is_shown_if_none_is_told() -> None:
    assert write(Started(None, None))[0]["message"]["model"] == "asked-for"


def test_a_stream_that_does_not_say_that_it_started_is_well_formed() -> None:
    assert [event["type"] for event in write(BlockStarted(0, Text("")), Delta(0, text="a"))] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
    ]
    assert [event["type"] for event in write(Finished())] == ["message_start", "message_delta", "message_stop"]


ERROR = CallerError(kind=ErrorKind.DEADLINE, message="too late", status=504)


@pytest.mark.parametrize("length", range(5))
def test_a_failure_is_the_last_word_at_any_point(length: int) -> None:
    events: list[Event] = [Started("x", "m"), BlockStarted(0, Text("")), Delta(0, text="a"), BlockEnded(0)]
    writer = DIALECT.writer("m", False)
    stream = b"".join([writer.write(event) for event in events[:length]]) + writer.fail(ERROR)
    *before, last = parse(stream)
    assert last == {"type": "error", "error": {"type": "timeout_error", "message": "too late"}}
    assert "message_stop" not in [event["type"] for event in before]
    assert "message_delta" not in [event["type"] for event in before]
    assert writer.write(Finished()) + writer.fail(ERROR) == b""


def test_a_provider_that_failed_is_told_as_an_error() -> None:
    fault = Fault(kind=FaultKind.OVERLOADED, message="busy", type="overloaded_error")
    assert write(Failed(fault), Finished()) == [
        {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    ]


def test_a_cut_stream_has_no_end() -> None:
    events = write(Started("x", "m"), BlockStarted(0, Text("")), Delta(0, text="a"), Stopped(Stop(StopKind.END)))
    assert [event["type"] for event in events] == ["message_start", "content_block_start", "content_block_delta"]
