"""`kill -9` at random moments: every call that was acknowledged has exactly one row, and the budget adds up."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.entries import MONTH
from waypost.ledger.recovery import recover
from waypost.ledger.segments import FolderLock, segment_names
from waypost.ledger.sqlite import open_ledger, spent

RESERVED, CHARGED = 500, 300
ROOT = Path(__file__).parents[2]


def run_until_killed(folder: Path, database: Path | None, seed: int) -> tuple[set[str], set[str]]:
    """Calls acknowledged as accepted and as ended by a child that is killed after a random number of steps."""
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("crash_child.py")), str(folder), str(database or ""), str(seed)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])},
    )
    assert child.stdout is not None
    told = b""
    for _ in range(random.Random(seed).choice([1, 10, 100, 500, 1_500] if database else [1, 10, 100, 3_000, 10_000])):
        told += child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    told += child.stdout.read()
    child.stdout.close()
    child.wait()
    steps = [step.split() for step in told.decode().splitlines()]
    return {call for kind, call in steps if kind == "a"}, {call for kind, call in steps if kind == "e"}


def settled(ledger: sqlite3.Connection) -> dict[str, str]:
    rows = ledger.execute("SELECT id, outcome FROM calls").fetchall()
    assert len(rows) == len(dict(rows)), "a call has two rows"
    return dict(rows)


@pytest.mark.parametrize("moving", [False, True], ids=["journal alone", "with a mover"])
@pytest.mark.parametrize("seed", range(10))
def test_every_acknowledged_call_has_exactly_one_row(folder: Path, file: Path, seed: int, moving: bool) -> None:
    acknowledged, ends = run_until_killed(folder, file if moving else None, seed)
    assert acknowledged
    ledger = open_ledger(file)
    with FolderLock(folder):
        recovered = recover(folder, ledger)
    rows = settled(ledger)
    assert acknowledged <= set(rows)
    assert len(rows) - len(acknowledged) <= 1, (
        "only the call under way when it was killed may be on record unacknowledged"
    )
    assert all(rows[call] == "ok" for call in ends)
    interrupted = [call for call, outcome in rows.items() if outcome == "interrupted"]
    assert len(interrupted) == recovered.interrupted
    assert not set(interrupted) & ends
    expected = len(interrupted) * RESERVED + (len(rows) - len(interrupted)) * CHARGED
    assert spent(ledger, [("team-a", MONTH)])["team-a", MONTH] == expected
    assert ledger.execute("SELECT COUNT(*) FROM attempts").fetchone() == (len(rows) - len(interrupted),)
    assert segment_names(folder) == []
    assert recovered.damaged == 0
    ledger.close()


def test_crash_after_crash_on_one_ledger(folder: Path, file: Path) -> None:
    acknowledged: set[str] = set()
    for seed in range(100, 104):
        acknowledged |= run_until_killed(folder, file, seed)[0]
        ledger = open_ledger(file)
        with FolderLock(folder):
            recover(folder, ledger)
        assert acknowledged <= set(settled(ledger))
        ledger.close()
