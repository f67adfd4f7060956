"""Events written as a stream of typed events, in the order and with the members that the official SDK insists on.

Each block becomes an output item of its own, but the reasoning that one signature covers, which is one item.
"""

from io import StringIO
from typing import assert_never

import msgspec
from msgspec import Raw

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
from waypost.conversation.faults import CallerError, Fault, FaultKind, UpstreamFault
from waypost.conversation.fold import merge_usage
from waypost.conversation.reply import Stop, Usage
from waypost.dialects.openai_errors import error_object
from waypost.dialects.openai_responses.items import PART
from waypost.dialects.openai_responses.output import (
    Item,
    Members,
    ResponseObject,
    call_item,
    image_item,
    message_item,
    reasoning_item,
    redacted_item,
    refusal_part,
    response_object,
    text_part,
)
from waypost.dialects.openai_responses.words import NAME, is_annotation, item_id, reply_id, tokens_of, write_stop

HELD_LIMIT = 16 * 1024 * 1024  # characters of one answer
_ITEM = 256  # characters that an item counts for, beside its text

_encode = msgspec.json.encode


class _Open:
    """The item that is being written."""

    __slots__ = ("annotations", "block", "id", "said", "signature", "thoughts", "tokens")

    def __init__(self, block: Text | Refusal | ToolCall | Thinking, id_: str) -> None:
        self.block = block
        self.id = id_
        self.said = StringIO()  # of its text or its arguments: a list of small texts would be ten times as large
        self.annotations: list[Raw] = []
        self.tokens: list[Raw] = []
        self.thoughts: list[str] = []  # parts of a summary that are whole
        self.signature: list[str] = []


