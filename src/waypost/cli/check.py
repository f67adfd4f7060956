"""`waypost check`: reads a configuration, and prepares what a start prepares, without listening or calling anyone."""

import argparse
import json
import os
import sys
from collections.abc import Mapping

from waypost.config.advice import advise
from waypost.config.environment import config_from_environment
from waypost.config.errors import ConfigError
from waypost.config.model import Config, ProblemAt
from waypost.config.reader import find_config, load_config
from waypost.conversation.faults import WaypostError

NAME = "check"
HELP = "validate a configuration the way a start would"
USAGE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None beyond those of every command."""


def run(arguments: argparse.Namespace) -> int:
    """0 if it could be served, 2 with every problem if not. Advice is printed and changes nothing."""
    path = find_config(arguments.config, os.environ)
    try:
        config = load_config(path, os.environ) if path is not None else config_from_environment(os.environ)
        prepare(config, os.environ)
    except ConfigError as error:
        _print_problems(error.problems, arguments.json)
        return USAGE
    except (WaypostError, OSError, ValueError) as error:
        _print_problems((ProblemAt(path or "environment", 1, "", str(error)),), arguments.json)
        return USAGE
    _print_good(config, arguments.json)
    return 0


def prepare(config: Config, environ: Mapping[str, str]) -> None:
    """What a start makes of a configuration before it listens: routes, prices, lines, keys, certificates."""
    from waypost.app import build_keyring, build_lines
    from waypost.governance.pricing import packaged_prices
    from waypost.routing.tables import compile_tables

    compile_tables(config, packaged_prices())
    build_lines(config, environ)
    build_keyring(config, environ)
    if config.server.tls is not None:
        from waypost.server.tls import server_context

        server_context(config.server.tls)


def _print_problems(problems: tuple[ProblemAt, ...], as_json: bool) -> None:
    if as_json:
        found = [{name: getattr(one, name) for name in one.__struct_fields__} for one in problems]
        print(json.dumps({"ok": False, "problems": found}))
        return
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}: nothing would start", file=sys.stderr)


def _print_good(config: Config, as_json: bool) -> None:
    advice = advise(config)
    counts = {part: len(getattr(config, part)) for part in ("providers", "routes", "tasks", "budgets", "keys")}
    if as_json:
        print(
            json.dumps(
                {"ok": True, "file": config.path, "revision": config.revision, **counts, "advice": list(advice)},
            )
        )
        return
    where = config.path or "no file, so from the environment"
    numbers = ", ".join(f"{number} {part if number != 1 else part[:-1]}" for part, number in counts.items())
    print(f"ok: {where}: revision {config.revision}, {numbers}")
    if not config.providers:
        print("note: no provider is configured, so `waypost serve` serves simulated ones")
    for sentence in advice:
        print(f"note: {sentence}")
