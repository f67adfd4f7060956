"""Every recorded exchange with Cohere is read to what an independent reader says that it means, and the laws hold."""

import json
import random
import re
from functools import cache
from typing import Any

import pytest

from corpus.meaning import events_of, frames_of, meaning, reply_of, tokens
from corpus.records import NAMES, SHARED, Record
from corpus.records import _read as read_records
from corpus.test_streams import check_order
from waypost.conversation.blocks import Opaque, Text
from waypost.conversation.events import Event, Failed, Finished
from waypost.conversation.faults import UpstreamFault
from waypost.conversation.fold import fold
from waypost.conversation.reply import StopKind
from waypost.dialects.cohere import DIALECT
from waypost.dialects.dialect import Shape
from waypost.dialects.registry import DIALECTS

STOPS = {
    "stop": StopKind.END,
    "length": StopKind.LENGTH,
    "tool": StopKind.TOOL,
    "stop_sequence": StopKind.STOP_SEQUENCE,
}
FILE = SHARED / "cohere-v2.jsonl"


@cache
def records() -> tuple[Record, ...]:
    return tuple(read_records(FILE)) if FILE.exists() else ()


def streams() -> list[Record]:
    return [record for record in records() if record.stream]


def test_the_corpus_is_present() -> None:
    if not FILE.exists():
        pytest.skip(f"no {FILE}")
    assert NAMES["cohere-v2"] in DIALECTS
    assert len(records()) == 49
    assert len(streams()) == 8


def body_of(record: Record) -> bytes:
    return json.dumps(record.request, ensure_ascii=False).encode()


@pytest.mark.parametrize("record", records(), ids=str)
def test_an_answer_means_what_it_means(record: Record) -> None:
    """A tool plan is neither text nor reasoning: the independent reader only notes that there is one."""
    reply, expect = reply_of(record), record.expect
    said = meaning(reply.choices[0])
    plans = [block for block in reply.choices[0].blocks if isinstance(block, Opaque) and block.kind == "tool_plan"]
    assert (said.text, said.reasoning, said.refusal) == (expect["text"], expect["reasoning"], expect["refusal"])
    assert list(said.tool_calls) == [(call["id"], call["name"], call["args"]) for call in expect["tool_calls"]]
    assert len(plans) == expect["notes"].count("tool_plan")
    assert list(said.server_tools) == expect["server_tools"]
    stop = reply.choices[0].stop
    assert stop is not None
    assert (stop.kind, stop.raw) == (STOPS[expect["stop"]], expect["stop_raw"])
    assert (reply.id, reply.model, len(reply.choices)) == (expect["id"], expect["model"], expect["choices"])
    cited = [c for block in reply.choices[0].blocks if isinstance(block, Text) for c in block.citations]
    assert len(cited) == expect["citations"]
    usage, told = expect["usage"], tokens(reply.usage)
    assert told == {name: usage[name] for name in ("input", "cached", "cache_write", "output")}
    assert reply.usage is not None
    counted = re.search(rb'"reasoning_tokens":(\d+)', record.body)  # which the independent reader does not look for
    assert reply.usage.reasoning == (None if counted is None else int(counted[1]))
    assert usage["reasoning"] == 0


@pytest.mark.parametrize("record", records(), ids=str)
def test_written_and_read_again_an_answer_is_the_same(record: Record) -> None:
    reply = reply_of(record)
    assert DIALECT.read_reply(DIALECT.write_reply(reply, "m")) == reply


@pytest.mark.parametrize("record", [each for each in records() if not each.stream], ids=str)
def test_a_glance_tells_the_same(record: Record) -> None:
    assert DIALECT.glance_reply(record.body) == reply_of(record).usage


def written(events: list[Event]) -> bytes:
    writer = DIALECT.writer("m", True)
    return b"".join(writer.write(event) for event in events)


@pytest.mark.parametrize("record", streams(), ids=str)
def test_a_stream_written_and_read_again_is_the_same(record: Record) -> None:
    events = events_of(DIALECT, record.body)
    check_order(events)
    assert isinstance(events[-1], Finished)
    again = events_of(DIALECT, written(events))
    assert again == events
    assert DIALECT.read_reply(DIALECT.write_reply(fold(events, "cohere"), "m")) == fold(events, "cohere")


@pytest.mark.parametrize("record", streams(), ids=str)
def test_cuts_change_nothing(record: Record) -> None:
    body, chance = record.body, random.Random(record.id)
    whole = frames_of(DIALECT, body)
    assert b"".join(frame.raw for frame in whole) == body
    for _ in range(20):
        cuts = sorted(chance.sample(range(1, len(body)), 30))
        framing = DIALECT.framing()
        fed = [framing.feed(body[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        assert [frame for frames in fed for frame in frames] + framing.end() == whole


@pytest.mark.parametrize("record", streams(), ids=str)
def test_a_stream_cut_short_is_never_whole(record: Record) -> None:
    chance = random.Random(record.id)
    end = record.body.index(b"event: message-end")
    for cut in sorted(chance.sample(range(end), 60)):
        events = events_of(DIALECT, record.body[:cut])
        check_order(events)
        assert isinstance(events[-1], Failed)


@pytest.mark.parametrize("record", streams(), ids=str)
def test_the_watcher_sees_what_the_reader_reads(record: Record) -> None:
    watcher = DIALECT.watcher(False)
    seen = [watcher.see(frame) for frame in frames_of(DIALECT, record.body)]
    reply = reply_of(record)
    assert [one.usage for one in seen if one.usage] == [reply.usage]
    assert [one.stop for one in seen if one.stop] == [reply.choices[0].stop]
    assert any(one.content for one in seen)
    assert not any(one.fault for one in seen)
    assert [one.finished for one in seen].count(True) == 1


@pytest.mark.parametrize("record", records(), ids=str)
def test_a_request_written_and_read_again_says_the_same(record: Record) -> None:
    request = DIALECT.read_request(body_of(record))
    sent = DIALECT.write_request(request, Shape(model=request.model))
    assert sent.dropped == ()
    assert DIALECT.read_request(sent.body) == request
    glance = DIALECT.glance(body_of(record))
    assert (glance.model, glance.stream) == (request.model, request.stream)
    assert ("tools" in glance.needs) is bool(record.request.get("tools"))


@pytest.mark.parametrize("record", records(), ids=str)
def test_what_is_sent_is_what_was_asked(record: Record) -> None:
    """Member by member, but for what means the same: an empty list, null, a text in parts."""
    sent = json.loads(DIALECT.write_request(DIALECT.read_request(body_of(record)), Shape(model="m")).body)
    assert plain({**sent, "model": record.request["model"]}) == plain(record.request)


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"type", "text"}:
            return value["text"]
        members = {name: plain(each) for name, each in value.items()}
        return {name: each for name, each in members.items() if each not in (None, [], "", False)}
    if isinstance(value, list):
        parts = [plain(each) for each in value]
        return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else parts
    return value


def mutated(body: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(body))
    return body[:place] + bytes([chance.randrange(256)]) + body[place + chance.randrange(3) :]


@pytest.mark.parametrize("record", records(), ids=str)
def test_a_spoilt_answer_is_a_typed_fault(record: Record) -> None:
    chance = random.Random(record.id)
    for _ in range(40):
        body = mutated(record.body, chance)
        try:
            check_order(events_of(DIALECT, body)) if record.stream else DIALECT.read_reply(body)
        except UpstreamFault:
            continue
