"""A whole answer: `chat.completion` bytes ⇄ Reply. Reads what providers really send, writes what OpenAI documents.

Reasoning, which OpenAI's own protocol does not show, is written as `reasoning_content`, DeepSeek's name for it.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import (
    Audio,
    Block,
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
from waypost.conversation.faults import UpstreamFault
from waypost.conversation.reply import Choice, Reply, Stop, Usage
from waypost.dialects.openai_chat.faults import fault_in_answer, not_read
from waypost.dialects.openai_chat.words import (
    NAME,
    NULL,
    NULL_TEXT,
    WireUsage,
    call_id,
    read_stop,
    read_usage,
    reply_id,
    usage_of,
    write_stop,
    write_usage,
)
from waypost.dialects.plain import plainly


class Function(Struct, gc=False):
    name: str | None = None
    arguments: Any = None


class WireToolCall(Struct, gc=False):
    id: str | None = None
    type: str | None = None
    function: Function | None = None
    custom: Raw = NULL


class ReasoningDetail(Struct, gc=False):
    """OpenRouter's: `reasoning.text`, `reasoning.summary` or `reasoning.encrypted`."""

    type: str | None = None
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None


class WireAudio(Struct, gc=False):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None


class _Message(Struct, gc=False):
    content: Any = None
    refusal: str | None = None
    reasoning: Any = None
    reasoning_content: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    tool_calls: list[WireToolCall] | None = None
    function_call: Function | None = None
    annotations: list[Raw] | None = None
    audio: WireAudio | None = None


class _Choice(Struct, gc=False):
    message: _Message | None = None
    finish_reason: str | None = None
    logprobs: Raw = NULL


class _Error(Struct, gc=False):
    error: Raw = NULL


class _Reply(Struct, gc=False):
    """`id`, `model` and `created` of another type than they should be say nothing."""

    id: Any = None
    model: Any = None
    created: Any = None
    choices: list[_Choice] = []
    usage: Raw = NULL
    error: Raw = NULL


class _Glanced(Struct, gc=False):
    finish_reason: str | None = None


class _GlancedReply(Struct, gc=False):
    choices: list[_Glanced] | None = None
    model: str | None = None
    usage: Raw = NULL
    error: Raw = NULL


class _PlainMessage(Struct, gc=False, forbid_unknown_fields=True):
    content: str
    role: str | None = None
    refusal: None = None
    reasoning: None = None
    reasoning_content: None = None
    tool_calls: None = None
    function_call: None = None
    audio: None = None
    annotations: tuple[()] = ()


class _PlainChoice(Struct, gc=False, forbid_unknown_fields=True):
    message: _PlainMessage
    index: int = 0
    finish_reason: str | None = None
    logprobs: None = None


class _PlainReply(Struct, gc=False, forbid_unknown_fields=True):
    id: str
    model: str
    created: int
    choices: tuple[_PlainChoice]
    usage: WireUsage | None = None
    object: str | None = None
    service_tier: Raw = NULL
    system_fingerprint: Raw = NULL


_encode = msgspec.json.Encoder().encode
_plain_decoder = Decoder(_PlainReply)
_members_decoder = Decoder(dict[str, Raw])
_reply_decoder = Decoder(_Reply)
_error_decoder = Decoder(_Error)
_glance_decoder = Decoder(_GlancedReply)

MOST_SECONDS = 1e15  # of a moment; what is more is none
_NUMBERS = (int, float, bool)
_NAMED = frozenset(("id", "model", "created", "choices", "usage", "object"))


def glance_reply(body: bytes) -> Usage | None:
    """Raises UpstreamFault for a body that is no answer: not JSON, an error told with status 200, no choices."""
    try:
        seen = _glance_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(body, error) from None
    if bytes(seen.error) != NULL_TEXT or not seen.choices:
        raise fault_in_answer(body)
    return read_usage(seen.usage)


def read_reply(body: bytes) -> Reply:
    """Raises UpstreamFault for a body that is no answer, as `glance_reply` does."""
    plain = plainly(_plain_decoder, body)
    if plain is not None:
        return _read_plain(plain)
    try:
        if not body.isascii():
            body.decode()  # msgspec does not look into what it skips
        told = _reply_decoder.decode(body)
        members = _members_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(body, error) from None
    if not told.choices or ("error" in members and bytes(told.error) != NULL_TEXT):
        raise fault_in_answer(body)
    id_, model, created = told.id, told.model, told.created
    told_id = id_ if type(id_) is str and id_ else None
    return Reply(
        NAME,
        told_id,
        model if type(model) is str and model else None,
        tuple([_read_choice(choice, i, told_id) for i, choice in enumerate(told.choices)]),
        read_usage(told.usage),
        int(created) if type(created) in _NUMBERS and abs(created) < MOST_SECONDS else None,
        () if _NAMED.issuperset(members) else _extra(members),
    )


