"""Messages requests → the neutral form, and what a caller is told of a request that is none."""

import json
from typing import Any

import pytest
from msgspec import Raw

from waypost.conversation.blocks import (
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
from waypost.conversation.faults import ErrorKind, Refused
from waypost.conversation.request import (
    HostedTool,
    OutputFormat,
    Reasoning,
    Request,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    Turn,
)
from waypost.dialects.anthropic import DIALECT
from waypost.dialects.dialect import Shape

MINIMAL: dict[str, Any] = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def raw(value: object) -> Raw:
    return Raw(encoded(value))


def encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def read(**members: object) -> Request:
    return DIALECT.read_request(encoded({**MINIMAL, **members}))


def test_the_least_request() -> None:
    assert read() == Request(
        dialect="anthropic", model="claude-x", max_tokens=9, turns=(Turn(Role.USER, (Text("hi"),)),)
    )


PARAMETERS: list[tuple[dict[str, object], dict[str, object]]] = [
    ({"temperature": 0.5, "top_p": 1, "top_k": 4}, {"temperature": 0.5, "top_p": 1.0, "top_k": 4}),
    ({"stop_sequences": ["a", "\n"]}, {"stop": ("a", "\n")}),
    ({"stream": True}, {"stream": True, "usage_in_stream": True}),
    ({"stream": False, "temperature": None, "system": None, "tools": None, "metadata": None}, {}),
    ({"metadata": {"user_id": "u1"}}, {"user": "u1"}),
    ({"metadata": {"user_id": "u1", "task": "code", "combination_id": "c"}}, {"user": "u1"}),
    ({"metadata": {"team": "a"}}, {"extra": (("metadata", raw({"team": "a"})),)}),
    ({"service_tier": "standard_only"}, {"service_tier": "standard_only"}),
    ({"waypost": {"task": "qa"}}, {}),
    ({"thinking": {"type": "disabled"}}, {"reasoning": Reasoning(enabled=False)}),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}},
        {"reasoning": Reasoning(enabled=True, budget_tokens=2000, display="omitted")},
    ),
    (
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
        {"reasoning": Reasoning(enabled=True, adaptive=True, effort="xhigh")},
    ),
    ({"output_config": {"effort": "low"}}, {"reasoning": Reasoning(effort="low")}),
    ({"thinking": {"type": "between_tools"}}, {"extra": (("thinking", raw({"type": "between_tools"})),)}),
    (
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"output": OutputFormat(schema=raw({"type": "object"}))},
    ),
    (
        {"output_format": {"type": "json_schema", "schema": {"type": "object"}}},
        {"output": OutputFormat(schema=raw({"type": "object"}))},
    ),
    ({"output_config": {"task_budget": 3}}, {"extra": (("output_config", raw({"task_budget": 3})),)}),
    (
        {"mcp_servers": [{"url": "u"}], "container": None, "cache_control": {"type": "ephemeral"}},
        {"extra": (("mcp_servers", raw([{"url": "u"}])), ("cache_control", raw({"type": "ephemeral"})))},
    ),
    ({"tool_choice": {"type": "auto"}}, {"tool_choice": ToolChoice(ToolChoiceMode.AUTO)}),
    (
        {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        {"tool_choice": ToolChoice(ToolChoiceMode.ANY), "parallel_tool_calls": False},
    ),
    (
        {"tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": False}},
        {"tool_choice": ToolChoice(ToolChoiceMode.NAMED, "f"), "parallel_tool_calls": True},
    ),
    ({"tool_choice": {"type": "none"}}, {"tool_choice": ToolChoice(ToolChoiceMode.NONE)}),
    (
        {"tools": [{"name": "f", "input_schema": {"type": "object"}}]},
        {"tools": (Tool("f", parameters=raw({"type": "object"})),)},
    ),
    (
        {
            "tools": [
                {
                    "type": "custom",
                    "name": "f",
                    "description": "d",
                    "input_schema": {},
                    "strict": True,
                    "cache_control": {"type": "ephemeral", "ttl": "1h"},
                    "defer_loading": True,
                }
            ]
        },
        {"tools": (Tool("f", "d", raw({}), True, CacheMark("1h"), (("defer_loading", raw(True)),)),)},
    ),
    (
        {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]},
        {
            "tools": (
                HostedTool(
                    "anthropic",
                    "web_search_20250305",
                    raw({"type": "web_search_20250305", "name": "web_search", "max_uses": 3}),
                ),
            )
        },
    ),
]


