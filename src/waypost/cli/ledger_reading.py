"""What the commands that read the ledger share: which file, which calls, and what is said when there is none."""

import argparse
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

from waypost.config.errors import ConfigError
from waypost.config.model import Config
from waypost.config.reader import find_config, load_config
from waypost.ledger.errors import LedgerError
from waypost.ledger.questions import Filters
from waypost.ledger.records import Outcome
from waypost.ledger.sqlite import ledger_path, open_ledger
from waypost.ledger.times import parse_time

FAILED = 1
USAGE = 2

_NAMES = {
    "route": "calls of this route",
    "task": "calls of this task type",
    "provider": "calls served by this provider",
    "model": "calls served by this model",
    "key": "calls by this key",
    "team": "calls by this team",
    "error": "calls with this kind of error",
}


def configured(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Config:
    """Raises ConfigError. Without a file the ledger is where it is by default. Who reads it needs no secrets."""
    path = find_config(arguments.config, environ)
    return Config(revision="") if path is None else load_config(path, environ, with_secrets=False)


@contextmanager
def reading(config: Config) -> Iterator[sqlite3.Connection]:
    """The configured ledger. Raises LedgerError."""
    with closing(open_ledger(ledger_path(config.store), readonly=True)) as ledger:
        yield ledger


def reported(name: str, work: Callable[[], int]) -> int:
    """Runs a command's work; what goes wrong with configuration or ledger becomes a message and an exit code."""
    try:
        return work()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return USAGE
    except (LedgerError, sqlite3.Error) as error:
        print(f"waypost {name}: {error}", file=sys.stderr)
        return FAILED


def add_filter_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since", type=_moment, metavar="TIME", help="calls started from then on: 2026-01-31T12:00:00Z, 10m, 2h, 3d"
    )
    parser.add_argument("--until", type=_moment, metavar="TIME", help="calls started before then")
    for name, meaning in _NAMES.items():
        parser.add_argument(f"--{name}", metavar="NAME", help=meaning)
    parser.add_argument("--tag", metavar="NAME[=VALUE]", help="calls with this tag")
    parser.add_argument("--outcome", choices=[outcome.value for outcome in Outcome], help="calls that ended like this")


def filters(arguments: argparse.Namespace) -> Filters:
    return Filters(
        since=arguments.since,
        until=arguments.until,
        tag=arguments.tag,
        outcome=arguments.outcome,
        **{name: getattr(arguments, name) for name in _NAMES},
    )


def _moment(text: str) -> int:
    try:
        return parse_time(text, time.time_ns())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
