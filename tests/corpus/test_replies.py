"""Laws of answers over every recorded one: written and read again they mean the same, in every protocol."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from corpus.meaning import Meaning, events_of, frames_of, meaning, read_events, reply_of, tokens, values
from corpus.protocols import PROTOCOLS, Protocol, name_of
from corpus.records import DIALECTS, INVOKE, Record, answers, check_each
from corpus.test_streams import check_order
from waypost.conversation.blocks import Refusal, Text, Thinking
from waypost.conversation.events import Event, Failed, Finished, Reported
from waypost.conversation.faults import CallerError, ErrorKind
from waypost.conversation.fold import fold
from waypost.conversation.reply import Choice, Reply, Stop, StopKind, Usage
from waypost.dialects.dialect import Dialect
from waypost.dialects.openai_responses.words import unpack

SPOKEN = {dialect.name: dialect for dialect in DIALECTS.values()}
READ = (*DIALECTS, INVOKE)
# How ids begin where a protocol has them begin in its own way.
PREFIXES = {"openai_chat": "chatcmpl-", "openai_responses": "resp_", "anthropic": "msg_"}

per_protocol = pytest.mark.parametrize("protocol", READ)
per_caller = pytest.mark.parametrize("caller", SPOKEN)


def whole_streams(protocol: str) -> list[Record]:
    return [record for record in answers(protocol, stream=True) if not record.expect["mid_error"]]


@per_protocol
def test_a_glance_tells_the_same(protocol: str) -> None:
    def check(record: Record) -> None:
        assert record.dialect.glance_reply(record.body) == reply_of(record).usage

    check_each(answers(protocol, stream=False), check)


# Answers of which a part is not written as it came, and why that is right.
REWRITTEN = {
    "002f392f656205fb1131": "a reasoning item without words is left out",
    "abed86e3dfb8467eddd1": "Google's citations are spelt as it documents them, not as that server did",
}


def own_words(choice: Choice) -> tuple[Any, ...]:
    """All that is said in the answer's own protocol; where in it a provider's own notes stand is no matter."""
    blocks = [values(block if not isinstance(block, Thinking) else bare(block)) for block in choice.blocks]
    return sorted(map(repr, blocks)), choice.stop, values(choice.logprobs)


def bare(thought: Thinking) -> Thinking:
    """Without whose signature it is where there is none, and the id that a stream of Responses gives its item."""
    signature = thought.signature
    if signature is not None and thought.origin == "openai_responses":
        signature = unpack(signature).encrypted
    return Thinking(thought.text, signature, thought.origin) if signature else Thinking(thought.text)


def check_again(record: Record, again: Reply) -> None:
    reply = reply_of(record)
    assert [meaning(choice) for choice in again.choices] == [meaning(choice) for choice in reply.choices]
    if record.id not in REWRITTEN:
        assert [own_words(choice) for choice in again.choices] == [own_words(choice) for choice in reply.choices]
    assert again.model == (reply.model or "m" if PROTOCOLS[reply.dialect].tells_model else None)
    counts = tokens(reply.usage)
    if counts is not None and any(counts.values()):
        assert tokens(again.usage) == counts
        assert again.usage is not None
        assert reply.usage is not None
        assert again.usage.reasoning == reply.usage.reasoning


@per_protocol
def test_written_and_read_again(protocol: str) -> None:
    """A second time nothing at all changes."""

    def check(record: Record) -> None:
        dialect, reply = record.dialect, reply_of(record)
        again = dialect.read_reply(dialect.write_reply(reply, "m"))
        check_again(record, again)
        assert again.id == reply.id or reply.id is None
        assert dialect.read_reply(dialect.write_reply(again, "m")) == again

    check_each(answers(protocol), check)


def written_stream(events: Iterable[Event], dialect: Dialect) -> bytes:
    writer = dialect.writer("m", True)
    return b"".join(writer.write(event) for event in events)


@per_protocol
def test_a_stream_written_and_read_again(protocol: str) -> None:
    def check(record: Record) -> None:
        spoken = SPOKEN[record.dialect.name]
        written = written_stream(read_events(record), spoken)
        events = events_of(spoken, written)
        check_order(events)
        check_brackets(PROTOCOLS[spoken.name], spoken, written)
        again = fold(events, spoken.name)
        check_id(again.id or PREFIXES.get(spoken.name, ""), spoken.name)
        check_again(record, again)

    check_each(whole_streams(protocol), check)


def check_brackets(protocol: Protocol, dialect: Dialect, written: bytes) -> None:
    """What is opened in a stream is closed, in its own words, and the stream ends once."""
    names = [name_of(frame) for frame in frames_of(dialect, written)]
    counts = Counter(names)
    for opened, closed in protocol.brackets:
        assert counts[opened] == counts[closed], (opened, closed)
    assert sum(counts[end] for end in protocol.ends) == (1 if protocol.ends else 0)


def expected(choice: Choice, there: Protocol) -> Meaning:
    """What another protocol can say of an answer: its own tools, media and citations are nobody else's."""
    said = replace(meaning(choice), redacted=0, server_tools=(), citations=0)
    said = said if there.shows_media else replace(said, audio=0, images=0)
    stop = None if said.stop is None else there.stands_for.get(said.stop, said.stop)
    if said.refusal and not there.marks_refusals:
        words = "".join(block.text for block in choice.blocks if isinstance(block, Text | Refusal))
        stop = StopKind.REFUSAL if stop is StopKind.END and there.refusals_stop else stop
        said = replace(said, text=words, refusal="")
    if there.calls_stop and said.tool_calls and stop is StopKind.END:
        stop = StopKind.TOOL
    return replace(said, stop=stop)


