"""Requests of other protocols, written for Cohere."""

import base64
import json
from typing import Any

import pytest
from msgspec import Raw

from waypost.conversation.blocks import (
    Audio,
    Block,
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
from waypost.dialects.cohere import DIALECT
from waypost.dialects.dialect import Shape

HI = Turn(Role.USER, (Text("hi"),))


def write(*turns: Turn, shape: Shape | None = None, **members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    request = Request("elsewhere", "x", turns or (HI,), **members)
    written = DIALECT.write_request(request, shape or Shape(model="command"))
    return json.loads(written.body), written.dropped


def said(*blocks: Block, role: Role = Role.USER) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    body, dropped = write(Turn(role, blocks))
    return body["messages"], dropped


PARAMETERS: list[tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    ({"stream": True}, {"stream": True}, ()),
    ({"temperature": 1.5}, {"temperature": 1.5}, ()),
    ({"top_p": 1.0}, {"p": 0.99}, ()),
    ({"top_p": 0.001}, {"p": 0.01}, ("top_p",)),
    ({"top_k": 40}, {"k": 40}, ()),
    ({"top_k": 1000}, {"k": 500}, ("top_k",)),
    (
        {"frequency_penalty": -1.0, "presence_penalty": 0.5},
        {"frequency_penalty": 0.0, "presence_penalty": 0.5},
        ("frequency_penalty",),
    ),
    ({"seed": 7}, {"seed": 7}, ()),
    ({"stop": ("a",)}, {"stop_sequences": ["a"]}, ()),
    ({"stop": tuple("abcdef")}, {"stop_sequences": list("abcde")}, ("stop",)),
    ({"logprobs": True, "top_logprobs": 3}, {"logprobs": True}, ("top_logprobs",)),
    ({"choices": 2}, {}, ("n",)),
    ({"choices": 1, "parallel_tool_calls": True}, {}, ()),
    ({"parallel_tool_calls": False, "user": "u"}, {}, ("parallel_tool_calls", "user")),
    ({"max_tokens": 10}, {"max_tokens": 10}, ()),
    ({"output": OutputFormat()}, {"response_format": {"type": "json_object"}}, ()),
    (
        {"output": OutputFormat("n", Raw(b'{"type":"object"}'), True)},
        {"response_format": {"type": "json_object", "json_schema": {"type": "object"}}},
        (),
    ),
    ({"reasoning": Reasoning(enabled=False)}, {"thinking": {"type": "disabled"}}, ()),
    ({"reasoning": Reasoning(effort="none")}, {"thinking": {"type": "disabled"}}, ()),
    ({"reasoning": Reasoning(effort="low")}, {"thinking": {"type": "enabled", "token_budget": 2048}}, ()),
    ({"reasoning": Reasoning(effort="high")}, {"thinking": {"type": "enabled"}}, ()),
    ({"reasoning": Reasoning(True, budget_tokens=5)}, {"thinking": {"type": "enabled", "token_budget": 5}}, ()),
    ({"extra": (("logit_bias", Raw(b"{}")),)}, {}, ("logit_bias",)),
]


@pytest.mark.parametrize(("members", "sent", "dropped"), PARAMETERS, ids=str)
def test_parameters(members: dict[str, Any], sent: dict[str, Any], dropped: tuple[str, ...]) -> None:
    body, lost = write(**members)
    assert {name: value for name, value in body.items() if name not in ("model", "messages")} == sent
    assert lost == dropped


def test_a_limit_is_clamped() -> None:
    body, _ = write(max_tokens=100, shape=Shape(model="m", max_output=7))
    assert (body["model"], body["max_tokens"]) == ("m", 7)


TOOLS = (
    Tool("f", "d", Raw(b'{"type":"object"}')),
    Tool("g", strict=True),
    HostedTool("elsewhere", "search", Raw(b"{}")),
)
CHOICES = [
    (None, ["f", "g"], None, ()),
    (ToolChoice(ToolChoiceMode.AUTO), ["f", "g"], None, ()),
    (ToolChoice(ToolChoiceMode.NONE), ["f", "g"], "NONE", ()),
    (ToolChoice(ToolChoiceMode.ANY), ["f", "g"], "REQUIRED", ()),
    (ToolChoice(ToolChoiceMode.NAMED, "f"), ["f"], "REQUIRED", ()),
    (ToolChoice(ToolChoiceMode.NAMED, "z"), ["f", "g"], "REQUIRED", ("tool_choice",)),
]


@pytest.mark.parametrize(("choice", "names", "word", "dropped"), CHOICES, ids=str)
def test_tools(choice: ToolChoice | None, names: list[str], word: str | None, dropped: tuple[str, ...]) -> None:
    body, lost = write(tools=TOOLS, tool_choice=choice)
    assert [tool["function"]["name"] for tool in body["tools"]] == names
    assert all(isinstance(tool["function"]["parameters"], dict) for tool in body["tools"])
    assert body.get("tool_choice") == word
    assert body.get("strict_tools") == (True if "g" in names else None)
    assert lost == (*dropped, "tools.search")


def test_a_schema_that_is_no_object_is_reported() -> None:
    body, lost = write(tools=(Tool("f", parameters=Raw(b"true")),))
    assert body["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert lost == ("tools.parameters",)


def test_results_come_before_what_the_user_says_and_shows() -> None:
    picture = Image(Source("image/png", data="AA=="))
    note = Document(Source("text/plain"), "d", text="t")
    messages, lost = said(Text("and?"), ToolResult("c", (Text("x"), picture, note), is_error=True), ToolResult("e", ()))
    assert messages == [
        {
            "role": "tool",
            "tool_call_id": "c",
            "content": [
                {"type": "text", "text": "x"},
                {"type": "document", "document": {"id": "d", "data": {"text": "t"}}},
            ],
        },
        {"role": "tool", "tool_call_id": "e", "content": ""},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                {"type": "text", "text": "and?"},
            ],
        },
    ]
    assert lost == ("tool_result.is_error",)


def test_an_assistants_turn() -> None:
    messages, lost = said(
        Thinking("mine"),
        Thinking("signed", "s", "anthropic"),
        RedactedThinking("r", "anthropic"),
        Text("a"),
        Refusal("b"),
        ToolCall("c", "f", ""),
        Opaque("cohere", "tool_plan", Raw(b'"p"')),
        Opaque("anthropic", "server_tool_use", Raw(b"{}")),
        Image(Source(url="https://x/y.png")),
        role=Role.ASSISTANT,
    )
    assert messages == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "mine"},
                {"type": "text", "text": "a"},
                {"type": "text", "text": "b"},
            ],
            "tool_plan": "p",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        }
    ]
    assert lost == ("thinking", "redacted_thinking", "server_tool_use", "image_url")


