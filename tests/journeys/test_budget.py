"""200 concurrent callers against one dollar: random prices, faults, streams, hang-ups. The limit holds at every moment.

`WAYPOST_SEEDS="1 2 3"` runs other seeds; each is in the test's name.
"""

import asyncio
import os
import random
import sqlite3
from collections import Counter
from contextlib import closing
from decimal import Decimal
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from journeys.process import Answer, Caller, Gateway
from waypost.sim import Fault, FaultKind, Latency, Lognormal, Model, Received, Script, Simulator

SEEDS = [int(seed) for seed in os.environ.get("WAYPOST_SEEDS", "1").split()]
CALLERS = 200
UNCOUNTED = 8  # callers of another team, whom the budget does not concern
LIMIT, TAGGED_LIMIT = Decimal(1), Decimal("0.25")
NANO = 1_000_000_000
FEW = CALLERS // 20  # let in, in a round of refusals: what is left is too small for nearly everyone
KEYS = {"a": "key-of-team-a", "b": "key-of-team-b"}
CUT = (ConnectionError, asyncio.IncompleteReadError)

# model → its provider. Each has faults of its own, so that routes fall back in every direction.
MODELS = {"gpt-one": "one", "gpt-two": "one", "claude-one": "two", "claude-two": "two"}
SPOILT = {
    "gpt-one": {"status_500": 0.05, "truncated": 0.05, "no_usage": 0.1, "status_400": 0.02},
    "gpt-two": {"reset_before": 0.03, "error_event": 0.05, "malformed_json": 0.03, "status_429": 0.01},
    "claude-one": {"reset_after": 0.06, "status_529": 0.05, "no_usage": 0.05, "context_overflow": 0.02},
    "claude-two": {"truncated_chunk": 0.05, "stall_mid": 0.01, "close_before": 0.04, "duplicate_usage": 0.1},
}
ROUTES = ("steady", "spread", *(f"{provider}/{model}" for model, provider in MODELS.items()))

Prices = dict[str, dict[str, Decimal]]


def script() -> Script:
    latency = Latency(first_byte=Lognormal(median_ms=5, p95_ms=40))
    streaming = Latency(first_byte=2.0, per_token_ms=0.2)
    models = {
        model: Model(
            latency=streaming if model == "claude-two" else latency,
            faults=tuple(
                Fault(kind=FaultKind(kind), probability=probability, after=3 if kind == "error_event" else None)
                for kind, probability in faults.items()
            ),
        )
        for model, faults in SPOILT.items()
    }
    return Script(models=models, strict=False)


def random_prices(chance: random.Random) -> Prices:
    """Dollars per million tokens: such that a few thousand calls cost a dollar."""

    def between(low: float, high: float) -> Decimal:
        return Decimal(str(round(chance.uniform(low, high), 4)))

    prices = {model: {"input": between(0.02, 1.5), "output": between(0.3, 6)} for model in MODELS}
    prices["claude-two"]["reasoning"] = between(0.3, 8)
    prices["gpt-two"]["cache_read"] = between(0.01, 0.5)
    return prices


def configuration(address: str, prices: Prices) -> str:
    def told(provider: str) -> str:
        each = (
            f"{model}: {{{', '.join(f'{kind}: {price}' for kind, price in kinds.items())}}}"
            for model, kinds in prices.items()
            if MODELS[model] == provider
        )
        return ", ".join(each)

    return f"""
server: {{ listen: '127.0.0.1:0', admin: '127.0.0.1:0' }}
store: {{ ledger: 'sqlite:///waypost.db' }}
providers:
  one: {{ kind: openai, base_url: 'http://{address}/v1', api_key: sk-one, class: local, prices: {{ {told("one")} }} }}
  two: {{ kind: anthropic, base_url: 'http://{address}', api_key: sk-two, class: local, prices: {{ {told("two")} }} }}
routes:
  steady: {{ targets: [one/gpt-one, two/claude-one], fallbacks: [one/gpt-two], timeouts: {{ stall_s: 0.3 }} }}
  spread:
    targets: [ {{ model: two/claude-two, weight: 3 }}, {{ model: one/gpt-two, weight: 2 }} ]
    fallbacks: [two/claude-one, one/gpt-one]
    timeouts: {{ stall_s: 0.3 }}
budgets:
  - {{ name: team-a, limit_usd: {LIMIT}, window: none, match: {{ team: a }} }}
  - {{ name: search, limit_usd: {TAGGED_LIMIT}, window: none, match: {{ tag: project=search }} }}
keys:
  - {{ name: a, key: '{KEYS["a"]}', team: a }}
  - {{ name: b, key: '{KEYS["b"]}', team: b }}
# What is looked at here is money: no breaker comes between.
breaker: {{ minimum: 100000, consecutive: 100000 }}
"""


