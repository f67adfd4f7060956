"""Every recorded exchange is read to what an independent reader says that it means, and holds the laws."""

import json
import random
from typing import Any
from urllib.parse import unquote

import pytest

from corpus.meaning import events_of, frames_of, meaning, tokens
from corpus.test_streams import check_order
from dialects.bedrock.records import SHARED, Record, records
from waypost.conversation.blocks import Opaque, RedactedThinking, Text, Thinking, ToolCall
from waypost.conversation.events import Delta, Event, Failed, Finished
from waypost.conversation.faults import FaultKind, Refused
from waypost.conversation.fold import fold, merge_usage
from waypost.conversation.reply import Reply, StopKind
from waypost.dialects.bedrock import DIALECT
from waypost.dialects.dialect import Edits, Shape
from waypost.dialects.fault_text import clean
from waypost.wire.frames import Frame

EVERY_BYTE = 6_000  # bytes of a stream, up to which it is also fed byte by byte
STOPS = {
    "stop": StopKind.END,
    "length": StopKind.LENGTH,
    "tool": StopKind.TOOL,
    "stop_sequence": StopKind.STOP_SEQUENCE,
    "filter": StopKind.REFUSAL,
}
ALL = records("bedrock-converse")
ANSWERS = [record for record in ALL if record.expect["kind"] == "ok"]
WHOLE = [record for record in ANSWERS if not record.stream]
STREAMS = [record for record in ANSWERS if record.stream]
FAILURES = [record for record in ALL if record.expect["kind"] == "error"]


def test_the_recordings_are_present() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"no recordings are read: no {SHARED}")
    assert (len(ALL), len(STREAMS), len(FAILURES)) == (177, 38, 4)


def reply_of(record: Record) -> Reply:
    return fold(events_of(DIALECT, record.body), DIALECT.name) if record.stream else DIALECT.read_reply(record.body)


@pytest.mark.parametrize("record", ANSWERS, ids=str)
def test_an_answer_means_what_it_means(record: Record) -> None:
    expect, reply = record.expect, reply_of(record)
    (choice,) = reply.choices
    said = meaning(choice)
    assert said.text == expect["text"]
    assert said.reasoning == expect["reasoning"]
    assert said.redacted == expect["redacted"]
    assert list(said.tool_calls) == [(call["id"], call["name"], call["args"]) for call in expect["tool_calls"]]
    assert list(said.server_tools) == expect["server_tools"]
    assert said.stop is STOPS[expect["stop"]]
    assert choice.stop is not None
    assert choice.stop.raw == expect["stop_raw"]
    assert sum(len(block.citations) for block in choice.blocks if isinstance(block, Text)) == expect["citations"]
    assert (reply.id, reply.model, reply.created) == (None, None, None)
    counts = tokens(reply.usage)
    assert counts is not None
    assert counts == {name: expect["usage"][name] for name in ("input", "cached", "cache_write", "output")}


@pytest.mark.parametrize("record", WHOLE, ids=str)
def test_a_glance_tells_the_same(record: Record) -> None:
    assert DIALECT.glance_reply(record.body) == DIALECT.read_reply(record.body).usage


@pytest.mark.parametrize("record", FAILURES, ids=str)
def test_an_error_is_read(record: Record) -> None:
    """The exception is named in a header, of which the other reader takes no notice; boto3 reads it as we do."""
    fault = DIALECT.read_fault(record.status, record.headers, record.body)
    assert fault.status == record.expect["error"]["status"]
    assert fault.message == clean(record.expect["error"]["message"])
    assert fault.type == (record.headers.get("x-amzn-errortype") or "").partition(":")[0] or fault.type is None
    assert fault.kind in (
        FaultKind.MODEL_NOT_FOUND,
        FaultKind.BAD_REQUEST,
        FaultKind.CONTEXT_OVERFLOW,
        FaultKind.UNAUTHORIZED,
    )


def fed(body: bytes, cuts: list[int]) -> list[Frame]:
    framing = DIALECT.framing()
    frames: list[Frame] = []
    for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        frames += framing.feed(body[begin:end])
    return frames + framing.end()


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_cuts_change_nothing_and_a_relay_is_verbatim(record: Record) -> None:
    chance = random.Random(record.id)
    body = record.body
    whole = frames_of(DIALECT, body)
    assert b"".join(frame.raw for frame in whole) == body
    for count in (1, 5, 40):
        assert fed(body, sorted(chance.sample(range(len(body)), count))) == whole
    if len(body) <= EVERY_BYTE:
        assert fed(body, list(range(1, len(body)))) == whole


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_a_stream_is_in_order_and_ends_as_the_provider_ended_it(record: Record) -> None:
    events = events_of(DIALECT, record.body)
    check_order(events)
    assert isinstance(events[-1], Finished)
    frames = frames_of(DIALECT, record.body)
    for count in range(len(frames)):
        cut = events_of(DIALECT, b"".join(frame.raw for frame in frames[:count]) + frames[count].raw[:-1])
        check_order(cut)
        stopped = "messageStop" in [frame.event for frame in frames[:count]]
        assert isinstance(cut[-1], Finished) is stopped
        if not stopped:
            assert isinstance(cut[-1], Failed)
            assert cut[-1].fault.kind is FaultKind.TRUNCATED


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_the_watcher_sees_what_the_reader_reads(record: Record) -> None:
    watcher, reader = DIALECT.watcher(True), DIALECT.reader()
    usage = None
    stops = []
    committed = said = False
    seen = None
    for frame in frames_of(DIALECT, record.body):
        seen, events = watcher.see(frame), reader.feed(frame)
        usage = usage if seen.usage is None else merge_usage(usage, seen.usage)
        stops += [] if seen.stop is None else [seen.stop]
        committed = committed or seen.content
        said = said or any(isinstance(event, Delta) for event in events)
        assert committed or not said
        assert not seen.hide
    reply = reply_of(record)
    assert usage == reply.usage
    assert stops == [reply.choices[0].stop]
    assert seen is not None
    assert seen.finished


