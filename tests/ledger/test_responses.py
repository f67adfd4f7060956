"""Stored responses: who finds what, for how long, how many, and that nobody waits for the disk."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event
from unittest.mock import patch

import pytest
from msgspec.structs import replace

from waypost.config.model import Store
from waypost.ledger import responses
from waypost.ledger.responses import (
    ResponseStore,
    ResponsesUnavailable,
    StoredResponse,
    new_token,
    responses_path,
)

MUCH = 1 << 30


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "below" / "waypost.responses.db"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[ResponseStore]:
    store = ResponseStore(path, MUCH, clock=clock)
    yield store
    store.close()


def stored(name: str = "one", owner: str | None = "app", *, expires_s: float = 2000.0) -> StoredResponse:
    return StoredResponse(
        id=f"resp_{name}",
        owner=owner,
        team="a",
        created_s=1000.0,
        expires_s=expires_s,
        input=b'["%b"]' % new_token().encode(),
        response=b'{"output":[]}',
    )


def on_disk(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [id_ for (id_,) in database.execute("SELECT id FROM responses ORDER BY place")]


@pytest.mark.parametrize("written", [False, True], ids=["waiting", "written"])
class TestFound:
    def test_whole(self, store: ResponseStore, written: bool) -> None:
        one = stored()
        store.keep(one)
        assert not written or store.write()
        assert store.find("resp_one", "app") == one

    @pytest.mark.parametrize(("owner", "asks"), [("app", "other"), ("app", None), (None, "app")])
    def test_by_its_owner_only(self, store: ResponseStore, written: bool, owner: str | None, asks: str | None) -> None:
        store.keep(stored(owner=owner))
        assert not written or store.write()
        assert store.find("resp_one", asks) is None
        assert not store.delete("resp_one", asks)
        assert store.find("resp_one", owner) is not None

    def test_until_it_expires(self, store: ResponseStore, clock: Clock, written: bool) -> None:
        store.keep(stored(expires_s=1500.0))
        assert not written or store.write()
        clock.now = 1499.9
        assert store.find("resp_one", "app") is not None
        clock.now = 1500.0
        assert store.find("resp_one", "app") is None

    def test_until_it_is_deleted(self, store: ResponseStore, path: Path, written: bool) -> None:
        store.keep(stored())
        assert not written or store.write()
        assert store.delete("resp_one", "app")
        assert store.find("resp_one", "app") is None
        assert not store.delete("resp_one", "app")
        assert store.write()
        assert on_disk(path) == []
        assert store.find("resp_one", "app") is None


def test_nothing_kept_leaves_no_file(store: ResponseStore, path: Path) -> None:
    assert store.find("resp_one", "app") is None
    assert store.write()
    assert not path.exists()


def test_a_restart_changes_nothing(path: Path, clock: Clock) -> None:
    one = stored()
    before = ResponseStore(path, MUCH, clock=clock)
    before.keep(one)
    before.close()
    after = ResponseStore(path, MUCH, clock=clock)
    assert after.find("resp_one", "app") == one
    after.close()


def test_only_its_owner_reads_the_file(store: ResponseStore, path: Path) -> None:
    store.keep(stored())
    assert store.write()
    assert path.stat().st_mode & 0o077 == 0


def test_what_has_expired_leaves_the_disk(store: ResponseStore, path: Path, clock: Clock) -> None:
    store.keep(stored("short", expires_s=1500.0))
    store.keep(stored("long", expires_s=5000.0))
    assert store.write()
    clock.now = 1500.0
    assert store.write()  # as a sweep does: nothing new came
    assert on_disk(path) == ["resp_long"]


def test_the_oldest_make_room(path: Path, clock: Clock) -> None:
    store = ResponseStore(path, 10_000, clock=clock)
    for number in range(20):
        store.keep(replace(stored(str(number)), input=_chance(1000)))
        assert store.write()
    left = on_disk(path)
    assert 5 < len(left) < 20
    assert left == [f"resp_{number}" for number in range(20 - len(left), 20)]
    with closing(sqlite3.connect(path)) as database:
        assert 8_000 < database.execute("SELECT SUM(size) FROM responses").fetchone()[0] <= 10_000
    store.close()


def _chance(size: int) -> bytes:
    """What does not become less by being packed."""
    return b"".join(bytes.fromhex(new_token()) for _ in range(size // 16))


def test_one_that_is_larger_than_all_may_be_does_not_stay(path: Path, clock: Clock) -> None:
    store = ResponseStore(path, 1000, clock=clock)
    store.keep(replace(stored(), input=_chance(5000)))
    assert store.write()
    assert on_disk(path) == []
    store.close()


class TestWithoutADatabase:
    def test_they_are_found_in_memory_and_written_later(self, store: ResponseStore, path: Path, clock: Clock) -> None:
        store.keep(stored("first"))
        assert store.write()
        with closing(sqlite3.connect(path, isolation_level=None)) as other, patch.object(responses, "_BUSY_S", 0.0):
            store.close()
            other.execute("BEGIN IMMEDIATE")
            store.keep(stored("second"))
            assert not store.write()
            assert store.error is not None
            assert "locked" in store.error
            assert store.find("resp_second", "app") is not None
            other.execute("ROLLBACK")
        assert store.write()
        assert store.error is None
        assert on_disk(path) == ["resp_first", "resp_second"]

    def test_no_more_than_fits_is_held(self, path: Path, clock: Clock) -> None:
        path.mkdir(parents=True)  # where the file should be
        store = ResponseStore(path, MUCH, clock=clock)
        most = 3 * stored().size
        with patch.object(responses, "MOST_WAITING", most):
            for number in range(5):
                store.keep(stored(str(number)))
                assert not store.write()
        assert [store._waiting[f"resp_{number}"] for number in (2, 3, 4)]
        assert len(store._waiting) == 3
        assert store.lost == 2

    def test_a_file_that_is_none_of_ours_can_not_be_read(self, store: ResponseStore, path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(b"not a database, whatever its name may say; " * 100)
        with pytest.raises(ResponsesUnavailable):
            store.find("resp_one", "app")
        assert not store.write()

    def test_a_newer_version_is_left_alone(self, store: ResponseStore, path: Path) -> None:
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as newer:
            newer.execute("PRAGMA user_version = 2")
        store.keep(stored())
        assert not store.write()
        assert store.error is not None
        assert "another version" in store.error


def test_deleted_while_it_is_written_it_goes_all_the_same(store: ResponseStore, path: Path) -> None:
    store.keep(stored())
    make_room = responses._make_room

    def meanwhile(database: sqlite3.Connection, most: int) -> None:
        make_room(database, most)
        assert store.delete("resp_one", "app")

    with patch.object(responses, "_make_room", meanwhile):
        assert store.write()
    assert store.find("resp_one", "app") is None
    assert store.write()
    assert on_disk(path) == []


def test_the_thread_writes_what_is_kept(path: Path, clock: Clock) -> None:
    store = ResponseStore(path, MUCH, clock=clock)
    settled, settle = Event(), store._settle

    def heard(batch: dict[str, StoredResponse | None]) -> None:
        settle(batch)
        if batch:
            settled.set()

    with patch.object(store, "_settle", heard):
        store.start()
        store.start()
        store.keep(stored())
        assert settled.wait(20)
    assert on_disk(path) == ["resp_one"]
    assert store.find("resp_one", "app") is not None
    store.close()


def test_a_bug_does_not_end_the_thread(path: Path, clock: Clock) -> None:
    store = ResponseStore(path, MUCH, clock=clock)
    write, calls, settled = store.write, [0], Event()

    def broken_once() -> bool:
        calls[0] += 1
        if calls[0] == 1:
            raise KeyError("a bug")
        settled.set()
        return write()

    with patch.object(store, "write", broken_once), patch.object(responses, "RETRY_S", 0.01):
        store.start()
        store.keep(stored())
        assert settled.wait(20)
    store.close()
    assert on_disk(path) == ["resp_one"]


def test_it_stands_beside_the_ledger() -> None:
    assert responses_path(Store(ledger="sqlite:////data/waypost.db")) == Path("/data/waypost.responses.db")


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert {len(token) for token in tokens} == {32}
