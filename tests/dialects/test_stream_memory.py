"""What readers and writers hold of a stream does not grow with it, but for what a protocol's last words repeat.

Three hold what was said, because they must, and no more than a bound (`HELD_LIMIT`): a Responses stream ends with the
whole answer; a call's arguments are one object in Gemini's; and an OpenAI-like server may begin the next call before
the one that streams is over, so its reader has to see when its arguments are whole.
"""

import gc
import sys
from collections.abc import Iterator
from io import StringIO
from types import FunctionType, MethodType, ModuleType

import pytest

from waypost.conversation.blocks import Block, Text, Thinking, ToolCall
from waypost.conversation.events import BlockEnded, BlockStarted, Delta, Event, Started
from waypost.conversation.faults import UpstreamFault
from waypost.dialects.dialect import Dialect
from waypost.dialects.gemini import stream_out as gemini
from waypost.dialects.openai_responses import writer as responses
from waypost.dialects.openai_responses.stream import MOST_ITEMS
from waypost.dialects.registry import DIALECTS
from waypost.gateway.passage import Relay

FEW, MANY = 5_000, 50_000
SLACK = 2_048  # bytes: counters that grow by a digit, a buffer that is larger at one moment than at another
KINDS: dict[str, Block] = {
    "text": Text(""),
    "thinking": Thinking("", None, None),
    "arguments": ToolCall("call_1", "look", ""),
}
HOLD_THE_ANSWER = {("openai_responses", "text"), ("openai_responses", "thinking"), ("openai_responses", "arguments")}
HOLD_THE_ANSWER |= {("gemini", "arguments")}
READ_WHOLE = {("openai_chat", "arguments")}
_SHARED = (type, ModuleType, FunctionType, MethodType)
every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())
every_kind = pytest.mark.parametrize("kind", KINDS)


def said(kind: str) -> Iterator[tuple[Delta, int]]:
    """The deltas of one long block, and how many characters came so far."""
    length = 0
    yield Delta(0, arguments='{"a":"') if kind == "arguments" else Delta(0, text="so"), 6
    while True:
        text = f"w{length % 97} "
        length += len(text)
        yield Delta(0, arguments=text) if kind == "arguments" else Delta(0, text=text), length


def opening(kind: str) -> list[Event]:
    return [Started("answer", "model", 1), BlockStarted(0, KINDS[kind])]


def held(*roots: object) -> int:
    """Bytes of all that can be reached from `roots` and is not the program itself."""
    seen: dict[int, object] = {}
    left = list(roots)
    while left:
        each = left.pop()
        if id(each) in seen or isinstance(each, _SHARED):
            continue
        seen[id(each)] = each
        left += gc.get_referents(each)
    return sum(map(size, seen.values()))


def size(each: object) -> int:
    return sys.getsizeof(each) + (len(each.getvalue()) if isinstance(each, StringIO) else 0)


def test_what_is_held_is_seen() -> None:
    """Else nothing here could fail."""

    class Keeper:
        def __init__(self) -> None:
            self.kept: list[Event] = []

    keeper = Keeper()
    before = held(keeper)
    keeper.kept += [Delta(0, text=f"{number}") for number in range(1000)]
    assert held(keeper) - before > 50_000


@every_dialect
@every_kind
def test_a_writer_holds_no_more_after_fifty_thousand_chunks(dialect: Dialect, kind: str) -> None:
    writer = dialect.writer("model", True)
    for event in opening(kind):
        writer.write(event)
    sizes, lengths = [], []
    for count, (delta, length) in enumerate(said(kind), 1):
        writer.write(delta)
        if count in (FEW, MANY):
            sizes.append(held(writer))
            lengths.append(length)
        if count == MANY:
            break
    grown, more = sizes[1] - sizes[0], lengths[1] - lengths[0]
    if (dialect.name, kind) not in HOLD_THE_ANSWER:
        assert grown < SLACK
    elif dialect.name == "openai_responses":
        assert more <= grown < more + SLACK  # told again at the end, so held, as one text


@every_dialect
@every_kind
def test_framing_reader_and_watcher_hold_no_more_after_fifty_thousand_chunks(dialect: Dialect, kind: str) -> None:
    """The stream is of the dialect's own writer; where that holds a call's arguments, there is none of them."""
    writer, framing = dialect.writer("model", True), dialect.framing()
    reader, relay = dialect.reader(), Relay(dialect, True)
    came = 0

    def pass_on(event: Event) -> None:
        nonlocal came
        frames = framing.feed(writer.write(event))
        relay.take(frames)
        for frame in frames:
            came += len(reader.feed(frame))

    for event in opening(kind):
        pass_on(event)
    sizes, lengths = [], []
    for count, (delta, length) in enumerate(said(kind), 1):
        pass_on(delta)
        if count in (FEW, MANY):
            sizes.append(held(reader, framing, relay))
            lengths.append(length)
        if count == MANY:
            break
    assert came > MANY or (dialect.name, kind) == ("gemini", "arguments")
    assert relay.fault is None
    more = lengths[1] - lengths[0] if (dialect.name, kind) in READ_WHOLE else 0
    assert sizes[1] - sizes[0] < more + SLACK


@pytest.mark.parametrize(("name", "limit"), [("gemini", gemini.HELD_LIMIT), ("openai_responses", responses.HELD_LIMIT)])
def test_what_must_be_held_is_bounded(name: str, limit: int) -> None:
    writer = DIALECTS[name].writer("model", True)
    for event in opening("arguments"):
        writer.write(event)
    piece = Delta(0, arguments="x" * (limit // 4 + 1))
    with pytest.raises(UpstreamFault):
        for _ in range(4):
            writer.write(piece)


@every_dialect
def test_blocks_that_are_over_leave_little(dialect: Dialect) -> None:
    """A few numbers of each may stay, nothing of what it said; but a Responses writer has to say it again."""
    writer, framing, reader = dialect.writer("model", True), dialect.framing(), dialect.reader()
    looked_at = (reader, framing) if dialect.name == "openai_responses" else (reader, framing, writer)
    sizes = []
    for event in calls(2_000):
        for frame in framing.feed(writer.write(event)):
            reader.feed(frame)
        if isinstance(event, BlockEnded) and event.index in (199, 1_999):
            sizes.append(held(*looked_at))
    assert sizes[1] - sizes[0] < 1_800 * 1_024


def calls(count: int) -> Iterator[Event]:
    yield Started("answer", "model", 1)
    for index in range(count):
        yield BlockStarted(index, ToolCall(f"call_{index}", "look", ""))
        yield Delta(index, arguments='{"a":"' + "x" * 4_000 + '"}')
        yield BlockEnded(index)


def test_a_responses_stream_of_endless_items_is_no_answer() -> None:
    dialect = DIALECTS["openai_responses"]
    reader, framing = dialect.reader(), dialect.framing()
    item = b'{"type":"message","id":"msg_%d","role":"assistant","content":[]}'
    added = b'data: {"type":"response.output_item.added","output_index":%d,"item":%b}\n\n'
    with pytest.raises(UpstreamFault):
        for index in range(MOST_ITEMS + 1):
            for frame in framing.feed(added % (index, item % index)):
                reader.feed(frame)
    assert index == MOST_ITEMS
