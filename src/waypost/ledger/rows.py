"""From lines of the journal to rows of the database. Knows both shapes; decides neither when to move nor what to drop.

Built to cost little: of an end's line only what the call has for itself is decoded, what it shares with others is
looked up as the bytes that it is; nested values stay JSON text; rows go in many to a statement (the interpreter's
lock is given up once a statement, and taking it back from a busy event loop is what costs); and the entries of
acceptance, which only a recovery needs, are not decoded at all.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder
from msgspec.structs import astuple, replace

from waypost.ledger.kinds import Head, Key, Kinds, Shared, Value, read_head
from waypost.ledger.records import Accepted, Charge, Ended, Outcome, Planned, line


class Own(Struct, frozen=True, array_like=True, gc=False, tag="e"):
    """What a call has for itself: `records.Ended` without the members of `kinds.Head`, JSON staying raw."""

    id: str
    started_ns: int
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
    attempts: Raw
    charges: tuple[Charge, ...]
    bodies: tuple[str | None, str | None] | None


_COLUMNS = (
    "id", "started_ns", "kind", "input", "cache_read", "cache_write", "output", "reasoning",
    "cost_nano", "first_byte_us", "total_us", "overhead_us", "tags", "decision", "attempts",
)  # fmt: skip
_NEVER_NULL = frozenset({"id", "started_ns", "kind", "tags", "attempts"})
_LARGEST = 2**62  # two of them still add up within SQLite's integers
# Stands for NULL on the way into a statement: binding None takes Python's sqlite3 seven times as long as a number.
_NULL = -_LARGEST - 1

ACCEPTED = b'["a"'  # how such a line starts
_ENDED = b'["e"'
_PLANNED = b'["p"'
_decode_own = Decoder(Own).decode
_decode_members = Decoder(list[Raw]).decode
_decode_accepted = Decoder(Accepted).decode
_decode_planned = Decoder(Planned).decode
_NO_HEAD = b"["  # nothing that a head can start with
_HEAD_AT = 3  # members before the head: the kind of entry, id, started_ns
_HEAD_END = _HEAD_AT + len(Head.__struct_fields__)


class Batch(Struct):
    """A stretch of a segment, decoded. `accepted` is filled for a recovery only; `damaged` counts what is lost.

    `heads[n]` is of the call that `ended[n]` is about.
    """

    ended: list[Own]
    heads: list[Shared]
    planned: list[Planned]
    accepted: list[Accepted]
    damaged: int = 0


def read_batch(lines: Iterable[bytes], recovering: bool = False) -> Batch:
    batch = Batch([], [], [], [])
    ended, heads = batch.ended, batch.heads
    known: dict[bytes, Shared] = {}
    head = _NO_HEAD
    for text in lines:
        kind = text[:4]
        try:
            if kind == _ENDED:
                own, head = read_ended(text, head)
                shared = known.get(head)
                if shared is None:
                    shared = known[head] = read_head(head)
                ended.append(own)
                heads.append(shared)
            elif kind == _PLANNED:
                batch.planned.append(_decode_planned(text))
            elif kind != ACCEPTED:
                batch.damaged += 1
            elif recovering:
                batch.accepted.append(_decode_accepted(text))
        except (DecodeError, UnicodeDecodeError):
            batch.damaged += 1
    return batch


def read_ended(text: bytes, last: bytes = _NO_HEAD) -> tuple[Own, bytes]:
    """An end's line in two: what is the call's own, and its head as JSON. Raises msgspec.DecodeError.

    The head goes from the third comma to the first `true` or `false`, its last member: nothing before it has one,
    except inside a string. Then the cut halves the string, the rest has an odd number of quotes, and can't be decoded.
    Most often the head is that of the line before, `last`; it has quotes, so nothing inside a string is taken for it.
    """
    start = text.find(b",", text.find(b",", 5) + 1) + 1
    if text.startswith(last, start):
        return _decode_own(text[:start] + text[start + len(last) + 1 :]), last
    end = text.find(b",false,", start)
    streams = text.find(b",true,", start, end)
    end = end + 6 if streams < 0 else streams + 5
    try:
        return _decode_own(text[:start] + text[end + 1 :]), text[start:end]
    except (DecodeError, UnicodeDecodeError):
        members = _decode_members(text)
        own = b"[%b]" % b",".join(members[:_HEAD_AT] + members[_HEAD_END:])
        return _decode_own(own), b",".join(members[_HEAD_AT:_HEAD_END])


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
        _insert_rows(ledger, ended, batch.heads, kinds.numbers(ledger, _keys(batch), batch.heads))
    except (sqlite3.IntegrityError, OverflowError):
        ledger.execute("ROLLBACK TO calls")
        kinds.forget()
        ended = _insert_each(ledger, batch, kinds)
    ledger.execute("RELEASE calls")
    charge(ledger, chain.from_iterable([own.charges for own in ended]))
    return len(ended)


def _keys(batch: Batch) -> list[Key]:
    return [
        (shared.core, own.estimated, bytes(own.price), own.cache, bytes(own.dropped))
        for own, shared in zip(batch.ended, batch.heads, strict=True)
    ]


def _insert_each(ledger: sqlite3.Connection, batch: Batch, kinds: Kinds) -> list[Own]:
    """The slow way, for a batch with an entry that was written twice or says what no column can hold."""
    inserted = []
    numbers = kinds.numbers(ledger, _keys(batch), batch.heads)
    for own, shared, kind in zip(batch.ended, batch.heads, numbers, strict=True):
        if ledger.execute("SELECT 1 FROM entries WHERE id = ?", (own.id,)).fetchone() is None:
            storable = _storable(own)
            _insert_rows(ledger, [storable], [shared], [kind])
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
    """The end's line of a call that was accepted and never ended: cost unknown, its reservation charged in full."""
    ended = Ended(
        id=entry.id, started_ns=entry.started_ns, key=entry.key, team=entry.team, tags=entry.tags, task=entry.task,
        route=entry.route, revision=entry.revision, dialect=entry.dialect,
        outcome=Outcome.INTERRUPTED, charges=entry.reserved,
    )  # fmt: skip
    return line(ended).removesuffix(b"\n")


