"""Anthropic's words for why a turn ended, and its way of counting tokens. Pure tables and sums."""

from msgspec import Struct

from waypost.conversation.reply import MOST_TOKENS, Count, Stop, StopKind, Usage

NAME = "anthropic"

_KINDS = {
    "end_turn": StopKind.END,
    "max_tokens": StopKind.LENGTH,
    "stop_sequence": StopKind.STOP_SEQUENCE,
    "tool_use": StopKind.TOOL,
    "pause_turn": StopKind.PAUSE,
    "refusal": StopKind.REFUSAL,
    "model_context_window_exceeded": StopKind.LENGTH,
    "compaction": StopKind.OTHER,
}

_WORDS = {
    StopKind.END: "end_turn",
    StopKind.LENGTH: "max_tokens",
    StopKind.TOOL: "tool_use",
    StopKind.STOP_SEQUENCE: "stop_sequence",
    StopKind.REFUSAL: "refusal",
    StopKind.PAUSE: "pause_turn",
    StopKind.OTHER: "max_tokens",  # one nobody knows is never told as a natural end
}


def read_stop(word: str, sequence: str | None) -> Stop:
    return Stop(_KINDS.get(word, StopKind.OTHER), word, sequence)


def stop_word(stop: Stop, *, refused: bool = False) -> str:
    """Anthropic's own word where the stop came with one, else the word for its kind: never another protocol's.

    `refused`: what was said is a refusal. Other protocols mark the words and end as usual; here only the stop tells it.
    """
    if refused and stop.kind is StopKind.END:
        return _WORDS[StopKind.REFUSAL]
    word = stop.raw
    return word if word is not None and _KINDS.get(word) is stop.kind else _WORDS[stop.kind]


class CacheCreation(Struct, frozen=True):
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(Struct, frozen=True):
    thinking_tokens: int | None = None


class WireUsage(Struct, frozen=True):
    """`usage` as sent. `input_tokens` is the uncached part; `output_tokens` includes thinking."""

    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None


class CountedCreation(CacheCreation, frozen=True):
    ephemeral_1h_input_tokens: Count | None = None


class CountedUsage(WireUsage, frozen=True):
    """Only counts that can be such fit into it."""

    input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: CountedCreation | None = None
    output_tokens: Count | None = None
    output_tokens_details: OutputDetails | None = None


def merge_usage(old: WireUsage | None, new: WireUsage) -> WireUsage:
    """A stream's counts are cumulative: the last one told holds, member by member."""
    if old is None:
        return new
    return WireUsage(
        input_tokens=_last(old.input_tokens, new.input_tokens),
        cache_read_input_tokens=_last(old.cache_read_input_tokens, new.cache_read_input_tokens),
        cache_creation_input_tokens=_last(old.cache_creation_input_tokens, new.cache_creation_input_tokens),
        cache_creation=new.cache_creation or old.cache_creation,
        output_tokens=_last(old.output_tokens, new.output_tokens),
        output_tokens_details=new.output_tokens_details or old.output_tokens_details,
    )


def started_usage(usage: WireUsage) -> WireUsage:
    """The usage of a `message_start` without its output count: that is the count so far, and nothing is said yet.

    Were the stream cut here, it would be taken for what the answer cost.
    """
    return WireUsage(
        input_tokens=usage.input_tokens,
        cache_read_input_tokens=usage.cache_read_input_tokens,
        cache_creation_input_tokens=usage.cache_creation_input_tokens,
        cache_creation=usage.cache_creation,
    )


def read_usage(usage: WireUsage) -> Usage:
    """A count that can't be one (negative, absurd) is unknown: it never breaks the answer that it came with."""
    cache_read, cache_write = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    output = _count(usage.output_tokens)
    thinking = _count(usage.output_tokens_details.thinking_tokens) if usage.output_tokens_details else None
    if output is not None and thinking is not None:
        output = max(0, output - thinking)
    return Usage(
        _count(usage.input_tokens),
        None if cache_read is None else _count(cache_read),
        None if cache_write is None else _count(cache_write),
        output,
        thinking,
        _count(usage.cache_creation.ephemeral_1h_input_tokens) if usage.cache_creation else None,
    )


def usage_of(usage: CountedUsage) -> Usage:
    """As `read_usage`, where no count needs a look."""
    if usage.output_tokens_details is not None:
        return read_usage(usage)
    creation = usage.cache_creation
    return Usage(
        usage.input_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
        usage.output_tokens,
        None,
        None if creation is None else creation.ephemeral_1h_input_tokens,
    )


def _count(told: int | None) -> int | None:
    return told if told is None or 0 <= told <= MOST_TOKENS else None


def write_usage(usage: Usage | None) -> dict[str, object]:
    """`input_tokens` and `output_tokens` are mandatory integers of this protocol: 0 stands for untold there alone."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    told: dict[str, object] = {"input_tokens": usage.input or 0}
    if usage.cache_write is not None:
        told["cache_creation_input_tokens"] = usage.cache_write
    if usage.cache_read is not None:
        told["cache_read_input_tokens"] = usage.cache_read
    if usage.cache_write_1h is not None:
        told["cache_creation"] = {
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
            "ephemeral_5m_input_tokens": max(0, (usage.cache_write or 0) - usage.cache_write_1h),
        }
    told["output_tokens"] = (usage.output or 0) + (usage.reasoning or 0)
    if usage.reasoning is not None:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return told


def _last(old: int | None, new: int | None) -> int | None:
    return old if new is None else new
