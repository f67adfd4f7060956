"""Limits in the headers of both of OpenAI's protocols: `x-ratelimit-remaining-tokens`, and times as spans ("6m0s")."""

import re

from waypost.dialects.limit_headers import limit_headers

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


LIMITS = limit_headers(
    lambda what, kind: f"x-ratelimit-{what}-{kind}",
    lambda span, _: seconds_of(span),
    lambda seconds, _: f"{seconds * 1000:.0f}ms",
)
