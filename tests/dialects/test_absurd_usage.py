"""A provider that counts below nothing or beyond everything: its count is unknown, and its answer is as good as any."""

import json
from typing import Any

import pytest

from waypost.conversation.reply import MOST_TOKENS, Usage
from waypost.dialects.registry import DIALECTS

OPENAI: dict[str, Any] = {
    "id": "c",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}
ANTHROPIC: dict[str, Any] = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
}
ABSURD = [-1, -(2**63), MOST_TOKENS + 1, 2**64, 10**400]


@pytest.mark.parametrize("count", ABSURD)
def test_anthropic(count: int) -> None:
    dialect = DIALECTS["anthropic"]
    details = {
        "output_tokens_details": {"thinking_tokens": count},
        "cache_creation": {"ephemeral_1h_input_tokens": count},
    }
    told = {"input_tokens": count, "cache_read_input_tokens": 3, "output_tokens": 4, **details}
    body = json.dumps({**ANTHROPIC, "usage": told}).encode()
    expected = Usage(cache_read=3, output=4)
    assert dialect.glance_reply(body) == expected
    assert dialect.read_reply(body).usage == expected


@pytest.mark.parametrize("count", ABSURD)
def test_openai(count: int) -> None:
    dialect = DIALECTS["openai_chat"]
    body = json.dumps({**OPENAI, "usage": {"prompt_tokens": count, "completion_tokens": 4}}).encode()
    assert dialect.glance_reply(body) is None
    assert dialect.read_reply(body).usage is None


def test_the_most_that_is_believed() -> None:
    body = json.dumps({**OPENAI, "usage": {"prompt_tokens": MOST_TOKENS, "completion_tokens": 0}}).encode()
    assert DIALECTS["openai_chat"].glance_reply(body) == Usage(input=MOST_TOKENS, output=0)
