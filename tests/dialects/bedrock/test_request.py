"""Requests: what is read of them, and how those of other protocols are made to fit."""

import json
from typing import Any

import pytest

from dialects.bedrock.service import check_request
from waypost.conversation.blocks import (
    Audio,
    Block,
    CacheMark,
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
from waypost.conversation.request import (
    OutputFormat,
    Reasoning,
    Request,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    Turn,
)
from waypost.dialects.bedrock import DIALECT
from waypost.dialects.dialect import Shape

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-8b-instruct-v1:0"
GPT = "openai.gpt-oss-120b-1:0"
PNG = "iVBORw0KGgo="


def body_of(**members: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": [{"text": "hi"}]}], **members}).encode()


def read_blocks(*blocks: Any, role: str = "user") -> tuple[Block, ...]:
    return DIALECT.read_request(body_of(messages=[{"role": role, "content": list(blocks)}])).turns[0].blocks


@pytest.mark.parametrize(
    ("wire", "block"),
    [
        ({"text": "a"}, Text("a")),
        ({"image": {"format": "png", "source": {"bytes": PNG}}}, Image(Source("image/png", data=PNG))),
        (
            {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://b/k"}}}},
            Image(Source("image/jpeg", file_id="s3://b/k")),
        ),
        (
            {"document": {"format": "md", "name": "d", "source": {"text": "t"}, "citations": {"enabled": True}}},
            Document(Source("text/markdown"), "d", None, "t", True),
        ),
        (
            {"document": {"name": "d", "source": {"content": [{"text": "a"}, {"text": "b"}]}, "context": "c"}},
            Document(Source("text/plain"), "d", "c", "a\n\nb"),
        ),
        ({"audio": {"format": "mp3", "source": {"bytes": "AA=="}}}, Audio(Source("audio/mpeg", data="AA=="), "mp3")),
        (
            {"toolResult": {"toolUseId": "t", "content": [{"json": {"a": 9007199254740993}}], "status": "error"}},
            ToolResult("t", (Text('{"a": 9007199254740993}'),), True),
        ),
        ({"citationsContent": {"content": [{"text": "a"}, {"text": "b"}]}}, Text("ab")),
    ],
)
def test_blocks_are_read(wire: Any, block: Block) -> None:
    assert read_blocks(wire) == (block,)


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        ({"video": {"format": "mp4", "source": {"bytes": "AA=="}}}, "video"),
        ({"guardContent": {"text": {"text": "g"}}}, "guardContent"),
        ({"searchResult": {"source": "s", "title": "t", "content": []}}, "searchResult"),
        ({"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k", "bucketOwner": "1"}}}}, "image"),
        ({"cachePoint": {"type": "default"}}, "cachePoint"),
        ({"toolResult": {"toolUseId": "t", "content": [], "type": "x"}}, "toolResult"),
    ],
)
def test_what_only_bedrock_knows_is_kept_whole(wire: Any, kind: str) -> None:
    (block,) = read_blocks(wire)
    assert isinstance(block, Opaque)
    assert (block.dialect, block.kind, json.loads(bytes(block.raw))) == ("bedrock", kind, wire)


def test_an_assistants_blocks_are_read() -> None:
    blocks = read_blocks(
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "AA=="}},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1.0}}},
        {"toolUse": {"toolUseId": "u", "name": "g", "input": {}, "type": "server_tool_use"}},
        {"toolResult": {"toolUseId": "u", "content": []}},
        role="assistant",
    )
    assert blocks[:3] == (
        Thinking("hm", "s", "bedrock"),
        RedactedThinking("AA==", "bedrock"),
        ToolCall("t", "f", '{"a": 1.0}'),
    )
    assert [block.kind for block in blocks[3:] if isinstance(block, Opaque)] == ["server_tool_use", "toolResult"]


