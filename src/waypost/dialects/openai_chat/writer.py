"""Events written as a stream of `chat.completion.chunk` frames, as OpenAI's own SDK reads them."""

from typing import assert_never

import msgspec

from waypost.conversation.blocks import (
    Audio,
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
from waypost.conversation.faults import CallerError
from waypost.conversation.fold import merge_usage
from waypost.conversation.reply import Usage
from waypost.dialects.openai_chat.reply import is_annotation, write_audio
from waypost.dialects.openai_chat.words import NAME, reply_id, write_stop, write_usage
from waypost.dialects.openai_errors import write_fault

_encode = msgspec.json.encode


class _OpenBlock:
    __slots__ = ("call", "has_arguments", "kind", "thought")

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.call = -1  # place among the choice's tool calls
        self.has_arguments = False
        self.thought = ""  # origin of a thinking block


class ChatWriter:
    """Satisfies `Writer`. `[DONE]` is written at `Finished` and nowhere else."""

    __slots__ = ("_calls", "_head", "_include_usage", "_model", "_open", "_roles", "_usage")

    def __init__(self, model: str, include_usage: bool) -> None:
        self._model = model
        self._include_usage = include_usage
        self._head = b""
        self._roles: set[int] = set()  # choices whose first chunk is out
        self._open: dict[int, _OpenBlock] = {}  # by choice
        self._calls: dict[int, int] = {}  # tool calls begun, by choice
        self._usage: Usage | None = None

    def write(self, event: Event) -> bytes:
        match event:
            case Delta():
                return self._delta(event)
            case BlockStarted():
                return self._block(event)
            case BlockEnded():
                return self._block_end(event.choice)
            case Started():
                self._begin(event)
                return self._role(0)
            case Stopped():
                return self._role(event.choice) + self._chunk(event.choice, {}, write_stop(event.stop.kind))
            case Reported():
                self._usage = merge_usage(self._usage, event.usage)
                return b""
            case Finished():
                return self._end()
            case Failed():
                return b""  # the caller's words for it come through `fail`
            case _:
                assert_never(event)

    def fail(self, error: CallerError) -> bytes:
        return b"data: " + write_fault(error) + b"\n\n"

    def _begin(self, started: Started) -> None:
        head = {
            "id": reply_id(started.id),
            "object": "chat.completion.chunk",
            "created": started.created or 0,
            "model": started.model or self._model,
        }
        self._head = b"data: " + _encode(head)[:-1] + b',"choices":['

    def _role(self, choice: int) -> bytes:
        if choice in self._roles:
            return b""
        self._roles.add(choice)
        return self._chunk(choice, {"role": "assistant", "content": ""})

    def _chunk(self, choice: int, delta: dict[str, object], stop: str | None = None) -> bytes:
        return self._piece(choice, _encode(delta), b"null", b"null" if stop is None else _encode(stop))

    def _piece(self, choice: int, delta: bytes, logprobs: bytes = b"null", stop: bytes = b"null") -> bytes:
        if not self._head:
            self._begin(Started(None, None))
        return b'%b{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b}]}\n\n' % (
            self._head,
            choice,
            delta,
            logprobs,
            stop,
        )

    def _block(self, event: BlockStarted) -> bytes:
        choice = event.choice
        block = event.block
        opened = self._open[choice] = _OpenBlock(type(block))
        role = self._role(choice)
        match block:
            case ToolCall():
                opened.call = self._calls.get(choice, 0)
                self._calls[choice] = opened.call + 1
                opened.has_arguments = bool(block.arguments)
                function = {"name": block.name, "arguments": block.arguments}
                call = {"index": opened.call, "id": block.id, "type": "function", "function": function}
                return role + self._chunk(choice, {"tool_calls": [call]})
            case Text(text=text) | Refusal(text=text) | Thinking(text=text):
                if isinstance(block, Thinking):
                    opened.thought = block.origin or ""
                return role + (self._text(choice, opened, text) if text else b"")
            case Audio():
                return role + self._chunk(choice, {"audio": write_audio(block)})
            case RedactedThinking():
                if block.origin != NAME:
                    return role
                return role + self._details(choice, {"type": "reasoning.encrypted", "data": block.data})
            case Image() | Document() | ToolResult() | Opaque():
                return role  # no answer of this protocol has them
            case _:
                assert_never(block)

    def _delta(self, event: Delta) -> bytes:
        choice = event.choice
        opened = self._open.get(choice)
        if opened is None:
            return b""
        if event.text is not None:
            return self._text(choice, opened, event.text)
        if event.arguments is not None:
            return self._arguments(choice, opened, event.arguments)
        if event.signature is not None:
            if opened.thought != NAME:
                return b""
            return self._details(choice, {"type": "reasoning.text", "signature": event.signature})
        if event.citation is not None and is_annotation(event.citation):
            return self._chunk(choice, {"annotations": [event.citation]})
        if event.logprobs is not None and b'"token"' in bytes(event.logprobs):
            return self._piece(choice, b"{}", bytes(event.logprobs))
        return b""

    def _text(self, choice: int, opened: _OpenBlock, text: str) -> bytes:
        kind = opened.kind
        if kind is Text:
            return self._piece(choice, b'{"content":' + _encode(text) + b"}")
        if kind is Thinking:
            return self._piece(choice, b'{"reasoning_content":' + _encode(text) + b"}")
        if kind is Refusal:
            return self._piece(choice, b'{"refusal":' + _encode(text) + b"}")
        return b""

    def _arguments(self, choice: int, opened: _OpenBlock, arguments: str) -> bytes:
        if opened.kind is not ToolCall or not arguments:
            return b""
        opened.has_arguments = True
        delta = b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % (opened.call, _encode(arguments))
        return self._piece(choice, delta)

    def _block_end(self, choice: int) -> bytes:
        """Clients parse a call's arguments as JSON, so a call without any gets an empty object."""
        opened = self._open.pop(choice, None)
        if opened is not None and opened.kind is ToolCall and not opened.has_arguments:
            return self._arguments(choice, opened, "{}")
        return b""

    def _details(self, choice: int, detail: dict[str, object]) -> bytes:
        return self._chunk(choice, {"reasoning_details": [detail]})

    def _end(self) -> bytes:
        usage = write_usage(self._usage) if self._include_usage else None
        if usage is None:
            return b"data: [DONE]\n\n"
        if not self._head:
            self._begin(Started(None, None))
        return self._head + b'],"usage":' + _encode(usage) + b"}\n\ndata: [DONE]\n\n"
