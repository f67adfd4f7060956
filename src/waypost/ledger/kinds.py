"""Kinds of calls: what many calls have in common, written once and named by a number.

Knows which numbers one connection gave. Two kinds may say the same (a start does not look for the kinds of the process
before it), so nothing may rest on their being different.
"""

import sqlite3
from collections.abc import Sequence

from msgspec.json import Decoder, encode
from msgspec.structs import astuple

from waypost.ledger.records import NULL, Kind

MOST_KNOWN = 4096  # some hundreds of bytes each
_LARGEST = 2**62

Value = str | int | None

_COLUMNS = ("id", *Kind.__struct_fields__)
_INSERT = f"INSERT INTO kinds ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - our names
read_kind = Decoder(Kind).decode


class Kinds:
    """The numbers that a connection knows. `forget` them when the transaction that wrote some is rolled back."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def forget(self) -> None:
        self._numbers.clear()

    def numbers(self, ledger: sqlite3.Connection, kinds: Sequence[bytes]) -> list[int]:
        """Each kind's number; a kind is the JSON of a `records.Kind`. Writes those that have none yet."""
        known = self._numbers
        try:
            return [known[kind] for kind in kinds]
        except KeyError:
            self._add(ledger, kinds)
            return [known[kind] for kind in kinds]

    def _add(self, ledger: sqlite3.Connection, kinds: Sequence[bytes]) -> None:
        known = self._numbers
        if len(known) + len(kinds) > MOST_KNOWN:
            known.clear()
        number = int(ledger.execute("SELECT COALESCE(MAX(id), 0) FROM kinds").fetchone()[0])
        rows = []
        for kind in dict.fromkeys(kinds):
            if kind not in known:
                number += 1
                known[kind] = number
                rows.append((number, *_columns(read_kind(kind))))
        ledger.executemany(_INSERT, rows)


def _columns(kind: Kind) -> list[Value]:
    *members, price, cache, dropped = astuple(kind)
    if kind.status is not None and abs(kind.status) > _LARGEST:
        members[Kind.__struct_fields__.index("status")] = None
    return [*members, None if price == NULL else str(price, "utf-8"), cache, encode(dropped).decode()]
