"""A whole answer: GenerateContentResponse ⇄ the neutral reply."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import astuple

from waypost.conversation.blocks import Block, Json, Opaque, Refusal, Text, Thinking, ToolCall
from waypost.conversation.faults import UpstreamFault
from waypost.conversation.reply import Choice, Reply, Usage
from waypost.dialects.gemini.faults import malformed, read_error
from waypost.dialects.gemini.logprobs import read_logprobs, write_logprobs
from waypost.dialects.gemini.parts import PartReader
from waypost.dialects.gemini.parts_out import BESIDE, Written, reply_parts
from waypost.dialects.gemini.wire_json import listed
from waypost.dialects.gemini.words import (
    NAME,
    WireUsage,
    blocked,
    blocked_reason,
    call_id,
    read_stop,
    read_time,
    read_usage,
    response_id,
    stop_word,
    usage_of,
    write_time,
    write_usage,
)
from waypost.dialects.plain import plainly
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told


class Content(Struct, gc=False):
    parts: Raw = ABSENT


class Candidate(Struct, gc=False, rename="camel"):
    content: Content | None = None
    finish_reason: str | int | None = None
    index: int | None = None
    citation_metadata: Raw = ABSENT
    grounding_metadata: Raw = ABSENT
    url_context_metadata: Raw = ABSENT
    logprobs_result: Raw = ABSENT


class Feedback(Struct, gc=False, rename="camel"):
    block_reason: str | int | None = None


class Response(Struct, gc=False, rename="camel"):
    """A whole answer, or one piece of a stream. What of it is of another type than it should be breaks it."""

    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: Raw = ABSENT
    model_version: str | None = None
    response_id: str | None = None
    create_time: str | None = None
    error: Raw = ABSENT


class _Glanced(Struct, gc=False, rename="camel"):
    candidates: list[Raw] | None = None
    prompt_feedback: Raw = ABSENT
    usage_metadata: Raw = ABSENT
    model_version: str | None = None
    error: Raw = ABSENT


class _PlainPart(Struct, gc=False, forbid_unknown_fields=True):
    text: str


class _SignedPart(Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    text: str
    thought_signature: str | None = None


class _PlainContent(Struct, gc=False):
    parts: tuple[_SignedPart]


class _PlainCandidate(Struct, gc=False, rename="camel"):
    """Of the rest of a candidate nothing is read."""

    content: _PlainContent
    finish_reason: str | None = None
    index: int | None = None
    citation_metadata: None = None
    grounding_metadata: None = None
    url_context_metadata: None = None
    logprobs_result: None = None


class _PlainResponse(Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    candidates: tuple[_PlainCandidate]
    prompt_feedback: None = None
    usage_metadata: WireUsage | None = None
    model_version: str | None = None
    response_id: str | None = None
    create_time: str | None = None
    error: None = None


_PLAIN = msgspec.json.Decoder(_PlainResponse)
RESPONSE = msgspec.json.Decoder(Response)
_GLANCED = msgspec.json.Decoder(_Glanced)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode
_NAMED = frozenset(Response.__struct_encode_fields__)
_EMPTY = (b"{}", b"null", b"")


def glance_reply(body: bytes) -> Usage | None:
    """Raises UpstreamFault for a body that is no answer: not JSON, an error told with status 200, no candidates."""
    try:
        seen = decode(_GLANCED, body, "")
        check_is_answer(body, seen.error, bool(seen.candidates) or told(seen.prompt_feedback))
    except ShapeError as error:
        raise not_an_answer(error, body) from error
    return read_usage(seen.usage_metadata, True)


def read_reply(body: bytes) -> Reply:
    """Raises UpstreamFault: MALFORMED, or the error that stands in the body."""
    plain = plainly(_PLAIN, body)
    if plain is not None:
        return _read_plain(plain)
    try:
        if not body.isascii():
            check_text(body)
        response = decode(RESPONSE, body, "")
        check_is_answer(body, response.error, bool(response.candidates) or response.prompt_feedback is not None)
        members = _MEMBERS.decode(body)
        candidates = response.candidates or ()
        choices = [_choice(candidate, place, response) for place, candidate in enumerate(candidates)]
    except ShapeError as error:
        raise not_an_answer(error, body) from error
    feedback = response.prompt_feedback
    if not choices and feedback is not None:
        choices = [Choice((), blocked(str(feedback.block_reason or "BLOCKED_REASON_UNSPECIFIED")))]
    return Reply(
        NAME,
        response.response_id or None,
        response.model_version or None,
        tuple(choices),
        read_usage(response.usage_metadata, True),
        read_time(response.create_time),
        () if _NAMED.issuperset(members) and feedback is None else _extra(members),
    )


def _read_plain(plain: _PlainResponse) -> Reply:
    candidate = plain.candidates[0]
    part = candidate.content.parts[0]
    blocks: tuple[Block, ...] = (Text(part.text),) if part.text else ()
    if part.thought_signature:
        blocks = (Thinking("", part.thought_signature, NAME), *blocks)
    usage, created = plain.usage_metadata, plain.create_time
    return Reply(
        NAME,
        plain.response_id or None,
        plain.model_version or None,
        (Choice(blocks, read_stop(candidate.finish_reason, False)),),
        None if usage is None else usage_of(usage, True),
        None if created is None else read_time(created),
    )


def check_is_answer(body: bytes, error: Raw, says_something: bool) -> None:
    """Raises the error that stands in the body, and ShapeError where nothing of an answer does."""
    if told(error):
        raise UpstreamFault(read_error(body))
    if not says_something:
        raise ShapeError("candidates: is missing")


def not_an_answer(error: ShapeError, body: bytes) -> UpstreamFault:
    """An array holds an error here, if anything: that is how a stream's form of one looks."""
    if body.lstrip()[:1] == b"[" and b'"error"' in body:
        fault = read_error(body)
        if fault.type is not None or fault.code is not None:
            return UpstreamFault(fault)
    return UpstreamFault(malformed(f"the answer is not a GenerateContentResponse: {error}"))


