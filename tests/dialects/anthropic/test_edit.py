"""The relay's view of a request: a few fields seen, a few bytes changed."""

import json
from typing import Any

import pytest

from waypost.conversation.faults import ErrorKind, Refused
from waypost.conversation.options import CallOptions, Constraints
from waypost.dialects.anthropic import DIALECT
from waypost.dialects.dialect import Edits, Glance

MINIMAL: dict[str, Any] = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
FUNCTION = {"name": "f", "input_schema": {"type": "object", "properties": {"image": {"type": "string"}}}}
PIXEL = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
LINKED = {"type": "image", "source": {"type": "url", "url": "https://e/x.png"}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}}
WORDS = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}


def body(**members: object) -> bytes:
    return json.dumps({**MINIMAL, **members}).encode()


def content(*parts: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def glance(**members: object) -> Glance:
    return DIALECT.glance(body(**members))


def test_the_least_request() -> None:
    assert glance() == Glance(model="claude-x", max_output=9, asked_usage=True)


def test_no_limit_and_nulls_are_left_for_the_provider_to_judge() -> None:
    seen = DIALECT.glance(b'{"model":"m","stream":null,"tools":null,"metadata":null,"max_tokens":null}')
    assert seen == Glance(model="m", asked_usage=True)


def test_options_and_labels() -> None:
    seen = glance(
        stream=True,
        waypost={"task": "qa", "constraints": {"regions": ["eu"]}},
        metadata={"user_id": "u", "task": "code", "combination_id": "c"},
    )
    assert seen.stream
    assert seen.options == CallOptions(task="qa", constraints=Constraints(regions=("eu",)))
    assert (seen.task, seen.combination_id) == ("code", "c")


# (members, needs, unbounded)
NEEDS: list[tuple[dict[str, object], set[str], bool]] = [
    ({"tools": []}, set(), False),
    ({"tools": [FUNCTION]}, {"tools"}, False),
    ({"tools": [{**FUNCTION, "type": "custom"}]}, {"tools"}, False),
    ({"tools": [FUNCTION, {"type": "web_search_20250305", "name": "web_search"}]}, {"tools"}, True),
    ({"mcp_servers": []}, set(), False),
    ({"mcp_servers": [{"url": "https://e"}]}, set(), True),
    ({"container": "c"}, set(), True),
    ({"container": None, "thread": None}, set(), False),
    ({"thread": {"type": "continue"}}, set(), True),
    ({"thinking": {"type": "disabled"}}, set(), False),
    ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"reasoning"}, False),
    ({"thinking": {"type": "adaptive"}}, {"reasoning"}, False),
    ({"output_config": {"effort": "low"}}, set(), False),
    ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, {"structured"}, False),
    ({"output_format": {"type": "json_schema", "schema": {}}}, {"structured"}, False),
    (content({"type": "text", "text": '"type": "image"'}), set(), False),
    (content(PIXEL), {"images"}, True),
    (content(LINKED), {"images"}, True),
    (content(PDF), {"documents"}, True),
    (content(WORDS), {"documents"}, False),
    (content({"type": "document", "source": {"type": "file", "file_id": "f"}}), {"documents"}, True),
    (content({"type": "document", "source": {"type": "content", "content": "words"}}), {"documents"}, False),
    (
        content({"type": "document", "source": {"type": "content", "content": [PIXEL]}}),
        {"documents", "images"},
        True,
    ),
    (content({"type": "tool_result", "tool_use_id": "t", "content": "ok"}), set(), False),
    (content({"type": "tool_result", "tool_use_id": "t", "content": [PIXEL]}), {"images"}, True),
    (content({"type": "container_upload", "file_id": "f"}), set(), True),
    (content(PIXEL, PDF), {"images", "documents"}, True),
    ({"messages": [{"content": 5}]}, set(), True),
    ({"messages": "hi"}, set(), True),
]


@pytest.mark.parametrize(("members", "needs", "unbounded"), NEEDS, ids=lambda value: str(value)[:70])
def test_needs(members: dict[str, object], needs: set[str], unbounded: bool) -> None:
    seen = glance(**members)
    assert seen.needs == frozenset(needs)
    assert seen.unbounded_input is unbounded


def test_media_does_not_hide_behind_escapes() -> None:
    escaped = body(**content(LINKED)).replace(b'"image"', b'"im\\u0061ge"')
    assert DIALECT.glance(escaped).unbounded_input