def _read_plain(plain: _PlainReply) -> Reply:
    choice = plain.choices[0]
    text = choice.message.content
    return Reply(
        NAME,
        plain.id or None,
        plain.model or None,
        (Choice((Text(text),) if text else (), read_stop(choice.finish_reason)),),
        None if plain.usage is None else usage_of(plain.usage),
        plain.created if abs(plain.created) < MOST_SECONDS else None,
        ()
        if plain.service_tier is plain.system_fingerprint is NULL
        else _extra({"service_tier": plain.service_tier, "system_fingerprint": plain.system_fingerprint}),
    )


def _extra(members: dict[str, Raw]) -> tuple[tuple[str, Json], ...]:
    return tuple([(name, raw) for name, raw in members.items() if name not in _NAMED and bytes(raw) != NULL_TEXT])


def _malformed(body: bytes, error: Exception) -> UpstreamFault:
    try:
        if bytes(_error_decoder.decode(body).error) != NULL_TEXT:
            return fault_in_answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return UpstreamFault(not_read("the answer is not a chat completion", body, error))


def _read_choice(choice: _Choice, place: int, reply: str | None) -> Choice:
    message = choice.message or _Message()
    blocks: list[Block] = []
    if message.reasoning_details or message.reasoning_content or message.reasoning:
        blocks += read_reasoning(message.reasoning_details, message.reasoning_content, message.reasoning)
    content = message.content
    if message.annotations or (content is not None and not isinstance(content, str)):
        blocks += _read_content(content, tuple(message.annotations or ()))
    elif content:
        blocks.append(Text(content))
    if message.refusal:
        blocks.append(Refusal(message.refusal))
    if message.tool_calls or message.function_call is not None:
        blocks += _read_calls(message, place, reply)
    audio = message.audio
    if audio is not None and (audio.id or audio.data):
        blocks.append(Audio(Source(data=audio.data), transcript=audio.transcript, id=audio.id))
    logprobs = choice.logprobs
    told = logprobs is not NULL and bytes(logprobs) != NULL_TEXT
    return Choice(tuple(blocks), read_stop(choice.finish_reason), logprobs if told else None)


def read_reasoning(details: list[ReasoningDetail] | None, content: object, reasoning: object) -> list[Block]:
    """Details say the same as the plain text, and more: who has them needs no other."""
    blocks: list[Block] = []
    shown = False
    for detail in details or ():
        text = detail.text or detail.summary or ""
        if text or detail.signature:
            shown = shown or bool(text)
            blocks.append(Thinking(text, detail.signature, NAME))
        elif detail.data:
            blocks.append(RedactedThinking(detail.data, NAME))
    if not shown:
        plain = content if isinstance(content, str) and content else reasoning
        if isinstance(plain, str) and plain:
            blocks.insert(0, Thinking(plain))
    return _joined(blocks)


def _joined(blocks: list[Block]) -> list[Block]:
    """Recorders of streams leave one detail a chunk: pieces without a signature belong to what follows them."""
    joined: list[Block] = []
    for block in blocks:
        last = joined[-1] if joined else None
        if isinstance(block, Thinking) and isinstance(last, Thinking) and last.signature is None:
            joined[-1] = Thinking(last.text + block.text, block.signature, block.origin)
        else:
            joined.append(block)
    return joined


def _read_content(content: object, annotations: tuple[Json, ...]) -> list[Block]:
    if isinstance(content, str):
        return [Text(content, citations=annotations)] if content or annotations else []
    blocks: list[Block] = []
    if isinstance(content, list):
        for part in content:
            blocks += read_part(part)
    elif isinstance(content, dict):
        # Cloudflare gives structured output as the object itself.
        blocks.append(Text(msgspec.json.encode(content).decode()))
    elif annotations:
        blocks.append(Text("", citations=annotations))
    return blocks


def read_part(part: object) -> list[Block]:
    """One part of a content list (Mistral's form): text, thinking, or what only this dialect knows."""
    if not isinstance(part, dict):
        return [Text(part)] if isinstance(part, str) else []
    match part.get("type"):
        case "text":
            return [Text(str(part.get("text") or ""))] if part.get("text") else []
        case "thinking":
            text = "".join(
                str(piece.get("text") or "") for piece in part.get("thinking") or () if isinstance(piece, dict)
            )
            return [Thinking(text)] if text else []
        case "refusal":
            return [Refusal(str(part.get("refusal") or ""))]
        case kind:
            return [Opaque(NAME, str(kind), Json(msgspec.json.encode(part)))]


