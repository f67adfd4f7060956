"""Whole answers: read, written, and read again."""

import json
from typing import Any

import pytest
from anthropic.types import Message
from msgspec import Raw

from waypost.conversation.blocks import (
    Audio,
    Block,
    Opaque,
    RedactedThinking,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
)
from waypost.conversation.faults import FaultKind, UpstreamFault
from waypost.conversation.reply import Choice, Reply, Stop, StopKind, Usage
from waypost.dialects.anthropic import DIALECT

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 5},
}


def read(**members: object) -> Reply:
    return DIALECT.read_reply(json.dumps({**MESSAGE, **members}, separators=(",", ":")).encode())


def write(*blocks: Block, **members: Any) -> dict[str, Any]:
    reply = Reply(
        **{
            "dialect": "openai_chat",
            "id": "chatcmpl-1",
            "model": None,
            "choices": (Choice(blocks, Stop(StopKind.END, "stop")),),
            "usage": None,
            **members,
        }
    )
    body = DIALECT.write_reply(reply, "asked-for")
    Message.model_validate_json(body, strict=True)
    written: dict[str, Any] = json.loads(body)
    return written


def test_a_whole_answer() -> None:
    assert read(container=None, stop_details={"type": "refusal"}) == Reply(
        dialect="anthropic",
        id="msg_1",
        model="claude-x",
        choices=(Choice((Text("hello"),), Stop(StopKind.END, "end_turn")),),
        usage=Usage(input=3, output=5),
        extra=(("container", Raw(b"null")), ("stop_details", Raw(b'{"type":"refusal"}'))),
    )


STOPS = [
    ("end_turn", None, StopKind.END),
    ("max_tokens", None, StopKind.LENGTH),
    ("stop_sequence", "END", StopKind.STOP_SEQUENCE),
    ("tool_use", None, StopKind.TOOL),
    ("pause_turn", None, StopKind.PAUSE),
    ("refusal", None, StopKind.REFUSAL),
    ("model_context_window_exceeded", None, StopKind.LENGTH),
    ("compaction", None, StopKind.OTHER),
]


@pytest.mark.parametrize(("word", "sequence", "kind"), STOPS)
def test_stops_are_read_and_written_back(word: str, sequence: str | None, kind: StopKind) -> None:
    reply = read(stop_reason=word, stop_sequence=sequence)
    assert reply.choices[0].stop == Stop(kind, word, sequence)
    assert DIALECT.read_reply(DIALECT.write_reply(reply, "")).choices[0].stop == reply.choices[0].stop


def test_a_new_stop_word_is_kept_as_another_reason() -> None:
    assert read(stop_reason="bored").choices[0].stop == Stop(StopKind.OTHER, "bored")


FOREIGN_STOPS = [
    (Stop(StopKind.END, "stop"), "end_turn"),
    (Stop(StopKind.LENGTH, "length"), "max_tokens"),
    (Stop(StopKind.TOOL, "tool_calls"), "tool_use"),
    (Stop(StopKind.STOP_SEQUENCE, None, "x"), "stop_sequence"),
    (Stop(StopKind.REFUSAL, "content_filter"), "refusal"),
    (Stop(StopKind.PAUSE), "pause_turn"),
    (Stop(StopKind.OTHER, "refusal"), "max_tokens"),
    (None, None),
]


@pytest.mark.parametrize(("stop", "word"), FOREIGN_STOPS)
def test_foreign_stops_get_words_of_this_protocol(stop: Stop | None, word: str | None) -> None:
    written = write(Text("a"), choices=(Choice((Text("a"),), stop),))
    assert written["stop_reason"] == word
    assert written["stop_sequence"] == (stop.sequence if stop else None)


USAGES: list[tuple[dict[str, Any], Usage]] = [
    ({"input_tokens": 3, "output_tokens": 5}, Usage(input=3, output=5)),
    (
        {"input_tokens": 3, "output_tokens": 5, "cache_read_input_tokens": 0, "cache_creation_input_tokens": None},
        Usage(input=3, output=5, cache_read=0),
    ),
    (
        {
            "input_tokens": 3,
            "output_tokens": 50,
            "cache_read_input_tokens": 7,
            "cache_creation_input_tokens": 9,
            "cache_creation": {"ephemeral_1h_input_tokens": 4, "ephemeral_5m_input_tokens": 5},
            "output_tokens_details": {"thinking_tokens": 20},
        },
        Usage(input=3, output=30, reasoning=20, cache_read=7, cache_write=9, cache_write_1h=4),
    ),
    ({"output_tokens": 5, "output_tokens_details": {"thinking_tokens": 9}}, Usage(output=0, reasoning=9)),
]


@pytest.mark.parametrize(("wire", "usage"), USAGES)
def test_usage_is_disjoint(wire: dict[str, Any], usage: Usage) -> None:
    reply = read(usage=wire)
    assert reply.usage == usage
    assert DIALECT.glance_reply(json.dumps({**MESSAGE, "usage": wire}).encode()) == usage
    if usage.input is not None and usage.output:
        assert DIALECT.read_reply(DIALECT.write_reply(reply, "")).usage == usage


def test_untold_usage_stays_unknown() -> None:
    assert read(usage=None).usage is None
    assert write()["usage"] == {"input_tokens": 0, "output_tokens": 0}


