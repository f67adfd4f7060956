"""`waypost budgets`: what each budget has spent in its window, and what a running gateway holds for calls under way."""

import argparse
import os
import sqlite3
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException

import msgspec
from msgspec import Struct

from waypost.cli.ledger_reading import configured, reading, reported
from waypost.cli.table import Table
from waypost.config.model import Address, Budget, Config
from waypost.governance.money import dollars
from waypost.governance.windows import window_at
from waypost.ledger.questions import Json
from waypost.ledger.records import window_start
from waypost.ledger.sqlite import spent
from waypost.ledger.times import rfc3339

NAME = "budgets"
HELP = "show what is spent and reserved"

_STATUS_S = 1.0
_LONGEST_STATUS = 16 * 1024 * 1024
_NUMBERS = ("limit $", "spent $", "reserved $")
_COLUMNS = ("name", "window", *_NUMBERS, "resets at")
_MEMBERS = ("name", "window", "limit_usd", "spent_usd", "reserved_usd", "resets_at")


class _Live(Struct):
    name: str
    window: str | None = None
    limit_usd: str | None = None
    spent_usd: str | None = None
    reserved_usd: str | None = None
    resets_at: str | None = None


class _Status(Struct):
    """Of the admin listener's /status, the part that is read here."""

    budgets: list[_Live] = []


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(arguments: argparse.Namespace) -> int:
    return reported(NAME, lambda: _show(arguments))


def _show(arguments: argparse.Namespace) -> int:
    config = configured(arguments, os.environ)
    live = running(config.server.admin)
    with reading(config) as ledger:
        # Without a file (simulated providers, say) only the gateway that runs knows what its budgets are.
        if config.path:
            budgets = told_budgets(config, ledger, reserved(live), time.time())
        else:
            budgets = [{member: getattr(each, member) for member in _MEMBERS} for each in live]
    if arguments.json:
        for budget in budgets:
            print(msgspec.json.encode(budget).decode())
    else:
        rows = [[budget[member] for member in _MEMBERS] for budget in budgets]
        Table(_COLUMNS, sys.stdout, os.environ, right=_NUMBERS).print(rows)
    return 0


def told_budgets(
    config: Config, ledger: sqlite3.Connection, held: Mapping[str, str | None], now_s: float
) -> list[Json]:
    """Every configured budget as the contract shows it. `held` is what is reserved, by name: None where not known."""
    return [_told(budget, ledger, held.get(budget.name), now_s) for budget in config.budgets]


def _told(budget: Budget, ledger: sqlite3.Connection, held: str | None, now_s: float) -> Json:
    starts, ends = window_at(budget.window, now_s)
    window = (budget.name, window_start(starts))
    return {
        "name": budget.name,
        "limit_usd": dollars(budget.limit),
        "window": budget.window.value,
        "spent_usd": dollars(spent(ledger, [window])[window]),
        "reserved_usd": held,
        "resets_at": None if ends == float("inf") else f"{rfc3339(int(ends) * 1_000_000_000)[:19]}Z",
    }


def reserved(live: Sequence[_Live]) -> dict[str, str | None]:
    """What a running gateway holds for calls under way, by budget."""
    return {budget.name: budget.reserved_usd for budget in live}


def running(admin: Address) -> Sequence[_Live]:
    """The budgets of the gateway at this address; none where none answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{admin.reachable}/status", timeout=_STATUS_S) as answer:
            status = msgspec.json.decode(answer.read(_LONGEST_STATUS), type=_Status)
    except (OSError, HTTPException, msgspec.MsgspecError):
        return ()
    return status.budgets
