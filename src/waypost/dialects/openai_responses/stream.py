"""A provider's stream of typed events, read into neutral ones.

Knows what providers really send: items that are still open when the next begins, text that only comes with a `done`
event or in the final response, a final response without output, one whose items have other ids than they had before.
What is told again (each text comes up to five times) is compared by its length alone.
"""

from typing import Any

from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import Block, Json, Opaque, RedactedThinking, Refusal, Text, Thinking, ToolCall
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
from waypost.conversation.faults import UpstreamFault
from waypost.dialects.openai_errors import read_error
from waypost.dialects.openai_responses.faults import malformed, truncated
from waypost.dialects.openai_responses.items import (
    PART,
    Kind,
    WireCall,
    WireReasoning,
    kind_of,
    read_message,
    read_part,
    signed,
)
from waypost.dialects.openai_responses.items import REDACTED as REDACTED_MARK
from waypost.dialects.openai_responses.reply import WireResponse, created_of, stop_of
from waypost.dialects.openai_responses.words import CALLS, NAME, neutral_logprobs, read_usage
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told
from waypost.wire.frames import Frame

HELD_LIMIT = 64 * 1024  # events that wait for a tool call before them to end
MOST_ITEMS = 16 * 1024  # of one answer
DONE = b"[DONE]"


class WireEvent(Struct, gc=False):
    """Any event's members that mean something here."""

    type: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: Any = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    logprobs: list[Raw] | None = None
    annotation: Raw = ABSENT
    part: Raw = ABSENT
    item: Raw = ABSENT
    response: Raw = ABSENT
    error: Raw = ABSENT


class _ItemId(Struct, gc=False):
    id: str | None = None
    call_id: str | None = None


event_decoder = Decoder(WireEvent)
response_decoder = Decoder(WireResponse)
_kind_decoder = Decoder(Kind)
_item_id_decoder = Decoder(_ItemId)
_call_decoder = Decoder(WireCall)
_reasoning_decoder = Decoder(WireReasoning)
_content_decoder = Decoder(str | list[Raw])

# Which kind of block the text of an event belongs to, and in which member an event that ends it tells it again.
_TEXTS: dict[str, tuple[type[Text | Refusal | Thinking], str]] = {
    "response.output_text": (Text, "text"),
    "response.refusal": (Refusal, "refusal"),
    "response.reasoning_text": (Thinking, "text"),
    "response.reasoning_summary_text": (Thinking, "text"),
}
_TEXT_DELTA = "response.output_text.delta"
_OVER = frozenset(("response.completed", "response.incomplete", "response.cancelled"))
_BEGUN = frozenset(("response.created", "response.in_progress", "response.queued"))

Place = tuple[str, int]  # within an item: of its summary or its content, and the index there


class _Item:
    """What has been said of one output item."""

    __slots__ = ("annotations", "call_id", "done", "id", "kind", "lengths", "logprobs", "secret", "shown", "started")

    def __init__(self, kind: str, ids: _ItemId) -> None:
        self.kind = kind
        self.id = ids.id
        self.call_id = ids.call_id
        self.lengths: dict[Place, int] = {}  # characters given out, by place
        self.annotations: dict[Place, int] = {}
        self.logprobs: set[Place] = set()  # places whose log probabilities came with their text
        self.shown = False  # reasoning: its text stands in `content` alone
        self.secret = False  # reasoning: it has been signed
        self.started = False  # a call: its block is begun
        self.done = False


