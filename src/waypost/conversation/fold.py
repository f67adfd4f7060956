"""From a stream's events to the reply that they stand for. Knows the order that `events` promises, and no dialect."""

from collections.abc import Iterable

import msgspec

from waypost.conversation.blocks import (
    Audio,
    Block,
    Document,
    Image,
    Json,
    Opaque,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from waypost.conversation.events import (
    BlockEnded,
    BlockStarted,
    Delta,
    Event,
    Failed,
    Finished,
    Reported,
    Started,
    Stopped,
)
from waypost.conversation.faults import UpstreamFault
from waypost.conversation.reply import Choice, Reply, Stop, Usage


def fold(events: Iterable[Event], dialect: str) -> Reply:
    """The reply of a stream. One that was cut gives what came before the cut: its stops are None where none was told.

    Raises UpstreamFault at `Failed`. `dialect` is the one that the events were read from.
    """
    folding = _Folding()
    for event in events:
        folding.take(event)
    return folding.reply(dialect)


def merge_usage(before: Usage | None, after: Usage) -> Usage:
    """Usage told in parts: the last one told wins, member by member."""
    if before is None:
        return after
    told = {name: value for name in Usage.__struct_fields__ if (value := getattr(after, name)) is not None}
    return msgspec.structs.replace(before, **told)


class _Growing:
    """A block whose parts still come."""

    __slots__ = ("arguments", "citations", "first", "opaque", "signature", "text")

    def __init__(self, first: Block) -> None:
        self.first = first
        self.text: list[str] = []
        self.arguments: list[str] = []
        self.signature: list[str] = []
        self.citations: list[Json] = []
        self.opaque: list[Json] = []

    def take(self, delta: Delta) -> None:
        if delta.text is not None:
            self.text.append(delta.text)
        elif delta.arguments is not None:
            self.arguments.append(delta.arguments)
        elif delta.signature is not None:
            self.signature.append(delta.signature)
        elif delta.citation is not None:
            self.citations.append(delta.citation)
        elif delta.opaque is not None:
            self.opaque.append(delta.opaque)

    def grown(self) -> Block:
        first = self.first
        text = "".join(self.text)
        match first:
            case Text():
                citations = (*first.citations, *self.citations)
                return Text(first.text + text, first.cache, citations)
            case Thinking():
                signature = "".join([first.signature or "", *self.signature])
                return Thinking(first.text + text, signature or None, first.origin)
            case Refusal():
                return Refusal(first.text + text)
            case ToolCall():
                return ToolCall(first.id, first.name, first.arguments + "".join(self.arguments), first.cache)
            case Image() | Document() | Audio() | ToolResult() | RedactedThinking() | Opaque():
                return first


class _Folding:
    __slots__ = ("_blocks", "_logprobs", "_started", "_stops", "_usage")

    def __init__(self) -> None:
        self._started = Started(None, None)
        self._blocks: dict[int, dict[int, _Growing]] = {}
        self._stops: dict[int, Stop] = {}
        self._logprobs: dict[int, list[Json]] = {}
        self._usage: Usage | None = None

    def take(self, event: Event) -> None:
        match event:
            case Started():
                self._started = event
            case BlockStarted():
                self._blocks.setdefault(event.choice, {})[event.index] = _Growing(event.block)
            case Delta():
                if event.logprobs is not None:
                    self._logprobs.setdefault(event.choice, []).append(event.logprobs)
                else:
                    self._blocks[event.choice][event.index].take(event)
            case Stopped():
                self._stops[event.choice] = event.stop
            case Reported():
                self._usage = merge_usage(self._usage, event.usage)
            case Failed():
                raise UpstreamFault(event.fault)
            case BlockEnded() | Finished():
                pass

    def reply(self, dialect: str) -> Reply:
        choices = sorted({*self._blocks, *self._stops})
        return Reply(
            dialect=dialect,
            id=self._started.id,
            model=self._started.model,
            choices=tuple(self._choice(choice) for choice in choices),
            usage=self._usage,
            created=self._started.created,
        )

    def _choice(self, choice: int) -> Choice:
        blocks = self._blocks.get(choice, {})
        return Choice(
            tuple(blocks[index].grown() for index in sorted(blocks)),
            self._stops.get(choice),
            _joined(self._logprobs.get(choice, [])),
        )


def _joined(parts: list[Json]) -> Json | None:
    """Log probabilities told piece by piece: lists under one name are joined, of the rest the last one told stays."""
    if len(parts) < 2:
        return parts[0] if parts else None
    joined: dict[str, object] = {}
    for part in parts:
        for name, value in msgspec.json.decode(part, type=dict[str, object]).items():
            before = joined.get(name)
            if isinstance(value, list) and isinstance(before, list):
                before.extend(value)
            elif value is not None or name not in joined:
                joined[name] = value
    return Json(msgspec.json.encode(joined))
