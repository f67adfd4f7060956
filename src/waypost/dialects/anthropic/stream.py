"""A stream of this protocol → events, and the copy of a relayed stream that is only watched.

Follows "Streaming messages" of the Messages API. Text may come with the block's start (compatible servers do that),
tool input whole; deltas of unknown kinds are carried as they are.
"""

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.blocks import Block, Opaque, Text, Thinking, ToolCall
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
from waypost.conversation.faults import Fault, FaultKind, UpstreamFault
from waypost.dialects.anthropic.blocks import read_block
from waypost.dialects.anthropic.faults import malformed, read_error_event
from waypost.dialects.anthropic.words import WireUsage, merge_usage, read_stop, read_usage, started_usage
from waypost.dialects.dialect import Seen
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told
from waypost.wire.frames import Frame


class _Kind(Struct, frozen=True):
    type: str


class _StartedMessage(Struct, frozen=True):
    id: str | None = None
    model: str | None = None
    usage: WireUsage | None = None


class _MessageStart(Struct, frozen=True):
    message: _StartedMessage


class _BlockStart(Struct, frozen=True):
    index: int
    content_block: Raw


class _Delta(Struct, frozen=True):
    type: str
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: Raw = ABSENT


class _BlockDelta(Struct, frozen=True):
    index: int
    delta: _Delta


class _OpaqueDelta(Struct, frozen=True):
    delta: Raw


class _BlockStop(Struct, frozen=True):
    index: int


class _Stop(Struct, frozen=True):
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _MessageDelta(Struct, frozen=True):
    delta: _Stop | None = None
    usage: WireUsage | None = None


class _WatchedBlock(Struct, frozen=True):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class _WatchedStart(Struct, frozen=True):
    content_block: _WatchedBlock


_KIND = msgspec.json.Decoder(_Kind)
_MESSAGE_START = msgspec.json.Decoder(_MessageStart)
_BLOCK_START = msgspec.json.Decoder(_BlockStart)
_BLOCK_DELTA = msgspec.json.Decoder(_BlockDelta)
_OPAQUE_DELTA = msgspec.json.Decoder(_OpaqueDelta)
_BLOCK_STOP = msgspec.json.Decoder(_BlockStop)
_MESSAGE_DELTA = msgspec.json.Decoder(_MessageDelta)
_WATCHED_START = msgspec.json.Decoder(_WatchedStart)

_NOTHING = Seen()
_CONTENT = Seen(content=True)
_FINISHED = Seen(finished=True)
_KINDS = frozenset(
    (
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
        "error",
    )
)


