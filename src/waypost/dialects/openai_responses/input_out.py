"""Turns written as `input` items. Knows what an item of each kind can hold, and where the rest goes."""

from collections.abc import Callable, Iterable
from hashlib import blake2b

from waypost.conversation.blocks import (
    Audio,
    Block,
    CacheMark,
    Document,
    Image,
    Opaque,
    RedactedThinking,
    Refusal,
    Role,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from waypost.conversation.request import Turn
from waypost.dialects.file_names import document_name
from waypost.dialects.openai_responses.forms import NO_FORMS, Forms, named, text_of
from waypost.dialects.openai_responses.items import PART
from waypost.dialects.openai_responses.words import NAME, Signed, is_annotation, item_id, unpack

Members = dict[str, object]

_LONGEST_ID = 64  # characters of a call's id; longer ones are refused


class InputOut:
    """`home`: the turns were read from this dialect. `lose` is told what can't be carried. For one request."""

    __slots__ = ("_custom", "_forms", "_home", "_items", "_lose", "_marks", "_thoughts")

    def __init__(
        self, home: bool, quirks: frozenset[str], lose: Callable[[str], None], forms: Forms = NO_FORMS
    ) -> None:
        self._home = home
        self._forms = forms
        self._custom: set[str] = set()  # ids of calls to custom tools
        self._marks = home or "cache_breakpoint" in quirks
        self._lose = lose
        self._items: list[object] = []
        self._thoughts: list[str] = []  # reasoning whose signature may still come

    def write(self, turns: Iterable[Turn]) -> list[object]:
        for turn in turns:
            if not self._home:
                for name, _ in turn.extra:
                    self._lose(f"messages.{name}")
                if turn.name is not None:
                    self._lose("messages.name")
            blocks = turn.blocks
            if turn.role is Role.ASSISTANT:
                self._answer(turn)
            elif len(blocks) == 1 and type(only := blocks[0]) is Text and only.cache is None and not turn.extra:
                self._items.append({"role": turn.role, "content": only.text})  # as most are: nothing to be sorted
            else:
                self._spoken(turn)
        return self._items

    def _spoken(self, turn: Turn) -> None:
        """Tool results first: they must follow the calls. Then what else was said."""
        parts: list[object] = []
        for block in turn.blocks:
            if isinstance(block, ToolResult):
                self._items.append(self._result(block))
            elif isinstance(block, Opaque) and not block.kind.startswith(PART):
                self._own(block, self._items)
            else:
                self._part(block, parts)
        if parts or not turn.blocks:
            message: Members = {"type": "message", "role": turn.role, "content": _simplest(parts)}
            self._items.append(self._with_extra(message, turn))

    def _result(self, result: ToolResult) -> Members:
        if result.is_error:
            self._lose("tool_result.is_error")
        parts: list[object] = []
        for block in result.blocks:
            self._part(block, parts)
        return {
            "type": "custom_tool_call_output" if result.call_id in self._custom else "function_call_output",
            "call_id": self._call_id(result.call_id),
            "output": _simplest(parts),
        }

    def _call_id(self, given: str) -> str:
        """The id itself if it is legal here, else one made of it: the same for a call and its result, in every turn."""
        if self._home or len(given) <= _LONGEST_ID:
            return given
        return "call_" + blake2b(given.encode("utf-8", "replace"), digest_size=16).hexdigest()

    def _part(self, block: Block, parts: list[object]) -> None:
        match block:
            case Text(text=text):
                parts.append(self._marked({"type": "input_text", "text": text}, block.cache))
            case Refusal(text=text):
                parts.append({"type": "input_text", "text": text})
            case Image():
                self._image(block, parts)
            case Document():
                self._document(block, parts)
            case Audio():
                self._sound(block, parts)
            case Opaque():
                self._own(block, parts)
            case Thinking() | RedactedThinking() | ToolCall() | ToolResult():
                pass  # never said by a user

    def _own(self, block: Opaque, into: list[object]) -> None:
        if block.dialect == NAME:
            into.append(block.raw)
        else:
            self._lose(block.kind)

    def _marked(self, part: Members, mark: CacheMark | None) -> Members:
        if mark is not None and self._marks:
            wanted: Members = {"mode": "explicit"}
            if mark.ttl is not None and self._home:
                wanted["ttl"] = mark.ttl  # others' lifetimes are none of those that can be asked for here
            part["prompt_cache_breakpoint"] = wanted
        return part

    def _image(self, image: Image, parts: list[object]) -> None:
        part: Members = {"type": "input_image"}
        url = _url(image.source, "image/png")
        if url is not None:
            part["image_url"] = url
        elif image.source.file_id is not None and self._home:
            part["file_id"] = image.source.file_id
        else:
            self._lose("image")
            return
        if image.detail is not None or not self._home:
            part["detail"] = image.detail or "auto"
        parts.append(self._marked(part, image.cache))

    def _document(self, document: Document, parts: list[object]) -> None:
        """Plain text is said as text. A context and the wish for citations have no place."""
        if document.context is not None:
            self._lose("document.context")
        if document.citations:
            self._lose("document.citations")
        if document.text is not None:
            if document.name is not None:
                self._lose("document.name")
            parts.append(self._marked({"type": "input_text", "text": document.text}, document.cache))
            return
        source = document.source
        part: Members = {"type": "input_file"}
        if document.name is not None:
            part["filename"] = document.name
        if source.data is not None:
            part["file_data"] = _url(source, "application/pdf")
            part.setdefault("filename", document_name(source.media_type))  # data without a name is refused
        elif source.url is not None:
            part["file_url"] = source.url
            if not self._home and part.pop("filename", None) is not None:
                self._lose("document.name")  # refused beside a URL
        elif source.file_id is not None and self._home:
            part["file_id"] = source.file_id
        else:
            self._lose("document")
            return
        parts.append(self._marked(part, document.cache))

    def _sound(self, audio: Audio, parts: list[object]) -> None:
        """Only who spoke this protocol may know of a provider that hears it here."""
        if audio.source.data is None or not self._home:
            self._lose("audio")
            return
        form = audio.format or (audio.source.media_type or "audio/wav").partition("/")[2]
        parts.append({"type": "input_audio", "input_audio": {"data": audio.source.data, "format": form}})

    def _answer(self, turn: Turn) -> None:
        for block in turn.blocks:
            if isinstance(block, Thinking):
                self._think(block)
                continue
            self._forget()
            match block:
                case Text():
                    self._message(block, turn)
                case Refusal(text=text):
                    self._output({"type": "refusal", "refusal": text}, turn)
                case ToolCall():
                    self._items.append(self._call(block))
                case RedactedThinking():
                    if block.origin == NAME:
                        self._reason(unpack(block.data), [])
                    else:
                        self._lose("redacted_thinking")
                case Opaque() if block.kind.startswith(PART) and block.dialect == NAME:
                    self._output(block.raw, turn)
                case Opaque():
                    self._own(block, self._items)
                case Image() | Document() | Audio() | ToolResult():
                    self._lose(_LOST[type(block)])
        self._forget()

    def _call(self, call: ToolCall) -> Members:
        form = self._forms.get(call.name)
        written: Members = {"type": "function_call", "call_id": self._call_id(call.id), "name": call.name}
        if form is not None and form.custom is not None:
            self._custom.add(call.id)
            written.update(type="custom_tool_call", input=text_of(call.arguments))
        else:
            written["arguments"] = call.arguments or "{}"
        return named(written, form)

    def _message(self, text: Text, turn: Turn) -> None:
        """As the easy form of a message, for which no id has to be made up, wherever that holds it all."""
        annotations = [citation for citation in text.citations if is_annotation(citation)]
        if annotations:
            part = {"type": "output_text", "text": text.text, "annotations": annotations, "logprobs": []}
            self._output(part, turn)
        else:
            self._items.append(self._with_extra({"role": Role.ASSISTANT, "content": text.text}, turn))

    def _output(self, part: object, turn: Turn) -> None:
        message: Members = {
            "type": "message",
            "id": item_id("msg", "input", len(self._items)),
            "role": Role.ASSISTANT,
            "status": "completed",
            "content": [part],
        }
        self._items.append(self._with_extra(message, turn))

    def _with_extra(self, message: Members, turn: Turn) -> Members:
        if self._home:
            message.update(turn.extra)
        return message

    def _think(self, block: Thinking) -> None:
        """Reasoning without a signature is part of the item that the next one signs."""
        if block.signature is None:
            self._thoughts.append(block.text)
        elif block.origin == NAME:
            texts = [*self._thoughts, block.text] if block.text else self._thoughts
            self._thoughts = []
            self._reason(unpack(block.signature), texts)
        else:
            self._forget()
            self._lose("reasoning_content")

    def _forget(self) -> None:
        """Reasoning that nobody signed is nobody's: no provider takes it, but one that keeps what was said."""
        if not self._thoughts:
            return
        if self._home:
            self._reason(Signed("", False, ""), self._thoughts)
        else:
            self._lose("reasoning_content")
        self._thoughts = []

    def _reason(self, signed: Signed, texts: list[str]) -> None:
        kind = "reasoning_text" if signed.shown else "summary_text"
        parts = [{"type": kind, "text": text} for text in texts]
        item: Members = {"type": "reasoning"}
        if signed.id:
            item["id"] = signed.id
        item["summary"] = [] if signed.shown else parts
        if signed.shown:
            item["content"] = parts
        if signed.encrypted:
            item["encrypted_content"] = signed.encrypted
        self._items.append(item)


_LOST: dict[type[Block], str] = {Image: "image", Document: "document", Audio: "audio", ToolResult: "tool_result"}


def _simplest(parts: list[object]) -> object:
    """Plain text where it says the same: every server takes it."""
    if not parts:
        return ""
    only = parts[0]
    if len(parts) == 1 and isinstance(only, dict) and only.keys() == {"type", "text"}:
        return only["text"]
    return parts


def _url(source: Source, media_type: str) -> str | None:
    """None for an upload: another provider's means nothing here."""
    if source.data is not None:
        return f"data:{source.media_type or media_type};base64,{source.data}"
    return source.url
