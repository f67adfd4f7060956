"""Limits in the headers of both of OpenAI's protocols: `x-ratelimit-remaining-tokens`, and times as spans ("6m0s")."""

import re
from collections.abc import Mapping

from waypost.conversation.limits import Limit
from waypost.dialects.dialect import Headers, LimitHeaders
from waypost.dialects.fault_text import count_of

KINDS = ("requests", "tokens")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)[a-z]*", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(span: str) -> float | None:
    """ "6m0s", "120ms", "1.5s", "2 seconds" → seconds."""
    parts = _SPAN.findall(span)
    return sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts) if parts else None


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
