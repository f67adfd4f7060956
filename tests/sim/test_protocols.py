"""What holds in every protocol: one answer, whole and streamed, counted alike; tools, thoughts, images, refusals."""

import json
from typing import Any

import pytest

from waypost.sim import Script

from .conftest import Ask, Heard
from .protocols import ALL, BEDROCK, BY_NAME, COHERE, GEMINI, GEMINI_ARRAY, OPENAI, RESPONSES, Protocol

NEW = (RESPONSES, GEMINI, GEMINI_ARRAY, COHERE, BEDROCK)
every = pytest.mark.parametrize("protocol", ALL, ids=lambda protocol: protocol.name)
every_new = pytest.mark.parametrize("protocol", NEW, ids=lambda protocol: protocol.name)
SCHEMA = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
NAMES = ("get_weather", "find_hotel")
TEXT = "What is the weather in Paris? And find_hotel there"
PIXEL = "dHdlbHZlIGJ5dGVz"  # twelve bytes


def tools_of(protocol: Protocol) -> dict[str, Any]:
    match protocol.name:
        case "responses":
            return {"tools": [{"type": "function", "name": name, "parameters": SCHEMA} for name in NAMES]}
        case "gemini" | "gemini_array":
            return {"tools": [{"functionDeclarations": [{"name": name, "parameters": SCHEMA} for name in NAMES]}]}
        case "bedrock":
            specs = [{"toolSpec": {"name": name, "inputSchema": {"json": SCHEMA}}} for name in NAMES]
            return {"toolConfig": {"tools": specs}}
        case _:
            functions = [{"name": name, "parameters": SCHEMA} for name in NAMES]
            return {"tools": [{"type": "function", "function": function} for function in functions]}


