"""What a decision sees of a request, and surgery on its bytes."""

import json
from typing import Any

import pytest

from waypost.conversation.faults import Refused
from waypost.conversation.options import CallOptions
from waypost.dialects.cohere import DIALECT
from waypost.dialects.dialect import Edits

IMAGE = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}


def body(**members: Any) -> bytes:
    return json.dumps({"model": "command", "messages": [{"role": "user", "content": "hi"}], **members}).encode()


def test_a_plain_request() -> None:
    glance = DIALECT.glance(body(stream=True, max_tokens=7))
    assert (glance.model, glance.stream, glance.max_output, glance.choices) == ("command", True, 7, 1)
    assert glance.asked_usage
    assert (glance.needs, glance.unbounded_input, glance.options) == (frozenset(), False, None)


NEEDS: list[tuple[dict[str, Any], set[str], bool]] = [
    ({"tools": [{"type": "function"}]}, {"tools"}, False),
    ({"tools": []}, set(), False),
    ({"tools": [{"type": "hosted"}]}, {"tools"}, True),
    ({"thinking": {"type": "enabled"}}, {"reasoning"}, False),
    ({"thinking": {"type": "disabled"}}, set(), False),
    ({"response_format": {"type": "json_object"}}, {"structured"}, False),
    ({"response_format": {"type": "text"}}, set(), False),
    ({"messages": [{"role": "user", "content": [IMAGE]}]}, {"images"}, True),
    ({"messages": [{"role": "tool", "content": [{"type": "document"}]}]}, set(), False),
    ({"messages": [{"role": "user", "content": [{"type": "new"}]}]}, set(), True),
    ({"messages": {"type": "odd"}}, {"images"}, True),
]


@pytest.mark.parametrize(("members", "needs", "unbounded"), NEEDS, ids=str)
def test_needs(members: dict[str, Any], needs: set[str], unbounded: bool) -> None:
    glance = DIALECT.glance(body(**members))
    assert (set(glance.needs), glance.unbounded_input) == (needs, unbounded)


def test_options_and_labels() -> None:
    glance = DIALECT.glance(body(waypost={"task": "qa"}, metadata={"task": "code", "combination_id": "c", "x": 1}))
    assert glance.options == CallOptions(task="qa")
    assert (glance.task, glance.combination_id) == ("code", "c")


@pytest.mark.parametrize(
    "broken",
    [
        b"[]",
        body(model=""),
        body(max_tokens=-1),
        body(max_tokens="x"),
        body(stream="yes"),
        body(waypost={"nonsense": 1}),
        b'{"model":"a","model":"b"}',
        b'{"model":"a","max_tokens":1,"messages":[],"max_tokens":9}',
    ],
    ids=range(8),
)
def test_refused(broken: bytes) -> None:
    with pytest.raises(Refused):
        DIALECT.glance(broken)


def edited(given: bytes, **edits: Any) -> bytes:
    return DIALECT.edit(given, DIALECT.glance(given), Edits(**{"model": "command", **edits}))


def test_nothing_to_change_is_the_body_itself() -> None:
    given = body(max_tokens=5, stream=True)
    assert edited(given, want_usage=True, max_output=9) is given


def test_edits_change_what_they_name() -> None:
    given = body(max_tokens=50, waypost={"task": "qa"}, metadata={"task": "qa"}, seed=12345678901234567890)
    assert json.loads(edited(given, model="other", max_output=9, remove_options=True)) == {
        "model": "other",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "seed": 12345678901234567890,
    }
    assert json.loads(edited(body(), max_output=9))["max_tokens"] == 9
    kept = edited(body(metadata={"task": "qa", "mine": 1}))
    assert json.loads(kept)["metadata"] == {"mine": 1}
