"""Items and their parts: JSON → neutral blocks, for the input of a request and the output of an answer alike.

An item of a kind without a neutral form (a hosted tool's call or result, in an answer a custom tool's) becomes
`Opaque`, whole; so does a part, under a kind that begins with `PART`.
"""

from collections.abc import Set
from typing import Literal, NamedTuple

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

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
from waypost.conversation.signatures import recovered
from waypost.dialects.openai_responses.forms import arguments_of, function_name
from waypost.dialects.openai_responses.words import NAME, Signed, pack
from waypost.dialects.wire_json import ABSENT, ShapeError, decode, told

Spaces = Set[str]

PART = "content."
NO_SPACES: Spaces = frozenset()
REDACTED = "redacted."  # before what another dialect's encrypted reasoning is signed with: it has no text to show


class Kind(Struct, gc=False):
    type: str | None = None


class WireMessage(Struct, gc=False):
    content: Raw = ABSENT
    role: str | None = None


class WireCall(Struct, gc=False):
    call_id: str | None = None
    id: str | None = None
    name: str | None = None
    arguments: str | None = None
    namespace: str | None = None
    input: str | None = None


class _Output(Struct, gc=False):
    call_id: str | None = None
    output: Raw = ABSENT


class _ReasoningText(Struct, gc=False):
    type: str | None = None
    text: str | None = None


class WireReasoning(Struct, gc=False):
    id: str | None = None
    summary: list[_ReasoningText] | None = None
    content: list[_ReasoningText] | None = None
    encrypted_content: str | None = None


class _Sound(Struct, gc=False):
    data: str
    format: str | None = None


class _Breakpoint(Struct, gc=False):
    ttl: str | None = None


class _Part(Struct, gc=False):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: _Sound | None = None
    annotations: list[Raw] | None = None
    logprobs: list[Raw] | None = None
    prompt_cache_breakpoint: _Breakpoint | None = None


class _PlainPart(Struct, gc=False):
    """Text, as nearly every part of an answer is. Whatever does not fit is looked at part by part."""

    type: Literal["output_text"]
    text: str
    annotations: list[Raw] = []
    logprobs: list[Raw] = []


class _PlainMessage(Struct, gc=False):
    content: list[_PlainPart]


class Said(NamedTuple):
    """A message of an answer: its blocks, and the log probabilities of their tokens."""

    blocks: list[Block]
    tokens: list[Raw]


_plain_decoder = Decoder(_PlainMessage)
_kind_decoder = Decoder(Kind)
_message_decoder = Decoder(WireMessage)
_call_decoder = Decoder(WireCall)
_output_decoder = Decoder(_Output)
_reasoning_decoder = Decoder(WireReasoning)
_part_decoder = Decoder(_Part)
_content_decoder = Decoder(str | list[Raw])

_TEXTS = frozenset(("input_text", "output_text", "text"))


def kind_of(raw: Raw, where: str) -> str:
    """The item's type; a message may leave it out. Raises ShapeError."""
    return decode(_kind_decoder, raw, where).type or "message"


def read_message(raw: Raw, where: str) -> WireMessage:
    return decode(_message_decoder, raw, where)


def read_item(kind: str, raw: Raw, where: str, *, asked: bool, spaces: Spaces = NO_SPACES) -> list[Block]:
    """The blocks of any item but a message's speaker. `asked`: it stands in a request. Raises ShapeError.

    `spaces`: the namespaces of the request's tools. Some providers tell of one that nobody gave them.
    """
    match kind:
        case "message":
            return read_content(read_message(raw, where).content, f"{where}.content")
        case "function_call":
            return [_read_call(raw, where, spaces)]
        case "custom_tool_call" if asked:
            return [_read_custom(raw, where, spaces)]
        case "custom_tool_call_output" if asked:
            return [_read_result(raw, where)]
        case "function_call_output":
            return [_read_result(raw, where)]
        case "reasoning":
            return read_reasoning(decode(_reasoning_decoder, raw, where), asked=asked)
        case _:
            return [Opaque(NAME, kind, raw)]


def read_content(raw: Raw, where: str) -> list[Block]:
    """Text, or a list of parts; nothing at all says nothing. Raises ShapeError."""
    if not told(raw):
        return []
    content = decode(_content_decoder, raw, where)
    if isinstance(content, str):
        return [Text(content)] if content else []
    return [_read_part(part, f"{where}[{i}]") for i, part in enumerate(content)]


def read_output_message(raw: Raw, where: str) -> Said:
    """Raises ShapeError."""
    try:
        plain = _plain_decoder.decode(raw).content
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return _read_output_parts(read_message(raw, where).content, f"{where}.content")
    tokens: list[Raw] = []
    for part in plain:
        tokens += part.logprobs
    return Said([Text(part.text, None, tuple(part.annotations)) for part in plain], tokens)


def _read_output_parts(raw: Raw, where: str) -> Said:
    content = decode(_content_decoder, raw, where) if told(raw) else ""
    if isinstance(content, str):
        return Said([Text(content)] if content else [], [])
    parts = [read_part(part, f"{where}[{i}]") for i, part in enumerate(content)]
    return Said([block for block, _ in parts], [token for _, tokens in parts for token in tokens])


