"""Opening a ledger: what is there, what is not, what is something else, and what is from the future."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ledger.entries import MONTH
from waypost.config.model import Store
from waypost.ledger.errors import LedgerError
from waypost.ledger.sqlite import journal_folder, ledger_path, migrations, open_ledger, spent


def test_a_new_ledger_has_the_newest_schema(file: Path) -> None:
    with closing(open_ledger(file)) as ledger:
        tables = {name for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables == {"calls", "attempts", "bodies", "plans", "spend", "segments"}
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
