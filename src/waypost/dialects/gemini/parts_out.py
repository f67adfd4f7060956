"""Neutral blocks → parts.

What can't be said here is told to `lose`, by the caller's name for it. The result is what `msgspec.json.encode` turns
into the parts' JSON. A signature without words of its own goes onto the part that follows it.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
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
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from waypost.dialects.gemini.words import NAME, signature_out

Members = dict[str, object]
Written = Members | Raw
Lose = Callable[[str], None]

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_IMAGE_MAGIC = {"/9j/": "image/jpeg", "iVBOR": "image/png", "R0lG": "image/gif", "UklG": "image/webp"}
_BY_ENDING = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "heic": "image/heic",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "mp4": "video/mp4",
}
_RESOLUTIONS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
_SHOWN_RESOLUTIONS = frozenset(_RESOLUTIONS)


class PartsOut:
    """Writes the blocks of a request's turns. `names` are the tools' names by the ids of their calls."""

    __slots__ = ("_beside", "_home", "_lose", "_names", "_nested")

    def __init__(self, home: bool, nested_media: bool, names: Mapping[str, str], lose: Lose) -> None:
        self._home = home
        self._nested = home or nested_media
        self._names = names
        self._lose = lose
        self._beside: list[Written] = []  # media of tool results, which the model takes only beside them

    def write(self, blocks: Sequence[Block]) -> list[Written]:
        parts: list[Written] = []
        signature: str | None = None
        for block in blocks:
            if isinstance(block, Thinking):
                if signature is not None:
                    self._settle(signature, parts)
                signature = self._thinking(block, parts)
                continue
            part = self._part(block)
            if part is None:
                continue
            if signature is not None:
                if isinstance(part, dict):
                    part["thoughtSignature"] = signature
                else:
                    parts.append(_signed_nothing(signature))
                signature = None
            parts.append(part)
        if signature is not None:
            self._settle(signature, parts)
        parts += self._beside
        self._beside = []
        return parts

    def _settle(self, signature: str, parts: list[Written]) -> None:
        """A signature that nothing follows."""
        last = parts[-1] if parts else None
        if not self._home and isinstance(last, dict) and "thought" in last:
            last["thoughtSignature"] = signature
        else:
            parts.append(_signed_nothing(signature))

    def _thinking(self, block: Thinking, parts: list[Written]) -> str | None:
        """Writes what was thought; of thinking without words only the signature is left, for the next part."""
        if block.origin != NAME:  # nobody else's signature says anything to Gemini
            if block.text or block.signature:
                self._lose("reasoning_content")
            return None
        if not block.text:
            return block.signature
        # Other callers have one place for both; Gemini looks for the signature on what came of the thought.
        parts.append(thought_out(block.text, block.signature if self._home else None))
        return None if self._home else block.signature

    def _part(self, block: Block) -> Written | None:
        match block:
            case Text(text=text) | Refusal(text=text):
                if isinstance(block, Text) and block.cache is not None:
                    self._lose("cache_control")
                return {"text": text} if text.strip() or self._home else None
            case ToolCall():
                return call_out(block, self._lose)
            case ToolResult():
                return self._result(block)
            case Image() | Document() | Audio():
                return media_out(block, self._home, self._lose)
            case Opaque():
                if block.dialect == NAME:
                    return block.raw
                self._lose(block.kind)
                return None
            case RedactedThinking():
                self._lose("reasoning_content")
                return None
            case Thinking():
                return None
            case _:
                assert_never(block)

    def _result(self, result: ToolResult) -> Members:
        response: Members = {"id": result.call_id, "name": result.name or self._names.get(result.call_id, "unknown")}
        texts: list[str] = []
        media: list[Written] = []
        for block in result.blocks:
            if isinstance(block, Text | Refusal):
                texts.append(block.text)
                continue
            part = self._part(block)
            if part is not None:
                media.append(part)
        if self._nested and media:
            response["response"] = _response("\n".join(texts), result.is_error) if texts else {}
            response["parts"] = media
        else:
            response["response"] = _response("\n".join(texts), result.is_error) if texts or not self._home else {}
            self._beside += media
        return {"functionResponse": response}


def _response(text: str, is_error: bool | None) -> object:
    """A function's response must be an object; Google's own words for what it came to are `output` and `error`."""
    try:
        raw = text.encode()
        names = _OBJECT.decode(raw).keys()
        if names and (not is_error or names == {"error"}):
            return Raw(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    return {"error" if is_error else "output": _utf8(text)}


def reply_parts(blocks: Sequence[Block]) -> list[Written]:
    """Of an answer: what a candidate of this protocol can hold. Foreign signatures travel with it."""
    parts: list[Written] = []
    signature: str | None = None
    for block in blocks:
        if isinstance(block, Thinking):
            if signature is not None:
                parts.append(_signed_nothing(signature))
            signature = signature_out(block.signature, block.origin)
            if block.text:
                parts.append(thought_out(block.text, signature))
                signature = None
            continue
        part = reply_part(block)
        if part is None:
            continue
        if signature is not None:
            if isinstance(part, dict):
                part["thoughtSignature"] = signature
            else:
                parts.append(_signed_nothing(signature))
            signature = None
        parts.append(part)
    if signature is not None:
        parts.append(_signed_nothing(signature))
    return parts


def reply_part(block: Block) -> Written | None:
    """None for what an answer of this protocol can't hold, or holds elsewhere than in a part."""
    match block:
        case Text(text=text) | Refusal(text=text):
            return {"text": text} if text else None
        case ToolCall():
            return call_out(block, _forget)
        case Image() | Document() | Audio():
            return media_out(block, False, _forget)
        case Opaque():
            return block.raw if block.dialect == NAME and block.kind not in BESIDE else None
        case ToolResult() | RedactedThinking() | Thinking():
            return None
        case _:
            assert_never(block)


