"""Every recorded exchange of this protocol: read to what an independent reader says, cut, written and read again."""

import json
import random
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from corpus.meaning import Meaning, events_of, frames_of, meaning, tokens
from corpus.test_streams import check_order
from dialects.openai_responses.recordings import Recording, answers, failures, needs_corpus, recordings
from waypost.conversation.blocks import Opaque, RedactedThinking, Thinking
from waypost.conversation.events import BlockStarted, Delta, Event, Failed, Finished
from waypost.conversation.faults import CallerError, ErrorKind, FaultKind, Refused, UpstreamFault
from waypost.conversation.fold import fold, merge_usage
from waypost.conversation.reply import Reply, StopKind
from waypost.conversation.request import Request
from waypost.dialects.dialect import Edits, Shape
from waypost.dialects.fault_text import clean
from waypost.dialects.openai_responses import DIALECT
from waypost.dialects.openai_responses.words import NAME, unpack

pytestmark = needs_corpus

STOPS = {"stop": StopKind.END, "length": StopKind.LENGTH, "tool": StopKind.TOOL, "refusal": StopKind.REFUSAL}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
REFUSED = ("previous_response_id", "conversation", "prompt", "background")  # what only the provider could look up


def reply_of(recording: Recording) -> Reply:
    if not recording.stream:
        return DIALECT.read_reply(recording.body)
    return fold(events_of(DIALECT, recording.body), NAME)


def secrets(reply: Reply) -> int:
    """Reasoning that came encrypted, shown beside it or not."""
    blocks = reply.choices[0].blocks
    signatures = [
        block.data if isinstance(block, RedactedThinking) else block.signature
        for block in blocks
        if isinstance(block, Thinking | RedactedThinking)
    ]
    return sum(1 for signature in signatures if signature and unpack(signature).encrypted)


def wanted(recording: Recording) -> dict[str, Any]:
    expect = recording.expect
    usage = expect["usage"] or {}
    return {
        "text": expect["text"],
        "refusal": expect["refusal"],
        "reasoning": expect["reasoning"],
        "redacted": expect["redacted"],
        "tool_calls": [(call["id"], call["name"], call["args"]) for call in expect["tool_calls"]],
        "server_tools": sorted(expect["server_tools"]),
        "logprobs": expect["logprobs"],
        "stop": STOPS.get(expect["stop"]),
        "stop_word": expect["stop_raw"] if expect["stop"] else None,
        "id": expect["id"] or None,
        "model": expect["model"] or None,
        "usage": bool(usage),
        **{name: usage.get(name) for name in ("input", "cached", "cache_write", "output")},
        "reasoning_tokens": usage.get("reasoning"),
    }


def told(reply: Reply) -> dict[str, Any]:
    first = reply.choices[0]
    said = meaning(first)
    usage = tokens(reply.usage)
    counts = usage or {}
    return {
        "text": said.text,
        "refusal": said.refusal,
        "reasoning": said.reasoning,
        "redacted": secrets(reply),
        "tool_calls": list(said.tool_calls),
        "server_tools": sorted(said.server_tools),
        "logprobs": first.logprobs is not None,
        "stop": said.stop,
        "stop_word": first.stop.raw if first.stop else None,
        "id": reply.id,
        "model": reply.model,
        "usage": usage is not None,
        **{name: counts.get(name) for name in ("input", "cached", "cache_write", "output")},
        "reasoning_tokens": (reply.usage.reasoning or 0) if reply.usage is not None else None,
    }


def cited(reply: Reply) -> int:
    return sum(len(getattr(block, "citations", ())) for block in reply.choices[0].blocks)


def comparable(reply: Reply) -> tuple[Meaning, str, int, int, object, object]:
    """What has to survive being written and read again: all but which dialect's words stand for it."""
    first = reply.choices[0]
    chances = None if first.logprobs is None else json.loads(bytes(first.logprobs))
    return meaning(first), reply.model or "m", secrets(reply), cited(reply), tokens(reply.usage), chances


@pytest.mark.parametrize("recording", answers(), ids=str)
def test_an_answer_means_what_it_means(recording: Recording) -> None:
    reply = reply_of(recording)
    got, want = told(reply), wanted(recording)
    assert {name: got[name] for name in want if got[name] != want[name]} == {
        name: want[name] for name in want if got[name] != want[name]
    }
    assert bool(cited(reply)) is bool(recording.expect["citations"])


@pytest.mark.parametrize("recording", answers(stream=False), ids=str)
def test_a_glance_tells_the_same(recording: Recording) -> None:
    assert DIALECT.glance_reply(recording.body) == DIALECT.read_reply(recording.body).usage