def _insert_rows(
    ledger: sqlite3.Connection, ended: Sequence[Own], heads: Sequence[Shared], kinds: Sequence[int]
) -> None:
    values = _values(ended, heads, kinds)
    start, left = 0, len(ended)
    for rows, statement in _INSERTIONS:
        while left >= rows:
            end = start + rows * len(_COLUMNS)
            ledger.execute(statement, values[start:end])
            start, left = end, left - rows
    bodies = [(own.id, *own.bodies) for own in ended if own.bodies is not None]
    if bodies:
        ledger.executemany("INSERT INTO bodies (call_id, request, reply) VALUES (?, ?, ?)", bodies)


def _values(ended: Sequence[Own], heads: Sequence[Shared], kinds: Sequence[int]) -> list[Value]:
    """All rows' columns, one after the other, in the types that are bound fastest."""
    values: list[Value] = []
    for own, shared, kind in zip(ended, heads, kinds, strict=True):
        (
            call, started_ns, read, cached, written, output, reasoning, _, _,
            cost, first_byte, total, overhead, _, decision, _, attempts, _, _,
        ) = astuple(own)  # fmt: skip
        decided = str(decision, "utf-8")
        values += (
            call,
            started_ns,
            kind,
            _NULL if read is None else read,
            _NULL if cached is None else cached,
            _NULL if written is None else written,
            _NULL if output is None else output,
            _NULL if reasoning is None else reasoning,
            _NULL if cost is None else cost,
            _NULL if first_byte is None else first_byte,
            _NULL if total is None else total,
            _NULL if overhead is None else overhead,
            shared.tags,
            _NULL if decided == "null" else decided,
            str(attempts, "utf-8"),
        )
    return values


def _insertion(rows: int) -> str:
    places = ", ".join("?" if column in _NEVER_NULL else f"NULLIF(?, {_NULL})" for column in _COLUMNS)
    names = ", ".join(_COLUMNS)
    return f"INSERT INTO entries ({names}) VALUES " + ", ".join([f"({places})"] * rows)  # noqa: S608 - our own names


_INSERTIONS = tuple((rows, _insertion(rows)) for rows in (64, 8, 1))
