"""A stream of this protocol → events, and the copy of a relayed stream that is only watched.

Follows `ConverseStreamOutput` of the service's model. A text has no `contentBlockStart`: its first delta begins it.
What only this dialect knows (a server tool's call and result), encrypted reasoning and pictures come in pieces that
mean nothing alone: they are held until their block is whole, as long as they are not larger than a whole answer may be.
"""

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.blocks import Block, Image, Opaque, RedactedThinking, Source, Text, Thinking, ToolCall
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
from waypost.dialects.bedrock.faults import malformed, read_exception
from waypost.dialects.bedrock.media import IMAGES, joined_base64
from waypost.dialects.bedrock.words import NAME, WireUsage, read_stop, read_usage
from waypost.dialects.dialect import Seen
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told
from waypost.wire.eventstream import ERROR
from waypost.wire.frames import Frame


class _ToolUse(Struct, frozen=True, rename="camel"):
    tool_use_id: str
    name: str
    type: str | None = None


class _Format(Struct, frozen=True):
    format: str | None = None


class _Start(Struct, frozen=True, rename="camel"):
    tool_use: _ToolUse | None = None
    tool_result: dict[str, Raw] | None = None
    image: _Format | None = None


class _BlockStart(Struct, frozen=True, rename="camel"):
    start: _Start
    content_block_index: int = 0


class _Input(Struct, frozen=True):
    input: str = ""


