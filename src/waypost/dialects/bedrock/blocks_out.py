"""Neutral blocks → content blocks.

What can't be said here is told to `lose`, by the caller's name for it. The result is what `msgspec.json.encode` turns
into the block's JSON.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from typing import assert_never

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.blocks import (
    Audio,
    Block,
    CacheMark,
    Document,
    Image,
    Json,
    Opaque,
    RedactedThinking,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from waypost.conversation.signatures import carried
from waypost.dialects.bedrock.media import DOCUMENTS, IMAGES, SOUNDS, document_name, format_of
from waypost.dialects.bedrock.words import NAME

Written = dict[str, object] | Raw
Lose = Callable[[str], None]

_LEGAL_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_.:-]")
_OBJECT = msgspec.json.Decoder(dict[str, Raw])


class _Citation(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """All members that a citation of this protocol can have; those of others have more."""

    title: Raw = Raw()
    source: Raw = Raw()
    source_content: list[Raw] | None = None
    location: dict[str, Raw] | None = None


_CITATION = msgspec.json.Decoder(_Citation)


class BlockWriter:
    """Writes the blocks of one request. Knows which names its documents have taken."""

    __slots__ = ("_home", "_lose", "_names", "_status")

    def __init__(self, lose: Lose, *, home: bool, status: bool) -> None:
        """`status`: whether the model is told that a tool failed."""
        self._lose = lose
        self._home = home
        self._status = status
        self._names: set[str] = set()

    def write(self, block: Block) -> Written | None:
        """A block of a turn, without its cache mark; None if there is nothing of it to say."""
        match block:
            case Text():
                return text_out(block.text, block.citations)
            case Refusal():
                return text_out(block.text)
            case ToolCall():
                return self._call(block)
            case ToolResult():
                return self._result(block)
            case Image():
                if block.detail not in (None, "auto"):
                    self._lose("image_url.detail")
                return self._lost_if(_media_out("image", block.source, IMAGES), "image_url")
            case Document():
                return self._document(block)
            case Audio():
                return self._lost_if(_media_out("audio", block.source, SOUNDS, block.format), "input_audio")
            case Thinking():
                # Only the provider that signed may have it, and models here refuse reasoning without a signature.
                own = block.origin == NAME and (self._home or block.signature is not None)
                return self._lost_if(thinking_out(block) if own else None, "reasoning_content")
            case RedactedThinking():
                own = block.origin == NAME
                return self._lost_if(redacted_out(block.data) if own else None, "reasoning_content")
            case Opaque():
                return self._lost_if(block.raw if block.dialect == NAME else None, block.kind)
            case _:
                assert_never(block)

    def _lost_if(self, written: Written | None, name: str) -> Written | None:
        if written is None:
            self._lose(name)
        return written

    def _call(self, call: ToolCall) -> Written:
        input_, whole = input_of(call.arguments)
        if not whole:
            self._lose("tool_calls.function.arguments")
        return {"toolUse": {"toolUseId": tool_id(call.id), "name": call.name, "input": input_}}

    def _result(self, block: ToolResult) -> Written:
        content = [written for inner in block.blocks if (written := self.write(inner)) is not None]
        result: dict[str, object] = {"toolUseId": tool_id(block.call_id), "content": content}
        if block.is_error is not None and (self._status or self._home):
            result["status"] = "error" if block.is_error else "success"
        elif block.is_error:
            self._lose("is_error")
        return {"toolResult": result}

    def _document(self, block: Document) -> Written | None:
        text = block.text
        given = _inline(block.source)
        format_ = format_of(given.media_type, DOCUMENTS, given.data)
        source: dict[str, object] | None = {"text": text} if text is not None else source_out(given)
        if source is None or (format_ is None and text is None and not self._home):
            self._lose("file")
            return None
        name = block.name
        if not self._home:
            name = document_name(name, self._names)
        document: dict[str, object] = {
            **({} if format_ is None else {"format": format_}),
            "name": name or "document",
            "source": source,
        }
        if block.context is not None:
            document["context"] = block.context
        if block.citations is not None:
            document["citations"] = {"enabled": block.citations}
        return {"document": document}


def reply_block_out(block: Block) -> Written | None:
    """A block of an answer; None for what an answer of this protocol can't hold (another's server tool)."""
    match block:
        case Text():
            return text_out(block.text, block.citations)
        case Refusal():
            return text_out(block.text)
        case Thinking():
            return thinking_out(block) if block.text or block.signature else None
        case RedactedThinking():
            return redacted_out(carried(block.data, block.origin, NAME), marked=block.origin != NAME)
        case ToolCall():
            input_, _ = input_of(block.arguments)
            return {"toolUse": {"toolUseId": tool_id(block.id), "name": block.name, "input": input_}}
        case Image():
            return _media_out("image", block.source, IMAGES)
        case Audio():
            return _media_out("audio", block.source, SOUNDS, block.format)
        case Opaque():
            return block.raw if block.dialect == NAME else None
        case Document() | ToolResult():
            return None
        case _:
            assert_never(block)


def text_out(text: str, citations: tuple[Json, ...] = ()) -> Written | None:
    """None for an empty text, which Bedrock refuses."""
    own = [citation for citation in citations if is_own_citation(citation)] if citations else None
    if own:
        cited: dict[str, object] = {"content": [{"text": text}]} if text else {}
        return {"citationsContent": {**cited, "citations": own}}
    return {"text": text} if text else None


def is_own_citation(citation: Json) -> bool:
    try:
        told = _CITATION.decode(citation)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return told.location is not None or told.source_content is not None


def thinking_out(block: Thinking) -> dict[str, object]:
    reasoned: dict[str, object] = {"text": block.text}
    signature = carried(block.signature, block.origin, NAME)
    if signature is not None:
        reasoned["signature"] = signature
    return {"reasoningContent": {"reasoningText": reasoned}}


def redacted_out(data: str | None, *, marked: bool = False) -> dict[str, object]:
    content = data or ""
    if marked:
        content = base64.b64encode(content.encode("utf-8", "replace")).decode()
    return {"reasoningContent": {"redactedContent": content}}


def tool_id(given: str) -> str:
    """The id itself if it is legal here, else one made of it: the same for a call and its result, in every turn."""
    if _LEGAL_ID.fullmatch(given):
        return given
    digest = hashlib.blake2s(given.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return f"tooluse_{_ILLEGAL.sub('_', given)[:40]}_{digest}"


def cache_out(cache: CacheMark) -> dict[str, object]:
    point = {"type": "default"} if cache.ttl is None else {"type": "default", "ttl": cache.ttl}
    return {"cachePoint": point}


def input_of(arguments: str) -> tuple[object, bool]:
    """Arguments as the JSON object that they must be here, and whether they were one.

    Models err: their text is then carried whole, as the one member of one.
    """
    if not arguments.strip():
        return {}, True
    try:
        raw = arguments.encode()
        _OBJECT.decode(raw)
        return Raw(raw), True
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {"arguments": arguments.encode("utf-8", "replace").decode()}, False


def source_out(source: Source) -> dict[str, object] | None:
    """None for what Bedrock does not fetch: any address but one in S3."""
    address = source.url or source.file_id
    if source.data is not None:
        return {"bytes": source.data}
    if address is not None and address.startswith("s3://"):
        return {"s3Location": {"uri": address}}
    return None


def _media_out(kind: str, source: Source, formats: dict[str, str], told: str | None = None) -> Written | None:
    """None if the format is not known here, or the place is not one that Bedrock fetches from."""
    source = _inline(source)
    place = source_out(source)
    format_ = told if told in formats else format_of(source.media_type, formats, source.data)
    return None if place is None or format_ is None else {kind: {"format": format_, "source": place}}


def _inline(source: Source) -> Source:
    """A data URL holds its bytes."""
    if source.url is None or not source.url.startswith("data:"):
        return source
    head, comma, data = source.url[5:].partition(",")
    media_type, _, encoding = head.partition(";")
    if not comma or not encoding.endswith("base64"):
        return source
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return source
    return Source(media_type=media_type or source.media_type, data=data)