class StreamReader:
    """Satisfies `Reader`. Nothing follows Finished or Failed."""

    __slots__ = ("_begun", "_called", "_held", "_index", "_items", "_open", "_over")

    def __init__(self) -> None:
        self._begun = False
        self._over = False
        self._called = False
        self._index = -1  # of the last block
        self._open: tuple[_Item, Place] | None = None  # whose block is open
        self._items: dict[int, _Item] = {}
        self._held: list[WireEvent] = []

    def feed(self, frame: Frame) -> list[Event]:
        data = frame.data
        if data is None or self._over or data == DONE:
            return []
        try:
            check_text(data)
            event = decode(event_decoder, data, "")
        except ShapeError as error:
            if not frame.raw.endswith((b"\n", b"\r")):
                return []  # the stump of one: `end` says so, once
            raise UpstreamFault(malformed(f"the stream is not one of a response: {error}")) from None
        if event.type == _TEXT_DELTA and (delta := self._more(event)) is not None:
            return [delta]
        events: list[Event] = []
        try:
            self._take(event, data, events)
        except ShapeError as error:
            raise UpstreamFault(malformed(f"the stream is not one of a response: {error}")) from None
        return events

    def end(self) -> list[Event]:
        if self._over:
            return []
        self._over = True
        return [Failed(truncated())]

    def _more(self, event: WireEvent) -> Delta | None:
        """More of the text that is open, as most events are; None for any other, with nothing done."""
        text = event.delta
        if self._open is None or event.logprobs or not isinstance(text, str) or not text:
            return None
        item, place = self._open
        if self._items.get(event.output_index) is not item or place != ("content", event.content_index):
            return None
        item.lengths[place] = item.lengths.get(place, 0) + len(text)
        return Delta(self._index, 0, text)

    def _take(self, event: WireEvent, data: bytes, events: list[Event]) -> None:
        kind = event.type
        if kind in _BEGUN:
            self._begin(event, events)
        elif kind in _OVER:
            self._finish(event, events)
        elif kind in ("error", "response.failed") or (not kind and told(event.error)):
            self._over = True
            events.append(Failed(read_error(data)))
        elif self._open is not None and self._waits(event):
            self._held.append(event)
            if len(self._held) > HELD_LIMIT:
                raise ShapeError(f"more than {HELD_LIMIT} events came in the midst of a tool call")
        else:
            self._say(event, events)

    def _begin(self, event: WireEvent, events: list[Event]) -> None:
        if self._begun or not told(event.response):
            return
        self._begun = True
        response = decode(response_decoder, event.response, "response")
        events.append(Started(response.id or None, response.model or None, created_of(response)))

    def _waits(self, event: WireEvent) -> bool:
        """Whether the event belongs to another item than the tool call that is open: blocks do not overlap."""
        assert self._open is not None
        item = self._open[0]
        return item.kind == "function_call" and not item.done and self._items.get(event.output_index) is not item

    def _say(self, event: WireEvent, events: list[Event]) -> None:
        name, _, last = event.type.rpartition(".")
        if last == "delta":
            if name in _TEXTS:
                self._text(event, name, events)
            elif name == "response.function_call_arguments":
                self._arguments(self._item(event), event.delta, events)
        elif last == "done":
            if name in _TEXTS:
                self._text_done(event, name, events)
            elif name == "response.function_call_arguments":
                self._arguments_done(self._item(event), event.arguments, events)
            elif name == "response.content_part" and told(event.part):
                self._part(self._item(event), event.content_index, event.part, events)
            elif name == "response.output_item":
                self._item_done(event, events)
        elif event.type == "response.output_item.added":
            self._item_added(event, events)
        elif event.type == "response.output_text.annotation.added":
            self._annotate(event, events)

    def _item(self, event: WireEvent) -> _Item:
        """One that nobody announced is what its first event says that it is."""
        item = self._items.get(event.output_index)
        if item is None:
            if ".function_call" in event.type:
                raise ShapeError(f"output_index: item {event.output_index} has not begun")
            item = _Item("reasoning" if ".reasoning" in event.type else "message", _ItemId())
            self._items[event.output_index] = item
            _check_count(self._items)
        return item

    def _item_added(self, event: WireEvent, events: list[Event]) -> None:
        if told(event.item) and event.output_index not in self._items:
            item = self._new(event.output_index, event.item)
            if item.kind == "function_call":
                self._call(item, event.item, events)

    def _new(self, index: int, raw: Raw) -> _Item:
        kind = kind_of(raw, "item")
        item = self._items[index] = _Item(kind, decode(_item_id_decoder, raw, "item"))
        _check_count(self._items)
        self._called = self._called or kind in CALLS
        return item

    # ---- text, of whatever kind

    def _text(self, event: WireEvent, name: str, events: list[Event]) -> None:
        item = self._item(event)
        place = _place(name, event)
        text = event.delta
        if not isinstance(text, str):
            raise ShapeError("delta: is no text")
        if text:
            self._grow(item, place, _TEXTS[name][0], text, events)
        if event.logprobs:
            item.logprobs.add(place)
            self._weigh(item, place, event.logprobs, events)

    def _text_done(self, event: WireEvent, name: str, events: list[Event]) -> None:
        kind, member = _TEXTS[name]
        text = getattr(event, member)
        item, place = self._item(event), _place(name, event)
        self._complete(item, place, kind, text or "", events)
        if kind is Text and event.logprobs and place not in item.logprobs:
            item.logprobs.add(place)
            self._weigh(item, place, event.logprobs, events)

    def _complete(
        self, item: _Item, place: Place, kind: type[Text | Refusal | Thinking], text: str, events: list[Event]
    ) -> None:
        """What the whole text has beyond what came of it."""
        said = item.lengths.get(place, 0)
        if len(text) > said:
            self._grow(item, place, kind, text[said:], events)

    def _grow(
        self, item: _Item, place: Place, kind: type[Text | Refusal | Thinking], text: str, events: list[Event]
    ) -> None:
        self._reopen(item, place, Thinking("", None, NAME) if kind is Thinking else kind(""), events)
        item.lengths[place] = item.lengths.get(place, 0) + len(text)
        if place[0] == "reasoning":
            item.shown = "summary" not in [other for other, _ in item.lengths]
        events.append(Delta(self._index, 0, text))

    def _weigh(self, item: _Item, place: Place, tokens: list[Raw], events: list[Event]) -> None:
        self._reopen(item, place, Text(""), events)
        events.append(Delta(self._index, logprobs=neutral_logprobs(tokens)))

    def _reopen(self, item: _Item, place: Place, block: Block, events: list[Event]) -> None:
        """Makes the block of `place` the open one. One that another cut short goes on as a new one."""
        if self._open is not None and self._open[0] is item and self._open[1] == place:
            return
        self._start(block, events)
        self._open = (item, place)

    def _annotate(self, event: WireEvent, events: list[Event]) -> None:
        if told(event.annotation):
            self._cite(self._item(event), ("content", event.content_index), event.annotation, events)

    def _cite(self, item: _Item, place: Place, annotation: Raw, events: list[Event]) -> None:
        self._reopen(item, place, Text(""), events)
        item.annotations[place] = item.annotations.get(place, 0) + 1
        events.append(Delta(self._index, citation=Json(bytes(annotation))))

    def _part(self, item: _Item, index: int, raw: Raw, events: list[Event]) -> None:
        """A whole part of a message's content: whatever of it has not been said."""
        if item.kind != "message":
            return
        block, tokens = read_part(raw, "part")
        place = ("content", index)
        match block:
            case Text():
                self._complete(item, place, Text, block.text, events)
                for citation in block.citations[item.annotations.get(place, 0) :]:
                    self._cite(item, place, citation, events)
                if tokens and place not in item.logprobs:
                    item.logprobs.add(place)
                    self._weigh(item, place, tokens, events)
            case Refusal():
                self._complete(item, place, Refusal, block.text, events)
            case Opaque() if block.kind.startswith(PART) and place not in item.lengths:
                item.lengths[place] = 0
                self._whole(block, events)
            case _:
                pass  # a part of an answer is never another block

    # ---- calls

    def _call(self, item: _Item, raw: Raw, events: list[Event]) -> None:
        """A call begins once its name is known."""
        call = decode(_call_decoder, raw, "item")
        if item.started or not call.name:
            return
        item.started = True
        self._start(ToolCall(call.call_id or call.id or "", call.name, ""), events)
        self._open = (item, _ARGUMENTS)
        if call.arguments:
            self._arguments(item, call.arguments, events)

    def _arguments(self, item: _Item, delta: object, events: list[Event]) -> None:
        if not isinstance(delta, str):
            raise ShapeError("delta: is no text")
        if not delta or not item.started:
            return
        if self._open is None or self._open[0] is not item:
            raise ShapeError("the stream goes on with a tool call that it had finished")
        item.lengths[_ARGUMENTS] = item.lengths.get(_ARGUMENTS, 0) + len(delta)
        events.append(Delta(self._index, arguments=delta))

    def _arguments_done(self, item: _Item, arguments: str | None, events: list[Event]) -> None:
        said = item.lengths.get(_ARGUMENTS, 0)
        if arguments and item.started and not item.done and len(arguments) > said:
            self._arguments(item, arguments[said:], events)

    # ---- whole items

    def _item_done(self, event: WireEvent, events: list[Event]) -> None:
        if not told(event.item):
            return
        item = self._items.get(event.output_index)
        if item is None:
            item = self._new(event.output_index, event.item)
        self._settle(item, event.item, events)
        if self._held:
            self._release(events, over=False)

    def _release(self, events: list[Event], *, over: bool) -> None:
        """Says what was held back, as far as no call is in its way. `over`: no call will end any more."""
        held, self._held = self._held, []
        for waiting in held:
            if self._open is not None and self._waits(waiting):
                if not over:
                    self._held.append(waiting)
                    continue
                self._close(events)
            self._say(waiting, events)

    def _settle(self, item: _Item, raw: Raw, events: list[Event]) -> None:
        """The whole item: whatever of it has not been said."""
        if item.done:
            return
        match item.kind:
            case "message":
                content = read_message(raw, "item").content
                parts = decode(_content_decoder, content, "item.content") if told(content) else []
                for i, part in enumerate(parts if not isinstance(parts, str) else ()):
                    self._part(item, self._index_of(item, i), part, events)
            case "function_call":
                self._call(item, raw, events)
                if not item.started:
                    raise ShapeError("item.name: is missing")
                self._arguments_done(item, decode(_call_decoder, raw, "item").arguments, events)
            case "reasoning":
                self._settle_reasoning(item, decode(_reasoning_decoder, raw, "item"), events)
            case _:
                self._whole(Opaque(NAME, item.kind, Json(bytes(raw))), events)
        item.done = True
        if self._open is not None and self._open[0] is item:
            self._close(events)

    def _index_of(self, item: _Item, i: int) -> int:
        """Where the events had the `i`th part: some providers count on from the item before."""
        seen = sorted({index for _, index in item.lengths})
        return seen[i] if i < len(seen) else i if i not in seen else seen[-1] + 1

    def _settle_reasoning(self, item: _Item, wire: WireReasoning, events: list[Event]) -> None:
        for i, part in enumerate(wire.summary or ()):
            self._complete(item, ("summary", i), Thinking, part.text or "", events)
        for i, part in enumerate(wire.content or ()):
            self._complete(item, ("reasoning", i), Thinking, part.text or "", events)
        signature, origin = signed(wire, shown=item.shown, asked=False)
        if signature is None or item.secret:
            return
        item.secret = True
        own = origin == NAME
        if not item.lengths and (own or signature.startswith(REDACTED_MARK)):
            self._whole(RedactedThinking(signature if own else signature.removeprefix(REDACTED_MARK), origin), events)
            return
        if not own or self._open is None or self._open[0] is not item:
            self._start(Thinking("", None, origin), events)
            self._open = (item, _SIGNATURE)
        events.append(Delta(self._index, signature=signature))

    # ---- the response

    def _finish(self, event: WireEvent, events: list[Event]) -> None:
        if not told(event.response):
            raise ShapeError("response: is missing")
        self._begin(event, events)
        response = decode(response_decoder, event.response, "response")
        output = response.output or []
        for i, raw in enumerate(output if self._held else ()):
            known = self._known(i, raw)
            if known is not None and self._open is not None and known is self._open[0]:
                self._settle(known, raw, events)
        self._release(events, over=True)
        for i, raw in enumerate(output):
            known = self._known(i, raw) or self._new(max(self._items, default=-1) + 1, raw)
            self._settle(known, raw, events)
        self._close(events)
        usage = read_usage(response.usage)
        if usage is not None:
            events.append(Reported(usage))
        stop = stop_of(response, self._called)
        if stop is not None:
            events.append(Stopped(stop))
        self._over = True
        events.append(Finished())

    def _known(self, index: int, raw: Raw) -> _Item | None:
        """The item that the final response tells again: by its id, else by its place."""
        ids = decode(_item_id_decoder, raw, "response.output")
        kind = kind_of(raw, "response.output")
        for item in self._items.values():
            if item.kind != kind:
                continue
            if (ids.id is not None and item.id == ids.id) or (ids.call_id is not None and item.call_id == ids.call_id):
                return item
        there = self._items.get(index)
        return there if there is not None and there.kind == kind else None

    # ---- blocks

    def _start(self, block: Block, events: list[Event]) -> None:
        self._close(events)
        if not self._begun:
            self._begun = True
            events.append(Started(None, None))
        self._index += 1
        events.append(BlockStarted(self._index, block))

    def _whole(self, block: Block, events: list[Event]) -> None:
        self._start(block, events)
        events.append(BlockEnded(self._index))

    def _close(self, events: list[Event]) -> None:
        if self._open is not None:
            self._open = None
            events.append(BlockEnded(self._index))


_ARGUMENTS: Place = ("arguments", 0)
_SIGNATURE: Place = ("signature", 0)


def _check_count(items: dict[int, _Item]) -> None:
    """The last event tells all items again, so something of each is remembered."""
    if len(items) > MOST_ITEMS:
        raise ShapeError(f"more than {MOST_ITEMS} items")


def _place(name: str, event: WireEvent) -> Place:
    if name == "response.reasoning_summary_text":
        return ("summary", event.summary_index)
    if name == "response.reasoning_text":
        return ("reasoning", event.content_index)
    return ("content", event.content_index)
