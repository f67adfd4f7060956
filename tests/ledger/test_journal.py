"""The journal alone: what is in its files after everything that can happen to a write."""

import errno
import os
from pathlib import Path

import pytest
from msgspec import Raw

from ledger.entries import accepted, ended
from waypost.ledger.errors import JournalOwned, JournalUnavailable
from waypost.ledger.journal import Journal
from waypost.ledger.records import Planned, line
from waypost.ledger.rows import Batch, read_batch
from waypost.ledger.segments import read_lines, segment_names


def lines(folder: Path, name: str) -> list[bytes]:
    return read_lines(folder / name, 0).split(b"\n")[:-1]


def contents(folder: Path) -> list[Batch]:
    return [read_batch(read_lines(folder / name, 0), recovering=True) for name in segment_names(folder)]


def ids(batch: Batch) -> tuple[list[str], list[str]]:
    return [entry.id for entry in batch.accepted], [row.id for row in batch.ended]


class Disk:
    """A disk with room for so many bytes: writes as far as it can, as `write` does on a full one."""

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.broken = False

    def write(self, descriptor: int, text: bytes) -> int:
        if self.broken:
            raise OSError(errno.EIO, "Input/output error")
        if self.room is None:
            return os.write(descriptor, text)
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = os.write(descriptor, text[: self.room])
        self.room -= written
        return written


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_entries_are_in_the_file_when_the_call_returns(folder: Path) -> None:
    journal = Journal(folder)
    journal.accept(accepted("c1"))
    assert ids(contents(folder)[0]) == (["c1"], [])
    journal.plan(Planned("p1", "r1", Raw(b"{}")))
    journal.end(ended("c1"))
    batch = contents(folder)[0]
    assert ids(batch) == (["c1"], ["c1"])
    assert [plan.id for plan in batch.planned] == ["p1"]
    assert (journal.open_calls, journal.entries) == (0, 1)
    journal.close()


def test_lines_are_written_as_they_are(folder: Path) -> None:
    journal = Journal(folder)
    journal.accept_line("c1", line(accepted("c1")))
    assert journal.open_calls == 1
    journal.end_line("c1", line(ended("c1")))
    assert (journal.open_calls, journal.entries) == (0, 1)
    assert (folder / journal.segment).read_bytes() == line(accepted("c1")) + line(ended("c1"))
    journal.close()


@pytest.mark.parametrize("room", [0, 1, 50])
def test_lines_are_refused_and_kept_as_entries_are(folder: Path, room: int) -> None:
    disk = Disk()
    journal = Journal(folder, write=disk.write)
    journal.accept_line("c1", line(accepted("c1")))
    disk.room = room
    with pytest.raises(JournalUnavailable, match="can't be written"):
        journal.accept_line("c2", line(accepted("c2")))
    journal.end_line("c1", line(ended("c1")))
    assert (journal.waiting, journal.open_calls) == (1, 1)
    disk.room = None
    journal.accept_line("c3", line(accepted("c3")))
    assert ids(contents(folder)[0]) == (["c1", "c3"], ["c1"])
    assert (journal.error, journal.waiting, journal.open_calls) == (None, 0, 1)
    journal.close()


def test_a_second_owner_is_told_who_the_first_is(folder: Path) -> None:
    journal = Journal(folder)
    with pytest.raises(JournalOwned, match=rf"{folder} is in use by another Waypost process \(pid {os.getpid()}\)"):
        Journal(folder)
    journal.close()
    Journal(folder).close()


def test_nothing_is_readable_by_others(folder: Path) -> None:
    journal = Journal(folder)
    journal.close()
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())


