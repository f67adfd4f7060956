"""A whole answer: `response` bytes ⇄ Reply."""

from itertools import compress

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import Block, Json
from waypost.conversation.faults import UpstreamFault
from waypost.conversation.reply import Choice, Reply, Stop, Usage
from waypost.dialects.fault_text import excerpt
from waypost.dialects.openai_errors import read_error, says_error
from waypost.dialects.openai_responses.faults import malformed
from waypost.dialects.openai_responses.items import kind_of, read_item, read_output_message
from waypost.dialects.openai_responses.output import output_items, response_object
from waypost.dialects.openai_responses.words import (
    CALLS,
    NAME,
    neutral_logprobs,
    read_stop,
    read_usage,
    reply_id,
    tokens_of,
)
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told


class IncompleteDetails(Struct, gc=False):
    reason: str | None = None


class WireResponse(Struct, gc=False):
    """A response as sent, whole or at any point of a stream."""

    id: str | None = None
    model: str | None = None
    created_at: int | float | None = None
    status: str | None = None
    incomplete_details: IncompleteDetails | None = None
    output: list[Raw] | None = None
    usage: Raw = ABSENT
    error: Raw = ABSENT


class _Glanced(Struct, gc=False):
    status: str | None = None
    output: Raw = ABSENT
    usage: Raw = ABSENT
    error: Raw = ABSENT


_encode = msgspec.json.Encoder().encode
_decoder = Decoder(WireResponse)
_glance_decoder = Decoder(_Glanced)
_members_decoder = Decoder(dict[str, Raw])
_NAMED = frozenset((*WireResponse.__struct_fields__, "object"))
_NULL = Raw(b"null")
_MOST_SECONDS = 1e15


def glance_reply(body: bytes) -> Usage | None:
    """Raises UpstreamFault for a body that is no answer: not JSON, a response that failed, no output."""
    try:
        seen = decode(_glance_decoder, body, "")
    except ShapeError as error:
        raise _no_answer(body, str(error)) from None
    if seen.status == "failed" or told(seen.error) or not told(seen.output):
        raise _no_answer(body, "it has no output")
    return read_usage(seen.usage)


def read_reply(body: bytes) -> Reply:
    """Raises UpstreamFault for a body that is no answer, as `glance_reply` does."""
    try:
        check_text(body)
        wire = decode(_decoder, body, "")
        if wire.status == "failed" or told(wire.error) or wire.output is None:
            raise _no_answer(body, "it has no output")
        extra = _extra(decode(_members_decoder, body, ""))
        blocks, tokens, called = _read_output(wire.output)
    except ShapeError as error:
        raise _no_answer(body, str(error)) from None
    return Reply(
        NAME,
        wire.id or None,
        wire.model or None,
        (Choice(blocks, stop_of(wire, called), neutral_logprobs(tokens)),),
        read_usage(wire.usage),
        created_of(wire),
        extra,
    )


def _extra(members: dict[str, Raw]) -> tuple[tuple[str, Json], ...]:
    """Those without a name here; most members of a response say no more than null."""
    for name in _NAMED:
        members.pop(name, None)
    return tuple(compress(members.items(), map(_NULL.__ne__, members.values())))


def _read_output(items: list[Raw]) -> tuple[tuple[Block, ...], list[Raw], bool]:
    """The blocks, the log probabilities of their tokens, and whether they hold calls for the caller to make."""
    blocks: list[Block] = []
    tokens: list[Raw] = []
    called = False
    for i, item in enumerate(items):
        where = f"output[{i}]"
        kind = kind_of(item, where)
        if kind == "message":
            said = read_output_message(item, where)
            blocks += said.blocks
            tokens += said.tokens
            continue
        blocks += read_item(kind, item, where, asked=False)
        called = called or kind in CALLS
    return tuple(blocks), tokens, called


def stop_of(wire: WireResponse, called: bool) -> Stop | None:
    return stop_of_parts(wire.status, wire.incomplete_details, called)


def stop_of_parts(status: str | None, details: IncompleteDetails | None, called: bool) -> Stop | None:
    return read_stop(status, None if details is None else details.reason, called)


def created_of(wire: WireResponse) -> int | None:
    created = wire.created_at
    return int(created) if created is not None and abs(created) < _MOST_SECONDS else None


def _no_answer(body: bytes, reason: str) -> UpstreamFault:
    """An error told with status 200, in a response that failed or in its place; else what is wrong with the body."""
    try:
        told_error = decode(_glance_decoder, body, "").error
    except ShapeError:
        told_error = ABSENT
    if told(told_error) and says_error(body):
        return UpstreamFault(read_error(body))
    return UpstreamFault(malformed(f"the answer is not a response ({reason}): {excerpt(body)}"))


def write_reply(reply: Reply, model: str) -> bytes:
    """Only the first choice can be carried. Members without a name in the neutral form stay in their dialect."""
    own = reply.dialect == NAME
    choice = reply.choices[0] if reply.choices else Choice((), None)
    id_ = (own and reply.id) or reply_id(reply.id)
    items: list[Json | dict[str, object]] = output_items(choice.blocks, tokens_of(choice.logprobs), id_)
    response = response_object(id_, reply.model or model, reply.created, items, choice.stop, reply.usage)
    if own:
        response.update(reply.extra)
    return _encode(response)
