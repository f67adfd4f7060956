"""Every recorded request: read or refused, glanced at, written in its own protocol and read again.

What becomes of it in place and in the other protocols: `test_crossing`.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from corpus.meaning import values
from corpus.records import DIALECTS, INVOKE, Record, check_each, records_of
from waypost.conversation.blocks import Audio, Block, Document, Image, ToolResult
from waypost.conversation.faults import Refused
from waypost.conversation.request import Request
from waypost.dialects.dialect import Shape

# Why a request may be refused that its provider did not refuse.
REFUSALS = {
    ".*model.*is missing|.*required field `model`": "Azure's path names it, or the provider holds it with the prompt",
    "previous_response_id: |conversation: ": "the provider holds what was said before",
    "background: ": "was to be answered later",
    "the body: Expected `object`, got `null`": "was not recorded",
    "the body.* not valid JSON": "was recorded in part",
}
# Where a glance and the whole reading differ, or the second reading and the first, and why that is right.
VIDEO = "a video is for a model that sees, but no part that another protocol knows"
TO_BE_SPOKEN = "asks for an answer that can be heard: nothing in the conversation is sound"
TEXTS = "the documents are texts, which need no model that reads files"
NAMED = "its document has no name, on which OpenAI insists"
NO_TOOLS = "how to choose among tools, of which there are none"
DIFFERENCES: dict[str, tuple[str, frozenset[str]]] = {
    "6f4b8d017a89527b19f3": (VIDEO, frozenset({"images"})),
    "6f7c3578748c710e2e87": (TO_BE_SPOKEN, frozenset({"audio"})),
    "9c7f0ed988fb8471a7a3": (TO_BE_SPOKEN, frozenset({"audio"})),
    "5fbb4e7a53efc6c7a399": (TEXTS, frozenset({"documents"})),
    "b085e3f1abda32dcde98": (TEXTS, frozenset({"documents"})),
    "09d800978e7697527814": (NAMED, frozenset({"turns"})),
    "5acb13680c79724b4919": (NO_TOOLS, frozenset({"tool_choice"})),
}

per_protocol = pytest.mark.parametrize("protocol", DIALECTS)


@cache
def read(record: Record) -> Request | None:
    try:
        return record.dialect.read_request(record.sent)
    except Refused:
        return None


def requests(protocol: str) -> list[Record]:
    return [record for record in records_of(protocol) if read(record) is not None]


@pytest.mark.parametrize("protocol", (*DIALECTS, INVOKE))
def test_whatever_was_sent_is_read_or_refused_for_a_reason(protocol: str) -> None:
    def check(record: Record) -> None:
        refused = []
        for look in (record.dialect.read_request, record.dialect.glance):
            try:
                look(record.sent)
            except Refused as caught:
                assert caught.error.status == 400
                refused.append(str(caught))
        if protocol != INVOKE:  # in which nobody asks
            reasons = [any(re.match(reason, told) for reason in REFUSALS) for told in refused]
            assert record.status == 400 or all(reasons), refused

    check_each(records_of(protocol), check)


def check_differences(record: Record, names: frozenset[str], got: dict[str, Any], want: dict[str, Any]) -> None:
    assert got.keys() == want.keys()
    differing = {name for name in want if got[name] != want[name]}
    shown = {name: (got[name], want[name]) for name in differing ^ (names & want.keys())}
    assert not shown, shown


def parts(request: Request) -> Iterator[Block]:
    for turn in request.turns:
        for block in turn.blocks:
            yield block
            if isinstance(block, ToolResult):
                yield from block.blocks


def check_glance(record: Record) -> None:
    request = read(record)
    assert request is not None
    glance = record.dialect.glance(record.sent)
    kinds = {type(part) for part in parts(request)}
    got = {name: name in glance.needs for name in ("tools", "images", "documents", "audio", "structured")}
    want = {
        "tools": bool(request.tools),
        "images": Image in kinds,
        "documents": Document in kinds,
        "audio": Audio in kinds,
        "structured": request.output is not None,
    }
    _, names = DIFFERENCES.get(record.id, ("", frozenset()))
    check_differences(record, names, got, want)
    assert (glance.model, glance.stream) == (request.model, request.stream)
    assert (glance.max_output, glance.choices) == (request.max_tokens, request.choices or 1)
    if "model" in record.request:
        assert (glance.model, glance.stream) == (record.request["model"], bool(record.request.get("stream")))


@per_protocol
def test_a_glance_sees_what_is_read(protocol: str) -> None:
    check_each(requests(protocol), check_glance)


def members(request: Request) -> dict[str, Any]:
    """But whether usage is told in the stream, for which a chat's provider is always asked."""
    found = {name: values(getattr(request, name)) for name in request.__struct_fields__ if name != "usage_in_stream"}
    return {**found, "extra": dict(found["extra"])}


def check_own(record: Record) -> None:
    request = read(record)
    assert request is not None
    shape = Shape(model=record.model)
    written = record.dialect.write_request(request, shape)
    assert written.dropped == ()
    again = record.dialect.read_request(written.body)
    _, names = DIFFERENCES.get(record.id, ("", frozenset()))
    check_differences(record, names, members(again), members(request))
    assert record.dialect.write_request(again, shape).body == written.body


@per_protocol
def test_written_in_its_own_protocol_it_says_the_same(protocol: str) -> None:
    check_each(requests(protocol), check_own)