def thinking_of(protocol: Protocol) -> dict[str, Any]:
    match protocol.name:
        case "responses":
            return {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
        case "gemini" | "gemini_array":
            return {"generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 512}}}
        case "bedrock":
            return {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}
        case _:
            return {"thinking": {"type": "enabled"}}


def calls_of(protocol: Protocol, whole: Any) -> list[tuple[str, Any]]:
    """Name and arguments of each tool call in a whole answer."""
    match protocol.name:
        case "responses":
            items = [item for item in whole["output"] if item["type"] == "function_call"]
            return [(item["name"], json.loads(item["arguments"])) for item in items]
        case "gemini" | "gemini_array":
            parts = whole["candidates"][0]["content"]["parts"]
            calls = [part["functionCall"] for part in parts if "functionCall" in part]
            return [(call["name"], call["args"]) for call in calls]
        case "bedrock":
            blocks = whole["output"]["message"]["content"]
            return [(block["toolUse"]["name"], block["toolUse"]["input"]) for block in blocks if "toolUse" in block]
        case _:
            calls = [call["function"] for call in whole["message"]["tool_calls"]]
            return [(call["name"], json.loads(call["arguments"])) for call in calls]


def streamed_calls(protocol: Protocol, events: list[Any]) -> list[tuple[str, Any]]:
    started: list[list[str]] = []
    for event in events:
        match protocol.name:
            case "responses" if event["type"] == "response.output_item.added" and "name" in event["item"]:
                started.append([event["item"]["name"], ""])
            case "responses" if event["type"] == "response.function_call_arguments.delta":
                started[-1][1] += event["delta"]
            case "gemini" | "gemini_array":
                parts = event["candidates"][0]["content"]["parts"]
                calls = [part["functionCall"] for part in parts if "functionCall" in part]
                started += [[call["name"], json.dumps(call["args"])] for call in calls]
            case "bedrock" if "start" in event:
                started.append([event["start"]["toolUse"]["name"], ""])
            case "bedrock" if "toolUse" in event.get("delta", {}):
                started[-1][1] += event["delta"]["toolUse"]["input"]
            case "cohere" if event["type"] == "tool-call-start":
                started.append([event["delta"]["message"]["tool_calls"]["function"]["name"], ""])
            case "cohere" if event["type"] == "tool-call-delta":
                started[-1][1] += event["delta"]["message"]["tool_calls"]["function"]["arguments"]
    return [(name, json.loads(arguments)) for name, arguments in started]


def thoughts_of(protocol: Protocol, whole: Any) -> str:
    match protocol.name:
        case "responses":
            return str(whole["output"][0]["summary"][0]["text"])
        case "gemini" | "gemini_array":
            parts = whole["candidates"][0]["content"]["parts"]
            return "".join(part["text"] for part in parts if part.get("thought"))
        case "bedrock":
            return str(whole["output"]["message"]["content"][0]["reasoningContent"]["reasoningText"]["text"])
        case _:
            return str(whole["message"]["content"][0]["thinking"])


def next_turn(protocol: Protocol, whole: Any) -> dict[str, Any]:
    """The conversation so far, as members of the next request: the answer as it came, and what the tools said."""
    match protocol.name:
        case "responses":
            calls = [item for item in whole["output"] if item["type"] == "function_call"]
            told = [
                {"type": "function_call_output", "call_id": one["call_id"], "output": "18 degrees"} for one in calls
            ]
            return {"input": [{"role": "user", "content": TEXT}, *whole["output"], *told]}
        case "gemini" | "gemini_array":
            answers = [{"functionResponse": {"name": name, "response": {"result": "18 degrees"}}} for name in NAMES]
            asked = {"role": "user", "parts": [{"text": TEXT}]}
            return {"contents": [asked, whole["candidates"][0]["content"], {"role": "user", "parts": answers}]}
        case "bedrock":
            message = whole["output"]["message"]
            uses = [block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block]
            results = [{"toolResult": {"toolUseId": use, "content": [{"text": "18 degrees"}]}} for use in uses]
            asked = {"role": "user", "content": [{"text": TEXT}]}
            return {"messages": [asked, message, {"role": "user", "content": results}]}
        case _:
            message = whole["message"]
            told = [
                {"role": "tool", "tool_call_id": one["id"], "content": "18 degrees"} for one in message["tool_calls"]
            ]
            return {"messages": [{"role": "user", "content": TEXT}, message, *told]}


async def both_ways(ask: Ask, protocol: Protocol, model: str, text: str, **members: Any) -> tuple[Any, list[Any]]:
    """The answer and its events, after checking that they say and count the same."""
    whole = (await ask(model, text, protocol.name, **members)).json
    options = {"stream_options": {"include_usage": True}} if protocol is OPENAI else {}
    heard = await ask(model, text, protocol.name, stream=True, **members, **options)
    assert heard.headers["content-type"].startswith(protocol.stream_type)
    events = protocol.events(heard.body)
    text_events = [event for event in events if event.get("choices") != []]
    assert "".join(map(protocol.text, text_events)) == protocol.said(whole)
    (final,) = [event for event in events if protocol.final(event)]
    assert protocol.usage(final) == protocol.usage(whole)
    return whole, events


def heard_of(heard: Heard) -> str:
    return f"{heard.status} {heard.raw_body[:300]!r}"


@every
async def test_every_protocol_says_the_same(ask: Ask, protocol: Protocol) -> None:
    expected = (await ask("sim-small", "Hello there", "openai")).json
    whole, _ = await both_ways(ask, protocol, "sim-small", "Hello there")
    assert protocol.said(whole) == expected["choices"][0]["message"]["content"]
    assert protocol.usage(whole)[:2] == OPENAI.usage(expected)[:2]


@every
async def test_answers_are_reproducible(ask: Ask, protocol: Protocol) -> None:
    for stream in (False, True):
        first, second = [await ask("sim-small", "Hello", protocol.name, stream=stream) for _ in range(2)]
        assert first.body == second.body


@every_new
async def test_tools_and_thoughts_there_and_back(ask: Ask, protocol: Protocol) -> None:
    members = {**tools_of(protocol), **thinking_of(protocol)}
    whole, events = await both_ways(ask, protocol, "sim-small", TEXT, **members)
    calls = calls_of(protocol, whole)
    assert calls == [(name, {"place": "Paris"}) for name in NAMES]
    assert streamed_calls(protocol, events) == calls
    assert thoughts_of(protocol, whole).startswith("The question is")
    assert protocol.usage(whole)[3] != 0
    again = {**tools_of(protocol), **next_turn(protocol, whole)}
    heard = await ask("sim-small", TEXT, protocol.name, **again)
    assert heard.status == 200, heard_of(heard)
    assert protocol.said(heard.json).startswith("The tools said 18 degrees 18 degrees.")


FORGED = {
    "responses": ("encrypted_content", "could not be verified"),
    "gemini": ("thoughtSignature", "Corrupted thought signature"),
    "bedrock": ("signature", "Invalid `signature`"),
}


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("other", FORGED)
async def test_only_its_own_signature_comes_back(ask: Ask, name: str, other: str) -> None:
    def signed(value: Any, member: str) -> list[str]:
        if isinstance(value, dict):
            own = [value[member]] if member in value else []
            return own + [one for inner in value.values() for one in signed(inner, member)]
        return [one for inner in value for one in signed(inner, member)] if isinstance(value, list) else []

    protocol, stranger = BY_NAME[name], BY_NAME[other]
    whole = (await ask("sim-small", TEXT, name, **tools_of(protocol), **thinking_of(protocol))).json
    foreign = (await ask("sim-small", TEXT, other, **tools_of(stranger), **thinking_of(stranger))).json
    (own,) = signed(whole, FORGED[name][0])
    (theirs,) = signed(foreign, FORGED[other][0])
    turned = json.loads(json.dumps(next_turn(protocol, whole)).replace(own, theirs))
    heard = await ask("sim-small", TEXT, name, **{**tools_of(protocol), **turned})
    if name == other:
        assert heard.status == 200, heard_of(heard)
    else:
        assert heard.status == 400
        assert FORGED[name][1] in protocol.error_message(heard.json)


IMAGES: dict[str, dict[str, Any]] = {
    "responses": {
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
                ],
            }
        ]
    },
    "gemini": {
        "contents": [{"parts": [{"text": "What is this?"}, {"inline_data": {"mime_type": "image/png", "data": PIXEL}}]}]
    },
    "cohere": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                ],
            }
        ]
    },
    "bedrock": {
        "messages": [
            {
                "role": "user",
                "content": [{"text": "What is this?"}, {"image": {"format": "png", "source": {"bytes": PIXEL}}}],
            }
        ]
    },
}