def test_a_cache_point_marks_the_block_before_it() -> None:
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert read_blocks({"text": "a"}, point, {"text": "b"}) == (Text("a", CacheMark("1h")), Text("b"))
    spec = {"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}
    request = DIALECT.read_request(body_of(toolConfig={"tools": [spec, point]}))
    assert isinstance(request.tools[0], Tool)
    assert request.tools[0].cache == CacheMark("1h")
    written = json.loads(DIALECT.write_request(request, Shape(model=CLAUDE)).body)
    assert written["toolConfig"]["tools"][1] == point


def test_foreign_signatures_come_back_as_they_were_carried() -> None:
    signed = {"reasoningContent": {"reasoningText": {"text": "", "signature": "waypost.gemini.abc"}}}
    hidden = {"reasoningContent": {"redactedContent": "d2F5cG9zdC5vcGVuYWlfcmVzcG9uc2VzLmVuYw=="}}
    assert read_blocks(signed, hidden, role="assistant") == (
        Thinking("", "abc", "gemini"),
        RedactedThinking("enc", "openai_responses"),
    )


FIELDS = [
    ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Reasoning(True, None, 2048)),
    ({"reasoning_config": {"type": "enabled", "budget_tokens": 2048}}, Reasoning(True, None, 2048)),
    ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, Reasoning(True, True, effort="low")),
    ({"thinking": {"type": "disabled"}}, Reasoning(False)),
    ({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}, Reasoning(True, effort="low")),
    ({"reasoning_effort": "high"}, Reasoning(effort="high")),
]


@pytest.mark.parametrize(("fields", "reasoning"), FIELDS)
def test_a_models_own_fields_are_understood(fields: Any, reasoning: Reasoning) -> None:
    request = DIALECT.read_request(body_of(additionalModelRequestFields={**fields, "top_k": 5, "own": 1}))
    assert (request.reasoning, request.top_k) == (reasoning, 5)
    assert [(name, json.loads(bytes(raw))) for name, raw in request.extra] == [
        ("additionalModelRequestFields", {"own": 1})
    ]
    assert "reasoning" in DIALECT.glance(body_of(additionalModelRequestFields=fields)).needs or not reasoning.enabled


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": []}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"text": 1}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0]"),
        ({"inferenceConfig": {"maxTokens": 0}}, "inferenceConfig.maxTokens"),
        ({"inferenceConfig": {"temperature": "x"}}, "inferenceConfig.temperature"),
        ({"toolConfig": {"tools": [{"toolSpec": {}}]}}, "toolConfig.tools[0].toolSpec"),
        ({"toolConfig": {"toolChoice": {}}}, "toolConfig.toolChoice"),
        (
            {"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "no"}}}}},
            "outputConfig.textFormat.structure.jsonSchema.schema",
        ),
    ],
)
def test_what_is_wrong_is_named(members: Any, named: str) -> None:
    with pytest.raises(Refused) as caught:
        DIALECT.read_request(body_of(**members))
    assert caught.value.error.status == 400
    assert str(caught.value).startswith(named)


def asked(*turns: Turn, **parameters: Any) -> Request:
    return Request("openai_chat", "m", turns or (Turn(Role.USER, (Text("hi"),)),), **parameters)


def written(request: Request, model: str = CLAUDE) -> tuple[dict[str, Any], tuple[str, ...]]:
    out = DIALECT.write_request(request, Shape(model=model))
    body = json.loads(out.body)
    check_request(body)
    return body, out.dropped


def test_the_roles_take_turns_and_results_come_first() -> None:
    body, dropped = written(
        asked(
            Turn(Role.SYSTEM, (Text("be brief"),)),
            Turn(Role.USER, (Text("a"),)),
            Turn(Role.USER, (Text("  "), Text("b"))),
            Turn(Role.ASSISTANT, (ToolCall("call 1", "f", "{}"),)),
            Turn(Role.USER, (Text("c"), ToolResult("call 1", (Text("r"),), True))),
            Turn(Role.DEVELOPER, (Text("d"),)),
        )
    )
    assert body["system"] == [{"text": "be brief"}]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][0]["content"] == [{"text": "a"}, {"text": "b"}]
    result, *rest = body["messages"][2]["content"]
    call = body["messages"][1]["content"][0]["toolUse"]
    assert result["toolResult"] == {
        "toolUseId": call["toolUseId"],
        "content": [{"text": "r"}],
        "status": "error",
    }
    assert rest == [{"text": "c"}, {"text": "d"}]
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["f"]
    assert dropped == ()


