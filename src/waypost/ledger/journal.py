"""The journal: every call's entries, each in a single write to an append-only file. This is what survives `kill -9`.

A write that returned is in the kernel's page cache and outlives the process; `fsync_s` says how soon it also outlives
the machine. The journal knows nothing of databases: the mover reads its files and drops those no longer needed.
A new segment starts with the calls that are still open, so an old one is never needed for them.

All methods may be called from any thread; the mover's thread calls `retry`, `rotate` and `sync`.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import monotonic

from waypost.ledger.errors import JournalUnavailable
from waypost.ledger.records import Accepted, Ended, Planned, line
from waypost.ledger.segments import FolderLock, create_segment

Write = Callable[[int, bytes], int]

DISK_FULL = "the disk is full"
_MOST_REFUSED_WAITING = 10_000


class Journal:
    """Owns its folder: a second one on the same folder raises JournalOwned.

    `fsync_s` 0 syncs every entry before the call goes on; otherwise `sync` is for a timer. `segment_bytes` and
    `segment_s` say when a segment is full or old. `write` and `clock` (seconds, monotonic) are there to be replaced by
    tests. Raises OSError if the folder can't be created or written.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        fsync_s: float = 1.0,
        segment_bytes: int = 8 * 1024 * 1024,
        segment_s: float = 60.0,
        lock: FolderLock | None = None,
        clock: Callable[[], float] = monotonic,
        write: Write = os.write,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        self.folder = Path(folder)
        self.fsync_s = fsync_s
        self.error: str | None = None
        self.entries = 0  # calls ended since the start, written or waiting: what the mover has to move
        self.lost_refusals = 0
        self._segment_bytes = segment_bytes
        self._segment_s = segment_s
        self._clock = clock
        self._write = write
        self._sync = sync
        self._each = fsync_s <= 0
        self._lock = Lock()
        self._open: dict[str, bytes] = {}
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._retired: list[int] = []
        self.sealed = self._torn = False
        self._owner = lock or FolderLock(self.folder)
        try:
            self.segment, self._descriptor = create_segment(self.folder)
        except OSError:
            self._owner.close()
            raise
        self._size = self._synced = 0
        self._born = clock()
        # Up to this size of the segment nothing needs a look before or after a write; 0 after whatever went wrong.
        self._plain_below = 0

    @property
    def open_calls(self) -> int:
        """Accepted and not ended."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """Entries that could not be written yet."""
        return len(self._waiting)

    @property
    def finished(self) -> bool:
        """Sealed, and no call is open: no start will need the last segment."""
        return self.sealed and not self._open

    def accept(self, entry: Accepted) -> None:
        """Returns when the call is on record. Raises JournalUnavailable: then the call must not be served."""
        self.accept_line(entry.id, line(entry))

    def end(self, entry: Ended) -> None:
        """Never fails: what can't be written now waits in memory and is written as soon as it can be.

        What waits is bounded by the calls that were open when writing failed; of calls that were never accepted
        (refused ones) a bounded number waits, and the rest is counted in `lost_refusals`.
        """
        self.end_line(entry.id, line(entry))

    def accept_line(self, call: str, text: bytes) -> None:
        """`accept` of an entry that is a line already: `records.line` says what one is. `call` is the entry's id."""
        with self._lock:
            if (self._waiting and not self._write_waiting()) or not self._append(text):
                raise JournalUnavailable(f"the journal can't be written: {self.error}")
            self._open[call] = text

    def end_line(self, call: str, text: bytes) -> None:
        """`end` of an entry that is a line already."""
        with self._lock:
            if (not self._waiting or self._write_waiting()) and self._append(text):
                self._open.pop(call, None)
                self.entries += 1
            elif call in self._open or len(self._waiting) < _MOST_REFUSED_WAITING:
                self._waiting.append((call, text))
                self.entries += 1
            else:
                self.lost_refusals += 1

    def write_lines(self, accepted: Sequence[tuple[str, bytes]], ended: Sequence[tuple[str, bytes]]) -> None:
        """`accept_line` and `end_line` of many calls, in one write.

        Raises JournalUnavailable: none of `accepted` is on record then. What ended is kept in any case.
        """
        with self._lock:
            if (not self._waiting or self._write_waiting()) and self._append(
                b"".join([text for _, text in (*accepted, *ended)])
            ):
                self._open.update(accepted)
                for call, _ in ended:
                    self._open.pop(call, None)
                self.entries += len(ended)
                return
        for call, text in ended:
            self.end_line(call, text)
        if accepted:
            raise JournalUnavailable(f"the journal can't be written: {self.error}")

    def plan(self, entry: Planned) -> None:
        """Raises JournalUnavailable: a decision that can't be explained later is not to be acted on."""
        with self._lock:
            if not self._append(line(entry)):
                raise JournalUnavailable(f"the journal can't be written: {self.error}")

    def retry(self) -> bool:
        """Tries to write what waits. True if nothing waits any more."""
        with self._lock:
            return not self._waiting or self._write_waiting()

    def rotate(self, *, even_if_young: bool = False) -> None:
        """Starts a new segment if the current one is old (or in any case) and holds something."""
        with self._lock:
            if self._size and (even_if_young or self._clock() - self._born >= self._segment_s):
                self._rotate()

    def sync(self) -> None:
        """Brings what was written to the disk itself. Blocks for as long as that takes; other threads write on."""
        with self._lock:
            retired, self._retired = self._retired, []
            current = os.dup(self._descriptor) if self._synced < self._size and not self.sealed else None
            self._synced = self._size
        for descriptor in [*retired, *([] if current is None else [current])]:
            try:
                self._sync(descriptor)
            except OSError as error:
                self.error = str(error)
                self._plain_below = 0  # so that the next write that succeeds takes the error back
            finally:
                os.close(descriptor)

    def seal(self) -> None:
        """Writes what waits if it can, syncs, and writes no more. The folder stays owned, for a last move."""
        if self.sealed:
            return
        self.retry()
        self.sync()
        with self._lock:
            self.sealed, self._plain_below = True, 0
            os.close(self._descriptor)

    def close(self) -> None:
        """Seals the journal and gives the folder up."""
        self.seal()
        self._owner.close()

    def _append(self, text: bytes) -> bool:
        """One write. False, with nothing of it left in the file, if it could not be written whole."""
        if self._size >= self._plain_below and not self._may_append():
            return False
        try:
            written = self._write(self._descriptor, text)
        except OSError as error:
            self.error = str(error)
        else:
            if written == len(text):
                self._size += written
                return self._plain_below > 0 or self._appended()
            self.error = DISK_FULL
        self._plain_below = 0
        self._cut()
        return False

    def _may_append(self) -> bool:
        if self.sealed:
            self.error = "it is closed"
            return False
        # Before the write and not after: the copies of open calls must include the one this entry is about.
        return not (self._size >= self._segment_bytes or self._torn) or self._rotate() or not self._torn

    def _appended(self) -> bool:
        if self._each and not self._sync_now():
            return False
        self.error = None
        self._plain_below = 0 if self._each else self._segment_bytes
        return True

    def _cut(self) -> None:
        # A failed write may have left a part of the entry, and readers take whole lines for the truth.
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self._torn = True

    def _sync_now(self) -> bool:
        # The entry stays: a reader may have seen it. A refused call's end follows it, so it still has one row.
        try:
            self._sync(self._descriptor)
        except OSError as error:
            self.error = str(error)
            return False
        return True

    def _write_waiting(self) -> bool:
        while self._waiting:
            call, text = self._waiting[0]
            if not self._append(text):
                return False
            self._waiting.popleft()
            self._open.pop(call, None)
        return True

    def _rotate(self) -> bool:
        """Goes on in a new segment that starts with the calls still open; stays with the old one if that fails."""
        self._plain_below = 0
        try:
            name, descriptor = create_segment(self.folder)
        except OSError as error:
            self.error = str(error)
            return False
        head = b"".join(self._open.values())
        try:
            whole = not head or self._write(descriptor, head) == len(head)
        except OSError:
            whole = False
        if not whole:
            os.close(descriptor)
            with suppress(OSError):
                (self.folder / name).unlink()
            self.error = DISK_FULL
            return False
        self._retired.append(self._descriptor)
        self.segment, self._descriptor, self._size, self._born = name, descriptor, len(head), self._clock()
        self._synced = 0
        self._torn = False
        return True
