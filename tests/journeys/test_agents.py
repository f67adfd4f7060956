"""Coding agents: requests of the shape in which Claude Code, Codex and Gemini CLI send them, relayed and translated.

What they send beyond what the SDKs do was learnt by running them; the bodies here are our own, and small.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from journeys.harness import PATIENCE_S, House, open_house

CONFIG = """
providers:
  chat: {kind: openai, dialect: openai_chat, api_key: sk-p, base_url: 'http://{address}/v1'}
  responses: {kind: openai, dialect: openai_responses, api_key: sk-p, base_url: 'http://{address}/v1'}
  claude: {kind: anthropic, api_key: sk-p, base_url: 'http://{address}'}
  google: {kind: gemini, api_key: sk-p, base_url: 'http://{address}'}
  cohere: {kind: cohere, api_key: sk-p, base_url: 'http://{address}'}
  bedrock: {kind: bedrock, api_key: sk-p, region: us-east-1, base_url: 'http://{address}'}
keys: [{name: agent, key: '${AGENT_KEY}'}]
"""
KEY = "wp-agent"
MODELS = {
    "chat": "gpt-sim",
    "responses": "gpt-5-sim",
    "claude": "claude-sonnet-4-5",
    "google": "gemini-2.5-pro",
    "cohere": "command-sim",
    "bedrock": "anthropic.claude-sonnet-4-5-v1:0",
}
LOOK = {
    "type": "object",
    "properties": {"place": {"type": "string", "description": "Where"}},
    "required": ["place"],
    "additionalProperties": False,
}
BETAS = "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(
        lambda sim: CONFIG.replace("{address}", sim.address), tmp_path, environ={"AGENT_KEY": KEY}
    ) as opened:
        yield opened


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=house.base, timeout=PATIENCE_S) as client:
        yield client


def target(provider: str) -> str:
    return f"{provider}/{MODELS[provider]}"


def events_of(answer: httpx2.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: ")]


# ---- Claude Code

CLAUDE_HEADERS = {
    "authorization": f"Bearer {KEY}",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": BETAS,
    "anthropic-dangerous-direct-browser-access": "true",
    "x-app": "cli",
    "x-claude-code-session-id": "16503fbd",
    "x-stainless-retry-count": "0",
}


def claude_code(model: str, *later: dict[str, Any], **members: Any) -> dict[str, Any]:
    mark = {"cache_control": {"type": "ephemeral"}}
    hint = {"type": "text", "text": "<system-reminder>\nBe brief.\n</system-reminder>"}
    asked = {"type": "text", "text": "Look at the weather in Paris", **mark}
    return {
        "model": model,
        "messages": [{"role": "user", "content": [hint, asked]}, *later],
        "system": [
            {"type": "text", "text": "You are an agent."},
            {"type": "text", "text": "Be careful. " * 999, **mark},
        ],
        "tools": [{"name": "get_weather", "description": "Tells the weather.", "input_schema": LOOK}],
        "metadata": {"user_id": '{"device_id":"1"}'},
        "max_tokens": 32000,
        "thinking": {"type": "enabled", "budget_tokens": 31999},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "stream": True,
        **members,
    }


def claude_blocks(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The content of a streamed message, as the official SDK puts it together."""
    blocks: list[dict[str, Any]] = []
    for event in events:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            name = {"input_json_delta": "partial_json"}.get(delta["type"], delta["type"].removesuffix("_delta"))
            block = blocks[event["index"]]
            block[name] = block.get(name, "") + delta[name]
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block.pop("partial_json", "{}"))
    return blocks


