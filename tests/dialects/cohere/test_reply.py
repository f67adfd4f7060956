"""Whole answers, read and written."""

import json
from typing import Any

import pytest
from msgspec import Raw

from waypost.conversation.blocks import Image, Opaque, RedactedThinking, Refusal, Source, Text, Thinking, ToolCall
from waypost.conversation.faults import FaultKind, UpstreamFault
from waypost.conversation.reply import Choice, Reply, Stop, StopKind, Usage
from waypost.dialects.cohere import DIALECT

UUID = "c14c80c3-18eb-4519-9460-6c92edd8cfb4"


def body(**members: Any) -> bytes:
    message = {"role": "assistant", "content": [{"type": "text", "text": "hi"}]}
    return json.dumps({"id": UUID, "message": message, "finish_reason": "COMPLETE", **members}).encode()


STOPS = [
    ("COMPLETE", StopKind.END),
    ("STOP_SEQUENCE", StopKind.STOP_SEQUENCE),
    ("MAX_TOKENS", StopKind.LENGTH),
    ("TOOL_CALL", StopKind.TOOL),
    ("ERROR_TOXIC", StopKind.REFUSAL),
    ("NEW_WORD", StopKind.OTHER),
]


@pytest.mark.parametrize(("word", "kind"), STOPS)
def test_stops(word: str, kind: StopKind) -> None:
    reply = DIALECT.read_reply(body(finish_reason=word))
    assert reply.choices[0].stop == Stop(kind, word)


@pytest.mark.parametrize(("word", "kind"), [("ERROR", FaultKind.SERVER_ERROR), ("TIMEOUT", FaultKind.UPSTREAM_TIMEOUT)])
def test_an_answer_that_broke_off_is_a_fault(word: str, kind: FaultKind) -> None:
    for read in (DIALECT.read_reply, DIALECT.glance_reply):
        with pytest.raises(UpstreamFault) as caught:
            read(body(finish_reason=word))
        assert caught.value.fault.kind is kind


USAGES: list[tuple[Any, Usage | None]] = [
    (None, None),
    ("many", None),
    ({}, None),
    ({"tokens": {"input_tokens": 9.0, "output_tokens": 4}}, Usage(9, None, None, 4, None)),
    (
        {"tokens": {"input_tokens": 9, "output_tokens": 4, "reasoning_tokens": 3}, "cached_tokens": 5},
        Usage(4, 5, None, 1, 3),
    ),
    ({"billed_units": {"input_tokens": 2, "output_tokens": 1}}, Usage(2, None, None, 1, None)),
    ({"tokens": {"input_tokens": 2, "output_tokens": 1}, "cached_tokens": 5}, Usage(0, 2, None, 1, None)),
    ({"tokens": {"input_tokens": -2, "output_tokens": 10**13}}, None),
]


@pytest.mark.parametrize(("wire", "usage"), USAGES, ids=str)
def test_usage(wire: Any, usage: Usage | None) -> None:
    assert DIALECT.read_reply(body(usage=wire)).usage == usage
    assert DIALECT.glance_reply(body(usage=wire)) == usage


def test_log_probabilities_take_the_neutral_form_and_back() -> None:
    items = [
        {"text": "h", "token_ids": [1], "logprobs": [-0.5]},
        {"text": "é", "token_ids": [2, 3], "logprobs": [-1, -2]},
    ]
    reply = DIALECT.read_reply(body(logprobs=items))
    told = json.loads(bytes(reply.choices[0].logprobs or b""))
    assert told["content"] == [
        {"token": "h", "logprob": -0.5, "bytes": [104], "top_logprobs": []},
        {"token": "é", "logprob": -3.0, "bytes": [195, 169], "top_logprobs": []},
    ]
    written = json.loads(DIALECT.write_reply(reply, "m"))
    assert written["logprobs"][1] == {"text": "é", "token_ids": [], "logprobs": [-3.0]}
    assert DIALECT.read_reply(DIALECT.write_reply(reply, "m")) == reply


def test_citations_stand_at_their_text() -> None:
    content = [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    cited: list[dict[str, Any]] = [
        {"start": 0, "end": 1, "text": "b", "content_index": 2},
        {"start": 0, "end": 1, "text": "t", "content_index": 0},
        {"start": 0, "end": 1, "text": "?", "content_index": "x"},
    ]
    reply = DIALECT.read_reply(body(message={"content": content, "citations": cited}))
    texts = [block for block in reply.choices[0].blocks if isinstance(block, Text)]
    assert [[json.loads(bytes(each))["text"] for each in text.citations] for text in texts] == [["t", "?"], ["b"]]
    unsaid = DIALECT.read_reply(body(message={"tool_plan": "p", "citations": cited[:1]}))
    assert json.loads(DIALECT.write_reply(unsaid, "m"))["message"]["citations"] == cited[:1]


def test_a_foreign_answer() -> None:
    blocks = (
        Thinking("hm", "sig", "anthropic"),
        RedactedThinking("x", "anthropic"),
        Text("a", citations=(Raw(b'{"type":"char_location"}'), Raw(b'{"start":0,"end":1,"text":"a"}'))),
        Refusal("no"),
        Image(Source(url="u")),
        Opaque("anthropic", "server_tool_use", Raw(b"{}")),
        ToolCall("toolu_1", "f", '{"a":1}'),
        ToolCall("toolu_2", "g", ""),
    )
    usage = Usage(1, 2, 3, 4, 5)
    reply = Reply("anthropic", "msg_1", "claude", (Choice(blocks, Stop(StopKind.TOOL, "tool_use")),), usage)
    told = json.loads(DIALECT.write_reply(reply, "m"))
    assert told["finish_reason"] == "TOOL_CALL"
    assert told["message"] == {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "a"},
            {"type": "text", "text": "no"},
        ],
        "tool_calls": [
            {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "toolu_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
        "citations": [{"start": 0, "end": 1, "text": "a"}],
    }
    tokens = {"input_tokens": 6, "output_tokens": 9, "reasoning_tokens": 5}
    assert told["usage"] == {"tokens": tokens, "cached_tokens": 2}
    assert "msg_1" not in told["id"]
    assert len(told["id"]) == 36
    assert json.loads(DIALECT.write_reply(reply, "other"))["id"] == told["id"]


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (StopKind.END, "COMPLETE"),
        (StopKind.PAUSE, "COMPLETE"),
        (StopKind.OTHER, "MAX_TOKENS"),
        (StopKind.REFUSAL, "ERROR_TOXIC"),
        (StopKind.STOP_SEQUENCE, "STOP_SEQUENCE"),
    ],
)
def test_no_foreign_stop_word(kind: StopKind, word: str) -> None:
    reply = Reply("x", None, None, (Choice((), Stop(kind, "end_turn")),), None)
    assert json.loads(DIALECT.write_reply(reply, "m"))["finish_reason"] == word


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"message":"no such thing"}',
        b'{"id":"x"}',
        b'{"message":{"content":5}}',
        b'{"message":{"content":[{"type":"text"}]}}',
        b'{"message":{"tool_calls":[{"id":"x"}]}}',
        b'{"message":{"content":' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
        b'{"message":{"content":"\xff"}}',
    ],
    ids=range(10),
)
def test_what_is_no_answer_is_malformed(broken: bytes) -> None:
    with pytest.raises(UpstreamFault) as caught:
        DIALECT.read_reply(broken)
    assert caught.value.fault.kind is FaultKind.MALFORMED
