"""Content blocks: JSON → neutral blocks, for the turns of a request and the content of a reply alike.

A block here is an object of one member, which names its kind (a union, in the service's model). One of a kind without
a neutral form (video, guarded content, a server tool's call or result) becomes `Opaque`, whole.
"""

import base64
import binascii

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from waypost.conversation.blocks import (
    Audio,
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
from waypost.dialects.bedrock.media import DOCUMENTS, IMAGES, SOUNDS
from waypost.dialects.bedrock.words import NAME
from waypost.dialects.wire_json import ABSENT, ShapeError, decode, text_of, told


class WireCache(Struct, frozen=True):
    ttl: str | None = None


class _Location(Struct, frozen=True, rename="camel"):
    uri: str
    bucket_owner: str | None = None


class _Piece(Struct, frozen=True):
    text: str | None = None


class _Source(Struct, frozen=True, rename="camel"):
    bytes: str | None = None
    s3_location: _Location | None = None
    text: str | None = None
    content: list[_Piece] | None = None


class _Media(Struct, frozen=True):
    source: _Source
    format: str | None = None
    error: Raw = ABSENT


class _Citations(Struct, frozen=True):
    enabled: bool | None = None


class _Document(Struct, frozen=True):
    source: _Source
    name: str | None = None
    format: str | None = None
    context: str | None = None
    citations: _Citations | None = None


class _ToolUse(Struct, frozen=True, rename="camel"):
    tool_use_id: str
    name: str
    input: Raw = ABSENT
    type: str | None = None


class _ToolResult(Struct, frozen=True, rename="camel"):
    tool_use_id: str
    content: list[Raw] | None = None
    status: str | None = None
    type: str | None = None


class _Reasoned(Struct, frozen=True):
    text: str
    signature: str | None = None


class _Reasoning(Struct, frozen=True, rename="camel"):
    reasoning_text: _Reasoned | None = None
    redacted_content: str | None = None


class _Cited(Struct, frozen=True):
    content: list[_Piece] | None = None
    citations: list[Raw] | None = None


class _Wire(Struct, frozen=True, rename="camel"):
    """The kinds that have a neutral form."""

    text: str | None = None
    tool_use: _ToolUse | None = None
    tool_result: _ToolResult | None = None
    reasoning_content: _Reasoning | None = None
    image: _Media | None = None
    document: _Document | None = None
    audio: _Media | None = None
    citations_content: _Cited | None = None
    cache_point: WireCache | None = None
    json: Raw = ABSENT


_BLOCK = msgspec.json.Decoder(_Wire)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_CACHED = Text | Image | Document | ToolCall | ToolResult  # what can carry a mark


def read_blocks(raws: list[Raw], where: str, *, answer: bool = False, replayed: bool = False) -> tuple[Block, ...]:
    """A message's content. Raises ShapeError.

    In an `answer` a tool result is a server tool's. In a `replayed` one a foreign signature may be carried.
    """
    blocks: list[Block] = []
    for place, raw in enumerate(raws):
        block = read_block(raw, f"{where}[{place}]", answer=answer, replayed=replayed)
        if isinstance(block, CacheMark):
            before = blocks[-1] if blocks else None
            if isinstance(before, _CACHED) and before.cache is None:
                blocks[-1] = replace(before, cache=block)
                continue
            block = Opaque(NAME, "cachePoint", raw)
        blocks.append(block)
    return tuple(blocks)


def read_block(raw: Raw, where: str, *, answer: bool = False, replayed: bool = False) -> Block | CacheMark:
    """A cache point is the mark that it stands for. Raises ShapeError."""
    wire = decode(_BLOCK, raw, where)
    if wire.text is not None:
        return Text(wire.text)
    block = _told(wire, raw, where, answer=answer, replayed=replayed)
    return Opaque(NAME, _kind(raw, where), raw) if block is None else block


def _kind(raw: Raw, where: str) -> str:
    kinds = [name for name, value in decode(_MEMBERS, raw, where).items() if told(value)]
    if len(kinds) != 1:
        raise ShapeError(f"{where}: must have exactly one member")
    return kinds[0]


def _told(wire: _Wire, raw: Raw, where: str, *, answer: bool, replayed: bool) -> Block | CacheMark | None:
    """None for what has no neutral form."""
    if wire.tool_use is not None:
        return _tool_use(wire.tool_use, raw)
    if wire.tool_result is not None:
        return _tool_result(wire.tool_result, raw, f"{where}.toolResult", answer=answer)
    if wire.reasoning_content is not None:
        return _reasoning(wire.reasoning_content, replayed=replayed)
    if wire.image is not None:
        source = None if told(wire.image.error) else _source(wire.image, IMAGES)
        return None if source is None else Image(source)
    if wire.document is not None:
        return _document(wire.document)
    if wire.audio is not None:
        source = None if told(wire.audio.error) else _source(wire.audio, SOUNDS)
        return None if source is None else Audio(source, wire.audio.format)
    if wire.citations_content is not None:
        cited = wire.citations_content
        text = "".join([piece.text or "" for piece in cited.content or ()])
        return Text(text, None, tuple(cited.citations or ()))
    if wire.cache_point is not None:
        return CacheMark(wire.cache_point.ttl)
    return Text(text_of(wire.json)) if len(wire.json) else None


def _tool_use(wire: _ToolUse, raw: Raw) -> Block:
    if wire.type == "server_tool_use":
        return Opaque(NAME, wire.type, raw)
    return ToolCall(wire.tool_use_id, wire.name, text_of(wire.input) if told(wire.input) else "{}")


def _tool_result(wire: _ToolResult, raw: Raw, where: str, *, answer: bool) -> Block | None:
    if answer or wire.type is not None:
        return Opaque(NAME, "toolResult", raw)
    blocks = read_blocks(wire.content or [], f"{where}.content")
    return ToolResult(wire.tool_use_id, blocks, None if wire.status is None else wire.status == "error")


def _reasoning(wire: _Reasoning, *, replayed: bool) -> Block | None:
    if wire.reasoning_text is not None:
        signature, origin = wire.reasoning_text.signature or None, None
        if replayed:
            signature, origin = recovered(signature, NAME)
        return Thinking(wire.reasoning_text.text, signature, origin or NAME)
    if wire.redacted_content is None:
        return None
    return _recovered(wire.redacted_content) if replayed else RedactedThinking(wire.redacted_content, NAME)


def _recovered(content: str) -> RedactedThinking:
    """Encrypted reasoning is base64 here; another protocol's travels in it, marked as its signatures are."""
    if content.startswith("d2F5cG9zdC"):  # how base64 spells the mark
        try:
            data, origin = recovered(base64.b64decode(content, validate=True).decode(), NAME)
        except (binascii.Error, ValueError):
            return RedactedThinking(content, NAME)
        if data is not None and origin != NAME:
            return RedactedThinking(data, origin)
    return RedactedThinking(content, NAME)


def _source(media: _Media, formats: dict[str, str]) -> Source | None:
    return _located(media.source, formats.get(media.format or ""), media.format)


def _located(source: _Source, media_type: str | None, format_: str | None) -> Source | None:
    """None for what a `Source` can't tell: a bucket's owner, a format that is not known."""
    if media_type is None and format_ is not None:
        return None
    if source.bytes is not None:
        return Source(media_type=media_type, data=source.bytes)
    if source.s3_location is not None and source.s3_location.bucket_owner is None:
        return Source(media_type=media_type, file_id=source.s3_location.uri)
    return None


def _document(wire: _Document) -> Document | None:
    media_type = DOCUMENTS.get(wire.format or "")
    source, text = _located(wire.source, media_type, wire.format), wire.source.text
    if text is None and wire.source.content is not None:
        text = "\n\n".join([piece.text or "" for piece in wire.source.content])
    if text is not None:
        source = Source(media_type=media_type or "text/plain")
    if source is None:
        return None
    citations = wire.citations.enabled if wire.citations else None
    return Document(source, wire.name, wire.context, text, citations)
