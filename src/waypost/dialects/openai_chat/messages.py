"""`messages` read into turns. What is malformed is refused by its place; what is only unknown is carried as it is."""

from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import (
    Audio,
    Block,
    CacheMark,
    Document,
    Image,
    Json,
    Opaque,
    Refusal,
    Role,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from waypost.conversation.request import Turn
from waypost.dialects.json_edit import decode, refuse
from waypost.dialects.openai_chat.reply import (
    Function,
    ReasoningDetail,
    WireToolCall,
    read_arguments,
    read_reasoning,
    write_custom,
)
from waypost.dialects.openai_chat.words import NAME, NULL, NULL_TEXT, call_id

T = TypeVar("T")

_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.DEVELOPER,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
}
_ANSWERING = ("tool", "function")
_SPELT = {f'"{role}"'.encode(): role for role in (*_ROLES, *_ANSWERING)}
_NAMED = frozenset(
    (
        "role",
        "content",
        "name",
        "refusal",
        "tool_calls",
        "function_call",
        "tool_call_id",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "audio",
    )
)


class _CacheControl(Struct, gc=False):
    ttl: str | None = None


class _ImageUrl(Struct, gc=False):
    url: str
    detail: str | None = None


class _InputAudio(Struct, gc=False):
    data: str
    format: str | None = None


class _File(Struct, gc=False):
    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None


class _Part(Struct, gc=False):
    type: str | None = None
    text: str | None = None
    image_url: _ImageUrl | str | None = None
    input_audio: _InputAudio | None = None
    file: _File | None = None
    document_url: str | _ImageUrl | None = None
    document_name: str | None = None
    refusal: str | None = None
    cache_control: _CacheControl | None = None


class _AudioId(Struct, gc=False):
    id: str | None = None


_messages_decoder = Decoder(list[dict[str, Raw]])
_parts_decoder = Decoder(list[Raw])
_part_decoder = Decoder(_Part)
_calls_decoder = Decoder(list[WireToolCall])
_function_decoder = Decoder(Function)
_details_decoder = Decoder(list[ReasoningDetail])
_audio_decoder = Decoder(_AudioId)
_text_decoder = Decoder(str)
_any_decoder = Decoder(Any)


def read_messages(raw: Raw) -> tuple[Turn, ...]:
    """Consecutive tool messages become one user turn. Refused(BAD_REQUEST) names the message that is wrong."""
    turns: list[Turn] = []
    results: list[Block] = []
    legacy_call = ""
    messages = decode(_messages_decoder, bytes(raw))
    for i, message in enumerate(messages):
        role = _SPELT.get(bytes(message.get("role", NULL))) or _string(message.get("role"), f"messages[{i}].role")
        if results and role not in _ANSWERING:
            turns.append(Turn(Role.USER, tuple(results)))
            results = []
        if len(message) == 2 and role in _ROLES and (content := bytes(message.get("content", NULL)))[:1] == b'"':
            text = decode(_text_decoder, content)  # as in most messages: nothing else to look for, no place to name
            turns.append(Turn(_ROLES[role], (Text(text),) if text else ()))
            continue
        where = f"messages[{i}]"
        if role in _ANSWERING:
            results.append(_read_result(message, where, legacy_call if role == "function" else None))
            continue
        if role not in _ROLES:
            refuse(f"`{where}.role`: {role!r} is not a role")
        if "function_call" in message:
            legacy_call = call_id(None, 0, i)
        turns.append(_read_turn(_ROLES[role], message, where, legacy_call))
    if results:
        turns.append(Turn(Role.USER, tuple(results)))
    return tuple(turns)


def _read_turn(role: Role, message: dict[str, Raw], where: str, legacy_call: str) -> Turn:
    blocks: list[Block] = []
    if role is Role.ASSISTANT:
        blocks += _read_thoughts(message, where)
    content = message.get("content")
    if content is not None and bytes(content) != NULL_TEXT:
        blocks += _read_content(bytes(content), f"{where}.content")
    if role is Role.ASSISTANT:
        blocks += _read_assistant(message, where, legacy_call)
    name = _optional(message.get("name"), f"{where}.name")
    extra = tuple([(key, raw) for key, raw in message.items() if key not in _NAMED and bytes(raw) != NULL_TEXT])
    return Turn(role, tuple(blocks), name, extra)


def _read_thoughts(message: dict[str, Raw], where: str) -> list[Block]:
    raw = message.get("reasoning_details")
    details = None
    if raw is not None and bytes(raw).startswith(b"["):
        details = decoded(_details_decoder, raw, f"{where}.reasoning_details")
    plain = [
        decoded(_any_decoder, message[name], f"{where}.{name}") if name in message else None
        for name in ("reasoning_content", "reasoning")
    ]
    return read_reasoning(details, plain[0], plain[1])


