"""Requests: both spellings of names, ids that are not told, media, schemas, what is refused and what is edited."""

import base64
import json
from typing import Any

import pytest

from waypost.conversation.blocks import (
    Audio,
    Document,
    Image,
    Opaque,
    Role,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from waypost.conversation.faults import Refused
from waypost.conversation.request import HostedTool, Reasoning, Tool, ToolChoice, ToolChoiceMode
from waypost.dialects.dialect import Edits
from waypost.dialects.gemini import DIALECT

PNG = base64.b64encode(b"\x89PNG").decode()
USER = {"role": "user", "parts": [{"text": "hi"}]}


def body(**members: Any) -> bytes:
    return json.dumps({"contents": [USER], **members}).encode()


def test_the_path_says_which_model_and_whether_to_stream() -> None:
    request = DIALECT.read_request(body(model="models/gemini-2.5-pro"))
    assert (request.model, request.stream, request.usage_in_stream, request.extra) == ("", False, True, ())


SPELT = {
    "system_instruction": {"parts": [{"text": "be kind"}]},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"inline_data": {"mime_type": "image/png", "data": PNG}},
                {"file_data": {"mime_type": "application/pdf", "file_uri": "https://example.com/a.pdf"}},
            ],
        },
        {
            "role": "model",
            "parts": [{"function_call": {"name": "f", "args": {"file_uri": 1}}, "thought_signature": "c2ln"}],
        },
        {"role": "user", "parts": [{"function_response": {"name": "f", "response": {"output": "ok"}}}]},
    ],
    "generation_config": {
        "max_output_tokens": 9,
        "top_p": 0.5,
        "top_k": 40.0,
        "stop_sequences": ["END"],
        "thinking_config": {"thinking_budget": 512, "include_thoughts": True},
    },
    "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object"}}]}],
    "tool_config": {"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
}


def camelled(value: Any) -> Any:
    """The same with Google's own names, but for what is the caller's."""
    if isinstance(value, list):
        return [camelled(each) for each in value]
    if not isinstance(value, dict):
        return value
    told = {}
    for name, inner in value.items():
        first, *rest = name.split("_")
        told[first + "".join(word.capitalize() for word in rest)] = inner if name == "args" else camelled(inner)
    return told


def test_both_spellings_say_the_same() -> None:
    request = DIALECT.read_request(json.dumps(SPELT).encode())
    assert request == DIALECT.read_request(json.dumps(camelled(SPELT)).encode())
    assert [turn.role for turn in request.turns] == [Role.SYSTEM, Role.USER, Role.ASSISTANT, Role.USER]
    assert request.turns[1].blocks == (
        Image(Source("image/png", data=PNG)),
        Document(Source("application/pdf", url="https://example.com/a.pdf")),
    )
    signature, call = request.turns[2].blocks
    assert signature == Thinking("", "c2ln", "gemini")
    assert isinstance(call, ToolCall)
    assert (call.name, json.loads(call.arguments)) == ("f", {"file_uri": 1})
    assert request.turns[3].blocks == (ToolResult(call.id, (Text("ok"),), None, "f"),)
    assert (request.max_tokens, request.top_p, request.top_k, request.stop) == (9, 0.5, 40, ("END",))
    assert request.reasoning == Reasoning(True, None, 512, None, "summarized")
    assert request.tool_choice == ToolChoice(ToolChoiceMode.NAMED, "f")
    assert request.extra == ()


def call(name: str, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {}, **more}}


