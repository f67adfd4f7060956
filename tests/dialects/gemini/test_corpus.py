"""What is Gemini's alone in its recorded exchanges: a stream's other form, a JSON array that grows.

The laws that all protocols share are held in tests/corpus, for streams of events.
"""

import json
import random
from collections.abc import Callable

import pytest

from corpus.meaning import events_of, frames_of, meaning, read_events, reply_of
from corpus.records import Record, answers, check_each, failures
from corpus.test_requests import requests
from corpus.test_streams import check_order
from waypost.conversation.events import Delta, Event, Failed, Finished
from waypost.conversation.faults import CallerError, ErrorKind, FaultKind, UpstreamFault
from waypost.conversation.fold import fold, merge_usage
from waypost.dialects.gemini import ARRAY, DIALECT
from waypost.wire.frames import Frame

STREAMS = answers("gemini", stream=True)
EVERY_BYTE = 6_000  # bytes of a stream, up to which it is also fed byte by byte


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


def written(events: list[Event]) -> bytes:
    writer = ARRAY.writer("m", True)
    return b"".join([writer.write(event) for event in events])


def cuts_change_nothing(record: Record) -> None:
    chance, body = random.Random(record.id), as_array(record)
    whole = frames_of(DIALECT, body)
    assert b"".join(frame.raw for frame in whole) == body
    in_characters = [place for place in range(1, len(body)) if body[place] & 0xC0 == 0x80]
    some = [sorted(chance.sample(range(len(body)), min(count, len(body)))) for count in (1, 5, 40)]
    for places in (*some, in_characters):
        assert fed(body, places) == whole
    if len(body) <= EVERY_BYTE:
        assert fed(body, list(range(1, len(body)))) == whole


def both_forms_say_the_same(record: Record) -> None:
    assert tuple(events_of(DIALECT, as_array(record))) == read_events(record)


def a_cut_one_never_looks_whole(record: Record) -> None:
    """Its end is a mark."""
    frames = [frame for frame in frames_of(DIALECT, as_array(record)) if frame.data is not None]
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
            assert isinstance(events[-1], Failed)
            assert events[-1].fault.kind is FaultKind.TRUNCATED


def the_watcher_sees_what_the_reader_reads(record: Record) -> None:
    watcher, reader = DIALECT.watcher(True), DIALECT.reader()
    usage, stops = None, []
    committed = said = finished = False
    for frame in frames_of(DIALECT, as_array(record)):
        seen, events = watcher.see(frame), reader.feed(frame)
        usage = usage if seen.usage is None else merge_usage(usage, seen.usage)
        stops += [] if seen.stop is None else [seen.stop]
        committed = committed or seen.content
        said = said or any(isinstance(event, Delta) for event in events)
        finished = finished or seen.finished
        assert committed or not said
        assert seen.fault is None
    reply = reply_of(record)
    assert finished
    assert usage == reply.usage
    assert stops[-1] == reply.choices[0].stop


def written_and_read_again_it_says_the_same(record: Record) -> None:
    told = written(list(read_events(record)))
    again = events_of(ARRAY, told)
    check_order(again)
    assert isinstance(again[-1], Finished)
    reply = fold(again, ARRAY.name)
    assert [meaning(choice) for choice in reply.choices] == [meaning(each) for each in reply_of(record).choices]
    assert isinstance(json.loads(told), list)


def broken_off_it_is_an_array_still(record: Record) -> None:
    events = read_events(record)
    writer = ARRAY.writer("m", True)
    before = b"".join(writer.write(event) for event in events[: len(events) // 2])
    broken = before + writer.fail(CallerError(kind=ErrorKind.UPSTREAM_FAILED, message="it broke", status=502))
    last = events_of(ARRAY, broken)[-1]
    assert isinstance(last, Failed)
    assert last.fault.message == "it broke"
    assert b"finishReason" not in broken
    assert isinstance(json.loads(broken), list)


def relayed_and_broken_off_it_is_an_array_still(record: Record) -> None:
    frames = frames_of(DIALECT, as_array(record))
    elements = [frame.raw for frame in frames if frame.data not in (None, b"]")]
    failure = ARRAY.writer("", False).fail(CallerError(kind=ErrorKind.DEADLINE, message="too late", status=504))
    told = json.loads(b"".join(elements) + failure)
    assert [piece.get("error", {}).get("message") for piece in told] == [None] * len(elements) + ["too late"]


@pytest.mark.parametrize(
    "law",
    [
        cuts_change_nothing,
        both_forms_say_the_same,
        a_cut_one_never_looks_whole,
        the_watcher_sees_what_the_reader_reads,
        written_and_read_again_it_says_the_same,
        broken_off_it_is_an_array_still,
        relayed_and_broken_off_it_is_an_array_still,
    ],
)
def test_the_laws_of_an_array(law: Callable[[Record], None]) -> None:
    check_each(STREAMS, law)


def test_an_error_says_when_to_try_again() -> None:
    for record in failures("gemini"):
        fault = DIALECT.read_fault(record.status, record.headers, record.body)
        assert (fault.retry_after_s is not None) is (b"retryDelay" in record.body), record


def test_input_that_the_bytes_do_not_bound_is_seen() -> None:
    for record in requests("gemini"):
        text = record.sent.decode()
        if "cachedContent" in record.request or '"fileUri"' in text or '"file_uri"' in text:
            assert DIALECT.glance(record.sent).unbounded_input, record