class Witness(Simulator):
    """Remembers which calls reached a provider, by the number in the prompt."""

    def __init__(self, seed: int) -> None:
        super().__init__(script(), seed=seed)
        self.reached: set[int] = set()

    def answer(self, received: Received) -> Any:
        self.reached.add(int(received.body.partition(b"call ")[2].partition(b":")[0]))
        return super().answer(received)


class Crowd:
    """Callers that share a purse. They look at what is spent while they spend it."""

    def __init__(self, gateway: Gateway, folder: Path, seed: int) -> None:
        self.gateway = gateway
        self.chance = random.Random(seed)
        self.numbers = 0
        self.unsure: set[int] = set()  # hung up before anything came back: they may never have been read
        self.statuses: Counter[int] = Counter()
        self.hung_up = 0
        self.looks = self.rounds = 0
        self.answered: dict[str, int] = {}
        self._database = folder / "waypost.db"
        self._spent: dict[str, Decimal] = {}

    async def spend(self, caller: Caller, team: str, most: int | None = None) -> int:
        """Calls until the purse is too small for one, or `most` times. Returns how many were let in."""
        let_in = 0
        while most is None or let_in < most:
            answer = await self.call(caller, team)
            if answer is not None and answer.status == 402:
                return let_in
            let_in += 1
            if sum(self.statuses.values()) % 25 == 0:
                await self.look()
        return let_in

    async def call(self, caller: Caller, team: str) -> Answer | None:
        """None where the caller hung up."""
        self.numbers += 1
        number = self.numbers
        path, body, headers = self.question(number, team)
        patience = self.chance.random()
        await caller.send(path, body, headers)
        if patience < 0.02:
            self.unsure.add(number)
            caller.hang_up()
            self.hung_up += 1
            return None
        answer = await caller.head()
        self.statuses[answer.status] += 1
        assert answer.status in {200, 400, 402, 502, 504}, answer
        self.answered[answer.call] = number
        if answer.status == 200 and patience < 0.07:
            await caller.piece(answer)
            caller.hang_up()
            self.hung_up += 1
            return None
        return await caller.finish(answer)

    def question(self, number: int, team: str) -> tuple[str, dict[str, Any], dict[str, str]]:
        chance = self.chance
        text = f"call {number}: [[sim:words={chance.randint(5, 250)}]] " + "what else? " * chance.randint(0, 120)
        body: dict[str, Any] = {"model": chance.choice(ROUTES), "messages": [{"role": "user", "content": text}]}
        if chance.random() < 0.5:
            body["stream"] = True
        tags = f"n={number}" + (",project=search" if chance.random() < 0.3 else "")
        headers = {"authorization": f"Bearer {KEYS[team]}", "x-waypost-tags": tags, "x-waypost-timeout": "1"}
        if chance.random() < 0.4:
            body["max_tokens"] = chance.randint(8, 400)
            headers["anthropic-version"] = "2023-06-01"
            return "/v1/messages", body, headers
        if chance.random() < 0.6:
            body[chance.choice(["max_tokens", "max_completion_tokens"])] = chance.randint(8, 400)
        if body.get("stream") and chance.random() < 0.5:
            body["stream_options"] = {"include_usage": True}
        return "/v1/chat/completions", body, headers

    async def look(self) -> None:
        """What the gateway and the ledger say at this moment."""
        self.looks += 1
        for name, budget in (await self.gateway.budgets()).items():
            limit, spent, held = (Decimal(budget[f"{part}_usd"]) for part in ("limit", "spent", "reserved"))
            assert held >= 0 and spent + held <= limit, budget
            assert spent >= self._spent.get(name, 0), "what was spent can't be taken back"
            self._spent[name] = spent
        for name, nano in recorded(self._database).items():
            assert nano <= (LIMIT if name == "team-a" else TAGGED_LIMIT) * NANO


def recorded(database: Path) -> dict[str, int]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as ledger:
        return dict(ledger.execute("SELECT budget, nano FROM spend"))