def test_output_counts_reasoning_in() -> None:
    usage = Usage(input=1, output=2, reasoning=3, cache_read=4)
    assert write(usage=usage)["usage"] == {
        "input_tokens": 1,
        "cache_read_input_tokens": 4,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 3},
    }


BLOCKS: list[tuple[Block, dict[str, object] | None]] = [
    (Text("a", None, (Raw(b'{"type":"url_citation"}'),)), {"type": "text", "text": "a"}),
    (Text(""), None),
    (Refusal("no"), {"type": "text", "text": "no"}),
    (Thinking("hm"), {"type": "thinking", "thinking": "hm", "signature": ""}),
    (Thinking("hm", "s", "gemini"), {"type": "thinking", "thinking": "hm", "signature": "waypost.gemini.s"}),
    (Thinking("hm", "s", "anthropic"), {"type": "thinking", "thinking": "hm", "signature": "s"}),
    (Thinking(""), None),
    (RedactedThinking("d", "anthropic"), {"type": "redacted_thinking", "data": "d"}),
    (RedactedThinking("d", "gemini"), {"type": "redacted_thinking", "data": "waypost.gemini.d"}),
    (ToolCall("call_1", "f", ""), {"type": "tool_use", "id": "call_1", "name": "f", "input": {}}),
    (ToolCall("c", "f", '{"a":1}'), {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}),
    (ToolCall("c", "f", "nope"), {"type": "tool_use", "id": "c", "name": "f", "input": {"arguments": "nope"}}),
    (Audio(Source(data="AA==")), None),
    (Opaque("openai_chat", "x", Raw(b"{}")), None),
]


@pytest.mark.parametrize(("block", "expected"), BLOCKS, ids=lambda value: str(value)[:60])
def test_blocks_of_other_protocols(block: Block, expected: dict[str, object] | None) -> None:
    assert write(block)["content"] == ([] if expected is None else [expected])


def test_anothers_signature_stands_with_the_words_before_it_and_never_last() -> None:
    words, signature, said = Thinking("hm"), Thinking("", "s", "gemini"), Text("done")
    signed = {"type": "thinking", "thinking": "hm", "signature": "waypost.gemini.s"}
    lone = {**signed, "thinking": ""}
    unsigned = {**signed, "signature": ""}
    text = {"type": "text", "text": "done"}
    assert write(words, signature, said)["content"] == [signed, text]
    assert write(signature, said)["content"] == [lone, text]
    assert write(words, said, signature)["content"] == [unsigned, text]
    assert write(signature)["content"] == [lone]


def test_own_blocks_survive() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "text", "text": "a", "citations": [{"type": "web_search_result_location", "url": "u"}]},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"n": 1.0}},
    ]
    reply = read(content=content, container={"id": "c"})
    assert json.loads(DIALECT.write_reply(reply, ""))["content"] == content
    assert DIALECT.read_reply(DIALECT.write_reply(reply, "")) == reply


IDS = [("msg_01", "msg_01"), ("chatcmpl-1", None), ("", None), (None, None), ("gen 7/ä", None)]


@pytest.mark.parametrize(("given", "shown"), IDS)
def test_ids_look_like_this_protocols(given: str | None, shown: str | None) -> None:
    first, second = write(id=given)["id"], write(id=given)["id"]
    assert first == second
    assert first.startswith("msg_")
    if shown is None:
        assert len(first) == 28
        assert first[4:].isalnum()
    else:
        assert first == shown


def test_the_model_asked_for_is_shown_if_none_is_told() -> None:
    assert write()["model"] == "asked-for"
    assert write(model="told")["model"] == "told"


def test_only_the_first_choice_is_carried() -> None:
    choices = (Choice((Text("a"),), None), Choice((Text("b"),), None))
    assert write(choices=choices)["content"] == [{"type": "text", "text": "a"}]
    assert write(choices=())["content"] == []


BROKEN = [
    b"",
    b"<html>",
    b"[]",
    b"null",
    b"{}",
    b'{"content":null}',
    b'{"content":[{}]}',
    b'{"content":[{"type":"text"}]}',
    b'{"content":[],"usage":{"input_tokens":"3"}}',
    b'{"content":[{"type":"x","y":"\xff"}]}',
]


@pytest.mark.parametrize("body", BROKEN)
def test_what_is_no_message_is_the_providers_fault(body: bytes) -> None:
    with pytest.raises(UpstreamFault) as caught:
        DIALECT.read_reply(body)
    assert caught.value.fault.kind is FaultKind.MALFORMED


@pytest.mark.parametrize("read_it", [DIALECT.read_reply, DIALECT.glance_reply])
def test_an_error_under_a_status_of_success_is_an_error(read_it: Any) -> None:
    with pytest.raises(UpstreamFault) as caught:
        read_it(b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}')
    assert caught.value.fault.kind is FaultKind.OVERLOADED


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"usage":5}'])
def test_a_glance_sees_what_is_no_message(body: bytes) -> None:
    with pytest.raises(UpstreamFault) as caught:
        DIALECT.glance_reply(body)
    assert caught.value.fault.kind is FaultKind.MALFORMED


def test_a_glance_sees_what_the_ledger_needs() -> None:
    assert DIALECT.glance_reply(json.dumps(MESSAGE).encode()) == Usage(input=3, output=5)