@pytest.mark.parametrize("room", [0, 1, 50])
def test_a_full_disk_accepts_no_call_and_forgets_no_end(folder: Path, room: int) -> None:
    disk = Disk()
    journal = Journal(folder, write=disk.write)
    journal.accept(accepted("c1"))
    disk.room = room
    with pytest.raises(JournalUnavailable):
        journal.accept(accepted("c2"))
    journal.end(ended("c1"))
    assert journal.waiting == 1
    assert ids(contents(folder)[0]) == (["c1"], []), "a part of an entry was left in the file"
    disk.room = None
    journal.accept(accepted("c3"))
    assert ids(contents(folder)[0]) == (["c1", "c3"], ["c1"])
    assert journal.error is None, "told by what happened last"
    assert (journal.waiting, journal.open_calls) == (0, 1)
    journal.close()


def test_what_waits_is_written_before_anything_newer(folder: Path) -> None:
    disk = Disk()
    journal = Journal(folder, write=disk.write)
    for call in ("c1", "c2"):
        journal.accept(accepted(call))
    disk.room = 0
    journal.end(ended("c1"))
    assert not journal.retry()
    disk.room = None
    journal.end(ended("c2"))
    assert ids(contents(folder)[0])[1] == ["c1", "c2"]
    journal.close()


def test_a_file_that_takes_nothing_any_more_is_left_for_a_new_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    journal = Journal(folder, write=disk.write)
    journal.accept(accepted("c1"))
    disk.room = 10
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", lambda descriptor, size: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
        with pytest.raises(JournalUnavailable):
            journal.accept(accepted("c2"))
    disk.room = None
    journal.end(ended("c1"))
    first, second = contents(folder)
    assert ids(first) == (["c1"], [])
    assert ids(second) == (["c1"], ["c1"])
    journal.close()


def test_refused_calls_that_wait_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("waypost.ledger.journal._MOST_REFUSED_WAITING", 2)
    disk = Disk()
    journal = Journal(folder, write=disk.write)
    journal.accept(accepted("open"))
    disk.broken = True
    for call in range(5):
        journal.end(ended(f"refused-{call}"))
    journal.end(ended("open"))
    assert (journal.waiting, journal.lost_refusals) == (3, 3)
    disk.broken = False
    journal.close()
    assert ids(contents(folder)[0])[1] == ["refused-0", "refused-1", "open"]


def test_a_new_segment_starts_with_the_calls_still_open(folder: Path) -> None:
    journal = Journal(folder, segment_bytes=600)
    for call in range(6):
        journal.accept(accepted(f"c{call}"))
    journal.end(ended("c0"))
    journal.close()
    batches = contents(folder)
    assert len(batches) > 1
    last = ids(batches[-1])
    assert set(last[0]) == {f"c{call}" for call in range(6)}
    assert last[1] == ["c0"]


def test_a_segment_is_left_when_it_is_old_and_holds_something(folder: Path) -> None:
    clock = Clock()
    journal = Journal(folder, segment_s=60, clock=clock)
    clock.now = 100.0
    journal.rotate()
    assert len(segment_names(folder)) == 1, "an empty segment does not age"
    journal.accept(accepted())
    journal.rotate()
    journal.rotate()
    assert len(segment_names(folder)) == 2
    journal.close()


def test_what_went_wrong_is_told_until_a_write_succeeds(folder: Path) -> None:
    disk = Disk()
    failing = True

    def sync(descriptor: int) -> None:
        if failing:
            raise OSError(errno.EIO, "Input/output error")

    journal = Journal(folder, write=disk.write, sync=sync)
    journal.accept(accepted("c1"))
    journal.sync()
    assert "Input/output error" in str(journal.error)
    journal.accept(accepted("c2"))
    assert journal.error is None
    disk.broken = True
    journal.rotate(even_if_young=True)
    assert journal.error is not None
    disk.broken = failing = False
    journal.end(ended("c1"))
    assert journal.error is None
    journal.close()


