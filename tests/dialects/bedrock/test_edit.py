"""What a decision must know of a request, and the few changes to its bytes."""

import json
from typing import Any

import pytest

from waypost.conversation.faults import Refused
from waypost.dialects.bedrock import DIALECT
from waypost.dialects.dialect import Edits, Glance

MESSAGES = b'"messages":[{"role":"user","content":[{"text":"hi"}]}]'


def glanced(**members: Any) -> Glance:
    return DIALECT.glance(json.dumps({"messages": [], **members}).encode())


@pytest.mark.parametrize(
    ("block", "needs", "unbounded"),
    [
        ({"text": '"image"'}, set(), False),
        ({"image": {"format": "png", "source": {"bytes": ""}}}, {"images"}, True),
        ({"document": {"name": "d", "source": {"text": "t"}}}, {"documents"}, False),
        ({"document": {"name": "d", "source": {"content": [{"text": "t"}]}}}, {"documents"}, False),
        ({"document": {"name": "d", "source": {"bytes": ""}}}, {"documents"}, True),
        ({"audio": {"format": "mp3", "source": {"bytes": ""}}}, {"audio"}, True),
        ({"video": {"format": "mp4", "source": {"bytes": ""}}}, set(), True),
        ({"guardContent": {"image": {"format": "png", "source": {}}}}, {"images"}, True),
        ({"toolResult": {"toolUseId": "t", "content": [{"image": {"format": "png"}}]}}, {"images"}, True),
        ({"image": 1, "document": 2}, set(), True),
    ],
)
def test_media(block: Any, needs: set[str], unbounded: bool) -> None:
    seen = glanced(messages=[{"role": "user", "content": [block]}])
    assert (set(seen.needs), seen.unbounded_input) == (needs, unbounded)


@pytest.mark.parametrize(
    ("members", "needs", "unbounded", "unpriced"),
    [
        ({"toolConfig": {"tools": [{"toolSpec": {}}, {"cachePoint": {}}]}}, {"tools"}, False, None),
        ({"toolConfig": {"tools": [{"systemTool": {"name": "n"}}]}}, {"tools"}, True, None),
        ({"outputConfig": {"textFormat": {}}}, {"structured"}, False, None),
        ({"outputConfig": {"effort": "low"}}, {"reasoning"}, False, None),
        ({"additionalModelRequestFields": {"thinking": {"type": "enabled"}}}, {"reasoning"}, False, None),
        ({"additionalModelRequestFields": {"thinking": {"type": "disabled"}}}, set(), False, None),
        ({"additionalModelRequestFields": {"tools": []}}, set(), True, None),
        ({"promptVariables": {}}, set(), True, None),
        ({"serviceTier": {"type": "priority"}}, set(), False, "serviceTier: priority"),
        ({"serviceTier": {"type": "default"}}, set(), False, None),
        ({"performanceConfig": {"latency": "optimized"}}, set(), False, "performanceConfig: optimized"),
    ],
)
def test_features(members: Any, needs: set[str], unbounded: bool, unpriced: str | None) -> None:
    seen = glanced(**members)
    assert (set(seen.needs), seen.unbounded_input, seen.unpriced) == (needs, unbounded, unpriced)


def test_a_stored_prompt_may_hold_anything() -> None:
    assert DIALECT.glance(b"{}").unbounded_input


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":[],"messages":[]}',
        b'{"messages":[],"inferenceConfig":{"maxTokens":1},"inferenceConfig":{"maxTokens":2}}',
        b'{"messages":[],"inferenceConfig":{"maxTokens":1},"inference\\u0043onfig":{"maxTokens":2}}',
        b'{"messages":[],"inferenceConfig":{"maxTokens":1,"maxTokens":2}}',
        b'{"messages":[],"inferenceConfig":{"maxTokens":1,"max\\u0054okens":2}}',
        b'{"messages":[],"inferenceConfig":{"maxTokens":-1}}',
        b'{"messages":[],"inferenceConfig":{"maxTokens":90071992547409930}}',
        b'{"messages":[],"waypost":{"x":1}}',
        b"[]",
        b"",
    ],
)
def test_what_can_not_be_acted_on_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        DIALECT.glance(body)
    assert caught.value.error.status == 400


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"{%s}", b'{"inferenceConfig":{"maxTokens":7},%s}'),
        (b'{ "inferenceConfig" : { } , %s}', b'{ "inferenceConfig" : {"maxTokens":7 } , %s}'),
        (b'{"inferenceConfig":null,%s}', b'{"inferenceConfig":{"maxTokens":7},%s}'),
        (b'{"inferenceConfig":{"topP":0.10},%s}', b'{"inferenceConfig":{"maxTokens":7,"topP":0.10},%s}'),
        (
            b'{%s,"inferenceConfig":{"maxTokens" : 900, "topP":1}}',
            b'{%s,"inferenceConfig":{"maxTokens" : 7, "topP":1}}',
        ),
        (b'{"inferenceConfig":{"maxTokens":5},%s}', b'{"inferenceConfig":{"maxTokens":5},%s}'),
        (b'{"inference\\u0043onfig":{"max\\u0054okens":9},%s}', b'{"inference\\u0043onfig":{"max\\u0054okens":7},%s}'),
    ],
)
def test_the_limit_is_set_in_its_place(before: bytes, after: bytes) -> None:
    body = before % MESSAGES
    seen = DIALECT.glance(body)
    edited = DIALECT.edit(body, seen, Edits(model="other", max_output=7))
    assert edited == after % MESSAGES
    assert DIALECT.glance(edited).max_output == min(7, seen.max_output or 7)


def test_what_is_waypost_s_own_leaves() -> None:
    body = b'{"waypost":{"task":"qa"},%s,"requestMetadata":{"task":"t","k":"v","combination_id":"c"}}' % MESSAGES
    seen = DIALECT.glance(body)
    assert seen.options is not None
    assert (seen.options.task, seen.task, seen.combination_id) == ("qa", "t", "c")
    edited = DIALECT.edit(body, seen, Edits(model="", remove_options=True))
    assert edited == b'{%s,"requestMetadata":{"k":"v"}}' % MESSAGES
    alone = b'{%s,"requestMetadata":{"task":"t"}}' % MESSAGES
    assert DIALECT.edit(alone, DIALECT.glance(alone), Edits(model="")) == b"{%s}" % MESSAGES
    request = DIALECT.read_request(body)
    assert [(name, bytes(raw)) for name, raw in request.extra] == [("requestMetadata", b'{"k":"v"}')]


def test_a_name_changes_nothing() -> None:
    body = b"{%s}" % MESSAGES
    assert DIALECT.rename(body, b'"a"', b'"b"') is body
    assert DIALECT.edit(body, DIALECT.glance(body), Edits(model="other", want_usage=True)) is body