def as_claude_code_returns(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """It leaves thinking without words out of what it sends back."""
    return {"role": "assistant", "content": [block for block in blocks if block.get("thinking") != ""]}


async def test_claude_code_is_relayed_as_it_is(house: House, http: httpx2.AsyncClient) -> None:
    body = json.dumps(claude_code(target("claude")))
    answer = await http.post("/v1/messages?beta=true", content=body, headers=CLAUDE_HEADERS)
    blocks = claude_blocks(events_of(answer))
    assert {block["type"] for block in blocks} >= {"thinking", "tool_use"}
    assert "x-waypost-dropped" not in answer.headers
    sent = house.received
    assert sent.path == "/v1/messages?beta=true"
    assert sent.body.decode() == body.replace(target("claude"), MODELS["claude"])
    assert sent.header("anthropic-beta") == BETAS
    assert [value for name, value in sent.headers if name == "anthropic-version"] == ["2023-06-01"]
    assert sent.header("x-api-key") == "sk-p"
    assert sent.header("authorization") is None
    assert sent.header("anthropic-dangerous-direct-browser-access") is None


@pytest.mark.parametrize("provider", MODELS)
async def test_claude_code_works_through_a_tool_call(house: House, http: httpx2.AsyncClient, provider: str) -> None:
    async def ask(*later: dict[str, Any]) -> list[dict[str, Any]]:
        body = claude_code(target(provider), *later)
        answer = await http.post("/v1/messages?beta=true", json=body, headers=CLAUDE_HEADERS)
        events = events_of(answer)
        assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
        assert events[-2]["usage"]["output_tokens"] > 0
        return claude_blocks(events)

    first = await ask()
    (call,) = [block for block in first if block["type"] == "tool_use"]
    assert (call["name"], list(call["input"])) == ("get_weather", ["place"])
    result = {
        "type": "tool_result",
        "tool_use_id": call["id"],
        "is_error": True,
        "content": "No such place",
        "cache_control": {"type": "ephemeral"},
    }
    second = await ask(as_claude_code_returns(first), {"role": "user", "content": [result]})
    assert second[-1]["type"] == "text", "it takes the last block for the answer"
    assert "No such place" in second[-1]["text"]


async def test_what_gemini_signed_comes_back_to_it_from_claude_code(house: House, http: httpx2.AsyncClient) -> None:
    """The simulator refuses a forged signature, as Google does."""
    body = claude_code(target("google"), tools=[{"name": "weather_in", "input_schema": LOOK}])
    first = claude_blocks(events_of(await http.post("/v1/messages", json=body, headers=CLAUDE_HEADERS)))
    signed = [block for block in first if block.get("signature")]
    assert [block["signature"][:15] for block in signed] == ["waypost.gemini."]
    (call,) = [block for block in first if block["type"] == "tool_use"]
    # as it stands where the words and the call follow one another
    turn = {"role": "assistant", "content": [{**signed[0], "thinking": "Where is it?"}, call]}
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "Sunny"}
    body["messages"] += [turn, {"role": "user", "content": [result]}]
    events_of(await http.post("/v1/messages", json=body, headers=CLAUDE_HEADERS))
    thought, asked = json.loads(house.received.body)["contents"][1]["parts"]
    assert thought == {"text": "Where is it?", "thought": True}
    assert asked["thoughtSignature"] == signed[0]["signature"][15:]


async def test_claude_code_speaks_as_the_system_within_a_conversation(house: House, http: httpx2.AsyncClient) -> None:
    """So it does with models that it does not know."""
    later = {"role": "system", "content": "Skills: none."}
    body = claude_code(target("chat"), later, thinking={"type": "adaptive"}, output_config={"effort": "high"})
    events_of(await http.post("/v1/messages?beta=true", json=body, headers=CLAUDE_HEADERS))
    sent = json.loads(house.received.body)
    assert "Skills: none." in json.dumps(sent["messages"][-1])
    assert sent["reasoning_effort"] == "high"


async def test_claude_code_counts_tokens_where_the_provider_does(house: House, http: httpx2.AsyncClient) -> None:
    body = claude_code(target("claude"))
    for name in ("max_tokens", "stream", "metadata", "context_management"):
        del body[name]
    path = "/v1/messages/count_tokens?beta=true"
    answer = await http.post(path, json=body, headers=CLAUDE_HEADERS)
    assert answer.json()["input_tokens"] > 0
    assert (house.received.path, house.received.header("anthropic-beta")) == (path, BETAS)
    refused = await http.post(path, json={**body, "model": target("google")}, headers=CLAUDE_HEADERS)
    assert (refused.status_code, refused.json()["error"]["type"]) == (404, "not_found_error")