async def spend_it_all(crowd: Crowd, address: str) -> None:
    """Rounds, each of which begins with nothing held and ends when everybody was refused: until few are let in."""
    callers = [Caller(address) for _ in range(CALLERS + UNCOUNTED)]
    others = asyncio.gather(*(crowd.spend(caller, "b", most=30) for caller in callers[CALLERS:]))
    let_in = CALLERS
    while let_in > FEW:
        let_in = sum(await asyncio.gather(*(crowd.spend(caller, "a") for caller in callers[:CALLERS])))
        await crowd.gateway.idle()
        crowd.rounds += 1
    await others
    for caller in callers:
        caller.hang_up()


def rows_of(database: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(database)) as ledger:
        ledger.row_factory = sqlite3.Row
        number = "CAST(json_extract(tags, '$.n') AS INTEGER) AS number"
        project = "json_extract(tags, '$.project') AS project"
        return [dict(row) for row in ledger.execute(f"SELECT *, {number}, {project} FROM calls")]


def exact_cost(row: dict[str, Any], prices: Prices) -> int:
    """What the row's tokens cost by the test's own prices: nano-dollars, rounded up."""
    price = prices[row["model"]]
    kinds = {"cache_read": "input", "cache_write": "input", "reasoning": "output"}
    total = Fraction(0)
    for kind in ("input", "output", *kinds):
        each = price.get(kind, price[kinds.get(kind, kind)])
        total += Fraction(each) * 1000 * (row[kind] or 0)
    return ceil(total)


def check_rows(crowd: Crowd, witness: Witness, rows: list[dict[str, Any]], prices: Prices) -> None:
    numbers = Counter(row["number"] for row in rows)
    assert max(numbers.values()) == 1, "a call has two rows"
    missing = set(range(1, crowd.numbers + 1)) - set(numbers)
    assert missing <= crowd.unsure, f"calls without a row: {sorted(missing - crowd.unsure)}"
    assert witness.reached <= set(numbers), "a provider was called without a row"
    assert {row["id"]: row["number"] for row in rows}.items() >= crowd.answered.items()
    for row in rows:
        if row["outcome"] == "ok":
            assert row["cost_nano"] is not None
        if row["cost_nano"] is not None:
            exact = exact_cost(row, prices)
            assert row["cost_nano"] == exact or (row["estimated"] and row["cost_nano"] < exact), row
        assert row["outcome"] in {"ok", "refused", "failed", "cancelled", "truncated"}, row
        if row["outcome"] == "refused":
            assert row["number"] not in witness.reached, "refused, and sent all the same"


@pytest.mark.parametrize("seed", SEEDS)
async def test_two_hundred_callers_and_one_dollar(seed: int, tmp_path: Path) -> None:
    prices = random_prices(random.Random(seed))
    witness = Witness(seed)
    async with witness.serve() as address:
        (tmp_path / "waypost.yaml").write_text(configuration(address, prices))
        gateway = await Gateway.serve(tmp_path)
        crowd = Crowd(gateway, tmp_path, seed)
        try:
            await spend_it_all(crowd, gateway.address)
            await crowd.look()
            budgets = await gateway.budgets()
            metrics = await metrics_of(gateway)
            assert await gateway.stop() == 0
            gateway = await Gateway.serve(tmp_path)
            assert await gateway.budgets() == budgets, "a restart knows what was spent"
        finally:
            await gateway.kill()
    rows = rows_of(tmp_path / "waypost.db")
    print(
        f"seed {seed}: {len(rows)} rows, {crowd.rounds} rounds, {dict(crowd.statuses)}, {crowd.hung_up} hung up, "
        f"{crowd.looks} looks, spent {budgets['team-a']['spent_usd']} and {budgets['search']['spent_usd']}"
    )
    check_rows(crowd, witness, rows, prices)
    spent = recorded(tmp_path / "waypost.db")
    for name, limit, counted in (
        ("team-a", LIMIT, [row for row in rows if row["team"] == "a"]),
        ("search", TAGGED_LIMIT, [row for row in rows if row["project"] == "search"]),
    ):
        costs = sum(row["cost_nano"] or 0 for row in counted)
        assert costs == spent[name] == Decimal(budgets[name]["spent_usd"]) * NANO
        assert limit * NANO * 9 / 10 < costs <= limit * NANO
        assert Decimal(budgets[name]["reserved_usd"]) == 0, "a reservation was left open"
    assert b"waypost_budget_overshoots_total 0.0" in metrics
    assert any(row["team"] == "b" and row["cost_nano"] for row in rows), "the uncounted ones were served"
    assert crowd.looks > 20


async def metrics_of(gateway: Gateway) -> bytes:
    caller = Caller(gateway.admin)
    answer = await caller.ask("/metrics")
    caller.hang_up()
    return answer.body
