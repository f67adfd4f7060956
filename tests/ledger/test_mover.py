"""From the journal to the database, each call exactly once, whatever state the database is in."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec import Raw

from ledger.entries import DECISION, MONTH, START_NS, accepted, attempt, ended
from waypost.ledger.errors import LedgerError
from waypost.ledger.journal import Journal
from waypost.ledger.mover import Lag, Mover
from waypost.ledger.records import Ended, Kind, Outcome, Planned
from waypost.ledger.segments import segment_names
from waypost.ledger.sqlite import open_ledger, spent


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(folder: Path, clock: Clock) -> Iterator[Journal]:
    journal = Journal(folder, clock=clock)
    yield journal
    journal.close()


@pytest.fixture
def mover(journal: Journal, file: Path, clock: Clock) -> Iterator[Mover]:
    mover = Mover(journal, file, clock=clock, connect=lambda path: open_ledger(path, busy_s=0))
    yield mover
    mover.close()


def column(ledger: sqlite3.Connection, statement: str) -> list[object]:
    return [value for (value,) in ledger.execute(statement)]


def call(journal: Journal, name: str) -> None:
    journal.accept(accepted(name))
    journal.end(ended(name))


def test_a_row_holds_every_member(journal: Journal, mover: Mover, ledger: sqlite3.Connection) -> None:
    journal.end(ended(dropped=("logit_bias",), bodies=("question", None), stream=True))
    assert mover.move()
    ledger.row_factory = sqlite3.Row
    row = dict(ledger.execute("SELECT * FROM calls").fetchone())
    assert row == {
        "place": 1, "id": "c1", "started_ns": START_NS, "key": "app", "team": "a", "tags": '{"env":"test"}',
        "task": "qa", "route": "fast", "revision": "r1", "dialect": "openai_chat", "provider": "openai",
        "model": "gpt-5-mini", "profile": "default", "outcome": "ok", "error": None, "status": 200, "stream": 1,
        "input": 12, "cache_read": 3, "cache_write": 0, "output": 34, "reasoning": None, "estimated": 0,
        "price": '{"input":"0.15","output":"0.6"}',
        "cost_nano": 22_200, "first_byte_us": 1234, "total_us": 2345, "overhead_us": 123, "cache": "off",
        "decision": bytes(DECISION).decode(), "dropped": '["logit_bias"]',
        "attempts": '[["openai","gpt-5-mini","default","ok",null,200,1234,2345]]',
    }  # fmt: skip
    assert tuple(ledger.execute("SELECT * FROM bodies").fetchone()) == ("c1", "question", None)


def test_unknown_is_null(journal: Journal, mover: Mover, ledger: sqlite3.Connection) -> None:
    journal.end(Ended("c1", START_NS, kind=Kind(outcome=Outcome.REFUSED, error="over_budget", status=402)))
    mover.move()
    assert ledger.execute("SELECT price, decision, cost_nano, input, tags, dropped FROM calls").fetchall() == [
        (None, None, None, None, "{}", "[]")
    ]


def test_each_attempt_has_a_row_in_order(journal: Journal, mover: Mover, ledger: sqlite3.Connection) -> None:
    failed = attempt(provider="claude", outcome=Outcome.FAILED, error="overloaded", status=529, first_byte_us=None)
    journal.end(ended(attempts=(failed, attempt())))
    mover.move()
    assert ledger.execute("SELECT * FROM attempts").fetchall() == [
        ("c1", 0, "claude", "gpt-5-mini", "default", "failed", "overloaded", 529, None, 2345),
        ("c1", 1, "openai", "gpt-5-mini", "default", "ok", None, 200, 1234, 2345),
    ]


@pytest.mark.parametrize("count", [1, 15, 16, 17, 300, 1000])
def test_every_call_once_in_the_order_of_ending(
    journal: Journal, mover: Mover, ledger: sqlite3.Connection, count: int
) -> None:
    names = [f"c{number:04d}" for number in range(count)]
    for name in names:
        call(journal, name)
    mover.move()
    mover.move()
    assert column(ledger, "SELECT id FROM calls ORDER BY place") == names
    assert column(ledger, "SELECT COUNT(*) FROM attempts") == [count]
    assert spent(ledger, [("team-a", MONTH), ("team-a", 0)]) == {("team-a", MONTH): 300 * count, ("team-a", 0): 0}


def test_plans_are_kept_once(journal: Journal, mover: Mover, ledger: sqlite3.Connection) -> None:
    for _ in range(2):
        journal.plan(Planned("p1", "r1", Raw(b'{"candidates":[]}')))
        mover.move()
    assert ledger.execute("SELECT * FROM plans").fetchall() == [("p1", "r1", '{"candidates":[]}')]


def test_a_segment_goes_when_all_of_it_is_moved(
    folder: Path, journal: Journal, mover: Mover, ledger: sqlite3.Connection
) -> None:
    call(journal, "c1")
    mover.move()
    assert len(segment_names(folder)) == 1, "the current segment stays"
    journal.rotate(even_if_young=True)
    call(journal, "c2")
    mover.move()
    assert segment_names(folder) == [journal.segment]
    assert column(ledger, "SELECT id FROM calls") == ["c1", "c2"]
    assert column(ledger, "SELECT name FROM segments") == [journal.segment]


def test_closing_moves_all_and_leaves_nothing_behind(folder: Path, file: Path) -> None:
    journal = Journal(folder)
    mover = Mover(journal, file, interval_s=600)
    mover.start()
    call(journal, "c1")
    mover.close()
    assert segment_names(folder) == []
    with closing(open_ledger(file, readonly=True)) as ledger:
        assert column(ledger, "SELECT id FROM calls") == ["c1"]


def test_a_locked_database_delays_rows_and_loses_none(
    journal: Journal, mover: Mover, clock: Clock, ledger: sqlite3.Connection
) -> None:
    call(journal, "c1")
    mover.tick()
    ledger.execute("BEGIN IMMEDIATE")
    call(journal, "c2")
    clock.now = 5.0
    mover.tick()
    assert mover.lag == Lag(1, 5.0)
    assert "database is locked" in str(mover.error)
    journal.rotate(even_if_young=True)
    call(journal, "c3")
    ledger.execute("COMMIT")
    mover.tick()
    assert mover.lag.entries == 2, "it is not asked again at once"
    clock.now = 6.0
    mover.tick()
    assert (str(mover.error), mover.lag) == ("None", Lag(0, 0.0))
    assert column(ledger, "SELECT id FROM calls ORDER BY place") == ["c1", "c2", "c3"]
    assert spent(ledger, [("team-a", MONTH)]) == {("team-a", MONTH): 900}


def test_it_asks_a_broken_database_ever_less_often(journal: Journal, file: Path, clock: Clock) -> None:
    asked: list[float] = []

    def connect(path: Path) -> sqlite3.Connection:
        asked.append(clock.now)
        raise LedgerError("no such disk")

    mover = Mover(journal, file, clock=clock, connect=connect, interval_s=0.25)
    for tick in range(400):
        clock.now = tick * 0.25
        mover.tick()
    pauses = [after - before for before, after in pairwise(asked)]
    assert pauses[:6] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]
    assert set(pauses[6:]) == {10.0}
    assert mover.error == "no such disk"


def test_a_batch_that_fails_half_way_leaves_nothing(journal: Journal, mover: Mover, ledger: sqlite3.Connection) -> None:
    ledger.execute("CREATE TRIGGER t BEFORE INSERT ON spend BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END")
    call(journal, "c1")
    assert not mover.move()
    assert column(ledger, "SELECT COUNT(*) FROM calls") == [0]
    ledger.execute("DROP TRIGGER t")
    assert mover.move()
    assert column(ledger, "SELECT id FROM calls") == ["c1"]


def test_an_end_written_twice_is_one_row_and_one_charge(
    journal: Journal, mover: Mover, ledger: sqlite3.Connection
) -> None:
    call(journal, "c1")
    mover.move()
    for name in ("c2", "c1", "c2"):
        journal.end(ended(name))
    assert mover.move()
    assert column(ledger, "SELECT id FROM calls ORDER BY place") == ["c1", "c2"]
    assert spent(ledger, [("team-a", MONTH)]) == {("team-a", MONTH): 600}


def test_an_absurd_number_costs_no_row(journal: Journal, mover: Mover, ledger: sqlite3.Connection) -> None:
    journal.end(ended("absurd", output=10**30, cost_nano=10**40, charges=(("team-a", MONTH, 10**40),)))
    call(journal, "c2")
    assert mover.move()
    assert ledger.execute("SELECT id, input, output, cost_nano FROM calls ORDER BY place").fetchall() == [
        ("absurd", 12, None, None),
        ("c2", 12, 34, 22_200),
    ]
    assert spent(ledger, [("team-a", MONTH)]) == {("team-a", MONTH): 2**62 + 300}


def test_a_damaged_line_is_skipped_and_its_segment_kept(
    folder: Path, journal: Journal, mover: Mover, ledger: sqlite3.Connection
) -> None:
    call(journal, "c1")
    with (folder / journal.segment).open("ab") as file:
        file.write(b"\0\0\0\n")
    call(journal, "c2")
    first = journal.segment
    journal.rotate(even_if_young=True)
    mover.move()
    assert column(ledger, "SELECT id FROM calls") == ["c1", "c2"]
    assert mover.damaged == 1
    assert (folder / first).with_suffix(".damaged").exists()
    assert segment_names(folder) == [journal.segment]


def test_a_tick_also_retries_rotates_and_syncs(folder: Path, file: Path, clock: Clock) -> None:
    synced: list[int] = []
    fails = True

    def write(descriptor: int, text: bytes) -> int:
        import os

        return 0 if fails else os.write(descriptor, text)

    journal = Journal(folder, clock=clock, segment_s=60, fsync_s=1, write=write, sync=synced.append)
    mover = Mover(journal, file, clock=clock)
    journal.end(ended("c1"))
    assert journal.waiting == 1
    fails = False
    mover.tick()
    assert (journal.waiting, synced) == (0, [])
    clock.now = 1.0
    mover.tick()
    assert len(synced) == 1
    clock.now = 61.0
    mover.tick()
    assert len(segment_names(folder)) == 1, "the old segment was left, moved and dropped"
    mover.close()


def test_one_bug_does_not_end_the_moving(folder: Path, file: Path) -> None:
    from threading import Event

    met, moved = Event(), Event()

    def connect(path: Path) -> sqlite3.Connection:
        if not met.is_set():
            met.set()
            raise RuntimeError("a bug")
        moved.set()
        return open_ledger(path)

    journal = Journal(folder)
    mover = Mover(journal, file, interval_s=0.001, connect=connect)
    mover.start()
    assert moved.wait(10)
    mover.close()
    assert segment_names(folder) == []