@pytest.mark.parametrize(("members", "expected"), PARAMETERS, ids=lambda value: str(value)[:60])
def test_parameters(members: dict[str, object], expected: dict[str, Any]) -> None:
    assert read(**members) == Request(
        **{
            "dialect": "anthropic",
            "model": "claude-x",
            "max_tokens": 9,
            "turns": (Turn(Role.USER, (Text("hi"),)),),
            **expected,
        }
    )


EPHEMERAL = {"type": "ephemeral"}
BLOCKS: list[tuple[dict[str, object], Block]] = [
    ({"type": "text", "text": "t", "cache_control": EPHEMERAL}, Text("t", CacheMark())),
    (
        {"type": "text", "text": "t", "citations": [{"type": "char_location", "cited_text": "x"}]},
        Text("t", None, (raw({"type": "char_location", "cited_text": "x"}),)),
    ),
    (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        Image(Source(media_type="image/png", data="AA==")),
    ),
    (
        {"type": "image", "source": {"type": "url", "url": "https://e/x.png"}, "cache_control": EPHEMERAL},
        Image(Source(url="https://e/x.png"), cache=CacheMark()),
    ),
    ({"type": "image", "source": {"type": "file", "file_id": "file_1"}}, Image(Source(file_id="file_1"))),
    (
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}},
        Document(Source(media_type="application/pdf", data="AA==")),
    ),
    (
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "words"},
            "title": "T",
            "context": "C",
            "citations": {"enabled": True},
        },
        Document(Source(media_type="text/plain"), "T", "C", "words", True),
    ),
    (
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}]}},
        Document(Source(media_type="text/plain"), text="a"),
    ),
    ({"type": "document", "source": {"type": "file", "file_id": "file_1"}}, Document(Source(file_id="file_1"))),
    (
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"n": 12345678901234567890, "a": 1.0}},
        ToolCall("toolu_1", "f", '{"n":12345678901234567890,"a":1.0}'),
    ),
    ({"type": "tool_use", "id": "toolu_1", "name": "f"}, ToolCall("toolu_1", "f", "{}")),
    (
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "42", "is_error": False},
        ToolResult("toolu_1", (Text("42"),), False),
    ),
    ({"type": "tool_result", "tool_use_id": "toolu_1"}, ToolResult("toolu_1", ())),
    (
        {
            "type": "tool_result",
            "tool_use_id": "toolu_1",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
            ],
            "is_error": True,
            "cache_control": EPHEMERAL,
        },
        ToolResult(
            "toolu_1",
            (Text("a"), Image(Source(media_type="image/png", data="AA=="))),
            True,
            cache=CacheMark(),
        ),
    ),
    ({"type": "thinking", "thinking": "hm", "signature": "s"}, Thinking("hm", "s", "anthropic")),
    ({"type": "redacted_thinking", "data": "d"}, RedactedThinking("d", "anthropic")),
]
OPAQUE: list[dict[str, object]] = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
    {"type": "search_result", "source": "https://e", "title": "t", "content": [{"type": "text", "text": "x"}]},
    {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "f", "server_name": "s", "input": {}},
    {"type": "container_upload", "file_id": "file_1"},
    {"type": "image", "source": {"type": "hologram"}},
    {"type": "document", "source": {"type": "content", "content": [{"type": "image", "source": {"type": "new"}}]}},
    {"type": "tomorrow's kind", "text": 5},
]
BLOCKS += [(block, Opaque("anthropic", str(block["type"]), raw(block))) for block in OPAQUE]


@pytest.mark.parametrize(("wire", "block"), BLOCKS, ids=lambda value: str(value)[:60])
def test_blocks(wire: dict[str, object], block: Block) -> None:
    assert read(messages=[{"role": "assistant", "content": [wire]}]).turns[0].blocks == (block,)


@pytest.mark.parametrize(("wire", "block"), BLOCKS, ids=lambda value: str(value)[:60])
def test_what_is_read_is_what_is_written(wire: dict[str, object], block: Block) -> None:
    request = read(messages=[{"role": "user", "content": [wire]}], system="s", tools=[{"name": "f"}])
    written = DIALECT.write_request(request, Shape(model="claude-x"))
    assert written.dropped == ()
    assert DIALECT.read_request(written.body) == request


