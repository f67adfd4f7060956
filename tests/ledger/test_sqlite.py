"""Opening a ledger: what is there, what is not, what is something else, and what is from the future."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ledger.entries import MONTH, ended
from waypost.config.model import Store
from waypost.ledger.errors import LedgerError
from waypost.ledger.questions import list_calls
from waypost.ledger.records import line
from waypost.ledger.rows import read_batch, write_batch
from waypost.ledger.sqlite import journal_folder, ledger_path, migrations, open_ledger, spent


def test_a_new_ledger_has_the_newest_schema(file: Path) -> None:
    with closing(open_ledger(file)) as ledger:
        of_type = "SELECT name FROM sqlite_master WHERE type = ?"
        tables, views = ({name for (name,) in ledger.execute(of_type, (kind,))} for kind in ("table", "view"))
        assert tables == {"entries", "kinds", "bodies", "plans", "spend", "segments"}
        assert views == {"calls", "attempts"}
        assert ledger.execute("PRAGMA user_version").fetchone() == (migrations()[-1][0],)
        assert ledger.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert file.stat().st_mode & 0o077 == 0


def test_migrations_are_numbered_without_gaps() -> None:
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_opening_again_changes_nothing(file: Path) -> None:
    with closing(open_ledger(file)) as ledger:
        ledger.execute("INSERT INTO spend VALUES ('b', 0, 5)")
    with closing(open_ledger(file)) as ledger:
        assert spent(ledger, [("b", 0), ("b", 60), ("c", 0)]) == {("b", 0): 5, ("b", 60): 0, ("c", 0): 0}


def test_only_the_missing_migrations_are_run(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_ledger(file).close()
    more = [*migrations(), (len(migrations()) + 1, "ALTER TABLE plans ADD COLUMN note TEXT;")]
    monkeypatch.setattr("waypost.ledger.sqlite.migrations", lambda: more)
    with pytest.raises(LedgerError, match="older schema"):
        open_ledger(file, readonly=True)
    with closing(open_ledger(file)) as ledger:
        ledger.execute("SELECT note FROM plans")
        assert ledger.execute("PRAGMA user_version").fetchone() == (more[-1][0],)


# Id, key, tags, outcome, status, input, price, decision, and the outcomes of the attempts.
FIRST: tuple[Any, ...] = (
    ("c2", "app", "{}", "ok", 200, 5, '{"input":"1"}', '{"order":[0]}', ["failed", "ok"]),
    ("c1", "app", "{}", "ok", 200, 6, '{"input":"1"}', None, ["ok"]),
    ("c4", None, '{"a":"b"}', "refused", 402, None, None, None, []),
    ("c3", None, '{"a":"b"}', "refused", 402, None, None, None, []),
    ("c5", None, '{"a":"b"}', "refused", None, None, None, None, []),
)


def test_a_ledger_with_the_first_schema_keeps_all_that_it_says(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = migrations()[:1]
    with monkeypatch.context() as patch:
        patch.setattr("waypost.ledger.sqlite.migrations", lambda: first)
        ledger = open_ledger(file)
    for place, (call, *members, outcomes) in enumerate(FIRST, 3):
        ledger.execute(
            "INSERT INTO calls (place, id, started_ns, key, tags, outcome, status, input, price, decision, revision,"
            " stream, estimated, cache, dropped) VALUES (?, ?, 7, ?, ?, ?, ?, ?, ?, ?, 'r', 0, 1, 'off', '[]')",
            (place, call, *members),
        )
        for n, outcome in reversed([*enumerate(outcomes)]):
            ledger.execute("INSERT INTO attempts VALUES (?, ?, 'p', 'm', NULL, ?, 'e', 5, NULL, 9)", (call, n, outcome))
    calls, attempts = ("SELECT * FROM calls ORDER BY place", "SELECT * FROM attempts ORDER BY call_id, n")
    before = ledger.execute(calls).fetchall(), ledger.execute(attempts).fetchall()
    ledger.close()
    with closing(open_ledger(file)) as ledger:
        after = ledger.execute(calls).fetchall(), ledger.execute(attempts).fetchall()
        assert ([row[:-1] for row in after[0]], after[1]) == before
        assert ledger.execute("SELECT COUNT(*) FROM kinds").fetchone() == (3,)
        assert [[each["outcome"] for each in call["attempts"]] for call in list_calls(ledger)] == [  # type: ignore[attr-defined]
            [], [], [], ["ok"], ["failed", "ok"]
        ]  # fmt: skip
        write_batch(ledger, read_batch(line(ended("c6"))))
        assert ledger.execute("SELECT key, outcome FROM calls WHERE id IN ('c5', 'c6')").fetchall() == [
            (None, "refused"), ("app", "ok")
        ]  # fmt: skip


def test_a_migration_that_fails_leaves_the_version_before(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = migrations()
    broken = [*good, (len(good) + 1, "CREATE TABLE new (a); INSERT INTO nowhere VALUES (1);")]
    with monkeypatch.context() as patch:
        patch.setattr("waypost.ledger.sqlite.migrations", lambda: broken)
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            open_ledger(file)
    with closing(open_ledger(file)) as ledger:
        assert ledger.execute("SELECT name FROM sqlite_master WHERE name = 'new'").fetchone() is None


@pytest.mark.parametrize("readonly", [False, True])
def test_a_ledger_from_the_future_is_left_alone(file: Path, readonly: bool) -> None:
    with closing(open_ledger(file)) as ledger:
        ledger.execute("PRAGMA user_version = 999")
    with pytest.raises(LedgerError, match=r"newer Waypost \(schema 999; this one knows \d+\)"):
        open_ledger(file, readonly)


@pytest.mark.parametrize("readonly", [False, True])
def test_a_file_that_is_no_database_is_left_alone(file: Path, readonly: bool) -> None:
    file.write_text("dear diary" * 1000)
    with pytest.raises(LedgerError, match="is not a ledger"):
        open_ledger(file, readonly)
    assert file.read_text().startswith("dear diary")


def test_a_missing_ledger_is_not_created_by_reading(file: Path) -> None:
    with pytest.raises(LedgerError, match=f"there is no ledger at {file}"):
        open_ledger(file, readonly=True)
    assert not file.exists()


def test_a_reader_can_not_write(file: Path) -> None:
    open_ledger(file).close()
    with closing(open_ledger(file, readonly=True)) as ledger, pytest.raises(sqlite3.OperationalError, match="readonly"):
        ledger.execute("INSERT INTO spend VALUES ('b', ?, 5)", (MONTH,))


def test_a_folder_that_can_not_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        open_ledger(tmp_path / "file" / "ledger.db")


@pytest.mark.parametrize(
    ("store", "path", "folder"),
    [
        (Store(), "var/waypost.db", "var/waypost.journal"),
        (Store(ledger="sqlite:////srv/w.db"), "/srv/w.db", "/srv/w.journal"),
        (Store(ledger="sqlite:///w.db", journal="/ssd/j"), "w.db", "/ssd/j"),
    ],
)
def test_where_things_are(store: Store, path: str, folder: str) -> None:
    assert (ledger_path(store), journal_folder(store)) == (Path(path), Path(folder))


def test_another_database_is_not_in_this_release() -> None:
    with pytest.raises(LedgerError, match="postgresql ledgers are not in this release"):
        ledger_path(Store(ledger="postgresql://u:secret@h/db"))
