"""Every recorded exchange is read to what an independent reader says that it means, and holds the laws."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from corpus.meaning import events_of, frames_of, meaning, tokens
from corpus.records import SHARED, Record, all_records
from corpus.test_streams import check_order
from waypost.conversation.blocks import Image, Opaque, RedactedThinking, Text, Thinking
from waypost.conversation.events import Delta, Event, Failed, Finished, Started
from waypost.conversation.faults import CallerError, ErrorKind, FaultKind, Refused, UpstreamFault
from waypost.conversation.fold import fold, merge_usage
from waypost.conversation.reply import Choice, Reply, StopKind
from waypost.conversation.request import Request
from waypost.dialects.dialect import Dialect, Edits, Shape
from waypost.dialects.fault_text import clean
from waypost.dialects.gemini import ARRAY, DIALECT
from waypost.wire.frames import Frame

EVERY_BYTE = 6_000  # bytes of a stream, up to which it is also fed byte by byte
STOPS = {
    "stop": StopKind.END,
    "length": StopKind.LENGTH,
    "tool": StopKind.TOOL,
    "filter": StopKind.REFUSAL,
}
ALL = [record for record in all_records() if record.protocol == "gemini"]
ANSWERS = [record for record in ALL if record.expect["kind"] == "ok"]
WHOLE = [record for record in ANSWERS if not record.stream]
STREAMS = [record for record in ANSWERS if record.stream]
FAILURES = [record for record in ALL if record.expect["kind"] == "error"]
REQUESTS = [record for record in ALL if isinstance(record.request, dict)]  # of some the recorder kept no body
# The other reader takes no notice of the provider's own calls; here they are blocks like the code that it runs.
OWN_CALLS = ("toolCall", "toolResponse")


def test_the_recordings_are_present() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"no recordings are read: no {SHARED}")
    assert (len(ALL), len(STREAMS), len(FAILURES)) >= (395, 135, 14)


def reply_of(record: Record) -> Reply:
    return fold(events_of(DIALECT, record.body), DIALECT.name) if record.stream else DIALECT.read_reply(record.body)


@pytest.mark.parametrize("record", ANSWERS, ids=str)
def test_an_answer_means_what_it_means(record: Record) -> None:
    expect, reply = record.expect, reply_of(record)
    first = reply.choices[0]
    said = meaning(first)
    assert len(reply.choices) == expect["choices"]
    assert said.text == expect["text"]
    assert said.reasoning == expect["reasoning"]
    assert said.refusal == expect["refusal"]
    assert said.redacted == expect["redacted"]
    assert [kind for kind in said.server_tools if kind not in OWN_CALLS] == expect["server_tools"]
    assert [(name, arguments) for _, name, arguments in said.tool_calls] == [
        (call["name"], call["args"]) for call in expect["tool_calls"]
    ]
    ids = [id_ for id_, _, _ in said.tool_calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    for told, call in zip(ids, expect["tool_calls"], strict=True):
        assert call["id"] in (None, told)
    assert said.audio == expect["audio"]
    assert sum(isinstance(block, Image) for choice in reply.choices for block in choice.blocks) == expect["images"]
    assert first.stop is not None
    assert first.stop.kind is STOPS[expect["stop"]]
    assert first.stop.raw == expect["stop_raw"]
    assert (first.logprobs is not None) is expect["logprobs"]
    assert sum(len(b.citations) for b in first.blocks if isinstance(b, Text)) == expect["citations"]
    assert (reply.id, reply.model) == (expect["id"] or None, expect["model"] or None)
    usage = expect["usage"]
    assert tokens(reply.usage) == {name: usage[name] for name in ("input", "cached", "cache_write", "output")}
    assert reply.usage is not None
    assert (reply.usage.reasoning or 0) == usage["reasoning"]


@pytest.mark.parametrize("record", WHOLE, ids=str)
def test_a_glance_tells_the_same(record: Record) -> None:
    assert DIALECT.glance_reply(record.body) == DIALECT.read_reply(record.body).usage


@pytest.mark.parametrize("record", FAILURES, ids=str)
def test_an_error_is_read(record: Record) -> None:
    fault = DIALECT.read_fault(record.status, record.headers, record.body)
    error = record.expect["error"]
    assert (fault.status, fault.type, fault.code) == (record.status, error["type"], str(error["code"]))
    assert fault.message == clean(error["message"])
    assert fault.kind in (
        FaultKind.MODEL_NOT_FOUND,
        FaultKind.BAD_REQUEST,
        FaultKind.CONTEXT_OVERFLOW,
        FaultKind.UNAUTHORIZED,
        FaultKind.RATE_LIMITED,
    )
    assert (fault.retry_after_s == 48) is (fault.kind is FaultKind.RATE_LIMITED)


def as_array(record: Record) -> bytes:
    """The same stream in its other form, with line breaks where Google has them."""
    pieces = [frame.data for frame in frames_of(DIALECT, record.body) if frame.data is not None]
    return b"[" + b"\n,\r\n".join(pieces) + b"\n]\n"


def fed(body: bytes, cuts: list[int]) -> list[Frame]:
    framing = DIALECT.framing()
    frames: list[Frame] = []
    for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        frames += framing.feed(body[begin:end])
    return frames + framing.end()


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_cuts_change_nothing_and_a_relay_is_verbatim(record: Record) -> None:
    chance = random.Random(record.id)
    for body in (record.body, as_array(record)):
        whole = frames_of(DIALECT, body)
        assert b"".join(frame.raw for frame in whole) == body
        in_characters = [place for place in range(1, len(body)) if body[place] & 0xC0 == 0x80]
        some = [sorted(chance.sample(range(len(body)), min(count, len(body)))) for count in (1, 5, 40)]
        for places in (*some, in_characters):
            assert fed(body, places) == whole
        if len(body) <= EVERY_BYTE:
            assert fed(body, list(range(1, len(body)))) == whole


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_both_forms_of_a_stream_say_the_same(record: Record) -> None:
    events = events_of(DIALECT, record.body)
    assert events_of(DIALECT, as_array(record)) == events
    check_order(events)
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_a_cut_stream_never_looks_whole(record: Record) -> None:
    for body in (record.body, as_array(record)):
        frames = [frame for frame in frames_of(DIALECT, body) if frame.data is not None]
        for count in {0, len(frames) // 2, len(frames) - 1}:
            before = b"".join(frame.raw for frame in frames[:count])
            for stump in (b"", frames[count].raw[: len(frames[count].raw) // 2]):
                try:
                    events = events_of(DIALECT, before + stump)
                except UpstreamFault as caught:
                    assert stump
                    assert caught.fault.kind is FaultKind.MALFORMED
                    continue
                check_order(events)
                if isinstance(events[-1], Finished):  # all has been said but in an array, whose end is a mark
                    assert b'"finishReason"' in before
                    assert not body.startswith(b"[")
                else:
                    assert isinstance(events[-1], Failed)
                    assert events[-1].fault.kind is FaultKind.TRUNCATED


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_the_watcher_sees_what_the_reader_reads(record: Record) -> None:
    for body in (record.body, as_array(record)):
        watcher, reader = DIALECT.watcher(True), DIALECT.reader()
        usage = None
        stops = []
        committed = said = finished = False
        for frame in frames_of(DIALECT, body):
            seen, events = watcher.see(frame), reader.feed(frame)
            usage = usage if seen.usage is None else merge_usage(usage, seen.usage)
            stops += [] if seen.stop is None else [seen.stop]
            committed = committed or seen.content
            said = said or any(isinstance(event, Delta) for event in events)
            assert committed or not said
            assert seen.fault is None
            finished = finished or seen.finished
        reply = reply_of(record)
        assert usage == reply.usage
        assert stops[-1] == reply.choices[0].stop
        assert finished is body.startswith(b"[")


def written(events: list[Event], dialect: Dialect) -> bytes:
    writer = dialect.writer("m", True)
    return b"".join([writer.write(event) for event in events])


def signatures(choice: Choice) -> list[str]:
    return [block.signature for block in choice.blocks if isinstance(block, Thinking) and block.signature]


def check_same(again: Reply, reply: Reply) -> None:
    assert [meaning(choice) for choice in again.choices] == [meaning(choice) for choice in reply.choices]
    assert [signatures(choice) for choice in again.choices] == [signatures(choice) for choice in reply.choices]
    assert (again.id, again.model) == (reply.id or again.id, reply.model or "m")
    assert tokens(again.usage) == tokens(reply.usage) or not any((tokens(reply.usage) or {}).values())
    for one, other in zip(again.choices, reply.choices, strict=True):
        assert one.stop == other.stop
        assert (one.logprobs is None) is (other.logprobs is None)
        if one.logprobs is not None and other.logprobs is not None:
            assert json.loads(bytes(one.logprobs)) == json.loads(bytes(other.logprobs))


@pytest.mark.parametrize("record", ANSWERS, ids=str)
def test_written_and_read_again(record: Record) -> None:
    reply = reply_of(record)
    again = DIALECT.read_reply(DIALECT.write_reply(reply, "m"))
    check_same(again, reply)
    assert DIALECT.read_reply(DIALECT.write_reply(again, "m")) == again


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_a_stream_written_and_read_again(record: Record) -> None:
    events = events_of(DIALECT, record.body)
    reply = fold(events, DIALECT.name)
    for dialect in (DIALECT, ARRAY):
        bytes_ = written(events, dialect)
        again = events_of(dialect, bytes_)
        check_order(again)
        check_same(fold(again, dialect.name), reply)
        if dialect is ARRAY:
            assert isinstance(json.loads(bytes_), list)


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_a_stream_that_breaks_off_is_not_ended(record: Record) -> None:
    events = events_of(DIALECT, record.body)
    for dialect in (DIALECT, ARRAY):
        writer = dialect.writer("m", True)
        before = b"".join(writer.write(event) for event in events[: len(events) // 2])
        broken = before + writer.fail(CallerError(kind=ErrorKind.UPSTREAM_FAILED, message="it broke", status=502))
        again = events_of(dialect, broken)
        assert isinstance(again[-1], Failed)
        assert again[-1].fault.message == "it broke"
        assert b"finishReason" not in broken
        if dialect is ARRAY:
            assert isinstance(json.loads(broken), list)


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_the_error_that_ends_a_relayed_array_keeps_it_one(record: Record) -> None:
    frames = frames_of(DIALECT, as_array(record))
    elements = [frame.raw for frame in frames if frame.data not in (None, b"]")]
    failure = ARRAY.writer("", False).fail(CallerError(kind=ErrorKind.DEADLINE, message="too late", status=504))
    told = json.loads(b"".join(elements) + failure)
    assert [piece.get("error", {}).get("message") for piece in told] == [None] * len(elements) + ["too late"]


def body_of(record: Record, **layout: Any) -> bytes:
    return json.dumps(record.request, ensure_ascii=False, **layout).encode()


def request_values(request: Request) -> list[Any]:
    """Without the name of the tool, which a result may have left to its call."""
    turns = [[(turn.role, [block for block in turn.blocks if not isinstance(block, Opaque)])] for turn in request.turns]
    opaque = [
        json.loads(bytes(block.raw)) for turn in request.turns for block in turn.blocks if isinstance(block, Opaque)
    ]
    tools = [
        json.loads(bytes(raw)) if raw is not None else getattr(tool, "name", None)
        for tool in request.tools
        for raw in (getattr(tool, "parameters", getattr(tool, "raw", None)), None)
    ]
    plain = [
        getattr(request, name)
        for name in request.__struct_fields__
        if name not in ("turns", "tools", "extra", "output")
    ]
    output = None if request.output is None else (request.output.schema and json.loads(bytes(request.output.schema)))
    return [turns, opaque, tools, plain, output, {name: json.loads(bytes(raw)) for name, raw in request.extra}]


@pytest.mark.parametrize("record", REQUESTS, ids=str)
def test_a_request_written_and_read_again_says_the_same(record: Record) -> None:
    try:
        request = DIALECT.read_request(body_of(record))
    except Refused as refused:
        assert record.status == 400
        assert refused.error.status == 400
        return
    out = DIALECT.write_request(request, Shape(model="m"))
    assert out.dropped == ()
    again = DIALECT.read_request(out.body)
    assert request_values(again) == request_values(request)
    assert not any(isinstance(block, RedactedThinking) for turn in request.turns for block in turn.blocks)


@pytest.mark.parametrize("record", REQUESTS, ids=str)
def test_an_edit_changes_only_the_limit(record: Record) -> None:
    told = record.request
    config = told.get("generationConfig") or told.get("generation_config") or {}
    limit = config.get("maxOutputTokens")
    for layout in ({}, {"indent": 2}, {"separators": (",", ":")}):
        body = body_of(replace(record, request={**told, "waypost": {"task": "qa"}}), **layout)
        glance = DIALECT.glance(body)
        assert (glance.model, glance.stream, glance.max_output) == ("", False, limit)
        assert glance.options is not None
        assert DIALECT.edit(body, glance, Edits(model="other")) is body
        edited = json.loads(DIALECT.edit(body, glance, Edits(model="other", max_output=7, remove_options=True)))
        changed = {**(told.get("generationConfig") or {}), "maxOutputTokens": min(7, limit or 7)}
        assert edited == {**told, "generationConfig": changed}


@pytest.mark.parametrize("record", REQUESTS, ids=str)
def test_a_glance_sees_what_decisions_need(record: Record) -> None:
    told, text = record.request, body_of(record).decode()
    glance = DIALECT.glance(body_of(record))
    assert ("tools" in glance.needs) is bool(told.get("tools"))
    assert ("images" in glance.needs) is ('"image/' in text and '"text": "image/' not in text)
    if "cachedContent" in told or '"fileUri"' in text or '"file_uri"' in text:
        assert glance.unbounded_input
    assert glance.choices == ((told.get("generationConfig") or {}).get("candidateCount") or 1)


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_a_stream_starts_with_who_answers(record: Record) -> None:
    first = events_of(DIALECT, record.body)[0]
    assert isinstance(first, Started)
    assert (first.id, first.model) == (record.expect["id"], record.expect["model"])
