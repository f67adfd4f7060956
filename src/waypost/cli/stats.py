"""`waypost stats`: cost, tokens, errors and latency, rolled up."""

import argparse
import os
import sys

import msgspec

from waypost.cli.ledger_reading import add_filter_arguments, configured, filters, reading, reported
from waypost.cli.table import Table
from waypost.ledger.questions import Json
from waypost.ledger.statistics import Grouping, stats

NAME = "stats"
HELP = "roll up cost and latency"

_LATENCIES = {"first p50": ("first_byte_ms", "p50"), "first p95": ("first_byte_ms", "p95")} | {
    "total p50": ("total_ms", "p50"),
    "total p95": ("total_ms", "p95"),
    "total mean": ("total_ms", "mean"),
}
_NUMBERS = ("calls", "ok", "errors", "error %", "tokens in", "tokens out", "cost $", "unpriced", *_LATENCIES)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by", choices=[by.value for by in Grouping], default=Grouping.ROUTE.value, help="default: %(default)s"
    )
    add_filter_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    return reported(NAME, lambda: _show(arguments))


def _show(arguments: argparse.Namespace) -> int:
    by = Grouping(arguments.by)
    wanted = filters(arguments)
    with reading(configured(arguments, os.environ)) as ledger:
        groups = stats(ledger, by, wanted)
    if arguments.json:
        for group in groups:
            print(msgspec.json.encode(group).decode())
    else:
        Table((by.value, *_NUMBERS), sys.stdout, os.environ, right=_NUMBERS).print([_cells(group) for group in groups])
    return 0


def _cells(group: Json) -> tuple[object, ...]:
    rate, tokens = group["error_rate"], group["tokens"]
    return (
        group["group"],
        group["calls"],
        group["ok"],
        group["errors"],
        f"{rate * 100:.1f}" if isinstance(rate, float) else None,
        _sum(tokens, ("input", "cache_read", "cache_write")),
        _sum(tokens, ("output", "reasoning")),
        group["cost_usd"],
        group["unpriced"],
        *(_latency(group[member], figure) for member, figure in _LATENCIES.values()),
    )


def _sum(tokens: object, kinds: tuple[str, ...]) -> int | None:
    known = [tokens[kind] for kind in kinds if tokens[kind] is not None] if isinstance(tokens, dict) else []
    return sum(known) if known else None


def _latency(figures: object, name: str) -> str | None:
    return f"{figures[name]:.1f}" if isinstance(figures, dict) else None
