"""Small words of the protocol that its parts share: stop reasons, usage, ids, what a reasoning item is signed with."""

import hashlib
from typing import NamedTuple, assert_never

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import Json
from waypost.conversation.reply import Count, Stop, StopKind, Usage

NAME = "openai_responses"

CALLS = frozenset(("function_call", "custom_tool_call"))  # items that the caller has to answer

_INCOMPLETE = {"max_output_tokens": StopKind.LENGTH, "content_filter": StopKind.REFUSAL}


def read_stop(status: str | None, reason: str | None, called: bool) -> Stop | None:
    """None for an answer that is not over. `called`: the answer holds calls for the caller to make."""
    if status == "completed" or (status is None and reason is None):
        return Stop(StopKind.TOOL if called else StopKind.END, "completed")
    if status == "incomplete" and reason:
        return Stop(_INCOMPLETE.get(reason, StopKind.OTHER), f"incomplete:{reason}")
    return Stop(StopKind.OTHER, status) if status == "cancelled" else None


class Ending(NamedTuple):
    status: str
    reason: str | None


def write_stop(stop: Stop | None) -> Ending:
    """What only another protocol can say becomes the nearest word; one nobody knows is never told as a natural end."""
    if stop is None:
        return Ending("incomplete", None)
    match stop.kind:
        case StopKind.END | StopKind.TOOL | StopKind.STOP_SEQUENCE | StopKind.PAUSE:
            return Ending("completed", None)
        case StopKind.LENGTH | StopKind.OTHER:
            return Ending("incomplete", "max_output_tokens")
        case StopKind.REFUSAL:
            return Ending("incomplete", "content_filter")
        case _:
            assert_never(stop.kind)


class _InputDetails(Struct, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _OutputDetails(Struct, gc=False):
    reasoning_tokens: Count | None = None


class WireUsage(Struct, gc=False):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


_usage_decoder = Decoder(WireUsage | None)


def read_usage(raw: Raw) -> Usage | None:
    """Usage that is absent, null or not as it should be is unknown: it never breaks the answer it came with."""
    if not raw:
        return None
    try:
        wire = _usage_decoder.decode(raw)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if wire is None else usage_of(wire)


def usage_of(wire: WireUsage) -> Usage | None:
    if wire.input_tokens is None and wire.output_tokens is None:
        return None
    uncached, cached, cache_write = wire.input_tokens, None, None
    if (details := wire.input_tokens_details) is not None:
        cached, cache_write = details.cached_tokens, details.cache_write_tokens
        if uncached is not None:  # a provider that tells a part as larger than the whole contradicts itself
            if cached is not None:
                cached = min(cached, uncached)
                uncached -= cached
            if cache_write is not None:
                cache_write = min(cache_write, uncached)
                uncached -= cache_write
    output, reasoning = wire.output_tokens, None
    if wire.output_tokens_details is not None:
        reasoning = wire.output_tokens_details.reasoning_tokens
        if output is not None and reasoning is not None:
            reasoning = min(reasoning, output)
            output -= reasoning
    return Usage(uncached, cached, cache_write, output, reasoning)


def write_usage(usage: Usage | None) -> dict[str, object] | None:
    """None where input or output is unknown, which is never 0. The details are mandatory: 0 stands for untold there."""
    if usage is None or usage.input is None or usage.output is None:
        return None
    cached, cache_write, reasoning = usage.cache_read or 0, usage.cache_write or 0, usage.reasoning or 0
    told = usage.input + cached + cache_write
    said = usage.output + reasoning
    return {
        "input_tokens": told,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": cache_write},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": told + said,
    }


def reply_id(told: str | None) -> str:
    """An id as this protocol's clients know it, the same one for the same one; another protocol's prefix is shed."""
    if not told:
        return "resp_waypost"
    if told.startswith("resp_"):
        return told
    if told.startswith("chatcmpl-"):
        return "resp_" + told[len("chatcmpl-") :]
    prefix, mark, rest = told.partition("_")
    return "resp_" + (rest if mark and rest and prefix.isalpha() else told)


def item_id(prefix: str, reply: str, place: int) -> str:
    """An id for the item at `place` of the answer with the id `reply`: the same for the same."""
    text = f"{reply}/{place}".encode("utf-8", "replace")
    return f"{prefix}_{hashlib.blake2b(text, digest_size=16).hexdigest()}"


class Signed(NamedTuple):
    """What lets a provider know its own reasoning again. `shown`: its text stood in `content`, not in `summary`."""

    id: str
    shown: bool
    encrypted: str


def pack(signed: Signed) -> str:
    """As one text, for a neutral signature: the item's id and where its text stood, then what is encrypted."""
    id_ = signed.id.replace("%", "%25").replace(":", "%3A")
    return f"{id_}:{'content' if signed.shown else 'summary'}:{signed.encrypted}"


def unpack(signature: str) -> Signed:
    """Undoes `pack`; a signature that is none of its making is taken to be all encrypted."""
    id_, _, rest = signature.partition(":")
    place, mark, encrypted = rest.partition(":")
    if not mark or place not in ("content", "summary"):
        return Signed("", False, signature)
    return Signed(id_.replace("%3A", ":").replace("%25", "%"), place == "content", encrypted)


class _Annotation(Struct, gc=False):
    type: str | None = None
    url: str | None = None
    file_id: str | None = None


_annotation_decoder = Decoder(_Annotation)


def is_annotation(citation: Json) -> bool:
    """Whether a citation is of this protocol's own form: others' are never shown as such."""
    try:
        told = _annotation_decoder.decode(citation)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return False
    match told.type:
        case "url_citation":
            return told.url is not None
        case "file_citation" | "container_file_citation" | "file_path":
            return told.file_id is not None
        case _:
            return False


class _LogProbs(Struct, gc=False):
    content: list[Raw] | None = None


_logprobs_decoder = Decoder(_LogProbs)


def neutral_logprobs(tokens: list[Raw] | None) -> Json | None:
    """The log probabilities of a part, in the neutral form; None where none are told."""
    return Json(b'{"content":[' + b",".join([bytes(token) for token in tokens]) + b"]}") if tokens else None


def tokens_of(logprobs: Json | None) -> list[Raw]:
    """Undoes `neutral_logprobs`. Another shape says nothing here."""
    if logprobs is None or not logprobs:
        return []
    try:
        return _logprobs_decoder.decode(logprobs).content or []
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return []
