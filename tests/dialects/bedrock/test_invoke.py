"""Anthropic's own answers by way of InvokeModel: unwrapped, Anthropic's dialect reads them as it reads its own."""

import base64
import json
import random

import pytest

from corpus.meaning import meaning, tokens
from corpus.test_streams import check_order
from dialects.bedrock.records import SHARED, Record, records
from waypost.conversation.events import Event, Failed, Finished
from waypost.conversation.faults import FaultKind
from waypost.conversation.fold import fold
from waypost.dialects.anthropic import DIALECT as ANTHROPIC
from waypost.dialects.bedrock import DIALECT
from waypost.dialects.bedrock.invoke import InvokeFraming
from waypost.wire.eventstream import event as message
from waypost.wire.eventstream import exception
from waypost.wire.frames import Frame

ALL = records("bedrock-invoke")
ANSWERS = [record for record in ALL if record.expect["kind"] == "ok"]


def test_the_recordings_are_present() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"no recordings are read: no {SHARED}")
    assert (len(ALL), len(ANSWERS)) == (19, 16)


def events_of(frames: list[Frame]) -> list[Event]:
    reader = ANTHROPIC.reader()
    return [event for frame in frames for event in reader.feed(frame)] + reader.end()


@pytest.mark.parametrize("record", ANSWERS, ids=str)
def test_an_answer_means_what_it_means(record: Record) -> None:
    expect = record.expect
    if record.stream:
        framing = InvokeFraming()
        frames = framing.feed(record.body) + framing.end()
        assert b"".join(frame.raw for frame in frames) == record.body
        events = events_of(frames)
        check_order(events)
        assert isinstance(events[-1], Finished)
        reply = fold(events, ANTHROPIC.name)
    else:
        reply = ANTHROPIC.read_reply(record.body)
    said = meaning(reply.choices[0])
    assert (said.text, said.reasoning) == (expect["text"], expect["reasoning"])
    assert list(said.tool_calls) == [(call["id"], call["name"], call["args"]) for call in expect["tool_calls"]]
    assert reply.choices[0].stop is not None
    assert reply.choices[0].stop.raw == expect["stop_raw"]
    assert (reply.id, reply.model) == (expect["id"], expect["model"])
    assert tokens(reply.usage) == {n: expect["usage"][n] for n in ("input", "cached", "cache_write", "output")}


@pytest.mark.parametrize("record", [record for record in ANSWERS if record.stream], ids=str)
def test_cuts_change_nothing(record: Record) -> None:
    chance = random.Random(record.id)
    whole = InvokeFraming().feed(record.body)
    cuts = sorted(chance.sample(range(len(record.body)), 30))
    framing = InvokeFraming()
    frames = []
    for begin, end in zip([0, *cuts], [*cuts, len(record.body)], strict=True):
        frames += framing.feed(record.body[begin:end])
    assert frames == whole


@pytest.mark.parametrize("record", [record for record in ALL if record.expect["kind"] == "error"], ids=str)
def test_an_error_is_read(record: Record) -> None:
    fault = DIALECT.read_fault(record.status, record.headers, record.body)
    assert (fault.status, fault.message) == (record.status, record.expect["error"]["message"])


def chunk(told: object) -> bytes:
    inner = base64.b64encode(json.dumps(told).encode()).decode()
    return message("chunk", json.dumps({"bytes": inner, "p": "ab"}).encode())


STARTED = chunk({"type": "message_start", "message": {"id": "msg_1", "model": "m"}})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttlingException", FaultKind.RATE_LIMITED),
        ("modelTimeoutException", FaultKind.UPSTREAM_TIMEOUT),
        ("serviceUnavailableException", FaultKind.OVERLOADED),
        ("internalServerException", FaultKind.SERVER_ERROR),
        ("validationException", FaultKind.BAD_REQUEST),
    ],
)
def test_an_exception_is_an_error_in_anthropics_words(name: str, kind: FaultKind) -> None:
    events = events_of(InvokeFraming().feed(STARTED + exception(name, b'{"message":"no"}')))
    assert isinstance(events[-1], Failed)
    assert (events[-1].fault.kind, events[-1].fault.message) == (kind, "no")


@pytest.mark.parametrize("payload", [b"{}", b'{"bytes":1}', b'{"bytes":"*"}', b"no", b'{"bytes":"\xff"}'])
def test_a_broken_chunk_is_damage(payload: bytes) -> None:
    with pytest.raises(ValueError, match="chunk"):
        InvokeFraming().feed(message("chunk", payload))


def test_what_is_no_chunk_has_no_data() -> None:
    assert InvokeFraming().feed(message("later", b"{}")) == [Frame(message("later", b"{}"))]
