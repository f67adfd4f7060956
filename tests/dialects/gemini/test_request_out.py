"""Requests of other protocols, written for Gemini: what is said, and what is reported as lost."""

import base64
import json
from typing import Any

import pytest
from msgspec import Raw

from waypost.conversation.blocks import (
    Audio,
    CacheMark,
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
from waypost.dialects.dialect import Shape
from waypost.dialects.gemini import DIALECT

HI = Turn(Role.USER, (Text("hi"),))
SCHEMA = Raw(b'{"$schema":"x","type":"object","additionalProperties":false}')


def written(*turns: Turn, model: str = "gemini-2.5-flash", **members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    request = Request(dialect="openai_chat", model="m", turns=turns or (HI,), **members)
    out = DIALECT.write_request(request, Shape(model=model))
    DIALECT.read_request(out.body)
    return json.loads(out.body), out.dropped


def config(model: str = "gemini-2.5-flash", **members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    told, dropped = written(model=model, **members)
    return told.get("generationConfig", {}), dropped


def test_turns() -> None:
    told, dropped = written(
        Turn(Role.SYSTEM, (Text("a"),)),
        Turn(Role.DEVELOPER, (Text("b", CacheMark()),)),
        Turn(Role.ASSISTANT, (Text("hello"), Text(" "))),
        Turn(Role.USER, (Text("one"),), name="Ann"),
        Turn(Role.SYSTEM, (Text("two"),)),
    )
    assert told == {
        "systemInstruction": {"parts": [{"text": "a"}, {"text": "b"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "."}]},
            {"role": "model", "parts": [{"text": "hello"}]},
            {"role": "user", "parts": [{"text": "one"}, {"text": "two"}]},
        ],
    }
    assert dropped == ("cache_control", "messages.name")


def test_a_conversation_of_system_turns_alone_is_said_by_the_user() -> None:
    told, _ = written(Turn(Role.SYSTEM, (Text("a"),)))
    assert told == {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}


PICTURE = Image(Source("image/png", data="aa"))
LOOP = (
    HI,
    Turn(Role.ASSISTANT, (ToolCall("c1", "look", '{"n":12345678901234567890123}'), ToolCall("c2", "look", ""))),
    Turn(Role.USER, (Text("and?"), ToolResult("c1", (Text("seen"), PICTURE)))),
    Turn(Role.USER, (ToolResult("c2", (Text("no"),), True),)),
)


def test_results_come_first_and_are_named_by_their_calls() -> None:
    told, dropped = written(*LOOP)
    assert told["contents"][1]["parts"][0] == {
        "functionCall": {"id": "c1", "name": "look", "args": {"n": 12345678901234567890123}}
    }
    assert told["contents"][1]["parts"][1]["functionCall"]["args"] == {}
    assert told["contents"][2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"id": "c1", "name": "look", "response": {"output": "seen"}}},
            {"functionResponse": {"id": "c2", "name": "look", "response": {"error": "no"}}},
            {"text": "and?"},
            {"inlineData": {"mimeType": "image/png", "data": "aa"}},
        ],
    }
    assert dropped == ()


def test_newer_models_take_pictures_in_results_and_want_calls_signed() -> None:
    told, _ = written(*LOOP, model="gemini-3-pro-preview")
    calls, results = told["contents"][1]["parts"], told["contents"][2]["parts"]
    assert ["thoughtSignature" in part for part in calls] == [True, False]
    assert results[0]["functionResponse"]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "aa"}}]
    told, _ = written(*LOOP, Turn(Role.ASSISTANT, (Text("so"),)), HI, model="gemini-3-pro-preview")
    assert ["thoughtSignature" in part for part in told["contents"][1]["parts"]] == [False, False]


def test_only_its_own_signatures_go_to_gemini() -> None:
    turn = Turn(
        Role.ASSISTANT,
        (
            Thinking("a", "x", "anthropic"),
            Thinking("b", "y", "gemini"),
            Thinking("", "z", "gemini"),
            ToolCall("c", "f", "{}"),
            Thinking("", "last", "gemini"),
        ),
    )
    told, dropped = written(HI, turn)
    assert told["contents"][1]["parts"] == [
        {"text": "b", "thought": True, "thoughtSignature": "y"},
        {"functionCall": {"id": "c", "name": "f", "args": {}}, "thoughtSignature": "z"},
        {"text": "", "thoughtSignature": "last"},
    ]
    assert dropped == ("reasoning_content",)


def test_a_signature_that_came_with_its_words_goes_onto_what_came_of_them() -> None:
    thought = Thinking("b", "y", "gemini")
    told, _ = written(HI, Turn(Role.ASSISTANT, (thought, ToolCall("c", "f", "{}"), ToolCall("d", "f", "{}"))))
    assert told["contents"][1]["parts"] == [
        {"text": "b", "thought": True},
        {"functionCall": {"id": "c", "name": "f", "args": {}}, "thoughtSignature": "y"},
        {"functionCall": {"id": "d", "name": "f", "args": {}}},
    ]


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (Image(Source(data="iVBORw")), {"inlineData": {"mimeType": "image/png", "data": "iVBORw"}}),
        (Image(Source(url="data:image/gif;base64,R0lG")), {"inlineData": {"mimeType": "image/gif", "data": "R0lG"}}),
        (
            Image(Source(url="https://e.org/a.webp?x=1"), detail="low"),
            {
                "fileData": {"fileUri": "https://e.org/a.webp?x=1", "mimeType": "image/webp"},
                "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"},
            },
        ),
        (
            Document(Source(url="https://e.org/a")),
            {"fileData": {"fileUri": "https://e.org/a", "mimeType": "application/pdf"}},
        ),
        (
            Document(Source("text/plain"), text="é"),
            {"inlineData": {"mimeType": "text/plain", "data": base64.b64encode("é".encode()).decode()}},
        ),
        (Audio(Source(data="aa"), "mp3"), {"inlineData": {"mimeType": "audio/mp3", "data": "aa"}}),
    ],
)
def test_media(block: Image | Document | Audio, part: dict[str, Any]) -> None:
    told, dropped = written(Turn(Role.USER, (block,)))
    assert told["contents"][0]["parts"] == [part]
    assert dropped == ()


