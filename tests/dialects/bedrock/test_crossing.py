"""What callers of other protocols said, written for Bedrock: turns as the service insists on them.

That they say the same, and that its own model accepts them, is held for all protocols in tests/corpus.
"""

import json
from typing import Any

import pytest

from corpus.records import DIALECTS, Record, check_each
from corpus.test_requests import requests
from waypost.conversation.blocks import Role, ToolCall, ToolResult
from waypost.dialects.bedrock import DIALECT
from waypost.dialects.dialect import Shape

MODELS = (
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "meta.llama3-1-8b-instruct-v1:0",
)
OTHERS = [protocol for protocol in DIALECTS if protocol != "bedrock-converse"]


def check_turns(messages: list[dict[str, Any]]) -> None:
    """The roles take turns, the user begins, nothing is empty or blank, and results come first."""
    assert [message["role"] for message in messages] == [("user", "assistant")[i % 2] for i in range(len(messages))]
    for message in messages:
        assert message["content"]
        assert all(block["text"].strip() for block in message["content"] if "text" in block)
        kinds = ["toolResult" in block for block in message["content"]]
        assert kinds == sorted(kinds, reverse=True) or any("cachePoint" in block for block in message["content"])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("protocol", OTHERS)
def test_turns_are_what_the_service_takes(protocol: str, model: str) -> None:
    def check(record: Record) -> None:
        written = DIALECT.write_request(record.dialect.read_request(record.sent), Shape(model=model))
        check_turns(json.loads(written.body)["messages"])

    check_each(requests(protocol), check)


def test_the_history_of_a_request_keeps_its_results_with_their_calls() -> None:
    """Over all recordings: every result answers a call of a turn before it."""
    seen = 0
    for protocol in OTHERS:
        for record in requests(protocol):
            request = record.dialect.read_request(record.sent)
            again = DIALECT.read_request(DIALECT.write_request(request, Shape(model=MODELS[0])).body)
            calls: set[str] = set()
            given = {block.id for turn in request.turns for block in turn.blocks if isinstance(block, ToolCall)}
            for turn in again.turns:
                for block in turn.blocks:
                    if isinstance(block, ToolCall):
                        calls.add(block.id)
                    elif isinstance(block, ToolResult) and given:
                        assert turn.role is Role.USER
                        seen += block.call_id in calls
    assert seen