def _read_content(content: bytes, where: str) -> list[Block]:
    if content.startswith(b'"'):
        text = decode(_text_decoder, content)
        return [Text(text)] if text else []
    if not content.startswith(b"["):
        refuse(f"`{where}`: neither text nor a list of parts")
    parts = decode(_parts_decoder, content)
    return [_read_part(part, f"{where}[{i}]") for i, part in enumerate(parts)]


def _read_part(raw: Raw, where: str) -> Block:
    if bytes(raw).startswith(b'"'):  # Mistral takes bare text in a list
        return Text(decode(_text_decoder, bytes(raw)))
    part = decoded(_part_decoder, raw, where)
    mark = CacheMark(part.cache_control.ttl) if part.cache_control is not None else None
    match part.type:
        case "text" | "input_text" | None if part.text is not None:
            return Text(part.text, mark)
        case "image_url" if part.image_url is not None:
            image = part.image_url
            url, detail = (image, None) if isinstance(image, str) else (image.url, image.detail)
            return Image(read_source(url), detail, mark)
        case "input_audio" if part.input_audio is not None:
            audio = part.input_audio
            media_type = f"audio/{audio.format}" if audio.format else None
            return Audio(Source(media_type, data=audio.data), audio.format)
        case "file" if part.file is not None:
            file = part.file
            source = read_source(file.file_data, "application/pdf") if file.file_data else Source(file_id=file.file_id)
            return Document(source, file.filename, cache=mark)
        case "document_url" if part.document_url is not None:
            document = part.document_url
            url = document if isinstance(document, str) else document.url
            return Document(read_source(url), part.document_name, cache=mark)
        case "refusal" if part.refusal is not None:
            return Refusal(part.refusal)
        case "text" | "image_url" | "input_audio" | "file" | "document_url" | "refusal" as kind:
            return refuse(f"`{where}.{kind}` is missing")
        case None:
            return refuse(f"`{where}.type` is missing")
        case kind:
            return Opaque(NAME, kind, Json(bytes(raw)))


def read_source(url: str, bare_type: str | None = None) -> Source:
    """A data URL's base64, or the URL. Bare base64 of type `bare_type` where the field may hold that too."""
    if url.startswith("data:"):
        head, mark, data = url[5:].partition(";base64,")
        if mark:
            return Source(head.partition(";")[0] or None, data=data)
    elif bare_type is not None and not url.startswith(("http://", "https://", "gs://")):
        return Source(bare_type, data=url)
    return Source(url=url)


def _read_assistant(message: dict[str, Raw], where: str, legacy_call: str) -> list[Block]:
    blocks: list[Block] = []
    refusal = _optional(message.get("refusal"), f"{where}.refusal")
    if refusal:
        blocks.append(Refusal(refusal))
    raw = message.get("tool_calls")
    if raw is not None and bytes(raw) != NULL_TEXT:
        calls = decoded(_calls_decoder, raw, f"{where}.tool_calls")
        for i, call in enumerate(calls):
            if call.function is None:
                blocks.append(Opaque(NAME, call.type or "custom", write_custom(call)))
                continue
            function = call.function
            if not function.name:
                refuse(f"`{where}.tool_calls[{i}].function.name` is missing")
            blocks.append(ToolCall(call.id or "", function.name, read_arguments(function.arguments)))
    raw = message.get("function_call")
    if raw is not None and bytes(raw) != NULL_TEXT:
        function = decoded(_function_decoder, raw, f"{where}.function_call")
        if function.name:
            blocks.append(ToolCall(legacy_call, function.name, read_arguments(function.arguments)))
    raw = message.get("audio")
    if raw is not None and bytes(raw) != NULL_TEXT:
        blocks.append(Audio(Source(), id=decoded(_audio_decoder, raw, f"{where}.audio").id))
    return blocks


def _read_result(message: dict[str, Raw], where: str, legacy_call: str | None) -> ToolResult:
    content = message.get("content")
    blocks: list[Block] = []
    if content is not None and bytes(content) != NULL_TEXT:
        blocks = _read_content(bytes(content), f"{where}.content")
    name = _optional(message.get("name"), f"{where}.name")
    if legacy_call is not None:
        return ToolResult(legacy_call, tuple(blocks), name=name)
    return ToolResult(_string(message.get("tool_call_id"), f"{where}.tool_call_id"), tuple(blocks), name=name)


def _string(raw: Raw | None, where: str) -> str:
    value = _optional(raw, where)
    if value is None:
        refuse(f"`{where}` is missing")
    return value


def _optional(raw: Raw | None, where: str) -> str | None:
    if raw is None or bytes(raw) == NULL_TEXT:
        return None
    return decoded(_text_decoder, raw, where)


def decoded(decoder: "Decoder[T]", raw: Raw, where: str) -> T:
    """One member's value; Refused(BAD_REQUEST) that says where it is if it is of the wrong shape."""
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return refuse(f"`{where}`: {error}")
