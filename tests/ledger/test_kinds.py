"""Kinds: written once by a connection, told apart by every shared member, and forgotten with what was rolled back."""

import sqlite3
from typing import Any

import pytest

from ledger.entries import attempt, ended
from waypost.ledger.kinds import Kinds
from waypost.ledger.records import NULL, Ended, Outcome, line
from waypost.ledger.rows import Batch, read_batch, write_batch


def batch(*entries: Ended) -> Batch:
    return read_batch(b"".join(map(line, entries)))


def kinds(ledger: sqlite3.Connection) -> int:
    return int(ledger.execute("SELECT COUNT(*) FROM kinds").fetchone()[0])


def test_calls_of_one_kind_share_it_over_batches(ledger: sqlite3.Connection) -> None:
    known = Kinds()
    write_batch(ledger, batch(ended("c1"), ended("c2", input=99, cost_nano=None, attempts=())), known)
    write_batch(ledger, batch(ended("c3", overhead_us=1, decision=NULL, charges=())), known)
    assert kinds(ledger) == 1


def test_tags_make_no_kind(ledger: sqlite3.Connection) -> None:
    tags = [{}, {"user": "1"}, {"user": "2"}, {"a,b": "true,false"}]
    write_batch(ledger, batch(*(ended(f"c{n}", tags=each) for n, each in enumerate(tags))))
    assert kinds(ledger) == 1
    told = [row[0] for row in ledger.execute("SELECT tags FROM calls ORDER BY place")]
    assert told == ["{}", '{"user":"1"}', '{"user":"2"}', '{"a,b":"true,false"}']


@pytest.mark.parametrize(
    "members",
    [
        {"key": None}, {"team": "b"}, {"task": None}, {"route": "x"}, {"revision": "r2"}, {"dialect": "anthropic"},
        {"provider": "claude"}, {"model": "m"}, {"profile": "p"}, {"outcome": Outcome.FAILED}, {"error": "x"},
        {"status": 502}, {"stream": True}, {"estimated": True}, {"price": NULL}, {"cache": "hit"}, {"dropped": ("n",)},
    ],
    ids=str,
)  # fmt: skip
def test_every_shared_member_tells_kinds_apart(ledger: sqlite3.Connection, members: dict[str, Any]) -> None:
    write_batch(ledger, batch(ended("c1"), ended("c2", **members), ended("c3")))
    assert kinds(ledger) == 2
    names = ", ".join(members)
    first, second, third = ledger.execute(f"SELECT {names} FROM calls ORDER BY place").fetchall()
    assert first == third != second


def test_what_is_rolled_back_is_written_again(ledger: sqlite3.Connection) -> None:
    known = Kinds()
    write_batch(ledger, batch(ended("c1")), known)
    write_batch(ledger, batch(ended("c2", route="new"), ended("c1"), ended("c3", output=10**30)), known)
    assert ledger.execute("SELECT id, route FROM calls ORDER BY place").fetchall() == [
        ("c1", "fast"), ("c2", "new"), ("c3", "fast")
    ]  # fmt: skip


def test_more_kinds_than_are_remembered_lose_no_call(
    ledger: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waypost.ledger.kinds.MOST_KNOWN", 4)
    known = Kinds()
    for start in range(0, 12, 3):
        write_batch(ledger, batch(*(ended(f"c{n}", route=f"r{n}") for n in range(start, start + 3))), known)
    write_batch(ledger, batch(*(ended(f"d{n}", route=f"r{n}") for n in range(12))), known)
    assert ledger.execute("SELECT COUNT(*) FROM calls WHERE route = 'r' || substr(id, 2)").fetchone() == (24,)


def test_an_absurd_status_costs_no_row(ledger: sqlite3.Connection) -> None:
    write_batch(ledger, batch(ended("c1", status=10**30)))
    assert ledger.execute("SELECT status, route FROM calls").fetchall() == [(None, "fast")]


def test_attempts_are_rows_for_those_who_ask_in_sql(ledger: sqlite3.Connection) -> None:
    odd = attempt(
        provider='a "b"', model="é\u2028", profile=None, outcome=Outcome.FAILED, error="x", first_byte_us=None
    )
    write_batch(ledger, batch(ended("c1", attempts=(odd, attempt())), ended("c2", attempts=()), ended("c3")))
    assert ledger.execute("SELECT * FROM attempts WHERE call_id IN ('c1', 'c2') ORDER BY call_id, n").fetchall() == [
        ("c1", 0, 'a "b"', "é\u2028", None, "failed", "x", 200, None, 2345),
        ("c1", 1, "openai", "gpt-5-mini", "default", "ok", None, 200, 1234, 2345),
    ]
    assert ledger.execute("SELECT provider, COUNT(*) FROM attempts GROUP BY 1 ORDER BY 1").fetchall() == [
        ('a "b"', 1), ("openai", 2)
    ]  # fmt: skip
