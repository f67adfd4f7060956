"""What a start does before anything else: reads the segments that the last process left behind.

Calls that ended become rows, calls that were accepted and never ended become `interrupted` rows, and then the segments
go. Interrupted itself, it starts over: rows and how far a segment was moved are committed together.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from waypost.ledger.kinds import Kinds
from waypost.ledger.moved import bring_to_disk, forget_dropped, moved_until, remember_moved, transaction
from waypost.ledger.records import Accepted
from waypost.ledger.rows import Batch, interrupted, read_batch, write_batch
from waypost.ledger.segments import drop_segment, read_lines, segment_names


class Recovered(Struct, frozen=True):
    """Rows written: `calls` of calls that had ended, `interrupted` of calls that had not. `damaged` lines are lost."""

    calls: int = 0
    interrupted: int = 0
    damaged: int = 0


def recover(folder: Path | str, ledger: sqlite3.Connection) -> Recovered:
    """Only for the owner of the folder, before its journal opens. Raises sqlite3.Error; then nothing was dropped.

    A segment with damaged lines (a disk's fault: a process that dies leaves none) is kept under the name `….damaged`.
    """
    folder = Path(folder)
    names = segment_names(folder)
    if not names:
        return Recovered()
    open_calls: dict[str, Accepted] = {}
    kinds = Kinds()
    calls, damaged = 0, dict.fromkeys(names, 0)
    for name in names:
        moved = moved_until(ledger, name)
        for batch, end in _batches(folder / name, moved):
            open_calls.update((entry.id, entry) for entry in batch.accepted)
            for row in batch.ended:
                open_calls.pop(row.id, None)
            if end > moved:
                calls += _move(ledger, batch, name, end, kinds)
            damaged[name] += batch.damaged
    with transaction(ledger):
        cut_off = write_batch(ledger, read_batch(b"".join([interrupted(entry) for entry in open_calls.values()])))
    bring_to_disk(ledger, names[-1], moved_until(ledger, names[-1]))
    for name in names:
        drop_segment(folder / name, damaged=damaged[name] > 0)
    forget_dropped(ledger, segment_names(folder))
    return Recovered(calls, cut_off, sum(damaged.values()))


def _batches(path: Path, moved: int) -> Iterator[tuple[Batch, int]]:
    """The segment's entries and where each batch ends; one of them ends where the mover came to."""
    offset = 0
    while text := read_lines(path, offset):
        if offset < moved < offset + len(text):
            text = text[: moved - offset]
        offset += len(text)
        yield read_batch(text, recovering=True), offset


def _move(ledger: sqlite3.Connection, batch: Batch, name: str, end: int, kinds: Kinds) -> int:
    with transaction(ledger):
        written = write_batch(ledger, batch, kinds)
        remember_moved(ledger, name, end)
    return written
