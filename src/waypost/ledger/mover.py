"""Moves the journal's entries into the database, in the background and in batches, and drops the segments it moved.

A database that is locked, full or broken delays rows: the segments stay, and it is tried again, ever less often. The
mover's thread keeps its bursts short, because they hold the interpreter's lock that the event loop needs too.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from time import monotonic

from msgspec import Struct

from waypost.ledger.errors import LedgerError
from waypost.ledger.journal import Journal
from waypost.ledger.kinds import Kinds
from waypost.ledger.moved import bring_to_disk, forget_dropped, moved_until, remember_moved, transaction
from waypost.ledger.rows import read_batch, write_batch
from waypost.ledger.segments import drop_segment, pieces, read_lines, segment_names
from waypost.ledger.sqlite import open_ledger
from waypost.telemetry.log import place_of

AT_ONCE = 128 * 1024  # bytes of the journal: about a millisecond of work with the interpreter's lock
PAUSE_S = 0.001  # after each of these, in which the event loop has the interpreter's lock for itself
_LONGEST_BACKOFF_S = 10.0
_BUSY_S = 1.0
_NONE = "~"  # comes after every name


class Lag(Struct, frozen=True):
    """How far the database is behind: calls that ended and have no row yet, and for how long there has been one."""

    entries: int
    seconds: float


class Mover:
    """One a journal. `start` runs it in a thread; without it `move` does one pass at a time (tests, tools)."""

    def __init__(
        self,
        journal: Journal,
        path: Path | str,
        *,
        interval_s: float = 0.2,
        clock: Callable[[], float] = monotonic,
        connect: Callable[[Path], sqlite3.Connection] | None = None,
    ) -> None:
        """`path` is the ledger's file. `connect` opens it for writing; `clock` counts seconds, monotonic."""
        self.error: str | None = None
        self.damaged = 0
        self._journal = journal
        self._path = Path(path)
        self._interval_s = interval_s
        self._clock = clock
        self._connect = connect or (lambda file: open_ledger(file, busy_s=_BUSY_S))
        self._ledger: sqlite3.Connection | None = None
        self._kinds = Kinds()
        self._offsets: dict[str, int] = {}
        self._damaged: set[str] = set()
        self._rows = 0
        self._level_at = clock()
        self._synced_at = clock()
        self._backoff_s = self._retry_at = 0.0
        self._stopping = Event()
        self._thread: Thread | None = None

    @property
    def lag(self) -> Lag:
        behind = max(0, self._journal.entries - self._rows)
        return Lag(behind, self._clock() - self._level_at if behind else 0.0)

    def start(self) -> None:
        self._thread = Thread(target=self._run, name="waypost-mover", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops the thread, moves what is left, if the database lets it, and closes the journal. Blocks meanwhile."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self._journal.seal()
        self.move()
        self._disconnect()
        self._journal.close()

    def tick(self) -> None:
        """All that is due: what waits in memory, the disk, the database."""
        journal = self._journal
        if journal.waiting:
            journal.retry()
        journal.rotate()
        now = self._clock()
        if now - self._synced_at >= journal.fsync_s > 0:
            self._synced_at = now
            journal.sync()
        if now >= self._retry_at:
            self._backoff_s = 0.0 if self.move() else min(self._backoff_s * 2 or self._interval_s, _LONGEST_BACKOFF_S)
            self._retry_at = now + self._backoff_s

    def move(self) -> bool:
        """One pass over all segments. False if the database did not take it: see `error`; nothing is lost by that."""
        began, entries = self._clock(), self._journal.entries
        try:
            ledger = self._ledger = self._ledger or self._connect(self._path)
            # In this order: a segment that appears in between counts as current and is not dropped.
            current = _NONE if self._journal.finished else self._journal.segment
            for name in segment_names(self._journal.folder):
                self._move_segment(ledger, name)
                if name < current:
                    self._drop(ledger, name)
        except (sqlite3.Error, LedgerError, OSError) as error:
            self.error = str(error)
            self._disconnect()
            return False
        self.error = None
        if self._rows >= entries:
            self._level_at = began
        return True

    def _move_segment(self, ledger: sqlite3.Connection, name: str) -> None:
        path = self._journal.folder / name
        offset = self._offsets.get(name)
        if offset is None:
            offset = moved_until(ledger, name)
        size = path.stat().st_size  # what comes in meanwhile is for the next pass: a busy journal has no end
        while offset < size and (text := read_lines(path, offset)):
            offset += len(text)
            self._move_lines(ledger, name, text, offset)
        self._offsets[name] = offset

    def _move_lines(self, ledger: sqlite3.Connection, name: str, lines: bytes, end: int) -> None:
        """One transaction. `end` is where in the segment these lines end."""
        rows = damaged = 0
        with transaction(ledger):
            for piece in pieces(lines, AT_ONCE):
                batch = read_batch(piece)
                write_batch(ledger, batch, self._kinds)
                rows += len(batch.ended)
                damaged += batch.damaged
                self._stopping.wait(PAUSE_S)
            remember_moved(ledger, name, end)
        self._offsets[name] = end
        self._rows += rows + damaged
        if damaged:
            self.damaged += damaged
            self._damaged.add(name)

    def _drop(self, ledger: sqlite3.Connection, name: str) -> None:
        bring_to_disk(ledger, name, self._offsets[name])
        self._journal.sync()  # the next segment holds the calls that were still open in this one
        drop_segment(self._journal.folder / name, damaged=name in self._damaged)
        del self._offsets[name]
        forget_dropped(ledger, segment_names(self._journal.folder))

    def _disconnect(self) -> None:
        self._offsets.clear()
        self._kinds.forget()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def _run(self) -> None:
        pause_s = self._interval_s
        while not self._stopping.wait(pause_s):
            began = self._clock()
            try:
                self.tick()
            except Exception as error:  # noqa: BLE001 - a bug met with one entry must not end the moving of all others
                self.error = f"{type(error).__name__} at {place_of(error)}"
                self._disconnect()
            pause_s = max(PAUSE_S, self._interval_s - (self._clock() - began))
