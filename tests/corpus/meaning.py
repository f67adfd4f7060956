"""What an answer means, in the plain values in which two readers, or two protocols, can be compared."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from corpus.records import Record
from waypost.conversation.blocks import Audio, Image, Opaque, RedactedThinking, Refusal, Text, Thinking, ToolCall
from waypost.conversation.events import Event, Failed
from waypost.conversation.fold import fold
from waypost.conversation.reply import Choice, Reply, StopKind, Usage
from waypost.dialects.dialect import Dialect
from waypost.wire.frames import Frame


@dataclass(frozen=True)
class Meaning:
    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    redacted: int = 0
    tool_calls: tuple[tuple[str, str, Any], ...] = ()
    server_tools: tuple[str, ...] = ()
    audio: int = 0
    images: int = 0
    citations: int = 0
    stop: StopKind | None = None


def arguments_of(call: ToolCall) -> Any:
    """No arguments and an empty object mean the same; text that is not JSON means itself."""
    try:
        return json.loads(call.arguments or "{}")
    except ValueError:
        return {"__raw__": call.arguments}


def meaning(choice: Choice) -> Meaning:
    blocks = choice.blocks
    return Meaning(
        text="".join(b.text for b in blocks if isinstance(b, Text)),
        refusal="".join(b.text for b in blocks if isinstance(b, Refusal)),
        reasoning="".join(b.text for b in blocks if isinstance(b, Thinking)),
        redacted=sum(isinstance(b, RedactedThinking) for b in blocks),
        tool_calls=tuple((b.id, b.name, arguments_of(b)) for b in blocks if isinstance(b, ToolCall)),
        server_tools=tuple(b.kind for b in blocks if isinstance(b, Opaque) and b.kind != "tool_plan"),
        audio=sum(isinstance(b, Audio) for b in blocks),
        images=sum(isinstance(b, Image) for b in blocks),
        citations=sum(len(b.citations) for b in blocks if isinstance(b, Text)),
        stop=choice.stop.kind if choice.stop else None,
    )


def frames_of(dialect: Dialect, body: bytes) -> list[Frame]:
    framing = dialect.framing()
    return framing.feed(body) + framing.end()


def events_of(dialect: Dialect, body: bytes) -> list[Event]:
    reader = dialect.reader()
    events = [event for frame in frames_of(dialect, body) for event in reader.feed(frame)]
    return events + reader.end()


@cache
def read_events(record: Record) -> tuple[Event, ...]:
    """The record's stream as its dialect's reader gives it."""
    return tuple(events_of(record.dialect, record.body))


@cache
def reply_of(record: Record) -> Reply:
    """The record's reply, of a stream that failed as far as it went."""
    if not record.stream:
        return record.dialect.read_reply(record.body)
    return fold([e for e in read_events(record) if not isinstance(e, Failed)], record.dialect.name)


def tokens(usage: Usage | None) -> dict[str, int] | None:
    """Totals as every protocol can tell them: what is not told counts as 0."""
    if usage is None:
        return None
    cached, cache_write = usage.cache_read or 0, usage.cache_write or 0
    return {
        "input": (usage.input or 0) + cached + cache_write,
        "cached": cached,
        "cache_write": cache_write,
        "output": (usage.output or 0) + (usage.reasoning or 0),
    }


def values(told: Any) -> Any:
    """As plain values: JSON that is kept as it came compares by what it says."""
    if isinstance(told, msgspec.Raw):
        return json.loads(bytes(told))
    if isinstance(told, msgspec.Struct):
        return type(told).__name__, {name: values(getattr(told, name)) for name in told.__struct_fields__}
    return [values(each) for each in told] if isinstance(told, tuple) else told
