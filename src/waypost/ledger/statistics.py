"""Roll-ups of the ledger: how many calls, how they went, what they used and cost, how long they took."""

import sqlite3
from array import array
from enum import StrEnum
from math import ceil

from msgspec.json import decode

from waypost.governance.money import dollars
from waypost.ledger.questions import ALL, TOKEN_KINDS, Filters, Json


class Grouping(StrEnum):
    """What calls can be grouped by. A call with several tags counts in the group of each; a call without has none."""

    ROUTE = "route"
    TASK = "task"
    PROVIDER = "provider"
    MODEL = "model"
    KEY = "key"
    TEAM = "team"
    TAG = "tag"
    DAY = "day"


_GROUPS = {
    Grouping.TAG: ("tag.key || '=' || tag.value", "calls, json_each(calls.tags) AS tag"),
    Grouping.DAY: ("strftime('%Y-%m-%d', started_ns / 1000000000, 'unixepoch')", "calls"),
}
_GOOD = "outcome = 'ok'"
_BAD = "outcome IN ('failed', 'truncated', 'interrupted')"
_UNPRICED = "cost_nano IS NULL AND outcome != 'refused'"
_LATENCIES = ("first_byte", "total")


class _Percentiles:
    """An aggregate for SQLite: the median and the 95th percentile by nearest rank, as JSON; NULL of no values."""

    def __init__(self) -> None:
        self._values = array("q")

    def step(self, value: int | None, /) -> None:
        if value is not None:
            self._values.append(value)

    def finalize(self) -> str | None:
        ranked = sorted(self._values)
        if not ranked:
            return None
        p50, p95 = (ranked[ceil(len(ranked) * share) - 1] for share in (0.5, 0.95))
        return f"[{p50}, {p95}]"


def stats(ledger: sqlite3.Connection, by: Grouping, filters: Filters = ALL) -> list[Json]:
    """One object a group, the one with most calls first (days in their order).

    `by` and `group` name the group (None: calls that have no such thing). `calls` = `ok` + `errors` + the rest (refused
    and cancelled: the caller's doing); `error_rate` is errors over ok + errors, None without either. `tokens` and
    `cost_usd` sum what is known; `unpriced` counts the calls whose cost is not known, refused ones aside. Latencies are
    milliseconds of calls that have them: `first_byte_ms` and `total_ms`, each {p50, p95, mean}, None without any.
    """
    group, source = _GROUPS.get(by, (f"calls.{by}", "calls"))
    condition, values = filters.clause()
    ledger.create_aggregate("percentiles", 1, _Percentiles)  # type: ignore[arg-type]  # typeshed: integers only
    order = "1" if by is Grouping.DAY else "2 DESC, 1"
    statement = (
        f"SELECT {group}, COUNT(*), SUM({_GOOD}), SUM({_BAD}), "  # noqa: S608 - our own names
        + "".join(f"SUM({kind}), " for kind in TOKEN_KINDS)
        + f"SUM(cost_nano), SUM({_UNPRICED}), "
        + ", ".join(f"percentiles({name}_us), AVG({name}_us)" for name in _LATENCIES)
        + f" FROM {source} WHERE {condition} GROUP BY 1 ORDER BY {order}"
    )
    return [_group(by, row) for row in ledger.execute(statement, values)]


def _group(by: Grouping, row: tuple[object, ...]) -> Json:
    name, calls, good, bad, *numbers = row
    tokens, (cost, unpriced), latencies = numbers[:5], numbers[5:7], numbers[7:]
    return {
        "by": by.value,
        "group": name,
        "calls": calls,
        "ok": good,
        "errors": bad,
        "error_rate": _rate(good, bad),
        "tokens": dict(zip(TOKEN_KINDS, tokens, strict=True)),
        "cost_usd": dollars(cost) if isinstance(cost, int) else None,
        "unpriced": unpriced,
        "first_byte_ms": _latency(latencies[0], latencies[1]),
        "total_ms": _latency(latencies[2], latencies[3]),
    }


def _rate(good: object, bad: object) -> float | None:
    if not isinstance(good, int) or not isinstance(bad, int) or good + bad == 0:
        return None
    return round(bad / (good + bad), 6)


def _latency(percentiles: object, mean: object) -> dict[str, float] | None:
    if not isinstance(percentiles, str) or not isinstance(mean, float):
        return None
    p50, p95 = decode(percentiles, type=tuple[int, int])
    return {"p50": p50 / 1000, "p95": p95 / 1000, "mean": round(mean / 1000, 3)}
