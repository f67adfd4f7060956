"""A stream of this protocol → events, and the copy of a relayed stream that is only watched.

Each piece is a GenerateContentResponse of its own, as server-sent events or as the elements of one JSON array. There is
no end mark but the array's bracket: a stream is whole when each candidate told why it finished. That may be said more
than once (around code that the provider runs), so it holds only when the stream closes.
"""

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.blocks import Block, Text, Thinking, ToolCall
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
from waypost.conversation.reply import Stop
from waypost.dialects.dialect import Seen
from waypost.dialects.gemini.faults import malformed, read_error
from waypost.dialects.gemini.logprobs import read_logprobs
from waypost.dialects.gemini.parts import PART, PartReader
from waypost.dialects.gemini.reply import RESPONSE, CallIds, Candidate, Feedback, metadata_blocks, sources
from waypost.dialects.gemini.wire_json import listed
from waypost.dialects.gemini.words import blocked, call_id, read_stop, read_time, read_usage
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told
from waypost.wire.frames import Frame

_MOST_CHOICES = 128
_END_OF_ARRAY = b"]"
_CUT = Fault(kind=FaultKind.TRUNCATED, message="the stream ended before its finishReason")


def data_of(frame: Frame) -> bytes | None:
    """What a frame says. An error may stand between the events of a stream, bare."""
    if frame.data is None and frame.raw.lstrip()[:1] == b"{":
        return frame.raw
    return frame.data


class _PlainPart(Struct, gc=False, forbid_unknown_fields=True):
    text: str
    thought: bool = False


class _PlainContent(Struct, gc=False, forbid_unknown_fields=True):
    parts: list[_PlainPart]
    role: str | None = None


class _PlainCandidate(Struct, gc=False, forbid_unknown_fields=True):
    content: _PlainContent
    index: int = 0