def test_documents_get_names_that_are_legal_and_their_own_and_a_word_beside_them() -> None:
    paper = Document(Source("application/pdf", data="JVBERi0="), "a_b.  c.pdf")
    nameless = Document(Source("text/plain"), text="t")
    body, dropped = written(asked(Turn(Role.USER, (paper, paper, nameless))))
    *documents, word = body["messages"][0]["content"]
    assert [block["document"]["name"] for block in documents] == ["a-b- c-pdf", "a-b- c-pdf 2", "document"]
    assert word == {"text": "."}
    assert dropped == ()


def test_media_that_can_not_be_fetched_or_said_is_reported() -> None:
    body, dropped = written(
        asked(
            Turn(
                Role.USER,
                (
                    Text("look"),
                    Image(Source(url="https://example.com/x.png")),
                    Image(Source(url="data:image/png;base64," + PNG)),
                    Image(Source(url="s3://bucket/k.png", media_type="image/png")),
                    Audio(Source(url="https://example.com/x.mp3")),
                    Document(Source(file_id="file-1")),
                ),
            )
        )
    )
    assert body["messages"][0]["content"][1:] == [
        {"image": {"format": "png", "source": {"bytes": PNG}}},
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/k.png"}}}},
    ]
    assert dropped == ("image_url", "input_audio", "file")


def test_only_bedrocks_own_reasoning_goes_back_to_it() -> None:
    body, dropped = written(
        asked(
            Turn(Role.USER, (Text("a"),)),
            Turn(
                Role.ASSISTANT,
                (
                    Thinking("own", "s", "bedrock"),
                    RedactedThinking("AA==", "bedrock"),
                    Thinking("other", "s", "anthropic"),
                    Thinking("unsigned"),
                    RedactedThinking("x", "anthropic"),
                    Text("b"),
                ),
            ),
            Turn(Role.USER, (Text("c"),)),
        )
    )
    assert body["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "own", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "AA=="}},
        {"text": "b"},
    ]
    assert dropped == ("reasoning_content",)


F = Tool("f", "does f")


@pytest.mark.parametrize(
    ("parameters", "config", "fields", "dropped"),
    [
        ({"tool_choice": ToolChoice(ToolChoiceMode.AUTO)}, {"auto": {}}, None, ()),
        ({"tool_choice": ToolChoice(ToolChoiceMode.ANY)}, {"any": {}}, None, ()),
        ({"tool_choice": ToolChoice(ToolChoiceMode.NAMED, "f")}, {"tool": {"name": "f"}}, None, ()),
        (
            {"parallel_tool_calls": False},
            None,
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            (),
        ),
        (
            {"parallel_tool_calls": False, "tool_choice": ToolChoice(ToolChoiceMode.ANY)},
            {"any": {}},
            None,
            ("parallel_tool_calls",),
        ),
    ],
)
def test_tools_are_chosen(parameters: Any, config: Any, fields: Any, dropped: tuple[str, ...]) -> None:
    body, lost = written(asked(tools=(F,), **parameters))
    assert body["toolConfig"].get("toolChoice") == config
    assert body.get("additionalModelRequestFields") == fields
    assert lost == dropped


def novas(effort: str) -> dict[str, Any]:
    return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}


def test_forbidden_tools_are_not_declared_unless_the_history_has_calls() -> None:
    forbidden = ToolChoice(ToolChoiceMode.NONE)
    body, dropped = written(asked(tools=(F,), tool_choice=forbidden))
    assert ("toolConfig" in body, dropped) == (False, ("tools",))
    history = (
        Turn(Role.USER, (Text("a"),)),
        Turn(Role.ASSISTANT, (ToolCall("t", "f", "not json"),)),
        Turn(Role.USER, (ToolResult("t", (Text("r"),)),)),
    )
    body, dropped = written(asked(*history, tools=(F,), tool_choice=forbidden))
    assert ("toolConfig" in body, dropped) == (True, ("tool_calls.function.arguments", "tool_choice"))


