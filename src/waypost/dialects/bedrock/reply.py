"""A whole answer (`ConverseResponse`): JSON ⇄ the neutral reply."""

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.blocks import Block, Refusal, Text
from waypost.conversation.faults import UpstreamFault
from waypost.conversation.reply import Choice, Reply, Usage
from waypost.dialects.bedrock.blocks import read_blocks
from waypost.dialects.bedrock.blocks_out import Written, reply_block_out
from waypost.dialects.bedrock.faults import is_error, malformed, read_exception
from waypost.dialects.bedrock.words import NAME, PlainUsage, WireUsage, read_stop, read_usage, stop_word, write_usage
from waypost.dialects.plain import plainly
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode


class _Message(Struct, frozen=True):
    content: list[Raw]


class _Output(Struct, frozen=True):
    message: _Message


class _Response(Struct, frozen=True, rename="camel"):
    output: _Output | None = None
    stop_reason: str | None = None
    usage: WireUsage | None = None


class _PlainBlock(Struct, gc=False, forbid_unknown_fields=True):
    text: str


class _PlainMessage(Struct, gc=False):
    content: tuple[_PlainBlock]


class _PlainOutput(Struct, gc=False):
    message: _PlainMessage


class _PlainResponse(Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    output: _PlainOutput
    stop_reason: str | None = None
    usage: PlainUsage | None = None
    metrics: Raw = ABSENT


_PLAIN = msgspec.json.Decoder(_PlainResponse)
_RESPONSE = msgspec.json.Decoder(_Response)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode
_NAMED = frozenset(_Response.__struct_encode_fields__)


def read_reply(body: bytes) -> Reply:
    """Raises UpstreamFault: MALFORMED, or the error that stands in the body."""
    plain = plainly(_PLAIN, body)
    if plain is not None:
        return _read_plain(plain)
    try:
        if not body.isascii():
            check_text(body)
        response = decode(_RESPONSE, body, "")
        if response.output is None:
            if is_error(body):
                raise UpstreamFault(read_exception(None, body))
            raise ShapeError("output: is missing")
        blocks = read_blocks(response.output.message.content, "output.message.content", answer=True)
        members = _MEMBERS.decode(body)
    except ShapeError as error:
        raise UpstreamFault(malformed(f"the answer is not one of Converse: {error}")) from error
    stop = None if response.stop_reason is None else read_stop(response.stop_reason)
    return Reply(
        dialect=NAME,
        id=None,  # Bedrock tells it in a header, if at all
        model=None,
        choices=(Choice(blocks, stop),),
        usage=None if response.usage is None else read_usage(response.usage),
        extra=tuple([(name, raw) for name, raw in members.items() if name not in _NAMED]),
    )


def _read_plain(plain: _PlainResponse) -> Reply:
    word, usage = plain.stop_reason, plain.usage
    return Reply(
        NAME,
        None,
        None,
        (Choice((Text(plain.output.message.content[0].text),), None if word is None else read_stop(word)),),
        None
        if usage is None
        else Usage(
            usage.input_tokens, usage.cache_read_input_tokens, usage.cache_write_input_tokens, usage.output_tokens
        ),
        None,
        (("metrics", plain.metrics),) if plain.metrics else (),
    )


def write_reply(reply: Reply, request_model: str) -> bytes:
    """Only the first choice can be carried: this protocol has one. It tells no model."""
    choice = reply.choices[0] if reply.choices else Choice((), None)
    blocks, stop = choice.blocks, choice.stop
    text = only.text if len(blocks) == 1 and type(only := blocks[0]) is Text and not only.citations else ""
    content: object = [{"text": text}] if text else _contents(blocks)
    body: dict[str, object] = {"output": {"message": {"role": "assistant", "content": content}}}
    if stop is not None:
        body["stopReason"] = stop_word(stop, refused=not text and Refusal in map(type, blocks))
    if reply.usage is not None:
        body["usage"] = write_usage(reply.usage)
    if reply.dialect == NAME:
        body.update([(name, raw) for name, raw in reply.extra if name not in body])
    return _encode(body)


def _contents(blocks: tuple[Block, ...]) -> list[Written]:
    return [written for block in blocks if (written := reply_block_out(block)) is not None]
