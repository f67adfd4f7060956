"""What a start makes of what a dead process left behind."""

import sqlite3
from pathlib import Path

import pytest

from ledger.entries import MONTH, accepted, ended
from waypost.config.model import Store
from waypost.ledger.errors import JournalOwned, LedgerError
from waypost.ledger.journal import Journal
from waypost.ledger.mover import Mover
from waypost.ledger.records import line
from waypost.ledger.recovery import Recovered, recover
from waypost.ledger.running import start_ledger
from waypost.ledger.segments import segment_names
from waypost.ledger.sqlite import open_ledger, spent

RESERVED, CHARGED = 500, 300


def leave(folder: Path, *segments: bytes) -> None:
    """What a process that was killed leaves: segments, and nobody who owns them."""
    folder.mkdir(exist_ok=True)
    for place, text in enumerate(segments, 1):
        (folder / f"{place:010d}-00000000.journal").write_bytes(text)


def rows(ledger: sqlite3.Connection) -> dict[str, str]:
    return dict(ledger.execute("SELECT id, outcome FROM calls").fetchall())


def team_a(ledger: sqlite3.Connection) -> int:
    return spent(ledger, [("team-a", MONTH)])["team-a", MONTH]


def test_nothing_left_is_nothing_to_do(folder: Path, ledger: sqlite3.Connection) -> None:
    assert recover(folder, ledger) == Recovered()


def test_ended_calls_become_rows_and_open_ones_interrupted(folder: Path, ledger: sqlite3.Connection) -> None:
    leave(folder, line(accepted("c1")) + line(accepted("c2")) + line(ended("c1")))
    assert recover(folder, ledger) == Recovered(calls=1, interrupted=1)
    assert rows(ledger) == {"c1": "ok", "c2": "interrupted"}
    assert team_a(ledger) == CHARGED + RESERVED
    assert segment_names(folder) == []
    assert ledger.execute("SELECT COUNT(*) FROM segments").fetchone() == (0,)


def test_an_interrupted_row_says_what_is_known_and_no_more(folder: Path, ledger: sqlite3.Connection) -> None:
    leave(folder, line(accepted("c1")))
    recover(folder, ledger)
    row = ledger.execute(
        "SELECT key, team, tags, route, revision, dialect, provider, input, output, cost_nano, price, total_us"
        " FROM calls"
    ).fetchone()
    assert row == ("app", "a", '{"env":"test"}', "fast", "r1", "openai_chat", None, None, None, None, None, None)


def test_a_call_open_over_several_segments_is_one(folder: Path, ledger: sqlite3.Connection) -> None:
    again = line(accepted("c1"))
    leave(folder, again, again + line(accepted("c2")), again + line(ended("c2")))
    assert recover(folder, ledger) == Recovered(calls=1, interrupted=1)
    assert team_a(ledger) == CHARGED + RESERVED


@pytest.mark.parametrize("torn", [line(accepted("c3")), line(ended("c2"))], ids=["accepted", "ended"])
def test_a_torn_last_entry_was_never_written(folder: Path, ledger: sqlite3.Connection, torn: bytes) -> None:
    """At every byte: a call whose acceptance is torn was never accepted, one whose end is torn was interrupted."""
    whole = line(accepted("c1")) + line(ended("c1")) + line(accepted("c2"))
    for cut in range(len(torn)):
        leave(folder, whole + torn[:cut])
        recovered = recover(folder, ledger)
        assert recovered.damaged == 0, cut
        assert rows(ledger) == {"c1": "ok", "c2": "interrupted"}, cut
        ledger.executescript("DELETE FROM entries; DELETE FROM spend;")


def test_what_was_moved_before_the_crash_is_not_moved_again(folder: Path, file: Path) -> None:
    journal = Journal(folder)
    mover = Mover(journal, file)
    for call in range(700):
        journal.accept(accepted(f"c{call}"))
        journal.end(ended(f"c{call}"))
        if call == 450:
            mover.move()
    journal.accept(accepted("open"))
    text = (folder / journal.segment).read_bytes()
    journal.close()
    assert text == (folder / segment_names(folder)[0]).read_bytes()
    ledger = open_ledger(file)
    assert recover(folder, ledger) == Recovered(calls=249, interrupted=1)
    assert len(rows(ledger)) == 701
    assert team_a(ledger) == 700 * CHARGED + RESERVED
    ledger.close()
    mover.close()


@pytest.mark.parametrize("step", ["insert", "spend", "commit", "drop"])
def test_a_recovery_that_is_cut_off_starts_over(
    folder: Path, ledger: sqlite3.Connection, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(folder, line(accepted("c1")) + line(accepted("c2")) + line(ended("c1")), line(accepted("c2")))
    with monkeypatch.context() as patch:
        if step in ("insert", "spend"):
            table = "entries" if step == "insert" else "spend"
            ledger.execute(
                f"CREATE TEMP TRIGGER t BEFORE INSERT ON main.{table} BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
            )
        else:
            name = "bring_to_disk" if step == "commit" else "drop_segment"
            patch.setattr(f"waypost.ledger.recovery.{name}", lambda *_, **__: 1 / 0)
        with pytest.raises((sqlite3.Error, ZeroDivisionError)):
            recover(folder, ledger)
    ledger.execute("DROP TRIGGER IF EXISTS t")
    assert len(segment_names(folder)) == 2
    recover(folder, ledger)
    assert rows(ledger) == {"c1": "ok", "c2": "interrupted"}
    assert team_a(ledger) == CHARGED + RESERVED
    assert segment_names(folder) == []


def test_damage_is_counted_and_kept(folder: Path, ledger: sqlite3.Connection) -> None:
    leave(folder, line(ended("c1")) + b"\0\0\n" + line(ended("c2")), line(ended("c3")))
    assert recover(folder, ledger) == Recovered(calls=3, damaged=1)
    assert sorted(path.suffix for path in folder.iterdir()) == [".damaged"]


def test_a_start_recovers_and_tells_what_was_spent(tmp_path: Path) -> None:
    store = Store(ledger=f"sqlite:///{tmp_path}/var/ledger.db")
    first = start_ledger(store)
    first.journal.accept(accepted("c1"))
    with pytest.raises(JournalOwned):
        start_ledger(store)
    first.close()
    second = start_ledger(store)
    assert second.recovered == Recovered(interrupted=1), "a call that nobody ended is in no doubt after a clean stop"
    assert second.spent([("team-a", MONTH)]) == {("team-a", MONTH): RESERVED}
    second.close()
    third = start_ledger(store)
    assert third.recovered == Recovered()
    third.close()


def test_a_ledger_that_can_not_be_written_is_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    store = Store(ledger=f"sqlite:///{tmp_path}/ledger.db")
    leave(tmp_path / "ledger.journal", line(ended("c1")))
    ledger = open_ledger(tmp_path / "ledger.db")
    ledger.execute("CREATE TRIGGER t BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'no room'); END")
    with pytest.raises(LedgerError, match="can't be brought up to date: no room"):
        start_ledger(store)
    ledger.execute("DROP TRIGGER t")
    running = start_ledger(store)
    assert running.recovered == Recovered(calls=1)
    running.close()
    ledger.close()
