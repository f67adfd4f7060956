"""Events → a stream of this protocol, event by event, for callers whose provider speaks another.

Blocks follow one another without gaps; one that would stay empty is not begun. Usage is told by others last, so the
true numbers, input included, stand in `message_delta`; that is held until the provider said that it was done.

Thinking is ended late: another provider's signature may come in a block of its own, and belongs to the words before it.
Callers who work on their own history (Claude Code) send back no thinking without words, and take what comes last for
the answer: such a signature stands by itself only where no words came before, and never at the end.
"""

from typing import assert_never

import msgspec

from waypost.conversation.blocks import (
    Audio,
    Block,
    Document,
    Image,
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
from waypost.dialects.anthropic.blocks_out import is_own_citation, reply_block_out, tool_id
from waypost.dialects.anthropic.faults import write_fault
from waypost.dialects.anthropic.reply import message_id
from waypost.dialects.anthropic.words import NAME, stop_word, write_usage

_ENCODER = msgspec.json.Encoder()
_TEXT_DELTA = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":%b}}\n\n'
)
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class StreamWriter:
    """Satisfies `Writer`. Only the first choice can be carried."""

    __slots__ = (
        "_block",
        "_failed",
        "_foreign",
        "_index",
        "_lone",
        "_model",
        "_open",
        "_refused",
        "_started",
        "_stop",
        "_unended",
        "_usage",
    )

    def __init__(self, request_model: str, include_usage: bool) -> None:
        self._model = request_model
        self._started = False
        self._failed = False
        self._index = -1  # of the last block written
        self._block: Block | None = None  # the block that the events are in
        self._open = False  # whether its start is written
        self._foreign = ""  # another provider's signature of it, as far as it has come
        self._unended = False  # the last block written is unsigned thinking whose end is not written
        self._lone = ""  # a signature without words that waits for what follows it
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
                return self._start(event)
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
        return b"event: error\ndata: " + write_fault(error) + b"\n\n"

    def _start(self, event: Started) -> bytes:
        if self._started:
            return b""
        self._started = True
        message: dict[str, object] = {
            "id": message_id(event.id, event.model, event.created),
            "type": "message",
            "role": "assistant",
            "model": event.model or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(self._usage),
        }
        return _event(b"message_start", {"type": "message_start", "message": message})

    def _block_started(self, block: Block) -> bytes:
        closed = self._close()
        self._block = block
        self._refused = self._refused or isinstance(block, Refusal)
        match block:
            case Text() | Thinking() | Refusal():
                return closed + self._first(block)
            case ToolCall():
                opened = self._open_block(
                    {"type": "tool_use", "id": tool_id(block.id), "name": block.name, "input": {}}
                )
                return closed + opened + (self._json(block.arguments) if block.arguments else b"")
            case RedactedThinking() | Opaque():
                if isinstance(block, Opaque) and block.dialect != NAME:
                    return closed
                return closed + self._open_block(reply_block_out(block))
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
            return self._json(delta.arguments) if isinstance(block, ToolCall) else b""
        if delta.signature:
            return self._signature(delta.signature)
        if delta.citation is not None:
            return self._citation(delta.citation)
        if delta.opaque is not None and isinstance(block, Opaque) and block.dialect == NAME:
            return self._write_delta(delta.opaque)
        return b""

    def _text(self, text: str) -> bytes:
        opened = b"" if self._open else self._opened()
        if isinstance(self._block, Thinking):
            return opened + self._write_delta({"type": "thinking_delta", "thinking": text})
        return opened + _TEXT_DELTA % (self._index, _ENCODER.encode(text))

    def _json(self, arguments: str) -> bytes:
        return self._write_delta({"type": "input_json_delta", "partial_json": arguments})

    def _signature(self, signature: str) -> bytes:
        if not isinstance(self._block, Thinking):
            return b""
        if self._block.origin != NAME:
            self._foreign += signature if self._block.origin else ""  # its mark goes before the whole of it
            return b""
        return self._opened() + self._signed(signature)

    def _signed(self, signature: str) -> bytes:
        return self._write_delta({"type": "signature_delta", "signature": signature})

    def _citation(self, citation: msgspec.Raw) -> bytes:
        if not isinstance(self._block, Text) or not is_own_citation(citation):
            return b""
        return self._opened() + self._write_delta({"type": "citations_delta", "citation": citation})

    def _opened(self) -> bytes:
        """The start of the current block of text, if it is not written yet."""
        if self._open:
            return b""
        if isinstance(self._block, Thinking):
            return self._open_block({"type": "thinking", "thinking": "", "signature": ""})
        return self._open_block({"type": "text", "text": ""})

    def _open_block(self, content: object) -> bytes:
        start = b"" if self._started else self._start(Started(None, None))
        return start + self._end_thinking() + self._write_lone() + self._begin(content)

    def _begin(self, content: object) -> bytes:
        self._index += 1
        self._open = True
        return _event(
            b"content_block_start", {"type": "content_block_start", "index": self._index, "content_block": content}
        )

    def _end_thinking(self) -> bytes:
        if not self._unended:
            return b""
        self._unended = False
        return self._ended()

    def _write_lone(self) -> bytes:
        signature, self._lone = self._lone, ""
        if not signature:
            return b""
        begun = self._begin({"type": "thinking", "thinking": "", "signature": ""})
        return begun + self._signed(signature) + self._ended()

    def _ended(self) -> bytes:
        return b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % self._index

    def _write_delta(self, delta: object) -> bytes:
        return _event(b"content_block_delta", {"type": "content_block_delta", "index": self._index, "delta": delta})

    def _close(self) -> bytes:
        block, was_open = self._block, self._open
        foreign, self._foreign = self._foreign, ""
        self._block = None
        self._open = False
        if isinstance(block, Thinking) and block.origin != NAME:
            signature = carried(foreign, block.origin, NAME) if foreign else None
            return self._close_foreign(signature, was_open=was_open)
        return self._ended() if was_open else b""

    def _close_foreign(self, signature: str | None, *, was_open: bool) -> bytes:
        """Ends another provider's thinking. `was_open`: it has words."""
        if signature is None:
            self._unended = self._unended or was_open
            return b""
        if was_open or self._unended:
            self._unended = False
            return self._signed(signature) + self._ended()
        before = self._start(Started(None, None)) + self._write_lone()
        self._open = False
        self._lone = signature
        return before

    def _finish(self) -> bytes:
        start = b"" if self._started else self._start(Started(None, None))
        rest = self._close() + self._end_thinking() + (self._write_lone() if self._index < 0 else b"")
        stop = self._stop
        delta = {
            "stop_reason": None if stop is None else stop_word(stop, refused=self._refused),
            "stop_sequence": None if stop is None else stop.sequence,
        }
        usage = write_usage(self._usage)
        end = _event(b"message_delta", {"type": "message_delta", "delta": delta, "usage": usage})
        return start + rest + end + _STOP


def _event(name: bytes, data: object) -> bytes:
    return b"event: " + name + b"\ndata: " + _ENCODER.encode(data) + b"\n\n"
