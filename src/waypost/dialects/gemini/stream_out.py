"""Events → a stream of this protocol, for callers whose provider speaks another: server-sent events or a JSON array.

A tool call comes whole here, so its arguments are held until its block ends. Why each candidate finished stands in the
last piece, beside the usage, and is held until the provider said that it was done.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from waypost.conversation.blocks import Block, Opaque, Refusal, Text, Thinking, ToolCall
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
from waypost.conversation.faults import CallerError, Fault, FaultKind, UpstreamFault, broken_off
from waypost.conversation.fold import merge_usage
from waypost.conversation.reply import Stop, Usage
from waypost.dialects.gemini.faults import write_fault
from waypost.dialects.gemini.logprobs import write_logprobs
from waypost.dialects.gemini.parts_out import BESIDE, reply_part, thought_out
from waypost.dialects.gemini.reply import sources
from waypost.dialects.gemini.words import (
    NAME,
    blocked_reason,
    response_id,
    signature_out,
    stop_word,
    write_time,
    write_usage,
)

HELD_LIMIT = 16 * 1024 * 1024  # characters of one call's arguments

_encode = msgspec.json.Encoder().encode


class _Speaking:
    """One choice, as far as it is written."""

    __slots__ = ("arguments", "block", "held", "refused", "said", "signature", "stop", "thought")

    def __init__(self) -> None:
        self.block: Block | None = None  # that the events are in
        self.arguments: list[str] = []  # of the open tool call
        self.held = 0
        self.thought = False  # words of the open block of thinking are out
        self.signature: list[str] = []  # of the open block of thinking, then for the part that follows it
        self.refused = False
        self.said = False
        self.stop: Stop | None = None


class StreamWriter:
    """Satisfies `Writer`.

    As an array, a writer that is given no model's name goes on with an array that others began: it is asked for the
    error that ends a relayed stream, and for nothing else.
    """

    __slots__ = ("_array", "_choices", "_failed", "_head", "_model", "_open", "_usage")

    def __init__(self, request_model: str, include_usage: bool, *, array: bool = False) -> None:
        self._model = request_model
        self._array = array
        self._open = array and not request_model  # an element of the array is out
        self._head = b""
        self._failed = False
        self._choices: dict[int, _Speaking] = {}
        self._usage: Usage | None = None

    def write(self, event: Event) -> bytes:
        if self._failed:
            return b""
        match event:
            case Delta():
                return self._delta(event)
            case BlockStarted():
                return self._block_started(event)
            case BlockEnded():
                return self._block_ended(event.choice)
            case Started():
                self._begin(event)
                return b""
            case Stopped():
                self._speaking(event.choice).stop = event.stop
                return b""
            case Reported():
                self._usage = merge_usage(self._usage, event.usage)
                return b""
            case Finished():
                return self._finish()
            case Failed():
                return self.fail(broken_off(event.fault))

    def fail(self, error: CallerError) -> bytes:
        """The array is closed behind the error, so that it can be read."""
        if self._failed:
            return b""
        self._failed = True
        return self._framed(write_fault(error)) + (b"]" if self._array else b"")

    def _framed(self, piece: bytes) -> bytes:
        if not self._array:
            if b"\n" in piece or b"\r" in piece:  # JSON as it was received, which an event's line can't hold
                piece = msgspec.json.format(piece, indent=-1)
            return b"data: %b\n\n" % piece
        if self._open:
            return b",\n" + piece
        self._open = True
        return b"[" + piece

    def _begin(self, started: Started) -> None:
        head: dict[str, object] = {
            "modelVersion": started.model or self._model,
            "responseId": response_id(started.id),
        }
        if started.created is not None and (created := write_time(started.created)) is not None:
            head["createTime"] = created
        self._head = b"," + _encode(head)[1:]

    def _piece(self, members: bytes) -> bytes:
        if not self._head:
            self._begin(Started(None, None))
        return self._framed(members + self._head)

    def _part(self, choice: int, part: bytes) -> bytes:
        return self._piece(b'{"candidates":[{"content":{"parts":[%b],"role":"model"},"index":%d}]' % (part, choice))

    def _beside(self, choice: int, name: str, value: object) -> bytes:
        """A member of the candidate beside its content."""
        return self._piece(_encode({"candidates": [{name: value, "index": choice}]})[:-1])

    def _speaking(self, choice: int) -> _Speaking:
        speaking = self._choices.get(choice)
        if speaking is None:
            speaking = self._choices[choice] = _Speaking()
        return speaking

    def _block_started(self, event: BlockStarted) -> bytes:
        choice, block = event.choice, event.block
        speaking = self._speaking(choice)
        before = b""
        if isinstance(block, Thinking) and speaking.signature:
            before = self._signed_nothing(choice, speaking)
        speaking.block = block
        speaking.said = True
        match block:
            case Text() | Refusal():
                speaking.refused = speaking.refused or isinstance(block, Refusal)
                written = self._text(choice, speaking, block.text) if block.text else b""
                citations = block.citations if isinstance(block, Text) else ()
                return written + b"".join([self._citation(choice, citation) for citation in citations])
            case Thinking():
                speaking.thought = False
                written = self._text(choice, speaking, block.text) if block.text else b""
                if block.signature:
                    speaking.signature.append(block.signature)
                return before + written
            case ToolCall():
                speaking.arguments = [block.arguments] if block.arguments else []
                speaking.held = len(block.arguments)
                return b""
            case Opaque() if block.dialect == NAME and block.kind in BESIDE:
                return self._beside(choice, f"{block.kind}Metadata", block.raw)
            case _:
                part = reply_part(block)
                return b"" if part is None else self._signed(choice, speaking, part)

    def _delta(self, delta: Delta) -> bytes:
        choice = delta.choice
        speaking = self._speaking(choice)
        if delta.text is not None:
            return self._text(choice, speaking, delta.text) if delta.text else b""
        if delta.arguments is not None:
            if isinstance(speaking.block, ToolCall):
                self._hold(speaking, delta.arguments)
            return b""
        if delta.signature is not None:
            if isinstance(speaking.block, Thinking):
                speaking.signature.append(delta.signature)
            return b""
        if delta.citation is not None:
            return self._citation(choice, delta.citation)
        if delta.logprobs is not None:
            logprobs = write_logprobs(delta.logprobs)
            return b"" if logprobs is None else self._beside(choice, "logprobsResult", logprobs)
        return b""

    def _hold(self, speaking: _Speaking, arguments: str) -> None:
        speaking.held += len(arguments)
        if speaking.held > HELD_LIMIT:
            message = f"the arguments of a tool call are longer than {HELD_LIMIT} characters"
            raise UpstreamFault(Fault(kind=FaultKind.MALFORMED, message=message))
        speaking.arguments.append(arguments)

    def _text(self, choice: int, speaking: _Speaking, text: str) -> bytes:
        block = speaking.block
        if isinstance(block, Thinking):
            speaking.thought = True
            return self._part(choice, b'{"text":%b,"thought":true}' % _encode(text))
        if not isinstance(block, Text | Refusal):
            return b""
        if speaking.signature:
            return self._signed(choice, speaking, {"text": text})
        return self._part(choice, b'{"text":%b}' % _encode(text))

    def _signed(self, choice: int, speaking: _Speaking, part: dict[str, object] | Raw) -> bytes:
        """A part with the signature that came before it."""
        if not speaking.signature:
            return self._part(choice, _encode(part))
        if not isinstance(part, dict):
            return self._signed_nothing(choice, speaking) + self._part(choice, _encode(part))
        part["thoughtSignature"] = "".join(speaking.signature)
        speaking.signature.clear()
        return self._part(choice, _encode(part))

    def _signed_nothing(self, choice: int, speaking: _Speaking) -> bytes:
        return self._signed(choice, speaking, {"text": ""})

    def _citation(self, choice: int, citation: Raw) -> bytes:
        own = sources(citation)
        return self._beside(choice, "citationMetadata", {"citationSources": own}) if own else b""

    def _block_ended(self, choice: int) -> bytes:
        speaking = self._speaking(choice)
        block, speaking.block = speaking.block, None
        if isinstance(block, ToolCall):
            call = ToolCall(block.id, block.name, "".join(speaking.arguments))
            speaking.arguments = []
            part = reply_part(call)
            return b"" if part is None else self._signed(choice, speaking, part)
        if isinstance(block, Thinking) and speaking.signature:
            signature = signature_out("".join(speaking.signature), block.origin)
            speaking.signature.clear()
            if signature is None:
                return b""
            if speaking.thought:
                return self._part(choice, _encode(thought_out("", signature)))
            speaking.signature.append(signature)
        return b""

    def _finish(self) -> bytes:
        before = b"".join(
            [self._signed_nothing(choice, speaking) for choice, speaking in self._choices.items() if speaking.signature]
        )
        last = self._last([(choice, self._choices[choice]) for choice in sorted(self._choices)])
        usage = write_usage(self._usage)
        if usage is not None:
            last["usageMetadata"] = usage
        return before + self._piece(_encode(last)[:-1]) + (b"]" if self._array else b"")

    def _last(self, speaking: Sequence[tuple[int, _Speaking]]) -> dict[str, object]:
        if len(speaking) == 1 and not speaking[0][1].said:
            reason = blocked_reason(speaking[0][1].stop)
            if reason is not None:
                return {"promptFeedback": {"blockReason": reason}}
        return {
            "candidates": [
                {
                    "content": {"parts": [{"text": ""}], "role": "model"},
                    "finishReason": stop_word(each.stop, refused=each.refused),
                    "index": choice,
                }
                for choice, each in speaking
                if each.stop is not None
            ]
        }


def array_writer(request_model: str, include_usage: bool) -> StreamWriter:
    """The writer of the form of a stream that is one JSON array."""
    return StreamWriter(request_model, include_usage, array=True)
