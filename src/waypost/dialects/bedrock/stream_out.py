"""Events → a stream of this protocol, message by message, for callers whose provider speaks another.

Blocks follow one another without gaps; one that would stay empty is not begun. `messageStop` is the end mark here, so
it is held until the provider said that it was done; usage comes after it.
"""

from typing import assert_never

import msgspec
from msgspec import Raw, Struct

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
from waypost.conversation.faults import CallerError, broken_off
from waypost.conversation.fold import merge_usage
from waypost.conversation.reply import Stop, Usage
from waypost.conversation.signatures import carried
from waypost.dialects.bedrock.blocks_out import is_own_citation, redacted_out, tool_id
from waypost.dialects.bedrock.faults import stream_exception, write_fault
from waypost.dialects.bedrock.words import NAME, stop_word, write_usage
from waypost.wire.eventstream import event as framed
from waypost.wire.eventstream import event_framer, exception

_encode = msgspec.json.Encoder().encode
_framed_delta = event_framer("contentBlockDelta")


class _Whole(Struct, frozen=True, rename="camel"):
    """What an opaque block of this dialect holds, where a stream can tell it."""

    tool_use: dict[str, Raw] | None = None
    tool_result: dict[str, Raw] | None = None


_WHOLE = msgspec.json.Decoder(_Whole)
_PARTS = msgspec.json.Decoder(list[Raw])


class StreamWriter:
    """Satisfies `Writer`. Only the first choice can be carried. The protocol tells no model, and usage unasked."""

    __slots__ = ("_block", "_failed", "_index", "_marked", "_open", "_refused", "_started", "_stop", "_usage")

    def __init__(self, request_model: str, include_usage: bool) -> None:
        self._started = False
        self._failed = False
        self._index = -1  # of the last block written
        self._block: Block | None = None  # the block that the events are in
        self._open = False  # whether something of it is written
        self._marked = False  # whether its signature was told to be foreign
        self._refused = False  # what was said is a refusal
        self._stop: Stop | None = None
        self._usage: Usage | None = None

    def write(self, event: Event) -> bytes:
        if self._failed:
            return b""
        match event:
            case Delta():
                return self._delta(event) if event.choice == 0 else b""
            case BlockStarted():
                return self._block_started(event.block) if event.choice == 0 else b""
            case BlockEnded():
                return self._close() if event.choice == 0 else b""
            case Started():
                return self._start()
            case Stopped():
                if event.choice == 0:
                    self._stop = event.stop
                return b""
            case Reported():
                self._usage = merge_usage(self._usage, event.usage)
                return b""
            case Finished():
                return self._finish()
            case Failed():
                return self.fail(broken_off(event.fault))
            case _:
                assert_never(event)

    def fail(self, error: CallerError) -> bytes:
        if self._failed:
            return b""
        self._failed = True
        return exception(stream_exception(error), write_fault(error))

    def _start(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        return framed("messageStart", b'{"role":"assistant"}')

    def _block_started(self, block: Block) -> bytes:
        closed = self._close()
        self._block = block
        self._refused = self._refused or isinstance(block, Refusal)
        match block:
            case Text() | Thinking() | Refusal():
                return closed + self._first(block)
            case ToolCall():
                opened = self._begin({"toolUse": {"toolUseId": tool_id(block.id), "name": block.name}})
                return closed + opened + (self._input(block.arguments) if block.arguments else b"")
            case RedactedThinking():
                marked = block.origin != NAME
                written = redacted_out(carried(block.data, block.origin, NAME), marked=marked)
                return closed + self._write_delta(written)
            case Opaque():
                return closed + (self._whole(block.raw) if block.dialect == NAME else b"")
            case Image() | Document() | Audio() | ToolResult():
                return closed
            case _:
                assert_never(block)

    def _first(self, block: Text | Thinking | Refusal) -> bytes:
        """What a block of text already holds at its start: as a rule nothing."""
        written = self._text(block.text) if block.text else b""
        if isinstance(block, Thinking) and block.signature:
            written += self._signature(block.signature)
        if isinstance(block, Text):
            written += b"".join([self._citation(citation) for citation in block.citations])
        return written

    def _delta(self, delta: Delta) -> bytes:
        block = self._block
        if delta.text:
            return self._text(delta.text) if isinstance(block, Text | Thinking | Refusal) else b""
        if delta.arguments:
            return self._input(delta.arguments) if isinstance(block, ToolCall) else b""
        if delta.signature:
            return self._signature(delta.signature)
        if delta.citation is not None:
            return self._citation(delta.citation)
        return b""

    def _text(self, text: str) -> bytes:
        if isinstance(self._block, Thinking):
            return self._write_delta({"reasoningContent": {"text": text}})
        begun = b"" if self._open else self._count()
        written = _framed_delta(b'{"contentBlockIndex":%d,"delta":{"text":%b}}' % (self._index, _encode(text)))
        return begun + written if begun else written

    def _input(self, arguments: str) -> bytes:
        return self._write_delta({"toolUse": {"input": arguments}})

    def _signature(self, signature: str) -> bytes:
        """The whole of a foreign one comes at once, as a rule; a second piece needs no mark."""
        block = self._block
        if not isinstance(block, Thinking):
            return b""
        said = signature if self._marked else carried(signature, block.origin, NAME)
        self._marked = True
        return self._write_delta({"reasoningContent": {"signature": said}})

    def _citation(self, citation: Json) -> bytes:
        if not isinstance(self._block, Text) or not is_own_citation(citation):
            return b""
        return self._write_delta({"citation": citation})

    def _whole(self, raw: Json) -> bytes:
        """A server tool's call or result, in the pieces in which a stream tells it."""
        try:
            told = _WHOLE.decode(raw)
            if told.tool_use is not None:
                input_ = told.tool_use.pop("input", Raw(b"{}"))
                return self._begin({"toolUse": told.tool_use}) + self._input(bytes(input_).decode())
            if told.tool_result is not None:
                content = _PARTS.decode(told.tool_result.pop("content", Raw(b"[]")))
                return self._begin({"toolResult": told.tool_result}) + self._write_delta({"toolResult": content})
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return b""
        return b""

    def _begin(self, start: object) -> bytes:
        """The start of a block that has one."""
        begun = self._count()
        return begun + framed("contentBlockStart", _encode({"contentBlockIndex": self._index, "start": start}))

    def _write_delta(self, delta: object) -> bytes:
        begun = b"" if self._open else self._count()
        return begun + _framed_delta(_encode({"contentBlockIndex": self._index, "delta": delta}))

    def _count(self) -> bytes:
        self._index += 1
        self._open = True
        return self._start()

    def _close(self) -> bytes:
        was_open = self._open
        self._block = None
        self._open = False
        self._marked = False
        return framed("contentBlockStop", b'{"contentBlockIndex":%d}' % self._index) if was_open else b""

    def _finish(self) -> bytes:
        written = self._start() + self._close()
        if self._stop is not None:
            word = stop_word(self._stop, refused=self._refused)
            written += framed("messageStop", _encode({"stopReason": word}))
        if self._usage is not None:
            written += framed("metadata", _encode({"usage": write_usage(self._usage)}))
        return written
