"""Streams, read and written event by event."""

import json
from typing import Any

import pytest
from msgspec import Raw

from corpus.meaning import events_of, frames_of
from corpus.test_streams import check_order
from waypost.conversation.blocks import Opaque, RedactedThinking, Refusal, Text, Thinking, ToolCall
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
from waypost.conversation.faults import CallerError, ErrorKind, FaultKind, UpstreamFault
from waypost.conversation.fold import fold
from waypost.conversation.reply import Stop, StopKind, Usage
from waypost.dialects.cohere import DIALECT
from waypost.dialects.cohere.stream import MOST_PLANNED
from waypost.gateway.passage import Relay


def stream(*events: dict[str, Any], named: bool = True) -> bytes:
    frames = [
        (f"event: {event['type']}\n" if named and "type" in event else "") + f"data: {json.dumps(event)}\n\n"
        for event in events
    ]
    return "".join(frames).encode()


def message(**members: Any) -> dict[str, Any]:
    return {"delta": {"message": members}}


START = {"type": "message-start", "id": "r", **message(role="assistant")}
TEXT = {"type": "content-start", "index": 0, **message(content={"type": "text", "text": ""})}
HI = {"type": "content-delta", "index": 0, **message(content={"text": "hi"})}
ENDED = {"type": "content-end", "index": 0}
PLAN = {"type": "tool-plan-delta", **message(tool_plan="pl")}
CITE = {"type": "citation-start", "index": 0, **message(citations={"start": 0, "end": 2, "text": "hi"})}
CITED = {"type": "citation-end", "index": 0}
CALL = {
    "type": "tool-call-start",
    "index": 0,
    **message(tool_calls={"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}),
}
MORE = {"type": "tool-call-delta", "index": 0, **message(tool_calls={"function": {"arguments": "{}"}})}
CALLED = {"type": "tool-call-end", "index": 0}
USAGE = {"tokens": {"input_tokens": 3, "output_tokens": 2}}
END = {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": USAGE}}
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize("named", [True, False])
def test_a_whole_stream(named: bool) -> None:
    thinks = {"type": "content-start", "index": 0, **message(content={"type": "thinking", "thinking": "h"})}
    more = {"type": "content-delta", "index": 0, **message(content={"thinking": "m"})}
    body = stream(
        START, thinks, more, ENDED, TEXT, HI, ENDED, CITE, CITED, PLAN, PLAN, CALL, MORE, CALLED, END, named=named
    )
    events = events_of(DIALECT, body + DONE)
    check_order(events)
    reply = fold(events, "cohere")
    thought, text, plan, call = reply.choices[0].blocks
    assert thought == Thinking("hm")
    assert isinstance(text, Text)
    assert (text.text, [json.loads(bytes(each))["text"] for each in text.citations]) == ("hi", ["hi"])
    assert plan == Opaque("cohere", "tool_plan", Raw(b'"plpl"'))
    assert call == ToolCall("c", "f", "{}")
    assert reply.choices[0].stop == Stop(StopKind.END, "COMPLETE")
    assert (reply.id, reply.usage) == ("r", Usage(3, None, None, 2, None))
    assert events[-1] == Finished()


def test_it_is_whole_without_a_mark_and_not_before_its_end() -> None:
    assert events_of(DIALECT, stream(START, TEXT, HI, ENDED, END))[-1] == Finished()
    for cut in (stream(), stream(START), stream(START, TEXT, HI, ENDED), stream(START, TEXT, HI) + DONE):
        last = events_of(DIALECT, cut)[-1]
        assert isinstance(last, Failed)
        assert last.fault.kind is FaultKind.TRUNCATED
    unsaid = {"type": "message-end", "delta": {}}
    assert isinstance(events_of(DIALECT, stream(START, TEXT, HI, ENDED, unsaid) + DONE)[-1], Failed)


def test_a_relayed_stream_is_not_whole_either_by_its_mark_alone() -> None:
    through = Relay(DIALECT, False)
    said = stream(START, TEXT, HI)
    assert through.take(DIALECT.framing().feed(said + DONE)) == said
    assert through.fault is not None
    assert through.fault.kind is FaultKind.TRUNCATED


def test_what_servers_forget_is_made_up_for() -> None:
    """No message-start, no content-start, no ends, an id, citations before their text."""
    nameless = {**CALL, **message(tool_calls={"function": {"name": "f", "arguments": "{"}})}
    events = events_of(DIALECT, stream(CITE, HI, nameless, nameless, END))
    check_order(events)
    text, first, second = fold(events, "cohere").choices[0].blocks
    assert isinstance(text, Text)
    assert len(text.citations) == 1
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert first.id != second.id
    assert first.arguments == "{"


def test_log_probabilities() -> None:
    told = {**HI, "logprobs": {"text": "hi", "token_ids": [1], "logprobs": [-0.5]}}
    events = events_of(DIALECT, stream(START, TEXT, told, ENDED, END))
    check_order(events)
    reply = fold(events, "cohere")
    assert json.loads(bytes(reply.choices[0].logprobs or b""))["content"][0]["logprob"] == -0.5
    assert fold(events_of(DIALECT, written(events)), "cohere").choices == reply.choices


FAILURES = [
    ({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "boom"}}, FaultKind.SERVER_ERROR, "boom"),
    ({"type": "message-end", "delta": {"finish_reason": "TIMEOUT"}}, FaultKind.UPSTREAM_TIMEOUT, "TIMEOUT"),
    ({"type": "message-end", "delta": {"error": "too many tokens"}}, FaultKind.CONTEXT_OVERFLOW, "too many tokens"),
    ({"message": "internal"}, FaultKind.SERVER_ERROR, "internal"),
    ({"type": "error", "message": "internal"}, FaultKind.SERVER_ERROR, "internal"),
]


@pytest.mark.parametrize(("event", "kind", "words"), FAILURES, ids=str)
def test_errors_within_a_stream(event: dict[str, Any], kind: FaultKind, words: str) -> None:
    body = stream(START, TEXT, HI, event)
    events = events_of(DIALECT, body)
    check_order(events)
    assert isinstance(events[-1], Failed)
    assert events[-1].fault.kind is kind
    assert words in events[-1].fault.message
    watcher = DIALECT.watcher(False)
    seen = [watcher.see(frame) for frame in frames_of(DIALECT, body)]
    assert [one.fault for one in seen if one.fault] == [events[-1].fault]


BROKEN = [
    b"event: content-delta\ndata: 5\n\n",
    b"event: content-delta\ndata: {\n\n",
    b'data: {"type":5}\n\n',
    b'data: {"type":"content-start","delta":5}\n\n',
    b'event: content-delta\ndata: {"delta":{"message":{"content":{"text":"\xff"}}}}\n\n',
    b'event: content-delta\ndata: {"delta":' + b"[" * 50_000 + b"]" * 50_000 + b"}\n\n",
    stream(START, START),
    stream(START, TEXT, MORE),
    stream(START, {**CALL, **message(tool_calls={"id": "x"})}),
]


@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_stream_is_malformed(body: bytes) -> None:
    with pytest.raises(UpstreamFault) as caught:
        events_of(DIALECT, body)
    assert caught.value.fault.kind is FaultKind.MALFORMED


def test_a_plan_without_end_is_not_held() -> None:
    reader = DIALECT.reader()
    (frame,) = frames_of(DIALECT, stream({"type": "tool-plan-delta", **message(tool_plan="x" * 1_000_000)}))
    with pytest.raises(UpstreamFault):
        for _ in range(MOST_PLANNED // 1_000_000 + 1):
            reader.feed(frame)


def test_the_watcher() -> None:
    watcher = DIALECT.watcher(True)
    debug = {"type": "debug", "prompt": "p"}
    new = {"type": "new-thing"}
    body = stream(START, TEXT, HI, ENDED, PLAN, CALL, MORE, debug, new, END) + DONE + b": ping\n\n"
    seen = [watcher.see(frame) for frame in frames_of(DIALECT, body)]
    assert [one.content for one in seen] == [
        *(False, False, True, False, True, True, True),
        *(False, False, False, False, False),
    ]
    assert seen[9].stop == Stop(StopKind.END, "COMPLETE")
    assert seen[9].usage == Usage(3, None, None, 2, None)
    assert [one.finished for one in seen].index(True) == 10
    assert watcher.see(frames_of(DIALECT, BROKEN[1])[0]).fault is not None


def written(events: list[Event]) -> bytes:
    writer = DIALECT.writer("m", True)
    return b"".join([writer.write(event) for event in events])


def told(body: bytes) -> list[tuple[str, Any]]:
    frames = [frame for frame in frames_of(DIALECT, body) if frame.data not in (None, b"[DONE]")]
    return [(frame.event or "", json.loads(frame.data or b"")) for frame in frames]


def test_a_foreign_stream() -> None:
    events: list[Event] = [
        Started("msg_1", "claude"),
        BlockStarted(0, Thinking("", None, "anthropic")),
        Delta(0, text="hm"),
        Delta(0, signature="sig"),
        BlockEnded(0),
        BlockStarted(1, RedactedThinking("x", "anthropic")),
        BlockEnded(1),
        BlockStarted(2, Text("")),
        BlockEnded(2),
        BlockStarted(3, Text("")),
        Delta(3, text='say "hi"'),
        Delta(3, citation=Raw(b'{"type":"char_location"}')),
        Delta(3, citation=Raw(b'{"start":0,"end":1,"text":"s"}')),
        BlockEnded(3),
        BlockStarted(4, Refusal("")),
        Delta(4, text="no"),
        BlockEnded(4),
        BlockStarted(5, ToolCall("t", "f", "")),
        Delta(5, arguments="{}"),
        BlockEnded(5),
        Delta(0, choice=1, text="other"),
        Reported(Usage(1)),
        Reported(Usage(output=2)),
        Stopped(Stop(StopKind.TOOL, "tool_use")),
        Finished(),
    ]
    body = written(events)
    assert body.endswith(DONE)
    assert b"msg_1" not in body
    wire = told(body)
    assert [kind for kind, _ in wire] == [
        "message-start",
        *("content-start", "content-delta", "content-end"),
        *("content-start", "content-delta", "citation-start", "citation-end", "content-end"),
        *("content-start", "content-delta", "content-end"),
        *("tool-call-start", "tool-call-delta", "tool-call-end"),
        "message-end",
    ]
    assert all(kind == event["type"] for kind, event in wire)
    assert [event["index"] for kind, event in wire if kind.startswith("content")] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert wire[-1][1]["delta"] == {
        "finish_reason": "TOOL_CALL",
        "usage": {"tokens": {"input_tokens": 1, "output_tokens": 2}},
    }
    again = fold(events_of(DIALECT, body), "cohere").choices[0].blocks
    assert [type(block) for block in again] == [Thinking, Text, Text, ToolCall]


def test_a_failure_is_told_as_one_and_is_the_last() -> None:
    writer = DIALECT.writer("m", True)
    writer.write(Started("x", None))
    error = CallerError(kind=ErrorKind.DEADLINE, message="too slow", status=504, detail={"attempts": 1})
    ((kind, event),) = told(writer.fail(error))
    assert kind == "message-end"
    assert event["delta"] == {"finish_reason": "ERROR", "error": "too slow"}
    assert event["waypost"] == {"attempts": 1}
    assert writer.write(Finished()) + writer.fail(error) == b""
