"""Neutral blocks → the content blocks of a message.

What can't be said here is told to `lose`, by the caller's name for it. The result is what `msgspec.json.encode` turns
into the block's JSON.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable
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
from waypost.dialects.anthropic.words import NAME

Written = dict[str, object] | Raw
Lose = Callable[[str], None]

_LEGAL_ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
# The first bytes of the four image formats, as base64 spells them.
_IMAGE_MAGIC = {"/9j/": "image/jpeg", "iVBOR": "image/png", "R0lG": "image/gif", "UklG": "image/webp"}


class _CitationKind(Struct, frozen=True):
    type: str = ""


_CITATION_KIND = msgspec.json.Decoder(_CitationKind)


def block_out(block: Block, lose: Lose) -> Written | None:
    """A block of a request's turn; None if there is nothing of it to say."""
    match block:
        case Text():
            return text_out(block.text, block.cache, block.citations)
        case Refusal():
            return text_out(block.text)
        case Image():
            return _image_out(block, lose)
        case Document():
            return _document_out(block, lose)
        case Audio():
            lose("input_audio")
            return None
        case ToolCall():
            return tool_use_out(block, lose)
        case ToolResult():
            return _tool_result_out(block, lose)
        case Thinking():
            # Only Anthropic can check its own signatures, and it refuses thinking without one.
            if block.signature is None or block.origin != NAME:
                lose("reasoning_content")
                return None
            return thinking_out(block)
        case RedactedThinking():
            if block.origin != NAME:
                lose("reasoning_content")
                return None
            return {"type": "redacted_thinking", "data": block.data}
        case Opaque():
            if block.dialect != NAME:
                lose(block.kind)
                return None
            return block.raw
        case _:
            assert_never(block)


def reply_content(blocks: Iterable[Block]) -> list[Written]:
    """An answer's blocks, another provider's signatures where callers send them back from (see `stream_out`)."""
    shown: list[Block] = []
    for block in blocks:
        last = shown[-1] if shown else None
        lone = _lone(block)
        if lone is not None and isinstance(last, Thinking) and last.text and last.signature is None:
            shown[-1] = Thinking(last.text, lone.signature, lone.origin)
        else:
            shown.append(block)
    if len(shown) > 1 and _lone(shown[-1]) is not None:
        shown.pop()
    return [written for block in shown if (written := reply_block_out(block)) is not None]


def _lone(block: Block) -> Thinking | None:
    """What is nothing but another provider's signature."""
    if isinstance(block, Thinking) and not block.text and block.signature and block.origin != NAME:
        return block
    return None


def reply_block_out(block: Block) -> Written | None:
    """A block of an answer; None for what an answer of this protocol can't hold (an image, another's server tool)."""
    match block:
        case Text():
            return text_out(block.text, block.cache, block.citations)
        case Thinking():
            return thinking_out(block) if block.text or block.signature else None
        case RedactedThinking():
            return {"type": "redacted_thinking", "data": carried(block.data, block.origin, NAME)}
        case Refusal() | ToolCall() | Opaque():
            return block_out(block, _forget)
        case Image() | Document() | Audio() | ToolResult():
            return None
        case _:
            assert_never(block)


def text_out(text: str, cache: CacheMark | None = None, citations: tuple[Json, ...] = ()) -> Written | None:
    """None for an empty text, which Anthropic refuses."""
    if not text:
        return None
    block: dict[str, object] = {"type": "text", "text": text}
    if citations and (own := [citation for citation in citations if is_own_citation(citation)]):
        block["citations"] = own
    return block if cache is None else with_cache(block, cache)


def is_own_citation(citation: Json) -> bool:
    """All kinds of citation of this protocol are locations (`char_location`, `page_location`, …); no other's are."""
    try:
        return _CITATION_KIND.decode(citation).type.endswith("_location")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def thinking_out(block: Thinking) -> dict[str, object]:
    """Always with a signature, as clients insist on one: another provider's is marked as such, or empty."""
    signature = carried(block.signature, block.origin, NAME)
    return {"type": "thinking", "thinking": block.text, "signature": signature or ""}


