"""A stream of this protocol → events, and the copy of a relayed stream that is only watched.

Citations of a text may come after its end, so that end is told with the next event of another kind. A tool plan is told
whole: it is nothing that another protocol could show as it comes. The answer is whole after its `message-end`; `[DONE]`
follows, or nothing does.
"""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import Json, Text, Thinking, ToolCall
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
from waypost.dialects.cohere.content import WireCall, read_arguments, read_call, tool_plan
from waypost.dialects.cohere.faults import broken_off, error_event, malformed
from waypost.dialects.cohere.words import FAILED, read_logprobs, read_stop, read_usage
from waypost.dialects.dialect import Seen
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told
from waypost.wire.frames import Frame

DONE = b"[DONE]"
_MOST_CITED = 16 * 1024  # citations that wait for the text they are of
MOST_PLANNED = 4 * 1024 * 1024  # characters of one tool plan, which is held until it is whole


class _Content(Struct, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class _Message(Struct, gc=False):
    content: _Content | None = None


class _Delta(Struct, gc=False):
    message: _Message | None = None


class _ContentEvent(Struct, gc=False):
    delta: _Delta | None = None
    logprobs: Raw = ABSENT


class _RareMessage(Struct, gc=False):
    tool_plan: str | None = None
    tool_calls: WireCall | None = None
    citations: Raw = ABSENT


class _RareDelta(Struct, gc=False):
    message: _RareMessage | None = None
    finish_reason: str | None = None
    usage: Raw = ABSENT
    error: str | None = None


class _Event(Struct, gc=False):
    """Every other kind; `message` is there only in an error that is no event."""

    type: str | None = None
    id: str | None = None
    delta: _RareDelta | None = None
    message: str | None = None


class _MessageStart(Struct, gc=False):
    id: str | None = None


class _Kind(Struct, gc=False):
    type: str | None = None
    message: Raw = ABSENT


_content_decoder = Decoder(_ContentEvent)
_event_decoder = Decoder(_Event)
_start_decoder = Decoder(_MessageStart)
_kind_decoder = Decoder(_Kind)
_citations_decoder = Decoder(list[Raw])

_ERROR = "error"
_KINDS = frozenset(
    (
        *("message-start", "content-start", "content-delta", "content-end", "tool-plan-delta"),
        *("tool-call-start", "tool-call-delta", "tool-call-end", "citation-start", "citation-end"),
        *("message-end", "debug", _ERROR),
    )
)
_NO_MESSAGE = _RareMessage()
_NO_DELTA = _RareDelta()
_CITING = frozenset(("citation-start", "citation-end"))


def kind_of(frame: Frame, data: bytes) -> str:
    """The event's name, as the frame or else the data has it. Raises ShapeError."""
    event = frame.event
    if event is not None and event in _KINDS:
        return event
    kind = decode(_kind_decoder, data, "")
    return _ERROR if kind.type is None and told(kind.message) else kind.type or ""


class StreamReader:
    """Satisfies `Reader`. Nothing follows Finished or Failed."""

    __slots__ = (
        "_calls",
        "_cited",
        "_ending",
        "_id",
        "_index",
        "_open",
        "_over",
        "_plan",
        "_planned",
        "_started",
        "_stopped",
    )

    def __init__(self) -> None:
        self._id: str | None = None
        self._started = False
        self._stopped = False
        self._over = False
        self._index = -1  # of the last block
        self._open: type[Text] | type[Thinking] | type[ToolCall] | None = None
        self._ending = False  # the open text has ended, but for citations that may follow
        self._calls = 0
        self._plan: list[str] = []
        self._planned = 0  # characters
        self._cited: list[Json] = []  # citations that no text was open for

    def feed(self, frame: Frame) -> list[Event]:
        data = frame.data
        if data is None or self._over:
            return []
        if data == DONE:
            return self.end()
        if self._stopped:
            return []
        try:
            if not data.isascii():
                check_text(data)
            events: list[Event] = []
            self._take(kind_of(frame, data), data, events)
        except ShapeError as error:
            if not frame.raw.endswith((b"\n", b"\r")):
                return []  # cut short: `end` says so
            raise UpstreamFault(malformed(f"the stream is not one of chat events: {error}")) from error
        return events

    def end(self) -> list[Event]:
        if self._over:
            return []
        self._over = True
        if self._stopped:
            return [Finished()]
        return [Failed(_TRUNCATED)]

    def _take(self, kind: str, data: bytes, events: list[Event]) -> None:
        if kind == "content-delta":
            self._content(data, events)
            return
        if self._ending and kind not in _CITING:
            self._close(events)
        match kind:
            case "content-start":
                self._close(events)
                self._content(data, events, fresh=True)
            case "content-end":
                self._ending = self._open is Text
                if self._open is Thinking:
                    self._close(events)
            case "tool-call-end":
                if self._open is ToolCall:
                    self._close(events)
            case "message-start":
                self._begin(decode(_start_decoder, data, "").id, events)
            case "tool-plan-delta" | "tool-call-start" | "tool-call-delta" | "citation-start" | "message-end":
                self._rare(kind, decode(_event_decoder, data, ""), events)
            case "error":
                self._over = True
                events.append(Failed(error_event(data)))
            case _:
                pass

    def _begin(self, told_id: str | None, events: list[Event]) -> None:
        if self._started:
            raise ShapeError("a second message-start")
        self._started = True
        self._id = told_id
        events.append(Started(told_id, None))

    def _content(self, data: bytes, events: list[Event], *, fresh: bool = False) -> None:
        """What belongs to no open block of its kind opens one."""
        event = decode(_content_decoder, data, "")
        message = event.delta.message if event.delta is not None else None
        content = message.content if message is not None else None
        if content is not None:
            thinks = content.thinking is not None if content.type is None else content.type == "thinking"
            text = content.thinking if thinks else content.text
            if fresh or text:
                self._be_in(Thinking if thinks else Text, events)
            if text:
                events.append(Delta(self._index, 0, text))
        if event.logprobs and self._open is not None:
            logprobs = read_logprobs(event.logprobs)
            if logprobs is not None:
                events.append(Delta(self._index, logprobs=logprobs))

    def _be_in(self, kind: type[Text] | type[Thinking], events: list[Event]) -> None:
        if self._open is kind and not self._ending:
            return
        self._start_block(kind("") if kind is Thinking else Text(""), events)
        if kind is Text and self._cited:
            events += [Delta(self._index, citation=citation) for citation in self._cited]
            self._cited = []

    def _start_block(self, block: Text | Thinking | ToolCall, events: list[Event]) -> None:
        self._close(events)
        self._tell_plan(events)
        if not self._started:
            self._begin(None, events)
        self._index += 1
        self._open = type(block)
        events.append(BlockStarted(self._index, block))

    def _close(self, events: list[Event]) -> None:
        if self._open is not None:
            events.append(BlockEnded(self._index))
        self._open = None
        self._ending = False

    def _tell_plan(self, events: list[Event]) -> None:
        if not self._plan:
            return
        if not self._started:
            self._begin(None, events)
        self._index += 1
        events += (BlockStarted(self._index, tool_plan("".join(self._plan))), BlockEnded(self._index))
        self._plan = []

    def _rare(self, kind: str, event: _Event, events: list[Event]) -> None:
        delta = event.delta or _NO_DELTA
        message = delta.message or _NO_MESSAGE
        match kind:
            case "tool-plan-delta" if message.tool_plan:
                self._close(events)
                self._plan.append(message.tool_plan)
                self._planned += len(message.tool_plan)
                if self._planned > MOST_PLANNED:
                    raise ShapeError(f"delta.message.tool_plan: longer than {MOST_PLANNED} characters")
            case "tool-call-start" if message.tool_calls is not None:
                self._start_call(message.tool_calls, events)
            case "tool-call-delta" if message.tool_calls is not None:
                self._call_delta(message.tool_calls, events)
            case "citation-start" if told(message.citations):
                self._cite(message.citations, events)
            case "message-end":
                self._end_message(delta, events)
            case _:
                pass

    def _start_call(self, wire: WireCall, events: list[Event]) -> None:
        call = read_call(wire, self._id, self._calls, "delta.message.tool_calls")
        self._calls += 1
        self._start_block(ToolCall(call.id, call.name, ""), events)
        if call.arguments:
            events.append(Delta(self._index, arguments=call.arguments))

    def _call_delta(self, wire: WireCall, events: list[Event]) -> None:
        if self._open is not ToolCall:
            raise ShapeError("delta.message.tool_calls: no tool call is open")
        if wire.function is not None:
            arguments = read_arguments(wire.function.arguments, "delta.message.tool_calls.function.arguments")
            if arguments:
                events.append(Delta(self._index, arguments=arguments))

    def _cite(self, raw: Raw, events: list[Event]) -> None:
        listed = bytes(raw).startswith(b"[")
        citations = decode(_citations_decoder, raw, "delta.message.citations") if listed else [raw]
        told_now = [Json(bytes(citation)) for citation in citations]
        if self._open is Text:
            events += [Delta(self._index, citation=citation) for citation in told_now]
        else:
            self._cited += told_now[: _MOST_CITED - len(self._cited)]

    def _end_message(self, delta: _RareDelta, events: list[Event]) -> None:
        self._close(events)
        self._tell_plan(events)
        if not self._started:
            self._begin(None, events)
        usage = read_usage(delta.usage)
        if usage is not None:
            events.append(Reported(usage))
        word = delta.finish_reason
        if word in FAILED or (word is None and delta.error):
            self._over = True
            events.append(Failed(broken_off(word or "ERROR", delta.error)))
            return
        stop = read_stop(word)
        if stop is not None:
            self._stopped = True
            events.append(Stopped(stop))


_NOTHING = Seen()
_CONTENT = Seen(content=True)
_FINISHED = Seen(finished=True)
_TRUNCATED = Fault(kind=FaultKind.TRUNCATED, message="the stream ended before its message-end")
_CONTENT_KINDS = frozenset(("content-delta", "tool-plan-delta", "tool-call-delta", "tool-call-start"))
_SILENT_KINDS = frozenset(
    ("content-start", "content-end", "tool-call-end", "citation-start", "citation-end", "message-start", "debug")
)


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
        if event is not None and event in _CONTENT_KINDS:
            # Not decoded, but a delta that is cut short or is no object at all shows at its ends.
            return _CONTENT if data[:1] == b"{" and data[-1:] == b"}" else _broken("a delta is not a JSON object")
        if data == DONE:
            return _FINISHED if self._stopped else Seen(fault=_TRUNCATED)
        try:
            return self._see(kind_of(frame, data), data)
        except ShapeError as error:
            return _broken(str(error))

    def _see(self, kind: str, data: bytes) -> Seen:
        if kind in _CONTENT_KINDS:
            return _CONTENT
        if kind in _SILENT_KINDS:
            return _NOTHING
        if kind == "message-end":
            delta = decode(_event_decoder, data, "").delta or _NO_DELTA
            usage, word = read_usage(delta.usage), delta.finish_reason
            if word in FAILED or (word is None and delta.error):
                return Seen(usage=usage, fault=broken_off(word or "ERROR", delta.error))
            self._stopped = True
            return Seen(usage=usage, stop=read_stop(word))
        return Seen(fault=error_event(data)) if kind == _ERROR else _NOTHING


def _broken(reason: str) -> Seen:
    return Seen(fault=malformed(f"the stream is not one of chat events: {reason}"))
