"""A whole message: JSON ⇄ the neutral reply."""

from hashlib import blake2s
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.blocks import Json, Refusal, Text
from waypost.conversation.faults import UpstreamFault
from waypost.conversation.reply import Choice, Reply
from waypost.dialects.anthropic.blocks import read_blocks
from waypost.dialects.anthropic.blocks_out import Written, reply_content
from waypost.dialects.anthropic.faults import malformed, read_error_event
from waypost.dialects.anthropic.words import (
    NAME,
    CountedUsage,
    WireUsage,
    read_stop,
    read_usage,
    stop_word,
    usage_of,
    write_usage,
)
from waypost.dialects.plain import plainly
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode


class _PlainText(Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["text"]
    text: str
    citations: tuple[()] | None = None


class _PlainMessage(Struct, gc=False, forbid_unknown_fields=True):
    content: tuple[_PlainText]
    type: Literal["message"]
    role: Literal["assistant"]
    id: str
    model: str
    stop_reason: str
    usage: CountedUsage
    stop_sequence: str | None = None
    stop_details: Raw = ABSENT


class _Message(Struct, frozen=True):
    content: list[Raw] | None = None
    type: str | None = None
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: WireUsage | None = None


_PLAIN = msgspec.json.Decoder(_PlainMessage)
_MESSAGE = msgspec.json.Decoder(_Message)
_encode = msgspec.json.Encoder().encode
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_NAMED = frozenset((*_Message.__struct_fields__, "role"))


def read_reply(body: bytes) -> Reply:
    """Raises UpstreamFault: MALFORMED, or the error that stands in the body."""
    plain = plainly(_PLAIN, body)
    if plain is not None:
        return Reply(
            NAME,
            plain.id,
            plain.model,
            (Choice((Text(plain.content[0].text),), read_stop(plain.stop_reason, plain.stop_sequence)),),
            usage_of(plain.usage),
            None,
            (("stop_details", plain.stop_details),) if plain.stop_details else (),
        )
    try:
        if not body.isascii():
            check_text(body)
        message = decode(_MESSAGE, body, "")
        if message.type == "error":
            raise UpstreamFault(read_error_event(body))
        if message.content is None:
            raise ShapeError("content: is missing")
        blocks = read_blocks(message.content, "content")
        members = _MEMBERS.decode(body)
    except ShapeError as error:
        raise UpstreamFault(malformed(f"the answer is not a message: {error}")) from error
    stop = None if message.stop_reason is None else read_stop(message.stop_reason, message.stop_sequence)
    return Reply(
        dialect=NAME,
        id=message.id,
        model=message.model,
        choices=(Choice(blocks, stop),),
        usage=None if message.usage is None else read_usage(message.usage),
        extra=_extra(members) if not _NAMED.issuperset(members) else (),
    )


def write_reply(reply: Reply, request_model: str) -> bytes:
    """Only the first choice can be carried: this protocol has one."""
    choice = reply.choices[0] if reply.choices else Choice((), None)
    blocks, stop = choice.blocks, choice.stop
    content: list[Written]
    if len(blocks) == 1 and type(only := blocks[0]) is Text and only.cache is None and not only.citations:
        content = [{"type": "text", "text": only.text}] if only.text else []
        word = None if stop is None else stop_word(stop)
    else:
        content = reply_content(blocks)
        word = None if stop is None else stop_word(stop, refused=Refusal in map(type, blocks))
    body: dict[str, object] = {
        "id": message_id(reply.id, reply.model, reply.created),
        "type": "message",
        "role": "assistant",
        "model": reply.model or request_model,
        "content": content,
        "stop_reason": word,
        "stop_sequence": None if stop is None else stop.sequence,
        "usage": write_usage(reply.usage),
    }
    if reply.dialect == NAME:
        body.update(_own(reply.extra, body))
    return _encode(body)


def message_id(given: str | None, model: str | None, created: int | None) -> str:
    """An id of this protocol's look, the same for the same answer."""
    if given and given.startswith("msg_"):
        return given
    seed = given or f"{model} {created}"
    return "msg_" + blake2s(seed.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _extra(members: dict[str, Raw]) -> tuple[tuple[str, Json], ...]:
    return tuple([(name, raw) for name, raw in members.items() if name not in _NAMED])


def _own(extra: tuple[tuple[str, Json], ...], body: dict[str, object]) -> dict[str, Json]:
    return {name: raw for name, raw in extra if name not in body}
