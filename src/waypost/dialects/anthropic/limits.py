"""Limits in headers: `anthropic-ratelimit-tokens-remaining`, and times as moments (RFC 3339)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil

from waypost.conversation.limits import Limit
from waypost.dialects.dialect import Headers, LimitHeaders
from waypost.dialects.fault_text import count_of

_KINDS = ("requests", "tokens")


def read_limits(headers: Mapping[str, str], now_s: float) -> tuple[Limit, ...]:
    """`now_s`: Unix seconds."""
    limits = [
        Limit(
            kind,
            count_of(headers.get(f"anthropic-ratelimit-{kind}-limit")),
            count_of(headers.get(f"anthropic-ratelimit-{kind}-remaining")),
            _seconds_until(headers.get(f"anthropic-ratelimit-{kind}-reset"), now_s),
        )
        for kind in _KINDS
    ]
    return tuple([limit for limit in limits if limit.says_anything])


def write_limits(limits: tuple[Limit, ...], now_s: float) -> Headers:
    """`now_s`: Unix seconds."""
    told = [
        pair
        for limit in limits
        for pair in (
            (f"anthropic-ratelimit-{limit.of}-limit", limit.most),
            (f"anthropic-ratelimit-{limit.of}-remaining", limit.left),
            (f"anthropic-ratelimit-{limit.of}-reset", _moment(limit.full_in_s, now_s)),
        )
    ]
    return tuple([(name, str(value)) for name, value in told if value is not None])


def _seconds_until(moment: str | None, now_s: float) -> float | None:
    try:
        told = datetime.fromisoformat(moment or "")
    except ValueError:
        return None
    return max(0.0, told.timestamp() - now_s) if told.tzinfo is not None else None


def _moment(seconds: float | None, now_s: float) -> str | None:
    """The next whole second; None for one that no calendar holds."""
    try:
        return (
            None
            if seconds is None
            else datetime.fromtimestamp(ceil(now_s + seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        )
    except (OverflowError, ValueError, OSError):
        return None


LIMITS = LimitHeaders(read_limits, write_limits)
