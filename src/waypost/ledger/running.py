"""A ledger at work: the folder owned, what a dead process left recovered, the journal open, the mover moving."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from waypost.config.model import Store
from waypost.ledger.errors import LedgerError
from waypost.ledger.journal import Journal
from waypost.ledger.mover import Mover
from waypost.ledger.recovery import Recovered, recover
from waypost.ledger.segments import FolderLock
from waypost.ledger.sqlite import journal_folder, ledger_path, open_ledger, spent


class RunningLedger:
    """What `start_ledger` gives. `close` blocks until the last rows are moved; not closing loses nothing either."""

    def __init__(self, path: Path, journal: Journal, mover: Mover, recovered: Recovered) -> None:
        self.path = path
        self.journal = journal
        self.mover = mover
        self.recovered = recovered

    def spent(self, windows: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Nano-dollars on record by (budget, start of window): at start, before the first call, that is all of them."""
        with closing(open_ledger(self.path, readonly=True)) as ledger:
            return spent(ledger, windows)

    def close(self) -> None:
        self.mover.close()


def start_ledger(store: Store, *, interval_s: float = 0.2) -> RunningLedger:
    """Raises JournalOwned, LedgerError or OSError: then a next try misses nothing."""
    path, folder = ledger_path(store), journal_folder(store)
    owner = FolderLock(folder)
    try:
        with closing(open_ledger(path)) as ledger:
            recovered = recover(folder, ledger)
        journal = Journal(folder, fsync_s=store.fsync_s, lock=owner)
    except BaseException as error:
        owner.close()
        if isinstance(error, sqlite3.Error):
            raise LedgerError(f"the ledger {path} can't be brought up to date: {error}") from error
        raise
    mover = Mover(journal, path, interval_s=interval_s)
    mover.start()
    return RunningLedger(path, journal, mover, recovered)
