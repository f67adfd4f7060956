"""Requests that OpenAI's Responses, Google, Cohere and Amazon refuse: refused in their words, and naming the place."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.sim import Model, Received, Script, Simulator

from .conftest import Ask, Heard
from .protocols import BY_NAME
from .test_answers import JSON

HI = {"role": "user", "content": "Hello"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "1"}
RESPONSES: dict[str, tuple[dict[str, Any], str]] = {
    "no input": ({"input": None}, "Missing required parameter: 'input'"),
    "empty input": ({"input": []}, "empty array"),
    "chat messages": ({"messages": [HI]}, "Unknown parameter: 'messages'"),
    "a member of chat": ({"reasoning_effort": "low"}, "Unknown parameter: 'reasoning_effort'"),
    "chat's tool": ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "'tools[0].function'"),
    "a tool of no known type": ({"tools": [{"type": "spoon"}]}, "Invalid value: 'spoon'"),
    "no name": ({"tools": [{"type": "function", "parameters": {}}]}, "'tools[0].name'"),
    "bad name": ({"tools": [{"type": "function", "name": "a b"}]}, "does not match pattern"),
    "chat's part": ({"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "Invalid value: 'text'"),
    "a user's output": (
        {"input": [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}]},
        "Invalid value: 'output_text'",
    ),
    "chat's image": (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": {"url": "x"}}]}]},
        "Invalid type for 'input[0].content[0].image_url'",
    ),
    "unknown role": ({"input": [{"role": "tool", "content": "x"}]}, "Invalid value: 'tool'"),
    "unknown item": ({"input": [{"type": "tool_use"}]}, "Invalid value: 'tool_use'"),
    "call without output": ({"input": [HI, CALL]}, "No tool output found for function call c1"),
    "output without call": ({"input": [HI, OUTPUT]}, "No tool call found for function call output with call_id c1"),
    "arguments as an object": ({"input": [HI, {**CALL, "arguments": {}}, OUTPUT]}, "'input[1].arguments'"),
    "forged reasoning": (
        {"input": [HI, {"type": "reasoning", "summary": [], "encrypted_content": "c2lt"}]},
        "could not be verified",
    ),
    "reasoning without a summary": ({"input": [HI, {"type": "reasoning"}]}, "'input[1].summary'"),
    "too few tokens": ({"max_output_tokens": 5}, "Expected a value >= 16"),
    "unknown effort": ({"reasoning": {"effort": "huge"}}, "Invalid value: 'huge'"),
    "another's state": ({"previous_response_id": "resp_1"}, "'resp_1' not found"),
    "chat's format": (
        {"text": {"format": {"type": "json_schema", "json_schema": {"schema": {}}}}},
        "'text.format.json_schema'",
    ),
    "a choice of chat": ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "'tool_choice'"),
    "options without a stream": ({"stream_options": {"include_obfuscation": False}}, "only allowed when 'stream'"),
}
PART = {"text": "Hello"}
FUNCTION_CALL = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}
FUNCTION_RESPONSE = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"a": 1}}}]}


def declared(schema: Any) -> dict[str, Any]:
    return {"tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]}


GEMINI: dict[str, tuple[dict[str, Any], str]] = {
    "no contents": ({"contents": None}, "contents is not specified"),
    "unknown member": ({"messages": [HI]}, 'Unknown name "messages": Cannot find field.'),
    "unknown config": ({"generationConfig": {"maxTokens": 5}}, "Unknown name \"maxTokens\" at 'generationConfig'"),
    "unknown role": ({"contents": [{"role": "assistant", "parts": [PART]}]}, "Please use a valid role: user, model."),
    "no parts": ({"contents": [{"role": "user", "parts": []}]}, "parts must not be empty"),
    "text as parts": ({"contents": [{"role": "user", "parts": "Hello"}]}, "contents[0].parts"),
    "an empty part": ({"contents": [{"parts": [{}]}]}, "required oneof field 'data'"),
    "two in one part": ({"contents": [{"parts": [{**PART, "inlineData": {"mimeType": "a/b", "data": ""}}]}]}, "oneof"),
    "bad data": (
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "*"}}]}]},
        "Base64 decoding failed",
    ),
    "a forged signature": ({"contents": [{"parts": [{**PART, "thoughtSignature": "c2lt"}]}]}, "Corrupted thought"),
    "call without response": ({"contents": [{"parts": [PART]}, FUNCTION_CALL]}, "function response turn"),
    "response without call": ({"contents": [{"parts": [PART]}, FUNCTION_RESPONSE]}, "immediately after"),
    "response to another": (
        {"contents": [FUNCTION_CALL, {"parts": [{"functionResponse": {"name": "g", "response": {}}}]}]},
        "do not name the functions",
    ),
    "two responses to one": (
        {"contents": [FUNCTION_CALL, {"parts": [*FUNCTION_RESPONSE["parts"], *FUNCTION_RESPONSE["parts"]]}]},
        "number of function response parts",
    ),
    "a response that is no object": (
        {"contents": [FUNCTION_CALL, {"parts": [{"functionResponse": {"name": "f", "response": "1"}}]}]},
        "functionResponse.response",
    ),
    "JSON schema's words": (declared({"type": "object", "additionalProperties": False}), '"additionalProperties"'),
    "a reference": (declared({"type": "object", "properties": {"a": {"$ref": "#/x"}}}), '"$ref"'),
    "a list of types": (declared({"type": ["string", "null"]}), "not repeating"),
    "numbers to choose from": (declared({"type": "integer", "enum": [1, 2]}), "enum"),
    "a bad name": ({"tools": [{"functionDeclarations": [{"name": "1 2"}]}]}, "Invalid function name"),
    "names without ANY": (
        {**declared({"type": "object"}), "toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["f"]}}},
        "only when function calling mode is ANY",
    ),
    "an unknown mode": (
        {"toolConfig": {"functionCallingConfig": {"mode": "REQUIRED"}}},
        "function_calling_config.mode",
    ),
    "a schema without a type": ({"generationConfig": {"responseSchema": {"type": "OBJECT"}}}, "application/json"),
    "too hot": ({"generationConfig": {"temperature": 3}}, "temperature"),
    "budget and level": (
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}},
        "thinking budget and thinking level",
    ),
}
TOOL_CALL = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
COHERE: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": None}, "messages is a required field"),
    "empty messages": ({"messages": []}, "at least one message"),
    "unknown member": ({"top_p": 0.5}, "parameter 'top_p' is not a valid field"),
    "unknown role": ({"messages": [{"role": "developer", "content": "x"}]}, "must be one of: user, assistant"),
    "a part of another": ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "'image' is not valid"),
    "a name on a message": ({"messages": [{**HI, "name": "x"}]}, "'messages[0].name' is not a valid field"),
    "result without call": (
        {"messages": [HI, {"role": "tool", "tool_call_id": "t1", "content": "1"}]},
        "tool_call_id t1 at messages[1]",
    ),
    "call without result": ({"messages": [HI, {"role": "assistant", "tool_calls": [TOOL_CALL]}]}, "missing: t1"),
    "OpenAI's choice": ({"tools": [FUNCTION], "tool_choice": "required"}, "is not one of REQUIRED, NONE"),
    "choice without tools": ({"tool_choice": "REQUIRED"}, "only be specified with tools"),
    "tool without parameters": (
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "tools[0].function.parameters is a required field",
    ),
    "OpenAI's format": ({"response_format": {"type": "json_schema", "json_schema": {}}}, "text, json_object"),
    "format and tools": ({"response_format": {"type": "json_object"}, "tools": [FUNCTION]}, "not supported with tools"),
    "too hot": ({"temperature": 1.5}, "temperature must be between 0 and 1"),
    "no thinking type": ({"thinking": {"token_budget": 5}}, "thinking.type is a required field"),
}
SPEC = {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}
USE = {"role": "assistant", "content": [{"toolUse": {"toolUseId": "u1", "name": "f", "input": {}}}]}
RESULT = {"role": "user", "content": [{"toolResult": {"toolUseId": "u1", "content": [{"text": "1"}]}}]}
SAID = {"role": "user", "content": [{"text": "Hello"}]}
BEDROCK: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": []}, "at least one message"),
    "unknown member": ({"max_tokens": 5}, "extraneous key [max_tokens]"),
    "text as content": ({"messages": [HI]}, "expected array"),
    "a typed block": ({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "extraneous key"),
    "two in one block": (
        {"messages": [{"role": "user", "content": [{"text": "x", "cachePoint": {"type": "default"}}]}]},
        "Exactly one member of the union",
    ),
    "blank text": ({"messages": [{"role": "user", "content": [{"text": " "}]}]}, "is blank"),
    "two of a role": ({"messages": [SAID, SAID]}, "alternate between user and assistant"),
    "an assistant first": ({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}, "start with a user"),
    "a system's message": ({"messages": [{"role": "system", "content": [{"text": "x"}]}]}, "enum value set"),
    "calls without tools": ({"messages": [SAID, USE, RESULT]}, "toolConfig field must be defined"),
    "call without result": ({"messages": [SAID, USE, SAID], "toolConfig": {"tools": [SPEC]}}, "following Ids: u1"),
    "result without call": ({"messages": [RESULT], "toolConfig": {"tools": [SPEC]}}, "exceeds the number of toolUse"),
    "bad image": (
        {"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": "*"}}}]}]},
        "Invalid base64",
    ),
    "unknown format": (
        {"messages": [{"role": "user", "content": [{"image": {"format": "bmp", "source": {"bytes": "QQ=="}}}]}]},
        "enum value set: [png",
    ),
    "a document alone": (
        {
            "messages": [
                {"role": "user", "content": [{"document": {"name": "a", "format": "txt", "source": {"bytes": "QQ=="}}}]}
            ]
        },
        "without a text block",
    ),
    "forged thinking": (
        {
            "messages": [
                SAID,
                {
                    "role": "assistant",
                    "content": [{"reasoningContent": {"reasoningText": {"text": "a", "signature": "b"}}}],
                },
                SAID,
            ]
        },
        "Invalid `signature`",
    ),
    "no tools": ({"toolConfig": {"tools": []}}, "length greater than or equal to 1"),
    "two choices": ({"toolConfig": {"tools": [SPEC], "toolChoice": {"auto": {}, "any": {}}}}, "Exactly one member"),
    "an unknown choice": ({"toolConfig": {"tools": [SPEC], "toolChoice": {"tool": {"name": "g"}}}}, "tool g"),
    "a schema that is a text": (
        {"toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": "{}"}}}]}},
        "expected object",
    ),
    "too hot": ({"inferenceConfig": {"temperature": 1.5}}, "less than or equal to 1"),
    "tokens as text": ({"inferenceConfig": {"maxTokens": "5"}}, "expected integer"),
    "too small a budget": (
        {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 5}}},
        "greater than or equal to 1024",
    ),
    "a format that is an object": (
        {"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": {}}}}}},
        "expected string",
    ),
}
CASES = [
    pytest.param(name, members, told, stream, id=f"{name}-{case}-{'streamed' if stream else 'whole'}")
    for name, cases in (("responses", RESPONSES), ("gemini", GEMINI), ("cohere", COHERE), ("bedrock", BEDROCK))
    for case, (members, told) in cases.items()
    for stream in (False, True)
    if not (stream and "stream_options" in members)
]


@pytest.mark.parametrize(("name", "members", "told", "stream"), CASES)
async def test_nonsense_is_refused(ask: Ask, name: str, members: dict[str, Any], told: str, stream: bool) -> None:
    heard = await ask("sim-small", "Hello", name, stream=stream, **members)
    assert heard.status in (400, 422), heard.raw_body
    assert told in BY_NAME[name].error_message(heard.json)


@pytest.mark.parametrize("depth", [50, 200, 400, 900, 1500])
@pytest.mark.parametrize("name", ["responses", "gemini", "cohere", "bedrock"])
async def test_deep_bodies_are_answered(send: Ask, name: str, depth: int) -> None:
    asking = BY_NAME[name].asking("m", "Hello", {})
    schema = b'{"type":"object","properties":{"a":' * depth + b'{"type":"string"}' + b"}}" * depth
    tools: dict[str, bytes] = {
        "responses": b'{"tools":[{"type":"function","name":"f","parameters":%s}]',
        "gemini": b'{"tools":[{"functionDeclarations":[{"name":"f","parameters":%s}]}]',
        "cohere": b'{"tools":[{"type":"function","function":{"name":"f","parameters":%s}}]',
        "bedrock": b'{"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":%s}}}]}',
    }
    body = tools[name] % schema + b"," + json.dumps(asking.body).encode()[1:]
    assert (await send(asking.path, body, asking.headers)).status in (200, 400)


@pytest.mark.parametrize("name", ["responses", "gemini", "cohere", "bedrock"])
async def test_what_no_body_should_be(send: Ask, name: str) -> None:
    asking = BY_NAME[name].asking("m", "Hello", {})
    for body in (b"", b"[1]", b"{", b'{"a":' * 2000):
        heard = await send(asking.path, body, asking.headers)
        assert heard.status == 400
        assert BY_NAME[name].error_message(heard.json)


@pytest.mark.parametrize("name", ["responses", "gemini", "cohere", "bedrock"])
async def test_unknown_models_and_long_prompts(simulator: Simulator, ask: Ask, name: str) -> None:
    simulator.script = Script(models={"only": Model(context_tokens=3)}, only_listed=True)
    assert (await ask("other", "Hello", name)).status == (400 if name == "bedrock" else 404)
    assert (await ask("only", "Hello", name)).status == 200
    assert (await ask("only", "one two three four", name)).status == 400


@pytest.mark.parametrize("name", ["responses", "gemini", "cohere", "bedrock"])
async def test_leniency_is_scripted(simulator: Simulator, ask: Ask, name: str) -> None:
    simulator.script = Script(strict=False)
    assert (await ask("m", "Hello", name, unheard_of=1)).status == 200


MEMBERS_TEXT = """
    input instructions tools tool_choice text reasoning include contents generationConfig toolConfig systemInstruction
    messages system inferenceConfig additionalModelRequestFields outputConfig response_format thinking documents stream
    stop_sequences max_tokens temperature
