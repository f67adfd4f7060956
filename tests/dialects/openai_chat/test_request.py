"""Requests in every form the protocol has or had, read into the neutral one."""

import json
from typing import Any

import pytest

from waypost.conversation.blocks import (
    Audio,
    Block,
    CacheMark,
    Document,
    Image,
    Opaque,
    Refusal,
    Role,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from waypost.conversation.faults import Refused
from waypost.conversation.request import HostedTool, OutputFormat, Reasoning, Request, Tool, ToolChoice, ToolChoiceMode
from waypost.dialects.openai_chat import DIALECT

HELLO = [{"role": "user", "content": "hi"}]


def read(messages: list[Any] | None = None, **members: Any) -> Request:
    return DIALECT.read_request(json.dumps({"model": "m", "messages": messages or HELLO, **members}).encode())


def blocks(content: Any, role: str = "user", **members: Any) -> tuple[Block, ...]:
    return read([{"role": role, "content": content, **members}]).turns[0].blocks


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"type": "text", "text": "a"}, Text("a")),
        (
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            Text("a", CacheMark("1h")),
        ),
        ("a", Text("a")),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUI=", "detail": "low"}},
            Image(Source("image/png", data="QUI="), "low"),
        ),
        ({"type": "image_url", "image_url": "https://x/y"}, Image(Source(url="https://x/y"))),
        (
            {"type": "input_audio", "input_audio": {"data": "QUI=", "format": "wav"}},
            Audio(Source("audio/wav", data="QUI="), "wav"),
        ),
        (
            {"type": "file", "file": {"filename": "f.pdf", "file_data": "data:application/pdf;base64,QUI="}},
            Document(Source("application/pdf", data="QUI="), "f.pdf"),
        ),
        ({"type": "file", "file": {"file_data": "QUI="}}, Document(Source("application/pdf", data="QUI="))),
        ({"type": "file", "file": {"file_data": "https://x/f.pdf"}}, Document(Source(url="https://x/f.pdf"))),
        ({"type": "file", "file": {"file_id": "f-1"}}, Document(Source(file_id="f-1"))),
        ({"type": "document_url", "document_url": "https://x/f.pdf"}, Document(Source(url="https://x/f.pdf"))),
        ({"type": "refusal", "refusal": "no"}, Refusal("no")),
    ],
)
def test_parts(part: Any, block: Block) -> None:
    assert blocks([part]) == (block,)


def test_an_unknown_part_is_carried() -> None:
    (block,) = blocks([{"type": "video_url", "video_url": {"url": "u"}}])
    assert isinstance(block, Opaque)
    assert (block.dialect, block.kind) == ("openai_chat", "video_url")


def test_tool_results_are_one_turn_of_the_user() -> None:
    turns = read(
        [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}], "name": "g"},
            {"role": "user", "content": "go on"},
        ]
    ).turns
    assert [turn.role for turn in turns] == [Role.ASSISTANT, Role.USER, Role.USER]
    assert turns[0].blocks == (ToolCall("a", "f", "{}"),)
    assert turns[1].blocks == (ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),), name="g"))


def test_functions_of_old() -> None:
    request = read(
        [
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "1"},
        ],
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
    )
    (call,) = request.turns[0].blocks
    (result,) = request.turns[1].blocks
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert call.id == result.call_id != ""
    assert [tool.name for tool in request.tools if isinstance(tool, Tool)] == ["f"]
    assert request.tool_choice == ToolChoice(ToolChoiceMode.NAMED, "f")


def test_a_choice_beside_its_older_form() -> None:
    request = read(tool_choice="required", function_call="none")
    assert request.tool_choice == ToolChoice(ToolChoiceMode.ANY)
    assert request.extra == ()


def test_an_assistants_thinking() -> None:
    assert blocks("a", "assistant", reasoning_content="t") == (Thinking("t"), Text("a"))
    assert blocks("a", "assistant", reasoning="t") == (Thinking("t"), Text("a"))
    details = [{"type": "reasoning.text", "text": "t", "signature": "s"}]
    assert blocks("a", "assistant", reasoning="t", reasoning_details=details) == (
        Thinking("t", "s", "openai_chat"),
        Text("a"),
    )


