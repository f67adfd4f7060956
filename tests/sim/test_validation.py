"""Requests that the real providers refuse: refused in their shape, and naming the same place."""

from typing import Any

import pytest

from waypost.sim import Model, Script, Simulator

from .conftest import Ask
from .protocols import ANTHROPIC_HEADERS

HELLO = {"role": "user", "content": "Hello"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "f"}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"}
CUSTOM = {"name": "f", "input_schema": {"type": "object"}}

OPENAI: dict[str, tuple[Any, str | None, str]] = {
    "no body": (b"", None, "could not parse the JSON"),
    "not an object": ([], None, "could not parse the JSON"),
    "no model": ({"messages": [HELLO]}, "model", "model parameter"),
    "no messages": ({"model": "m"}, "messages", "Missing required parameter: 'messages'"),
    "empty messages": ({"model": "m", "messages": []}, "messages", "empty array"),
    "messages not a list": ({"model": "m", "messages": "hi"}, "messages", "expected an array"),
    "unknown parameter": ({"model": "m", "messages": [HELLO], "waypost": {}}, "waypost", "Unknown parameter"),
    "unknown role": (
        {"model": "m", "messages": [{"role": "robot", "content": "x"}]},
        "messages[0].role",
        "Invalid value: 'robot'",
    ),
    "no role": ({"model": "m", "messages": [{"content": "x"}]}, "messages[0].role", "Missing required"),
    "null content": ({"model": "m", "messages": [{"role": "user"}]}, "messages[0].content", "expected a string"),
    "content of another type": (
        {"model": "m", "messages": [{"role": "user", "content": 5}]},
        "messages[0].content",
        "got an integer",
    ),
    "unknown part": (
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "smell"}]}]},
        "messages[0].content[0].type",
        "Invalid value: 'smell'",
    ),
    "bad image": (
        {
            "model": "m",
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,*"}}]}
            ],
        },
        "messages[0].content[0].image_url",
        "Invalid base64",
    ),
    "result without call": (
        {"model": "m", "messages": [HELLO, {"role": "tool", "tool_call_id": "call_1", "content": "1"}]},
        "messages[1].role",
        "must be a response to a preceeding message",
    ),
    "call without result": (
        {"model": "m", "messages": [HELLO, {"role": "assistant", "tool_calls": [CALL]}, HELLO]},
        "messages[1].role",
        "did not have response messages: call_1",
    ),
    "last call without result": (
        {"model": "m", "messages": [HELLO, {"role": "assistant", "tool_calls": [CALL]}]},
        "messages[1].role",
        "did not have response messages: call_1",
    ),
    "choice without tools": (
        {"model": "m", "messages": [HELLO], "tool_choice": "required"},
        "tool_choice",
        "only allowed when 'tools'",
    ),
    "unknown choice": (
        {
            "model": "m",
            "messages": [HELLO],
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "g"}},
        },
        "tool_choice",
        "'g' not found",
    ),
    "bad tool name": (
        {"model": "m", "messages": [HELLO], "tools": [{"type": "function", "function": {"name": "a b"}}]},
        "tools[0].function.name",
        "does not match pattern",
    ),
    "too hot": ({"model": "m", "messages": [HELLO], "temperature": 3}, "temperature", "above maximum"),
    "no tokens": ({"model": "m", "messages": [HELLO], "max_tokens": 0}, "max_tokens", "below minimum"),
    "tokens as text": ({"model": "m", "messages": [HELLO], "max_tokens": "9"}, "max_tokens", "got a string"),
    "both limits": (
        {"model": "m", "messages": [HELLO], "max_tokens": 1, "max_completion_tokens": 1},
        "max_tokens",
        "at the same time",
    ),
    "five stops": ({"model": "m", "messages": [HELLO], "stop": list("abcde")}, "stop", "maximum length 4"),
    "stream options without a stream": (
        {"model": "m", "messages": [HELLO], "stream_options": {"include_usage": True}},
        "stream_options",
        "only allowed when 'stream'",
    ),
    "json unasked for": (
        {"model": "m", "messages": [HELLO], "response_format": {"type": "json_object"}},
        "messages",
        "the word 'json'",
    ),
    "unknown fault": ({"model": "m~explode", "messages": [HELLO]}, "model", "is not a fault"),
    "unknown fault marked": (
        {"model": "m", "messages": [{"role": "user", "content": "[[sim:explode]]"}]},
        "messages",
        "is not a fault",
    ),
    "a shape no rule names": ({"model": "m", "messages": [HELLO], "stop": 5}, None, "Invalid request"),
}

