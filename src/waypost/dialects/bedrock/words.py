"""Bedrock's words for why a turn ended, and its way of counting tokens. Pure tables and sums."""

from msgspec import Struct

from waypost.conversation.reply import MOST_TOKENS, Count, Stop, StopKind, Usage

NAME = "bedrock"

_KINDS = {
    "end_turn": StopKind.END,
    "tool_use": StopKind.TOOL,
    "max_tokens": StopKind.LENGTH,
    "stop_sequence": StopKind.STOP_SEQUENCE,
    "guardrail_intervened": StopKind.REFUSAL,
    "content_filtered": StopKind.REFUSAL,
    "malformed_model_output": StopKind.OTHER,
    "malformed_tool_use": StopKind.OTHER,
    "model_context_window_exceeded": StopKind.LENGTH,
}

_WORDS = {
    StopKind.END: "end_turn",
    StopKind.LENGTH: "max_tokens",
    StopKind.TOOL: "tool_use",
    StopKind.STOP_SEQUENCE: "stop_sequence",
    StopKind.REFUSAL: "content_filtered",
    StopKind.PAUSE: "end_turn",
    StopKind.OTHER: "max_tokens",  # one nobody knows is never told as a natural end
}


_STOPS = {word: Stop(kind, word) for word, kind in _KINDS.items()}


def read_stop(word: str) -> Stop:
    return _STOPS.get(word) or Stop(StopKind.OTHER, word)


def stop_word(stop: Stop, *, refused: bool = False) -> str:
    """Bedrock's own word where the stop came with one, else the word for its kind: never another protocol's.

    `refused`: what was said is a refusal. Other protocols mark the words and end as usual; here only the stop tells it.
    """
    if refused and stop.kind is StopKind.END:
        return _WORDS[StopKind.REFUSAL]
    word = stop.raw
    return word if word is not None and _KINDS.get(word) is stop.kind else _WORDS[stop.kind]


class PlainUsage(Struct, gc=False, rename="camel"):
    """`usage` as most of it is: each count is one, and nothing that was cached has a lifetime."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_write_input_tokens: Count | None = None
    cache_details: tuple[()] | None = None


class CacheDetail(Struct, frozen=True, rename="camel"):
    ttl: str | None = None
    input_tokens: int | None = None


class WireUsage(Struct, frozen=True, rename="camel"):
    """`usage` as sent (`TokenUsage`). `inputTokens` is the uncached part; `outputTokens` includes reasoning."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[CacheDetail] | None = None


def read_usage(usage: WireUsage) -> Usage:
    """A count that can't be one (negative, absurd) is unknown: it never breaks the answer that it came with."""
    return Usage(
        input=_count(usage.input_tokens),
        cache_read=_count(usage.cache_read_input_tokens),
        cache_write=_count(usage.cache_write_input_tokens),
        output=_count(usage.output_tokens),
        cache_write_1h=_of_an_hour(usage.cache_details) if usage.cache_details else None,
    )


def _count(told: int | None) -> int | None:
    return told if told is None or 0 <= told <= MOST_TOKENS else None


def _of_an_hour(details: list[CacheDetail]) -> int | None:
    counts = [count for detail in details if detail.ttl == "1h" and (count := _count(detail.input_tokens)) is not None]
    return sum(counts) if counts else None


def write_usage(usage: Usage) -> dict[str, object]:
    """What is not known is left out, as Bedrock itself does for some models, and with it the total."""
    given, read, written = usage.input, usage.cache_read, usage.cache_write
    made = usage.output if usage.reasoning is None else (usage.output or 0) + usage.reasoning
    told: dict[str, object] = {}
    if given is not None and made is not None:
        total = given + made + (read or 0) + (written or 0)
        told = {"inputTokens": given, "outputTokens": made, "totalTokens": total}
    elif given is not None:
        told["inputTokens"] = given
    elif made is not None:
        told["outputTokens"] = made
    if read is not None:
        told["cacheReadInputTokens"] = read
    if written is not None:
        told["cacheWriteInputTokens"] = written
    if usage.cache_write_1h is not None:
        told["cacheDetails"] = _details(usage.cache_write_1h, written)
    return told


def _details(of_an_hour: int, written: int | None) -> list[dict[str, object]]:
    rest = max(0, (written or 0) - of_an_hour)
    details: list[dict[str, object]] = [{"ttl": "1h", "inputTokens": of_an_hour}]
    return [{"ttl": "5m", "inputTokens": rest}, *details] if rest else details