@pytest.mark.parametrize(
    ("told", "choice"),
    [
        ("auto", ToolChoice(ToolChoiceMode.AUTO)),
        ("none", ToolChoice(ToolChoiceMode.NONE)),
        ("required", ToolChoice(ToolChoiceMode.ANY)),
        ("any", ToolChoice(ToolChoiceMode.ANY)),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice(ToolChoiceMode.NAMED, "f")),
        ({"type": "required"}, ToolChoice(ToolChoiceMode.ANY)),
        (None, None),
    ],
)
def test_tool_choices(told: Any, choice: ToolChoice | None) -> None:
    request = read(tool_choice=told)
    assert request.tool_choice == choice
    assert request.extra == ()


def test_a_choice_without_a_neutral_word_stays_whole() -> None:
    told = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}
    request = read(tool_choice=told)
    assert request.tool_choice is None
    assert [name for name, _ in request.extra] == ["tool_choice"]


@pytest.mark.parametrize(
    ("members", "reasoning"),
    [
        ({"reasoning_effort": "low"}, Reasoning(effort="low")),
        ({"reasoning_effort": "none"}, Reasoning(enabled=False, effort="none")),
        ({"reasoning": {"max_tokens": 9, "exclude": True}}, Reasoning(budget_tokens=9, display="omitted")),
        ({"reasoning": {"enabled": True}}, Reasoning(enabled=True)),
        ({"thinking": {"type": "disabled"}}, Reasoning(enabled=False)),
        ({"thinking": {"type": "enabled", "budget_tokens": 7}}, Reasoning(enabled=True, budget_tokens=7)),
        ({}, None),
    ],
)
def test_reasoning(members: dict[str, Any], reasoning: Reasoning | None) -> None:
    assert read(**members).reasoning == reasoning


def test_formats() -> None:
    assert read(response_format={"type": "text"}).output is None
    assert read(response_format={"type": "json_object"}).output == OutputFormat()
    told = read(
        response_format={"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": {}}}
    ).output
    assert told is not None
    assert (told.name, told.strict, bytes(told.schema or b"")) == ("n", True, b"{}")


def test_parameters() -> None:
    request = read(
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=5,
        max_completion_tokens=6,
        temperature=1,
        top_p=0.5,
        top_k=3,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        seed=9007199254740993,
        stop="END",
        n=2,
        logprobs=True,
        top_logprobs=4,
        parallel_tool_calls=False,
        user="u",
        service_tier="flex",
        logit_bias={"1": 2},
        metadata={"task": "qa", "mine": "x"},
        waypost={"task": "qa"},
        store=None,
    )
    assert (request.stream, request.usage_in_stream, request.max_tokens) == (True, True, 6)
    assert (request.temperature, request.top_p, request.top_k, request.seed) == (1.0, 0.5, 3, 9007199254740993)
    assert (request.stop, request.choices, request.logprobs, request.top_logprobs) == (("END",), 2, True, 4)
    assert (request.parallel_tool_calls, request.user, request.service_tier) == (False, "u", "flex")
    assert [name for name, _ in request.extra] == ["logit_bias", "metadata"]


def test_metadata_that_is_only_ours_is_for_nobody_else() -> None:
    assert read(metadata={"task": "qa"}).extra == ()


def test_a_hosted_tool() -> None:
    (tool,) = read(tools=[{"type": "web_search", "x": 1}]).tools
    assert isinstance(tool, HostedTool)
    assert (tool.dialect, tool.kind) == ("openai_chat", "web_search")


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"messages": "hi"}, "the body"),
        ({"messages": [{"content": "hi"}]}, "`messages[0].role` is missing"),
        ({"messages": [{"role": "king", "content": "hi"}]}, "`messages[0].role`"),
        ({"messages": [{"role": "user", "content": 7}]}, "`messages[0].content`"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "`messages[0].content[0].text` is missing"),
        ({"messages": [{"role": "user", "content": [{"text": 1}]}]}, "`messages[0].content[0]`"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "`messages[0].tool_call_id` is missing"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}, "tool_calls[0].function.name"),
        ({"tools": [{"type": "function"}]}, "`tools[0].function` is missing"),
        ({"tools": [{"type": "function", "function": {}}]}, "`tools[0].function.name` is missing"),
        ({"tool_choice": "sometimes"}, "`tool_choice`"),
        ({"temperature": "hot"}, "`temperature`"),
        ({"stop": 7}, "`stop`"),
        ({"model": None}, "`model` is missing"),
        ({"messages": None}, "`messages` is missing"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], named: str) -> None:
    with pytest.raises(Refused) as caught:
        DIALECT.read_request(json.dumps({"model": "m", "messages": HELLO, **members}).encode())
    assert named in caught.value.error.message