@pytest.mark.parametrize("name", IMAGES)
async def test_images(ask: Ask, name: str) -> None:
    heard = await ask("sim-small", "", name, **IMAGES[name])
    assert heard.status == 200, heard_of(heard)
    said = BY_NAME[name].said(heard.json)
    assert said.startswith("I see an image of 12 bytes. You said What is this?.")


LIMITS: dict[str, tuple[dict[str, Any], str]] = {
    "responses": ({"max_output_tokens": 16}, '"incomplete_details":{"reason":"max_output_tokens"}'),
    "gemini": ({"generationConfig": {"maxOutputTokens": 16}}, '"finishReason":"MAX_TOKENS"'),
    "cohere": ({"max_tokens": 16}, '"finish_reason":"MAX_TOKENS"'),
    "bedrock": ({"inferenceConfig": {"maxTokens": 16}}, '"stopReason":"max_tokens"'),
}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("stream", [False, True])
async def test_limits(ask: Ask, name: str, stream: bool) -> None:
    members, told = LIMITS[name]
    heard = await ask("sim-small", "Go on [[sim:words=99]]", name, stream=stream, **members)
    assert told.encode() in heard.body
    if not stream:
        assert BY_NAME[name].usage(heard.json)[1] == 16


STOPS: dict[str, tuple[dict[str, Any], str]] = {
    "gemini": ({"generationConfig": {"stopSequences": ["three"]}}, '"finishReason":"STOP"'),
    "cohere": ({"stop_sequences": ["three"]}, '"finish_reason":"STOP_SEQUENCE"'),
    "bedrock": (
        {
            "inferenceConfig": {"stopSequences": ["three"]},
            "additionalModelResponseFieldPaths": ["/stop_sequence"],
        },
        '"stopReason":"stop_sequence","additionalModelResponseFields":{"stop_sequence":"three"}',
    ),
}


@pytest.mark.parametrize("name", STOPS)
async def test_stop_sequences(ask: Ask, name: str) -> None:
    members, told = STOPS[name]
    heard = await ask("sim-echo", "one two three", name, **members)
    assert BY_NAME[name].said(heard.json) == "one two "
    assert told.encode() in heard.body


SHAPE = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 18}}, "required": ["age"]}
NATIVE = {"type": "OBJECT", "properties": {"age": {"type": "INTEGER", "minimum": 18}}, "required": ["age"]}
FORMATS: list[tuple[str, dict[str, Any]]] = [
    ("responses", {"text": {"format": {"type": "json_schema", "name": "x", "schema": SHAPE}}}),
    ("gemini", {"generationConfig": {"responseMimeType": "application/json", "responseSchema": NATIVE}}),
    ("gemini", {"generation_config": {"response_mime_type": "application/json", "response_json_schema": SHAPE}}),
    ("cohere", {"response_format": {"type": "json_object", "json_schema": SHAPE}}),
    (
        "bedrock",
        {
            "outputConfig": {
                "textFormat": {
                    "type": "json_schema",
                    "structure": {"jsonSchema": {"schema": json.dumps(SHAPE), "name": "x"}},
                }
            }
        },
    ),
]


