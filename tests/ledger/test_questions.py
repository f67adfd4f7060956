"""The call log as people and programs get it: the contract's members, and filters that keep what they say."""

import json
import sqlite3
from pathlib import Path

import pytest
from msgspec import Raw

from ledger.entries import DECISION, START_NS, accepted, attempt, ended
from waypost.ledger.questions import (
    Filters,
    calls_after,
    get_bodies,
    get_call,
    get_decision,
    get_plan,
    last_place,
    list_calls,
)
from waypost.ledger.records import NULL, Ended, Outcome, Planned, line
from waypost.ledger.rows import interrupted, read_batch, write_batch

MINUTE_NS = 60 * 10**9


def write(ledger: sqlite3.Connection, *entries: Ended | Planned) -> None:
    write_batch(ledger, read_batch(b"".join(map(line, entries))))


@pytest.fixture
def log(ledger: sqlite3.Connection) -> sqlite3.Connection:
    failed = attempt(provider="claude", model="m", outcome=Outcome.FAILED, error="overloaded", first_byte_us=None)
    write(
        ledger,
        ended("a1", attempts=(failed, attempt())),
        ended("a2", started_ns=START_NS + MINUTE_NS, route="strong", tags={"env": "prod", "user": "u=1"}, team="b"),
        ended("b1", started_ns=START_NS + 2 * MINUTE_NS, provider="claude", model="m", key=None, tags={}, task=None),
        ended("b2", started_ns=START_NS + 3 * MINUTE_NS, outcome=Outcome.FAILED, error="upstream_failed", profile="w"),
    )
    return ledger


def test_a_call_has_exactly_the_members_of_the_contract(ledger: sqlite3.Connection) -> None:
    failed = attempt(provider="claude", model="m", outcome=Outcome.FAILED, error="overloaded", first_byte_us=None)
    write(ledger, ended(attempts=(failed, attempt()), estimated=True))
    assert json.loads(json.dumps(get_call(ledger, "c1"))) == {
        "id": "c1",
        "started_at": "2026-01-31T12:00:00.000000Z",
        "key": "app",
        "team": "a",
        "tags": {"env": "test"},
        "task": "qa",
        "route": "fast",
        "revision": "r1",
        "provider": "openai",
        "model": "gpt-5-mini",
        "profile": "default",
        "outcome": "ok",
        "error": None,
        "tokens": {"input": 12, "cache_read": 3, "cache_write": 0, "output": 34, "reasoning": None},
        "estimated": True,
        "price": {"input": "0.15", "output": "0.6"},
        "cost_usd": "0.0000222",
        "first_byte_ms": 1.234,
        "total_ms": 2.345,
        "overhead_us": 123,
        "cache": "off",
        "attempts": [
            {
                "provider": "claude",
                "model": "m",
                "profile": "default",
                "outcome": "failed",
                "error": "overloaded",
                "first_byte_ms": None,
                "total_ms": 2.345,
            },
            {
                "provider": "openai",
                "model": "gpt-5-mini",
                "profile": "default",
                "outcome": "ok",
                "error": None,
                "first_byte_ms": 1.234,
                "total_ms": 2.345,
            },
        ],
    }


def test_what_is_not_known_is_null_and_not_zero(ledger: sqlite3.Connection) -> None:
    write_batch(ledger, read_batch(interrupted(accepted())))
    call = get_call(ledger, "c1")
    assert call is not None
    assert call["outcome"] == "interrupted"
    assert call["tokens"] == dict.fromkeys(("input", "cache_read", "cache_write", "output", "reasoning"))
    unknown = ("provider", "price", "cost_usd", "first_byte_ms", "total_ms", "overhead_us")
    assert [call[member] for member in unknown] == [None] * len(unknown)
    assert call["attempts"] == []


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (Filters(), ["b2", "b1", "a2", "a1"]),
        (Filters(since=START_NS + MINUTE_NS), ["b2", "b1", "a2"]),
        (Filters(until=START_NS + MINUTE_NS), ["a1"]),
        (Filters(since=START_NS + MINUTE_NS, until=START_NS + 2 * MINUTE_NS), ["a2"]),
        (Filters(id="a"), ["a2", "a1"]),
        (Filters(id="%"), []),
        (Filters(key="app"), ["b2", "a2", "a1"]),
        (Filters(team="b"), ["a2"]),
        (Filters(tag="env"), ["b2", "a2", "a1"]),
        (Filters(tag="env=prod"), ["a2"]),
        (Filters(tag="user=u=1"), ["a2"]),
        (Filters(tag="env="), []),
        (Filters(task="qa"), ["b2", "a2", "a1"]),
        (Filters(route="strong"), ["a2"]),
        (Filters(provider="claude"), ["b1"]),
        (Filters(model="m"), ["b1"]),
        (Filters(profile="w"), ["b2"]),
        (Filters(outcome="failed"), ["b2"]),
        (Filters(error="upstream_failed"), ["b2"]),
        (Filters(route="fast", outcome="ok"), ["b1", "a1"]),
        (Filters(route="' OR 1 --"), []),
    ],
    ids=str,
)
def test_filters_keep_what_they_say(log: sqlite3.Connection, filters: Filters, found: list[str]) -> None:
    assert [call["id"] for call in list_calls(log, filters)] == found


def test_the_limit_keeps_the_newest(log: sqlite3.Connection) -> None:
    assert [call["id"] for call in list_calls(log, limit=2)] == ["b2", "b1"]


def test_attempts_stay_with_their_calls_over_many(ledger: sqlite3.Connection) -> None:
    write(ledger, *(ended(f"c{n}", attempts=(attempt(model=f"m{n}"),)) for n in range(1200)))
    calls = list_calls(ledger, limit=1200)
    assert [[each["model"] for each in call["attempts"]] for call in calls] == [  # type: ignore[attr-defined]
        [f"m{n}"] for n in reversed(range(1200))
    ]


def test_a_follower_sees_each_call_once(log: sqlite3.Connection) -> None:
    place = last_place(log)
    assert calls_after(log, place) == ([], place)
    write(log, ended("c1"), ended("c2", route="strong"))
    write(log, ended("c3"))
    first, place = calls_after(log, place, limit=2)
    second, place = calls_after(log, place, limit=2)
    assert [call["id"] for call in first + second] == ["c1", "c2", "c3"]
    assert calls_after(log, place) == ([], place)
    assert last_place(log) == place
    assert [call["id"] for call in calls_after(log, 0, Filters(route="strong"))[0]] == ["a2", "c2"]


def test_a_call_s_decision_plan_and_bodies(ledger: sqlite3.Connection) -> None:
    write(
        ledger,
        Planned("p1", "r1", Raw(b'{"candidates":[]}')),
        ended("c1", bodies=("question", "answer")),
        ended("c2", decision=NULL),
    )
    assert get_decision(ledger, "c1") == bytes(DECISION)
    assert get_decision(ledger, "c2") is None
    assert get_decision(ledger, "c9") is None
    assert get_plan(ledger, "p1") == b'{"candidates":[]}'
    assert get_plan(ledger, "p9") is None
    assert get_bodies(ledger, "c1") == ("question", "answer")
    assert get_bodies(ledger, "c2") is None
    assert get_call(ledger, "c9") is None


def test_a_log_can_be_asked_by_time_without_reading_all_of_it(ledger: sqlite3.Connection, file: Path) -> None:
    condition, values = Filters(since=START_NS).clause()
    plan = ledger.execute(f"EXPLAIN QUERY PLAN SELECT id FROM calls WHERE {condition}", values).fetchall()
    assert "calls_started" in str(plan)
