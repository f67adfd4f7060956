"""Kinds of calls: what many calls have in common, written once and named by a number.

Knows the members of a call that are shared, and which numbers one connection gave. Two kinds may say the same (a start
does not look for the kinds of the process before it), so nothing may rest on their being different.
"""

import sqlite3
from collections.abc import Sequence

from msgspec import Raw, Struct
from msgspec.json import Decoder, encode
from msgspec.structs import astuple, replace

MOST_KNOWN = 4096  # some hundreds of bytes each
_LARGEST = 2**62

Key = tuple[bytes, bool, bytes, str, bytes]  # core, estimated, price, cache, dropped; bytes are JSON
Value = str | int | None


class Head(Struct, frozen=True, array_like=True, gc=False):
    """The members of `records.Ended` that follow one another and are shared, in its order; `tags` lies among them."""

    key: str | None
    team: str | None
    tags: Raw
    task: str | None
    route: str | None
    revision: str
    dialect: str | None
    provider: str | None
    model: str | None
    profile: str | None
    outcome: str
    error: str | None
    status: int | None
    stream: bool


class Shared(Struct, frozen=True, gc=False):
    """A head, read. `core` is the head as JSON without its tags: callers invent those, so they make no kind."""

    head: Head
    core: bytes
    tags: str


_TAGS = Head.__struct_fields__.index("tags")
_SHARED = Head.__struct_fields__[:_TAGS] + Head.__struct_fields__[_TAGS + 1 :]
_COLUMNS = ("id", *_SHARED, "estimated", "price", "cache", "dropped")
_INSERT = f"INSERT INTO kinds ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - our names
_NO_TAGS = Raw(b"{}")
_decode = Decoder(Head).decode


def read_head(text: bytes) -> Shared:
    """From the members' JSON, without the brackets around them. Raises msgspec.DecodeError or UnicodeDecodeError."""
    head = _decode(b"[%b]" % text)
    return Shared(head, encode(replace(head, tags=_NO_TAGS)), str(head.tags, "utf-8"))


class Kinds:
    """The numbers that a connection knows. `forget` them when the transaction that wrote some is rolled back."""

    def __init__(self) -> None:
        self._numbers: dict[Key, int] = {}

    def forget(self) -> None:
        self._numbers.clear()

    def numbers(self, ledger: sqlite3.Connection, keys: Sequence[Key], heads: Sequence[Shared]) -> list[int]:
        """Each key's number. Writes the kinds that have none yet; `heads[n]` is what `keys[n]` has the core of."""
        known = self._numbers
        try:
            return [known[key] for key in keys]
        except KeyError:
            self._add(ledger, keys, heads)
            return [known[key] for key in keys]

    def _add(self, ledger: sqlite3.Connection, keys: Sequence[Key], heads: Sequence[Shared]) -> None:
        known = self._numbers
        if len(known) + len(keys) > MOST_KNOWN:
            known.clear()
        number = int(ledger.execute("SELECT COALESCE(MAX(id), 0) FROM kinds").fetchone()[0])
        rows = []
        for key, shared in zip(keys, heads, strict=True):
            if key not in known:
                number += 1
                known[key] = number
                rows.append((number, *_columns(key, shared.head)))
        ledger.executemany(_INSERT, rows)


def _columns(key: Key, head: Head) -> list[Value]:
    _, estimated, price, cache, dropped = key
    if head.status is not None and abs(head.status) > _LARGEST:
        head = replace(head, status=None)
    members = list(astuple(head))
    del members[_TAGS]
    return [*members, estimated, None if price == b"null" else price.decode(), cache, dropped.decode()]
