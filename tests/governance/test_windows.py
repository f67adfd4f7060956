from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.config.model import Window
from waypost.governance.windows import window_at


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("window", "moment", "start", "end"),
    [
        (Window.MINUTE, "2026-11-21T05:37:59", "2026-11-21T05:37:00", "2026-11-21T05:38:00"),
        (Window.HOUR, "2026-11-21T05:00:00", "2026-11-21T05:00:00", "2026-11-21T06:00:00"),
        (Window.DAY, "2026-11-21T23:59:59", "2026-11-21T00:00:00", "2026-11-22T00:00:00"),
        (Window.WEEK, "2026-11-22T12:00:00", "2026-11-16T00:00:00", "2026-11-23T00:00:00"),
        (Window.WEEK, "2026-11-23T00:00:00", "2026-11-23T00:00:00", "2026-11-30T00:00:00"),
        (Window.MONTH, "2028-02-29T12:00:00", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
        (Window.MONTH, "2026-12-31T23:59:59", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
    ],
)
def test_windows_follow_the_calendar(window: Window, moment: str, start: str, end: str) -> None:
    assert window_at(window, at(moment)) == (at(start), at(end))


def test_a_window_without_end_holds_every_moment() -> None:
    assert window_at(Window.NONE, 1.0) == (float("-inf"), float("inf"))


@given(st.sampled_from(Window), st.floats(0, 4e9))
def test_the_window_of_a_moment_holds_it_and_starts_itself(window: Window, moment: float) -> None:
    start, end = window_at(window, moment)
    assert start <= moment < end
    if window is not Window.NONE:
        assert window_at(window, start) == (start, end)
        assert window_at(window, end)[0] == end