def _extra(members: dict[str, Raw]) -> tuple[tuple[str, Json], ...]:
    return tuple([(name, raw) for name, raw in members.items() if name not in _NAMED or name == "promptFeedback"])


_PLAIN_PARTS = msgspec.json.Decoder(list[_PlainPart])


def _blocks(candidate: Candidate, place: int, response: Response) -> list[Block]:
    if candidate.content is None:
        return []
    try:  # nothing but text, as most are
        return [Text(part.text) for part in _PLAIN_PARTS.decode(candidate.content.parts) if part.text]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    ids = CallIds(response.response_id, place)
    reader = PartReader(ids.of_call, lambda name: call_id(response.response_id, place, name))
    where = f"candidates[{place}].content.parts"
    return reader.read(listed(candidate.content.parts, where), where)


def _choice(candidate: Candidate, place: int, response: Response) -> Choice:
    blocks = _cited(_blocks(candidate, place, response), candidate.citation_metadata)
    blocks += metadata_blocks(candidate)
    called = ToolCall in map(type, blocks)
    stop = read_stop(candidate.finish_reason, called)
    return Choice(tuple(blocks), stop, read_logprobs(candidate.logprobs_result))


class CallIds:
    """Ids for the calls of one choice, which Gemini gives only to some."""

    __slots__ = ("_choice", "_count", "_response")

    def __init__(self, response: str | None, choice: int) -> None:
        self._response = response
        self._choice = choice
        self._count = 0

    def of_call(self, name: str, arguments: str) -> str:
        self._count += 1
        return call_id(self._response, self._choice, self._count, name, arguments)


def metadata_blocks(candidate: Candidate) -> list[Block]:
    """What the provider's own tools found, as it told it, after what was said."""
    blocks: list[Block] = []
    if not (candidate.url_context_metadata or candidate.grounding_metadata):
        return blocks
    for kind, raw in zip(BESIDE, (candidate.url_context_metadata, candidate.grounding_metadata), strict=True):
        if bytes(raw) not in _EMPTY:
            blocks.append(Opaque(NAME, kind, raw))
    return blocks


def _cited(blocks: list[Block], raw: Raw) -> list[Block]:
    """Citations are of the candidate as a whole: they stay with the last that it said."""
    if not raw or not sources(raw):
        return blocks
    for place in range(len(blocks) - 1, -1, -1):
        block = blocks[place]
        if isinstance(block, Text):
            blocks[place] = Text(block.text, citations=(raw,))
            break
    return blocks


class _Answer(Struct, gc=False, omit_defaults=True, rename="camel"):
    prompt_feedback: dict[str, str] | None = None
    candidates: list[dict[str, object]] | None = None
    usage_metadata: WireUsage | None = None
    model_version: str | None = None
    response_id: str | None = None
    create_time: datetime | None = None


def write_reply(reply: Reply, request_model: str) -> bytes:
    home, choices = reply.dialect == NAME, reply.choices
    reason = None if not choices or choices[0].blocks else blocked_reason(choices[0].stop)
    if len(choices) == 1:
        candidates = [_candidate(choices[0], 0, home)]
    else:
        candidates = [_candidate(choice, place, home) for place, choice in enumerate(choices)]
    answer = _Answer(
        None if reason is None else {"blockReason": reason},
        None if reason is not None else candidates,
        write_usage(reply.usage),
        reply.model or request_model,
        response_id(reply.id),
        None if reply.created is None else write_time(reply.created),
    )
    if not home or not reply.extra:
        return _encode(answer)
    members = zip(_Answer.__struct_encode_fields__, astuple(answer), strict=True)
    return _encode({name: value for name, value in members if value is not None} | dict(reply.extra))


def _candidate(choice: Choice, place: int, home: bool) -> dict[str, object]:
    blocks, stop = choice.blocks, choice.stop
    text = only.text if len(blocks) == 1 and type(only := blocks[0]) is Text and not only.citations else ""
    candidate: dict[str, object] = {
        "content": {"role": "model", "parts": [{"text": text}] if text else reply_parts(blocks)},
        "finishReason": stop and stop_word(stop, refused=not text and Refusal in map(type, blocks)),
        "index": place,
    }
    if stop is None:
        del candidate["finishReason"]
    if home and not text:
        candidate.update(beside(blocks))
    if choice.logprobs is not None and (logprobs := write_logprobs(choice.logprobs)) is not None:
        candidate["logprobsResult"] = logprobs
    return candidate


def beside(blocks: Sequence[Block]) -> dict[str, Written]:
    """A candidate's members beside its content."""
    members: dict[str, Written] = {}
    citations: list[Raw] = []
    for block in blocks:
        if isinstance(block, Opaque) and block.dialect == NAME and block.kind in BESIDE:
            members[f"{block.kind}Metadata"] = block.raw
        elif isinstance(block, Text):
            for citation in block.citations:
                citations += sources(citation)
    if citations:
        members["citationMetadata"] = {"citationSources": citations}
    return members


def sources(citation: Json) -> list[Raw]:
    """The single sources of a citation of this protocol's form; none of another's."""
    try:
        told_sources = _CITATIONS.decode(citation)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    return [*(told_sources.citations or ()), *(told_sources.citation_sources or ())]


class _Citations(Struct, gc=False, rename="camel"):
    """Vertex and the Gemini API name them differently."""

    citations: list[Raw] | None = None
    citation_sources: list[Raw] | None = None


_CITATIONS = msgspec.json.Decoder(_Citations)
