"""Bytes that are no text go through a relay as they are, and never into a translation."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import cast

import pytest

from waypost.conversation.faults import FaultKind, Refused, UpstreamFault
from waypost.dialects.dialect import Dialect
from waypost.dialects.registry import DIALECTS
from waypost.dialects.wire_json import ShapeError, check_text
from waypost.gateway.gateway import Lane
from waypost.gateway.passage import Translation
from waypost.gateway.whole import translated

OPENAI, ANTHROPIC = DIALECTS["openai_chat"], DIALECTS["anthropic"]
BROKEN = b'{"id":"c","choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":"\xff"}}]}'


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", True), (b"plain", True), ("é\u2028".encode(), True), (b"\xff", False), (b"\xc3", False)],
)
def test_text_is_utf_8(data: bytes, expected: bool) -> None:
    with nullcontext() if expected else pytest.raises(ShapeError, match="UTF-8"):
        check_text(data)


def test_what_came_before_a_broken_frame_is_still_given() -> None:
    through = Translation(OPENAI, ANTHROPIC, "m", False, "call", 1)
    whole = BROKEN.replace(b"\xff", b"x")
    written = through.take(OPENAI.framing().feed(b"data: " + whole + b"\n\ndata: " + BROKEN + b"\n\n"))
    assert b'"a"' in written
    assert through.fault is not None


def test_an_end_mark_after_nothing_is_no_answer() -> None:
    through = Translation(OPENAI, ANTHROPIC, "m", False, "call", 1)
    begun = b'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    assert b"message_stop" not in through.take(OPENAI.framing().feed(begun + b"data: [DONE]\n\n"))
    assert through.fault is not None
    assert through.fault.kind is FaultKind.TRUNCATED


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_no_reader_takes_what_is_no_text(dialect: Dialect) -> None:
    body = b'{"nobody":{"knows":"\xff"}}'
    with pytest.raises(Refused, match="UTF-8"):
        dialect.read_request(body)
    with pytest.raises(UpstreamFault):
        dialect.read_reply(body)


def test_a_translated_stream_ends_where_it_is_no_text() -> None:
    through = Translation(OPENAI, ANTHROPIC, "m", False, "call", 1)
    framing = OPENAI.framing()
    whole = BROKEN.replace(b"\xff", b"x")
    assert through.take(framing.feed(b"data: " + whole + b"\n\n"))
    assert through.fault is None
    assert through.take(framing.feed(b"data: " + BROKEN + b"\n\n")) == b""
    assert through.fault is not None
    assert through.fault.kind is FaultKind.MALFORMED


def test_a_translated_answer_is_text() -> None:
    body = b'{"id":"c","choices":[{"index":0,"message":{"content":"a","annotations":["\xff"]},"finish_reason":"stop"}]}'

    lane = cast("Lane", SimpleNamespace(dialect=OPENAI, candidate=SimpleNamespace(model="m")))
    with pytest.raises(UpstreamFault, match="UTF-8"):
        translated(ANTHROPIC, lane, body, "call", 1)
