"""Requests of callers who speak Cohere's protocol, read into the neutral form."""

import json
from typing import Any

import pytest

from waypost.conversation.blocks import Document, Image, Opaque, Role, Source, Text, Thinking, ToolCall, ToolResult
from waypost.conversation.faults import Refused
from waypost.conversation.request import OutputFormat, Reasoning, Request, ToolChoice, ToolChoiceMode, Turn
from waypost.dialects.cohere import DIALECT

USER = {"role": "user", "content": "hi"}


def read(**members: Any) -> Request:
    return DIALECT.read_request(json.dumps({"model": "command", "messages": [USER], **members}).encode())


def test_every_parameter_has_its_neutral_name() -> None:
    request = read(
        stream=True,
        max_tokens=5,
        temperature=0.5,
        p=0.7,
        k=3,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        seed=2**60 + 1,
        stop_sequences=["a"],
        logprobs=True,
        tool_choice="NONE",
        thinking={"type": "enabled", "token_budget": 9},
        response_format={"type": "json_object", "json_schema": {"type": "object"}},
        tools=[{"type": "function", "function": {"name": "f", "description": "d", "parameters": {}, "x": 1}}],
        strict_tools=True,
        waypost={"task": "qa"},
        metadata={"task": "qa"},
        safety_mode="OFF",
        priority=3,
        raw_prompting=None,
    )
    assert request.stream
    assert request.usage_in_stream
    assert (request.max_tokens, request.temperature, request.top_p, request.top_k) == (5, 0.5, 0.7, 3)
    assert (request.frequency_penalty, request.presence_penalty, request.seed) == (0.1, 0.2, 2**60 + 1)
    assert (request.stop, request.logprobs) == (("a",), True)
    assert request.tool_choice == ToolChoice(ToolChoiceMode.NONE)
    assert request.reasoning == Reasoning(enabled=True, budget_tokens=9)
    assert isinstance(request.output, OutputFormat)
    assert json.loads(bytes(request.output.schema or b"")) == {"type": "object"}
    (tool,) = request.tools
    assert (tool.name, tool.description, tool.strict) == ("f", "d", True)  # type: ignore[union-attr]
    assert [name for name, _ in request.extra] == ["safety_mode", "priority"]


def test_messages_become_turns() -> None:
    request = read(
        messages=[
            {"role": "system", "content": "be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
                    {"type": "hologram", "x": 1},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}],
                "tool_plan": "ask",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                "citations": [{"start": 0, "end": 1, "text": "s"}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "1"},
            {
                "role": "tool",
                "tool_call_id": "c2",
                "content": [{"type": "document", "document": {"id": "d", "data": {"text": "t"}}}],
            },
            {"role": "user", "content": ""},
        ]
    )
    system, user, assistant, results, last = request.turns
    assert system == Turn(Role.SYSTEM, (Text("be brief"),))
    assert user.blocks[:2] == (Text("look"), Image(Source("image/png", data="AA=="), "low"))
    assert isinstance(user.blocks[2], Opaque)
    thought, text, plan, call = assistant.blocks
    assert thought == Thinking("hm")
    assert isinstance(text, Text)
    assert [json.loads(bytes(each)) for each in text.citations] == [{"start": 0, "end": 1, "text": "s"}]
    assert isinstance(plan, Opaque)
    assert (plan.kind, bytes(plan.raw)) == ("tool_plan", b'"ask"')
    assert call == ToolCall("c1", "f", "{}")
    document = Document(Source("text/plain"), "d", text="t")
    assert results == Turn(Role.USER, (ToolResult("c1", (Text("1"),)), ToolResult("c2", (document,))))
    assert last == Turn(Role.USER, ())


def test_documents_are_shown_with_the_users_last_words() -> None:
    documents = ["plain", {"id": "d1", "data": {"text": "t"}}, {"data": {"title": "T", "n": 9007199254740993}}]
    tool = {"role": "tool", "tool_call_id": "c", "content": "r"}
    request = read(messages=[{"role": "user", "content": "a"}, USER, tool], documents=documents)
    assert [len(turn.blocks) for turn in request.turns] == [1, 4, 1]
    blocks = request.turns[1].blocks
    assert [(block.name, block.text) for block in blocks[:3] if isinstance(block, Document)] == [
        (None, "plain"),
        ("d1", "t"),
        (None, '{"title": "T", "n": 9007199254740993}'),
    ]
    assert request.extra == ()
    alone = read(messages=[{"role": "system", "content": "s"}], documents=["d"])
    assert [name for name, _ in alone.extra] == ["documents"]


REFUSED = [
    ({"model": ""}, "model"),
    ({"model": 1}, "model"),
    ({"messages": None}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": [1]}, "messages[0]"),
    ({"messages": [{"role": "robot", "content": ""}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls[0].function.name"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"tool_choice": "maybe"}, "tool_choice"),
    ({"temperature": "hot"}, "temperature"),
    ({"thinking": 1}, "thinking"),
    ({"response_format": 1}, "response_format"),
    ({"documents": [1]}, "documents[0]"),
    ({"documents": [{"data": 1}]}, "documents[0].data"),
]


@pytest.mark.parametrize(("members", "place"), REFUSED, ids=str)
def test_what_is_malformed_is_named(members: dict[str, Any], place: str) -> None:
    with pytest.raises(Refused) as caught:
        read(**members)
    assert caught.value.error.status == 400
    assert f"`{place}" in caught.value.error.message


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"model":"m","messages":' + DEEP + b"}",
        b'{"model":"m","messages":[{"role":"user","content":' + DEEP + b"}]}",
        b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"m","messages":[],"documents":[{"data":{"x":' + DEEP + b"}}]}",
    ],
    ids=range(8),
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        DIALECT.read_request(body)
