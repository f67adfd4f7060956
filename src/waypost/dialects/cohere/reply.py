"""A whole answer: JSON ⇄ the neutral reply."""

from typing import Literal

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import Block, Json, Opaque, Refusal, Text, Thinking, ToolCall
from waypost.conversation.faults import UpstreamFault
from waypost.conversation.reply import Choice, Reply, Usage
from waypost.dialects.cohere.content import (
    Members,
    WireCall,
    is_own_citation,
    plan_of,
    read_calls,
    read_content,
    tool_plan,
    with_citations,
    write_call,
)
from waypost.dialects.cohere.faults import broken_off, malformed
from waypost.dialects.cohere.words import (
    FAILED,
    NAME,
    STOPS,
    CountedUsage,
    read_logprobs,
    read_stop,
    read_usage,
    reply_id,
    usage_of,
    write_logprobs,
    write_stop,
    write_usage,
)
from waypost.dialects.plain import plainly
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told


class _PlainText(Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["text"]
    text: str


class _PlainMessage(Struct, gc=False, forbid_unknown_fields=True):
    content: tuple[_PlainText]
    role: str | None = None
    tool_plan: None = None
    tool_calls: tuple[()] | None = None
    citations: tuple[()] | None = None


class _PlainReply(Struct, gc=False, forbid_unknown_fields=True):
    message: _PlainMessage
    finish_reason: Literal["COMPLETE", "MAX_TOKENS", "STOP_SEQUENCE"]
    usage: CountedUsage
    id: str | None = None
    logprobs: None = None


class _Message(Struct, gc=False):
    content: Raw = ABSENT
    tool_plan: str | None = None
    tool_calls: list[WireCall] | None = None
    citations: list[Raw] | None = None


class _Reply(Struct, gc=False):
    message: _Message
    id: str | None = None
    finish_reason: str | None = None
    usage: Raw = ABSENT
    logprobs: Raw = ABSENT


class _Glanced(Struct, gc=False):
    message: Raw
    finish_reason: str | None = None
    usage: Raw = ABSENT


_plain_decoder = Decoder(_PlainReply)
_reply_decoder = Decoder(_Reply)
_glance_decoder = Decoder(_Glanced)
_members_decoder = Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode
_NAMED = frozenset(_Reply.__struct_fields__)


def read_reply(body: bytes) -> Reply:
    """Raises UpstreamFault: MALFORMED, or what an answer that broke off under status 200 says of it."""
    plain = plainly(_plain_decoder, body)
    if plain is not None:
        text = plain.message.content[0].text
        said = Choice((Text(text),) if text else (), STOPS[plain.finish_reason])
        return Reply(NAME, plain.id, None, (said,), usage_of(plain.usage))
    try:
        if not body.isascii():
            check_text(body)
        reply = decode(_reply_decoder, body, "")
        if reply.finish_reason in FAILED:
            raise UpstreamFault(broken_off(reply.finish_reason or "", None))
        blocks, left = _read_message(reply.message, reply.id)
        members = _members_decoder.decode(body)
    except ShapeError as error:
        raise UpstreamFault(malformed(f"the answer is not a chat response: {error}")) from error
    extra = [(name, Json(bytes(raw))) for name, raw in members.items() if name not in _NAMED]
    choice = Choice(tuple(blocks), read_stop(reply.finish_reason), read_logprobs(reply.logprobs))
    return Reply(NAME, reply.id, None, (choice,), read_usage(reply.usage), None, (*extra, *left))


def _read_message(message: _Message, reply: str | None) -> tuple[list[Block], list[tuple[str, Json]]]:
    """Blocks, and citations that no text is there for."""
    blocks = read_content(message.content, "message.content")
    left: list[tuple[str, Json]] = []
    if message.citations:
        placed = with_citations(blocks, message.citations)
        if placed is None:
            left = [("citations", Json(_encode(message.citations)))]
        else:
            blocks = placed
    if message.tool_plan:
        blocks.append(tool_plan(message.tool_plan))
    blocks += read_calls(message.tool_calls or (), reply, "message.tool_calls")
    return blocks, left


def write_reply(reply: Reply, request_model: str) -> bytes:
    """Only the first choice can be carried: this protocol has one, and does not name the model."""
    choice = reply.choices[0] if reply.choices else Choice((), None)
    home = reply.dialect == NAME
    blocks = choice.blocks
    message: Members
    if len(blocks) == 1 and type(only := blocks[0]) is Text and not only.citations:
        message = {"role": "assistant", "content": [{"type": "text", "text": only.text}]}
    else:
        message = {"role": "assistant", **_write_blocks(blocks)}
    body: Members = {
        "id": reply.id if home and reply.id is not None else reply_id(reply.id),
        "message": message,
        "finish_reason": None if choice.stop is None else write_stop(choice.stop),
    }
    usage = write_usage(reply.usage)
    if usage is not None:
        body["usage"] = usage
    if choice.logprobs is not None and (logprobs := write_logprobs(choice.logprobs)):
        body["logprobs"] = logprobs
    if home and reply.extra:
        extra = dict(reply.extra)
        if "citations" in extra:
            message["citations"] = extra.pop("citations")
        body.update({name: raw for name, raw in extra.items() if name not in body})
    return _encode(body)


def _write_blocks(blocks: tuple[Block, ...]) -> Members:
    content: list[object] = []
    calls: list[Members] = []
    citations: list[Json] = []
    members: Members = {}
    for block in blocks:
        match block:
            case Text(text=text) | Refusal(text=text):
                if isinstance(block, Text):
                    citations += [citation for citation in block.citations if is_own_citation(citation)]
                content.append({"type": "text", "text": text})
            case Thinking():
                if block.text:
                    content.append({"type": "thinking", "thinking": block.text})
            case ToolCall():
                calls.append(write_call(block))
            case Opaque():
                plan = plan_of(block)
                if plan is not None:
                    members["tool_plan"] = plan
                elif block.dialect == NAME:
                    content.append(block.raw)
            case _:
                pass  # media and what only its own provider can read: an answer of this protocol has no place for them
    if content:
        members["content"] = content
    if calls:
        members["tool_calls"] = calls
    if citations:
        members["citations"] = citations
    return members


def glance_reply(body: bytes) -> Usage | None:
    """Raises UpstreamFault if the body is no answer, or one that broke off under a status of success."""
    try:
        reply = decode(_glance_decoder, body, "")
    except ShapeError as error:
        raise UpstreamFault(malformed(f"the answer is not a chat response: {error}")) from error
    if not bytes(reply.message).startswith(b"{"):
        raise UpstreamFault(malformed("the answer is not a chat response: message: is not an object"))
    if reply.finish_reason in FAILED:
        raise UpstreamFault(broken_off(reply.finish_reason or "", None))
    return read_usage(reply.usage) if told(reply.usage) else None