async def test_claude_code_knocks_before_it_speaks(http: httpx2.AsyncClient) -> None:
    assert (await http.head("/")).status_code == 200


# ---- Codex

CODEX_HEADERS = {
    "authorization": f"Bearer {KEY}",
    "accept": "text/event-stream",
    "originator": "codex_exec",
    "session-id": "01a1fe37",
    "x-codex-turn-metadata": '{"request_kind":"turn"}',
}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Edits files.", "format": {"type": "text"}}
MCP = {
    "type": "namespace",
    "name": "mcp__maps",
    "description": "Tools of a server.",
    "tools": [{"type": "function", "name": "weather", "description": "Tells.", "strict": False, "parameters": LOOK}],
}


def codex(model: str, asked: str, *later: dict[str, Any]) -> dict[str, Any]:
    def said(role: str, text: str) -> dict[str, Any]:
        return {"type": "message", "id": f"msg_{role}", "role": role, "content": [{"type": "input_text", "text": text}]}

    run = {"type": "function", "name": "exec_command", "description": "Runs.", "strict": False, "parameters": LOOK}
    return {
        "model": model,
        "stream": True,
        "input": [said("developer", "You are an agent."), said("user", asked), *later],
        "tools": [run, PATCH, MCP, {"type": "web_search", "external_web_access": False}],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "01a1fe37",
        "client_metadata": {"session_id": "01a1fe37"},
        "text": {"verbosity": "low"},
    }


def codex_items(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["output"] == done
    return done


async def test_codex_is_relayed_as_it_is(house: House, http: httpx2.AsyncClient) -> None:
    body = json.dumps(codex(target("responses"), "Hello"))
    answer = await http.post("/v1/responses", content=body, headers=CODEX_HEADERS)
    assert codex_items(events_of(answer))[-1]["type"] == "message"
    assert house.received.body.decode() == body.replace(target("responses"), MODELS["responses"])
    assert house.received.header("authorization") == "Bearer sk-p"
    assert house.received.header("x-codex-turn-metadata") is None


@pytest.mark.parametrize("provider", [name for name in MODELS if name != "responses"])
@pytest.mark.parametrize(
    ("asked", "called"),
    [
        ("The weather in Paris", {"type": "function_call", "namespace": "mcp__maps", "name": "weather"}),
        ("Apply a patch", {"type": "custom_tool_call", "name": "apply_patch"}),
        ("Use exec_command", {"type": "function_call", "name": "exec_command"}),
    ],
)
async def test_codex_calls_its_tools_through_any_provider(
    house: House, http: httpx2.AsyncClient, provider: str, asked: str, called: dict[str, str]
) -> None:
    answer = await http.post("/v1/responses", json=codex(target(provider), asked), headers=CODEX_HEADERS)
    items = codex_items(events_of(answer))
    call = items[-1]
    assert {name: call.get(name) for name in called} == called
    assert ("namespace" in call) == ("namespace" in called)
    assert isinstance(call["input"] if "input" in call else json.loads(call["arguments"])["place"], str)
    result = {"type": f"{call['type']}_output", "call_id": call["call_id"], "output": "It is sunny"}
    later = codex(target(provider), asked, *items, result)
    again = codex_items(events_of(await http.post("/v1/responses", json=later, headers=CODEX_HEADERS)))
    (said,) = [item for item in again if item["type"] == "message"]
    assert "It is sunny" in said["content"][0]["text"]
    dropped = answer.headers["x-waypost-dropped"].split(", ")
    assert "tools.web_search" in dropped
    assert not {"tools.namespace", "tools.custom"} & set(dropped)


async def test_codex_calls_its_tools_when_it_asks_for_no_stream(house: House, http: httpx2.AsyncClient) -> None:
    body = {**codex(target("claude"), "Apply a patch"), "stream": False, "max_output_tokens": 4096}
    answer = await http.post("/v1/responses", json=body, headers=CODEX_HEADERS)
    assert answer.json()["output"][-1]["type"] == "custom_tool_call"


async def test_codex_is_told_at_once_that_there_are_no_websockets(http: httpx2.AsyncClient) -> None:
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "1e26jUQNwC5w3H0OJ3qyVQ==",
        "openai-beta": "responses_websockets=2026-02-06",
    }
    answer = await http.get("/v1/responses", headers={**CODEX_HEADERS, **upgrade})
    assert (answer.status_code, answer.json()["error"]["type"]) == (426, "invalid_request_error")
    assert (await http.get("/v1/responses", headers=CODEX_HEADERS)).status_code == 405