class StreamWriter:
    """Satisfies `Writer`. Only the first choice can be carried. It holds the answer: the last event tells all of it."""

    __slots__ = (
        "_block",
        "_created",
        "_held",
        "_id",
        "_items",
        "_model",
        "_open",
        "_over",
        "_sequence",
        "_stop",
        "_usage",
    )

    def __init__(self, model: str, include_usage: bool) -> None:
        self._model = model
        self._id = ""
        self._created: int | None = None
        self._items: list[Item] = []  # whole ones
        self._block: Block | None = None  # that the events are in
        self._open: _Open | None = None
        self._held = 0  # characters of all that the last event is to tell
        self._sequence = 0
        self._stop: Stop | None = None
        self._usage: Usage | None = None
        self._over = False

    def write(self, event: Event) -> bytes:
        if self._over:
            return b""
        match event:
            case Delta():
                return self._delta(event) if event.choice == 0 else b""
            case BlockStarted():
                return self._begin(event.block) if event.choice == 0 else b""
            case BlockEnded():
                return self._end() if event.choice == 0 else b""
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
                return b""  # the caller's words for it come through `fail`
            case _:
                assert_never(event)

    def fail(self, error: CallerError) -> bytes:
        """The official SDK raises on what stands in `error`; the members beside it are those of its typed event."""
        if self._over:
            return b""
        self._over = True
        told = error_object(error)
        return self._event("error", code=told["code"], message=told["message"], param=None, error=told)

    def _event(self, kind: str, **members: object) -> bytes:
        data = {"type": kind, "sequence_number": self._sequence, **members}
        self._sequence += 1
        return b"event: " + kind.encode() + b"\ndata: " + _encode(data) + b"\n\n"

    def _start(self, event: Started) -> bytes:
        if self._id:
            return b""
        self._id = reply_id(event.id)
        self._model = event.model or self._model
        self._created = event.created
        response = self._shown(ResponseObject(self._id, created_at=self._created or 0, model=self._model))
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    @property
    def _index(self) -> int:
        """Of the item that is open, or would be."""
        return len(self._items)

    # ---- blocks

    def _begin(self, block: Block) -> bytes:
        """A block of text is begun with its first words: one without any says nothing."""
        self._block = block
        before = b"" if isinstance(block, Thinking) else self._close()
        match block:
            case Text(text=text) | Refusal(text=text):
                return before + (self._text(block, text) if text else b"") + self._cite(block)
            case Thinking():
                before = self._part_over()
                if block.text:
                    before += self._text(block, block.text)
                return before + (self._sign(block.signature) if block.signature else b"")
            case ToolCall():
                before += self._opened(block)
                return before + (self._arguments(block.arguments) if block.arguments else b"")
            case RedactedThinking():
                return before + self._whole(redacted_item(item_id("rs", self._known_id(), self._index), block))
            case Opaque():
                return before + self._opaque(block)
            case Image():
                item = image_item(item_id("ig", self._known_id(), self._index), block)
                return before + (self._whole(item) if item is not None else b"")
            case Audio() | Document() | ToolResult():
                return before
            case _:
                assert_never(block)

    def _known_id(self) -> str:
        return self._id or reply_id(None)

    def _opaque(self, block: Opaque) -> bytes:
        if block.dialect != NAME:
            return b""
        if block.kind.startswith(PART):
            return self._whole(message_item(item_id("msg", self._known_id(), self._index), block.raw))
        return self._whole(block.raw)

    def _whole(self, item: Item) -> bytes:
        """An item that comes at once."""
        started = self._start(Started(None, None))
        added = self._event("response.output_item.added", output_index=self._index, item=item)
        done = self._event("response.output_item.done", output_index=self._index, item=item)
        self._items.append(item)
        return started + added + done

    def _end(self) -> bytes:
        """Reasoning without a signature stays open: the next block of it may bring the one that covers both."""
        block = self._block
        self._block = None
        if isinstance(block, Thinking):
            opened = self._open
            return self._close() if opened is not None and opened.signature else b""
        return self._close()

    def _opened(self, block: Text | Refusal | ToolCall | Thinking) -> bytes:
        """The start of an item for the block, unless it has one."""
        if self._open is not None:
            return b""
        started = self._start(Started(None, None))
        prefix = "fc" if isinstance(block, ToolCall) else "rs" if isinstance(block, Thinking) else "msg"
        id_ = item_id(prefix, self._id, self._index)
        self._open = _Open(block, id_)
        self._held += _ITEM
        item: Members
        if isinstance(block, ToolCall):
            item = call_item(id_, block, "", "in_progress")
        elif isinstance(block, Thinking):
            item = {"id": id_, "type": "reasoning", "summary": []}
        else:
            item = message_item(id_, None, "in_progress")
        added = self._event("response.output_item.added", output_index=self._index, item=item)
        if isinstance(block, ToolCall | Thinking):
            return started + added
        part = text_part("") if isinstance(block, Text) else refusal_part("")
        return started + added + self._place("response.content_part.added", id_, part=part)

    def _place(self, kind: str, id_: str, **members: object) -> bytes:
        """An event about the one part of a message."""
        return self._event(kind, output_index=self._index, item_id=id_, content_index=0, **members)

    def _hold(self, opened: _Open, text: str) -> None:
        self._held += len(text)
        if self._held > HELD_LIMIT:
            message = f"the answer is longer than {HELD_LIMIT} characters"
            raise UpstreamFault(Fault(kind=FaultKind.MALFORMED, message=message))
        opened.said.write(text)

    # ---- deltas

    def _delta(self, delta: Delta) -> bytes:
        block = self._block
        if delta.text is not None:
            if delta.text and isinstance(block, Text | Refusal | Thinking):
                return self._text(block, delta.text)
            return b""
        if delta.arguments is not None:
            return self._arguments(delta.arguments) if delta.arguments and isinstance(block, ToolCall) else b""
        if delta.signature is not None:
            return self._sign(delta.signature) if isinstance(block, Thinking) else b""
        if delta.citation is not None and isinstance(block, Text):
            return self._cite(Text("", citations=(delta.citation,)))
        if delta.logprobs is not None and isinstance(block, Text):
            return self._weigh(block, tokens_of(delta.logprobs))
        return b""

    def _text(self, block: Text | Refusal | Thinking, text: str) -> bytes:
        before = self._opened(block)
        opened = self._open
        assert opened is not None
        if isinstance(block, Thinking):
            return before + self._think(opened, text)
        self._hold(opened, text)
        kind = b"output_text" if isinstance(block, Text) else b"refusal"
        rest = b',"logprobs":[]}\n\n' if isinstance(block, Text) else b"}\n\n"
        written = (
            b'event: response.%b.delta\ndata: {"type":"response.%b.delta","sequence_number":%d,"output_index":%d,'
            b'"item_id":"%b","content_index":0,"delta":%b%b'
            % (kind, kind, self._sequence, self._index, opened.id.encode(), _encode(text), rest)
        )
        self._sequence += 1
        return before + written if before else written

    def _think(self, opened: _Open, text: str) -> bytes:
        before = b""
        if not opened.said.tell():
            before = self._summary(opened, "part.added", part={"type": "summary_text", "text": ""})
        self._hold(opened, text)
        return before + self._summary(opened, "text.delta", delta=text)

    def _summary(self, opened: _Open, kind: str, **members: object) -> bytes:
        return self._event(
            f"response.reasoning_summary_{kind}",
            output_index=self._index,
            item_id=opened.id,
            summary_index=len(opened.thoughts),
            **members,
        )

    def _sign(self, signature: str) -> bytes:
        assert isinstance(self._block, Thinking)
        before = self._opened(self._block)
        opened = self._open
        assert opened is not None
        opened.block = self._block  # whose signature it is
        opened.signature.append(signature)
        return before

    def _cite(self, block: Text | Refusal) -> bytes:
        written = b""
        for citation in block.citations if isinstance(block, Text) else ():
            if is_annotation(citation):
                written += self._opened(Text(""))
                opened = self._open
                assert opened is not None
                place = len(opened.annotations)
                opened.annotations.append(citation)
                written += self._place(
                    "response.output_text.annotation.added", opened.id, annotation_index=place, annotation=citation
                )
        return written

    def _weigh(self, block: Text, tokens: list[Raw]) -> bytes:
        """Log probabilities come after their text; only an event that brings more of it can bring them."""
        if not tokens:
            return b""
        before = self._opened(block)
        opened = self._open
        assert opened is not None
        opened.tokens += tokens
        return before + self._place("response.output_text.delta", opened.id, delta="", logprobs=tokens)

    def _arguments(self, arguments: str) -> bytes:
        opened = self._open
        if opened is None:
            return b""
        self._hold(opened, arguments)
        return self._event(
            "response.function_call_arguments.delta", output_index=self._index, item_id=opened.id, delta=arguments
        )

    # ---- ends

    def _part_over(self) -> bytes:
        """Ends the open part of a summary, if any is: another may follow in the same item."""
        opened = self._open
        if opened is None or not opened.said.tell():
            return b""
        text = opened.said.getvalue()
        written = self._summary(opened, "text.done", text=text)
        written += self._summary(opened, "part.done", part={"type": "summary_text", "text": text})
        opened.thoughts.append(text)
        opened.said = StringIO()
        return written

    def _close(self) -> bytes:
        """Ends the open item."""
        opened = self._open
        if opened is None:
            return b""
        block, id_ = opened.block, opened.id
        item: Members
        match block:
            case Text():
                text = opened.said.getvalue()
                part = text_part(text, opened.annotations, opened.tokens)
                written = self._place("response.output_text.done", id_, text=text, logprobs=opened.tokens)
                written += self._place("response.content_part.done", id_, part=part)
                item = message_item(id_, part)
            case Refusal():
                part = refusal_part(opened.said.getvalue())
                written = self._place("response.refusal.done", id_, refusal=part["refusal"])
                written += self._place("response.content_part.done", id_, part=part)
                item = message_item(id_, part)
            case ToolCall():
                written = b"" if opened.said.tell() else self._arguments("{}")
                item = call_item(id_, block, opened.said.getvalue())
                written += self._event(
                    "response.function_call_arguments.done",
                    output_index=self._index,
                    item_id=id_,
                    name=block.name,
                    arguments=item["arguments"],
                )
            case Thinking():
                written = self._part_over()
                item = reasoning_item(id_, [], "".join(opened.signature) or None, block.origin)
                item.pop("content", None)
                summary = [{"type": "summary_text", "text": text} for text in opened.thoughts]
                item.update(id=id_, summary=summary)  # as it was begun, and its text was given out
            case _:
                assert_never(block)
        written += self._event("response.output_item.done", output_index=self._index, item=item)
        self._items.append(item)
        self._open = None
        return written

    def _finish(self) -> bytes:
        written = self._start(Started(None, None)) + self._close()
        self._over = True
        response = response_object(self._id, self._model, self._created, self._items, self._stop, self._usage)
        response = self._shown(response)
        return written + self._event(f"response.{write_stop(self._stop).status}", response=response)

    def _shown(self, response: ResponseObject) -> ResponseObject:
        """For a writer that has more to say of the response, at its start and when it is whole."""
        return response
