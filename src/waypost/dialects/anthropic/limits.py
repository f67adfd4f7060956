"""Limits in headers: `anthropic-ratelimit-tokens-remaining`, and times as moments (RFC 3339)."""

from datetime import UTC, datetime
from math import ceil

from waypost.dialects.limit_headers import limit_headers


def _seconds_until(moment: str, now_s: float) -> float | None:
    try:
        told = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return max(0.0, told.timestamp() - now_s) if told.tzinfo is not None else None


def _moment(seconds: float, now_s: float) -> str | None:
    """The next whole second; None for one that no calendar holds."""
    try:
        return datetime.fromtimestamp(ceil(now_s + seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return None


LIMITS = limit_headers(lambda what, kind: f"anthropic-ratelimit-{kind}-{what}", _seconds_until, _moment)