# ---- Gemini CLI

GEMINI_HEADERS = {"x-goog-api-key": KEY, "x-goog-api-client": "google-genai-sdk/1.30.0 gl-node/v20"}


def gemini_cli(*later: dict[str, Any]) -> dict[str, Any]:
    asked = [{"text": "<session_context>\nA terminal.\n</session_context>"}, {"text": "The weather in Paris"}]
    weather = {"name": "get_weather", "description": "Tells the weather.", "parametersJsonSchema": LOOK}
    return {
        "contents": [{"parts": asked, "role": "user"}, *later],
        "systemInstruction": {"parts": [{"text": "You are an agent."}], "role": "user"},
        "tools": [{"functionDeclarations": [weather]}],
        "generationConfig": {"temperature": 1, "topP": 0.95, "topK": 64, "thinkingConfig": {"includeThoughts": True}},
    }


def gemini_parts(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    assert events[-1]["candidates"][0]["finishReason"] == "STOP"
    return [part for event in events for part in event["candidates"][0].get("content", {}).get("parts", ())]


@pytest.mark.parametrize("provider", MODELS)
async def test_gemini_cli_works_through_a_tool_call(house: House, http: httpx2.AsyncClient, provider: str) -> None:
    path = f"/v1beta/models/{target(provider)}:streamGenerateContent?alt=sse"
    first = gemini_parts(events_of(await http.post(path, json=gemini_cli(), headers=GEMINI_HEADERS)))
    (call,) = [part for part in first if "functionCall" in part]
    assert (call["functionCall"]["name"], list(call["functionCall"]["args"])) == ("get_weather", ["place"])
    if provider == "google":
        assert house.received.path == f"/v1beta/models/{MODELS[provider]}:streamGenerateContent?alt=sse"
        assert json.loads(house.received.body) == gemini_cli()
        assert house.received.header("x-goog-api-key") == "sk-p"
    # It gives calls ids of its own, and keeps no thoughts.
    call["functionCall"]["id"] = "get_weather_1795266620392_0"
    result = {"name": "get_weather", "id": call["functionCall"]["id"], "response": {"error": "No such place"}}
    later = gemini_cli({"parts": [call], "role": "model"}, {"parts": [{"functionResponse": result}], "role": "user"})
    second = gemini_parts(events_of(await http.post(path, json=later, headers=GEMINI_HEADERS)))
    assert "No such place" in "".join(part.get("text", "") for part in second if not part.get("thought"))


async def test_gemini_cli_counts_tokens_before_it_sends_a_picture(house: House, http: httpx2.AsyncClient) -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
    body = {"contents": [{"role": "user", "parts": [{"text": "Describe it"}, picture]}]}
    answer = await http.post(f"/v1beta/models/{target('google')}:countTokens", json=body, headers=GEMINI_HEADERS)
    assert answer.json()["totalTokens"] > 0
    assert json.loads(house.received.body) == body
    refused = await http.post(f"/v1beta/models/{target('claude')}:countTokens", json=body, headers=GEMINI_HEADERS)
    assert (refused.status_code, refused.json()["error"]["status"]) == (404, "NOT_FOUND")
