"""`kill -9` at random moments under load, again and again: one row for every accepted call, and the budgets still hold.

Three witnesses that a kill does not touch: the simulator (whom did a call reach), the callers (what came back), and the
journal's files as the dead process left them (what was accepted, what had ended). `WAYPOST_KILLS` and `WAYPOST_SEEDS`
make a longer run.
"""

import asyncio
import os
import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from journeys.process import PATIENCE_S, Caller, Gateway
from waypost.sim import Fault, FaultKind, Latency, Lognormal, Model, Received, Script, Simulator

KILLS = int(os.environ.get("WAYPOST_KILLS", "50"))
SEEDS = [int(seed) for seed in os.environ.get("WAYPOST_SEEDS", "1").split()]
CALLERS = 24
DIE_YOUNG = 0.15  # of all lives are followed by one that does not get as far as serving
NANO = 1_000_000_000
# The first is used up before the kills are over, the second never is.
LIMITS = {"tight": Decimal("0.2"), "wide": Decimal(50)}
CUT = (ConnectionError, asyncio.IncompleteReadError)

Charge = tuple[str, int, int]

CONFIGURATION = """
server: {{ listen: '127.0.0.1:0', admin: '127.0.0.1:0' }}
store: {{ ledger: 'sqlite:///waypost.db' }}
providers:
  one: {{ kind: openai, base_url: 'http://{address}/v1', api_key: sk-one, class: local, prices: {prices} }}
  two: {{ kind: anthropic, base_url: 'http://{address}', api_key: sk-two, class: local, prices: {prices} }}
routes:
  here: {{ targets: [one/gpt, two/claude] }}
  there: {{ targets: [two/claude, one/gpt] }}
budgets:
  - {{ name: tight, limit_usd: {tight}, window: none, match: {{ tag: purse=tight }} }}
  - {{ name: wide, limit_usd: {wide}, window: none }}
breaker: {{ minimum: 100000, consecutive: 100000 }}
"""


def configuration(address: str) -> str:
    prices = "{ '*': { input: 1.25, output: 10 } }"
    return CONFIGURATION.format(address=address, prices=prices, **LIMITS)


class Witness(Simulator):
    """Remembers every call that reached a provider, by the number in its prompt, and tells when so many have."""

    def __init__(self, seed: int) -> None:
        model = Model(
            latency=Latency(first_byte=Lognormal(median_ms=15, p95_ms=60), per_token_ms=1.0),
            faults=(
                Fault(kind=FaultKind.STATUS_500, probability=0.1),
                Fault(kind=FaultKind.TRUNCATED, probability=0.1),
            ),
        )
        super().__init__(Script(models={"*": model}, strict=False), seed=seed)
        self.reached: set[int] = set()

    def answer(self, received: Received) -> Any:
        self.reached.add(int(received.body.partition(b"call ")[2].partition(b":")[0]))
        return super().answer(received)


class Left:
    """What the journals of dead processes say, by call. A segment is there until its rows are, so nothing is missed."""

    def __init__(self) -> None:
        self.reserved: dict[str, list[Charge]] = {}
        self.charged: dict[str, list[Charge]] = {}
        self.outcomes: dict[str, str] = {}

    def read(self, folder: Path) -> None:
        for segment in sorted(folder.glob("*.journal")):
            whole, _, _ = segment.read_bytes().rpartition(b"\n")
            for line in whole.splitlines():
                self._note(msgspec.json.decode(line))

    def _note(self, entry: list[Any]) -> None:
        # The places of these members in an entry; records.py has their names.
        match entry[0]:
            case "a":
                self.reserved[entry[1]] = entry[-1]
            case "e":
                self.outcomes[entry[1]] = entry[-1][9]
                self.charged[entry[1]] = entry[-3]

    @property
    def cut(self) -> set[str]:
        """Accepted and never ended."""
        return set(self.reserved) - set(self.outcomes)

    def spent(self) -> dict[str, int]:
        spent: defaultdict[str, int] = defaultdict(int)
        for charges in (*self.charged.values(), *(self.reserved[call] for call in self.cut)):
            for budget, _, nano in charges:
                spent[budget] += nano
        return spent


