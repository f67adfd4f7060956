"""How far each segment has been moved into the database, as the database itself remembers it."""

import sqlite3
from collections.abc import Container, Iterator
from contextlib import contextmanager


@contextmanager
def transaction(ledger: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing. Takes the write lock at once, so that waiting for it happens before any work."""
    ledger.execute("BEGIN IMMEDIATE")
    try:
        yield
        ledger.execute("COMMIT")
    except BaseException:
        if ledger.in_transaction:
            ledger.rollback()
        raise


def moved_until(ledger: sqlite3.Connection, segment: str) -> int:
    """How many bytes of a segment are in the database."""
    row = ledger.execute("SELECT moved FROM segments WHERE name = ?", (segment,)).fetchone()
    return 0 if row is None else int(row[0])


def remember_moved(ledger: sqlite3.Connection, segment: str, moved: int) -> None:
    """Belongs into the transaction that writes the rows: then none is moved twice and none is left out."""
    ledger.execute(
        "INSERT INTO segments (name, moved) VALUES (?, ?) ON CONFLICT DO UPDATE SET moved = excluded.moved",
        (segment, moved),
    )


def forget_dropped(ledger: sqlite3.Connection, present: Container[str]) -> None:
    """Forgets the segments that are gone. Only after they are gone, else they would be moved a second time."""
    gone = [(name,) for (name,) in ledger.execute("SELECT name FROM segments").fetchall() if name not in present]
    if gone:
        ledger.executemany("DELETE FROM segments WHERE name = ?", gone)


def bring_to_disk(ledger: sqlite3.Connection, segment: str, moved: int) -> None:
    """Syncs everything committed so far, because the segment that could repeat it is dropped next."""
    ledger.execute("PRAGMA synchronous = FULL")
    try:
        with transaction(ledger):
            remember_moved(ledger, segment, moved)  # a commit without a change would sync nothing
    finally:
        ledger.execute("PRAGMA synchronous = NORMAL")
