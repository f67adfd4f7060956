"""Events → a stream of this protocol, event by event, for callers whose provider speaks another.

Contents, tool calls and citations are counted each for themselves; a text that would stay empty is not begun. Usage
stands in `message-end`, which is held until the provider said that it was done.
"""

from typing import assert_never

import msgspec

from waypost.conversation.blocks import Block, Json, Opaque, Refusal, Text, Thinking, ToolCall
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
from waypost.dialects.cohere.content import Members, is_own_citation, plan_of
from waypost.dialects.cohere.words import reply_id, write_logprobs, write_stop, write_usage
from waypost.dialects.fault_text import clean

_encode = msgspec.json.Encoder().encode
_TEXT_DELTA = (
    b'event: content-delta\ndata: {"type":"content-delta","index":%d,"delta":{"message":{"content":{"text":%b}}}}\n\n'
)
_DONE = b"data: [DONE]\n\n"


class StreamWriter:
    """Satisfies `Writer`. Only the first choice can be carried, and the model has no place."""

    __slots__ = ("_block", "_calls", "_cited", "_contents", "_failed", "_open", "_started", "_stop", "_usage")

    def __init__(self, request_model: str, include_usage: bool) -> None:
        self._started = False
        self._failed = False
        self._block: Block | None = None  # the block that the events are in
        self._open = False  # whether its start is written
        self._contents = -1  # places of the last ones written
        self._calls = -1
        self._cited = -1
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
                return b"" if self._started else self._start(event.id)
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
        """As Cohere tells that a generation broke off: there is no other event for it."""
        if self._failed:
            return b""
        self._failed = True
        delta: Members = {"finish_reason": "ERROR", "error": clean(error.message)}
        event: Members = {"type": "message-end", "delta": delta}
        if error.detail is not None:
            event["waypost"] = error.detail
        return _event("message-end", event)

    def _start(self, given: str | None) -> bytes:
        self._started = True
        message: Members = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        return _event("message-start", {"type": "message-start", "id": reply_id(given), "delta": {"message": message}})

    def _block_started(self, block: Block) -> bytes:
        closed = self._close()
        self._block = block
        match block:
            case Text():
                cited = b"".join([self._citation(citation) for citation in block.citations])
                return closed + (self._text(block.text) if block.text else b"") + cited
            case Refusal() | Thinking():
                return closed + (self._text(block.text) if block.text else b"")
            case ToolCall():
                return closed + self._start_call(block)
            case Opaque():
                plan = plan_of(block)
                if plan is None:
                    return closed
                delta = {"message": {"tool_plan": plan}}
                return closed + self._written("tool-plan-delta", {"type": "tool-plan-delta", "delta": delta})
            case _:
                return closed

    def _start_call(self, call: ToolCall) -> bytes:
        self._calls += 1
        self._open = True
        function = {"name": call.name, "arguments": call.arguments}
        calls = {"id": call.id, "type": "function", "function": function}
        return self._written("tool-call-start", self._placed("tool-call-start", {"tool_calls": calls}))

    def _delta(self, delta: Delta) -> bytes:
        block = self._block
        if delta.text:
            return self._text(delta.text) if isinstance(block, Text | Thinking | Refusal) else b""
        if delta.arguments:
            if not isinstance(block, ToolCall):
                return b""
            calls = {"function": {"arguments": delta.arguments}}
            return _event("tool-call-delta", self._placed("tool-call-delta", {"tool_calls": calls}))
        if delta.citation is not None:
            return self._citation(delta.citation)
        if delta.logprobs is not None and isinstance(block, Text | Thinking | Refusal):
            return self._logprobs(delta.logprobs)
        return b""

    def _text(self, text: str) -> bytes:
        opened = b"" if self._open else self._opened()
        if isinstance(self._block, Thinking):
            delta = self._placed("content-delta", {"content": {"thinking": text}})
            return opened + _event("content-delta", delta)
        return opened + _TEXT_DELTA % (self._contents, _encode(text))

    def _citation(self, citation: Json) -> bytes:
        if not isinstance(self._block, Text) or not is_own_citation(citation):
            return b""
        opened = self._opened()
        self._cited += 1
        start = {"type": "citation-start", "index": self._cited, "delta": {"message": {"citations": citation}}}
        end = {"type": "citation-end", "index": self._cited}
        return opened + _event("citation-start", start) + _event("citation-end", end)

    def _logprobs(self, logprobs: Json) -> bytes:
        """Each in a delta of no text: the words that they are of are out already."""
        opened = self._opened()
        kind = "thinking" if isinstance(self._block, Thinking) else "text"
        deltas = [
            _event("content-delta", {**self._placed("content-delta", {"content": {kind: ""}}), "logprobs": item})
            for item in write_logprobs(logprobs)
        ]
        return opened + b"".join(deltas)

    def _opened(self) -> bytes:
        """The start of the current text, if it is not written yet."""
        if self._open:
            return b""
        self._open = True
        self._contents += 1
        kind = "thinking" if isinstance(self._block, Thinking) else "text"
        return self._written("content-start", self._placed("content-start", {"content": {"type": kind, kind: ""}}))

    def _placed(self, kind: str, message: Members) -> Members:
        place = self._calls if isinstance(self._block, ToolCall) else self._contents
        return {"type": kind, "index": place, "delta": {"message": message}}

    def _written(self, kind: str, event: Members) -> bytes:
        start = b"" if self._started else self._start(None)
        return start + _event(kind, event)

    def _close(self) -> bytes:
        was_open, block = self._open, self._block
        self._block = None
        self._open = False
        if not was_open:
            return b""
        if isinstance(block, ToolCall):
            return _event("tool-call-end", {"type": "tool-call-end", "index": self._calls})
        return _event("content-end", {"type": "content-end", "index": self._contents})

    def _finish(self) -> bytes:
        start = b"" if self._started else self._start(None)
        delta: Members = {"finish_reason": None if self._stop is None else write_stop(self._stop)}
        usage = write_usage(self._usage)
        if usage is not None:
            delta["usage"] = usage
        return start + self._close() + _event("message-end", {"type": "message-end", "delta": delta}) + _DONE


def _event(kind: str, data: Members) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _encode(data) + b"\n\n"