class Callers:
    """Keep calling until the gateway dies under them. Every call has a number of its own for all time."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.numbers = 0
        self.answered: dict[str, int] = {}  # call → number, of every answer whose head came
        self.whole: set[int] = set()
        self.refused: set[int] = set()

    async def call_on(self, address: str) -> None:
        caller = Caller(address)
        try:
            while True:
                await self.call(caller)
        except CUT:
            caller.hang_up()

    async def call(self, caller: Caller) -> None:
        self.numbers += 1
        number = self.numbers
        path, body, tags = self.question(number)
        await caller.send(path, body, {"anthropic-version": "2023-06-01", "x-waypost-tags": tags})
        answer = await caller.head()
        self.answered[answer.call] = number
        await caller.finish(answer)
        assert answer.status in {200, 402, 502}, answer
        (self.refused if answer.status == 402 else self.whole).add(number)

    def question(self, number: int) -> tuple[str, dict[str, Any], str]:
        chance = self.chance
        text = f"call {number}: [[sim:words={chance.randint(5, 120)}]]"
        body: dict[str, Any] = {
            "model": chance.choice(["here", "there"]),
            "messages": [{"role": "user", "content": text}],
            "max_tokens": chance.randint(20, 150),
            "stream": chance.random() < 0.5,
        }
        tags = f"n={number}" + (",purse=tight" if chance.random() < 0.5 else "")
        return chance.choice(["/v1/chat/completions", "/v1/messages"]), body, tags


async def live_and_die(folder: Path, callers: Callers, witness: Witness) -> dict[str, dict[str, Any]]:
    """One life under load, ended at a random moment. Returns the budgets as they were before its first call."""
    gateway = await Gateway.serve(folder)
    budgets = await gateway.budgets()
    calling = asyncio.gather(*(callers.call_on(gateway.address) for _ in range(CALLERS)))
    enough = len(witness.reached) + callers.chance.randint(0, 2 * CALLERS)
    async with asyncio.timeout(PATIENCE_S):
        await witness.until(lambda: len(witness.reached) >= enough)
    # Not at once: what happens in the turn of the loop in which a call arrives is only a part of a call's life.
    asyncio.get_running_loop().call_later(callers.chance.uniform(0, 0.05), gateway.process.kill)
    await gateway.ended()
    await calling
    return budgets


async def die_young(folder: Path, chance: random.Random) -> None:
    """Killed while it starts, which is when it recovers what the one before it left."""
    gateway = await Gateway.spawn(folder)
    asyncio.get_running_loop().call_later(chance.uniform(0.1, 0.5), gateway.process.kill)
    await gateway.ended()


def rows_of(database: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(database)) as ledger:
        ledger.row_factory = sqlite3.Row
        number = "CAST(json_extract(tags, '$.n') AS INTEGER) AS number"
        return [
            dict(row) for row in ledger.execute(f"SELECT id, outcome, cost_nano, started_ns, tags, {number} FROM calls")
        ]


def recorded(database: Path) -> dict[str, int]:
    with closing(sqlite3.connect(database)) as ledger:
        return dict(ledger.execute("SELECT budget, nano FROM spend"))


def in_dollars(budgets: dict[str, dict[str, Any]], part: str) -> dict[str, Decimal]:
    return {name: Decimal(budget[f"{part}_usd"]) for name, budget in budgets.items()}


def as_dollars(spent: dict[str, int]) -> dict[str, Decimal]:
    return {name: Decimal(spent.get(name, 0)) / NANO for name in LIMITS}


@pytest.mark.parametrize("seed", SEEDS)
async def test_killed_again_and_again(seed: int, tmp_path: Path) -> None:
    witness, callers, left = Witness(seed), Callers(seed), Left()
    young = 0
    async with witness.serve() as address:
        (tmp_path / "waypost.yaml").write_text(configuration(address))
        for _ in range(KILLS):
            if callers.chance.random() < DIE_YOUNG:
                young += 1
                await die_young(tmp_path, callers.chance)
            before = as_dollars(left.spent())
            budgets = await live_and_die(tmp_path, callers, witness)
            left.read(tmp_path / "waypost.journal")
            assert in_dollars(budgets, "spent") == before, "a restart knows what was spent, and what may have been"
            assert not any(in_dollars(budgets, "reserved").values())
        gateway = await Gateway.serve(tmp_path)
        budgets = await gateway.budgets()
        assert await gateway.stop() == 0
    rows = rows_of(tmp_path / "waypost.db")
    outcomes = Counter(row["outcome"] for row in rows)
    spent = as_dollars(left.spent())
    print(
        f"seed {seed}: {KILLS} kills under load and {young} at the start; {callers.numbers} calls sent, "
        f"{len(witness.reached)} reached a provider; rows {dict(outcomes)}; spent {spent}"
    )
    assert in_dollars(budgets, "spent") == as_dollars(recorded(tmp_path / "waypost.db")) == spent
    check_rows(rows, callers, witness, left)
    check_budgets(rows, spent)


def check_rows(rows: list[dict[str, Any]], callers: Callers, witness: Witness, left: Left) -> None:
    numbers = Counter(row["number"] for row in rows)
    assert numbers.keys() <= set(range(1, callers.numbers + 1))
    assert max(numbers.values()) == 1, "a call has two rows"
    lost = witness.reached - set(numbers)
    assert not lost, f"calls that reached a provider and have no row: {sorted(lost)}"
    by_id = {row["id"]: row for row in rows}
    assert {call: by_id[call]["number"] if call in by_id else None for call in callers.answered} == callers.answered
    assert {call: row["outcome"] for call, row in by_id.items()} == {
        **left.outcomes,
        **dict.fromkeys(left.cut, "interrupted"),
    }
    by_number = {row["number"]: row["outcome"] for row in rows}
    assert all(by_number[number] != "refused" for number in witness.reached), "refused, and sent all the same"
    assert all(by_number[number] == "refused" for number in callers.refused)
    # A kill between an answer's last byte and the end's entry leaves a row that knows less than the caller.
    late = [number for number in callers.whole if by_number[number] == "interrupted"]
    assert len(late) <= KILLS, f"{len(late)} calls were answered whole and are told to be cut"
    assert left.cut, "nothing was under way at any kill"


def check_budgets(rows: Iterable[dict[str, Any]], spent: dict[str, Decimal]) -> None:
    known: dict[str, int] = dict.fromkeys(LIMITS, 0)
    for row in rows:
        known["wide"] += row["cost_nano"] or 0
        if "tight" in row["tags"]:
            known["tight"] += row["cost_nano"] or 0
    for name, limit in LIMITS.items():
        assert Decimal(known[name]) / NANO <= spent[name] <= limit
    if KILLS >= 50:
        assert spent["tight"] > LIMITS["tight"] * 9 / 10, "the limit was never near"
