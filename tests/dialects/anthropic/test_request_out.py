"""Requests of other protocols → Messages requests: what is carried, how, and what is reported as dropped."""

import json
from typing import Any

import pytest
from msgspec import Raw

from waypost.conversation.blocks import (
    Audio,
    Block,
    CacheMark,
    Document,
    Image,
    Opaque,
    RedactedThinking,
    Refusal,
    Role,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
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

OLD = "claude-sonnet-4-20250514"  # thinks by a budget, takes both samplers
MIDDLE = "claude-sonnet-4-5"  # thinks by a budget, takes one sampler
NEW = "claude-sonnet-4-6"  # thinks adaptively
NEWEST = "claude-opus-4-7"  # takes no samplers

HI = Turn(Role.USER, (Text("hi"),))
TOOL = Tool("f", parameters=Raw(b'{"type":"object"}'))


def written(model: str = OLD, quirks: frozenset[str] = frozenset(), **members: Any) -> tuple[dict[str, Any], set[str]]:
    request = Request(**{"dialect": "openai_chat", "model": "asked", "turns": (HI,), **members})
    result = DIALECT.write_request(request, Shape(model=model, quirks=quirks))
    assert len(set(result.dropped)) == len(result.dropped)
    return json.loads(result.body), set(result.dropped)


def messages(*turns: Turn) -> tuple[list[dict[str, Any]], set[str]]:
    body, dropped = written(turns=turns)
    return body["messages"], dropped


def test_the_least_request() -> None:
    assert written() == (
        {"model": OLD, "max_tokens": 4096, "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
        set(),
    )


@pytest.mark.parametrize(
    ("asked", "clamp", "limit"), [(None, None, 4096), (100, None, 100), (None, 50, 50), (100, 50, 50), (10, 50, 10)]
)
def test_the_output_limit_is_always_there(asked: int | None, clamp: int | None, limit: int) -> None:
    request = Request(dialect="openai_chat", model="m", turns=(HI,), max_tokens=asked)
    body = json.loads(DIALECT.write_request(request, Shape(model=OLD, max_output=clamp)).body)
    assert body["max_tokens"] == limit


FORMAT = {"type": "json_schema", "schema": {"type": "object"}}
# (model, what is asked, what is written beside the least request, what is dropped)
PARAMETERS: list[tuple[str, dict[str, Any], dict[str, Any], set[str]]] = [
    (OLD, {"stream": True, "usage_in_stream": True}, {"stream": True}, set()),
    (OLD, {"temperature": 0.3}, {"temperature": 0.3}, set()),
    (OLD, {"temperature": 1.7}, {"temperature": 1.0}, {"temperature"}),
    (OLD, {"temperature": 0.3, "top_p": 0.9}, {"temperature": 0.3, "top_p": 0.9}, set()),
    (MIDDLE, {"temperature": 0.3, "top_p": 0.9}, {"temperature": 0.3}, {"top_p"}),
    (MIDDLE, {"temperature": 0.3, "top_p": 1.0}, {"temperature": 0.3}, set()),
    (MIDDLE, {"top_p": 0.9, "top_k": 3}, {"top_p": 0.9, "top_k": 3}, set()),
    (NEWEST, {"temperature": 0.3, "top_p": 0.9, "top_k": 3}, {}, {"temperature", "top_p", "top_k"}),
    (NEWEST, {"temperature": 1.0, "top_p": 1.0}, {}, set()),
    (OLD, {"stop": ("x", "\n")}, {"stop_sequences": ["x"]}, {"stop"}),
    (OLD, {"user": "u"}, {"metadata": {"user_id": "u"}}, set()),
    (OLD, {"service_tier": "auto"}, {"service_tier": "auto"}, set()),
    (OLD, {"service_tier": "default"}, {"service_tier": "standard_only"}, set()),
    (OLD, {"service_tier": "flex"}, {}, {"service_tier"}),
    (
        OLD,
        {"seed": 0, "choices": 2, "logprobs": True, "top_logprobs": 3},
        {},
        {"seed", "n", "logprobs", "top_logprobs"},
    ),
    (OLD, {"frequency_penalty": 0.1, "presence_penalty": -0.1}, {}, {"frequency_penalty", "presence_penalty"}),
    (OLD, {"frequency_penalty": 0, "presence_penalty": 0.0, "choices": 1, "logprobs": False}, {}, set()),
    (OLD, {"extra": (("logit_bias", Raw(b"{}")), ("store", Raw(b"true")))}, {}, {"logit_bias", "store"}),
    (OLD, {"output": OutputFormat("n", Raw(b'{"type":"object"}'), True)}, {"output_config": {"format": FORMAT}}, set()),
    (OLD, {"output": OutputFormat()}, {}, {"response_format"}),
    (OLD, {"tool_choice": ToolChoice(ToolChoiceMode.AUTO)}, {}, set()),
]


@pytest.mark.parametrize(("model", "asked", "expected", "lost"), PARAMETERS, ids=lambda value: str(value)[:50])
def test_parameters(model: str, asked: dict[str, Any], expected: dict[str, Any], lost: set[str]) -> None:
    body, dropped = written(model, **asked)
    least, _ = written(model)
    assert {name: value for name, value in body.items() if name not in least} == expected
    assert dropped == lost


ENABLED = {"type": "enabled"}
FORCED = {"tools": (TOOL,), "tool_choice": ToolChoice(ToolChoiceMode.ANY)}
LOOP = (HI, Turn(Role.ASSISTANT, (ToolCall("c", "f", "{}"),)), Turn(Role.USER, (ToolResult("c", (Text("1"),)),)))
SIGNED = (
    HI,
    Turn(Role.ASSISTANT, (Thinking("hm", "s", "anthropic"), ToolCall("c", "f", "{}"))),
    Turn(Role.USER, (ToolResult("c", (Text("1"),)),)),
)
# (model, quirks, what is asked, thinking and effort as written, what is dropped)
REASONING: list[tuple[str, set[str], dict[str, Any], tuple[Any, Any], set[str]]] = [
    (OLD, set(), {"reasoning": Reasoning(effort="low")}, ({**ENABLED, "budget_tokens": 2000}, None), set()),
    (OLD, set(), {"reasoning": Reasoning(effort="medium")}, ({**ENABLED, "budget_tokens": 5000}, None), set()),
    (OLD, set(), {"reasoning": Reasoning(effort="high")}, ({**ENABLED, "budget_tokens": 8000}, None), set()),
    (OLD, set(), {"reasoning": Reasoning(budget_tokens=3000)}, ({**ENABLED, "budget_tokens": 3000}, None), set()),
    (OLD, set(), {"reasoning": Reasoning(budget_tokens=10000)}, (None, None), {"reasoning_effort"}),
    (
        OLD,
        set(),
        {"reasoning": Reasoning(effort="low"), "max_tokens": 2000},
        ({**ENABLED, "budget_tokens": 1024}, None),
        set(),
    ),
    (OLD, set(), {"reasoning": Reasoning(effort="low"), "max_tokens": 1024}, (None, None), {"reasoning_effort"}),
    (OLD, set(), {"reasoning": Reasoning(effort="none")}, ({"type": "disabled"}, None), set()),
    (OLD, set(), {"reasoning": Reasoning(enabled=False)}, ({"type": "disabled"}, None), set()),
    (OLD, set(), {"reasoning": Reasoning(effort="immense")}, (None, None), {"reasoning_effort"}),
    (OLD, set(), {"reasoning": Reasoning(effort="low"), **FORCED}, (None, None), {"reasoning_effort"}),
    (OLD, set(), {"reasoning": Reasoning(effort="low"), "turns": LOOP}, (None, None), {"reasoning_effort"}),
    (
        OLD,
        set(),
        {"reasoning": Reasoning(effort="low"), "turns": SIGNED},
        ({**ENABLED, "budget_tokens": 2000}, None),
        set(),
    ),
    (
        OLD,
        set(),
        {"reasoning": Reasoning(effort="low"), "temperature": 0.2, "top_p": 0.5, "top_k": 2},
        ({**ENABLED, "budget_tokens": 2000}, None),
        {"temperature", "top_p", "top_k"},
    ),
    (OLD, {"effort"}, {"reasoning": Reasoning(effort="low")}, ({"type": "adaptive"}, "low"), set()),
    (NEW, set(), {"reasoning": Reasoning(effort="minimal")}, ({"type": "adaptive"}, "low"), set()),
    (NEW, set(), {"reasoning": Reasoning(enabled=True)}, ({"type": "adaptive"}, None), set()),
    (NEW, set(), {"reasoning": Reasoning(effort="high"), **FORCED}, (None, "high"), set()),
    (
        NEW,
        {"thinking_budget"},
        {"reasoning": Reasoning(effort="high")},
        ({**ENABLED, "budget_tokens": 8000}, None),
        set(),
    ),
    (NEW, set(), {"reasoning": Reasoning(effort="none")}, ({"type": "disabled"}, None), set()),
    ("claude-fable-5", set(), {"reasoning": Reasoning(effort="none")}, (None, None), {"reasoning_effort"}),
    ("claude-mythos-preview", set(), {"reasoning": Reasoning(effort="max")}, ({"type": "adaptive"}, "max"), set()),
    (
        "claude-3-7-sonnet-20250219",
        set(),
        {"reasoning": Reasoning(effort="low")},
        ({**ENABLED, "budget_tokens": 2000}, None),
        set(),
    ),
    ("glm-4.6", set(), {"reasoning": Reasoning(effort="low")}, ({**ENABLED, "budget_tokens": 2000}, None), set()),
]


@pytest.mark.parametrize(("model", "quirks", "asked", "expected", "lost"), REASONING, ids=lambda value: str(value)[:50])
def test_effort_becomes_what_the_model_has(
    model: str, quirks: set[str], asked: dict[str, Any], expected: tuple[Any, Any], lost: set[str]
) -> None:
    body, dropped = written(model, frozenset(quirks), **{"max_tokens": 10000, **asked})
    assert (body.get("thinking"), body.get("output_config", {}).get("effort")) == expected
    assert dropped == lost


def test_effort_and_a_schema_share_one_member() -> None:
    body, _ = written(NEW, reasoning=Reasoning(effort="low"), output=OutputFormat(schema=Raw(b'{"type":"object"}')))
    assert body["output_config"] == {"effort": "low", "format": FORMAT}


def test_tools() -> None:
    body, dropped = written(
        tools=(
            Tool("f", "d", Raw(b'{"type":"object"}'), True, CacheMark("1h")),
            Tool("g", strict=False, extra=(("oddity", Raw(b"1")),)),
            HostedTool("openai_chat", "web_search", Raw(b"{}")),
        ),
        tool_choice=ToolChoice(ToolChoiceMode.NAMED, "f"),
        parallel_tool_calls=True,
    )
    assert body["tools"] == [
        {
            "name": "f",
            "description": "d",
            "input_schema": {"type": "object"},
            "strict": True,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert body["tool_choice"] == {"type": "tool", "name": "f", "disable_parallel_tool_use": False}
    assert dropped == {"tools.oddity", "tools.web_search"}


CHOICES: list[tuple[ToolChoice | None, bool | None, object]] = [
    (None, None, None),
    (None, True, None),
    (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
    (ToolChoice(ToolChoiceMode.AUTO), None, {"type": "auto"}),
    (ToolChoice(ToolChoiceMode.ANY), False, {"type": "any", "disable_parallel_tool_use": True}),
    (ToolChoice(ToolChoiceMode.NONE), False, {"type": "none"}),
]


@pytest.mark.parametrize(("choice", "parallel", "expected"), CHOICES)
def test_tool_choice(choice: ToolChoice | None, parallel: bool | None, expected: object) -> None:
    body, _ = written(tools=(TOOL,), tool_choice=choice, parallel_tool_calls=parallel)
    assert body.get("tool_choice") == expected


def user(*content: object) -> dict[str, object]:
    return {"role": "user", "content": list(content)}


def assistant(*content: object) -> dict[str, object]:
    return {"role": "assistant", "content": list(content)}


def text(value: str) -> dict[str, object]:
    return {"type": "text", "text": value}


def use(call_id: str, given: object) -> dict[str, object]:
    return {"type": "tool_use", "id": call_id, "name": "f", "input": given}


def result(call_id: str, content: object) -> dict[str, object]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


def said(role: Role, *blocks: Block) -> Turn:
    return Turn(role, blocks)


U, A, S, D = Role.USER, Role.ASSISTANT, Role.SYSTEM, Role.DEVELOPER
TURNS: list[tuple[tuple[Turn, ...], list[dict[str, object]]]] = [
    ((said(U, Text("a")), said(U, Text("b"))), [user(text("a"), text("b"))]),
    ((said(U, Text("a")), said(S, Text("b")), said(A, Text("c"))), [user(text("a"), text("b")), assistant(text("c"))]),
    (
        (said(A, Text("a")), said(U, Text("b"))),
        [{"role": "user", "content": "."}, assistant(text("a")), user(text("b"))],
    ),
    ((said(U, Text("a")), said(A, Text("b \n"))), [user(text("a")), assistant(text("b \n"))]),
    ((said(U, Text("a"), Text(""), Text(" \n")), said(A), said(U, Text("b"))), [user(text("a"), text("b"))]),
    (
        (
            said(U, Text("a")),
            said(A, ToolCall("c1", "f", '{"x":1}'), ToolCall("c2", "f", "")),
            said(U, ToolResult("c1", (Text("one"),))),
            said(U, Text("meanwhile")),
            said(U, ToolResult("c2", (Text("two"),))),
        ),
        [
            user(text("a")),
            assistant(use("c1", {"x": 1}), use("c2", {})),
            user(result("c1", "one"), result("c2", "two"), text("meanwhile")),
        ],
    ),
    ((said(U, Text("a")), said(A, Refusal("no"))), [user(text("a")), assistant(text("no"))]),
    ((), [{"role": "user", "content": "."}]),
    ((said(S, Text("do it")),), [user(text("do it"))]),
]


@pytest.mark.parametrize(("turns", "expected"), TURNS, ids=lambda value: str(value)[:60])
def test_turns(turns: tuple[Turn, ...], expected: list[dict[str, object]]) -> None:
    assert messages(*turns) == (expected, set())


def test_leading_instructions_become_the_system_prompt() -> None:
    body, dropped = written(turns=(said(S, Text("a", CacheMark())), said(D, Text("b"), Text(" ")), HI))
    assert body["system"] == [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, text("b")]
    assert len(body["messages"]) == 1
    assert dropped == set()


def test_ids_are_made_legal_the_same_way_on_both_ends() -> None:
    odd = ["call:1/ä", "call_1__", "", "x" * 200]
    turns = (HI, said(A, *[ToolCall(i, "f", "{}") for i in odd]), said(U, *[ToolResult(i, (Text("r"),)) for i in odd]))
    (_, calls, results), _ = messages(*turns)
    call_ids = [block["id"] for block in calls["content"]]
    assert call_ids == [block["tool_use_id"] for block in results["content"]]
    assert call_ids[1] == "call_1__"
    assert len(set(call_ids)) == 4
    assert all(i.isascii() and i.replace("_", "a").replace("-", "a").isalnum() and len(i) <= 128 for i in call_ids)


PNG = "iVBORw0KGgo="
BLOCKS: list[tuple[Block, object, str | None]] = [
    (
        Image(Source(url=f"data:image/jpeg;base64,{PNG}")),
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": PNG}},
        None,
    ),
    (
        Image(Source(data=PNG), detail="high"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        "image_url.detail",
    ),
    (Image(Source(url="https://e/x")), {"type": "image", "source": {"type": "url", "url": "https://e/x"}}, None),
    (Image(Source(url="data:,x")), None, "image_url"),
    (Image(Source(file_id="file-1")), None, "image_url"),
    (
        Document(Source(media_type="application/pdf", data="AA=="), "n.pdf"),
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
            "title": "n.pdf",
        },
        None,
    ),
    (
        Document(Source(media_type="text/markdown", data="IyBoaQ==")),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "# hi"}},
        None,
    ),
    (Document(Source(media_type="text/plain", data="/w==")), None, "file"),
    (Document(Source(media_type="application/zip", data="AA==")), None, "file"),
    (Document(Source(file_id="file-1")), None, "file"),
    (Audio(Source(data="AA=="), "wav"), None, "input_audio"),
    (Thinking("hm"), None, "reasoning_content"),
    (Thinking("hm", "sig", "gemini"), None, "reasoning_content"),
    (Thinking("hm", "sig", "anthropic"), {"type": "thinking", "thinking": "hm", "signature": "sig"}, None),
    (RedactedThinking("d", "openai_responses"), None, "reasoning_content"),
    (Opaque("openai_chat", "oddity", Raw(b"{}")), None, "oddity"),
    (Text("a", None, (Raw(b'{"type":"url_citation"}'),)), text("a"), None),
    (ToolCall("c", "f", "[1]"), use("c", {"arguments": "[1]"}), "tool_calls.function.arguments"),
    (ToolCall("c", "f", '{"a":'), use("c", {"arguments": '{"a":'}), "tool_calls.function.arguments"),
    (ToolCall("c", "f", " "), use("c", {}), None),
    (ToolResult("c", (Text("a"), Text("b")), True), {**result("c", [text("a"), text("b")]), "is_error": True}, None),
    (ToolResult("c", ()), {"type": "tool_result", "tool_use_id": "c"}, None),
]


@pytest.mark.parametrize(("block", "expected", "lost"), BLOCKS, ids=lambda value: str(value)[:60])
def test_blocks(block: Block, expected: object, lost: str | None) -> None:
    (only,), dropped = messages(said(U, Text("."), block))
    content = [part for part in only["content"] if part != text(".")]
    assert content == ([] if expected is None else [expected])
    assert dropped == ({lost} if lost else set())


def test_on_vertex_the_path_names_the_model_and_the_body_the_version() -> None:
    request = Request(model="m", turns=(HI,), dialect="openai_chat")
    written = json.loads(DIALECT.write_request(request, Shape(model="claude-x", quirks=frozenset({"vertex"}))).body)
    assert written.pop("anthropic_version") == "vertex-2023-10-16"
    plain = json.loads(DIALECT.write_request(request, Shape(model="claude-x")).body)
    assert plain.pop("model") == "claude-x"
    assert written == plain


def test_what_only_another_protocol_says_of_a_turn_is_reported() -> None:
    turn = Turn(U, (Text("a"),), name="ann", extra=(("weight", Raw(b"1")),))
    assert messages(turn) == ([user(text("a"))], {"messages.name", "messages.weight"})


def test_an_assistant_shows_no_pictures_here() -> None:
    assert messages(HI, said(A, Text("see"), Image(Source(data=PNG)))) == (
        [user(text("hi")), assistant(text("see"))],
        {"image_url"},
    )
