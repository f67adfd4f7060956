"""Small words of the protocol that replies and streams share: stop reasons, usage, ids. Field names are the wire's."""

import hashlib
from typing import Any, assert_never

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.reply import Count, Stop, StopKind, Usage

NAME = "openai_chat"
NULL_TEXT = b"null"
NULL = Raw(NULL_TEXT)  # what a member that is kept raw is where it is absent

MOST_HIDDEN = 1_000_000  # tokens of unnamed reasoning: a larger surplus in a total is a mistake of its teller

STOP_KINDS = {
    "stop": StopKind.END,
    "eos": StopKind.END,
    "length": StopKind.LENGTH,
    "model_length": StopKind.LENGTH,
    "tool_calls": StopKind.TOOL,
    "function_call": StopKind.TOOL,
    "content_filter": StopKind.REFUSAL,
}


_STOPS = {word: Stop(kind, word) for word, kind in STOP_KINDS.items()}


def read_stop(word: str | None) -> Stop | None:
    """An empty word says nothing, so it is no stop reason."""
    return _STOPS.get(word) or Stop(StopKind.OTHER, word) if word else None


def write_stop(kind: StopKind) -> str:
    """What only another protocol can say becomes the nearest word; one nobody knows is never told as a natural end."""
    match kind:
        case StopKind.END | StopKind.STOP_SEQUENCE | StopKind.PAUSE:
            return "stop"
        case StopKind.LENGTH | StopKind.OTHER:
            return "length"
        case StopKind.TOOL:
            return "tool_calls"
        case StopKind.REFUSAL:
            return "content_filter"
        case _:
            assert_never(kind)


class _PromptDetails(Struct, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _CompletionDetails(Struct, gc=False):
    reasoning_tokens: Count | None = None


class _CacheCreation(Struct, gc=False):
    ephemeral_1h_input_tokens: Count | None = None


class WireUsage(Struct, gc=False):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    # Vendors' own names for the same.
    prompt_cache_hit_tokens: Count | None = None
    cached_tokens: Count | None = None
    num_cached_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: _CacheCreation | None = None
    reasoning_tokens: Count | None = None
    prompt_audio_seconds: Any = None


_usage_decoder = Decoder(WireUsage | None)


def read_usage(raw: Raw) -> Usage | None:
    """Usage that is absent, null or not as it should be is unknown: it never breaks the answer it came with."""
    try:
        wire = _usage_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return None if wire is None else usage_of(wire)


def usage_of(wire: WireUsage) -> Usage | None:
    if wire.prompt_tokens is None and wire.completion_tokens is None:
        return None
    cached, cache_write, write_1h = None, wire.cache_creation_input_tokens, None
    if (prompt := wire.prompt_tokens_details) is not None:
        cached = prompt.cached_tokens
        if prompt.cache_write_tokens is not None:
            cache_write = prompt.cache_write_tokens
    if cached is None:
        cached = _vendors_cached(wire)
    if wire.cache_creation is not None:
        write_1h = wire.cache_creation.ephemeral_1h_input_tokens
    uncached = wire.prompt_tokens
    if uncached is not None:  # a provider that tells a part as larger than the whole contradicts itself
        if cached is not None:
            cached = min(cached, uncached)
            uncached -= cached
        if cache_write is not None:
            cache_write = min(cache_write, uncached)
            uncached -= cache_write
    output, reasoning = _output(wire)
    return Usage(uncached, cached, cache_write, output, reasoning, write_1h)


def _vendors_cached(wire: WireUsage) -> int | None:
    if wire.prompt_cache_hit_tokens is not None:
        return wire.prompt_cache_hit_tokens
    if wire.cached_tokens is not None:
        return wire.cached_tokens
    if wire.num_cached_tokens is not None:
        return wire.num_cached_tokens
    return wire.cache_read_input_tokens


def _output(wire: WireUsage) -> tuple[int | None, int | None]:
    """Output without reasoning, and reasoning.

    Most providers count reasoning within `completion_tokens`; xAI counts it beside, which shows in a total larger by
    exactly that much. Gemini's compatible endpoint does so too and does not even name it: only its total holds the
    thinking that is billed. Mistral's totals hold sound that it bills by the second.
    """
    reasoning = wire.reasoning_tokens
    if (details := wire.completion_tokens_details) is not None and details.reasoning_tokens is not None:
        reasoning = details.reasoning_tokens
    completion = wire.completion_tokens
    if completion is None:
        return None, reasoning
    beside = (wire.total_tokens or 0) - (wire.prompt_tokens or 0) - completion
    if beside > 0:
        hidden = reasoning is None and wire.prompt_audio_seconds is None and beside <= MOST_HIDDEN
        if hidden or reasoning == beside:
            return completion, beside
    if reasoning is None:
        return completion, None
    reasoning = min(reasoning, completion)
    return completion - reasoning, reasoning


def write_usage(usage: Usage | None) -> dict[str, object] | None:
    """None where input or output is unknown: the protocol has no way to say half of it, and unknown is never 0."""
    if usage is None or usage.input is None or usage.output is None:
        return None
    prompt = usage.input + (usage.cache_read or 0) + (usage.cache_write or 0)
    completion = usage.output + (usage.reasoning or 0)
    wire: dict[str, object] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if usage.cache_read is not None or usage.cache_write is not None:
        cache = {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write}
        wire["prompt_tokens_details"] = {name: count for name, count in cache.items() if count is not None}
    if usage.reasoning is not None:
        wire["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    if usage.cache_write_1h is not None:
        wire["cache_creation"] = {"ephemeral_1h_input_tokens": usage.cache_write_1h}
    return wire


def reply_id(told: str | None) -> str:
    """An id as this protocol's clients know it, the same one for the same one; another protocol's prefix is shed."""
    if not told:
        return "chatcmpl-waypost"
    if told.startswith("chatcmpl-"):
        return told
    prefix, mark, rest = told.partition("_")
    return "chatcmpl-" + (rest if mark and rest and prefix.isalpha() else told)


def call_id(reply: str | None, choice: int, place: int, seed: str = "") -> str:
    """An id for a tool call whose provider gave none: the same for the same call of the same reply."""
    text = f"{reply or ''}/{choice}/{place}/{seed}"
    return "call_" + hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()