def _read_calls(message: _Message, choice: int, reply: str | None) -> list[Block]:
    blocks: list[Block] = []
    for place, call in enumerate(message.tool_calls or ()):
        if is_custom(call):
            blocks.append(Opaque(NAME, "custom", write_custom(call)))
        elif (function := call.function) is not None and (function.name or call.id):
            arguments = read_arguments(function.arguments)
            told = call.id or call_id(reply, choice, place, f"{function.name}{arguments}")
            blocks.append(ToolCall(told, function.name or "", arguments))
    legacy = message.function_call
    if legacy is not None and legacy.name:
        arguments = read_arguments(legacy.arguments)
        blocks.append(ToolCall(call_id(reply, choice, 0, f"{legacy.name}{arguments}"), legacy.name, arguments))
    return blocks


def is_custom(call: WireToolCall) -> bool:
    return call.function is None and bytes(call.custom) != NULL_TEXT


def write_custom(call: WireToolCall) -> Json:
    """A call of a tool that takes free text: only this protocol has them."""
    return Json(msgspec.json.encode({"id": call.id, "type": "custom", "custom": call.custom}))


def read_arguments(arguments: object) -> str:
    """Text by the protocol; some servers send the object itself."""
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def write_reply(reply: Reply, model: str) -> bytes:
    """`model` is shown where the reply names none. Members without a name in the neutral form stay in their dialect."""
    own = reply.dialect == NAME
    wire: dict[str, object] = {
        "id": (own and reply.id) or reply_id(reply.id),
        "object": "chat.completion",
        "created": reply.created or 0,
        "model": reply.model or model,
        "choices": [_write_choice(choice, i, own) for i, choice in enumerate(reply.choices)],
        "usage": write_usage(reply.usage),
    }
    if own:
        wire.update(reply.extra)
    return _encode(wire)


def _write_choice(choice: Choice, index: int, own: bool) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": None, "refusal": None}
    blocks = choice.blocks
    if len(blocks) == 1 and type(only := blocks[0]) is Text and not only.citations:
        message["content"] = only.text
    else:
        _fill(message, blocks)
    return {
        "index": index,
        "message": message,
        "logprobs": choice.logprobs if own else None,
        "finish_reason": _stop_word(choice.stop, own),
    }


def _fill(message: dict[str, object], blocks: tuple[Block, ...]) -> None:
    """With blocks of all kinds, in any number."""
    texts: list[str] = []
    thoughts: list[str] = []
    details: list[dict[str, object]] = []
    calls: list[object] = []
    annotations: list[Json] = []
    for block in blocks:
        match block:
            case Text():
                texts.append(block.text)
                if block.citations:
                    annotations += [citation for citation in block.citations if is_annotation(citation)]
            case Thinking():
                thoughts.append(block.text)
                details.append(write_thought(block))
            case RedactedThinking():
                if block.origin == NAME:
                    details.append({"type": "reasoning.encrypted", "data": block.data})
            case Refusal():
                message["refusal"] = block.text
            case ToolCall():
                calls.append(write_call(block))
            case Audio():
                message["audio"] = write_audio(block)
            case Opaque():
                if block.dialect == NAME and block.kind == "custom":
                    calls.append(block.raw)
            case Image() | Document() | ToolResult():
                pass  # no answer of this protocol has them
    if texts:
        message["content"] = "".join(texts)
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    if details and any("signature" in detail or "data" in detail for detail in details):
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = calls
    if annotations:
        message["annotations"] = annotations


def _stop_word(stop: Stop | None, own: bool) -> str | None:
    if stop is None:
        return None
    return (own and stop.raw) or write_stop(stop.kind)


def is_annotation(citation: Json) -> bool:
    """Whether a citation is of this protocol's own form: others' are never shown as such."""
    return b'"url_citation":' in bytes(citation) or b'"file"' in bytes(citation)


def write_call(call: ToolCall) -> dict[str, object]:
    """Clients parse the arguments as JSON, so a call without any gets an empty object."""
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments or "{}"},
    }


def write_thought(thinking: Thinking) -> dict[str, object]:
    """As OpenRouter has it. A signature of another dialect means nothing here and stays away."""
    detail: dict[str, object] = {"type": "reasoning.text", "text": thinking.text}
    if thinking.signature is not None and thinking.origin == NAME:
        detail["signature"] = thinking.signature
    return detail


def write_audio(audio: Audio) -> dict[str, object]:
    return {
        "id": audio.id or "",
        "data": audio.source.data or "",
        "transcript": audio.transcript or "",
        "expires_at": 0,
    }