"""
PATHS: dict[str, dict[str, Any]] = {
    "/v1/responses": {"input": "Hello"},
    "/v1beta/models/m:streamGenerateContent": {"contents": [{"parts": [{"text": "Hello"}]}]},
    "/v2/chat": {"messages": [HI]},
    "/model/m/converse-stream": {"messages": [SAID]},
}


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(MEMBERS_TEXT.split()), JSON), st.sampled_from(sorted(PATHS)), st.booleans())
def test_any_shape_of_body_is_answered(members: dict[str, Any], path: str, sound: bool) -> None:
    body = {"model": "m"} if path in ("/v1/responses", "/v2/chat") else {}
    assert answered(path, {**body, **(PATHS[path] if sound else {}), **members}) in (200, 400, 404, 422)


@settings(max_examples=300, deadline=None)
@given(JSON, st.sampled_from(sorted(PATHS)), st.sampled_from(["content", "parts", "role", "type", "output", "text"]))
def test_any_shape_of_message_is_answered(value: Any, path: str, member: str) -> None:
    (name,) = PATHS[path]
    message = {"role": "user", "content": "Hello", member: value}
    for inner in (message, {member: value}, {"role": "user", "content": [{member: value}]}):
        assert answered(path, {"model": "m", name: [inner]} if "beta" not in path else {name: [inner]}) in (
            200,
            400,
            422,
        )


def answered(path: str, body: dict[str, Any]) -> int:
    steps = Simulator().answer(Received("POST", path, (), json.dumps(body).encode()))
    return Heard(b"".join(step for step in steps if isinstance(step, bytes)), "end").status
