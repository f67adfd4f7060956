"""Calendar windows in UTC: where the one that holds a moment starts and ends. Knows the calendar, not the clock."""

from datetime import UTC, datetime
from typing import assert_never

from waypost.config.model import Window

_MINUTE_S = 60
_HOUR_S = 3_600
_DAY_S = 86_400
_WEEK_S = 7 * _DAY_S
_FIRST_MONDAY_S = 4 * _DAY_S  # 1970-01-05; the epoch was a Thursday


def window_at(window: Window, at_s: float) -> tuple[float, float]:
    """[start, end) of the window that holds `at_s`, in seconds since 1970; infinite on both sides for `none`."""
    match window:
        case Window.MINUTE:
            return _slot(at_s, _MINUTE_S, 0)
        case Window.HOUR:
            return _slot(at_s, _HOUR_S, 0)
        case Window.DAY:
            return _slot(at_s, _DAY_S, 0)
        case Window.WEEK:
            return _slot(at_s, _WEEK_S, _FIRST_MONDAY_S)
        case Window.MONTH:
            return _month(at_s)
        case Window.NONE:
            return float("-inf"), float("inf")
        case _:
            assert_never(window)


def _slot(at_s: float, length_s: int, anchor_s: int) -> tuple[float, float]:
    start = (at_s - anchor_s) // length_s * length_s + anchor_s
    return start, start + length_s


def _month(at_s: float) -> tuple[float, float]:
    first = datetime.fromtimestamp(at_s, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return first.timestamp(), following.timestamp()
