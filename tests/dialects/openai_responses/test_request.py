"""Requests: what is read of them, what is refused and why, and what another dialect's callers get."""

import json
from typing import Any

import pytest
from msgspec import Raw

from waypost.conversation.blocks import (
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
from waypost.conversation.faults import Refused
from waypost.conversation.request import HostedTool, Reasoning, Request, Tool, ToolChoice, ToolChoiceMode, Turn
from waypost.dialects.dialect import Shape
from waypost.dialects.openai_responses import DIALECT
from waypost.dialects.openai_responses.words import NAME, Signed, pack, unpack


def read(**members: Any) -> Request:
    return DIALECT.read_request(json.dumps({"model": "m", "input": "Hi", **members}).encode())


def write(*turns: Turn, model: str = "gpt-4o", quirks: frozenset[str] = frozenset(), **members: Any) -> dict[str, Any]:
    request = Request("anthropic", "m", turns, **members)
    told: dict[str, Any] = json.loads(DIALECT.write_request(request, Shape(model=model, quirks=quirks)).body)
    return told


def dropped(*turns: Turn, **members: Any) -> tuple[str, ...]:
    return DIALECT.write_request(Request("anthropic", "m", turns, **members), Shape(model="m")).dropped


def test_calls_and_words_around_them_are_one_turn_and_so_are_their_results() -> None:
    request = read(
        instructions="Be brief.",
        input=[
            {"role": "user", "content": "Hi"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "2"}]},
            {"role": "user", "content": "So?"},
        ],
    )
    assert request.turns == (
        Turn(Role.SYSTEM, (Text("Be brief."),)),
        Turn(Role.USER, (Text("Hi"),)),
        Turn(Role.ASSISTANT, (Text("I look."), ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}"))),
        Turn(Role.USER, (ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),)))),
        Turn(Role.USER, (Text("So?"),)),
    )


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id: .* send the whole conversation in `input`"),
        ({"conversation": {"id": "conv_1"}}, "conversation: .* send the whole conversation in `input`"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt: .* send the prompt's text"),
        ({"background": True}, "background: .* leave it out"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, r"input\[0\]: .*item_reference.*send the item itself"),
        ({"input": [{"role": "robot", "content": "Hi"}]}, r"input\[0\].role: must be"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, r"input\[0\].content\[0\].image_url"),
        ({"input": [{"type": "function_call", "call_id": "a"}]}, r"input\[0\].name: is missing"),
        ({"input": 7}, "input: "),
        ({"tools": [{"type": "function"}]}, r"tools\[0\].name: is missing"),
        ({"tool_choice": "perhaps"}, "tool_choice: 'perhaps'"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema: is missing"),
        ({"model": None}, "model: is missing"),
    ],
)
def test_what_is_refused_is_named_with_its_remedy(members: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told) as caught:
        read(**members)
    assert caught.value.error.status == 400


def test_null_and_store_are_no_state() -> None:
    request = read(previous_response_id=None, conversation=None, prompt=None, background=False, store=True)
    assert (request.store, request.extra) == (True, ())


def test_parameters_with_a_neutral_name() -> None:
    request = read(
        tools=[{"type": "function", "name": "f", "parameters": {}, "strict": True}, {"type": "web_search"}],
        tool_choice={"type": "function", "name": "f"},
        reasoning={"effort": "none"},
        include=["message.output_text.logprobs"],
        safety_identifier="u",
        metadata={"task": "qa", "combination_id": "c"},
        waypost={"task": "qa"},
    )
    function, hosted = request.tools
    assert isinstance(function, Tool)
    assert function.strict is True
    assert isinstance(hosted, HostedTool)
    assert hosted.kind == "web_search"
    assert request.tool_choice == ToolChoice(ToolChoiceMode.NAMED, "f")
    assert request.reasoning == Reasoning(enabled=False, effort="none")
    assert (request.logprobs, request.user, request.extra) == (True, "u", ())


def test_a_choice_without_a_neutral_word_stays_and_is_told_elsewhere() -> None:
    request = read(tool_choice={"type": "allowed_tools", "mode": "auto", "tools": []}, truncation="auto")
    assert [name for name, _ in request.extra] == ["tool_choice", "truncation"]


def test_a_foreign_conversation_is_not_kept_and_asks_to_be_gone_on_with() -> None:
    turns = (Turn(Role.SYSTEM, (Text("Be brief."),)), Turn(Role.USER, (Text("Hi"),)))
    assert write(*turns) == {
        "model": "gpt-4o",
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "Hi"}],
        "store": False,
    }
    for model in ("gpt-5-mini", "o3", "openai/gpt-5.1", "grok-4-fast"):
        assert write(*turns, model=model)["include"] == ["reasoning.encrypted_content"]
    for model in ("gpt-5-chat-latest", "gpt-4.1", "qwen3"):
        assert "include" not in write(*turns, model=model)
    assert "include" in write(*turns, quirks=frozenset(("encrypted_content",)))
    assert "store" not in write(*turns, quirks=frozenset(("no_store",)))


