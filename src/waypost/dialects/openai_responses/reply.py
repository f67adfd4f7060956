"""A whole answer: `response` bytes ⇄ Reply."""

from itertools import compress
from typing import Literal

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder
from msgspec.structs import asdict, astuple

from waypost.conversation.blocks import Block, Json, Text
from waypost.conversation.faults import UpstreamFault
from waypost.conversation.reply import Choice, Reply, Stop, StopKind, Usage
from waypost.dialects.fault_text import excerpt
from waypost.dialects.openai_errors import read_error, says_error
from waypost.dialects.openai_responses.faults import malformed
from waypost.dialects.openai_responses.items import kind_of, read_item, read_output_message
from waypost.dialects.openai_responses.output import output_items, response_object
from waypost.dialects.openai_responses.words import (
    CALLS,
    NAME,
    WireUsage,
    neutral_logprobs,
    read_stop,
    read_usage,
    reply_id,
    tokens_of,
    usage_of,
)
from waypost.dialects.plain import plainly
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told

_NULL = Raw(b"null")


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


class _PlainPart(Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["output_text"]
    text: str
    annotations: tuple[()] = ()
    logprobs: tuple[()] = ()


class _PlainMessage(Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["message"]
    content: tuple[_PlainPart]
    id: str | None = None
    role: str | None = None
    status: str | None = None
    phase: str | None = None


class _PlainResponse(Struct, gc=False, forbid_unknown_fields=True):
    """One text, and after `output` what vendors tell of each response."""

    id: str
    model: str
    created_at: int | float
    status: Literal["completed"]
    output: tuple[_PlainMessage]
    usage: WireUsage | None = None
    object: str | None = None
    error: None = None
    incomplete_details: None = None
    completed_at: Raw = _NULL
    background: Raw = _NULL
    billing: Raw = _NULL
    frequency_penalty: Raw = _NULL
    instructions: Raw = _NULL
    max_output_tokens: Raw = _NULL
    max_tool_calls: Raw = _NULL
    metadata: Raw = _NULL
    moderation: Raw = _NULL
    parallel_tool_calls: Raw = _NULL
    presence_penalty: Raw = _NULL
    previous_response_id: Raw = _NULL
    prompt_cache_key: Raw = _NULL
    prompt_cache_retention: Raw = _NULL
    reasoning: Raw = _NULL
    safety_identifier: Raw = _NULL
    service_tier: Raw = _NULL
    store: Raw = _NULL
    temperature: Raw = _NULL
    text: Raw = _NULL
    tool_choice: Raw = _NULL
    tool_usage: Raw = _NULL
    tools: Raw = _NULL
    top_logprobs: Raw = _NULL
    top_p: Raw = _NULL
    truncation: Raw = _NULL
    user: Raw = _NULL


_encode = msgspec.json.Encoder().encode
_plain_decoder = Decoder(_PlainResponse)
_BESIDE = _PlainResponse.__struct_fields__.index("incomplete_details") + 1
_BESIDE_NAMES = _PlainResponse.__struct_fields__[_BESIDE:]
_COMPLETED = Stop(StopKind.END, "completed")
_decoder = Decoder(WireResponse)
_glance_decoder = Decoder(_Glanced)
_members_decoder = Decoder(dict[str, Raw])
_NAMED = frozenset((*WireResponse.__struct_fields__, "object"))
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
    plain = plainly(_plain_decoder, body)
    if plain is not None:
        return _read_plain(plain)
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


def _read_plain(plain: _PlainResponse) -> Reply:
    beside = astuple(plain)[_BESIDE:]
    created = plain.created_at
    return Reply(
        NAME,
        plain.id or None,
        plain.model or None,
        (Choice((Text(plain.output[0].content[0].text),), _COMPLETED),),
        None if plain.usage is None else usage_of(plain.usage),
        int(created) if abs(created) < _MOST_SECONDS else None,
        tuple(compress(zip(_BESIDE_NAMES, beside, strict=True), map(_NULL.__ne__, beside))),
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
    items = output_items(choice.blocks, [] if choice.logprobs is None else tokens_of(choice.logprobs), id_)
    response = response_object(id_, reply.model or model, reply.created, items, choice.stop, reply.usage)
    return _encode({**asdict(response), **dict(reply.extra)} if own else response)
