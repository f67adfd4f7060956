"""A provider's stream of `chat.completion.chunk` frames, read into events or watched while it is relayed.

Knows what OpenAI-like servers really send: chunks without choices, usage in any chunk, ids only once or in every chunk,
parallel calls under one index, an error where a chunk should be, no `[DONE]` at the end.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import (
    Audio,
    Block,
    Json,
    Opaque,
    RedactedThinking,
    Refusal,
    Source,
    Text,
    Thinking,
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
from waypost.conversation.faults import Fault, FaultKind, UpstreamFault
from waypost.conversation.reply import Usage
from waypost.dialects.dialect import Seen
from waypost.dialects.openai_chat.calls import PendingCalls
from waypost.dialects.openai_chat.faults import not_read
from waypost.dialects.openai_chat.reply import (
    Function,
    ReasoningDetail,
    WireAudio,
    WireToolCall,
    is_custom,
    read_part,
)
from waypost.dialects.openai_chat.words import NAME, NULL, NULL_TEXT, read_stop, read_usage
from waypost.dialects.openai_errors import read_error
from waypost.wire.frames import Frame

DONE = b"[DONE]"
AUDIO_LIMIT = 32 * 1024 * 1024  # characters of one answer's sound


class WireCallDelta(WireToolCall, gc=False):
    index: int | None = None


class _Delta(Struct, gc=False):
    content: Any = None
    refusal: str | None = None
    reasoning: Any = None
    reasoning_content: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    tool_calls: list[WireCallDelta] | None = None
    function_call: Function | None = None
    annotations: list[Raw] | None = None
    audio: WireAudio | None = None


class _Choice(Struct, gc=False):
    index: int | None = 0
    delta: _Delta | None = None
    finish_reason: str | None = None
    logprobs: Raw = NULL


class _Groq(Struct, gc=False):
    usage: Raw = NULL


class Chunk(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[_Choice] | None = None
    usage: Raw = NULL
    x_groq: _Groq | None = None
    error: Raw = NULL


_chunk_decoder = Decoder(Chunk)


def read_chunk(frame: Frame, *, is_carried: bool = False) -> Chunk:
    """Raises UpstreamFault: MALFORMED, or TRUNCATED if the frame is the stump of one.

    `is_carried`: into another form, so that all of it must be text, also where msgspec does not look.
    """
    data = frame.data or b""
    try:
        if is_carried and not data.isascii():
            data.decode()
        return _chunk_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if not frame.raw.endswith((b"\n", b"\r")):
            raise UpstreamFault(truncated()) from None
        raise UpstreamFault(not_read("a frame of the stream is not a chat completion chunk", data, error)) from None


def truncated() -> Fault:
    return Fault(kind=FaultKind.TRUNCATED, message="the stream ended before the answer was whole")


def chunk_usage(chunk: Chunk) -> Usage | None:
    usage = read_usage(chunk.usage) if len(chunk.usage) > len(NULL) else None  # null stands in most chunks
    return read_usage(chunk.x_groq.usage) if usage is None and chunk.x_groq is not None else usage


class ChatReader:
    """Satisfies `Reader`."""

    __slots__ = ("_choices", "_finished", "_started", "_told")

    def __init__(self) -> None:
        self._choices: dict[int, _ChoiceReader] = {}
        self._told = Chunk()  # id, model and created as far as they are told before the first choice
        self._started = False
        self._finished = False

    def feed(self, frame: Frame) -> list[Event]:
        data = frame.data
        if data is None or self._finished:
            return []
        if data == DONE:
            return self._done()
        try:
            chunk = read_chunk(frame, is_carried=True)
        except UpstreamFault as caught:
            if caught.fault.kind is FaultKind.TRUNCATED:
                return []  # `end` says so, once
            raise
        events: list[Event] = []
        failed = False
        if chunk.choices:
            self._start(chunk, events)
            for choice in chunk.choices:
                index = choice.index or 0
                (self._choices.get(index) or self._choice(index)).take(choice, events)
                failed = failed or choice.finish_reason == "error"
        elif not self._started:
            self._remember(chunk)
        usage = chunk_usage(chunk)
        if usage is not None:
            self._start(chunk, events)
            events.append(Reported(usage))
        if chunk.error is not NULL and bytes(chunk.error) != NULL_TEXT:
            self._fail(read_error(data), events)
        elif failed:
            message = "the provider ended the answer with an error that it does not name"
            self._fail(Fault(kind=FaultKind.SERVER_ERROR, message=message), events)
        return events

    def end(self) -> list[Event]:
        if self._finished:
            return []
        if self._choices and all(choice.stopped for choice in self._choices.values()):
            return self._done()
        self._finished = True
        return [Failed(truncated())]

    def _done(self) -> list[Event]:
        self._finished = True
        events: list[Event] = []
        if not self._started:
            return [Failed(Fault(kind=FaultKind.MALFORMED, message="the stream held no answer"))]
        for choice in self._choices.values():
            choice.close(events)
        events.append(Finished())
        return events

    def _fail(self, fault: Fault, events: list[Event]) -> None:
        self._finished = True
        events.append(Failed(fault))

    def _remember(self, chunk: Chunk) -> None:
        told = self._told
        self._told = Chunk(chunk.id or told.id, chunk.model or told.model, chunk.created or told.created)

    def _start(self, chunk: Chunk, events: list[Event]) -> None:
        if self._started:
            return
        self._started = True
        self._remember(chunk)
        told = self._told
        events.append(Started(told.id, told.model, None if told.created is None else int(told.created)))

    def _choice(self, index: int) -> "_ChoiceReader":
        choice = self._choices[index] = _ChoiceReader(index, self._told.id)
        return choice


class _ChoiceReader:
    """One choice's blocks, one open at a time."""

    __slots__ = ("_audio", "_calls", "_choice", "_next", "_open", "stopped")

    def __init__(self, choice: int, reply: str | None) -> None:
        self._choice = choice
        self._next = 0
        self._open: type[Block] | None = None  # the kind of the open block, whose index is `_next - 1`
        self._calls = PendingCalls(choice, reply)
        self._audio: WireAudio | None = None
        self.stopped = False

    def take(self, choice: _Choice, events: list[Event]) -> None:
        delta = choice.delta
        if delta is not None:
            if delta.reasoning_details or delta.reasoning_content or delta.reasoning:
                self._take_reasoning(delta, events)
            content = delta.content
            if content:
                if isinstance(content, str):
                    if self._open is not Text:
                        self._begin(Text(""), events)
                    events.append(Delta(self._next - 1, self._choice, content))
                else:
                    self._take_parts(content, events)
            if delta.refusal:
                self._grow(Refusal, delta.refusal, events)
            if delta.tool_calls or delta.function_call is not None:
                self._take_calls(delta, events)
            if delta.annotations or delta.audio is not None:
                self._take_rest(delta, events)
        if self._open is not None and bytes(choice.logprobs).startswith(b"{"):
            events.append(Delta(self._next - 1, self._choice, logprobs=choice.logprobs))
        if choice.finish_reason and not self.stopped and choice.finish_reason != "error":
            self.close(events)
            self.stopped = True
            stop = read_stop(choice.finish_reason)
            if stop is not None:
                events.append(Stopped(stop, self._choice))

    def close(self, events: list[Event]) -> None:
        """Ends what is open and gives what was held back."""
        self._end_block(events)
        self._next = self._calls.flush(self._next, events)
        if self._audio is not None:
            audio = self._audio
            self._audio = None
            block = Audio(Source(data=audio.data or None), transcript=audio.transcript or None, id=audio.id)
            self._whole(block, events)

    def _take_reasoning(self, delta: _Delta, events: list[Event]) -> None:
        shown = False
        for detail in delta.reasoning_details or ():
            text = detail.text or detail.summary
            if text:
                shown = True
                self._think(events)
                self._grow(Thinking, text, events)
            if detail.signature:
                self._sign(detail.signature, events)
            elif detail.data and not text:
                self._whole(RedactedThinking(detail.data, NAME), events)
        plain = delta.reasoning_content or delta.reasoning
        if not shown and isinstance(plain, str) and plain:
            self._think(events)
            self._grow(Thinking, plain, events)

    def _think(self, events: list[Event]) -> None:
        """A signature may follow any reasoning, also what begins without its details."""
        if self._open is not Thinking:
            self._begin(Thinking("", None, NAME), events)

    def _sign(self, signature: str, events: list[Event]) -> None:
        self._think(events)
        events.append(Delta(self._next - 1, self._choice, signature=signature))

    def _take_parts(self, content: object, events: list[Event]) -> None:
        if isinstance(content, dict):
            self._grow(Text, msgspec.json.encode(content).decode(), events)
        for part in content if isinstance(content, list) else ():
            for block in read_part(part):
                match block:
                    case Text(text=text) | Thinking(text=text) | Refusal(text=text):
                        self._grow(type(block), text, events)
                    case Opaque():
                        self._whole(block, events)
                    case _:
                        pass  # a part is never another block

    def _take_calls(self, delta: _Delta, events: list[Event]) -> None:
        self._end_block(events)
        for call in delta.tool_calls or ():
            if is_custom(call):
                continue
            function = call.function or Function()
            self._next = self._calls.take(call.index, call.id, function, self._next, events)
        if delta.function_call is not None and (delta.function_call.name or self._calls.any):
            self._next = self._calls.take(0, None, delta.function_call, self._next, events)

    def _take_rest(self, delta: _Delta, events: list[Event]) -> None:
        for annotation in delta.annotations or ():
            self._grow(Text, "", events)
            events.append(Delta(self._next - 1, self._choice, citation=Json(annotation)))
        piece = delta.audio
        if piece is not None and (piece.id or piece.data or piece.transcript):
            whole = self._audio or WireAudio(data="", transcript="")
            whole.id = piece.id or whole.id
            whole.data = (whole.data or "") + (piece.data or "")
            whole.transcript = (whole.transcript or "") + (piece.transcript or "")
            if len(whole.data) + len(whole.transcript) > AUDIO_LIMIT:
                message = f"the answer's sound is longer than {AUDIO_LIMIT} characters"
                raise UpstreamFault(Fault(kind=FaultKind.MALFORMED, message=message))
            self._audio = whole

    def _grow(self, kind: type[Text | Thinking | Refusal], text: str, events: list[Event]) -> None:
        if self._open is not kind:
            self._begin(kind(""), events)
        if text:
            events.append(Delta(self._next - 1, self._choice, text=text))

    def _begin(self, block: Block, events: list[Event]) -> None:
        self._end_block(events)
        self._next = self._calls.flush(self._next, events)
        events.append(BlockStarted(self._next, block, self._choice))
        self._next += 1
        self._open = type(block)

    def _whole(self, block: Block, events: list[Event]) -> None:
        self._begin(block, events)
        self._end_block(events)

    def _end_block(self, events: list[Event]) -> None:
        if self._open is not None:
            events.append(BlockEnded(self._next - 1, self._choice))
            self._open = None


