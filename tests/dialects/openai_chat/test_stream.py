"""Streams as servers really send them: read, watched, and written."""

import json
from typing import Any

import pytest

from waypost.conversation.blocks import RedactedThinking, Thinking, ToolCall
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
from waypost.dialects.dialect import Seen
from waypost.dialects.openai_chat import DIALECT


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return data({"id": "chatcmpl-1", "created": 1, "model": "m", "choices": [choice], **more})


def data(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def call(index: int | None, arguments: str | None = None, id_: str | None = None, name: str | None = None) -> bytes:
    return chunk({"tool_calls": [{"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}]})


DONE = b"data: [DONE]\n\n"
STOP = chunk(finish="stop")


def events_of(*pieces: bytes) -> list[Event]:
    framing, reader = DIALECT.framing(), DIALECT.reader()
    frames = framing.feed(b"".join(pieces)) + framing.end()
    return [event for frame in frames for event in reader.feed(frame)] + reader.end()


def calls_of(*pieces: bytes) -> list[tuple[str, str, str]]:
    blocks = fold(events_of(*pieces, STOP, DONE), "openai_chat").choices[0].blocks
    return [(block.id, block.name, block.arguments) for block in blocks if isinstance(block, ToolCall)]


def test_calls_one_after_the_other() -> None:
    assert calls_of(call(0, "", "a", "f"), call(0, '{"x"'), call(0, ":1}"), call(1, "{}", "b", "g")) == [
        ("a", "f", '{"x":1}'),
        ("b", "g", "{}"),
    ]


def test_the_first_call_streams_as_it_comes() -> None:
    events = events_of(call(0, "", "a", "f"), call(0, '{"x"'))
    assert events[1:3] == [BlockStarted(0, ToolCall("a", "f", "")), Delta(0, arguments='{"x"')]


def test_a_call_begins_once_the_one_before_it_is_whole() -> None:
    framing, reader = DIALECT.framing(), DIALECT.reader()
    told = []
    for piece in (call(0, '{"x":1}', "a", "f"), call(1, '{"y"', "b", "g")):
        told += [event for frame in framing.feed(piece) for event in reader.feed(frame)]
    assert told[-3:] == [BlockEnded(0), BlockStarted(1, ToolCall("b", "g", "")), Delta(1, arguments='{"y"')]


def test_interleaved_calls() -> None:
    pieces = [
        call(0, "", "a", "f"),
        call(1, "", "b", "g"),
        call(0, '{"x"'),
        call(1, '{"y"'),
        call(0, ":1}"),
        call(1, ":2}"),
    ]
    assert calls_of(*pieces) == [("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')]


def test_calls_without_arguments() -> None:
    assert calls_of(call(0, None, "a", "f"), call(1, "", "b", "g")) == [("a", "f", ""), ("b", "g", "")]


def test_calls_that_are_all_counted_as_the_first() -> None:
    assert calls_of(call(0, "{}", "a", "f"), call(0, '{"x":1}', "b", "f")) == [("a", "f", "{}"), ("b", "f", '{"x":1}')]


def test_calls_without_an_index() -> None:
    pieces = [call(None, '{"x"', "a", "f"), call(None, ":1}"), call(None, "{}", "b", "g")]
    assert calls_of(*pieces) == [("a", "f", '{"x":1}'), ("b", "g", "{}")]


def test_calls_without_ids_get_stable_ones() -> None:
    pieces = [call(0, "{}", None, "f"), call(1, "{}", "", "g")]
    first = calls_of(*pieces)
    assert first == calls_of(*pieces)
    assert len({id_ for id_, _, _ in first}) == 2
    assert all(id_.startswith("call_") and len(id_) <= 40 for id_, _, _ in first)


def test_ids_and_names_in_every_chunk() -> None:
    assert calls_of(call(0, '{"x"', "a", "f"), call(0, ":1}", "a", "f")) == [("a", "f", '{"x":1}')]


def test_arguments_that_are_an_object() -> None:
    piece = chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]})
    assert calls_of(piece) == [("a", "f", '{"x":1}')]


def test_legacy_function_calls() -> None:
    pieces = [
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"x":'}}),
        chunk({"function_call": {"arguments": "1}"}}),
    ]
    assert [(name, arguments) for _, name, arguments in calls_of(*pieces)] == [("f", '{"x":1}')]


def test_a_call_that_was_finished_does_not_go_on() -> None:
    with pytest.raises(UpstreamFault) as caught:
        events_of(call(0, "{}", "a", "f"), chunk({"content": "x"}), call(0, "{}"))
    assert caught.value.fault.kind is FaultKind.MALFORMED


def test_reasoning_details_say_more_than_the_plain_text() -> None:
    pieces = [
        chunk({"reasoning": "ab", "reasoning_details": [{"type": "reasoning.text", "text": "ab"}]}),
        chunk({"reasoning_details": [{"type": "reasoning.text", "signature": "s"}]}),
        chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "e"}]}),
    ]
    reply = fold(events_of(*pieces, STOP, DONE), "openai_chat")
    assert reply.choices[0].blocks == (Thinking("ab", "s", "openai_chat"), RedactedThinking("e", "openai_chat"))