@pytest.mark.parametrize(("members", "expected"), PARAMETERS, ids=lambda value: str(value)[:60])
def test_parameters_read_are_parameters_written(members: dict[str, object], expected: object) -> None:
    request = read(**members)
    written = DIALECT.write_request(request, Shape(model="claude-x"))
    assert written.dropped == ()
    assert DIALECT.read_request(written.body) == request


def test_system_turns_stand_where_they_were_said() -> None:
    request = read(
        system=[{"type": "text", "text": "first", "cache_control": EPHEMERAL}],
        messages=[
            {"role": "system", "content": "second"},
            {"role": "user", "content": "hi"},
            {"role": "system", "content": [{"type": "tool_addition", "tool": {}}]},
        ],
    )
    assert [turn.role for turn in request.turns] == [Role.SYSTEM, Role.SYSTEM, Role.USER, Role.SYSTEM]
    assert request.turns[0].blocks == (Text("first", CacheMark()),)
    assert DIALECT.read_request(DIALECT.write_request(request, Shape(model="claude-x")).body) == request


def test_text_keeps_every_character() -> None:
    text = '\u2028 é 🎈 \x00 \\ " </script>'
    assert read(messages=[{"role": "user", "content": text}]).turns[0].blocks == (Text(text),)


REFUSED: list[tuple[bytes, str]] = [
    (b"", "the body"),
    (b"[]", "the body: Expected `object`, got `array`"),
    (b'{"model":"\xff"}', "not valid UTF-8"),
    (b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deeply"),
    (encoded({**MINIMAL, "model": ""}), "model: is missing"),
    (encoded({"max_tokens": 1, "messages": []}), "model: is missing"),
    (encoded({**MINIMAL, "model": 5}), "model: Expected `str`, got `int`"),
    (encoded({"model": "m", "messages": MINIMAL["messages"]}), "max_tokens: is missing"),
    (encoded({**MINIMAL, "max_tokens": 0}), "max_tokens: must be at least 1"),
    (encoded({**MINIMAL, "max_tokens": "9"}), "max_tokens: Expected `int`, got `str`"),
    (encoded({**MINIMAL, "messages": []}), "messages: at least one message"),
    (encoded({**MINIMAL, "messages": ["x"]}), "messages[0]: Expected `object`"),
    (encoded({**MINIMAL, "messages": [{"role": "user"}]}), "messages[0]"),
    (encoded({**MINIMAL, "messages": [{"role": "tool", "content": "x"}]}), "messages[0].role: must be"),
    (encoded({**MINIMAL, "messages": [{"role": "user", "content": 5}]}), "messages[0].content: Expected"),
    (
        encoded({**MINIMAL, "messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}),
        "messages[0].content[0].text: Expected `str`, got `int`",
    ),
    (
        encoded({**MINIMAL, "messages": [{"role": "user", "content": [{"text": "untyped"}]}]}),
        "messages[0].content[0]: Object missing required field `type`",
    ),
    (
        encoded({**MINIMAL, "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}]}),
        "messages[0].content[0].source.url: is missing",
    ),
    (encoded({**MINIMAL, "temperature": "hot"}), "temperature: Expected `float`, got `str`"),
    (encoded({**MINIMAL, "tools": [{"name": "f"}, {"description": "d"}]}), "tools[1].name: is missing"),
    (encoded({**MINIMAL, "tools": [{"name": 5}]}), "tools[0].name: Expected `str`, got `int`"),
    (encoded({**MINIMAL, "tools": [5]}), "tools[0]: Expected `object`"),
    (encoded({**MINIMAL, "tool_choice": {"type": "most"}}), "tool_choice.type: must be"),
    (encoded({**MINIMAL, "tool_choice": {"type": "tool"}}), "tool_choice.name: is missing"),
    (encoded({**MINIMAL, "thinking": {}}), "thinking: Object missing required field `type`"),
    (encoded({**MINIMAL, "output_config": {"effort": 5}}), "output_config.effort: Expected `str`"),
    (encoded({**MINIMAL, "output_config": {"format": {"type": "xml"}}}), "output_config.format.type"),
    (encoded({**MINIMAL, "output_format": {"type": "json_schema"}}), "output_config.format.schema: is missing"),
    (encoded({**MINIMAL, "metadata": {"user_id": 5}}), "metadata.user_id: Expected `str`"),
]


@pytest.mark.parametrize(("body", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_is_wrong_is_named(body: bytes, message: str) -> None:
    with pytest.raises(Refused) as caught:
        DIALECT.read_request(body)
    assert caught.value.error.kind is ErrorKind.BAD_REQUEST
    assert message in caught.value.error.message
