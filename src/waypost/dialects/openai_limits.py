"""Limits in the headers of both of OpenAI's protocols: `x-ratelimit-remaining-tokens`, and times as spans ("6m0s")."""

import re
from collections.abc import Mapping

from waypost.conversation.limits import Limit
from waypost.dialects.dialect import Headers, LimitHeaders
from waypost.dialects.fault_text import count_of

KINDS = ("requests", "tokens")
_LONGEST_SPAN = 64  # characters
_PART = r"(\d{1,9}(?:\.\d{1,9})?)\s*(milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d)"
_SPAN = re.compile(rf"(?:{_PART}\s*)+", re.IGNORECASE)
_PARTS = re.compile(_PART, re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_of(span: str) -> float | None:
    """ "6m0s", "120ms", "1.5s", "2 seconds" → seconds; None for what is not all a span."""
    span = span.strip()
    if len(span) > _LONGEST_SPAN or _SPAN.fullmatch(span) is None:
        return None
    return sum(float(number) * _unit(unit.lower()) for number, unit in _PARTS.findall(span))


def _unit(word: str) -> float:
    return _SECONDS["ms" if word.startswith(("ms", "milli")) else word[0]]


def read_limits(headers: Mapping[str, str], now_s: float) -> tuple[Limit, ...]:
    limits = [
        Limit(
            kind,
            count_of(headers.get(f"x-ratelimit-limit-{kind}")),
            count_of(headers.get(f"x-ratelimit-remaining-{kind}")),
            seconds_of(headers.get(f"x-ratelimit-reset-{kind}", "")),
        )
        for kind in KINDS
    ]
    return tuple([limit for limit in limits if limit.says_anything])


def write_limits(limits: tuple[Limit, ...], now_s: float) -> Headers:
    told = [
        pair
        for limit in limits
        for pair in (
            (f"x-ratelimit-limit-{limit.of}", limit.most),
            (f"x-ratelimit-remaining-{limit.of}", limit.left),
            (f"x-ratelimit-reset-{limit.of}", None if limit.full_in_s is None else f"{limit.full_in_s * 1000:.0f}ms"),
        )
    ]
    return tuple([(name, str(value)) for name, value in told if value is not None])


LIMITS = LimitHeaders(read_limits, write_limits)
