"""Reading the ledger for people and programs: the call log, and one call whole. Knows the shape that was promised.

Every function takes a connection of `sqlite.open_ledger` and reads what has been moved so far: a running gateway's
newest calls follow within about 0.3 seconds. Members of a call are the contract's: money in decimal strings, latencies
in milliseconds, None for what is not known.
"""

import sqlite3
from collections.abc import Sequence

from msgspec import Struct, convert
from msgspec.json import Decoder, decode

from waypost.governance.money import dollars
from waypost.ledger.records import Attempt
from waypost.ledger.times import rfc3339

Json = dict[str, object]

TOKEN_KINDS = ("input", "cache_read", "cache_write", "output", "reasoning")


class _Row(Struct, frozen=True, array_like=True):
    """The columns of `calls` that a call is told from, in the order in which they are selected."""

    place: int
    id: str
    started_ns: int
    key: str | None
    team: str | None
    tags: str
    task: str | None
    route: str | None
    revision: str
    provider: str | None
    model: str | None
    profile: str | None
    outcome: str
    error: str | None
    input: int | None
    cache_read: int | None
    cache_write: int | None
    output: int | None
    reasoning: int | None
    estimated: int
    price: str | None
    cost_nano: int | None
    first_byte_us: int | None
    total_us: int | None
    overhead_us: int | None
    cache: str
    attempts: str


_COLUMNS = ", ".join(_Row.__struct_fields__)
_decode_attempts = Decoder(list[Attempt]).decode


class Filters(Struct, frozen=True, kw_only=True):
    """Which calls: every member that is set must agree. Times are Unix nanoseconds, `since` included, `until` not.

    `tag` is "name" or "name=value"; `id` the beginning of an id.
    """

    since: int | None = None
    until: int | None = None
    id: str | None = None
    key: str | None = None
    team: str | None = None
    tag: str | None = None
    task: str | None = None
    route: str | None = None
    provider: str | None = None
    model: str | None = None
    profile: str | None = None
    outcome: str | None = None
    error: str | None = None

    def clause(self) -> tuple[str, list[object]]:
        """The SQL condition over `calls` and its arguments."""
        parts, values = ["1"], list[object]()
        for name in ("key", "team", "task", "route", "provider", "model", "profile", "outcome", "error"):
            if (value := getattr(self, name)) is not None:
                parts.append(f"calls.{name} = ?")
                values.append(value)
        if self.since is not None:
            parts.append("calls.started_ns >= ?")
            values.append(self.since)
        if self.until is not None:
            parts.append("calls.started_ns < ?")
            values.append(self.until)
        if self.id is not None:
            parts.append("substr(calls.id, 1, ?) = ?")
            values += [len(self.id), self.id]
        if self.tag is not None:
            name, given, value = self.tag.partition("=")
            parts.append("EXISTS (SELECT 1 FROM json_each(calls.tags) AS t WHERE t.key = ? AND (? OR t.value = ?))")
            values += [name, not given, value]
        return " AND ".join(parts), values


ALL = Filters()


def list_calls(ledger: sqlite3.Connection, filters: Filters = ALL, limit: int = 20) -> list[Json]:
    """The calls that ended last, newest first."""
    condition, values = filters.clause()
    statement = f"SELECT {_COLUMNS} FROM calls WHERE {condition} ORDER BY place DESC LIMIT ?"  # noqa: S608 - our names
    return _told(ledger.execute(statement, [*values, limit]).fetchall())


def last_place(ledger: sqlite3.Connection) -> int:
    """Where a follower starts that wants only what comes."""
    return int(ledger.execute("SELECT COALESCE(MAX(place), 0) FROM calls").fetchone()[0])


def calls_after(
    ledger: sqlite3.Connection, place: int, filters: Filters = ALL, limit: int = 500
) -> tuple[list[Json], int]:
    """The calls moved after `place`, oldest first, and the place to go on from."""
    condition, values = filters.clause()
    statement = f"SELECT {_COLUMNS} FROM calls WHERE place > ? AND {condition} ORDER BY place LIMIT ?"  # noqa: S608 - our names
    rows = ledger.execute(statement, [place, *values, limit]).fetchall()
    return _told(rows), int(rows[-1][0]) if rows else place


def get_call(ledger: sqlite3.Connection, call: str) -> Json | None:
    """One call by its id."""
    statement = f"SELECT {_COLUMNS} FROM calls WHERE id = ?"  # noqa: S608 - our names
    told = _told(ledger.execute(statement, (call,)).fetchall())
    return told[0] if told else None


def calls_starting(ledger: sqlite3.Connection, start: str) -> list[str]:
    """Ids that begin with `start`, at most two: enough to know whether it names one call."""
    statement = "SELECT id FROM entries WHERE id >= ? AND id < ? LIMIT 2"
    return [str(found) for (found,) in ledger.execute(statement, (start, start + "\x7f"))]


def get_decision(ledger: sqlite3.Connection, call: str) -> bytes | None:
    """The JSON of a call's routing decision; None for an unknown call and one that was decided nowhere."""
    row = ledger.execute("SELECT decision FROM calls WHERE id = ?", (call,)).fetchone()
    return None if row is None or row[0] is None else str(row[0]).encode()


def get_plan(ledger: sqlite3.Connection, plan: str) -> bytes | None:
    """The JSON that all decisions made with one plan share."""
    row = ledger.execute("SELECT statics FROM plans WHERE id = ?", (plan,)).fetchone()
    return None if row is None else str(row[0]).encode()


def get_bodies(ledger: sqlite3.Connection, call: str) -> tuple[str | None, str | None] | None:
    """The request's and the answer's text, where the call's route stores them."""
    row: tuple[str | None, str | None] | None = ledger.execute(
        "SELECT request, reply FROM bodies WHERE call_id = ?", (call,)
    ).fetchone()
    return row


def _told(rows: Sequence[object]) -> list[Json]:
    return [_call(row) for row in convert(rows, list[_Row])]


def _call(row: _Row) -> Json:
    return {
        "id": row.id,
        "started_at": rfc3339(row.started_ns),
        "key": row.key,
        "team": row.team,
        "tags": decode(row.tags),
        "task": row.task,
        "route": row.route,
        "revision": row.revision,
        "provider": row.provider,
        "model": row.model,
        "profile": row.profile,
        "outcome": row.outcome,
        "error": row.error,
        "tokens": {kind: getattr(row, kind) for kind in TOKEN_KINDS},
        "estimated": bool(row.estimated),
        "price": None if row.price is None else decode(row.price),
        "cost_usd": None if row.cost_nano is None else dollars(row.cost_nano),
        "first_byte_ms": _milliseconds(row.first_byte_us),
        "total_ms": _milliseconds(row.total_us),
        "overhead_us": row.overhead_us,
        "cache": row.cache,
        "attempts": [_attempt(attempt) for attempt in _decode_attempts(row.attempts)],
    }


def _attempt(attempt: Attempt) -> Json:
    return {
        "provider": attempt.provider,
        "model": attempt.model,
        "profile": attempt.profile,
        "outcome": attempt.outcome.value,
        "error": attempt.error,
        "first_byte_ms": _milliseconds(attempt.first_byte_us),
        "total_ms": _milliseconds(attempt.total_us),
    }


def _milliseconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1000