def result(name: str, **more: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": {}, **more}}


def test_ids_that_are_not_told_match_up_and_are_unique_over_turns() -> None:
    contents = [
        USER,
        {"role": "model", "parts": [call("a"), call("b"), call("a"), call("c", id="x")]},
        {"role": "function", "parts": [result("a"), result("a"), result("b"), result("c", id="x")]},
        {"role": "model", "parts": [call("a")]},
        {"role": "user", "parts": [result("a"), result("unasked")]},
    ]
    request = DIALECT.read_request(body(contents=contents))
    calls = [b.id for turn in request.turns for b in turn.blocks if isinstance(b, ToolCall)]
    results = [b.call_id for turn in request.turns for b in turn.blocks if isinstance(b, ToolResult)]
    assert len(set(calls)) == 5
    first, second, third, fourth, fifth = calls
    assert results[:5] == [first, third, second, fourth, fifth]
    assert fourth == "x"
    assert results[5] not in calls


@pytest.mark.parametrize(
    ("response", "text", "is_error"),
    [
        ({"output": "x"}, "x", None),
        ({"result": "x"}, "x", None),
        ({"error": "no"}, "no", True),
        ({"error": {"code": 3}}, '{"error": {"code": 3}}', True),
        ({"result": 5}, '{"result": 5}', None),
        ({"a": 1, "b": 2}, '{"a": 1, "b": 2}', None),
        ({}, None, None),
    ],
)
def test_what_a_function_returned(response: Any, text: str | None, is_error: bool | None) -> None:
    part = {"functionResponse": {"name": "f", "response": response}}
    request = DIALECT.read_request(body(contents=[{"role": "user", "parts": [part]}]))
    (block,) = request.turns[0].blocks
    assert isinstance(block, ToolResult)
    assert (block.blocks, block.is_error) == (() if text is None else (Text(text),), is_error)


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"inlineData": {"mimeType": "audio/mpeg", "data": "aa"}}, Audio(Source("audio/mpeg", data="aa"), "mp3")),
        (
            {
                "inlineData": {"mimeType": "image/png", "data": "aa"},
                "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"},
            },
            Image(Source("image/png", data="aa"), "low"),
        ),
        (
            {"fileData": {"mimeType": "text/csv", "fileUri": "gs://b/t.csv", "displayName": "t"}},
            Document(Source("text/csv", file_id="gs://b/t.csv"), "t"),
        ),
        ({"text": "so", "thought": True, "thoughtSignature": "c2ln"}, Thinking("so", "c2ln", "gemini")),
    ],
)
def test_parts(part: dict[str, Any], block: object) -> None:
    assert DIALECT.read_request(body(contents={"parts": part})).turns[0].blocks == (block,)


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"inlineData": {"mimeType": "video/mp4", "data": "aa"}, "videoMetadata": {"fps": 1}}, "video"),
        ({"executableCode": {"code": "1"}, "thoughtSignature": "c2ln"}, "executableCode"),
        ({"code_execution_result": {"outcome": "OUTCOME_OK"}}, "codeExecutionResult"),
        ({"somethingNew": {"a": 1}}, "somethingNew"),
    ],
)
def test_parts_without_a_neutral_form_are_kept_whole(part: dict[str, Any], kind: str) -> None:
    (block,) = DIALECT.read_request(body(contents=[{"parts": [part]}])).turns[0].blocks
    assert isinstance(block, Opaque)
    assert (block.kind, json.loads(bytes(block.raw))) == (kind, part)


def test_the_provider_s_own_tools_stand_beside_functions() -> None:
    tools = [{"google_search": {}, "functionDeclarations": [{"name": "f"}]}, {"codeExecution": {}}]
    request = DIALECT.read_request(body(tools=tools))
    hosted = [tool for tool in request.tools if isinstance(tool, HostedTool)]
    assert [(tool.kind, json.loads(bytes(tool.raw))) for tool in hosted] == [
        ("googleSearch", {"googleSearch": {}}),
        ("codeExecution", {"codeExecution": {}}),
    ]
    assert [tool.name for tool in request.tools if isinstance(tool, Tool)] == ["f"]


def test_google_s_schemas_become_json_schema() -> None:
    own = {
        "type": "OBJECT",
        "propertyOrdering": ["a"],
        "properties": {
            "type": {"type": "STRING", "nullable": True, "enum": ["x"]},
            "nullable": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1"},
        },
    }
    request = DIALECT.read_request(
        body(generationConfig={"responseSchema": own, "responseMimeType": "application/json"})
    )
    assert request.output is not None
    assert request.output.schema is not None
    assert json.loads(bytes(request.output.schema)) == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["x", None]},
            "nullable": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        },
    }


