"""The `waypost` command: picks a command's file, gives it the options every command has, turns errors into exit codes.

A command file exposes NAME, HELP, add_arguments(parser) and run(arguments) -> exit code. It is imported only when
named, so that `waypost calls` does not pay for the server.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

COMMANDS = {
    "serve": "start the gateway",
    "check": "validate a configuration the way a start would",
    "init": "write a first configuration from the environment",
    "doctor": "find out what is wrong with this installation",
    "sim": "serve simulated providers",
    "call": "make one call",
    "calls": "read the call log",
    "explain": "tell why a call went where it went",
    "stats": "roll up cost and latency",
    "budgets": "show what is spent and reserved",
    "bench": "measure the overhead on this machine",
}

FAILED = 1
USAGE = 2


def load_command(name: str) -> ModuleType:
    return import_module(f"waypost.cli.{name}")


def build_parser(named: str | None) -> argparse.ArgumentParser:
    """The whole parser; only the command `named` is imported and gets its own options."""
    from waypost import __version__

    parser = argparse.ArgumentParser(prog="waypost", description="A self-hosted LLM gateway and router.")
    parser.add_argument("--version", action="version", version=f"waypost {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        command.add_argument("--config", metavar="FILE", help="else $WAYPOST_CONFIG, else ./waypost.yaml")
        command.add_argument("--json", action="store_true", help="print JSON; lists print one object a line")
        if name == named:
            load_command(name).add_arguments(command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The console script. Exit codes: 0, 1 (it failed), 2 (usage or configuration)."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not all(map(_is_text, words)):
        print("waypost: an argument is not UTF-8 text", file=sys.stderr)
        return USAGE
    named = next((word for word in words if word in COMMANDS), None)
    arguments = build_parser(named).parse_args(words)
    try:
        return int(load_command(arguments.command).run(arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`waypost calls | head`): that is not a failure of ours.
        sys.stderr.close()
        return 0


def _is_text(word: str) -> bool:
    """False for bytes that Python could not decode: it smuggles them through as lone surrogates."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
