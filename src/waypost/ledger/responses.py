"""Answers kept so that callers can go on from them: a SQLite file of its own beside the ledger's, bounded, expiring.

Knows ids, owners, sizes and times; what an answer says is bytes here. Nobody who keeps one waits for the disk: what is
not written yet is found in memory. A database that is locked, full or broken costs answers, and no call.
"""

import secrets
import sqlite3
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Lock, Thread

from msgspec import Struct

from waypost.config.model import Store
from waypost.conversation.faults import WaypostError
from waypost.ledger.moved import transaction
from waypost.ledger.sqlite import ledger_path
from waypost.telemetry.log import place_of

MOST_WAITING = 64 * 1024 * 1024  # bytes in memory while the database takes none; the oldest go first
SWEEP_S = 30.0  # how long one that has expired may still be on the disk
RETRY_S = 2.0
_BUSY_S = 1.0
_TOKEN_BYTES = 16
_VERSION = 1
_SCHEMA = """
CREATE TABLE responses (
    place INTEGER PRIMARY KEY,  -- in the order of keeping
    id TEXT NOT NULL UNIQUE,
    owner TEXT,                 -- name of the key; NULL: of anyone, where there are no keys
    team TEXT,
    created_s REAL NOT NULL,    -- Unix seconds
    expires_s REAL NOT NULL,
    size INTEGER NOT NULL,      -- of both below, bytes
    input BLOB NOT NULL,        -- zlib: JSON array of all that was said before the answer
    response BLOB NOT NULL      -- zlib: the answer, JSON object
);
CREATE INDEX responses_expire ON responses (expires_s, size);
"""


class StoredResponse(Struct, frozen=True, kw_only=True):
    """`input`: JSON array of all that was said before the answer, `response`: JSON object. Times are Unix seconds.

    `owner` is the name of the key that asked, None where there are no keys.
    """

    id: str
    owner: str | None
    team: str | None
    created_s: float
    expires_s: float
    input: bytes
    response: bytes

    @property
    def size(self) -> int:
        return len(self.input) + len(self.response)


class ResponsesUnavailable(WaypostError):
    """The file can't be read now."""


def responses_path(store: Store) -> Path:
    """Beside the ledger's file under its name: var/waypost.db → var/waypost.responses.db."""
    return ledger_path(store).with_suffix(".responses.db")


def new_token() -> str:
    """What nobody guesses: 128 random bits, hex."""
    return secrets.token_hex(_TOKEN_BYTES)