def test_json_schema_is_kept_as_it_was_received() -> None:
    schema = b'{"const": 12345678901234567890123}'
    raw = b'{"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"responseJsonSchema":%b}}' % schema
    output = DIALECT.read_request(raw).output
    assert output is not None
    assert output.schema is not None
    assert bytes(output.schema) == schema


@pytest.mark.parametrize(
    ("config", "reasoning"),
    [
        ({"thinkingBudget": 0}, Reasoning(False)),
        ({"thinkingBudget": -1}, Reasoning(True, True)),
        ({"thinkingBudget": 100}, Reasoning(True, None, 100)),
        ({"thinkingLevel": "HIGH", "includeThoughts": False}, Reasoning(None, None, None, "high", "omitted")),
        ({}, None),
    ],
)
def test_how_hard_to_think(config: dict[str, Any], reasoning: Reasoning | None) -> None:
    assert DIALECT.read_request(body(generationConfig={"thinkingConfig": config})).reasoning == reasoning


def test_what_has_no_neutral_name_is_left_under_the_caller_s() -> None:
    request = DIALECT.read_request(
        body(
            safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
            cachedContent="cachedContents/1",
            labels={},
            tools=None,
            waypost={"task": "qa"},
            generationConfig={"speechConfig": {"a": 1}, "responseModalities": ["TEXT"], "temperature": None},
            toolConfig={"functionCallingConfig": {"mode": "VALIDATED"}},
        )
    )
    names = [name for name, _ in request.extra]
    assert names == [
        "safetySettings",
        "cachedContent",
        "generationConfig.speechConfig",
        "toolConfig.functionCallingConfig",
    ]
    assert request.tool_choice == ToolChoice(ToolChoiceMode.AUTO)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"[]", "Expected `object`"),
        (b'{"contents":[]}', "contents: at least one"),
        (b'{"contents":[{"role":"system","parts":[]}]}', "contents[0].role: must be user or model"),
        (b'{"contents":[{"parts":[{"text":1}]}]}', "contents[0].parts[0].text: Expected `str`"),
        (b'{"contents":[{"parts":[{"inlineData":{}}]}]}', "contents[0].parts[0].inlineData.data: is missing"),
        (b'{"contents":[{"parts":[{"functionResponse":{}}]}]}', "functionResponse.name: is missing"),
        (b'{"contents":[{}],"tools":[{"functionDeclarations":[{}]}]}', "functionDeclarations[0].name: is missing"),
        (b'{"contents":[{}],"generationConfig":{"topP":"x"}}', "generationConfig.topP"),
        (b'{"contents":[{}],"generationConfig":{"maxOutputTokens":0}}', "maxOutputTokens: must be at least 1"),
        (b'{"contents":[{}],"generationConfig":{},"generation_config":{}}', "generationConfig: is given twice"),
        (b'{"contents":[{"parts":[{"text":"\xff"}]}]}', "not valid UTF-8"),
        (b'{"contents":[{"parts":[{"text":"\\ud800"}]}]}', "contents[0].parts[0].text: holds half of a surrogate"),
        (b'{"contents":[{"parts":' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_named(raw: bytes, words: str) -> None:
    with pytest.raises(Refused) as caught:
        DIALECT.read_request(raw)
    assert words in caught.value.error.message
    assert caught.value.error.status == 400


@pytest.mark.parametrize(
    ("members", "needs", "unbounded"),
    [
        ({}, set(), False),
        ({"tools": [{"functionDeclarations": [{"name": "f"}]}]}, {"tools"}, False),
        ({"tools": [{"googleSearch": {}}]}, {"tools"}, True),
        ({"tools": [{"code_execution": None}]}, {"tools"}, False),
        ({"cachedContent": "cachedContents/1"}, set(), True),
        ({"generationConfig": {"responseMimeType": "application/json"}}, {"structured"}, False),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, set(), False),
        ({"generation_config": {"thinking_config": {"thinking_level": "low"}}}, {"reasoning"}, False),
    ],
)
def test_a_glance_at_parameters(members: dict[str, Any], needs: set[str], unbounded: bool) -> None:
    glance = DIALECT.glance(body(**members))
    assert (set(glance.needs), glance.unbounded_input) == (needs, unbounded)


