"""Another protocol's requests written in this one: what is carried, what is reported, what quirks change."""

import json
from typing import Any

import pytest
from msgspec import Raw, structs

from waypost.conversation.blocks import (
    Audio,
    Block,
    CacheMark,
    Document,
    Image,
    Opaque,
    RedactedThinking,
    Role,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from waypost.conversation.request import HostedTool, Reasoning, Request, Tool, ToolChoice, ToolChoiceMode, Turn
from waypost.dialects.dialect import Shape
from waypost.dialects.openai_chat import DIALECT

SHAPE = Shape(model="m")


def said(*blocks: Block, role: Role = Role.USER) -> Request:
    return Request(dialect="anthropic", model="x", turns=(Turn(role, blocks),))


HELLO = said(Text("hi"))


def written(request: Request, *quirks: str, **shape: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    told = DIALECT.write_request(request, structs.replace(SHAPE, quirks=frozenset(quirks), **shape))
    return json.loads(told.body), told.dropped


def messages(request: Request, *quirks: str) -> tuple[list[Any], tuple[str, ...]]:
    body, dropped = written(request, *quirks)
    return body["messages"], dropped


def test_the_simplest() -> None:
    assert written(HELLO) == ({"model": "m", "messages": [{"role": "user", "content": "hi"}]}, ())


def test_a_stream_always_tells_its_usage() -> None:
    body, _ = written(structs.replace(HELLO, stream=True))
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert "stream_options" not in written(structs.replace(HELLO, stream=True), "no_stream_options")[0]


@pytest.mark.parametrize(
    ("told", "quirks", "shape", "limit"),
    [
        (None, (), {}, {}),
        (5, (), {}, {"max_tokens": 5}),
        (5, ("max_completion_tokens",), {}, {"max_completion_tokens": 5}),
        (5, (), {"max_output_field": "max_completion_tokens"}, {"max_completion_tokens": 5}),
        (5, (), {"max_output": 3}, {"max_tokens": 3}),
        (5, (), {"max_output": 9}, {"max_tokens": 5}),
        (None, (), {"max_output": 9}, {"max_tokens": 9}),
    ],
)
def test_limits(told: int | None, quirks: tuple[str, ...], shape: dict[str, Any], limit: dict[str, int]) -> None:
    body, _ = written(structs.replace(HELLO, max_tokens=told), *quirks, **shape)
    assert {name: value for name, value in body.items() if name.startswith("max_")} == limit


@pytest.mark.parametrize(
    ("reasoning", "quirks", "members", "dropped"),
    [
        (Reasoning(enabled=True, budget_tokens=2000), (), {}, ("thinking",)),
        (Reasoning(enabled=True, budget_tokens=2000), ("reasoning_effort",), {"reasoning_effort": "low"}, ()),
        (Reasoning(enabled=True, budget_tokens=8000), ("reasoning_effort",), {"reasoning_effort": "medium"}, ()),
        (Reasoning(enabled=True, budget_tokens=32000), ("reasoning_effort",), {"reasoning_effort": "high"}, ()),
        (Reasoning(enabled=True, adaptive=True, effort="max"), ("reasoning_effort",), {"reasoning_effort": "high"}, ()),
        (Reasoning(enabled=True, adaptive=True), ("reasoning_effort",), {}, ()),
        (Reasoning(enabled=True, budget_tokens=9), ("thinking",), {"thinking": {"type": "enabled"}}, ()),
        (Reasoning(enabled=False), ("thinking",), {"thinking": {"type": "disabled"}}, ()),
        (Reasoning(enabled=False), ("reasoning_effort",), {}, ("thinking",)),
        (
            Reasoning(enabled=True, budget_tokens=9, display="omitted"),
            ("reasoning",),
            {"reasoning": {"max_tokens": 9, "enabled": True, "exclude": True}},
            (),
        ),
    ],
)
def test_reasoning(
    reasoning: Reasoning, quirks: tuple[str, ...], members: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    body, lost = written(structs.replace(HELLO, reasoning=reasoning), *quirks)
    assert {name: body[name] for name in body.keys() - {"model", "messages"}} == members
    assert lost == dropped


def test_tool_results_follow_their_calls_and_what_they_show_follows_them() -> None:
    request = said(
        Text("see"),
        ToolResult("a", (Text("1"), Image(Source("image/png", data="QUI=")))),
        ToolResult("b", (), is_error=True),
    )
    told, dropped = messages(request)
    assert told == [
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUI="}},
                {"type": "text", "text": "see"},
            ],
        },
    ]
    assert dropped == ("tool_result.is_error",)


def test_an_assistants_turn() -> None:
    request = said(
        Thinking("t", "s", "anthropic"),
        RedactedThinking("r", "anthropic"),
        Text("a"),
        ToolCall("c", "f", ""),
        Opaque("anthropic", "server_tool_use", Raw(b"{}")),
        role=Role.ASSISTANT,
    )
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    told, dropped = messages(request)
    assert told == [{"role": "assistant", "content": "a", "tool_calls": [call]}]
    assert set(dropped) == {"thinking", "redacted_thinking", "server_tool_use"}
    told, dropped = messages(request, "reasoning_content")
    assert told == [{"role": "assistant", "content": "a", "tool_calls": [call], "reasoning_content": "t"}]
    assert set(dropped) == {"redacted_thinking", "server_tool_use"}


@pytest.mark.parametrize(
    ("block", "quirks", "part", "dropped"),
    [
        (Text("a", CacheMark("1h")), (), None, ("cache_control",)),
        (
            Text("a", CacheMark("1h")),
            ("cache_control",),
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            (),
        ),
        (Image(Source(url="u"), "low"), (), {"type": "image_url", "image_url": {"url": "u", "detail": "low"}}, ()),
        (Image(Source(file_id="f")), (), None, ("image",)),
        (
            Document(Source("application/pdf", data="QUI=")),
            (),
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUI=", "filename": "document.pdf"}},
            (),
        ),
        (Document(Source(url="u")), (), None, ("document",)),
        (Document(Source(url="u")), ("document_url",), {"type": "document_url", "document_url": "u"}, ()),
        (Document(Source(file_id="f")), (), None, ("document",)),
        (
            Document(Source(), text="words", citations=True),
            (),
            {"type": "text", "text": "words"},
            ("document.citations",),
        ),
        (
            Audio(Source("audio/mp3", data="QUI=")),
            (),
            {"type": "input_audio", "input_audio": {"data": "QUI=", "format": "mp3"}},
            (),
        ),
        (Opaque("anthropic", "search_result", Raw(b"{}")), (), None, ("search_result",)),
    ],
)
def test_parts(block: Block, quirks: tuple[str, ...], part: dict[str, Any] | None, dropped: tuple[str, ...]) -> None:
    (told,), lost = messages(said(block, Text("-")), *quirks)
    shown = [each for each in told["content"] if each not in ({"type": "text", "text": "-"}, "-")]
    assert shown == ([part] if part is not None else [{"type": "text", "text": "a"}] if isinstance(block, Text) else [])
    assert lost == dropped


def test_tools() -> None:
    request = structs.replace(
        HELLO,
        tools=(
            Tool("f", "d", Raw(b'{"type":"object"}'), strict=True, cache=CacheMark()),
            Tool("g"),
            HostedTool("anthropic", "web_search_20250305", Raw(b"{}")),
        ),
        tool_choice=ToolChoice(ToolChoiceMode.NAMED, "f"),
        parallel_tool_calls=False,
    )
    body, dropped = written(request)
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
        },
        {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert body["parallel_tool_calls"] is False
    assert dropped == ("tools.web_search_20250305", "cache_control")


def test_a_choice_is_not_written_without_tools() -> None:
    request = structs.replace(
        HELLO,
        tools=(HostedTool("anthropic", "bash", Raw(b"{}")),),
        tool_choice=ToolChoice(ToolChoiceMode.ANY),
        parallel_tool_calls=True,
    )
    body, dropped = written(request)
    assert body.keys() == {"model", "messages"}
    assert dropped == ("tools.bash",)


def test_what_no_parameter_says_is_reported_by_the_callers_name() -> None:
    request = structs.replace(
        HELLO,
        top_k=5,
        user="u",
        stop=("END",),
        service_tier="standard_only",
        extra=(("container", Raw(b'"c"')), ("mcp_servers", Raw(b"[]"))),
    )
    body, dropped = written(request)
    assert dropped == ("top_k", "container", "mcp_servers")
    assert (body["user"], body["stop"], body["service_tier"]) == ("u", ["END"], "default")
    assert written(request, "top_k")[0]["top_k"] == 5


def test_a_developers_words() -> None:
    request = said(Text("be brief"), role=Role.DEVELOPER)
    assert messages(request)[0] == [{"role": "system", "content": "be brief"}]
    assert messages(request, "developer_role")[0] == [{"role": "developer", "content": "be brief"}]
