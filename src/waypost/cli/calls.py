"""`waypost calls`: the call log, newest last, so that what `--follow` adds comes where it is looked for."""

import argparse
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence

import msgspec

from waypost.cli.ledger_reading import add_filter_arguments, configured, filters, reading, reported
from waypost.cli.table import Table
from waypost.ledger.questions import Filters, Json, calls_after, last_place, list_calls

NAME = "calls"
HELP = "read the call log"

POLL_S = 0.3
MOST_CALLS = 1_000_000_000
_RIGHT = ("tokens", "cost $", "first ms", "total ms")
_COLUMNS = ("time", "id", "key", "route", "served by", "outcome", "error", "attempts", *_RIGHT)
_COLOURS = {"ok": "green", "refused": "yellow", "cancelled": "yellow"} | dict.fromkeys(
    ("failed", "interrupted", "truncated"), "red"
)

Print = Callable[[Sequence[Json]], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", type=_count, default=20, metavar="N", help="the last N calls; default: %(default)s")
    parser.add_argument("--follow", action="store_true", help="go on with calls as they end, until interrupted")
    add_filter_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    return reported(NAME, lambda: show(arguments, time.sleep))


def show(arguments: argparse.Namespace, sleep: Callable[[float], None]) -> int:
    """Prints the calls; with `--follow` until the caller interrupts it. `sleep` is what waits between two looks."""
    wanted = filters(arguments)
    tell = _print_json if arguments.json else _table_printer()
    with reading(configured(arguments, os.environ)) as ledger:
        try:
            _show(ledger, wanted, arguments.limit, tell, sleep if arguments.follow else None)
        except KeyboardInterrupt:
            return 0
    return 0


def _show(
    ledger: sqlite3.Connection, wanted: Filters, limit: int, tell: Print, sleep: Callable[[float], None] | None
) -> None:
    ledger.execute("BEGIN")  # one view for both questions: no call is shown twice or left out between them
    place = last_place(ledger)
    calls = list_calls(ledger, wanted, limit)
    ledger.execute("COMMIT")
    tell(calls[::-1])
    while sleep is not None:
        sleep(POLL_S)
        calls, place = calls_after(ledger, place, wanted)
        tell(calls)


def _print_json(calls: Sequence[Json]) -> None:
    for call in calls:
        print(msgspec.json.encode(call).decode())
    sys.stdout.flush()


def _table_printer() -> Print:
    table = Table(_COLUMNS, sys.stdout, os.environ, right=_RIGHT, colours=_COLOURS)
    return lambda calls: table.print([_cells(call) for call in calls])


def _cells(call: Json) -> tuple[object, ...]:
    tokens, attempts = call["tokens"], call["attempts"]
    used = [count for count in tokens.values() if count is not None] if isinstance(tokens, dict) else []
    provider, model = call["provider"], call["model"]
    return (
        str(call["started_at"])[:19].replace("T", " "),
        call["id"],
        call["key"],
        call["route"],
        None if provider is None else f"{provider}/{model}",
        call["outcome"],
        call["error"],
        len(attempts) if isinstance(attempts, list) else None,
        sum(used) if used else None,
        call["cost_usd"],
        _rounded(call["first_byte_ms"]),
        _rounded(call["total_ms"]),
    )


def _rounded(milliseconds: object) -> str | None:
    return f"{milliseconds:.1f}" if isinstance(milliseconds, float) else None


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_CALLS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MOST_CALLS}")
    return number