_NOTHING = Seen()
_CONTENT = Seen(content=True)
_FINISHED = Seen(finished=True)


class ChatWatcher:
    """Satisfies `Watcher`. Once content has come, chunks that plainly hold only more of it are not decoded."""

    __slots__ = ("_content", "_hide_usage")

    def __init__(self, hide_usage: bool) -> None:
        self._hide_usage = hide_usage
        self._content = False

    def see(self, frame: Frame) -> Seen:
        data = frame.data
        if data is None:
            return _NOTHING
        if self._content and _is_plain(data):
            return _CONTENT
        if data == DONE:
            return _FINISHED
        try:
            chunk = read_chunk(frame)
        except UpstreamFault as caught:
            return Seen(fault=caught.fault)
        return self._look(chunk, data)

    def _look(self, chunk: Chunk, data: bytes) -> Seen:
        content = False
        word = None
        for choice in chunk.choices or ():
            content = content or (choice.delta is not None and _holds_content(choice.delta))
            word = word or choice.finish_reason
        self._content = self._content or content
        fault = None
        if bytes(chunk.error) != NULL_TEXT:
            fault = read_error(data)
        elif word == "error":
            fault = Fault(kind=FaultKind.SERVER_ERROR, message="the provider ended the answer with an error")
        usage = chunk_usage(chunk)
        return Seen(
            content=content,
            fault=fault,
            usage=usage,
            stop=read_stop(word),
            hide=self._hide_usage and usage is not None and not chunk.choices,
        )


def _is_plain(data: bytes) -> bool:
    """True only for a chunk of one choice that has not stopped, without usage and error. Quotes in text are escaped."""
    return (
        data.count(b'"finish_reason"') == 1
        and (b'"finish_reason":null' in data or b'"finish_reason": null' in data)
        and (b'"usage"' not in data or b'"usage":null' in data or b'"usage": null' in data)
        and b'"error"' not in data
        and data.endswith(b"}")
    )


def _holds_content(delta: _Delta) -> bool:
    return bool(
        delta.content
        or delta.tool_calls
        or delta.reasoning_content
        or delta.reasoning
        or delta.reasoning_details
        or delta.refusal
        or (delta.function_call is not None and delta.function_call.name)
        or delta.annotations
        or (delta.audio is not None and (delta.audio.id or delta.audio.data))
    )
