"""Moments as people write and read them. Knows RFC 3339 and spans of time; reads no clock: now is an argument."""

from datetime import UTC, datetime

_SECOND_NS = 1_000_000_000
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}


def rfc3339(moment_ns: int) -> str:
    """Unix nanoseconds as RFC 3339 in UTC, to the microsecond: 2026-01-31T12:00:00.000001Z."""
    seconds, rest = divmod(moment_ns, _SECOND_NS)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def parse_time(text: str, now_ns: int) -> int:
    """Unix nanoseconds of an RFC 3339 time or date (UTC where it names no zone), or of a span before now.

    A span is a number and its unit: 90s, 10m, 2h, 3d, 1w.
    Raises ValueError with a message for the one who wrote it.
    """
    number, unit = text[:-1], _UNITS_S.get(text[-1:])
    if unit is not None and number.isascii() and number.isdigit():
        return now_ns - int(number) * unit * _SECOND_NS
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"not a time: {text!r}. Write 2026-01-31T12:00:00Z, 2026-01-31, or a span such as 10m"
        ) from None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    whole = int(aware.replace(microsecond=0).timestamp())
    return whole * _SECOND_NS + aware.microsecond * 1000
