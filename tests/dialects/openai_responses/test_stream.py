"""Streams as providers break the rules: text only told at the end, items that overlap, errors in the midst."""

import json
from typing import Any

import pytest

from waypost.conversation.blocks import Block, Opaque, Refusal, Text, Thinking, ToolCall
from waypost.conversation.events import BlockStarted, Event, Failed
from waypost.conversation.faults import FaultKind, UpstreamFault
from waypost.conversation.fold import fold
from waypost.conversation.reply import StopKind
from waypost.dialects.openai_responses import DIALECT
from waypost.dialects.openai_responses.words import NAME
from waypost.wire.frames import Frame

CREATED = {
    "type": "response.created",
    "response": {"id": "resp_1", "model": "m", "status": "in_progress", "output": []},
}


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": list(parts)}


def text(said: str) -> dict[str, Any]:
    return {"type": "output_text", "text": said, "annotations": []}


def call(place: int, arguments: str = "") -> dict[str, Any]:
    names = {"id": f"fc_{place}", "call_id": f"c{place}", "name": f"f{place}"}
    return {"type": "function_call", **names, "arguments": arguments}


def added(place: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": place, "item": item}


def done(place: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": place, "item": item}


def over(*output: dict[str, Any], status: str = "completed", **members: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "model": "m", "status": status, "output": list(output), **members}
    return {"type": f"response.{status}", "response": response}


def words(place: int, said: str, kind: str = "output_text") -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": place, "content_index": 0, "delta": said}


def arguments(place: int, said: str) -> dict[str, Any]:
    return {"type": "response.function_call_arguments.delta", "output_index": place, "delta": said}


def frame(told: dict[str, Any]) -> Frame:
    data = json.dumps(told).encode()
    return Frame(b"data: " + data + b"\n\n", data)


def events(*told: dict[str, Any]) -> list[Event]:
    reader = DIALECT.reader()
    return [event for one in told for event in reader.feed(frame(one))] + reader.end()


def blocks(*told: dict[str, Any]) -> tuple[Block, ...]:
    return fold(events(CREATED, *told), NAME).choices[0].blocks


@pytest.mark.parametrize(
    "told",
    [
        [over(message(text("Hello")))],
        [added(0, message()), over(message(text("Hello")))],
        [done(0, message(text("Hello"))), over()],
        [added(0, message()), done(0, message(text("Hello"))), over(message(text("Hello")))],
        [
            added(0, message()),
            {"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": text("Hello")},
            over(),
        ],
        [
            added(0, message()),
            {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hello"},
            over(message(text("Hello"))),
        ],
        [added(0, message()), words(0, "Hel"), done(0, message(text("Hello"))), over(message(text("Hello")))],
        [words(0, "Hel"), words(0, "lo"), over({**message(text("Hello")), "id": "msg_2"})],
    ],
)
def test_text_is_neither_lost_nor_doubled(told: list[dict[str, Any]]) -> None:
    assert blocks(*told) == (Text("Hello"),)


def test_calls_that_overlap_come_one_after_the_other() -> None:
    got = blocks(
        added(0, call(0)),
        arguments(0, '{"a"'),
        added(1, call(1)),
        arguments(1, "{}"),
        arguments(0, ":1}"),
        done(1, call(1, "{}")),
        done(0, call(0, '{"a":1}')),
        over(),
    )
    assert got == (ToolCall("c0", "f0", '{"a":1}'), ToolCall("c1", "f1", "{}"))


def test_a_call_that_never_ends_holds_nothing_back_for_ever() -> None:
    final = over(call(0, "{}"), message(text("So")))
    assert blocks(added(0, call(0)), added(1, message()), words(1, "So"), final) == (
        ToolCall("c0", "f0", "{}"),
        Text("So"),
    )


def test_reasoning_that_is_still_open_does_not_hold_the_answer_back() -> None:
    reader = DIALECT.reader()
    told = [
        CREATED,
        added(0, {"type": "reasoning", "id": "rs_1", "summary": []}),
        {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "Hm"},
        added(1, message()),
        words(1, "So"),
    ]
    seen = [event for one in told for event in reader.feed(frame(one))]
    assert [event.block for event in seen if isinstance(event, BlockStarted)] == [Thinking("", None, NAME), Text("")]


def test_a_signature_that_comes_late_is_not_lost() -> None:
    secret = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}
    summary = {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "Hm"}
    got = blocks(added(0, {**secret, "encrypted_content": "e"}), summary, words(1, "So"), done(0, secret), over())
    assert got == (Thinking("Hm", None, NAME), Text("So"), Thinking("", "rs_1:summary:E", NAME))


def test_a_refusal_and_what_only_this_dialect_knows() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    custom = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "sql", "input": "select 1"}
    told = [CREATED, done(0, search), words(1, "No", "refusal"), done(2, custom), over()]
    reply = fold(events(*told), NAME)
    first, second, third = reply.choices[0].blocks
    assert isinstance(first, Opaque)
    assert json.loads(bytes(first.raw)) == search
    assert second == Refusal("No")
    assert isinstance(third, Opaque)
    assert reply.choices[0].stop is not None
    assert reply.choices[0].stop.kind is StopKind.TOOL


@pytest.mark.parametrize(
    ("told", "kind", "message_"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}, FaultKind.RATE_LIMITED, "slow"),
        ({"type": "error", "error": {"code": "x", "message": "broke"}}, FaultKind.SERVER_ERROR, "broke"),
        ({"error": {"type": "overloaded_error", "message": "busy"}}, FaultKind.OVERLOADED, "busy"),
        (over(status="failed", error={"code": "invalid_prompt", "message": "no"}), FaultKind.BAD_REQUEST, "no"),
        (over(status="failed", error={"code": "server_error", "message": "oh"}), FaultKind.SERVER_ERROR, "oh"),
    ],
)
def test_an_error_in_the_midst(told: dict[str, Any], kind: FaultKind, message_: str) -> None:
    last = events(CREATED, words(0, "He"), told, words(0, "llo"))[-1]
    assert isinstance(last, Failed)
    assert (last.fault.kind, last.fault.message) == (kind, message_)
    assert DIALECT.watcher(False).see(frame(told)).fault == last.fault


@pytest.mark.parametrize("data", [b"nonsense", b"[]", b'{"type":7}', b'{"type":"response.completed"}', b"\xff"])
def test_what_is_no_event_is_at_fault(data: bytes) -> None:
    with pytest.raises(UpstreamFault) as caught:
        DIALECT.reader().feed(Frame(b"data: " + data + b"\n\n", data))
    assert caught.value.fault.kind is FaultKind.MALFORMED
    seen = DIALECT.watcher(False).see(Frame(b"data: " + data + b"\n\n", data))
    assert seen.fault is not None or data == b"\xff"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("max_output_tokens", StopKind.LENGTH), ("content_filter", StopKind.REFUSAL), ("steered", StopKind.OTHER)],
)
def test_an_answer_that_stopped_early_says_why(reason: str, kind: StopKind) -> None:
    told = over(message(text("So")), status="incomplete", incomplete_details={"reason": reason})
    (choice,) = fold(events(CREATED, told), NAME).choices
    assert choice.stop is not None
    assert (choice.stop.kind, choice.stop.raw) == (kind, f"incomplete:{reason}")