@pytest.mark.parametrize("recording", failures(), ids=str)
def test_an_error_is_read(recording: Recording) -> None:
    fault = DIALECT.read_fault(recording.status, recording.headers, recording.body)
    error = recording.expect["error"]
    assert (fault.status, fault.type, fault.message) == (recording.status, error["type"], clean(error["message"]))
    assert fault.code == (None if error["code"] is None else str(error["code"]))


@pytest.mark.parametrize("recording", answers(), ids=str)
def test_an_answer_written_and_read_again(recording: Recording) -> None:
    reply = reply_of(recording)
    written = DIALECT.write_reply(reply, "m")
    assert comparable(DIALECT.read_reply(written)) == comparable(reply)


@pytest.mark.parametrize("recording", answers(), ids=str)
def test_the_official_types_accept_what_is_written(recording: Recording) -> None:
    """All but what is the provider's own: hosted tools' items, and the parameters that it tells again."""
    reply = reply_of(recording)
    blocks = tuple(block for block in reply.choices[0].blocks if not isinstance(block, Opaque))
    ours = msgspec.structs.replace(reply, extra=(), choices=(msgspec.structs.replace(reply.choices[0], blocks=blocks),))
    Response.model_validate_json(DIALECT.write_reply(ours, "m"))


STREAMS = answers(stream=True)


@pytest.mark.parametrize("recording", STREAMS, ids=str)
def test_a_stream_is_read_the_same_however_it_is_cut(recording: Recording) -> None:
    body = recording.body
    whole = frames_of(DIALECT, body)
    assert b"".join(frame.raw for frame in whole) == body
    chance = random.Random(recording.id)
    for count in (1, 7, 60):
        framing, reader = DIALECT.framing(), DIALECT.reader()
        cuts = sorted(chance.sample(range(1, len(body)), count))
        frames = []
        for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
            frames += framing.feed(body[begin:end])
        frames += framing.end()
        assert frames == whole
        events = [event for frame in frames for event in reader.feed(frame)] + reader.end()
        assert events == events_of(DIALECT, body)


@pytest.mark.parametrize("recording", STREAMS, ids=str)
def test_a_stream_is_well_formed_and_says_what_its_last_event_says(recording: Recording) -> None:
    events = events_of(DIALECT, recording.body)
    check_order(events)
    assert isinstance(events[-1], Finished)
    last = [frame.data for frame in frames_of(DIALECT, recording.body) if b'"response.' in (frame.data or b"")][-1]
    assert last is not None
    final = msgspec.json.decode(last, type=dict[str, msgspec.Raw])["response"]
    whole = DIALECT.read_reply(bytes(final))
    if whole.choices[0].blocks:  # some send a final response without its output
        assert meaning(fold(events, NAME).choices[0]) == meaning(whole.choices[0])


