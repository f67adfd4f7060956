"""From lines of the journal to rows of the database. Knows both shapes; decides neither when to move nor what to drop.

Built to cost little: lines are decoded in many at once; what a call shares with others is looked up as the bytes that
it is; nested values stay JSON text; rows go in many to a statement (the interpreter's lock is given up once a
statement, and taking it back from a busy event loop is what costs); and of the entries of acceptance, which only a
recovery needs, nothing is kept.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder
from msgspec.structs import astuple, replace

from waypost.ledger.kinds import Kinds, Value, read_kind
from waypost.ledger.records import NULL, Accepted, Charge, Ended, Kind, Outcome, Planned, line


class Own(Struct, frozen=True, array_like=True, gc=False, tag="e"):
    """`records.Ended` with what is nested in it still JSON."""

    id: str
    started_ns: int
    input: int | None
    cache_read: int | None
    cache_write: int | None
    output: int | None
    reasoning: int | None
    cost_nano: int | None
    first_byte_us: int | None
    total_us: int | None
    overhead_us: int | None
    tags: Raw
    decision: Raw
    attempts: Raw
    charges: tuple[Charge, ...]
    bodies: tuple[str | None, str | None] | None
    kind: Raw


class _Passed(Struct, frozen=True, array_like=True, gc=False, tag="a"):
    """An acceptance that nobody asks for."""


_COLUMNS = (
    "id", "started_ns", "kind", "input", "cache_read", "cache_write", "output", "reasoning",
    "cost_nano", "first_byte_us", "total_us", "overhead_us", "tags", "decision", "attempts",
)  # fmt: skip
_OFTEN_NULL = frozenset({"cache_read", "cache_write", "reasoning"})
_LARGEST = 2**62  # two of them still add up within SQLite's integers
# Stands for NULL in these on the way into a statement: binding None takes Python's sqlite3 as long as seven numbers.
_NULL = -_LARGEST - 1
Entry = Own | Planned | Accepted | _Passed
_MOVING: Decoder[Entry] = Decoder(Own | Planned | _Passed)
_RECOVERING: Decoder[Entry] = Decoder(Own | Planned | Accepted)


class Batch(Struct):
    """A stretch of a segment, decoded. `accepted` is filled for a recovery only; `damaged` counts what is lost.

    `kinds[n]` is the JSON of the kind of `ended[n]`.
    """

    ended: list[Own]
    kinds: list[bytes]
    planned: list[Planned]
    accepted: list[Accepted]
    damaged: int = 0


def read_batch(text: bytes, recovering: bool = False) -> Batch:
    """From whole lines."""
    decoder = _RECOVERING if recovering else _MOVING
    try:
        if not text.isascii():
            text.decode()  # what stays JSON is not looked at
        batch = _batch(decoder.decode_lines(text))
        for kind in set(batch.kinds):
            read_kind(kind)
    except (DecodeError, UnicodeDecodeError):
        return _read_each(decoder, text.split(b"\n")[:-1])
    return batch


def _read_each(decoder: Decoder[Entry], lines: Sequence[bytes]) -> Batch:
    """The slow way, for lines of which some are damaged."""
    entries = []
    damaged = 0
    for text in lines:
        try:
            text.decode()
            entry = decoder.decode(text)
            if type(entry) is Own:
                read_kind(entry.kind)
            entries.append(entry)
        except (DecodeError, UnicodeDecodeError):
            damaged += 1
    batch = _batch(entries)
    batch.damaged = damaged
    return batch


def _batch(entries: Sequence[Entry]) -> Batch:
    ended = [entry for entry in entries if type(entry) is Own]
    return Batch(
        ended,
        [bytes(own.kind) for own in ended],
        [entry for entry in entries if type(entry) is Planned],
        [entry for entry in entries if type(entry) is Accepted],
    )


def write_batch(ledger: sqlite3.Connection, batch: Batch, kinds: Kinds | None = None) -> int:
    """Inserts the batch's rows and charges the budgets, within the caller's transaction. Returns the calls inserted.

    A call that is there already stays as it is and is not charged again. `kinds` are those of this connection: without
    them, the batch's are written anew.
    """
    kinds = kinds or Kinds()
    ended = batch.ended
    if batch.planned:
        ledger.executemany(
            "INSERT OR IGNORE INTO plans (id, revision, statics) VALUES (?, ?, CAST(? AS TEXT))",
            [(plan.id, plan.revision, plan.statics) for plan in batch.planned],
        )
    ledger.execute("SAVEPOINT calls")
    try:
        _insert_rows(ledger, ended, kinds.numbers(ledger, batch.kinds))
    except (sqlite3.IntegrityError, OverflowError):
        ledger.execute("ROLLBACK TO calls")
        kinds.forget()
        ended = _insert_each(ledger, batch, kinds)
    ledger.execute("RELEASE calls")
    charge(ledger, chain.from_iterable([own.charges for own in ended]))
    return len(ended)


def _insert_each(ledger: sqlite3.Connection, batch: Batch, kinds: Kinds) -> list[Own]:
    """The slow way, for a batch with an entry that was written twice or says what no column can hold."""
    inserted = []
    for own, kind in zip(batch.ended, kinds.numbers(ledger, batch.kinds), strict=True):
        if ledger.execute("SELECT 1 FROM entries WHERE id = ?", (own.id,)).fetchone() is None:
            storable = _storable(own)
            _insert_rows(ledger, [storable], [kind])
            inserted.append(storable)
    return inserted


def _storable(own: Own) -> Own:
    """The row without numbers beyond 64 bits: what a provider counts absurdly is not known."""
    absurd = {
        name: None
        for name in Own.__struct_fields__
        if isinstance(value := getattr(own, name), int) and not -_LARGEST <= value <= _LARGEST
    }
    charges = tuple((budget, window, min(nano, _LARGEST)) for budget, window, nano in own.charges)
    return replace(own, charges=charges, **absurd)


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


def interrupted(entry: Accepted) -> bytes:
    """The end of a call that was accepted and never ended, as a line: cost unknown, its reservation charged in full."""
    kind = Kind(
        entry.key, entry.team, entry.task, entry.route, entry.revision, entry.dialect, outcome=Outcome.INTERRUPTED
    )
    return line(Ended(entry.id, entry.started_ns, tags=entry.tags, charges=entry.reserved, kind=kind))


def _insert_rows(ledger: sqlite3.Connection, ended: Sequence[Own], kinds: Sequence[int]) -> None:
    values = _values(ended, kinds)
    start, left = 0, len(ended)
    for rows, statement in _INSERTIONS:
        while left >= rows:
            end = start + rows * len(_COLUMNS)
            ledger.execute(statement, values[start:end])
            start, left = end, left - rows
    bodies = [(own.id, *own.bodies) for own in ended if own.bodies is not None]
    if bodies:
        ledger.executemany("INSERT INTO bodies (call_id, request, reply) VALUES (?, ?, ?)", bodies)


def _values(ended: Sequence[Own], kinds: Sequence[int]) -> list[Value]:
    """All rows' columns, one after the other, in the types that are bound fastest."""
    values: list[Value] = []
    for own, kind in zip(ended, kinds, strict=True):
        (
            call, started_ns, read, cached, written, output, reasoning,
            cost, first_byte, total, overhead, tags, decision, attempts, _, _, _,
        ) = astuple(own)  # fmt: skip
        values += (
            call,
            started_ns,
            kind,
            read,
            _NULL if cached is None else cached,
            _NULL if written is None else written,
            output,
            _NULL if reasoning is None else reasoning,
            cost,
            first_byte,
            total,
            overhead,
            str(tags, "utf-8"),
            None if decision == NULL else str(decision, "utf-8"),
            str(attempts, "utf-8"),
        )
    return values


def _insertion(rows: int) -> str:
    places = ", ".join(f"NULLIF(?, {_NULL})" if column in _OFTEN_NULL else "?" for column in _COLUMNS)
    names = ", ".join(_COLUMNS)
    # FAIL: who asked for the statement undoes what a failure leaves half done, so SQLite need not be ready to.
    return f"INSERT OR FAIL INTO entries ({names}) VALUES " + ", ".join([f"({places})"] * rows)  # noqa: S608 - our own names


_INSERTIONS = tuple((rows, _insertion(rows)) for rows in (64, 8, 1))
