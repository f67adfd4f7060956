"""The journal's files on disk: their names, their order, their whole lines, and who may own the folder.

Knows bytes and lines, not what they say. A segment's name is its place in the order and a random part, so that a name
is never used twice: what a database remembers of a dropped segment can't be mistaken for a new one.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from waypost.ledger.errors import JournalOwned

SUFFIX = ".journal"
_CHUNK = 1024 * 1024  # what is moved in one transaction: the pages that all rows touch are written once in each


def segment_names(folder: Path) -> list[str]:
    """Names of all segments, oldest first; none where there is no folder."""
    return sorted(path.name for path in folder.glob(f"*{SUFFIX}"))


def next_segment_name(folder: Path) -> str:
    names = segment_names(folder)
    place = int(names[-1].split("-")[0]) + 1 if names else 1
    return f"{place:010d}-{secrets.token_hex(4)}{SUFFIX}"


def create_segment(folder: Path) -> tuple[str, int]:
    """A new, empty segment as (name, descriptor). Readable by its owner only: entries can hold what callers said."""
    name = next_segment_name(folder)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return name, os.open(folder / name, flags, 0o600)


def read_lines(path: Path, offset: int, at_least: int = _CHUNK) -> bytes:
    """Whole lines from `offset` on, about `at_least` bytes of them; empty where no whole line follows.

    What follows the last line break is an entry that is being written, or was when its writer died: not read.
    """
    with path.open("rb") as file:
        file.seek(offset)
        read = b""
        wanted = at_least
        while piece := file.read(wanted):
            read += piece
            end = read.rfind(b"\n") + 1
            if end:
                return read[:end]
            wanted = len(read)  # one entry larger than a chunk: doubling keeps the copying linear
        return b""


def pieces(lines: bytes, about: int) -> Iterator[bytes]:
    """Whole lines, in pieces of about so many bytes."""
    start = 0
    while start < len(lines):
        end = lines.find(b"\n", start + about) + 1 or len(lines)
        yield lines[start:end]
        start = end


def drop_segment(path: Path, *, damaged: bool) -> None:
    """Removes a segment; one with damaged lines is kept under another name, for whoever wants to look."""
    if damaged:
        path.rename(path.with_suffix(".damaged"))
    else:
        path.unlink(missing_ok=True)


class FolderLock:
    """Holds a journal's folder for this process until it is closed or the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        """Creates the folder if need be. Raises JournalOwned."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise JournalOwned(
                f"{folder} is in use by another Waypost process (pid {owner or 'unknown'}). "
                "Stop that process, or give this one its own store.ledger (or store.journal) in waypost.yaml."
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "FolderLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