@pytest.mark.parametrize("recording", STREAMS, ids=str)
def test_a_cut_stream_never_looks_whole(recording: Recording) -> None:
    frames = [frame for frame in frames_of(DIALECT, recording.body) if frame.data and b"[DONE]" not in frame.data]
    chance = random.Random(recording.id)
    for count in {0, 1, len(frames) // 2, len(frames) - 1, chance.randrange(len(frames))}:
        for stump in (b"", frames[count].raw[: len(frames[count].raw) // 2]):
            try:
                events = events_of(DIALECT, b"".join(frame.raw for frame in frames[:count]) + stump)
            except UpstreamFault as caught:
                assert stump
                assert caught.fault.kind is FaultKind.MALFORMED
                continue
            check_order(events)
            last = events[-1]
            assert isinstance(last, Failed)
            assert last.fault.kind is FaultKind.TRUNCATED


@pytest.mark.parametrize("recording", STREAMS, ids=str)
def test_the_watcher_sees_what_the_reader_reads(recording: Recording) -> None:
    watcher, reader = DIALECT.watcher(False), DIALECT.reader()
    events: list[Event] = []
    usage, stops, finished = None, [], 0
    content = False
    for frame in frames_of(DIALECT, recording.body):
        events += reader.feed(frame)
        seen = watcher.see(frame)
        content = content or seen.content
        assert content or not any(isinstance(event, Delta) for event in events)
        usage = usage if seen.usage is None else merge_usage(usage, seen.usage)
        stops += [seen.stop] if seen.stop is not None else []
        finished += seen.finished
        assert seen.fault is None
        assert not seen.hide
    reply = fold(events, NAME)
    assert usage == reply.usage
    assert stops == [choice.stop for choice in reply.choices if choice.stop is not None]
    assert finished == 1


@pytest.mark.parametrize("recording", STREAMS, ids=str)
def test_a_stream_written_and_read_again(recording: Recording) -> None:
    events = events_of(DIALECT, recording.body)
    writer = DIALECT.writer("m", True)
    written = b"".join(writer.write(event) for event in events)
    again = events_of(DIALECT, written)
    check_order(again)
    assert comparable(fold(again, NAME)) == comparable(fold(events, NAME))
    opened = written.count(b"event: response.output_item.added\n")
    assert opened == written.count(b"event: response.output_item.done\n")


@pytest.mark.parametrize("recording", STREAMS, ids=str)
def test_the_official_types_accept_a_written_stream(recording: Recording) -> None:
    events = events_of(DIALECT, recording.body)
    writer = DIALECT.writer("m", True)
    hosted = {event.index for event in events if isinstance(event, BlockStarted) and isinstance(event.block, Opaque)}
    ours = [event for event in events if getattr(event, "index", None) not in hosted]
    written = b"".join(writer.write(event) for event in ours)
    for i, frame in enumerate(frames_of(DIALECT, written)):
        assert frame.data is not None
        told_event = EVENT.validate_json(frame.data)
        assert (told_event.type, told_event.sequence_number) == (frame.event, i)


@pytest.mark.parametrize("recording", STREAMS, ids=str)
def test_a_stream_that_breaks_off_is_not_ended(recording: Recording) -> None:
    events = events_of(DIALECT, recording.body)
    writer = DIALECT.writer("m", True)
    before = b"".join(writer.write(event) for event in events[: len(events) // 2])
    failure = writer.fail(CallerError(kind=ErrorKind.UPSTREAM_FAILED, message="it broke", status=502))
    again = events_of(DIALECT, before + failure)
    assert isinstance(again[-1], Failed)
    assert again[-1].fault.message == "it broke"
    assert b"response.completed" not in before + failure


def plain(request: Request) -> Any:
    """As plain values: raw JSON compares by what it says, `extra` in any order."""
    return msgspec.json.decode(
        msgspec.json.encode(msgspec.structs.replace(request, extra=tuple(sorted(request.extra, key=str))))
    )


NAMED = [one for one in recordings() if isinstance(one.request.get("model"), str)]


@pytest.mark.parametrize("recording", NAMED, ids=str)
def test_a_request_is_read_or_refused_for_what_only_its_provider_holds(recording: Recording) -> None:
    asked = recording.request
    held = [name for name in REFUSED if asked.get(name)]
    if held:
        with pytest.raises(Refused, match=f"^({'|'.join(held)}): "):
            DIALECT.read_request(recording.request_body)
        return
    request = DIALECT.read_request(recording.request_body)
    assert (request.model, request.stream) == (asked["model"], bool(asked.get("stream")))
    assert request.max_tokens == asked.get("max_output_tokens")
    written = DIALECT.write_request(request, Shape(model=request.model))
    assert written.dropped == ()
    assert plain(DIALECT.read_request(written.body)) == plain(request)


@pytest.mark.parametrize("recording", NAMED, ids=str)
def test_a_glance_sees_what_decisions_need(recording: Recording) -> None:
    asked = recording.request
    glance = DIALECT.glance(recording.request_body)
    assert (glance.model, glance.stream) == (asked["model"], bool(asked.get("stream")))
    assert glance.max_output == asked.get("max_output_tokens")
    assert ("tools" in glance.needs) is bool(asked.get("tools"))
    text = json.dumps(asked.get("input"))
    assert ("images" in glance.needs) is ('"input_image"' in text)
    assert ("documents" in glance.needs) is ('"input_file"' in text)
    if any(asked.get(name) for name in ("previous_response_id", "conversation", "prompt")):
        assert glance.unbounded_input


@pytest.mark.parametrize("recording", NAMED, ids=str)
def test_an_edit_changes_only_what_it_names(recording: Recording) -> None:
    asked = recording.request
    for layout in ({"separators": (",", ":")}, {"indent": 2}):
        body = json.dumps({**asked, "waypost": {"task": "qa"}}, ensure_ascii=False, **layout).encode()
        glance = DIALECT.glance(body)
        assert DIALECT.edit(body, glance, Edits(model=asked["model"])) is body
        edits = Edits(model="an/other", want_usage=True, max_output=7, remove_options=True)
        limit = min(7, asked.get("max_output_tokens") or 7)
        expected = {**asked, "model": "an/other", "max_output_tokens": limit}
        assert json.loads(DIALECT.edit(body, glance, edits)) == expected