@pytest.mark.parametrize(
    ("pieces", "last"),
    [
        ([chunk({"content": "x"}), STOP, DONE], Finished),
        ([chunk({"content": "x"}), STOP], Finished),
        ([chunk({"content": "x"}), DONE], Finished),
        ([chunk({"content": "x"})], Failed),
        ([], Failed),
        ([DONE], Failed),
        ([b": ping\n\n"], Failed),
        ([chunk({"content": "x"}), b'data: {"choices":[{"de'], Failed),
        ([chunk({"content": "x"}), data({"error": {"message": "m"}})], Failed),
        ([chunk({"content": "x"}), chunk(finish="error"), DONE], Failed),
        ([chunk({"content": "x"}), STOP, data({"error": {"message": "m"}}), DONE], Failed),
    ],
)
def test_how_streams_end(pieces: list[bytes], last: type[Event]) -> None:
    events = events_of(*pieces)
    assert type(events[-1]) is last
    assert sum(isinstance(event, Finished | Failed) for event in events) == 1
    if last is Failed and pieces and pieces[-1] != DONE:
        assert not any(isinstance(event, Finished) for event in events)


def test_a_choice_that_has_not_stopped_means_truncated() -> None:
    both = data({"choices": [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "b"}}]})
    last = events_of(both, STOP)[-1]
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultKind.TRUNCATED


@pytest.mark.parametrize(
    "bad", [b"data: {}x\n\n", b"data: [1]\n\n", b'data: {"choices":[{"delta":{"refusal":1}}]}\n\n']
)
def test_what_is_no_chunk(bad: bytes) -> None:
    with pytest.raises(UpstreamFault) as caught:
        events_of(bad)
    assert caught.value.fault.kind is FaultKind.MALFORMED


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5}, Usage(input=10, output=5)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, Usage(input=10, output=5)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
            },
            Usage(input=5, cache_read=4, cache_write=1, output=5),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 2}},
            Usage(input=10, output=3, reasoning=2),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 8},
            Usage(input=2, cache_read=8, output=5),
        ),
        # xAI counts reasoning beside the completion, and names it; Gemini's endpoint only in the total.
        (
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "total_tokens": 135,
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            Usage(input=32, output=9, reasoning=94),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 75}, Usage(input=10, output=5, reasoning=60)),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 75, "prompt_audio_seconds": 3},
            Usage(input=9, output=5),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 8}},
            Usage(input=0, cache_read=3, output=5),
        ),
        (None, None),
        ({}, None),
        ({"prompt_tokens": "many"}, None),
        ([], None),
    ],
)
def test_usage(told: object, usage: Usage | None) -> None:
    pieces = [chunk({"content": "x"}), chunk(finish="stop", usage=told), DONE]
    reported = [event.usage for event in events_of(*pieces) if isinstance(event, Reported)]
    assert reported == ([usage] if usage is not None else [])
    whole = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": told}
    assert DIALECT.read_reply(json.dumps(whole).encode()).usage == usage
    assert DIALECT.glance_reply(json.dumps(whole).encode()) == usage


def seen_of(hide: bool, *pieces: bytes) -> list[Seen]:
    framing, watcher = DIALECT.framing(), DIALECT.watcher(hide)
    return [watcher.see(frame) for frame in framing.feed(b"".join(pieces)) + framing.end()]