def test_a_foreign_turn_finds_its_items() -> None:
    told = write(
        Turn(Role.USER, (Text("Look"), Image(Source("image/png", data="AA==")), Document(Source(url="http://x")))),
        Turn(Role.ASSISTANT, (Thinking("Hm", "sig", "anthropic"), Text("So."), ToolCall("t" * 70, "f", ""))),
        Turn(Role.USER, (Text("And?"), ToolResult("t" * 70, (Text("4"),)))),
        tools=(Tool("f"),),
    )  # fmt: skip
    seen, answer, call, result, asked = told["input"]
    assert [part["type"] for part in seen["content"]] == ["input_text", "input_image", "input_file"]
    assert seen["content"][1] == {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"}
    assert seen["content"][2] == {"type": "input_file", "file_url": "http://x"}
    assert answer == {"role": "assistant", "content": "So."}
    assert (call["name"], call["arguments"]) == ("f", "{}")
    assert call["call_id"] == result["call_id"]
    assert len(call["call_id"]) <= 64
    assert (result["output"], asked["content"]) == ("4", "And?")
    assert told["tools"][0]["strict"] is False  # which would be the default here


def test_what_is_lost_is_told() -> None:
    told = dropped(
        Turn(Role.ASSISTANT, (Thinking("Hm", "sig", "anthropic"), RedactedThinking("x", "anthropic"))),
        Turn(
            Role.USER, (ToolResult("a", (Text("no"),), is_error=True), Opaque("anthropic", "search_result", Raw(b"{}")))
        ),
        stop=("x",),
        seed=1,
        top_k=3,
        choices=2,
        frequency_penalty=0.0,
    )
    assert set(told) == {
        *("reasoning_content", "redacted_thinking", "tool_result.is_error", "search_result"),
        *("stop", "seed", "top_k", "n"),
    }


def test_reasoning_comes_back_to_who_made_it_through_any_caller() -> None:
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "a"}],
        "encrypted_content": "E",
    }
    (turn,) = read(input=[item]).turns
    assert turn.blocks == (Thinking("a", pack(Signed("rs_1", False, "E")), NAME),)
    assert write(turn)["input"] == [item]
    parts = [Thinking("a", None, "anthropic"), Thinking("b", pack(Signed("rs_1", False, "E")), NAME)]
    (joined,) = write(Turn(Role.ASSISTANT, tuple(parts)))["input"]
    assert [part["text"] for part in joined["summary"]] == ["a", "b"]


@pytest.mark.parametrize(
    "block",
    [Thinking("Hm", "c2ln", "anthropic"), Thinking("", "c2ln", "gemini"), RedactedThinking("c2ln", "anthropic")],
)
def test_foreign_reasoning_travels_through_a_caller_of_this_dialect(block: Thinking | RedactedThinking) -> None:
    from waypost.conversation.reply import Choice, Reply

    reply = Reply("anthropic", "msg_1", "m", (Choice((block,), None),), None)
    output = json.loads(DIALECT.write_reply(reply, "m"))["output"]
    assert read(input=output).turns == (Turn(Role.ASSISTANT, (block,)),)


@pytest.mark.parametrize("signed", [Signed("a:b%3A", True, "x:y"), Signed("", False, ""), Signed("rs_1", False, "E=")])
def test_packing_is_undone(signed: Signed) -> None:
    assert unpack(pack(signed)) == signed


def test_a_signature_of_another_making_is_all_encrypted() -> None:
    assert unpack("gAAAA") == Signed("", False, "gAAAA")


def test_a_huge_number_survives_in_a_schema() -> None:
    schema = b'{"maximum":12345678901234567891}'
    body = b'{"model":"m","input":"Hi","tools":[{"type":"function","name":"f","parameters":%b}]}' % schema
    request = DIALECT.read_request(body)
    assert b"12345678901234567891" in DIALECT.write_request(request, Shape(model="m")).body


@pytest.mark.parametrize("name", ["model", "input", "tools", "previous_response_id", "max_output_tokens"])
def test_members_that_are_acted_on_may_stand_once(name: str) -> None:
    body = b'{"model":"m","input":"Hi","%b":null,"%b":null}' % (name.encode(), name.encode())
    with pytest.raises(Refused, match=name):
        DIALECT.glance(body)


@pytest.mark.parametrize(
    ("members", "unbounded", "needs", "unpriced"),
    [
        ({}, False, set(), None),
        ({"previous_response_id": "r"}, True, set(), None),
        ({"conversation": "c"}, True, set(), None),
        ({"prompt": {"id": "p"}}, True, set(), None),
        ({"tools": [{"type": "function", "name": "f"}]}, False, {"tools"}, None),
        ({"tools": [{"type": "web_search"}]}, True, {"tools"}, None),
        ({"input": [{"type": "item_reference", "id": "i"}]}, True, set(), None),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, True, {"documents"}, None),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image"}]}]},
            *(True, {"images"}, None),
        ),
        ({"text": {"format": {"type": "json_object"}}}, False, {"structured"}, None),
        ({"reasoning": {"effort": "low"}}, False, {"reasoning"}, None),
        ({"reasoning": {"effort": "none"}}, False, set(), None),
        ({"service_tier": "priority"}, False, set(), "service_tier: priority"),
        ({"background": True}, False, set(), "background: true"),
    ],
)
def test_a_glance(members: dict[str, Any], unbounded: bool, needs: set[str], unpriced: str | None) -> None:
    glance = DIALECT.glance(json.dumps({"model": "m", "input": "Hi", **members}).encode())
    assert (glance.unbounded_input, set(glance.needs), glance.unpriced) == (unbounded, needs, unpriced)
    assert glance.asked_usage
