"""Roll-ups: every call counted where it belongs, unknown costs counted apart, latencies by nearest rank."""

import sqlite3

import pytest

from ledger.entries import START_NS, ended
from waypost.ledger.questions import Filters, Json
from waypost.ledger.records import Ended, Kind, Outcome, line
from waypost.ledger.rows import read_batch, write_batch
from waypost.ledger.statistics import Grouping, stats

DAY_NS = 86_400 * 10**9


@pytest.fixture
def log(ledger: sqlite3.Connection) -> sqlite3.Connection:
    entries = [
        *(ended(f"a{n}", total_us=n * 1000, first_byte_us=None) for n in range(1, 21)),
        ended("b1", route="strong", provider="claude", model="m", key="k", team="b", task=None, tags={}),
        ended("b2", started_ns=START_NS + DAY_NS, tags={"env": "prod", "user": "u"}, cost_nano=None, output=None),
        ended("b3", outcome=Outcome.TRUNCATED, tags={}, first_byte_us=5000, total_us=None),
        ended("b4", outcome=Outcome.CANCELLED, tags={}),
        Ended("b5", START_NS, kind=Kind(route="fast", outcome=Outcome.REFUSED, error="over_budget")),
    ]
    write_batch(ledger, read_batch(b"".join(map(line, entries))))
    return ledger


def group(groups: list[Json], name: str | None) -> Json:
    (found,) = [each for each in groups if each["group"] == name]
    return found


def test_a_group_in_full(log: sqlite3.Connection) -> None:
    groups = stats(log, Grouping.ROUTE, Filters(since=START_NS, until=START_NS + 1))
    assert group(groups, "fast") == {
        "by": "route",
        "group": "fast",
        "calls": 23,
        "ok": 20,
        "errors": 1,
        "error_rate": round(1 / 21, 6),
        "tokens": {"input": 264, "cache_read": 66, "cache_write": 0, "output": 748, "reasoning": None},
        "cost_usd": "0.0004884",
        "unpriced": 0,
        "first_byte_ms": {"p50": 1.234, "p95": 5.0, "mean": 3.117},
        "total_ms": {"p50": 10.0, "p95": 19.0, "mean": round((210_000 + 2345) / 21 / 1000, 3)},
    }


@pytest.mark.parametrize(
    ("by", "counts"),
    [
        (Grouping.ROUTE, {"fast": 24, "strong": 1}),
        (Grouping.TASK, {"qa": 23, None: 2}),
        (Grouping.PROVIDER, {"openai": 23, None: 1, "claude": 1}),
        (Grouping.MODEL, {"gpt-5-mini": 23, None: 1, "m": 1}),
        (Grouping.KEY, {"app": 23, None: 1, "k": 1}),
        (Grouping.TEAM, {"a": 23, None: 1, "b": 1}),
        (Grouping.TAG, {"env=test": 20, "env=prod": 1, "user=u": 1}),
        (Grouping.DAY, {"2026-01-31": 24, "2026-02-01": 1}),
    ],
)
def test_every_grouping_counts_every_call(log: sqlite3.Connection, by: Grouping, counts: dict[str | None, int]) -> None:
    told = [(each["group"], each["calls"]) for each in stats(log, by)]
    assert dict(told) == counts
    expected = sorted(told) if by is Grouping.DAY else sorted(told, key=lambda each: -int(str(each[1])))
    assert [calls for _, calls in told] == [calls for _, calls in expected]


def test_unknown_costs_are_counted_and_not_summed(log: sqlite3.Connection) -> None:
    told = group(stats(log, Grouping.DAY), "2026-02-01")
    assert (told["cost_usd"], told["unpriced"]) == (None, 1)
    assert told["tokens"] == {"input": 12, "cache_read": 3, "cache_write": 0, "output": None, "reasoning": None}


def test_a_refused_call_costs_nothing_rather_than_something_unknown(log: sqlite3.Connection) -> None:
    told = group(stats(log, Grouping.PROVIDER), None)
    assert (told["calls"], told["unpriced"], told["error_rate"]) == (1, 0, None)
    assert (told["first_byte_ms"], told["total_ms"]) == (None, None)


@pytest.mark.parametrize("by", list(Grouping))
def test_filters_go_with_every_grouping(log: sqlite3.Connection, by: Grouping) -> None:
    everything = Filters(
        since=0, until=2**62, id="a1", key="app", team="a", tag="env=test", task="qa", route="fast", provider="openai",
        model="gpt-5-mini", profile="default", outcome="ok",
    )  # fmt: skip
    assert [each["calls"] for each in stats(log, by, everything)] == [11]


def test_no_calls_no_groups(ledger: sqlite3.Connection) -> None:
    assert stats(ledger, Grouping.ROUTE) == []