def test_an_empty_answer_of_the_model_is_left_out() -> None:
    body, _ = write(HI, Turn(Role.ASSISTANT, (RedactedThinking("r", "anthropic"),)), HI)
    assert [message["role"] for message in body["messages"]] == ["user", "user"]


def test_documents_of_text_stand_beside_the_messages() -> None:
    encoded = base64.b64encode(b"decoded").decode()
    body, lost = write(
        Turn(
            Role.USER,
            (
                Document(Source(), "a", text="t"),
                Document(Source("text/markdown", data=encoded)),
                Document(Source(), text='{"k": 1}'),
                Document(Source("application/pdf", data="AA=="), "p"),
                Audio(Source("audio/wav", data="AA==")),
                Image(Source(file_id="f")),
                Text("read"),
            ),
            name="me",
        )
    )
    assert body["documents"] == [{"id": "a", "data": {"text": "t"}}, {"data": {"text": "decoded"}}, {"data": {"k": 1}}]
    assert body["messages"] == [{"role": "user", "content": "read"}]
    assert lost == ("document", "input_audio", "image_url", "messages.name")


def test_a_developer_is_the_system() -> None:
    messages, _ = said(Text("a"), role=Role.DEVELOPER)
    assert messages == [{"role": "system", "content": "a"}]
    messages, _ = said(Text("a"), Text("b"), role=Role.DEVELOPER)
    assert messages[0]["role"] == "system"