USAGE = {"prompt_tokens": 1, "completion_tokens": 1}


@pytest.mark.parametrize(
    ("piece", "seen"),
    [
        (b": ping\n\n", Seen()),
        (chunk({"role": "assistant", "content": ""}), Seen()),
        (chunk({"role": "assistant", "content": None, "refusal": None}), Seen()),
        (chunk({"content": "x"}), Seen(content=True)),
        (chunk({"reasoning": "x"}), Seen(content=True)),
        (chunk({"refusal": "x"}), Seen(content=True)),
        (call(0, "", "a", "f"), Seen(content=True)),
        (STOP, Seen(stop=Stop(StopKind.END, "stop"))),
        (DONE, Seen(finished=True)),
        (data({"choices": [], "usage": USAGE}), Seen(usage=Usage(input=1, output=1), hide=True)),
        (data({"choices": [], "usage": None}), Seen()),
        (chunk({"content": "x"}, usage=USAGE), Seen(content=True, usage=Usage(input=1, output=1))),
    ],
)
def test_the_watcher(piece: bytes, seen: Seen) -> None:
    assert seen_of(True, piece) == [seen]
    if piece != DONE:  # and the same once content has come, when plain chunks are not decoded any more
        later = seen_of(True, chunk({"content": "first"}), piece)[1]
        assert (later.usage, later.stop, later.finished, later.fault, later.hide) == (
            seen.usage,
            seen.stop,
            seen.finished,
            seen.fault,
            seen.hide,
        )


@pytest.mark.parametrize(
    ("piece", "kind"),
    [
        (data({"error": {"message": "m", "code": 503}}), FaultKind.OVERLOADED),
        (chunk({"content": ""}, error={"message": "m", "code": 400}), FaultKind.BAD_REQUEST),
        (b"data: {oops}\n\n", FaultKind.MALFORMED),
        (b'data: {"choices":[', FaultKind.TRUNCATED),
        (chunk(finish="error"), FaultKind.SERVER_ERROR),
    ],
)
def test_the_watcher_sees_faults(piece: bytes, kind: FaultKind) -> None:
    for before in ([], [chunk({"content": "x"})]):
        fault = seen_of(False, *before, piece)[-1].fault
        assert fault is not None
        assert fault.kind is kind


def test_usage_is_hidden_only_from_who_did_not_ask() -> None:
    frame = data({"choices": [], "usage": USAGE})
    assert [seen.hide for seen in seen_of(False, frame) + seen_of(True, frame)] == [False, True]


def test_a_written_stream_to_the_byte() -> None:
    writer = DIALECT.writer("m", True)
    events: list[Event] = [
        Started("msg_01", None, 7),
        BlockStarted(0, Thinking("")),
        Delta(0, text="hm"),
        Delta(0, signature="foreign"),
        BlockEnded(0),
        BlockStarted(1, ToolCall("a", "f", "")),
        BlockEnded(1),
        Reported(Usage(input=3, cache_read=2, output=4)),
        Stopped(Stop(StopKind.TOOL, "tool_use")),
        Finished(),
    ]
    written = b"".join(writer.write(event) for event in events)
    frames = [frame.data for frame in DIALECT.framing().feed(written)]
    assert frames.pop() == b"[DONE]"
    chunks = [json.loads(frame) for frame in frames if frame is not None]
    assert {(c["id"], c["object"], c["created"], c["model"]) for c in chunks} == {
        ("chatcmpl-01", "chat.completion.chunk", 7, "m")
    }
    assert [(c["choices"][0]["delta"], c["choices"][0]["finish_reason"]) for c in chunks[:-1]] == [
        ({"role": "assistant", "content": ""}, None),
        ({"reasoning_content": "hm"}, None),
        (
            {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
            None,
        ),
        ({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}, None),
        ({}, "tool_calls"),
    ]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 4,
        "total_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 2},
    }


def test_a_failure_is_one_event_and_no_end() -> None:
    error = CallerError(kind=ErrorKind.UPSTREAM_FAILED, message="it broke", status=502)
    assert DIALECT.writer("m", True).fail(error) == (
        b'data: {"error":{"message":"it broke","type":"server_error","param":null,"code":"upstream_failed"}}\n\n'
    )