def test_the_copies_of_open_calls_are_synced_before_what_they_were_copied_from_can_go(folder: Path) -> None:
    synced: list[int] = []
    journal = Journal(folder, sync=lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    journal.accept(accepted("c1"))
    journal.sync()
    journal.rotate(even_if_young=True)
    journal.sync()
    assert (folder / journal.segment).stat().st_ino in synced
    journal.close()


def test_a_segment_that_can_not_be_started_is_done_without(folder: Path) -> None:
    disk = Disk()
    journal = Journal(folder, write=disk.write)
    journal.accept(accepted("c1"))
    disk.broken = True
    journal.rotate(even_if_young=True)
    assert len(segment_names(folder)) == 1
    disk.broken = False
    journal.end(ended("c1"))
    assert ids(contents(folder)[0]) == (["c1"], ["c1"])
    journal.close()


def test_each_entry_is_synced_where_that_is_asked_for(folder: Path) -> None:
    synced: list[int] = []
    journal = Journal(folder, fsync_s=0, sync=synced.append)
    journal.accept(accepted())
    journal.end(ended())
    assert len(synced) == 2
    journal.close()


def test_a_call_is_not_accepted_if_its_entry_did_not_reach_the_disk(folder: Path) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    journal = Journal(folder, fsync_s=0, sync=fail)
    with pytest.raises(JournalUnavailable, match="Input/output error"):
        journal.accept(accepted("c1"))
    assert journal.open_calls == 0
    journal.close()


def test_sync_reaches_segments_left_behind(folder: Path) -> None:
    synced: list[int] = []
    journal = Journal(folder, sync=lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    journal.accept(accepted())
    journal.rotate(even_if_young=True)
    journal.end(ended())
    journal.sync()
    journal.sync()
    assert sorted(synced) == sorted((folder / name).stat().st_ino for name in segment_names(folder))
    journal.close()


def test_a_closed_journal_accepts_nothing(folder: Path) -> None:
    journal = Journal(folder)
    journal.close()
    with pytest.raises(JournalUnavailable, match="closed"):
        journal.accept(accepted())


def test_a_line_longer_than_a_chunk_is_read_whole(folder: Path) -> None:
    journal = Journal(folder)
    journal.end(ended("long", bodies=("q" * 3_000_000, "a")))
    journal.end(ended("next"))
    journal.close()
    path = folder / segment_names(folder)[0]
    first = read_lines(path, 0)
    text = first + read_lines(path, len(first))
    assert [row.id for row in read_batch(text).ended] == ["long", "next"]


def test_many_entries_go_in_one_write(folder: Path) -> None:
    writes: list[bytes] = []

    def write(descriptor: int, text: bytes) -> int:
        writes.append(text)
        return os.write(descriptor, text)

    journal = Journal(folder, write=write)
    journal.write_lines([("c1", line(accepted("c1"))), ("c2", line(accepted("c2")))], [])
    journal.write_lines([("c3", line(accepted("c3")))], [("c1", line(ended("c1")))])
    assert len(writes) == 2
    assert ids(contents(folder)[0]) == (["c1", "c2", "c3"], ["c1"])
    assert (journal.open_calls, journal.entries) == (2, 1)


@pytest.mark.parametrize("room", [0, 40])
def test_of_many_entries_that_do_not_fit_none_is_accepted_and_no_end_is_lost(folder: Path, room: int) -> None:
    disk = Disk()
    journal = Journal(folder, write=disk.write)
    journal.accept(accepted("c1"))
    disk.room = room
    with pytest.raises(JournalUnavailable):
        journal.write_lines([("c2", line(accepted("c2")))], [("c1", line(ended("c1")))])
    assert (journal.open_calls, journal.waiting) == (1, 1)
    disk.room = None
    assert journal.retry()
    assert ids(contents(folder)[0]) == (["c1"], ["c1"])
    assert journal.open_calls == 0


def test_what_waits_is_written_before_what_comes_with_others(folder: Path) -> None:
    disk = Disk()
    journal = Journal(folder, write=disk.write)
    for call in ("c1", "c2"):
        journal.accept(accepted(call))
    disk.room = 0
    journal.end(ended("c1"))
    disk.room = None
    journal.write_lines([("c3", line(accepted("c3")))], [("c2", line(ended("c2")))])
    assert [row.id for row in contents(folder)[0].ended] == ["c1", "c2"]
    assert journal.open_calls == 1
