"""From lines of the journal to rows of the database. Knows both shapes; decides neither when to move nor what to drop.

Built to cost little: nested values stay the JSON text that they are, rows go in many to a statement (the interpreter's
lock is given up once a statement, and taking it back from a busy event loop is what costs), and the entries of
acceptance, which only a recovery needs, are not decoded at all.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder, encode
from msgspec.structs import astuple, replace

from waypost.ledger.records import Accepted, Attempt, Charge, Outcome, Planned


class EndedRow(Struct, frozen=True, array_like=True, gc=False, tag="e"):
    """`records.Ended` as it is read back, in its order: what becomes JSON text in a column stays raw."""

    id: str
    started_ns: int
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
    input: int | None
    cache_read: int | None
    cache_write: int | None
    output: int | None
    reasoning: int | None
    estimated: bool
    price: Raw
    cost_nano: int | None
    first_byte_us: int | None
    total_us: int | None
    overhead_us: int | None
    cache: str
    decision: Raw
    dropped: Raw
    attempts: tuple[Attempt, ...]
    charges: tuple[Charge, ...]
    bodies: tuple[str | None, str | None] | None


COLUMNS = EndedRow.__struct_fields__[:-3]
_ATTEMPT_COLUMNS = ("call_id", "n", *Attempt.__struct_fields__)
_RAW = tuple(COLUMNS.index(name) for name in ("tags", "price", "decision", "dropped"))
_FLAGS = tuple(COLUMNS.index(name) for name in ("stream", "estimated"))
_ROWS_AT_ONCE = 16
_LARGEST = 2**62  # two of them still add up within SQLite's integers
# Stands for NULL on the way into a statement: binding None takes Python's sqlite3 seven times as long as a number.
_NULL = -_LARGEST - 1
_NEVER_NULL = frozenset(
    {"id", "started_ns", "tags", "revision", "outcome", "stream", "estimated", "cache", "dropped", "call_id", "n"}
)

ACCEPTED = b'["a"'  # how such a line starts
_ENDED = b'["e"'
_PLANNED = b'["p"'
_decode_ended = Decoder(EndedRow).decode
_decode_accepted = Decoder(Accepted).decode
_decode_planned = Decoder(Planned).decode

Value = str | int | None


class Batch(Struct):
    """A stretch of a segment, decoded. `accepted` is filled for a recovery only; `damaged` counts what is lost."""

    ended: list[EndedRow]
    planned: list[Planned]
    accepted: list[Accepted]
    damaged: int = 0


def read_batch(lines: Iterable[bytes], recovering: bool = False) -> Batch:
    batch = Batch([], [], [])
    for text in lines:
        kind = text[:4]
        try:
            if kind == _ENDED:
                batch.ended.append(_decode_ended(text))
            elif kind == _PLANNED:
                batch.planned.append(_decode_planned(text))
            elif kind != ACCEPTED:
                batch.damaged += 1
            elif recovering:
                batch.accepted.append(_decode_accepted(text))
        except (DecodeError, UnicodeDecodeError):
            batch.damaged += 1
    return batch


def write_batch(ledger: sqlite3.Connection, batch: Batch) -> int:
    """Inserts the batch's rows and charges the budgets, within the caller's transaction. Returns the calls inserted.

    A call that is there already stays as it is and is not charged again.
    """
    ended = batch.ended
    if batch.planned:
        ledger.executemany(
            "INSERT OR IGNORE INTO plans (id, revision, statics) VALUES (?, ?, CAST(? AS TEXT))",
            [(plan.id, plan.revision, plan.statics) for plan in batch.planned],
        )
    ledger.execute("SAVEPOINT calls")
    try:
        _insert_rows(ledger, ended)
    except (sqlite3.IntegrityError, OverflowError):
        ledger.execute("ROLLBACK TO calls")
        ended = _insert_each(ledger, batch)
    ledger.execute("RELEASE calls")
    charge(ledger, chain.from_iterable(row.charges for row in ended))
    return len(ended)


def _insert_each(ledger: sqlite3.Connection, batch: Batch) -> list[EndedRow]:
    """The slow way, for a batch with an entry that was written twice or says what no column can hold."""
    inserted = []
    for row in batch.ended:
        if ledger.execute("SELECT 1 FROM calls WHERE id = ?", (row.id,)).fetchone() is None:
            storable = _storable(row)
            _insert_rows(ledger, [storable])
            inserted.append(storable)
    return inserted


def _storable(row: EndedRow) -> EndedRow:
    """The row without numbers beyond 64 bits: what a provider counts absurdly is not known."""
    absurd = {
        name: None
        for name in EndedRow.__struct_fields__
        if isinstance(value := getattr(row, name), int) and not -_LARGEST <= value <= _LARGEST
    }
    charges = tuple((budget, window, min(nano, _LARGEST)) for budget, window, nano in row.charges)
    return replace(row, charges=charges, **absurd)


def charge(ledger: sqlite3.Connection, charges: Iterable[Charge]) -> None:
    """Adds the charges to what their budgets have spent."""
    sums: dict[tuple[str, int], int] = {}
    for budget, window, nano in charges:
        window_of_budget = (budget, window)
        sums[window_of_budget] = sums.get(window_of_budget, 0) + nano
    ledger.executemany(
        "INSERT INTO spend (budget, window_start, nano) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET nano = nano + excluded.nano",
        [(budget, window, nano) for (budget, window), nano in sums.items()],
    )


def interrupted(entry: Accepted) -> EndedRow:
    """The row of a call that was accepted and never ended: usage and cost unknown, its reservation charged in full."""
    nothing = Raw(b"null")
    return EndedRow(
        id=entry.id, started_ns=entry.started_ns, key=entry.key, team=entry.team, tags=Raw(encode(entry.tags)),
        task=entry.task, route=entry.route, revision=entry.revision, dialect=entry.dialect,
        provider=None, model=None, profile=None, outcome=Outcome.INTERRUPTED, error=None, status=None, stream=False,
        input=None, cache_read=None, cache_write=None, output=None, reasoning=None, estimated=False,
        price=nothing, cost_nano=None, first_byte_us=None, total_us=None, overhead_us=None, cache="off",
        decision=nothing, dropped=Raw(b"[]"), attempts=(), charges=entry.reserved, bodies=None,
    )  # fmt: skip


def _insert_rows(ledger: sqlite3.Connection, ended: Sequence[EndedRow]) -> None:
    _insert(ledger, "calls", COLUMNS, [_values(row) for row in ended])
    _insert(
        ledger,
        "attempts",
        _ATTEMPT_COLUMNS,
        [[row.id, n, *_bound(astuple(attempt))] for row in ended for n, attempt in enumerate(row.attempts)],
    )
    bodies = [(row.id, *row.bodies) for row in ended if row.bodies is not None]
    if bodies:
        ledger.executemany("INSERT INTO bodies (call_id, request, reply) VALUES (?, ?, ?)", bodies)


def _values(row: EndedRow) -> list[Value]:
    """The row's columns in the types that are bound fastest."""
    values = _bound(astuple(row)[: len(COLUMNS)])
    for place in _RAW:
        text = str(values[place], "utf-8")  # type: ignore[call-overload]  # these are Raw
        values[place] = _NULL if text == "null" else text
    for place in _FLAGS:
        values[place] = 1 if values[place] else 0
    return values


def _bound(members: tuple[Value, ...]) -> list[Value]:
    return [_NULL if member is None else member for member in members]


def _insert(ledger: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[list[Value]]) -> None:
    whole = len(rows) - len(rows) % _ROWS_AT_ONCE
    if whole:
        statement = _insertion(table, columns, _ROWS_AT_ONCE)
        for start in range(0, whole, _ROWS_AT_ONCE):
            ledger.execute(statement, list(chain.from_iterable(rows[start : start + _ROWS_AT_ONCE])))
    if whole < len(rows):
        ledger.executemany(_insertion(table, columns, 1), rows[whole:])


def _insertion(table: str, columns: Sequence[str], rows: int) -> str:
    places = ", ".join("?" if column in _NEVER_NULL else f"NULLIF(?, {_NULL})" for column in columns)
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) VALUES " + ", ".join([f"({places})"] * rows)  # noqa: S608 - our own names