def written(events: list[Event]) -> bytes:
    writer = DIALECT.writer("m", True)
    return b"".join([writer.write(event) for event in events])


@pytest.mark.parametrize("record", ANSWERS, ids=str)
def test_written_and_read_again(record: Record) -> None:
    reply = reply_of(record)
    again = DIALECT.read_reply(DIALECT.write_reply(reply, "m"))
    assert shown(again) == shown(reply)
    if record.stream:
        events = events_of(DIALECT, record.body)
        assert shown(fold(events_of(DIALECT, written(events)), DIALECT.name)) == shown(reply)


def shown(reply: Reply) -> Any:
    """A reply as values: JSON that is kept as it came may be printed otherwise."""
    return (
        [[plain(block) for block in choice.blocks] for choice in reply.choices],
        [choice.stop for choice in reply.choices],
        reply.usage,
        {name: json.loads(bytes(raw)) for name, raw in reply.extra},
    )


def plain(block: object) -> Any:
    match block:
        case Text():
            return ("text", block.text, [json.loads(bytes(citation)) for citation in block.citations])
        case ToolCall():
            return ("call", block.id, block.name, json.loads(block.arguments))
        case Opaque():
            return (block.kind, json.loads(bytes(block.raw)))
        case Thinking() | RedactedThinking():
            return block
        case _:
            return repr(block)


def test_a_request_that_is_no_json_is_refused() -> None:
    if not ALL:
        pytest.skip("no recordings")
    broken = [record for record in ALL if record.request is None]
    for record in broken:
        for read in (DIALECT.glance, DIALECT.read_request):
            with pytest.raises(Refused):
                read(record.sent)


REQUESTS = [record for record in ALL if record.request is not None and record.request["messages"]]


@pytest.mark.parametrize("record", REQUESTS, ids=str)
def test_a_glance_sees_what_decisions_need(record: Record) -> None:
    told = record.request
    assert told is not None
    glance = DIALECT.glance(record.sent)
    assert (glance.model, glance.stream, glance.choices, glance.asked_usage) == ("", False, 1, True)
    assert glance.max_output == (told.get("inferenceConfig") or {}).get("maxTokens")
    assert ("tools" in glance.needs) is bool((told.get("toolConfig") or {}).get("tools"))
    assert ("structured" in glance.needs) is bool((told.get("outputConfig") or {}).get("textFormat"))
    text = json.dumps(told["messages"])
    assert ("images" in glance.needs) is ('"image": {' in text)
    assert ("documents" in glance.needs) is ('"document": {' in text)
    assert glance.unbounded_input is any(word in text + record.path + json.dumps(told) for word in UNBOUNDED)


UNBOUNDED = ('"bytes":', '"s3Location":', '"systemTool":', '"promptVariables":')


@pytest.mark.parametrize("record", REQUESTS, ids=str)
def test_an_edit_changes_what_is_named_and_nothing_else(record: Record) -> None:
    told = record.request
    assert told is not None
    for layout in ({"indent": 2}, {"separators": (",", ":")}):
        body = json.dumps(told, **layout).encode()
        seen = DIALECT.glance(body)
        assert DIALECT.edit(body, seen, Edits(model="other", want_usage=True, remove_options=True)) is body
        edited = json.loads(DIALECT.edit(body, seen, Edits(model="other", max_output=7)))
        inference = dict(told.get("inferenceConfig") or {})
        inference["maxTokens"] = min(7, inference.get("maxTokens") or 7)
        assert edited == {**told, "inferenceConfig": inference}


@pytest.mark.parametrize("record", REQUESTS, ids=str)
def test_a_request_written_and_read_again(record: Record) -> None:
    told = record.request
    assert told is not None
    request = DIALECT.read_request(record.sent)
    shape = Shape(model=unquote(record.path.rsplit("/", 2)[1]))
    out = DIALECT.write_request(request, shape)
    assert out.dropped == ()
    again = DIALECT.read_request(out.body)
    assert DIALECT.write_request(again, shape).body == out.body
    assert normal(json.loads(out.body)) == normal(told)


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def normal(value: Any, name: str = "") -> Any:
    """Without what says no more than its absence does, and in the one form of what can be said in several."""
    if isinstance(value, list):
        return [normal(inner, name) for inner in value]
    if not isinstance(value, dict):
        return value
    if name == "additionalModelRequestFields" and "reasoning_config" in value:
        value = {"thinking" if key == "reasoning_config" else key: inner for key, inner in value.items()}
    if name == "content" and list(value) == ["json"]:
        return {"text": value["json"]}
    if name == "content" and list(value) == ["text"]:
        return {"text": parsed(value["text"])}
    if name == "source" and "content" in value:
        return {"text": "\n\n".join(piece["text"] for piece in value["content"])}
    if name in ("input", "inputSchema"):
        return value
    found = {key: normal(inner, key) for key, inner in value.items()}
    return {key: inner for key, inner in found.items() if inner not in ({}, []) or key in ("auto", "any", "content")}