@pytest.mark.parametrize(("name", "members"), FORMATS)
async def test_structured_answers(ask: Ask, name: str, members: dict[str, Any]) -> None:
    heard = await ask("sim-small", "Who?", name, **members)
    assert heard.status == 200, heard_of(heard)
    assert json.loads(BY_NAME[name].said(heard.json)) == {"age": 18}


CHOICES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("responses", {"tool_choice": "required"}, ["get_weather"]),
    ("responses", {"tool_choice": {"type": "function", "name": "find_hotel"}}, ["find_hotel"]),
    ("gemini", {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, ["get_weather"]),
    (
        "gemini",
        {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["find_hotel"]}}},
        ["find_hotel"],
    ),
    ("cohere", {"tool_choice": "REQUIRED"}, ["get_weather"]),
    ("bedrock", {"any": {}}, ["get_weather"]),
    ("bedrock", {"tool": {"name": "find_hotel"}}, ["find_hotel"]),
]


@pytest.mark.parametrize(("name", "choice", "names"), CHOICES)
async def test_forced_tools(ask: Ask, name: str, choice: dict[str, Any], names: list[str]) -> None:
    members = {**tools_of(BY_NAME[name]), **choice}
    if name == "bedrock":
        members = {"toolConfig": {**tools_of(BEDROCK)["toolConfig"], "toolChoice": choice}}
    heard = await ask("sim-small", "Hello", name, **members)
    assert [called for called, _ in calls_of(BY_NAME[name], heard.json)] == names