def tool_use_out(call: ToolCall, lose: Lose) -> Written:
    block: dict[str, object] = {
        "type": "tool_use",
        "id": tool_id(call.id),
        "name": call.name,
        "input": _input(call.arguments, lose),
    }
    return with_cache(block, call.cache)


def tool_id(given: str) -> str:
    """The id itself if it is legal here, else one made of it: the same for a call and its result, in every turn."""
    if _LEGAL_ID.fullmatch(given):
        return given
    digest = hashlib.blake2s(given.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return f"toolu_{_ILLEGAL.sub('_', given)[:80]}_{digest}"


def with_cache(block: dict[str, object], cache: CacheMark | None) -> dict[str, object]:
    if cache is not None:
        block["cache_control"] = cache_out(cache)
    return block


def cache_out(cache: CacheMark) -> dict[str, object]:
    return {"type": "ephemeral"} if cache.ttl is None else {"type": "ephemeral", "ttl": cache.ttl}


def _input(arguments: str, lose: Lose) -> object:
    """Arguments must be a JSON object here. Models err: their text is then carried whole, as the one member of one."""
    if not arguments.strip():
        return {}
    try:
        raw = arguments.encode()
        _OBJECT.decode(raw)
        return Raw(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        lose("tool_calls.function.arguments")
        return {"arguments": arguments.encode("utf-8", "replace").decode()}


def _image_out(block: Image, lose: Lose) -> Written | None:
    source = _source_out(block.source)
    if source is None:
        lose("image_url")
        return None
    if block.detail not in (None, "auto"):
        lose("image_url.detail")
    if source["type"] == "base64" and not source.get("media_type"):
        data = str(source["data"])
        source["media_type"] = next(
            (kind for magic, kind in _IMAGE_MAGIC.items() if data.startswith(magic)), "image/png"
        )
    return with_cache({"type": "image", "source": source}, block.cache)


def _document_out(block: Document, lose: Lose) -> Written | None:
    source = _text_source(block) or _source_out(block.source)
    if source is None:
        lose("file")
        return None
    if source["type"] == "base64":
        media_type = source.get("media_type") or "application/pdf"
        if media_type != "application/pdf":
            lose("file")
            return None
        source["media_type"] = media_type
    written: dict[str, object] = {"type": "document", "source": source}
    if block.name is not None:
        written["title"] = block.name
    if block.context is not None:
        written["context"] = block.context
    if block.citations is not None:
        written["citations"] = {"enabled": block.citations}
    return with_cache(written, block.cache)


def _text_source(block: Document) -> dict[str, object] | None:
    """The source of a document that is plain text, given as such or in base64."""
    text = block.text
    media_type = block.source.media_type
    if text is None and block.source.data is not None and media_type is not None and media_type.startswith("text/"):
        try:
            text = base64.b64decode(block.source.data, validate=True).decode()
        except (binascii.Error, ValueError):
            return None
    return None if text is None else {"type": "text", "media_type": "text/plain", "data": text}


def _source_out(source: Source) -> dict[str, object] | None:
    url = source.url
    if source.data is not None:
        return {"type": "base64", "media_type": source.media_type, "data": source.data}
    if url is not None and url.startswith("data:"):
        head, comma, data = url[5:].partition(",")
        media_type, _, encoding = head.partition(";")
        if not comma or not encoding.endswith("base64"):
            return None
        return {"type": "base64", "media_type": media_type, "data": data}
    if url is not None:
        return {"type": "url", "url": url}
    if source.file_id is not None:
        return {"type": "file", "file_id": source.file_id}
    return None


def _tool_result_out(block: ToolResult, lose: Lose) -> Written:
    written: dict[str, object] = {"type": "tool_result", "tool_use_id": tool_id(block.call_id)}
    parts = [part for part in (block_out(inner, lose) for inner in block.blocks) if part is not None]
    if len(block.blocks) == 1 and isinstance(block.blocks[0], Text) and block.blocks[0] == Text(block.blocks[0].text):
        written["content"] = block.blocks[0].text
    elif parts:
        written["content"] = parts
    if block.is_error is not None:
        written["is_error"] = block.is_error
    return with_cache(written, block.cache)


def _forget(name: str) -> None:
    """A reply has nobody to tell."""
