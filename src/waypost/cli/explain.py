"""`waypost explain CALL`: why a call went where it went; `--verify` makes the decision again from its record."""

import argparse
import os
import sqlite3
import sys

import msgspec

from waypost.cli.ledger_reading import FAILED, configured, reported
from waypost.cli.ledger_reading import reading as read_ledger
from waypost.ledger.questions import calls_starting, get_call, get_decision, get_plan
from waypost.ledger.records import Outcome
from waypost.routing.explain import Verified, explain_text, verify

NAME = "explain"
HELP = "tell why a call went where it went"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("call", metavar="CALL", help="the call's id (x-waypost-call-id), or the start of one")
    parser.add_argument("--verify", action="store_true", help="decide again from the record; exit 1 if it differs")


def run(arguments: argparse.Namespace) -> int:
    return reported(NAME, lambda: _explain(arguments))


def _explain(arguments: argparse.Namespace) -> int:
    with read_ledger(configured(arguments, os.environ)) as ledger:
        return _tell(ledger, arguments)


def _tell(ledger: sqlite3.Connection, arguments: argparse.Namespace) -> int:
    found = calls_starting(ledger, arguments.call)
    row = get_call(ledger, found[0]) if len(found) == 1 or arguments.call in found else None
    if row is None:
        why = "is the start of more than one call" if found else "is not in the ledger (rows come within 0.3 s)"
        print(f"waypost explain: {arguments.call!r} {why}", file=sys.stderr)
        return FAILED
    decision = get_decision(ledger, str(row["id"]))
    if decision is None:
        print(_undecided(row))
        return FAILED if arguments.verify else 0
    plan = get_plan(ledger, str(msgspec.json.decode(decision)["plan"]))
    if plan is None:
        print(f"waypost explain: the plan of call {row['id']} is not in the ledger", file=sys.stderr)
        return FAILED
    verified = verify(plan, decision) if arguments.verify else None
    if arguments.json:
        print(_as_json(row, plan, decision, verified))
    else:
        print(explain_text(plan, decision, row))
        if verified is not None:
            print(_verdict(verified))
    return 0 if verified is None or verified.ok else FAILED


def _undecided(row: dict[str, object]) -> str:
    if row["outcome"] == Outcome.INTERRUPTED:
        return f"Call {row['id']} was interrupted: the process died during the call, and with it what it had decided."
    return f"Call {row['id']} was not routed: it ended as {row['outcome']} ({row['error']})."


def _verdict(verified: Verified) -> str:
    if verified.ok:
        return f"verified: decided again from the record, the choice is the same: {verified.chosen}"
    return "NOT the same when decided again:\n" + "\n".join(f"  {each}" for each in verified.differences)


def _as_json(row: dict[str, object], plan: bytes, decision: bytes, verified: Verified | None) -> str:
    told: dict[str, object] = {"call": row, "plan": msgspec.Raw(plan), "decision": msgspec.Raw(decision)}
    if verified is not None:
        told["verified"] = {"ok": verified.ok, "chosen": verified.chosen, "differences": verified.differences}
    return msgspec.json.encode(told).decode()