class StreamReader:
    """Satisfies `Reader`. Nothing follows Finished or Failed."""

    __slots__ = ("_begun", "_block", "_given", "_index", "_input", "_over", "_usage")

    def __init__(self) -> None:
        self._begun = False
        self._over = False
        self._index = -1  # of the last block, counted by us
        self._given = -1  # the provider's index of the open block
        self._block: Block | None = None  # the open one
        self._input: str | None = None  # of an open tool call: what came with its start, until a delta replaces it
        self._usage: WireUsage | None = None

    def feed(self, frame: Frame) -> list[Event]:
        data = frame.data
        if data is None or self._over:
            return []
        try:
            return self._feed(frame.event, data)
        except ShapeError as error:
            raise UpstreamFault(malformed(f"the stream is not one of messages: {error}")) from error

    def end(self) -> list[Event]:
        if self._over:
            return []
        self._over = True
        return [Failed(Fault(kind=FaultKind.TRUNCATED, message="the stream ended before its message_stop"))]

    def _feed(self, event: str | None, data: bytes) -> list[Event]:
        if not data.isascii():
            check_text(data)
        match event if event in _KINDS else _kind_of(data):
            case "content_block_delta":
                return self._delta(data)
            case "content_block_start":
                return self._block_start(data)
            case "content_block_stop":
                return self._block_stop(decode(_BLOCK_STOP, data, "").index)
            case "message_start":
                return self._message_start(data)
            case "message_delta":
                return self._message_delta(data)
            case "message_stop":
                decode(_KIND, data, "")
                self._over = True
                return [*self._close(), Finished()]
            case "error":
                self._over = True
                return [Failed(read_error_event(data))]
            case _:
                return []

    def _message_start(self, data: bytes) -> list[Event]:
        message = decode(_MESSAGE_START, data, "").message
        if self._begun:
            raise ShapeError("a second message_start")
        self._begun = True
        events: list[Event] = [Started(message.id, message.model)]
        if message.usage is not None:
            self._usage = started_usage(message.usage)
            events.append(Reported(read_usage(self._usage)))
        return events

    def _block_start(self, data: bytes) -> list[Event]:
        start = decode(_BLOCK_START, data, "")
        block = read_block(start.content_block, "content_block")
        self._check_begun()
        events = self._close()
        self._index += 1
        self._given = start.index
        self._input = None
        at = self._index
        match block:
            case Text():
                self._block = Text("")
                events.append(BlockStarted(at, self._block))
                if block.text:
                    events.append(Delta(at, text=block.text))
                events += [Delta(at, citation=citation) for citation in block.citations]
            case Thinking():
                self._block = Thinking("", None, block.origin)
                events.append(BlockStarted(at, self._block))
                if block.text:
                    events.append(Delta(at, text=block.text))
                if block.signature:
                    events.append(Delta(at, signature=block.signature))
            case ToolCall():
                self._block = ToolCall(block.id, block.name, "")
                self._input = block.arguments
                events.append(BlockStarted(at, self._block))
            case _:
                self._block = block
                events.append(BlockStarted(at, block))
        return events

    def _delta(self, data: bytes) -> list[Event]:
        wire = decode(_BLOCK_DELTA, data, "")
        block = self._block
        if block is None or wire.index != self._given:
            raise ShapeError(f"index: block {wire.index} is not open")
        delta = wire.delta
        at = self._index
        if delta.text and delta.type == "text_delta" and type(block) is Text:  # as most are
            return [Delta(at, 0, delta.text)]
        if isinstance(block, Opaque):
            return [Delta(at, opaque=decode(_OPAQUE_DELTA, data, "").delta)]
        match delta.type:
            case "text_delta" if isinstance(block, Text):
                return [Delta(at, text=delta.text)] if delta.text else []
            case "input_json_delta" if isinstance(block, ToolCall):
                if not delta.partial_json:
                    return []
                self._input = None
                return [Delta(at, arguments=delta.partial_json)]
            case "thinking_delta" if isinstance(block, Thinking):
                return [Delta(at, text=delta.thinking)] if delta.thinking else []
            case "signature_delta" if isinstance(block, Thinking):
                return [Delta(at, signature=delta.signature)] if delta.signature else []
            case "citations_delta" if isinstance(block, Text):
                return [Delta(at, citation=delta.citation)] if told(delta.citation) else []
            case "text_delta" | "input_json_delta" | "thinking_delta" | "signature_delta" | "citations_delta":
                raise ShapeError(f"delta.type: {delta.type} in a block of another kind")
            case _:
                return [Delta(at, opaque=decode(_OPAQUE_DELTA, data, "").delta)]

    def _block_stop(self, index: int) -> list[Event]:
        if self._block is None or index != self._given:
            raise ShapeError(f"index: block {index} is not open")
        return self._close()

    def _close(self) -> list[Event]:
        """Ends the open block. A compatible server that forgets to say so has said it by what it sends next."""
        if self._block is None:
            return []
        events: list[Event] = []
        if isinstance(self._block, ToolCall) and self._input is not None:
            events.append(Delta(self._index, arguments=self._input))
        self._block = None
        self._input = None
        events.append(BlockEnded(self._index))
        return events

    def _message_delta(self, data: bytes) -> list[Event]:
        wire = decode(_MESSAGE_DELTA, data, "")
        self._check_begun()
        events = self._close()
        if wire.usage is not None:
            self._usage = merge_usage(self._usage, wire.usage)
            events.append(Reported(read_usage(self._usage)))
        if wire.delta is not None and wire.delta.stop_reason is not None:
            events.append(Stopped(read_stop(wire.delta.stop_reason, wire.delta.stop_sequence)))
        return events

    def _check_begun(self) -> None:
        if not self._begun:
            raise ShapeError("no message_start")


def _kind_of(data: bytes) -> str:
    return "" if data == b"[DONE]" else decode(_KIND, data, "").type


class StreamWatcher:
    """Satisfies `Watcher`. Deltas are not decoded: that one came is all there is to know of it.

    Usage needs no hiding: this protocol tells it unasked.
    """

    __slots__ = ("_usage",)

    def __init__(self, hide_usage: bool) -> None:
        self._usage: WireUsage | None = None

    def see(self, frame: Frame) -> Seen:
        data = frame.data
        if data is None:
            return _NOTHING
        event = frame.event
        if event == "content_block_delta":
            # Not decoded, but a delta that is cut short or is no object at all shows at its ends.
            return _CONTENT if data[:1] == b"{" and data[-1:] == b"}" else _broken(data)
        try:
            return self._see(event if event in _KINDS else _kind_of(data), data)
        except ShapeError as error:
            return Seen(fault=malformed(f"the stream is not one of messages: {error}"))

    def _see(self, event: str | None, data: bytes) -> Seen:
        match event:
            case "content_block_delta":
                return _CONTENT
            case "content_block_start":
                block = decode(_WATCHED_START, data, "").content_block
                opened = block.type in ("text", "thinking") and not block.text and not block.thinking
                return _NOTHING if opened else _CONTENT
            case "message_start":
                usage = decode(_MESSAGE_START, data, "").message.usage
                if usage is None:
                    return _NOTHING
                self._usage = started_usage(usage)
                return Seen(usage=read_usage(self._usage))
            case "message_delta":
                return self._message_delta(data)
            case "message_stop":
                return _FINISHED
            case "error":
                return Seen(fault=read_error_event(data))
            case _:
                return _NOTHING

    def _message_delta(self, data: bytes) -> Seen:
        wire = decode(_MESSAGE_DELTA, data, "")
        stop = None
        if wire.delta is not None and wire.delta.stop_reason is not None:
            stop = read_stop(wire.delta.stop_reason, wire.delta.stop_sequence)
        if wire.usage is None:
            return Seen(stop=stop)
        self._usage = merge_usage(self._usage, wire.usage)
        return Seen(stop=stop, usage=read_usage(self._usage))


def _broken(data: bytes) -> Seen:
    return Seen(fault=malformed("the stream is not one of messages: a delta is not a JSON object"))
