"""Laws of streams over every recorded one: cuts change nothing, a relay is verbatim, blocks are well-formed."""

import random
from collections.abc import Iterable

import pytest

from corpus.meaning import events_of, frames_of, meaning, read_events, reply_of, tokens
from corpus.records import DIALECTS, INVOKE, Record, answers, check_each
from waypost.conversation.events import BlockEnded, BlockStarted, Delta, Event, Failed, Finished, Started, Stopped
from waypost.conversation.faults import FaultKind, UpstreamFault
from waypost.conversation.fold import fold, merge_usage
from waypost.wire.frames import Frame

PROTOCOLS = (*DIALECTS, INVOKE)
SSE = [protocol for protocol, dialect in DIALECTS.items() if dialect.stream_type == "text/event-stream"]
UNMARKED = ("openai_chat", "gemini", "cohere")  # need no end mark: two may have [DONE], the other has none
EVERY_BYTE = 20_000  # bytes of a stream, up to which it is also fed byte by byte
IN_HEADS = (1, 4, 7, 11, 13, 17)  # bytes of a frame: inside the lengths, checksum and headers of a binary one


def fed(record: Record, body: bytes, cuts: list[int]) -> list[Frame]:
    framing = record.dialect.framing()
    frames = []
    for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        frames += framing.feed(body[begin:end])
    return frames + framing.end()


def check_cuts(record: Record) -> None:
    chance = random.Random(record.id)
    body = record.body
    whole = frames_of(record.dialect, body)
    assert b"".join(frame.raw for frame in whole) == body
    some = [sorted(chance.sample(range(len(body)), min(count, len(body)))) for count in (1, 40)]
    in_characters = [i for i in range(1, len(body)) if body[i] & 0xC0 == 0x80]
    in_line_ends = [i + 1 for i in range(len(body)) if body[i] in b"\r\n"]
    cuts = [*some, in_characters, in_line_ends, list(in_heads(whole))]
    if len(body) <= EVERY_BYTE:
        cuts.append(list(range(1, len(body))))
    for places in cuts:
        assert fed(record, body, places) == whole


def in_heads(frames: Iterable[Frame]) -> Iterable[int]:
    start = 0
    for frame in frames:
        yield from (start + place for place in IN_HEADS if place < len(frame.raw))
        start += len(frame.raw)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cuts_change_nothing_and_a_relay_is_verbatim(protocol: str) -> None:
    check_each(answers(protocol, stream=True), check_cuts)


def check_line_ends(record: Record) -> None:
    plain = record.body.replace(b"\r\n", b"\n")
    for line_end in (b"\r\n", b"\r"):
        assert tuple(events_of(record.dialect, plain.replace(b"\n", line_end))) == read_events(record)


@pytest.mark.parametrize("protocol", SSE)
def test_line_ends_change_nothing(protocol: str) -> None:
    check_each(answers(protocol, stream=True), check_line_ends)


def check_order(events: Iterable[Event]) -> None:
    """`Started` first, blocks of a choice one after the other and each ended, counted from 0, nothing after the end."""
    opened: dict[int, int] = {}
    counted: dict[int, int] = {}
    ended = False
    for i, event in enumerate(events):
        assert not ended, f"{event} after the end"
        match event:
            case Started():
                assert i == 0
            case BlockStarted(index=index, choice=choice):
                assert choice not in opened
                assert index == counted.get(choice, 0)
                counted[choice] = index + 1
                opened[choice] = index
            case Delta(index=index, choice=choice):
                assert opened.get(choice) == index
                members = (event.text, event.arguments, event.signature, event.citation, event.opaque, event.logprobs)
                assert sum(member is not None for member in members) == 1
            case BlockEnded(index=index, choice=choice):
                assert opened.pop(choice) == index
            case Stopped(choice=choice):
                assert choice not in opened
            case Finished():
                assert opened == {}
                ended = True
            case Failed():
                ended = True
            case _:
                pass
    assert ended


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_blocks_are_well_formed(protocol: str) -> None:
    check_each(answers(protocol, stream=True), lambda record: check_order(read_events(record)))


def check_stumps(record: Record) -> None:
    dialect = record.dialect
    frames = [frame for frame in frames_of(dialect, record.body) if frame.data is not None]
    chance = random.Random(record.id)
    for count in {0, min(1, len(frames) - 1), len(frames) // 2, len(frames) - 1, chance.randrange(len(frames))}:
        before = frames[:count]
        watcher = dialect.watcher(False)
        marked = any(seen.finished for seen in map(watcher.see, before))
        for stump in (b"", frames[count].raw[: len(frames[count].raw) // 2]):
            try:
                events = events_of(dialect, b"".join(frame.raw for frame in before) + stump)
            except UpstreamFault as caught:
                assert stump
                assert caught.fault.kind in (FaultKind.TRUNCATED, FaultKind.MALFORMED)
                continue
            check_order(events)
            last = events[-1]
            if isinstance(last, Finished):
                assert any(isinstance(event, Stopped) for event in events)
                assert marked or dialect.ends_without_mark
            elif isinstance(last, Failed) and not record.expect["mid_error"]:
                assert last.fault.kind is FaultKind.TRUNCATED


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_cut_stream_never_looks_whole(protocol: str) -> None:
    """Cut between frames, and within the next one. Once all has been said, only the end mark may be missing."""
    check_each(answers(protocol, stream=True), check_stumps)


def check_watcher(record: Record) -> None:
    dialect, reply = record.dialect, reply_of(record)
    frames = frames_of(dialect, record.body)
    for hide in (False, True):
        watcher = dialect.watcher(hide)
        seen = [watcher.see(frame) for frame in frames]
        usage = None
        for one in seen:
            if one.usage is not None:
                usage = merge_usage(usage, one.usage)
        assert tokens(usage) == tokens(reply.usage)
        stops = [one.stop for one in seen if one.stop is not None]
        assert {stop.kind for stop in stops[-len(reply.choices) :]} == {c.stop.kind for c in reply.choices if c.stop}
        faults = [one.fault for one in seen if one.fault is not None]
        assert faults == [event.fault for event in read_events(record) if isinstance(event, Failed)]
        said = any(choice.blocks for choice in reply.choices)
        assert any(one.content for one in seen) or not said
        whole = record.expect["complete"] and not faults and dialect.name not in UNMARKED
        assert any(one.finished for one in seen) is (whole or record.body.rstrip().endswith(b"[DONE]"))
        shown = b"".join(frame.raw for frame, one in zip(frames, seen, strict=True) if not one.hide)
        if not hide:
            assert shown == record.body
        else:
            again = fold([e for e in events_of(dialect, shown) if not isinstance(e, Failed)], dialect.name)
            assert [meaning(choice) for choice in again.choices] == [meaning(choice) for choice in reply.choices]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_watcher_sees_what_the_reader_reads(protocol: str) -> None:
    check_each(answers(protocol, stream=True), check_watcher)


def check_commitment(record: Record) -> None:
    dialect = record.dialect
    watcher, reader = dialect.watcher(False), dialect.reader()
    seen = read = False
    for frame in frames_of(dialect, record.body):
        events = reader.feed(frame)
        read = read or any(isinstance(event, Delta) for event in events)
        seen = seen or watcher.see(frame).content
        assert seen or not read


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_content_is_seen_no_later_than_it_is_read(protocol: str) -> None:
    """The call is committed with the first frame that the watcher calls content: that must not be late."""
    check_each(answers(protocol, stream=True), check_commitment)