class _Reasoning(Struct, frozen=True, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Bytes(Struct, frozen=True):
    bytes: str | None = None


class _Picture(Struct, frozen=True):
    source: _Bytes | None = None


class _Delta(Struct, frozen=True, rename="camel"):
    text: str | None = None
    tool_use: _Input | None = None
    reasoning_content: _Reasoning | None = None
    citation: Raw = ABSENT
    tool_result: list[Raw] | None = None
    image: _Picture | None = None


class _BlockDelta(Struct, frozen=True, rename="camel"):
    delta: _Delta
    content_block_index: int = 0


class _BlockStop(Struct, frozen=True, rename="camel"):
    content_block_index: int = 0


class _MessageStop(Struct, frozen=True, rename="camel"):
    stop_reason: str


class _Metadata(Struct, frozen=True):
    usage: WireUsage | None = None


_BLOCK_START = msgspec.json.Decoder(_BlockStart)
_BLOCK_DELTA = msgspec.json.Decoder(_BlockDelta)
_BLOCK_STOP = msgspec.json.Decoder(_BlockStop)
_MESSAGE_STOP = msgspec.json.Decoder(_MessageStop)
_METADATA = msgspec.json.Decoder(_Metadata)
_ANY = msgspec.json.Decoder(dict[str, Raw])

_MOST_HELD = 16 * 1024 * 1024  # characters
_NOTHING = Seen()
_CONTENT = Seen(content=True)
_REDACTED = "redactedContent"


class _Held:
    """A block that is given whole: its kind, what its start told, and its pieces."""

    __slots__ = ("kind", "pieces", "size", "start")

    def __init__(self, kind: str, start: dict[str, object]) -> None:
        self.kind = kind
        self.start = start
        self.pieces: list[str] = []
        self.size = 0

    def add(self, piece: str) -> None:
        self.size += len(piece) + 1
        if self.size > _MOST_HELD:
            raise ShapeError(f"a block is longer than {_MOST_HELD} characters")
        self.pieces.append(piece)

    def block(self) -> Block:
        match self.kind:
            case "toolUse":
                text = "".join(self.pieces)
                raw = msgspec.json.encode({"toolUse": {**self.start, "input": _parsed(text)}})
                return Opaque(NAME, "server_tool_use", Raw(raw))
            case "toolResult":
                content = [Raw(piece.encode()) for piece in self.pieces]
                return Opaque(
                    NAME, self.kind, Raw(msgspec.json.encode({"toolResult": {**self.start, "content": content}}))
                )
            case "image":
                return Image(Source(media_type=IMAGES.get(str(self.start.get("format"))), data=_joined(self.pieces)))
            case _:
                return RedactedThinking(_joined(self.pieces), NAME)


def _joined(pieces: list[str]) -> str:
    try:
        return joined_base64(pieces) if pieces else ""
    except ValueError as error:
        raise ShapeError(str(error)) from error


def _parsed(text: str) -> object:
    try:
        raw = (text or "{}").encode()
        _ANY.decode(raw)
        return Raw(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return text


class StreamReader:
    """Satisfies `Reader`. Nothing follows Finished or Failed."""

    __slots__ = ("_begun", "_block", "_given", "_held", "_index", "_over", "_silent", "_stopped")

    def __init__(self) -> None:
        self._begun = False
        self._over = False
        self._stopped = False
        self._index = -1  # of the last block, counted by us
        self._given = -1  # the provider's index of the open block
        self._block: Block | None = None  # the open one
        self._held: _Held | None = None  # or the one that is collected
        self._silent = False  # the open one is a tool call, and no arguments have come

    def feed(self, frame: Frame) -> list[Event]:
        data = frame.data
        if data is None or self._over:
            return []
        try:
            if not data.isascii():
                check_text(data)
            return self._feed(frame.event, data)
        except ShapeError as error:
            raise UpstreamFault(malformed(f"the stream is not one of ConverseStream: {error}")) from error

    def end(self) -> list[Event]:
        """All is said once the stop reason is; the usage that follows it may not come."""
        if self._over:
            return []
        self._over = True
        if self._stopped:
            return [Finished()]
        return [Failed(Fault(kind=FaultKind.TRUNCATED, message="the stream ended before its messageStop"))]

    def _feed(self, event: str | None, data: bytes) -> list[Event]:
        match event:
            case "contentBlockDelta":
                return self._delta(data)
            case "contentBlockStart":
                return self._block_start(data)
            case "contentBlockStop":
                return self._block_stop(decode(_BLOCK_STOP, data, "").content_block_index)
            case "messageStart":
                decode(_ANY, data, "")
                return self._begin()
            case "messageStop":
                return self._message_stop(data)
            case "metadata":
                return self._metadata(data)
            case _ if is_exception(event):
                self._over = True
                return [Failed(read_exception(None if event == ERROR else event, data))]
            case _:
                return []

    def _begin(self) -> list[Event]:
        if self._begun:
            return []
        self._begun = True
        return [Started(None, None)]

    def _open(self, given: int, block: Block) -> list[Event]:
        events = self._close()
        if not self._begun:
            events = [*self._begin(), *events]
        self._index += 1
        self._given = given
        self._block = block
        self._silent = isinstance(block, ToolCall)
        events.append(BlockStarted(self._index, block))
        return events

    def _hold(self, given: int, held: _Held) -> list[Event]:
        events = self._close()
        self._given = given
        self._held = held
        return events if self._begun else [*self._begin(), *events]

    def _block_start(self, data: bytes) -> list[Event]:
        wire = decode(_BLOCK_START, data, "")
        given, start = wire.content_block_index, wire.start
        self._check_unstopped()
        if start.tool_use is not None:
            call = start.tool_use
            if call.type != "server_tool_use":
                return self._open(given, ToolCall(call.tool_use_id, call.name, ""))
            return self._hold(given, _Held("toolUse", msgspec.to_builtins(call)))
        if start.tool_result is not None:
            return self._hold(given, _Held("toolResult", dict(start.tool_result)))
        if start.image is not None:
            return self._hold(given, _Held("image", {"format": start.image.format}))
        return []

    def _delta(self, data: bytes) -> list[Event]:
        wire = decode(_BLOCK_DELTA, data, "")
        given, delta = wire.content_block_index, wire.delta
        if delta.text is not None and given == self._given and type(self._block) is Text:  # as most are
            return [Delta(self._index, 0, delta.text)] if delta.text else []
        self._check_unstopped()
        if delta.text is not None:
            opened = self._open(given, Text(""))
            return [*opened, Delta(self._index, text=delta.text)] if delta.text else opened
        if delta.tool_use is not None:
            return self._arguments(given, delta.tool_use.input)
        if delta.reasoning_content is not None:
            return self._reasoning(given, delta.reasoning_content)
        if told(delta.citation):
            same = given == self._given and isinstance(self._block, Text)
            opened = [] if same else self._open(given, Text(""))
            return [*opened, Delta(self._index, citation=delta.citation)]
        if delta.tool_result is not None:
            self._add(given, "toolResult", [bytes(piece).decode() for piece in delta.tool_result])
        elif delta.image is not None and delta.image.source is not None:
            self._add(given, "image", [delta.image.source.bytes or ""])
        return []

    def _arguments(self, given: int, text: str) -> list[Event]:
        if self._held is not None:
            self._add(given, "toolUse", [text])
            return []
        if given != self._given or not isinstance(self._block, ToolCall):
            raise ShapeError(f"contentBlockIndex: tool call {given} is not open")
        if not text:
            return []
        self._silent = False
        return [Delta(self._index, arguments=text)]

    def _add(self, given: int, kind: str, pieces: list[str]) -> None:
        held = self._held
        if held is None or given != self._given or held.kind != kind:
            raise ShapeError(f"contentBlockIndex: block {given} is not open")
        for piece in pieces:
            held.add(piece)

    def _reasoning(self, given: int, delta: _Reasoning) -> list[Event]:
        if delta.redacted_content is not None:
            same = given == self._given and self._held is not None
            events = [] if same else self._hold(given, _Held(_REDACTED, {}))
            self._add(given, _REDACTED, [delta.redacted_content])
            return events
        same = given == self._given and isinstance(self._block, Thinking)
        events = [] if same else self._open(given, Thinking("", None, NAME))
        if delta.text:
            events.append(Delta(self._index, text=delta.text))
        if delta.signature:
            events.append(Delta(self._index, signature=delta.signature))
        return events

    def _block_stop(self, given: int) -> list[Event]:
        """An empty text has no delta, so nothing of it has come before its end."""
        return self._close() if given == self._given else []

    def _close(self) -> list[Event]:
        """Ends the open block, if there is one. What begins another has said so too."""
        held = self._held
        self._given = -1
        if held is not None:
            self._held = None
            self._index += 1
            return [BlockStarted(self._index, held.block()), BlockEnded(self._index)]
        if self._block is None:
            return []
        events: list[Event] = [Delta(self._index, arguments="{}")] if self._silent else []
        self._block = None
        self._silent = False
        events.append(BlockEnded(self._index))
        return events

    def _message_stop(self, data: bytes) -> list[Event]:
        stop = read_stop(decode(_MESSAGE_STOP, data, "").stop_reason)
        self._check_unstopped()
        self._stopped = True
        events = self._close()
        return [*self._begin(), *events, Stopped(stop)]

    def _metadata(self, data: bytes) -> list[Event]:
        usage = decode(_METADATA, data, "").usage
        events: list[Event] = [] if self._begun else self._begin()
        if usage is not None:
            events.append(Reported(read_usage(usage)))
        if self._stopped:
            self._over = True
            events.append(Finished())
        return events

    def _check_unstopped(self) -> None:
        if self._stopped:
            raise ShapeError("content after messageStop")


def is_exception(event: str | None) -> bool:
    return event is not None and (event == ERROR or event.endswith("Exception"))


class StreamWatcher:
    """Satisfies `Watcher`. Deltas are not decoded: that one came is all there is to know of it.

    Usage needs no hiding: this protocol tells it unasked.
    """

    __slots__ = ("_stopped",)

    def __init__(self, hide_usage: bool) -> None:
        self._stopped = False

    def see(self, frame: Frame) -> Seen:
        data = frame.data
        if data is None:
            return _NOTHING
        event = frame.event
        if event == "contentBlockDelta" or event == "contentBlockStart":
            # Not decoded, but one that is no object at all shows at its ends.
            return _CONTENT if data[:1] == b"{" and data[-1:] == b"}" else _broken()
        try:
            return self._see(event, data)
        except ShapeError as error:
            return Seen(fault=malformed(f"the stream is not one of ConverseStream: {error}"))

    def _see(self, event: str | None, data: bytes) -> Seen:
        if event == "messageStop":
            self._stopped = True
            return Seen(stop=read_stop(decode(_MESSAGE_STOP, data, "").stop_reason))
        if event == "metadata":
            usage = decode(_METADATA, data, "").usage
            return Seen(usage=None if usage is None else read_usage(usage), finished=self._stopped)
        if is_exception(event):
            return Seen(fault=read_exception(None if event == ERROR else event, data))
        return _NOTHING


def _broken() -> Seen:
    return Seen(fault=malformed("the stream is not one of ConverseStream: an event is not a JSON object"))
