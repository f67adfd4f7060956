"""The reference of the command line, printed from the parser that reads it.

`python -m waypost.cli.reference` prints docs/commands.md.
"""

import argparse
import sys
from collections.abc import Iterator

from waypost.cli import COMMANDS, build_parser

_OPENING = """# Commands

*Printed by `python -m waypost.cli.reference`; a test fails while this page is not current.*

Every command takes `--config FILE` (else `$WAYPOST_CONFIG`, else `./waypost.yaml`) and `--json`: lists print one object
a line, for programs. Tables are aligned and coloured on a terminal only (`NO_COLOR` is heeded); elsewhere columns are
separated by tabs. `waypost --version` prints the version, `waypost COMMAND --help` what stands here.

Exit codes: 0; 1, it failed; 2, usage or configuration.

`calls`, `stats`, `explain` and `budgets` read the [ledger](ledger.md), whether a gateway runs or not, and
need none of the file's secrets; what they show is up to 0.3 seconds old. Times are UTC.
"""
_COMMON = ("help", "config", "json")

# What is worth knowing of a command beyond its options.
_NOTES = {
    "serve": """\
SIGTERM and SIGINT drain: new calls get a 503, those under way have `server.drain_s` to end. SIGHUP reads the
configuration again; one that can't be served leaves the old one serving, and the log says all that is wrong with it.
Changes of `server` and `store` need a restart. The log goes to standard error, one line an event; `--json` makes each
an object.

Without a file the environment's keys say which providers there are ([which](providers.md)); without those either,
the providers are [simulated](simulator.md). So they are with a file that names none: its `server`, `store` and `keys`
hold, and a reload waits for the first provider.
""",
    "check": """\
Takes the exact path of a start, but listens nowhere and calls nobody: exit code 2 and every problem with file, line and
path, or 0. Notes are advice: what is allowed and probably not meant.
""",
    "init": """\
Only the names of variables are written, never a key.
""",
    "doctor": """\
No key is sent anywhere. Each finding that is not good comes with what to do about it.
""",
    "sim": """\
What it answers and how it fails: [simulated providers](simulator.md).
""",
    "call": """\
Goes through the gateway that runs: the configured one, over TLS if it serves that, or the one at `--address`, over
plain HTTP. Where none runs and there is a configuration file, one is started for this call, with the configured ledger
and budgets.
""",
    "calls": """\
The filters can be combined. With `--follow`, calls are printed as they end, until it is interrupted.
`--json` prints the whole row: tokens by kind, the price that was applied, every attempt.
""",
    "explain": """\
The candidates with their verdicts ([routing](routing.md)), the order, the probability of each to be first, the
attempts. Exit code 1 if `--verify` comes to another choice.
""",
    "stats": """\
Takes the filters of `calls`. *Unpriced* counts calls whose cost is not known: they add nothing to the cost.
""",
    "budgets": """\
What is spent comes from the ledger, what is reserved from the running gateway (`-` without one). Without a
configuration file, both come from the running gateway.
""",
    "bench": """\
Beside nginx proxying the same bytes, with `wrk` for load. Where these are not installed, it says so and measures
without the ratio. The figures of another machine are not yours.

With `--translation` callers of all six protocols are answered by providers of all six, through a gateway: whole calls,
streams whose chunks come one by one, calls of 1 MB. A ratio is to the same caller's relayed call. Then the same for
readers and writers by themselves, without sockets and all else that a call costs.
""",
}
_EXAMPLES = {
    "serve": ("waypost serve", "waypost serve --config /etc/waypost/waypost.yaml --watch --json"),
    "check": ("waypost check", "waypost check --config new.yaml --json"),
    "init": ("waypost init",),
    "doctor": ("waypost doctor --offline",),
    "sim": ("waypost sim --listen 127.0.0.1:8090 --seed 7",),
    "call": ("waypost call 'Why is the sky blue?' --model fast --stream", "waypost call --task code < question.txt"),
    "calls": ("waypost calls --since 1h --outcome failed", "waypost calls --follow --team search --json"),
    "explain": ("waypost explain call_01a1fcef05da1d5d490661d9e3 --verify",),
    "stats": ("waypost stats --by model --since 7d", "waypost stats --by tag --tag project"),
    "budgets": ("waypost budgets",),
    "bench": ("waypost bench --seconds 2 --rounds 5", "waypost bench --translation --rounds 1"),
}


def commands() -> str:
    """docs/commands.md."""
    return "".join([_OPENING, *(part for name in COMMANDS for part in _command(name))])


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of one command, as `waypost` uses it."""
    for action in build_parser(name)._actions:
        if isinstance(action, argparse._SubParsersAction):
            found: argparse.ArgumentParser = action.choices[name]
            return found
    raise LookupError(name)


def _command(name: str) -> Iterator[str]:
    summary = COMMANDS[name]
    yield f"\n## waypost {name}\n\n{summary[0].upper()}{summary[1:]}.\n\n"
    yield "".join(f"    {line}\n" for line in _EXAMPLES[name])
    own = [action for action in parser_of(name)._actions if action.dest not in _COMMON]
    if own:
        yield "\n| option | meaning |\n|---|---|\n"
        yield from (f"| `{_shape(action)}` | {_meaning(action)} |\n" for action in own)
    yield f"\n{_NOTES[name]}"


def _shape(action: argparse.Action) -> str:
    if not action.option_strings:
        return str(action.metavar or action.dest.upper())
    name = ", ".join(action.option_strings)
    if action.nargs == 0:
        return name
    return f"{name} {action.metavar or action.dest.upper()}"


def _meaning(action: argparse.Action) -> str:
    text = (action.help or "") % {"default": f"`{action.default}`"}
    if action.choices is None:
        return text
    return ", ".join(f"`{choice}`" for choice in action.choices) + (f"; {text}" if text else "")


if __name__ == "__main__":
    sys.stdout.write(commands())