def check_same(reply: Reply, there: Protocol, again: Reply) -> None:
    want = expected(reply.choices[0], there)
    got = replace(meaning(again.choices[0]), redacted=0)
    assert len(got.tool_calls) == len(want.tool_calls)
    for (id_, name, arguments), (want_id, want_name, wanted) in zip(got.tool_calls, want.tool_calls, strict=True):
        assert name == want_name
        assert id_ == want_id or not there.any_id
        assert arguments == wanted or (there.calls_are_objects and not is_object(wanted))
    assert replace(got, tool_calls=()) == replace(want, tool_calls=())
    check_usage(reply.usage, again.usage, there)


def comparable(said: Meaning, there: Protocol) -> Meaning:
    """Arguments that are no object are wrapped in one in an answer; in a stream they come as they are."""
    if not there.calls_are_objects:
        return said
    calls = [(id_, name, arguments if is_object(arguments) else None) for id_, name, arguments in said.tool_calls]
    return replace(said, tool_calls=tuple(calls))


def is_object(arguments: Any) -> bool:
    """Neither text that is no JSON nor what a writer wraps it in."""
    return isinstance(arguments, dict) and arguments.keys().isdisjoint({"__raw__", "arguments"})


def check_usage(told: Usage | None, again: Usage | None, there: Protocol) -> None:
    want, got = tokens(told), tokens(again)
    if told is None or want is None:
        assert got is None or not any(got.values())
    elif told.input is not None and told.output is not None:
        assert got is not None
        if not there.tells_cache_writes:
            want["cache_write"] = 0
        assert got == want


def check_nothing_foreign(reply: Reply, written: bytes, there: str) -> None:
    told, protocol = json.loads(written), PROTOCOLS[there]
    assert set(told) <= protocol.members
    assert set(protocol.stop_words(told)) <= protocol.stops
    check_id(str(told.get("id", told.get("responseId", ""))), there)
    check_unsaid(reply, written, there)


def check_id(told: str, there: str) -> None:
    assert told.startswith(PREFIXES.get(there, ""))
    assert not any(told.startswith(prefix) for dialect, prefix in PREFIXES.items() if dialect != there)


