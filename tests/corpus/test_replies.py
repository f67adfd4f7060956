"""Laws of answers over every recorded one: written and read again they mean the same, in either protocol."""

import json
import re
from dataclasses import replace
from functools import cache
from typing import Any

import anthropic.types
import openai.types.chat
import pytest
from pydantic import TypeAdapter

from corpus.meaning import Meaning, events_of, frames_of, meaning, reply_of, tokens
from corpus.records import DIALECTS, Record, answers, other
from corpus.test_streams import check_order
from waypost.conversation.blocks import Refusal
from waypost.conversation.events import Event, Failed, Reported
from waypost.conversation.fold import fold
from waypost.conversation.reply import Choice, Reply, StopKind
from waypost.dialects.dialect import Dialect

ANSWERS = answers()
WHOLE = answers(stream=False)
STREAMS = [record for record in answers(stream=True) if not record.expect["mid_error"]]
OPENAI, ANTHROPIC = DIALECTS["openai-chat"], DIALECTS["anthropic-messages"]

STOP_WORDS = {
    OPENAI.name: {"stop", "length", "tool_calls", "content_filter", "function_call", None},
    ANTHROPIC.name: {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", None},
}
LEGAL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def has_server_tools(reply: Reply) -> bool:
    return any(meaning(choice).server_tools for choice in reply.choices)


@cache
def anthropic_message(beta: bool) -> TypeAdapter[Any]:
    """Some server tools are only in the SDK's beta types."""
    return TypeAdapter(anthropic.types.beta.BetaMessage if beta else anthropic.types.Message)


@cache
def anthropic_event(beta: bool) -> TypeAdapter[Any]:
    return TypeAdapter(
        anthropic.types.beta.BetaRawMessageStreamEvent if beta else anthropic.types.RawMessageStreamEvent
    )


@pytest.mark.parametrize("record", WHOLE, ids=str)
def test_a_glance_tells_the_same(record: Record) -> None:
    reply = reply_of(record)
    assert record.dialect.glance_reply(record.body) == reply.usage


@pytest.mark.parametrize("record", ANSWERS, ids=str)
def test_written_and_read_again(record: Record) -> None:
    dialect = record.dialect
    reply = reply_of(record)
    again = dialect.read_reply(dialect.write_reply(reply, "m"))
    assert [meaning(choice) for choice in again.choices] == [meaning(choice) for choice in reply.choices]
    assert (again.id, again.model) == (reply.id or again.id, reply.model or "m")
    assert tokens(again.usage) == tokens(reply.usage) or reply.usage is None
    assert again.usage is None or reply.usage is None or again.usage.reasoning == reply.usage.reasoning


def expected_elsewhere(choice: Choice, there: Dialect) -> Meaning:
    """What the other protocol can say of an answer."""
    said = replace(meaning(choice), redacted=0, server_tools=(), audio=0)
    if there is ANTHROPIC:  # tells a refusal by its stop reason, and its words as text
        text = "".join(getattr(block, "text", "") for block in choice.blocks if isinstance(block, Refusal))
        stop = StopKind.REFUSAL if said.refusal and said.stop is StopKind.END else said.stop
        return replace(said, text=said.text + text, refusal="", stop=stop)
    return replace(said, stop=StopKind.END if said.stop in (StopKind.STOP_SEQUENCE, StopKind.PAUSE) else said.stop)


def comparable(said: Meaning, there: Dialect) -> Meaning:
    """Without what Anthropic's tool calls can't hold: foreign characters in ids, arguments that are no object."""
    if there is OPENAI:
        return said
    calls = tuple(
        (id_ if LEGAL_ID.fullmatch(id_) else "", name, arguments if is_object(arguments) else {})
        for id_, name, arguments in said.tool_calls
    )
    return replace(said, tool_calls=calls)


def is_object(arguments: Any) -> bool:
    return isinstance(arguments, dict) and not arguments.keys() & {"__raw__"}


def check_same(reply: Reply, there: Dialect, again: Reply) -> None:
    first, elsewhere = reply.choices[0], again.choices[0]
    want = comparable(expected_elsewhere(first, there), there)
    got = replace(meaning(elsewhere), redacted=0)
    for (id_, _, arguments), (want_id, _, want_arguments) in zip(got.tool_calls, want.tool_calls, strict=True):
        assert id_ == want_id or want_id == ""
        assert arguments == want_arguments or want_arguments == {}
    calls = want.tool_calls
    assert [name for _, name, _ in got.tool_calls] == [name for _, name, _ in calls]
    assert replace(got, tool_calls=()) == replace(want, tool_calls=())
    if reply.usage is not None and reply.usage.output is not None:
        assert tokens(again.usage) == tokens(reply.usage)


def check_nothing_foreign(record: Record, written: bytes, there: Dialect) -> None:
    reply = reply_of(record)
    told = json.loads(written)
    if there is OPENAI:
        words = [choice["finish_reason"] for choice in told["choices"]]
        assert told["id"].startswith("chatcmpl-")
    else:
        words = [told["stop_reason"]]
        assert told["id"].startswith("msg_")
    assert set(words) <= STOP_WORDS[there.name]
    if reply.id is not None and reply.id.startswith(("msg_", "chatcmpl-")):
        assert reply.id.encode() not in written


@pytest.mark.parametrize("record", ANSWERS, ids=str)
def test_written_in_the_other_protocol(record: Record) -> None:
    there = other(record.dialect)
    reply = reply_of(record)
    written = there.write_reply(reply, "m")
    check_same(reply, there, there.read_reply(written))
    check_nothing_foreign(record, written, there)


@pytest.mark.parametrize("record", ANSWERS, ids=str)
def test_the_official_types_accept_what_is_written(record: Record) -> None:
    reply = reply_of(record)
    for dialect in DIALECTS.values():
        told = json.loads(dialect.write_reply(reply, "m"))
        if dialect is ANTHROPIC:
            assert anthropic_message(has_server_tools(reply)).validate_python(told) is not None
        elif all(choice.stop is not None for choice in reply.choices):  # its stop reason may not be absent
            openai.types.chat.ChatCompletion.model_validate(own_words_aside(told))


def own_words_aside(told: dict[str, Any]) -> dict[str, Any]:
    """Within a dialect a provider's own words stay, which the types don't list."""
    for choice in told["choices"]:
        if choice["finish_reason"] not in STOP_WORDS[OPENAI.name]:
            choice["finish_reason"] = "stop"
        annotations = choice["message"].pop("annotations", [])
        choice["message"]["annotations"] = [each for each in annotations if each["type"] == "url_citation"]
    if told.get("service_tier") not in (None, "auto", "default", "flex", "scale", "priority"):
        del told["service_tier"]
    return told


def logprobs(choice: Choice) -> Any:
    return None if choice.logprobs is None else json.loads(bytes(choice.logprobs))


def written_stream(events: list[Event], dialect: Dialect) -> bytes:
    writer = dialect.writer("m", True)
    return b"".join(writer.write(event) for event in events)


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_a_stream_written_and_read_again(record: Record) -> None:
    dialect = record.dialect
    events = events_of(dialect, record.body)
    reply = fold(events, dialect.name)
    again_events = events_of(dialect, written_stream(events, dialect))
    check_order(again_events)
    again = fold(again_events, dialect.name)
    assert [meaning(choice) for choice in again.choices] == [meaning(choice) for choice in reply.choices]
    assert again.model == (reply.model or "m")
    assert tokens(again.usage) == tokens(reply.usage) or reply.usage is None
    assert [logprobs(choice) for choice in again.choices] == [logprobs(choice) for choice in reply.choices]


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_a_stream_written_in_the_other_protocol(record: Record) -> None:
    there = other(record.dialect)
    events = events_of(record.dialect, record.body)
    reply = fold(events, record.dialect.name)
    written = written_stream(events, there)
    again_events = events_of(there, written)
    check_order(again_events)
    check_same(reply, there, fold(again_events, there.name))
    if reply.id is not None and reply.id.startswith(("msg_", "chatcmpl-")):
        assert reply.id.encode() not in written
    mark = b"[DONE]" if there is OPENAI else b"message_stop"
    assert written.count(mark) == (1 if there is OPENAI else 2)


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_the_official_types_accept_a_written_stream(record: Record) -> None:
    events = events_of(record.dialect, record.body)
    adapter = anthropic_event(has_server_tools(fold(events, record.dialect.name)))
    for dialect in DIALECTS.values():
        for frame in frames_of(dialect, written_stream(events, dialect)):
            assert frame.data is not None
            if dialect is ANTHROPIC:
                event = adapter.validate_json(frame.data)
                assert event.type == frame.event
            elif frame.data != b"[DONE]":
                openai.types.chat.ChatCompletionChunk.model_validate_json(frame.data)


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_a_stream_that_breaks_off_is_not_ended(record: Record) -> None:
    """Whatever came before it, a failure ends a written stream with an error and no sign of success."""
    from waypost.conversation.faults import CallerError, ErrorKind

    events = events_of(record.dialect, record.body)
    for dialect in DIALECTS.values():
        writer = dialect.writer("m", True)
        before = b"".join(writer.write(event) for event in events[: len(events) // 2])
        failure = writer.fail(CallerError(kind=ErrorKind.UPSTREAM_FAILED, message="it broke", status=502))
        again = events_of(dialect, before + failure)
        assert isinstance(again[-1], Failed)
        assert again[-1].fault.message == "it broke"
        assert b"[DONE]" not in before + failure
        assert b"message_stop" not in before + failure


@pytest.mark.parametrize("record", STREAMS, ids=str)
def test_usage_is_only_told_to_who_asked(record: Record) -> None:
    """In a chat stream; Anthropic's always tells it."""
    events = events_of(record.dialect, record.body)
    writer = OPENAI.writer("m", False)
    written = b"".join(writer.write(event) for event in events)
    assert not any(isinstance(event, Reported) for event in events_of(OPENAI, written))