class _Plain(Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    """A piece of nothing but text. What is more than that does not fit."""

    candidates: list[_PlainCandidate]
    usage_metadata: Raw = ABSENT
    model_version: str | None = None
    response_id: str | None = None
    create_time: str | None = None


_PLAIN = msgspec.json.Decoder(_Plain)


def _plain(data: bytes) -> _Plain | None:
    try:
        return _PLAIN.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Speaker:
    """One candidate, as far as it has come."""

    __slots__ = ("block", "called", "choice", "index", "parts", "signed", "stop")

    def __init__(self, choice: int, response: str | None) -> None:
        self.choice = choice
        self.index = -1  # of its last block
        self.block: Block | None = None  # the open one: of text or of thinking
        self.signed = False  # the open block of thinking has its signature
        self.called = False
        self.stop: Stop | None = None
        ids = CallIds(response, choice)
        self.parts = PartReader(ids.of_call, lambda name: call_id(response, choice, name))


class StreamReader:
    """Satisfies `Reader`. Nothing follows Finished or Failed."""

    __slots__ = ("_array", "_begun", "_blocked", "_over", "_response", "_speakers", "_usage", "_whole")

    def __init__(self) -> None:
        self._begun = False
        self._over = False
        self._array = False
        self._blocked: Stop | None = None
        self._response: str | None = None
        self._speakers: dict[int, _Speaker] = {}
        self._usage = b""  # as it was last told
        self._whole = False

    def feed(self, frame: Frame) -> list[Event]:
        data = data_of(frame)
        if not self._begun and frame.raw.lstrip()[:1] == b"[":
            self._array = True
        if data is None or self._over:
            return []
        if data == _END_OF_ARRAY and self._array:
            self._array = False
            return self.end()
        try:
            return self._feed(data)
        except ShapeError as error:
            raise UpstreamFault(malformed(f"the stream is not one of GenerateContentResponse: {error}")) from error

    def end(self) -> list[Event]:
        if self._over:
            return []
        self._over = True
        speakers = [self._speakers[choice] for choice in sorted(self._speakers)]
        if self._blocked is not None and not speakers:
            return [Stopped(self._blocked), Finished()]
        if self._array or not speakers or any(speaker.stop is None for speaker in speakers):
            return [Failed(_CUT)]
        events: list[Event] = []
        for speaker in speakers:
            self._close(speaker, events)
        events += [Stopped(each.stop, each.choice) for each in speakers if each.stop is not None]
        events.append(Finished())
        return events

    def _feed(self, data: bytes) -> list[Event]:
        if not data.isascii():
            check_text(data)
        if self._begun:
            plain = _plain(data)
            more = None if plain is None else self._more(plain)
            if plain is not None and more is not None:
                self._report(plain.usage_metadata, more)
                return more
        response = decode(RESPONSE, data, "")
        if told(response.error):
            self._over = True
            return [Failed(read_error(data))]
        events: list[Event] = []
        if not self._begun:
            self._begun = True
            self._response = response.response_id or None
            events.append(Started(self._response, response.model_version or None, read_time(response.create_time)))
        for place, candidate in enumerate(response.candidates or ()):
            self._candidate(candidate, place, events)
        feedback = response.prompt_feedback
        if feedback is not None and feedback.block_reason:
            self._blocked = blocked(str(feedback.block_reason))
            self._whole = True
        self._report(response.usage_metadata, events)
        return events

    def _more(self, plain: "_Plain") -> list[Event] | None:
        """A piece that only goes on with what is open, as nearly all do; None for any other, with nothing done."""
        if len(plain.candidates) != 1:
            return None
        candidate = plain.candidates[0]
        speaker = self._speakers.get(candidate.index)
        if speaker is None or speaker.signed:
            return None
        is_thought = type(speaker.block) is Thinking
        if not is_thought and type(speaker.block) is not Text:
            return None
        parts = candidate.content.parts
        for part in parts:
            if part.thought is not is_thought or not part.text:
                return None
        return [Delta(speaker.index, candidate.index, part.text) for part in parts]

    def _report(self, raw: Raw, events: list[Event]) -> None:
        """Counts are of all that came so far, and told with every piece."""
        if not raw or (bytes(raw) == self._usage and not self._whole):
            return
        self._usage = bytes(raw)
        usage = read_usage(raw, self._whole)
        if usage is not None:
            events.append(Reported(usage))

    def _candidate(self, candidate: Candidate, place: int, events: list[Event]) -> None:
        choice = place if candidate.index is None else candidate.index
        if not 0 <= choice < _MOST_CHOICES:
            raise ShapeError(f"candidates[{place}].index: out of range")
        speaker = self._speakers.get(choice)
        if speaker is None:
            speaker = self._speakers[choice] = _Speaker(choice, self._response)
        if candidate.content is not None and candidate.content.parts:
            where = f"candidates[{place}].content.parts"
            for number, raw in enumerate(listed(candidate.content.parts, where)):
                self._part(speaker, raw, where, number, events)
        logprobs = read_logprobs(candidate.logprobs_result)
        if logprobs is not None:
            self._open(speaker, Text(""), events)
            events.append(Delta(speaker.index, choice, logprobs=logprobs))
        if candidate.citation_metadata and sources(candidate.citation_metadata):
            self._open(speaker, Text(""), events)
            events.append(Delta(speaker.index, choice, citation=candidate.citation_metadata))
        for block in metadata_blocks(candidate):
            self._whole_block(speaker, block, events)
        stop = read_stop(candidate.finish_reason, speaker.called)
        if stop is not None:
            speaker.stop = stop
            self._whole = all(each.stop is not None for each in self._speakers.values())

    def _part(self, speaker: _Speaker, raw: Raw, where: str, number: int, events: list[Event]) -> None:
        part = decode(PART, raw, where)
        text = part.text
        if text and not part.thought and part.signature is None:  # as most are
            if type(speaker.block) is not Text:
                self._open(speaker, Text(""), events)
            events.append(Delta(speaker.index, speaker.choice, text))
            return
        blocks: list[Block] = []
        speaker.parts.read_part(part, raw, f"{where}[{number}]", blocks)
        for block in blocks:
            match block:
                case Text(text=words):
                    self._open(speaker, Text(""), events)
                    events.append(Delta(speaker.index, speaker.choice, words))
                case Thinking() if part.thought:
                    self._thought(speaker, block, events)
                case _:
                    self._whole_block(speaker, block, events)

    def _thought(self, speaker: _Speaker, block: Thinking, events: list[Event]) -> None:
        if not block.text and block.signature is None:
            return
        if speaker.signed:
            self._close(speaker, events)
        self._open(speaker, Thinking("", None, block.origin), events)
        if block.text:
            events.append(Delta(speaker.index, speaker.choice, block.text))
        if block.signature is not None:
            events.append(Delta(speaker.index, speaker.choice, signature=block.signature))
            speaker.signed = True

    def _open(self, speaker: _Speaker, block: Text | Thinking, events: list[Event]) -> None:
        """Opens a block unless one of its kind is open."""
        if type(speaker.block) is type(block):
            return
        self._close(speaker, events)
        speaker.index += 1
        speaker.block = block
        events.append(BlockStarted(speaker.index, block, speaker.choice))

    def _close(self, speaker: _Speaker, events: list[Event]) -> None:
        if speaker.block is not None:
            speaker.block = None
            speaker.signed = False
            events.append(BlockEnded(speaker.index, speaker.choice))

    def _whole_block(self, speaker: _Speaker, block: Block, events: list[Event]) -> None:
        self._close(speaker, events)
        speaker.index += 1
        at, choice = speaker.index, speaker.choice
        match block:
            case ToolCall():
                speaker.called = True
                events.append(BlockStarted(at, ToolCall(block.id, block.name, ""), choice))
                events.append(Delta(at, choice, arguments=block.arguments))
            case Thinking():
                events.append(BlockStarted(at, Thinking("", None, block.origin), choice))
                events.append(Delta(at, choice, signature=block.signature))
            case _:
                events.append(BlockStarted(at, block, choice))
        events.append(BlockEnded(at, choice))


class _WatchedPart(Struct, gc=False, rename="camel"):
    text: str | None = None
    thought_signature: str | None = None
    function_call: Raw = ABSENT


class _WatchedContent(Struct, gc=False):
    parts: list[_WatchedPart] | None = None


class _WatchedCandidate(Struct, gc=False, rename="camel"):
    content: _WatchedContent | None = None
    finish_reason: str | int | None = None
    index: int | None = None


class _Watched(Struct, gc=False, rename="camel"):
    candidates: list[_WatchedCandidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: Raw = ABSENT
    error: Raw = ABSENT


_WATCHED = msgspec.json.Decoder(_Watched)
_NOTHING = Seen()
_FINISHED = Seen(finished=True)


class StreamWatcher:
    """Satisfies `Watcher`. Usage needs no hiding: this protocol tells it unasked."""

    __slots__ = ("_called", "_stopped")

    def __init__(self, hide_usage: bool) -> None:
        self._called: set[int] = set()  # choices that call tools
        self._stopped = False

    def see(self, frame: Frame) -> Seen:
        data = data_of(frame)
        if data is None:
            return _NOTHING
        if data == _END_OF_ARRAY:
            return _FINISHED if self._stopped else Seen(fault=_CUT)
        try:
            watched = decode(_WATCHED, data, "")
        except ShapeError as error:
            return Seen(fault=malformed(f"the stream is not one of GenerateContentResponse: {error}"))
        if told(watched.error):
            return Seen(fault=read_error(data))
        return self._see(watched)

    def _see(self, watched: _Watched) -> Seen:
        content = False
        stop: Stop | None = None
        for place, candidate in enumerate(watched.candidates or ()):
            choice = place if candidate.index is None else candidate.index
            if candidate.content is not None:
                for part in candidate.content.parts or ():
                    if part.text or part.text is None or part.thought_signature:
                        content = True
                    if told(part.function_call) and choice < _MOST_CHOICES:
                        self._called.add(choice)
            stop = read_stop(candidate.finish_reason, choice in self._called) or stop
        if watched.prompt_feedback is not None and watched.prompt_feedback.block_reason and stop is None:
            stop = blocked(str(watched.prompt_feedback.block_reason))
        if stop is not None:
            self._stopped = True
        usage = read_usage(watched.usage_metadata, self._stopped) if watched.usage_metadata else None
        return Seen(content=content, usage=usage, stop=stop)