ANTHROPIC: dict[str, tuple[Any, str]] = {
    "no body": (b"", "not valid JSON"),
    "no model": ({"max_tokens": 9, "messages": [HELLO]}, "model: Field required"),
    "no limit": ({"model": "m", "messages": [HELLO]}, "max_tokens: Field required"),
    "no messages": ({"model": "m", "max_tokens": 9}, "messages: Field required"),
    "empty messages": ({"model": "m", "max_tokens": 9, "messages": []}, "at least one message"),
    "limit of nothing": ({"model": "m", "max_tokens": 0, "messages": [HELLO]}, "greater than or equal to 1"),
    "limit as text": ({"model": "m", "max_tokens": "9", "messages": [HELLO]}, "valid integer"),
    "unknown member": ({"model": "m", "max_tokens": 9, "messages": [HELLO], "waypost": {}}, "waypost: Extra inputs"),
    "system role": (
        {"model": "m", "max_tokens": 9, "messages": [{"role": "system", "content": "x"}]},
        'Unexpected role "system"',
    ),
    "unknown role": (
        {"model": "m", "max_tokens": 9, "messages": [{"role": "tool", "content": "x"}]},
        "messages.0.role: Input should be 'user' or 'assistant'",
    ),
    "assistant first": (
        {"model": "m", "max_tokens": 9, "messages": [{"role": "assistant", "content": "x"}]},
        'first message must use the "user" role',
    ),
    "empty text": (
        {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
        "text content blocks must be non-empty",
    ),
    "empty content": (
        {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": []}]},
        "non-empty content",
    ),
    "unknown block": (
        {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        "Input tag 'image_url'",
    ),
    "result without call": (
        {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [RESULT]}]},
        "unexpected `tool_use_id` found in `tool_result` blocks: toolu_1",
    ),
    "call without result": (
        {"model": "m", "max_tokens": 9, "messages": [HELLO, {"role": "assistant", "content": [USE]}, HELLO]},
        "`tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
    ),
    "last call without result": (
        {"model": "m", "max_tokens": 9, "messages": [HELLO, {"role": "assistant", "content": [USE]}]},
        "messages.1: `tool_use` ids were found",
    ),
    "choice without tools": (
        {"model": "m", "max_tokens": 9, "messages": [HELLO], "tool_choice": {"type": "any"}},
        "only be specified while providing tools",
    ),
    "unknown choice": (
        {
            "model": "m",
            "max_tokens": 9,
            "messages": [HELLO],
            "tools": [CUSTOM],
            "tool_choice": {"type": "tool", "name": "g"},
        },
        "Tool 'g' not found",
    ),
    "tool in another protocol's shape": (
        {"model": "m", "max_tokens": 9, "messages": [HELLO], "tools": [TOOL]},
        "tools.0.custom.name: Field required",
    ),
    "too hot": ({"model": "m", "max_tokens": 9, "messages": [HELLO], "temperature": 1.5}, "temperature: range: 0..1"),
    "blank stop": ({"model": "m", "max_tokens": 9, "messages": [HELLO], "stop_sequences": [" "]}, "non-whitespace"),
    "little thinking": (
        {
            "model": "m",
            "max_tokens": 2000,
            "messages": [HELLO],
            "thinking": {"type": "enabled", "budget_tokens": 10},
        },
        "greater than or equal to 1024",
    ),
    "thinking beyond the limit": (
        {
            "model": "m",
            "max_tokens": 1024,
            "messages": [HELLO],
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        },
        "`max_tokens` must be greater",
    ),
    "thinking and a forced tool": (
        {
            "model": "m",
            "max_tokens": 2000,
            "messages": [HELLO],
            "thinking": {"type": "adaptive"},
            "tools": [CUSTOM],
            "tool_choice": {"type": "any"},
        },
        "Thinking may not be enabled",
    ),
    "five marks": (
        {
            "model": "m",
            "max_tokens": 9,
            "messages": [HELLO],
            "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 5,
        },
        "Found 5",
    ),
    "a shape no rule names": (
        {"model": "m", "max_tokens": 9, "messages": [HELLO], "stop_sequences": 5},
        "Invalid request",
    ),
}


@pytest.mark.parametrize(("body", "param", "message"), OPENAI.values(), ids=OPENAI)
async def test_openai(send: Ask, body: Any, param: str | None, message: str) -> None:
    heard = await send("/v1/chat/completions", body)
    assert heard.status == 400
    error = heard.json["error"]
    assert message in error["message"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


@pytest.mark.parametrize(("body", "message"), ANTHROPIC.values(), ids=ANTHROPIC)
async def test_anthropic(send: Ask, body: Any, message: str) -> None:
    heard = await send("/v1/messages", body, ANTHROPIC_HEADERS)
    assert heard.status == 400
    assert heard.json["error"]["type"] == "invalid_request_error"
    assert message in heard.json["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_anthropic_version_is_required(send: Ask, path: str) -> None:
    heard = await send(path, {"model": "m", "max_tokens": 9, "messages": [HELLO]}, {"x-api-key": "k"})
    assert heard.status == 400
    assert heard.json["error"]["message"] == "anthropic-version: header is required"


async def test_counting_takes_no_sampling_parameters(send: Ask) -> None:
    body = {"model": "m", "messages": [HELLO], "max_tokens": 9}
    heard = await send("/v1/messages/count_tokens", body, ANTHROPIC_HEADERS)
    assert (heard.status, heard.json["error"]["message"]) == (400, "max_tokens: Extra inputs are not permitted")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/chat/completions", {}, 401),
        ("/v1/chat/completions", {"authorization": "Bearer no"}, 401),
        ("/v1/chat/completions", {"x-api-key": "yes"}, 401),
        ("/v1/chat/completions", {"authorization": "Bearer yes"}, 200),
        ("/v1/messages", {"anthropic-version": "2023-06-01"}, 401),
        ("/v1/messages", {"anthropic-version": "2023-06-01", "x-api-key": "no"}, 401),
        ("/v1/messages", {"anthropic-version": "2023-06-01", "x-api-key": "yes"}, 200),
        ("/v1/messages", {"anthropic-version": "2023-06-01", "authorization": "Bearer yes"}, 200),
    ],
)
async def test_keys(simulator: Simulator, send: Ask, path: str, headers: Any, status: int) -> None:
    simulator.script = Script(keys=("yes",))
    heard = await send(path, {"model": "m", "max_tokens": 9, "messages": [HELLO]}, headers)
    assert heard.status == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("POST", "/v1/audio/speech", 404),
        ("GET", "/v1/embeddings", 405),
        ("GET", "/", 404),
        ("GET", "/v1/models?limit=5", 200),
    ],
)
async def test_doors(send: Ask, method: str, path: str, status: int) -> None:
    assert (await send(path, None, None, method)).status == status


async def test_models_may_be_limited(simulator: Simulator, send: Ask) -> None:
    simulator.script = Script(models={"only": Model(context_tokens=3)}, only_listed=True)
    body: Any = {"model": "other", "messages": [HELLO]}
    heard = await send("/v1/chat/completions", body)
    assert (heard.status, heard.json["error"]["code"]) == (404, "model_not_found")
    assert [model["id"] for model in (await send("/v1/models", None, None, "GET")).json["data"]] == ["only"]
    assert (await send("/v1/chat/completions", {**body, "model": "only"})).status == 200
    body["messages"] = [{"role": "user", "content": "one two three four"}]
    heard = await send("/v1/chat/completions", {**body, "model": "only"})
    assert (heard.status, heard.json["error"]["code"]) == (400, "context_length_exceeded")


async def test_leniency_is_scripted(simulator: Simulator, send: Ask) -> None:
    simulator.script = Script(strict=False)
    assert (await send("/v1/chat/completions", {"model": "m", "messages": [HELLO], "top_k": 5})).status == 200
