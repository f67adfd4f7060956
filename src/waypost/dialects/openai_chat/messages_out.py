"""Turns written as `messages`. Knows what a message of each role can hold, and where the rest goes."""

from collections.abc import Callable, Iterable

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
from waypost.dialects.openai_chat.reply import write_call, write_thought
from waypost.dialects.openai_chat.words import NAME

Members = dict[str, object]


def cache_control(mark: CacheMark) -> Members:
    return {"type": "ephemeral"} if mark.ttl is None else {"type": "ephemeral", "ttl": mark.ttl}


class MessagesOut:
    """`home`: the turns were read from this dialect. `lose` is told what can't be carried."""

    __slots__ = ("_home", "_lose", "_quirks")

    def __init__(self, home: bool, quirks: frozenset[str], lose: Callable[[str], None]) -> None:
        self._home = home
        self._quirks = quirks
        self._lose = lose

    def write(self, turns: Iterable[Turn]) -> list[Members]:
        messages: list[Members] = []
        for turn in turns:
            role, blocks = turn.role, turn.blocks
            plain = len(blocks) == 1 and turn.name is None and not turn.extra and role is not Role.DEVELOPER
            if plain and type(only := blocks[0]) is Text and only.cache is None:  # as most are: nothing is to be sorted
                messages.append({"role": role, "content": only.text})
            elif role is Role.ASSISTANT:
                messages.append(self._assistant(turn))
            else:
                messages += self._spoken(turn)
        return messages

    def _spoken(self, turn: Turn) -> list[Members]:
        """Tool results first, each a message of its own: they must follow the calls directly. Then what else was said.

        A tool message takes only text, so what a tool showed is said by the user after the results.
        """
        messages: list[Members] = []
        shown: list[object] = []
        rest: list[Block] = []
        for block in turn.blocks:
            if isinstance(block, ToolResult):
                messages.append(self._result(block, shown))
            else:
                rest.append(block)
        parts = shown + self._parts(rest)
        if parts or not messages:
            role = turn.role.value
            if turn.role is Role.DEVELOPER and not (self._home or "developer_role" in self._quirks):
                role = Role.SYSTEM.value
            message: Members = {"role": role, "content": _simplest(parts)}
            if turn.name is not None:
                message["name"] = turn.name
            messages.append(self._with_extra(message, turn))
        return messages

    def _result(self, result: ToolResult, shown: list[object]) -> Members:
        texts = [block for block in result.blocks if isinstance(block, Text | Refusal)]
        others = [block for block in result.blocks if not isinstance(block, Text | Refusal)]
        shown += self._parts(others)
        if result.is_error:
            self._lose("tool_result.is_error")
        message: Members = {
            "role": "tool",
            "tool_call_id": result.call_id,
            "content": _simplest(self._parts(texts)),
        }
        if result.name is not None and self._home:
            message["name"] = result.name
        return message

    def _parts(self, blocks: Iterable[Block]) -> list[object]:
        return [part for part in [self._part(block) for block in blocks] if part is not None]

    def _part(self, block: Block) -> object | None:
        match block:
            case Text(text=text):
                return self._marked({"type": "text", "text": text}, block.cache)
            case Refusal(text=text):
                return {"type": "text", "text": text}
            case Image():
                return self._image(block)
            case Document():
                return self._document(block)
            case Audio():
                return self._sound(block)
            case Opaque():
                if block.dialect == NAME:
                    return block.raw
                self._lose(block.kind)
                return None
            case Thinking() | RedactedThinking() | ToolCall() | ToolResult():
                return None  # never said by a user

    def _marked(self, part: Members, mark: CacheMark | None) -> Members:
        if mark is not None and (self._home or "cache_control" in self._quirks):
            part["cache_control"] = cache_control(mark)
        return part

    def _image(self, image: Image) -> Members | None:
        url = _url(image.source, "image/png")
        if url is None:
            self._lose("image")
            return None
        shown: Members = {"url": url}
        if image.detail is not None:
            shown["detail"] = image.detail
        return self._marked({"type": "image_url", "image_url": shown}, image.cache)

    def _document(self, document: Document) -> Members | None:
        """Plain text is said as text. A context and the wish for citations have no place."""
        if document.context is not None:
            self._lose("document.context")
        if document.citations:
            self._lose("document.citations")
        if document.text is not None:
            if document.name is not None:
                self._lose("document.name")
            return self._marked({"type": "text", "text": document.text}, document.cache)
        source = document.source
        if source.url is not None and "document_url" in self._quirks:
            part: Members = {"type": "document_url", "document_url": source.url}
            if document.name is not None:
                part["document_name"] = document.name
            return part
        file: Members = {}
        if source.file_id is not None and self._home:
            file["file_id"] = source.file_id
        elif source.data is not None or (source.url is not None and self._home):
            file["file_data"] = _url(source, "application/pdf")
        else:
            self._lose("document")
            return None
        if document.name is not None:
            file["filename"] = document.name
        elif source.data is not None:
            file["filename"] = document_name(source.media_type)  # OpenAI refuses data without a name
        return self._marked({"type": "file", "file": file}, document.cache)

    def _sound(self, audio: Audio) -> Members | None:
        if audio.source.data is None:
            self._lose("audio")
            return None
        media_type = audio.source.media_type or "audio/wav"
        form = audio.format or media_type.partition("/")[2]
        return {"type": "input_audio", "input_audio": {"data": audio.source.data, "format": form}}

    def _assistant(self, turn: Turn) -> Members:
        message: Members = {"role": "assistant", "content": None}
        calls: list[object] = []
        said: list[Block] = []
        thoughts: list[Thinking] = []
        details: list[Members] = []
        for block in turn.blocks:
            match block:
                case Text() | Image() | Document():
                    said.append(block)
                case Refusal(text=text):
                    message["refusal"] = text
                case ToolCall():
                    calls.append(write_call(block))
                case Thinking():
                    thoughts.append(block)
                    details.append(write_thought(block))
                case RedactedThinking(data=data):
                    if block.origin == NAME:
                        details.append({"type": "reasoning.encrypted", "data": data})
                    else:
                        self._lose("redacted_thinking")
                case Opaque():
                    self._opaque(block, calls, said)
                case Audio(id=str(id_)) if self._home:
                    message["audio"] = {"id": id_}
                case Audio():
                    self._lose("audio")
                case ToolResult():
                    self._lose("tool_result")
        parts = self._parts(said)
        if parts:
            message["content"] = _simplest(parts)
        elif not calls and "refusal" not in message and "audio" not in message:
            message["content"] = ""
        if calls:
            message["tool_calls"] = calls
        self._thoughts(message, thoughts, details)
        if turn.name is not None:
            message["name"] = turn.name
        return self._with_extra(message, turn)

    def _opaque(self, block: Opaque, calls: list[object], said: list[Block]) -> None:
        if block.dialect != NAME:
            self._lose(block.kind)
        elif block.kind == "custom":
            calls.append(block.raw)
        else:
            said.append(block)

    def _thoughts(self, message: Members, thoughts: list[Thinking], details: list[Members]) -> None:
        """An earlier turn's thinking goes back only where the provider takes it: most refuse what they don't know."""
        if self._home or "reasoning_content" in self._quirks:
            text = "".join(thought.text for thought in thoughts)
            if text:
                message["reasoning_content"] = text
        elif thoughts:
            self._lose("thinking")
        if any("signature" in detail or "data" in detail for detail in details):
            message["reasoning_details"] = details

    def _with_extra(self, message: Members, turn: Turn) -> Members:
        for name, raw in turn.extra:
            if self._home:
                message[name] = raw
            else:
                self._lose(f"messages.{name}")
        return message


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
