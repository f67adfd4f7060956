"""The ledger's database: opening a file, bringing its schema up to date, and what each budget has spent.

Knows files and versions. What rows say is for `rows` (writing) and `questions` (reading).
"""

import os
import sqlite3
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from waypost.config.model import Store
from waypost.ledger.errors import LedgerError

_SCHEME = "sqlite:///"
_BUSY_S = 5.0
_PAGE_BYTES = 8192  # of a new file: half as many writes as with SQLite's 4096
_CHECKPOINT_PAGES = 2000  # 16 MB: four times SQLite's, because a page that is written again before is copied only once


def ledger_path(store: Store) -> Path:
    """The file of `sqlite:///PATH`: relative to the working directory with three slashes, absolute with four."""
    if not store.ledger.startswith(_SCHEME):
        raise LedgerError(f"{store.ledger.split(':', 1)[0]} ledgers are not in this release: use {_SCHEME}PATH")
    return Path(store.ledger.removeprefix(_SCHEME))


def journal_folder(store: Store) -> Path:
    """`store.journal`, else beside the ledger's file under its name: var/waypost.db → var/waypost.journal."""
    return Path(store.journal) if store.journal is not None else ledger_path(store).with_suffix(".journal")


def migrations() -> list[tuple[int, str]]:
    """All schema changes as (version, SQL), in order."""
    folder = files("waypost.ledger") / "migrations"
    scripts = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name)
    return [(int(item.name[:4]), item.read_text(encoding="utf-8")) for item in scripts]


def open_ledger(path: Path | str, readonly: bool = False, *, busy_s: float = _BUSY_S) -> sqlite3.Connection:
    """A connection in autocommit mode, usable from any one thread at a time.

    Opened for writing, the file is created and its schema brought up to date. `busy_s` is how long a statement waits
    for a lock. Raises LedgerError for a missing file (readonly), a file that is no ledger, and one of a newer version;
    sqlite3.OperationalError where it is locked.
    """
    path = Path(path)
    if readonly and not path.exists():
        raise LedgerError(f"there is no ledger at {path}: it is created by `waypost serve` with this configuration")
    try:
        return _reader(path, busy_s) if readonly else _writer(path, busy_s)
    except sqlite3.OperationalError as error:
        if "unable to open" in str(error):
            raise LedgerError(f"the ledger {path} can't be opened: {error}") from error
        raise
    except sqlite3.DatabaseError as error:
        raise LedgerError(f"{path} is not a ledger: {error}. Move it away, or set store.ledger.") from error


def _reader(path: Path, busy_s: float) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode=ro"
    ledger = sqlite3.connect(uri, uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False)
    try:
        version, newest = _version(ledger), migrations()[-1][0]
        if version > newest:
            raise _too_new(path, version, newest)
        if version < newest:
            raise LedgerError(
                f"{path} has an older schema ({version}, not {newest}): `waypost serve` brings it up to date"
            )
    except BaseException:
        ledger.close()
        raise
    return ledger


def _writer(path: Path, busy_s: float) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Created here, so that it is never readable by others: rows can hold what callers said.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    ledger = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    try:
        ledger.execute(f"PRAGMA page_size = {_PAGE_BYTES}").close()
        ledger.execute("PRAGMA journal_mode = WAL").close()
        ledger.execute("PRAGMA synchronous = NORMAL").close()
        # What a statement may have to undo stays in memory: a file for it costs more than the rows, and needs a place.
        ledger.execute("PRAGMA temp_store = MEMORY").close()
        ledger.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}").close()
        _migrate(ledger, path)
    except BaseException:
        ledger.close()
        raise
    return ledger


def _migrate(ledger: sqlite3.Connection, path: Path) -> None:
    scripts = migrations()
    version, newest = _version(ledger), scripts[-1][0]
    if version > newest:
        raise _too_new(path, version, newest)
    for number, script in scripts:
        if number > version:
            try:
                ledger.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
            except sqlite3.Error:
                if ledger.in_transaction:
                    ledger.rollback()
                raise


def _version(ledger: sqlite3.Connection) -> int:
    return int(ledger.execute("PRAGMA user_version").fetchone()[0])


def _too_new(path: Path, version: int, newest: int) -> LedgerError:
    return LedgerError(
        f"{path} was written by a newer Waypost (schema {version}; this one knows {newest}). "
        "Run that version, or set store.ledger to another file."
    )


def spent(ledger: sqlite3.Connection, windows: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Nano-dollars charged, by (budget, start of window as a charge names it); 0 where nothing is on record."""
    statement = "SELECT nano FROM spend WHERE budget = ? AND window_start = ?"
    amounts = {}
    for window in windows:
        row = ledger.execute(statement, window).fetchone()
        amounts[window] = 0 if row is None else int(row[0])
    return amounts