@pytest.mark.parametrize(
    ("model", "reasoning", "fields", "effort", "dropped"),
    [
        (CLAUDE, Reasoning(effort="low"), {"thinking": {"type": "enabled", "budget_tokens": 2000}}, None, ()),
        (CLAUDE, Reasoning(True, None, 3000), {"thinking": {"type": "enabled", "budget_tokens": 3000}}, None, ()),
        (CLAUDE, Reasoning(False), None, None, ()),
        ("anthropic.claude-opus-4-7", Reasoning(effort="max"), {"thinking": {"type": "adaptive"}}, "max", ()),
        ("anthropic.claude-opus-4-7", Reasoning(effort="none"), {"thinking": {"type": "disabled"}}, None, ()),
        (
            NOVA,
            Reasoning(effort="xhigh"),
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
            None,
            (),
        ),
        (
            NOVA,
            Reasoning(True, None, 1024),
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
            None,
            (),
        ),
        (GPT, Reasoning(effort="minimal"), {"reasoning_effort": "low"}, None, ()),
        (LLAMA, Reasoning(effort="low"), None, None, ("reasoning_effort",)),
        ("anthropic.claude-3-haiku-20240307-v1:0", Reasoning(effort="low"), None, None, ("reasoning_effort",)),
    ],
)
def test_effort_is_said_in_the_models_own_way(
    model: str, reasoning: Reasoning, fields: Any, effort: str | None, dropped: tuple[str, ...]
) -> None:
    body, lost = written(asked(reasoning=reasoning, max_tokens=10_000), model)
    assert body.get("additionalModelRequestFields") == fields
    assert body.get("outputConfig") == (None if effort is None else {"effort": effort})
    assert lost == dropped


@pytest.mark.parametrize(
    ("model", "parameters", "dropped"),
    [
        (CLAUDE, {"temperature": 0.5, "top_p": 0.5}, ("top_p",)),
        ("anthropic.claude-3-haiku-20240307-v1:0", {"temperature": 0.5, "top_p": 0.5}, ()),
        ("anthropic.claude-opus-4-7", {"temperature": 0.5, "top_k": 4}, ("temperature", "top_k")),
        (LLAMA, {"temperature": 1.5, "top_k": 4}, ("temperature", "top_k")),
        (NOVA, {"top_k": 4}, ()),
        (LLAMA, {"seed": 1, "choices": 2, "user": "u", "service_tier": "auto"}, ("service_tier", "seed", "n", "user")),
        (LLAMA, {"stop": ("x", "\n")}, ("stop",)),
        (LLAMA, {"output": OutputFormat()}, ("response_format",)),
    ],
)
def test_what_a_model_does_not_take_is_reported(model: str, parameters: Any, dropped: tuple[str, ...]) -> None:
    _, lost = written(asked(**parameters), model)
    assert lost == dropped


def test_cache_marks_go_where_the_model_takes_them() -> None:
    marked = asked(
        Turn(Role.USER, (ToolResult("t", (Text("r", CacheMark("1h")),)), Text("a", CacheMark()))),
        tools=(Tool("f", cache=CacheMark()),),
    )
    body, dropped = written(marked)
    assert [next(iter(block)) for block in body["messages"][0]["content"]] == [
        *("toolResult", "cachePoint", "text", "cachePoint")
    ]
    assert body["messages"][0]["content"][1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert dropped == ()
    body, dropped = written(marked, NOVA)
    assert (len(body["toolConfig"]["tools"]), dropped) == (1, ("cache_control.ttl", "cache_control"))
    body, dropped = written(marked, LLAMA)
    assert (len(body["messages"][0]["content"]), dropped) == (2, ("cache_control",))
