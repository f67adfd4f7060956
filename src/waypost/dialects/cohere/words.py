"""Cohere's words for why an answer ended, its way of counting tokens, its ids and log-probabilities."""

from hashlib import blake2b
from struct import Struct as Layout
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import Json
from waypost.conversation.reply import MOST_TOKENS, Stop, StopKind, Usage
from waypost.dialects.wire_json import told

NAME = "cohere"
TOOL_PLAN = "tool_plan"  # what is planned before tools are called: neither said nor thought, and only known here

STOP_KINDS = {
    "COMPLETE": StopKind.END,
    "STOP_SEQUENCE": StopKind.STOP_SEQUENCE,
    "MAX_TOKENS": StopKind.LENGTH,
    "TOOL_CALL": StopKind.TOOL,
    "ERROR_TOXIC": StopKind.REFUSAL,
    "ERROR_LIMIT": StopKind.LENGTH,
}
_WORDS = {
    StopKind.END: "COMPLETE",
    StopKind.PAUSE: "COMPLETE",
    StopKind.STOP_SEQUENCE: "STOP_SEQUENCE",
    StopKind.LENGTH: "MAX_TOKENS",
    StopKind.OTHER: "MAX_TOKENS",  # one nobody knows is never told as a natural end
    StopKind.TOOL: "TOOL_CALL",
    StopKind.REFUSAL: "ERROR_TOXIC",
}
FAILED = frozenset(("ERROR", "TIMEOUT"))  # no reasons to stop: the answer broke off
STOPS = {word: Stop(kind, word) for word, kind in STOP_KINDS.items()}
_cut = Layout("8s4s4s4s12s").unpack  # what stands between the hyphens of a UUID
_encode = msgspec.json.Encoder().encode


def read_stop(word: str | None) -> Stop | None:
    return STOPS.get(word) or Stop(StopKind.OTHER, word) if word else None


def write_stop(stop: Stop) -> str:
    """Cohere's own word where the stop came with one, else the word for its kind."""
    raw = stop.raw
    return raw if raw is not None and STOP_KINDS.get(raw) is stop.kind else _WORDS[stop.kind]


class _Tokens(Struct, gc=False):
    """Counts are numbers with a point in Cohere's own types."""

    input_tokens: int | float | None = None
    output_tokens: int | float | None = None
    reasoning_tokens: int | float | None = None


class _Usage(Struct, gc=False):
    tokens: _Tokens | None = None
    billed_units: _Tokens | None = None
    cached_tokens: int | float | None = None


_Count = Annotated[float, Meta(ge=0, le=MOST_TOKENS)]


class _CountedTokens(Struct, gc=False):
    input_tokens: _Count
    output_tokens: _Count
    reasoning_tokens: _Count | None = None


class CountedUsage(Struct, gc=False):
    """Only what tells the usual, in counts that can be such, fits into it."""

    tokens: _CountedTokens
    billed_units: _Tokens | None = None
    cached_tokens: _Count | None = None


_counted_decoder = Decoder(CountedUsage)
_usage_decoder = Decoder(_Usage | None)
_UNTOLD = _Tokens()


def read_usage(raw: Raw) -> Usage | None:
    """Usage that is absent, null or not as it should be is unknown: it never breaks the answer it came with.

    `tokens` are those processed, cached ones included; `billed_units`, which leave out Cohere's own prompt, stand in
    where these are not told.
    """
    if not told(raw):
        return None
    try:
        return usage_of(_counted_decoder.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        wire = _usage_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if wire is None:
        return None
    tokens, billed = wire.tokens or _UNTOLD, wire.billed_units or _UNTOLD
    given, output = _count(tokens.input_tokens), _count(tokens.output_tokens)
    given = _count(billed.input_tokens) if given is None else given
    output = _count(billed.output_tokens) if output is None else output
    cached, reasoning = _count(wire.cached_tokens), _count(tokens.reasoning_tokens)
    return None if given is None and output is None else _disjoint(given, cached, output, reasoning)


def usage_of(usage: CountedUsage) -> Usage:
    tokens, cached = usage.tokens, usage.cached_tokens
    reasoning = tokens.reasoning_tokens
    return _disjoint(
        int(tokens.input_tokens),
        None if cached is None else int(cached),
        int(tokens.output_tokens),
        None if reasoning is None else int(reasoning),
    )


def _disjoint(given: int | None, cached: int | None, output: int | None, reasoning: int | None) -> Usage:
    if given is not None and cached is not None:  # a part larger than the whole contradicts itself
        cached = min(cached, given)
        given -= cached
    if output is not None and reasoning is not None:
        reasoning = min(reasoning, output)
        output -= reasoning
    return Usage(given, cached, None, output, reasoning)


def _count(value: float | None) -> int | None:
    return int(value) if value is not None and 0 <= value <= MOST_TOKENS else None


def write_usage(usage: Usage | None) -> dict[str, object] | None:
    """What is unknown is left out. What Cohere would have billed is its own affair, so it is not told."""
    if usage is None or (usage.input is None and usage.output is None):
        return None
    tokens: dict[str, object] = {}
    if usage.input is not None:
        tokens["input_tokens"] = usage.input + (usage.cache_read or 0) + (usage.cache_write or 0)
    if usage.output is not None:
        tokens["output_tokens"] = usage.output + (usage.reasoning or 0)
    if usage.reasoning is not None:
        tokens["reasoning_tokens"] = usage.reasoning
    told_usage: dict[str, object] = {"tokens": tokens}
    if usage.cache_read is not None:
        told_usage["cached_tokens"] = usage.cache_read
    return told_usage


def reply_id(given: str | None) -> str:
    """Cohere's ids are UUIDs; of another's is made one, the same for the same."""
    if given is not None and len(given) == 36 and given[8:24:5] == "----":
        return given
    digest = blake2b((given or "").encode("utf-8", "replace"), digest_size=16).hexdigest()
    return b"-".join(_cut(digest.encode())).decode()


def call_id(reply: str | None, place: int) -> str:
    """An id for a tool call that came without one: the same for the same call of the same reply."""
    text = f"{reply or ''}/{place}"
    return "call_" + blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


class Logprob(Struct, gc=False):
    text: str | None = None
    logprobs: list[float] | None = None


class _NeutralToken(Struct, gc=False):
    token: str
    logprob: float


class _NeutralLogprobs(Struct, gc=False):
    content: list[_NeutralToken] | None = None


_items_decoder = Decoder(list[Logprob])
_item_decoder = Decoder(Logprob)
_neutral_decoder = Decoder(_NeutralLogprobs)


def read_logprobs(raw: Raw) -> Json | None:
    """A list of chunks, or one, → the neutral form. Like usage they never break what they came with.

    A chunk of several tokens can't be told apart: its probability is the product of theirs.
    """
    if not told(raw):
        return None
    try:
        items = _items_decoder.decode(raw) if bytes(raw).startswith(b"[") else [_item_decoder.decode(raw)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    content = [
        {"token": item.text, "logprob": sum(item.logprobs), "bytes": list(item.text.encode()), "top_logprobs": []}
        for item in items
        if item.text is not None and item.logprobs
    ]
    return Json(_encode({"content": content})) if content else None


def write_logprobs(logprobs: Json | None) -> list[dict[str, object]]:
    """The ids of the tokens, which this protocol insists on, are not known: none are told."""
    if logprobs is None:
        return []
    try:
        content = _neutral_decoder.decode(logprobs).content
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [{"text": each.token, "token_ids": [], "logprobs": [each.logprob]} for each in content or ()]
