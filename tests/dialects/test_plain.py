"""The short way of each dialect gives what the long way gives, for everything that may take it."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import msgspec
import pytest

from corpus.records import Record, all_records
from waypost.bench import conversations
from waypost.conversation.blocks import Role, Text
from waypost.conversation.faults import Refused, UpstreamFault
from waypost.conversation.request import Request, Turn
from waypost.dialects import plain
from waypost.dialects.dialect import Dialect, Shape
from waypost.dialects.registry import DIALECTS

SHAPES = (
    Shape(model="other"),
    Shape(model="claude-sonnet-4-5", max_output=3, max_output_field="max_completion_tokens"),
    Shape(model="gpt-5", quirks=frozenset(("developer_role", "no_stream_options", "no_store"))),
)


@contextmanager
def the_long_way(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(plain, "MOST_PLAIN", -1)
        patch.setattr(plain, "_NO_MORE", ())
        yield


def outcome(work: Callable[[], object]) -> object:
    try:
        return work()
    except Refused as refused:
        return refused.args
    except UpstreamFault as failure:
        return failure.fault


TraceFunction = Callable[[FrameType, str, Any], Any]


def bytecodes(work: Callable[[], object]) -> int:
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> TraceFunction:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def said(*turns: tuple[Role, str]) -> tuple[Turn, ...]:
    return tuple([Turn(role, (Text(text),)) for role, text in turns])


def plain_requests() -> Iterator[Request]:
    both = said((Role.SYSTEM, "Be brief."), (Role.USER, 'héllo \u2028 "you" \\u0041'))
    for turns in (
        said((Role.USER, "hello")),
        both,
        said((Role.DEVELOPER, "Be brief."), (Role.USER, "hello"), (Role.ASSISTANT, "Yes?"), (Role.USER, "Go.")),
        said((Role.USER, "one"), (Role.SYSTEM, "two"), (Role.USER, "three"), (Role.USER, "four")),
        said((Role.USER, "a"), (Role.ASSISTANT, "b"), (Role.ASSISTANT, "c")),
        said((Role.USER, ""), (Role.ASSISTANT, ""), (Role.USER, "x")),
        said((Role.SYSTEM, "alone")),
        said((Role.ASSISTANT, "first"), (Role.USER, "then")),
        (),
    ):
        for stream in (False, True):
            yield Request("neutral", "m", turns, stream, stream)
            yield Request("neutral", "m", turns, stream, stream, 16, 0.5, 0.9)
            for name in DIALECTS:
                yield Request(name, "m", turns, stream, stream, max_tokens=7)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_plain_requests_are_written_alike(dialect: Dialect, monkeypatch: pytest.MonkeyPatch) -> None:
    for request in plain_requests():
        for shape in SHAPES:
            short = dialect.write_request(request, shape)
            with the_long_way(monkeypatch):
                assert dialect.write_request(request, shape) == short


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_plain_requests_are_read_alike(dialect: Dialect, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [dialect.write_request(request, shape).body for request in plain_requests() for shape in SHAPES]
    for body in bodies:
        spaced = msgspec.json.format(body)
        doubled = re.sub(rb'("max\w*":7)', rb"\1,\1", body)
        for each in (
            body,
            spaced,
            doubled,
            body.replace(b"hello", b"\\u0068ello"),
            body[:-1],
            body.replace(b"e", b"\xff"),
        ):
            reading = partial(dialect.read_request, each)
            short = outcome(reading)
            with the_long_way(monkeypatch):
                assert outcome(reading) == short


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_most_plain_requests_take_the_short_way(dialect: Dialect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all of this would hold, and be for nothing."""
    body = conversations.request_bytes(dialect, conversations.plain_request())
    request = DIALECTS["openai_chat"].read_request(
        conversations.request_bytes(DIALECTS["openai_chat"], conversations.plain_request())
    )
    reply = conversations.reply_bytes(dialect, conversations.plain_reply())
    steps = (
        lambda: dialect.read_request(body),
        lambda: dialect.read_reply(reply),
        lambda: dialect.write_request(request, SHAPES[0]),
    )
    for step in steps:
        short = bytecodes(step)
        with the_long_way(monkeypatch):
            assert bytecodes(step) > short


@pytest.mark.parametrize("record", all_records(), ids=str)
def test_what_was_recorded_is_read_and_written_alike(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    dialect = record.dialect

    def read_and_write() -> object:
        request = dialect.read_request(record.sent)
        return request, [there.write_request(request, SHAPES[0]) for there in DIALECTS.values()]

    def reply() -> object:
        read = dialect.read_reply(record.body)
        return msgspec.structs.replace(read, extra=tuple(sorted(read.extra)))

    for work in (read_and_write, reply):
        short = outcome(work)
        with the_long_way(monkeypatch):
            assert outcome(work) == short