@pytest.mark.parametrize(
    ("part", "needs", "unbounded"),
    [
        ({"inline_data": {"mime_type": "image/png", "data": PNG}}, {"images"}, True),
        ({"inlineData": {"mimeType": "audio/wav", "data": PNG}}, {"audio"}, False),
        ({"inlineData": {"mimeType": "video/mp4", "data": PNG}}, set(), True),
        ({"inlineData": {"mimeType": "text/plain", "data": PNG}}, {"documents"}, False),
        ({"fileData": {"mimeType": "audio/wav", "fileUri": "gs://a"}}, {"audio"}, True),
        (
            {"functionResponse": {"name": "f", "parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}]}},
            {"images"},
            True,
        ),
        ({"inlineData": 7}, set(), True),
    ],
)
def test_a_glance_at_media(part: dict[str, Any], needs: set[str], unbounded: bool) -> None:
    glance = DIALECT.glance(body(contents=[{"parts": [part]}]))
    assert (set(glance.needs), glance.unbounded_input) == (needs, unbounded)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"contents":[{}],"contents":[]}',
        b'{"contents":[{}],"generationConfig":{},"generationConfig":{}}',
        b'{"contents":[{}],"generationConfig":{"a":1},"generation_config":{"a":1}}',
        b'{"contents":[{}],"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":9}}',
        b'{"contents":[{}],"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}}',
        b'{"contents":[{}],"generationConfig":{"maxOutputTokens":1,"max\\u004futputTokens":9}}',
        b'{"contents":[{}],"generationConfig":{"maxOutputTokens":-1}}',
        b'{"contents":[{}],"generationConfig":{"candidateCount":1e30}}',
        b'{"contents":[{}],"waypost":{"nonsense":1}}',
    ],
)
def test_what_money_hangs_on_is_said_once_and_makes_sense(raw: bytes) -> None:
    with pytest.raises(Refused) as caught:
        DIALECT.glance(raw)
    assert caught.value.error.status == 400


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"contents":[{}]}', b'{"generationConfig":{"maxOutputTokens":7},"contents":[{}]}'),
        (
            b'{ "contents" : [{}], "generationConfig" : {"maxOutputTokens" : 9, "seed":12345678901234567890123} }',
            b'{ "contents" : [{}], "generationConfig" : {"maxOutputTokens" : 7, "seed":12345678901234567890123} }',
        ),
        (b'{"generation_config":{"max_output_tokens":"9"}}', b'{"generation_config":{"max_output_tokens":7}}'),
        (b'{"generationConfig":{"maxOutputTokens":5}}', b'{"generationConfig":{"maxOutputTokens":5}}'),
        (b'{"generationConfig":null}', b'{"generationConfig":{"maxOutputTokens":7}}'),
        (b'{"waypost":{"task":"x"},"a":1}', b'{"generationConfig":{"maxOutputTokens":7},"a":1}'),
    ],
)
def test_an_edit_changes_the_limit_alone(before: bytes, after: bytes) -> None:
    edits = Edits(model="m", max_output=7, remove_options=True)
    assert DIALECT.edit(before, DIALECT.glance(before), edits) == after
    assert DIALECT.rename(before, b'"a"', b'"b"') is before


def test_dearer_tiers_and_other_output_have_no_known_price() -> None:
    assert DIALECT.glance(body(serviceTier="PRIORITY")).unpriced == "serviceTier: priority"
    assert DIALECT.glance(body(generationConfig={"responseModalities": ["TEXT", "IMAGE"]})).unpriced is not None
    assert DIALECT.glance(body(generationConfig={"responseModalities": ["TEXT"]})).unpriced is None
