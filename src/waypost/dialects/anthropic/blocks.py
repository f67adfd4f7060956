"""Content blocks: JSON → neutral blocks, for the turns of a request and the content of a reply alike.

A block of a kind without a neutral form (a server tool's call or result, a search result) becomes `Opaque`, whole.
"""

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.blocks import (
    Block,
    CacheMark,
    Document,
    Image,
    Opaque,
    RedactedThinking,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from waypost.dialects.anthropic.wire_json import ABSENT, ShapeError, decode, text_of, told
from waypost.dialects.anthropic.words import NAME


class _Kind(Struct, frozen=True):
    type: str


class WireCache(Struct, frozen=True):
    ttl: str | None = None


class _Text(Struct, frozen=True):
    text: str
    citations: list[Raw] | None = None
    cache_control: WireCache | None = None


class _Source(Struct, frozen=True):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: Raw = ABSENT


class _Image(Struct, frozen=True):
    source: _Source
    cache_control: WireCache | None = None


class _Citations(Struct, frozen=True):
    enabled: bool | None = None


class _Document(Struct, frozen=True):
    source: _Source
    title: str | None = None
    context: str | None = None
    citations: _Citations | None = None
    cache_control: WireCache | None = None


class _ToolUse(Struct, frozen=True):
    id: str
    name: str
    input: Raw = ABSENT
    cache_control: WireCache | None = None


class _ToolResult(Struct, frozen=True):
    tool_use_id: str
    content: Raw = ABSENT
    is_error: bool | None = None
    cache_control: WireCache | None = None


class _Thinking(Struct, frozen=True):
    thinking: str
    signature: str | None = None


class _Redacted(Struct, frozen=True):
    data: str


_KIND = msgspec.json.Decoder(_Kind)
_CONTENT = msgspec.json.Decoder(str | list[Raw])
_TEXT = msgspec.json.Decoder(_Text)
_IMAGE = msgspec.json.Decoder(_Image)
_DOCUMENT = msgspec.json.Decoder(_Document)
_TOOL_USE = msgspec.json.Decoder(_ToolUse)
_TOOL_RESULT = msgspec.json.Decoder(_ToolResult)
_THINKING = msgspec.json.Decoder(_Thinking)
_REDACTED = msgspec.json.Decoder(_Redacted)


def read_content(content: str | list[Raw], where: str) -> tuple[Block, ...]:
    """A string or a list of blocks. Raises ShapeError."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return read_blocks(content, where)


def read_blocks(raws: list[Raw], where: str) -> tuple[Block, ...]:
    return tuple([read_block(raw, f"{where}[{place}]") for place, raw in enumerate(raws)])


def read_block(raw: Raw, where: str) -> Block:
    """Raises ShapeError."""
    kind = decode(_KIND, raw, where).type
    reader = _READERS.get(kind)
    block = reader(raw, where) if reader else None
    return Opaque(NAME, kind, raw) if block is None else block


def read_cache(cache: WireCache | None) -> CacheMark | None:
    return None if cache is None else CacheMark(cache.ttl)


def _text(raw: Raw, where: str) -> Block:
    wire = decode(_TEXT, raw, where)
    return Text(wire.text, read_cache(wire.cache_control), tuple(wire.citations or ()))


def _image(raw: Raw, where: str) -> Block | None:
    wire = decode(_IMAGE, raw, where)
    source = _media(wire.source, f"{where}.source")
    return None if source is None else Image(source, cache=read_cache(wire.cache_control))


def _document(raw: Raw, where: str) -> Block | None:
    wire = decode(_DOCUMENT, raw, where)
    text: str | None = None
    source: Source | None
    if wire.source.type == "text":
        text = _needed(wire.source.data, f"{where}.source.data")
        source = Source(media_type=wire.source.media_type or "text/plain")
    elif wire.source.type == "content":
        text = _joined(wire.source.content, f"{where}.source.content")
        source = None if text is None else Source(media_type="text/plain")
    else:
        source = _media(wire.source, f"{where}.source")
    if source is None:
        return None
    return Document(
        source,
        name=wire.title,
        context=wire.context,
        text=text,
        citations=wire.citations.enabled if wire.citations else None,
        cache=read_cache(wire.cache_control),
    )


def _joined(content: Raw, where: str) -> str | None:
    """The text of a document given in pieces; None if some piece is not text."""
    if not told(content):
        raise ShapeError(f"{where}: is missing")
    texts: list[str] = []
    for block in read_content(decode(_CONTENT, content, where), where):
        if not isinstance(block, Text):
            return None
        texts.append(block.text)
    return "\n\n".join(texts)


def _media(source: _Source, where: str) -> Source | None:
    match source.type:
        case "base64":
            return Source(media_type=source.media_type, data=_needed(source.data, f"{where}.data"))
        case "url":
            return Source(media_type=source.media_type, url=_needed(source.url, f"{where}.url"))
        case "file":
            return Source(media_type=source.media_type, file_id=_needed(source.file_id, f"{where}.file_id"))
        case _:
            return None


def _needed(value: str | None, where: str) -> str:
    if value is None:
        raise ShapeError(f"{where}: is missing")
    return value


def _tool_use(raw: Raw, where: str) -> Block:
    wire = decode(_TOOL_USE, raw, where)
    arguments = text_of(wire.input) if told(wire.input) else "{}"
    return ToolCall(wire.id, wire.name, arguments, read_cache(wire.cache_control))


def _tool_result(raw: Raw, where: str) -> Block:
    wire = decode(_TOOL_RESULT, raw, where)
    return ToolResult(
        wire.tool_use_id,
        _result_content(wire.content, f"{where}.content") if told(wire.content) else (),
        wire.is_error,
        cache=read_cache(wire.cache_control),
    )


def _result_content(content: Raw, where: str) -> tuple[Block, ...]:
    return read_content(decode(_CONTENT, content, where), where)


def _thinking(raw: Raw, where: str) -> Block:
    wire = decode(_THINKING, raw, where)
    return Thinking(wire.thinking, wire.signature or None, NAME)


def _redacted(raw: Raw, where: str) -> Block:
    return RedactedThinking(decode(_REDACTED, raw, where).data, NAME)


_READERS: dict[str, Callable[[Raw, str], Block | None]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}
