"""Moments as they are written and read; money likewise."""

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.governance.money import dollars
from waypost.ledger.times import parse_time, rfc3339

NOW_NS = 1_769_860_800_000_000_000  # 2026-01-31T12:00:00Z


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-31T12:00:00Z", 0),
        ("2026-01-31T13:00:00+01:00", 0),
        ("2026-01-31T12:00:00", 0),
        ("2026-01-31", -12 * 3600),
        ("2026-01-31T12:00:00.5Z", 0.5),
        ("90s", -90),
        ("10m", -600),
        ("2h", -7200),
        ("3d", -3 * 86_400),
        ("1w", -7 * 86_400),
        ("0s", 0),
    ],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert parse_time(text, NOW_NS) == NOW_NS + int(seconds * 1e9)


@pytest.mark.parametrize("text", ["", "yesterday", "10", "m", "-5m", "1.5h", "٣d", "2026-13-01", "10 m", "10y"])
def test_what_is_no_time_is_told_so(text: str) -> None:
    with pytest.raises(ValueError, match="not a time"):
        parse_time(text, NOW_NS)


@given(st.integers(min_value=0, max_value=2**62))
def test_a_written_time_reads_back(moment_ns: int) -> None:
    assert parse_time(rfc3339(moment_ns), 0) == moment_ns // 1000 * 1000


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)))
def test_times_are_written_as_python_reads_them(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    moment_ns = int(aware.replace(microsecond=0).timestamp()) * 10**9 + aware.microsecond * 1000
    assert datetime.fromisoformat(rfc3339(moment_ns)) == aware


@given(st.integers(min_value=-(2**70), max_value=2**70))
def test_dollars_are_exact_plain_decimals(nano: int) -> None:
    text = dollars(nano)
    assert Decimal(text) * 10**9 == nano
    assert re.fullmatch(r"-?\d+(\.\d{0,8}[1-9])?", text)
