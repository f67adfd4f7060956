"""What is Bedrock's alone in its recorded exchanges; the laws that all protocols share are held in tests/corpus."""

import json
from typing import Any

import pytest

from corpus.records import check_each, records_of
from corpus.test_requests import requests
from waypost.dialects.bedrock import DIALECT
from waypost.dialects.dialect import Shape

RECORDS = [record for record in requests("bedrock-converse") if record.request["messages"]]
UNBOUNDED = ('"bytes":', '"s3Location":', '"systemTool":', '"promptVariables":')


def test_input_that_the_bytes_do_not_bound_is_seen() -> None:
    assert len(RECORDS) >= len(records_of("bedrock-converse")) - 2
    for record in RECORDS:
        told = record.path + json.dumps(record.request)
        assert DIALECT.glance(record.sent).unbounded_input is any(word in told for word in UNBOUNDED), record


def test_what_is_sent_is_what_was_asked() -> None:
    """Member by member, as the wire has it, but for what means the same."""

    def check(record: Any) -> None:
        sent = DIALECT.write_request(DIALECT.read_request(record.sent), Shape(model=record.model)).body
        assert normal(json.loads(sent)) == normal(record.request)

    check_each(RECORDS, check)


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def normal(value: Any, name: str = "") -> Any:
    """Without what says no more than its absence does, and in the one form of what can be said in several."""
    if isinstance(value, list):
        return [normal(inner, name) for inner in value]
    if not isinstance(value, dict):
        return value
    if name == "additionalModelRequestFields" and "reasoning_config" in value:
        value = {"thinking" if key == "reasoning_config" else key: inner for key, inner in value.items()}
    if name == "content" and list(value) == ["json"]:
        return {"text": value["json"]}
    if name == "content" and list(value) == ["text"]:
        return {"text": parsed(value["text"])}
    if name == "source" and "content" in value:
        return {"text": "\n\n".join(piece["text"] for piece in value["content"])}
    if name in ("input", "inputSchema"):
        return value
    found = {key: normal(inner, key) for key, inner in value.items()}
    return {key: inner for key, inner in found.items() if inner not in ({}, []) or key in ("auto", "any", "content")}


@pytest.mark.parametrize("told", [{"content": [{"json": {"a": 1}}]}, {"content": [{"text": '{"a":1}'}]}], ids=str)
def test_what_means_the_same_is_the_same(told: Any) -> None:
    assert normal(told) == {"content": [{"text": {"a": 1}}]}