def check_unsaid(reply: Reply, written: bytes, there: str) -> None:
    """An id in another protocol's form is nowhere."""
    foreign = tuple(prefix for dialect, prefix in PREFIXES.items() if dialect != there)
    if reply.id is not None and reply.id.startswith(foreign):
        assert reply.id.encode() not in written


@per_caller
@per_protocol
def test_written_in_another_protocol(protocol: str, caller: str) -> None:
    there = SPOKEN[caller]

    def check(record: Record) -> None:
        reply = reply_of(record)
        written = there.write_reply(reply, "m")
        again = there.read_reply(written)
        if caller != reply.dialect:
            check_same(reply, PROTOCOLS[caller], again)
            check_nothing_foreign(reply, written, caller)

    check_each(answers(protocol), check)


@per_caller
@per_protocol
def test_a_stream_written_in_another_protocol(protocol: str, caller: str) -> None:
    """And it says what the same answer does when written whole."""
    there = SPOKEN[caller]

    def check(record: Record) -> None:
        reply = reply_of(record)
        written = written_stream(read_events(record), there)
        events = events_of(there, written)
        check_order(events)
        check_brackets(PROTOCOLS[caller], there, written)
        again = fold(events, caller)
        whole = there.read_reply(there.write_reply(reply, "m"))
        streamed, at_once = (comparable(meaning(each.choices[0]), PROTOCOLS[caller]) for each in (again, whole))
        assert streamed == at_once
        assert tokens(again.usage) == tokens(whole.usage)
        if caller != reply.dialect:
            check_same(reply, PROTOCOLS[caller], again)
            check_id(again.id or PREFIXES.get(caller, ""), caller)
            check_unsaid(reply, written, caller)

    check_each(whole_streams(protocol), check)


@per_caller
@pytest.mark.parametrize("kind", StopKind)
def test_every_stop_has_a_word_of_its_own_in_every_protocol(kind: StopKind, caller: str) -> None:
    there, protocol = SPOKEN[caller], PROTOCOLS[caller]
    reply = Reply("another", "id-1", "m", (Choice((Text("So."),), Stop(kind, "a_foreign_word")),), Usage(1, output=2))
    written = there.write_reply(reply, "m")
    assert b"a_foreign_word" not in written
    stop = there.read_reply(written).choices[0].stop
    told = protocol.stands_for.get(kind, kind)
    if kind is StopKind.TOOL and protocol.calls_stop:
        told = StopKind.END  # nothing is called here
    assert stop is not None
    assert stop.kind is told


@per_caller
@per_protocol
def test_a_stream_that_breaks_off_is_not_ended(protocol: str, caller: str) -> None:
    """Whatever came before it, a failure ends a written stream with an error and no sign of success."""
    there = SPOKEN[caller]
    failure = CallerError(kind=ErrorKind.UPSTREAM_FAILED, message="it broke", status=502)

    def check(record: Record) -> None:
        events = read_events(record)
        writer = there.writer("m", True)
        before = b"".join(writer.write(event) for event in events[: len(events) // 2])
        broken = before + writer.fail(failure)
        again = events_of(there, broken)
        assert isinstance(again[-1], Failed)
        assert again[-1].fault.message == "it broke"
        assert not any(isinstance(event, Finished) for event in again)
        watcher = there.watcher(False)
        assert not any(watcher.see(frame).finished for frame in frames_of(there, broken))

    check_each(whole_streams(protocol), check)


@per_protocol
def test_usage_is_only_told_to_who_asked(protocol: str) -> None:
    """In a chat stream; those of the others always tell it."""
    chat = SPOKEN["openai_chat"]

    def check(record: Record) -> None:
        writer = chat.writer("m", False)
        written = b"".join(writer.write(event) for event in read_events(record))
        assert not any(isinstance(event, Reported) for event in events_of(chat, written))

    check_each(whole_streams(protocol), check)