# Opaque blocks that stand for a candidate's own members: each holds one, under its name.
BESIDE = ("urlContext", "grounding")


def _signed_nothing(signature: str) -> Members:
    return {"text": "", "thoughtSignature": signature}


def thought_out(text: str, signature: str | None) -> Members:
    part: Members = {"text": text, "thought": True}
    if signature is not None:
        part["thoughtSignature"] = signature
    return part


def call_out(call: ToolCall, lose: Lose) -> Members:
    if call.cache is not None:
        lose("cache_control")
    return {"functionCall": {"id": call.id, "name": call.name, "args": _arguments(call.arguments, lose)}}


def _arguments(arguments: str, lose: Lose) -> object:
    """Arguments must be a JSON object here. Models err: their text is then carried whole, as the one member of one."""
    if not arguments.strip():
        return {}
    try:
        raw = arguments.encode()
        _OBJECT.decode(raw)
        return Raw(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        lose("tool_calls.function.arguments")
        return {"arguments": _utf8(arguments)}


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def media_out(block: Image | Document | Audio, home: bool, lose: Lose) -> Members | None:
    if not isinstance(block, Audio) and block.cache is not None:
        lose("cache_control")
    part = _source_out(block, home)
    if part is None:
        lose({Image: "image_url", Document: "file", Audio: "input_audio"}[type(block)])
        return None
    if isinstance(block, Image) and block.detail in _SHOWN_RESOLUTIONS:
        part["mediaResolution"] = {"level": _RESOLUTIONS[block.detail]}
    elif isinstance(block, Image) and block.detail not in (None, "auto"):
        lose("image_url.detail")
    if isinstance(block, Document):
        if block.context is not None:
            lose("context")
        if block.name is not None:
            if home:
                for value in part.values():
                    if isinstance(value, dict):
                        value["displayName"] = block.name
            else:
                lose("filename")
        if block.citations and not home:
            lose("citations")
    return part


def _source_out(block: Image | Document | Audio, home: bool) -> Members | None:
    source = block.source
    if isinstance(block, Document) and block.text is not None:
        data = base64.b64encode(block.text.encode("utf-8", "replace")).decode()
        return {"inlineData": {"mimeType": "text/plain", "data": data}}
    if source.data is not None:
        return {"inlineData": {"mimeType": _media_type(block, source), "data": source.data}}
    url = source.url
    if url is not None and url.startswith("data:"):
        return _data_url(url)
    if url is not None or (home and source.file_id is not None):
        file: Members = {"fileUri": url or source.file_id}
        if not home or source.media_type is not None:
            file["mimeType"] = _media_type(block, source)
        return {"fileData": file}
    return None


def _data_url(url: str) -> Members | None:
    head, comma, data = url[5:].partition(",")
    media_type, _, encoding = head.partition(";")
    if not comma:
        return None
    if encoding.endswith("base64"):
        return {"inlineData": {"mimeType": media_type or "application/octet-stream", "data": data}}
    from urllib.parse import unquote_to_bytes

    encoded = base64.b64encode(unquote_to_bytes(data)).decode()
    return {"inlineData": {"mimeType": media_type or "text/plain", "data": encoded}}


def _media_type(block: Image | Document | Audio, source: Source) -> str:
    """Google wants to be told; where the caller did not, the bytes, the format or the name's ending say it."""
    if source.media_type:
        return source.media_type
    if isinstance(block, Audio):
        return f"audio/{block.format or 'wav'}"
    if source.data is not None and isinstance(block, Image):
        return next((kind for magic, kind in _IMAGE_MAGIC.items() if source.data.startswith(magic)), "image/png")
    path = (source.url or (block.name if isinstance(block, Document) else None) or "").partition("?")[0]
    known = _BY_ENDING.get(path.rpartition(".")[2].lower())
    if known is not None:
        return known
    return "image/jpeg" if isinstance(block, Image) else "application/pdf"


def _forget(name: str) -> None:
    """A reply has nobody to tell."""