FORBIDDEN: list[tuple[str, dict[str, Any]]] = [
    ("responses", {"tool_choice": "none"}),
    ("gemini", {"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}}),
    ("cohere", {"tool_choice": "NONE"}),
]


@pytest.mark.parametrize(("name", "choice"), FORBIDDEN)
async def test_forbidden_tools(ask: Ask, name: str, choice: dict[str, Any]) -> None:
    heard = await ask("sim-small", TEXT, name, **{**tools_of(BY_NAME[name]), **choice})
    assert heard.status == 200, heard_of(heard)
    assert BY_NAME[name].said(heard.json).startswith("You said")


REFUSALS = {
    "responses": '{"type":"refusal","refusal":"I can\'t help with that."}',
    "gemini": '"finishReason":"SAFETY"',
    "cohere": '"text":"I can\'t help with that."',
    "bedrock": '"stopReason":"content_filtered"',
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_refusals(ask: Ask, name: str) -> None:
    assert REFUSALS[name].encode() in (await ask("sim-small", "No [[sim:refuse]]", name)).body


async def test_events_of_a_response_are_numbered_and_typed(ask: Ask) -> None:
    heard = await ask("sim-small", TEXT, "responses", stream=True, **tools_of(RESPONSES), **thinking_of(RESPONSES))
    events = RESPONSES.events(heard.body)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    names = [line[7:].decode() for line in heard.body.split(b"\n") if line.startswith(b"event: ")]
    assert names == [event["type"] for event in events]
    assert names[:2] == ["response.created", "response.in_progress"]
    added = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    done = [event["item"]["id"] for event in events if event["type"] == "response.output_item.done"]
    assert added == done == [item["id"] for item in events[-1]["response"]["output"]]


async def test_reasoning_is_shown_and_sealed_only_if_asked(ask: Ask) -> None:
    item = (await ask("sim-reasoner", "Hello", "responses")).json["output"][0]
    assert (item["type"], item["summary"], "encrypted_content" in item) == ("reasoning", [], False)
    parts = (await ask("sim-reasoner", "Hello", "gemini")).json["candidates"][0]["content"]["parts"]
    assert [set(part) for part in parts] == [{"text", "thoughtSignature"}]


async def test_several_candidates(ask: Ask) -> None:
    members = {"generationConfig": {"candidateCount": 3}}
    whole = (await ask("sim-small", "Hello", "gemini", **members)).json
    texts = ["".join(part["text"] for part in one["content"]["parts"]) for one in whole["candidates"]]
    assert len(set(texts)) == 3
    streamed = ["", "", ""]
    for event in GEMINI.events((await ask("sim-small", "Hello", "gemini", stream=True, **members)).body):
        candidate = event["candidates"][0]
        streamed[candidate["index"]] += "".join(part["text"] for part in candidate["content"]["parts"])
    assert streamed == texts


async def test_cached_tokens_are_told_as_each_protocol_does(ask: Ask) -> None:
    long = "word " * 2000
    contents = [{"role": role, "parts": [{"text": text}]} for role, text in (("user", long), ("model", "Yes."))]
    usage = (await ask("m", "", "gemini", contents=[*contents, {"parts": [{"text": "More?"}]}])).json["usageMetadata"]
    assert 0 < usage["cachedContentTokenCount"] < usage["promptTokenCount"]
    point = {"cachePoint": {"type": "default"}}
    history = [
        {"role": "user", "content": [{"text": long}, point]},
        {"role": "assistant", "content": [{"text": "Yes."}]},
        {"role": "user", "content": [{"text": "More of it?"}, point]},
    ]
    usage = (await ask("m", "", "bedrock", messages=history)).json["usage"]
    assert usage["cacheReadInputTokens"] == 2001
    assert (usage["inputTokens"], usage["cacheWriteInputTokens"]) == (0, 4)
    assert usage["totalTokens"] == 2005 + usage["outputTokens"]


KEYS = {
    "responses": ({"authorization": "Bearer sk-sim"}, 401),
    "gemini": ({"x-goog-api-key": "sk-sim"}, 403),
    "cohere": ({"authorization": "bearer sk-sim"}, 401),
    "bedrock": ({"authorization": "Bearer sk-sim"}, 403),
}
SIGNED = (
    "AWS4-HMAC-SHA256 Credential={key}/20250615/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature={end}"
)


@pytest.mark.parametrize("name", KEYS)
async def test_keys(simulator: Any, send: Ask, name: str) -> None:
    simulator.script = Script(keys=("sk-sim",))
    headers, refused = KEYS[name]
    asking = BY_NAME[name].asking("sim-small", "Hello", {})
    assert (await send(asking.path, asking.body, headers)).status == 200
    assert (await send(asking.path, asking.body, {})).status == refused
    wrong = {header: value.replace("sk-sim", "sk-other") for header, value in headers.items()}
    assert (await send(asking.path, asking.body, wrong)).status == (400 if name == "gemini" else refused)


async def test_a_gemini_key_may_be_in_the_query(simulator: Any, send: Ask) -> None:
    simulator.script = Script(keys=("sk-sim",))
    body = GEMINI.asking("m", "Hello", {}).body
    assert (await send("/v1beta/models/m:generateContent?key=sk-sim", body)).status == 200


@pytest.mark.parametrize(
    ("key", "service", "end", "dated", "status"),
    [
        ("AKIDSIM", "bedrock", "0" * 64, True, 200),
        ("AKIDOTHER", "bedrock", "0" * 64, True, 403),
        ("AKIDSIM", "s3", "0" * 64, True, 403),
        ("AKIDSIM", "bedrock", "0" * 9, True, 403),
        ("AKIDSIM", "bedrock", "0" * 64, False, 403),
    ],
)
async def test_signatures_are_looked_at(
    simulator: Any, send: Ask, key: str, service: str, end: str, dated: bool, status: int
) -> None:
    simulator.script = Script(keys=("AKIDSIM",))
    headers = {"authorization": SIGNED.format(key=key, service=service, end=end)}
    if dated:
        headers["x-amz-date"] = "20250615T150640Z"
    asking = BEDROCK.asking("anthropic.claude-v1%3A0", "Hello", {})
    assert (await send(asking.path, asking.body, headers)).status == status


async def test_where_gemini_is_spoken(send: Ask) -> None:
    body = GEMINI.asking("m", "one two", {}).body
    project = "/v1/projects/p/locations/us-central1/publishers/google"
    for path in ("/v1/models/m:generateContent", f"{project}/models/m:generateContent"):
        assert (await send(path, body)).status == 200
    assert (await send("/v1beta/models/m:countTokens", body)).json["totalTokens"] == 2
    assert (await send("/v1beta/models/m:embedContent", body)).json["error"]["status"] == "NOT_FOUND"
    assert (await send("/v1beta/models", None, None, "GET")).json["models"][0]["name"] == "models/sim-small"
    assert (await send("/v1beta/models/sim-echo", None, None, "GET")).json["name"] == "models/sim-echo"