def read_part(raw: Raw, where: str) -> tuple[Block, list[Raw]]:
    """A part, and its log probabilities. Raises ShapeError."""
    part = decode(_part_decoder, raw, where)
    return _neutral(part, raw, where), part.logprobs or []


def _read_part(raw: Raw, where: str) -> Block:
    return _neutral(decode(_part_decoder, raw, where), raw, where)


def _neutral(part: _Part, raw: Raw, where: str) -> Block:
    kind = part.type
    mark = None if part.prompt_cache_breakpoint is None else CacheMark(part.prompt_cache_breakpoint.ttl)
    if kind in _TEXTS:
        if part.text is None:
            raise ShapeError(f"{where}.text: is missing")
        return Text(part.text, mark, tuple(part.annotations or ()))
    match kind:
        case "refusal":
            if part.refusal is None:
                raise ShapeError(f"{where}.refusal: is missing")
            return Refusal(part.refusal)
        case "input_image":
            if part.image_url is not None:
                return Image(_source(part.image_url), part.detail, mark)
            if part.file_id is None:
                raise ShapeError(f"{where}.image_url: is missing")
            return Image(Source(file_id=part.file_id), part.detail, mark)
        case "input_file":
            return Document(_file(part, where), part.filename, cache=mark)
        case "input_audio":
            if part.input_audio is None:
                raise ShapeError(f"{where}.input_audio: is missing")
            sound = part.input_audio
            return Audio(Source(f"audio/{sound.format}" if sound.format else None, data=sound.data), sound.format)
        case None:
            raise ShapeError(f"{where}.type: is missing")
        case _:
            return Opaque(NAME, PART + kind, Json(bytes(raw)))


def _file(part: _Part, where: str) -> Source:
    if part.file_data is not None:
        return _source(part.file_data, "application/pdf")
    if part.file_url is not None:
        return Source(url=part.file_url)
    if part.file_id is None:
        raise ShapeError(f"{where}.file_data: is missing")
    return Source(file_id=part.file_id)


def _source(url: str, bare_type: str | None = None) -> Source:
    """A data URL's base64, or the URL. Bare base64 of type `bare_type` where the field may hold that too."""
    if url.startswith("data:"):
        head, mark, data = url[5:].partition(";base64,")
        if mark:
            return Source(head.partition(";")[0] or None, data=data)
    elif bare_type is not None:
        return Source(bare_type, data=url)
    return Source(url=url)


def _read_call(raw: Raw, where: str, spaces: Spaces) -> ToolCall:
    call = decode(_call_decoder, raw, where)
    if not call.name:
        raise ShapeError(f"{where}.name: is missing")
    return ToolCall(call.call_id or call.id or "", _called(call, call.name, spaces), call.arguments or "")


def _read_custom(raw: Raw, where: str, spaces: Spaces) -> ToolCall:
    call = decode(_call_decoder, raw, where)
    if not call.name:
        raise ShapeError(f"{where}.name: is missing")
    return ToolCall(call.call_id or call.id or "", _called(call, call.name, spaces), arguments_of(call.input or ""))


def _called(call: WireCall, name: str, spaces: Spaces) -> str:
    return function_name(call.namespace, name) if call.namespace in spaces else name


def _read_result(raw: Raw, where: str) -> ToolResult:
    result = decode(_output_decoder, raw, where)
    if not result.call_id:
        raise ShapeError(f"{where}.call_id: is missing")
    return ToolResult(result.call_id, tuple(read_content(result.output, f"{where}.output")))


def read_reasoning(item: WireReasoning, *, asked: bool) -> list[Block]:
    """One block a part; the last is signed. In an answer an item without text or secret says nothing."""
    summary = [part.text for part in item.summary or () if part.text]
    content = [part.text for part in item.content or () if part.text]
    texts = [*summary, *content]
    signature, origin = signed(item, shown=bool(content) and not summary, asked=asked)
    if not texts:
        if signature is None:
            return []
        if origin != NAME and not signature.startswith(REDACTED):
            return [Thinking("", signature, origin)]
        return [RedactedThinking(signature.removeprefix(REDACTED) if origin != NAME else signature, origin)]
    blocks: list[Block] = [Thinking(text, None, NAME) for text in texts]
    blocks[-1] = Thinking(texts[-1], signature, origin)
    return blocks


def signed(item: WireReasoning, *, shown: bool, asked: bool) -> tuple[str | None, str]:
    """The signature of a reasoning item and whose it is.

    Without a secret a provider knows the item only if it keeps answers, or takes reasoning back as it was shown.
    """
    secret, origin = recovered(item.encrypted_content or None, NAME)
    if secret is not None and origin is not None and origin != NAME:
        return secret, origin
    if secret or shown or (asked and item.id):
        return pack(Signed(item.id or "", shown, secret or "")), NAME
    return None, NAME
