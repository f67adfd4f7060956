"""Content blocks: JSON → neutral blocks, for the turns of a request and the content of a reply alike.

A block of a kind without a neutral form (a server tool's call or result, a search result) becomes `Opaque`, whole.
"""

from typing import get_args

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
from waypost.conversation.signatures import recovered
from waypost.dialects.anthropic.words import NAME
from waypost.dialects.wire_json import ABSENT, ShapeError, decode, text_of, told


class _Kind(Struct, frozen=True):
    type: str


class WireCache(Struct, frozen=True):
    ttl: str | None = None


class _Text(Struct, frozen=True, tag="text"):
    text: str
    citations: tuple[Raw, ...] | None = None
    cache_control: WireCache | None = None


class _Source(Struct, frozen=True):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: Raw = ABSENT


class _Image(Struct, frozen=True, tag="image"):
    source: _Source
    cache_control: WireCache | None = None


class _Citations(Struct, frozen=True):
    enabled: bool | None = None


class _Document(Struct, frozen=True, tag="document"):
    source: _Source
    title: str | None = None
    context: str | None = None
    citations: _Citations | None = None
    cache_control: WireCache | None = None


class _ToolUse(Struct, frozen=True, tag="tool_use"):
    id: str
    name: str
    input: Raw = ABSENT
    cache_control: WireCache | None = None


class _ToolResult(Struct, frozen=True, tag="tool_result"):
    tool_use_id: str
    content: Raw = ABSENT
    is_error: bool | None = None
    cache_control: WireCache | None = None


class _Thinking(Struct, frozen=True, tag="thinking"):
    thinking: str
    signature: str | None = None


class _Redacted(Struct, frozen=True, tag="redacted_thinking"):
    data: str


_Wire = _Text | _Image | _Document | _ToolUse | _ToolResult | _Thinking | _Redacted

_KIND = msgspec.json.Decoder(_Kind)
_CONTENT = msgspec.json.Decoder(str | list[Raw])
_BLOCK: msgspec.json.Decoder[_Wire] = msgspec.json.Decoder(_Wire)
_KINDS = frozenset(wire.__struct_config__.tag for wire in get_args(_Wire))


def read_content(content: str | list[Raw], where: str) -> tuple[Block, ...]:
    """A string or a list of blocks. Raises ShapeError."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return read_blocks(content, where)


def read_blocks(raws: list[Raw], where: str) -> tuple[Block, ...]:
    return tuple([read_block(raw, f"{where}[{place}]") for place, raw in enumerate(raws)])


def read_block(raw: Raw, where: str) -> Block:
    """Raises ShapeError."""
    try:
        wire = _BLOCK.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        kind = decode(_KIND, raw, where).type
        if kind not in _KINDS:
            return Opaque(NAME, kind, raw)
        wire = decode(_BLOCK, raw, where)
    block = _neutral(wire, where)
    return Opaque(NAME, decode(_KIND, raw, where).type, raw) if block is None else block


def _neutral(wire: _Wire, where: str) -> Block | None:
    """None for media of a source without a neutral form."""
    match wire:
        case _Text():
            return Text(wire.text, read_cache(wire.cache_control), wire.citations or ())
        case _ToolUse():
            arguments = text_of(wire.input) if told(wire.input) else "{}"
            return ToolCall(wire.id, wire.name, arguments, read_cache(wire.cache_control))
        case _ToolResult():
            return _tool_result(wire, f"{where}.content")
        case _Thinking():
            signature, origin = recovered(wire.signature or None, NAME)
            return Thinking(wire.thinking, signature, origin or NAME)
        case _Redacted():
            data, origin = recovered(wire.data, NAME)
            return RedactedThinking(data or "", origin)
        case _Image():
            source = _media(wire.source, f"{where}.source")
            return None if source is None else Image(source, cache=read_cache(wire.cache_control))
        case _Document():
            return _document(wire, where)


def read_cache(cache: WireCache | None) -> CacheMark | None:
    return None if cache is None else CacheMark(cache.ttl)


def _document(wire: _Document, where: str) -> Document | None:
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


def _tool_result(wire: _ToolResult, where: str) -> ToolResult:
    blocks = read_content(decode(_CONTENT, wire.content, where), where) if told(wire.content) else ()
    return ToolResult(wire.tool_use_id, blocks, wire.is_error, cache=read_cache(wire.cache_control))