def test_what_only_others_can_hold_is_reported() -> None:
    told, dropped = written(
        Turn(Role.USER, (Text("x"), Image(Source(file_id="file-1")), Opaque("anthropic", "search_result", Raw(b"{}")))),
        tools=(HostedTool("anthropic", "web_search", Raw(b"{}")), Tool("f", cache=CacheMark())),
        extra=(("metadata", Raw(b"{}")),),
        parallel_tool_calls=False,
        user="u",
        service_tier="scale",
        stop=tuple("abcdef"),
    )
    assert told["contents"][0]["parts"] == [{"text": "x"}]
    assert told["tools"] == [{"functionDeclarations": [{"name": "f"}]}]
    assert told["generationConfig"]["stopSequences"] == list("abcde")
    assert set(dropped) == {
        *("image_url", "search_result", "tools.web_search", "cache_control", "metadata", "parallel_tool_calls"),
        *("user", "service_tier", "stop"),
    }


def test_parameters() -> None:
    told, dropped = config(
        max_tokens=5,
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        seed=7,
        stop=("E",),
        choices=2,
        logprobs=True,
        top_logprobs=3,
        output=OutputFormat("n", SCHEMA, True),
    )
    assert told == {
        "maxOutputTokens": 5,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 4,
        "frequencyPenalty": 0.1,
        "presencePenalty": 0.2,
        "seed": 7,
        "stopSequences": ["E"],
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": 3,
        "responseMimeType": "application/json",
        "responseJsonSchema": json.loads(bytes(SCHEMA)),
    }
    assert dropped == ()


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (None, {"mode": "VALIDATED"}),
        (ToolChoice(ToolChoiceMode.AUTO), {"mode": "VALIDATED"}),
        (ToolChoice(ToolChoiceMode.NONE), {"mode": "NONE"}),
        (ToolChoice(ToolChoiceMode.ANY), {"mode": "ANY"}),
        (ToolChoice(ToolChoiceMode.NAMED, "f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tools(choice: ToolChoice | None, calling: dict[str, Any]) -> None:
    tools = (Tool("f", "does", SCHEMA, strict=True), Tool("g"))
    told, dropped = written(tools=tools, tool_choice=choice)
    assert told["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "does", "parametersJsonSchema": json.loads(bytes(SCHEMA))},
                {"name": "g"},
            ]
        }
    ]
    assert told["toolConfig"] == {"functionCallingConfig": calling}
    assert dropped == ()


OFF, HIGH = Reasoning(False), Reasoning(effort="high")


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "lost"),
    [
        ("gemini-2.5-flash", HIGH, {"includeThoughts": True, "thinkingBudget": 24576}, False),
        ("gemini-2.5-flash", OFF, {"thinkingBudget": 0}, False),
        ("gemini-2.5-pro", OFF, {"thinkingBudget": 128}, True),
        (
            "gemini-2.5-pro",
            Reasoning(True, None, 10, None, "omitted"),
            {"includeThoughts": False, "thinkingBudget": 128},
            False,
        ),
        ("gemini-2.5-flash", Reasoning(True, True), {"includeThoughts": True, "thinkingBudget": -1}, False),
        ("gemini-3-pro-preview", HIGH, {"includeThoughts": True, "thinkingLevel": "HIGH"}, False),
        ("gemini-3-pro-preview", Reasoning(effort="minimal"), {"includeThoughts": True, "thinkingLevel": "LOW"}, False),
        ("gemini-3-flash", Reasoning(effort="none"), {"thinkingLevel": "MINIMAL"}, True),
        ("gemini-3.1-flash", Reasoning(True, None, 4000), {"includeThoughts": True, "thinkingBudget": 4000}, False),
        ("gemini-2.0-flash", HIGH, None, True),
        ("gemini-2.0-flash", OFF, None, False),
        ("gemini-3-flash", Reasoning(effort="odd"), {"includeThoughts": True}, True),
    ],
)
def test_thinking(model: str, reasoning: Reasoning, thinking: dict[str, Any] | None, lost: bool) -> None:
    told, dropped = config(model, reasoning=reasoning)
    assert told.get("thinkingConfig") == thinking
    assert dropped == (("reasoning_effort",) if lost else ())


def test_a_clamp_lowers_and_sets_the_limit() -> None:
    for given, limit in ((None, 9), (20, 9), (5, 5)):
        request = Request(dialect="openai_chat", model="m", turns=(HI,), max_tokens=given)
        out = DIALECT.write_request(request, Shape(model="gemini-2.5-pro", max_output=9))
        assert json.loads(out.body)["generationConfig"] == {"maxOutputTokens": limit}