REFUSED: list[tuple[bytes, str]] = [
    (b"", "the body"),
    (b"[]", "the body"),
    (b'{"model":"m","messages":[]', "the body is not valid JSON"),
    (b"{}", "model"),
    (body(model=""), "`model` is empty"),
    (body(model=None), "`model`"),
    (body(stream="yes"), "`stream`"),
    (body(max_tokens=-1), "`max_tokens`"),
    (body(max_tokens="9"), "`max_tokens`"),
    (body(metadata={"task": 5}), "`metadata.task`"),
    (body(waypost={"dry": True}), "`waypost`: Object contains unknown field `dry`"),
    (body(tools={"a": 1}), "`tools`"),
    (body()[:-1] + b',"model":"other"}', "`model` is given twice"),
    (body()[:-1] + b',"max_tokens":99999}', "`max_tokens` is given twice"),
    (
        body(mcp_servers=[{"type": "url", "url": "https://e"}])[:-1] + b',"mcp_servers":[]}',
        "`mcp_servers` is given twice",
    ),
    (body()[:-1] + b',"messages":[{"role":"user","content":"twice"}]}', "`messages` is given twice"),
    (body(system="x" * 5000)[:-1] + b',"mod\\u0065l":"other"}', "`model` is given twice"),
]


@pytest.mark.parametrize(("data", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_a_decision_hangs_on_must_be_sound(data: bytes, message: str) -> None:
    with pytest.raises(Refused) as caught:
        DIALECT.glance(data)
    assert caught.value.error.kind is ErrorKind.BAD_REQUEST
    assert message in caught.value.error.message


ODD = b'{ "model" : "claude-x",\r\n"max_tokens": 9, "new": 1.0e2, "messages": [{"role":"user","content":"model"}] }'
LESS = ODD.replace(b'"claude-x"', b'"b"').replace(b'"max_tokens": 9', b'"max_tokens": 4')

EDITS: list[tuple[bytes, Edits, bytes]] = [
    (ODD, Edits(model="claude-x"), ODD),
    (ODD, Edits(model="claude-x", want_usage=True, max_output=9, remove_options=True), ODD),
    (ODD, Edits(model="claude-x", max_output=50), ODD),
    (ODD, Edits(model='b"\\'), ODD.replace(b'"claude-x"', b'"b\\"\\\\"')),
    (ODD, Edits(model="b", max_output=4), LESS),
    (b'{"model":"a","messages":[]}', Edits(model="a", max_output=4), b'{"max_tokens":4,"model":"a","messages":[]}'),
    (
        b'{"model":"a","max_tokens":null,"messages":[]}',
        Edits(model="a", max_output=4),
        b'{"model":"a","max_tokens":4,"messages":[]}',
    ),
    (b'{"model":"a","waypost":{"task":"qa"},"x":1}', Edits(model="a", remove_options=True), b'{"model":"a","x":1}'),
    (b'{"model":"a","waypost":{"task":"qa"},"x":1}', Edits(model="a"), b'{"model":"a","waypost":{"task":"qa"},"x":1}'),
    (
        b'{"model":"a","metadata":{"task":"qa", "user_id": "u"},"x":1}',
        Edits(model="a"),
        b'{"model":"a","metadata":{"user_id":"u"},"x":1}',
    ),
    (b'{"model":"a","metadata":{"combination_id":"c"},"x":1}', Edits(model="a"), b'{"model":"a","x":1}'),
    (
        b'{"model":"a","metadata":{"user_id": "u"},"x":1}',
        Edits(model="a"),
        b'{"model":"a","metadata":{"user_id": "u"},"x":1}',
    ),
]


@pytest.mark.parametrize(("data", "edits", "expected"), EDITS, ids=lambda value: str(value)[:60])
def test_only_what_must_change_changes(data: bytes, edits: Edits, expected: bytes) -> None:
    assert DIALECT.edit(data, DIALECT.glance(data), edits) == expected


@pytest.mark.parametrize("asked", ["claude-x", "claude-haiku-4-5@20251001"])
def test_on_vertex_the_path_names_the_model_and_the_body_the_version(asked: str) -> None:
    sent = body(stream=True)
    edited = DIALECT.edit(sent, DIALECT.glance(sent), Edits(model=asked, quirks=frozenset({"vertex"})))
    expected = {**MINIMAL, "stream": True, "anthropic_version": "vertex-2023-10-16"}
    del expected["model"]
    assert json.loads(edited) == expected