class ResponseStore:
    """One a file, and one process. `start` runs it in a thread; without it `write` does one pass (tests)."""

    def __init__(self, path: Path, max_bytes: int, *, clock: Callable[[], float] = time.time) -> None:
        """`max_bytes`: all of them, as they are on the disk, compressed. `clock`: Unix seconds."""
        self.error: str | None = None
        self.lost = 0  # that the database did not take in time
        self.path = path
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = Lock()
        self._waiting: dict[str, StoredResponse | None] = {}  # None: to be deleted
        self._held = 0  # bytes in `_waiting`
        self._writing: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._read_lock = Lock()
        self._due = Event()
        self._stopping = False
        self._thread: Thread | None = None

    def start(self) -> None:
        """Again: does nothing."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name="waypost-responses", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Writes what is left, if the database lets it. Blocks meanwhile."""
        self._stopping = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()
        self.write()
        self._disconnect()
        with self._read_lock:
            self._forget_reader()

    def keep(self, stored: StoredResponse) -> None:
        """Never waits for the disk, never fails; from here on it is found."""
        with self._lock:
            self._waiting[stored.id] = stored
            self._held += stored.size
            if self._held > MOST_WAITING:
                self._lose()
        self._due.set()

    def find(self, id_: str, owner: str | None) -> StoredResponse | None:
        """None for one that is not there, has expired, or is somebody else's. Blocks. Raises ResponsesUnavailable."""
        with self._lock:
            known = id_ in self._waiting
            found = self._waiting.get(id_)
        if not known:
            found = self._read(id_)
        if found is None or found.owner != owner or found.expires_s <= self._clock():
            return None
        return found

    def delete(self, id_: str, owner: str | None) -> bool:
        """Whether there was one. Blocks. Raises ResponsesUnavailable."""
        if self.find(id_, owner) is None:
            return False
        with self._lock:
            before = self._waiting.get(id_)
            self._waiting[id_] = None
            self._held -= 0 if before is None else before.size
        self._due.set()
        return True

    def write(self) -> bool:
        """One pass: what waits is written, what is too old or too much goes. False if the database did not take it."""
        with self._lock:
            batch = dict(self._waiting)
        if not batch and not self.path.exists():
            return True
        packed = [_packed(stored) for stored in batch.values() if stored is not None]
        gone = [(id_,) for id_, stored in batch.items() if stored is None]
        try:
            database = self._writing = self._writing or _open(self.path)
            with transaction(database):
                database.executemany("INSERT OR REPLACE INTO responses VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", packed)
                database.executemany("DELETE FROM responses WHERE id = ?", gone)
                database.execute("DELETE FROM responses WHERE expires_s <= ?", (self._clock(),))
                _make_room(database, self._max_bytes)
        except (sqlite3.Error, OSError) as error:
            self.error = str(error)
            self._disconnect()
            return False
        self.error = None
        self._settle(batch)
        return True

    def _settle(self, batch: Mapping[str, StoredResponse | None]) -> None:
        """What was written waits no longer, unless it was deleted in the meantime."""
        with self._lock:
            for id_, stored in batch.items():
                if id_ in self._waiting and self._waiting[id_] is stored:
                    del self._waiting[id_]
                    self._held -= 0 if stored is None else stored.size

    def _lose(self) -> None:
        for id_ in [id_ for id_, stored in self._waiting.items() if stored is not None]:
            stored = self._waiting.pop(id_)
            self._held -= 0 if stored is None else stored.size
            self.lost += 1
            if self._held <= MOST_WAITING:
                return

    def _read(self, id_: str) -> StoredResponse | None:
        statement = "SELECT owner, team, created_s, expires_s, input, response FROM responses WHERE id = ?"
        with self._read_lock:
            try:
                if self._reading is None:
                    if not self.path.exists():
                        return None
                    self._reading = _open(self.path)
                row = self._reading.execute(statement, (id_,)).fetchone()
            except (sqlite3.Error, OSError) as error:
                self._forget_reader()
                raise ResponsesUnavailable(str(error)) from error
        if row is None:
            return None
        owner, team, created_s, expires_s, said, response = row
        return StoredResponse(
            id=id_,
            owner=owner,
            team=team,
            created_s=created_s,
            expires_s=expires_s,
            input=zlib.decompress(said),
            response=zlib.decompress(response),
        )

    def _forget_reader(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _disconnect(self) -> None:
        if self._writing is not None:
            self._writing.close()
            self._writing = None

    def _run(self) -> None:
        pause_s = 0.0
        while not self._stopping:
            self._due.wait(pause_s)
            self._due.clear()
            try:
                written = self.write()
            except Exception as error:  # noqa: BLE001 - a bug met with one must not end the keeping of all others
                self.error = f"{type(error).__name__} at {place_of(error)}"
                written = False
            pause_s = SWEEP_S if written else RETRY_S


def _packed(stored: StoredResponse) -> tuple[object, ...]:
    said, response = zlib.compress(stored.input, 1), zlib.compress(stored.response, 1)
    size = len(said) + len(response)
    return (
        stored.id,
        stored.owner,
        stored.team,
        stored.created_s,
        stored.expires_s,
        size,
        said,
        response,
    )


def _make_room(database: sqlite3.Connection, most: int) -> None:
    """The oldest go until the rest is no more than `most` bytes."""
    over = int(database.execute("SELECT COALESCE(SUM(size), 0) FROM responses").fetchone()[0]) - most
    if over <= 0:
        return
    last = 0
    for place, size in database.execute("SELECT place, size FROM responses ORDER BY place"):
        last, over = place, over - size
        if over <= 0:
            break
    database.execute("DELETE FROM responses WHERE place <= ?", (last,))


def _open(path: Path) -> sqlite3.Connection:
    """Created if it is not there, readable by its owner only. Raises sqlite3.Error, OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600, exist_ok=True)
    database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL").close()
        database.execute("PRAGMA synchronous = NORMAL").close()
        database.execute("PRAGMA secure_delete = ON").close()  # what has expired is not to be read off the disk either
        with transaction(database):
            version = int(database.execute("PRAGMA user_version").fetchone()[0])
            if version == 0:
                for statement in _SCHEMA.strip().split(";\n"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise sqlite3.DatabaseError(f"{path} was written by another version of Waypost: move it away")
    except BaseException:
        database.close()
        raise
    return database
