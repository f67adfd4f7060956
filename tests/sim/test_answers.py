"""What is answered: reproducible, within the schema, the limits and the counts; never a crash, whatever is asked."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.sim import Received, Simulator
from waypost.sim.perform import Ending, Step
from waypost.sim.schema import build_instance
from waypost.sim.tokens import count_tokens, split_tokens

from .conftest import Heard


def answer(simulator: Simulator, body: Any, path: str = "/v1/chat/completions") -> list[Step]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return simulator.answer(Received("POST", path, (("anthropic-version", "2023-06-01"),), content))


def heard(steps: list[Step]) -> Heard:
    return Heard(b"".join(step for step in steps if isinstance(step, bytes)), "end")


def chat(text: str = "Hello", **members: Any) -> dict[str, Any]:
    return {"model": "sim-small", "messages": [{"role": "user", "content": text}], **members}


def said(body: dict[str, Any], seed: int = 0) -> str:
    text = heard(answer(Simulator(seed=seed), body)).json["choices"][0]["message"]["content"]
    assert isinstance(text, str)
    return text


def test_the_seed_and_the_question_decide() -> None:
    assert said(chat()) == said(chat())
    assert said(chat()) != said(chat(), seed=1)
    assert said(chat()) != said(chat("Hello you"))
    assert said(chat()) != said(chat(model="sim-large"))
    assert said(chat()) == said(chat(temperature=1, user="u"))


def test_the_whole_answer_is_reproducible_but_for_its_request_id() -> None:
    simulator = Simulator(seed=3)
    first, second = heard(answer(simulator, chat())), heard(answer(simulator, chat()))
    assert first.body == second.body
    assert first.headers.pop("x-request-id") != second.headers["x-request-id"]


def test_both_protocols_say_the_same() -> None:
    message = heard(answer(Simulator(), chat(max_tokens=999), "/v1/messages")).json
    assert message["content"][0]["text"] == said(chat())


def test_the_echo_says_what_was_said_last() -> None:
    turns = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "second"},
        {"role": "user", "content": "  third ☕\n"},
    ]
    assert said({"model": "sim-echo", "messages": turns}) == "  third ☕\n"


def test_length_can_be_asked_for() -> None:
    assert len(said(chat("Go [[sim:words=500]]")).split()) > 500
    stream = answer(Simulator(), chat("Go [[sim:words=5000]]", stream=True))
    # One write would put it all into memory before a slow reader could hold it back.
    assert len(stream) > 10
    assert all(isinstance(step, bytes) and len(step) < 70_000 for step in stream)


@given(st.text())
def test_tokens_join_to_the_text_and_are_fewer_than_its_bytes(text: str) -> None:
    tokens = split_tokens(text)
    assert "".join(tokens) == text
    assert all(tokens)
    assert count_tokens(text) == len(tokens) <= len(text.encode("utf-8", "surrogatepass"))


@given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=6), st.integers(1, 40))
def test_usage_never_exceeds_bytes_nor_limits(texts: list[str], limit: int) -> None:
    messages = [{"role": "user", "content": text} for text in texts]
    body = json.dumps({"model": "sim-reasoner", "messages": messages, "max_tokens": limit}, ensure_ascii=False)
    try:
        content = body.encode()
    except UnicodeEncodeError:
        return
    reply = heard(answer(Simulator(), content)).json
    assert reply["usage"]["prompt_tokens"] <= len(content)
    assert 1 <= reply["usage"]["completion_tokens"] <= limit
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] <= reply["usage"]["completion_tokens"]


SCHEMAS: list[tuple[Any, Any]] = [
    ({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}, {"a": "word"}),
    ({"properties": {"a": {"const": 5}}, "required": ["a"]}, {"a": 5}),
    ({"enum": ["x", "y"]}, "x"),
    ({"type": ["null", "integer"]}, 1),
    ({"type": "integer", "minimum": 5, "multipleOf": 4}, 8),
    ({"type": "integer", "exclusiveMinimum": 5}, 6),
    ({"type": "integer", "maximum": -3}, -3),
    ({"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, 1.5),
    ({"type": "string", "minLength": 6, "maxLength": 8}, "word wor"),
    ({"type": "string", "format": "date"}, "2025-01-01"),
    ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [True, True]),
    ({"type": "array", "items": {"type": "boolean"}}, []),
    ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, True),
    ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "integer"}}}, 1),
    (
        {
            "allOf": [
                {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"$ref": "#/definitions/named"},
            ],
            "definitions": {"named": {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}},
        },
        {"a": 1, "b": True},
    ),
    ({"type": "null"}, None),
    ({"$ref": "#/nowhere"}, None),
    (True, None),
]


@pytest.mark.parametrize(("schema", "instance"), SCHEMAS)
def test_schemas(schema: Any, instance: Any) -> None:
    assert build_instance(schema, lambda: "word") == instance


def test_a_schema_of_itself_ends() -> None:
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert json.dumps(build_instance(schema, lambda: "word")).count("next") < 50


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9999) | st.text(max_size=8) | st.sampled_from(["text", "user", "auto"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "text", "a"]), inner),
    max_leaves=8,
)
MEMBERS_TEXT = """
    model messages max_tokens stream stream_options tools tool_choice stop stop_sequences
    n response_format system thinking reasoning_effort output_config temperature parallel_tool_calls
"""
MEMBERS = MEMBERS_TEXT.split()


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(MEMBERS), JSON),
    st.sampled_from(["/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"]),
    st.booleans(),
)
def test_any_shape_of_body_is_answered(members: dict[str, Any], path: str, sound: bool) -> None:
    body = {**chat("Hello", max_tokens=9), **members} if sound else members
    reply = heard(answer(Simulator(), body, path))
    assert reply.status in (200, 400)


@settings(max_examples=200, deadline=None)
@given(JSON, st.sampled_from(["content", "tool_calls", "role", "tool_call_id"]))
def test_any_shape_of_message_is_answered(value: Any, member: str) -> None:
    for path in ("/v1/chat/completions", "/v1/messages"):
        message = {"role": "user", "content": "Hello", member: value}
        body = {"model": "sim-small", "max_tokens": 9, "messages": [message]}
        assert heard(answer(Simulator(), body, path)).status in (200, 400)


@settings(max_examples=100, deadline=None)
@given(JSON, st.sampled_from(["minimum", "enum", "type", "required", "properties", "allOf", "minItems", "format"]))
def test_any_schema_is_answered(value: Any, member: str) -> None:
    schema = {"type": "object", "properties": {"a": {member: value}}, "required": ["a"], member: value}
    structured = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert heard(answer(Simulator(), chat(response_format=structured))).status in (200, 400)


def test_faults_end_as_they_say() -> None:
    endings = {"reset_before": Ending.RESET, "close_before": Ending.CLOSE, "stall_mid": Ending.SILENCE}
    for kind, ending in endings.items():
        assert answer(Simulator(), chat(model=f"m~{kind}"))[-1] is ending


def test_nothing_is_waited_for_without_a_reason() -> None:
    steps = answer(Simulator(sleep=asyncio.sleep), chat())
    assert len(steps) == 1
