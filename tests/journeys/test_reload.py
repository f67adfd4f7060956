"""A new configuration under a running gateway: a bad one changes nothing, a good one the next call and none before."""

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from journeys.process import PATIENCE_S, Answer, Caller, Gateway
from waypost.app import build_gateway
from waypost.config.errors import SecretError
from waypost.config.reader import read_config
from waypost.gateway.gateway import Gateway as Running
from waypost.governance.pricing import packaged_prices
from waypost.sim import Fault, FaultKind, Latency, Model, Script, Simulator

CHAT = "/v1/chat/completions"
GATED = Latency(first_byte=0.0, per_token_ms=1000.0)
SCRIPT = Script(
    models={
        "gated": Model(latency=GATED, words=3),
        "broken": Model(faults=(Fault(kind=FaultKind.STATUS_500),)),
    }
)
HEAD = """
server: {{ listen: '127.0.0.1:0', admin: '127.0.0.1:0' }}
store: {{ ledger: 'sqlite:///waypost.db' }}
providers:
  one: {{ kind: openai, base_url: 'http://{address}/v1', class: local, api_key: sk-one,
         prices: {{ '*': {{ input: 1000, output: 1000 }} }} }}
breaker: {{ consecutive: 2, cooldown_s: 600, max_cooldown_s: 600 }}
"""
FIRST = HEAD + "routes: { old: { targets: [one/gated] }, broken: { targets: [one/broken] } }\n"
SECOND = HEAD + "routes: { new: { targets: [one/sim-small] }, broken: { targets: [one/broken] } }\n"
# Three mistakes, in lines 3, 7 and 8.
BAD = """server: { listen: '127.0.0.1:0', admin: '127.0.0.1:0' }
store: { ledger: 'sqlite:///waypost.db' }
surprise: true
providers:
  one: { kind: openai, base_url: 'http://127.0.0.1:9/v1', class: local }
routes:
  new: { targets: [nobody/nothing] }
budgets: [ { name: all, limit_usd: much } ]
"""


class Gate:
    """Holds back what the simulator would wait for, until it is opened."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._waiting = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds >= 1:
            self._waiting.set()
            await self._open.wait()

    async def reached(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._waiting.wait()

    def open(self) -> None:
        self._open.set()


class House:
    """A simulator in this process, a gateway in another, and the file between them."""

    def __init__(self, simulator: Simulator, gate: Gate, gateway: Gateway, folder: Path) -> None:
        self.simulator = simulator
        self.gate = gate
        self.gateway = gateway
        self.folder = folder

    def write(self, text: str) -> None:
        write_configuration(self.folder, text, self.simulator.address)

    async def reload(self, text: str, event: str = "reloaded") -> dict[str, Any]:
        """Puts the file there and sends SIGHUP; the word of it in the log."""
        self.write(text)
        seen = len(self.gateway.events)
        self.gateway.signal(signal.SIGHUP)
        return await self.gateway.heard(event, after=seen)

    async def ask(self, model: str, headers: dict[str, str] | None = None, **members: Any) -> Answer:
        caller = Caller(self.gateway.address)
        async with asyncio.timeout(PATIENCE_S):
            answer = await caller.ask(CHAT, question(model, **members), headers)
        caller.hang_up()
        return answer

    async def rows(self) -> dict[str, dict[str, Any]]:
        """Every row, by call, once the gateway has ended in good order."""
        assert await self.gateway.stop() == 0
        with closing(sqlite3.connect(self.folder / "waypost.db")) as ledger:
            ledger.row_factory = sqlite3.Row
            return {row["id"]: dict(row) for row in ledger.execute("SELECT * FROM calls")}


def question(model: str, **members: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], **members}


def write_configuration(folder: Path, text: str, address: str) -> None:
    """As editors do: a new file in the place of the old one."""
    new = folder / "waypost.yaml.new"
    new.write_text(text.replace("{{", "{").replace("}}", "}").replace("{address}", address))
    new.rename(folder / "waypost.yaml")


@asynccontextmanager
async def house(folder: Path, text: str, *words: str) -> AsyncIterator[House]:
    gate = Gate()
    simulator = Simulator(SCRIPT, sleep=gate.sleep)
    async with simulator.serve() as address:
        write_configuration(folder, text, address)
        gateway = await Gateway.serve(folder, *words)
        try:
            yield House(simulator, gate, gateway, folder)
        finally:
            await gateway.kill()


async def revision(house: House) -> str:
    return str((await house.gateway.status())["revision"])


async def test_a_bad_file_leaves_the_old_one_serving_and_every_problem_is_told(tmp_path: Path) -> None:
    async with house(tmp_path, SECOND) as here:
        before = await here.gateway.status()
        await here.reload(BAD, "reload_refused")
        answer = await here.ask("new")
        assert answer.status == 200
        problems = [told["problem"] for told in here.gateway.all_heard("reload_refused")]
        assert len(problems) == 3, problems
        for line, path in ((3, "surprise"), (7, "routes.new.targets[0]"), (8, "budgets[0].limit_usd")):
            assert any(f"waypost.yaml:{line}: {path}" in problem for problem in problems), (line, path, problems)
        assert await revision(here) == before["revision"]
        rows = await here.rows()
    assert rows[answer.call]["revision"] == before["revision"]


async def test_a_file_that_is_not_there_or_not_readable_leaves_the_old_one_serving(tmp_path: Path) -> None:
    async with house(tmp_path, SECOND) as here:
        (tmp_path / "waypost.yaml").rename(tmp_path / "elsewhere.yaml")
        here.gateway.signal(signal.SIGHUP)
        await here.gateway.heard("reload_refused")
        assert (await here.ask("new")).status == 200
        (tmp_path / "waypost.yaml").write_bytes(b"\xff\xfe{")
        seen = len(here.gateway.events)
        here.gateway.signal(signal.SIGHUP)
        await here.gateway.heard("reload_refused", after=seen)
        assert (await here.ask("new")).status == 200
        assert (await here.reload(FIRST))["revision"] == await revision(here)


async def test_a_good_file_swaps_in_and_calls_under_way_end_with_the_old_one(tmp_path: Path) -> None:
    async with house(tmp_path, FIRST) as here:
        old = await revision(here)
        caller = Caller(here.gateway.address)
        await caller.send(CHAT, question("old", stream=True))
        await here.gate.reached()
        told = await here.reload(SECOND)
        assert told["revision"] == await revision(here) != old
        (under_way,) = (await here.gateway.status())["calls"]
        assert under_way["route"] == "old"
        after, gone = await here.ask("new"), await here.ask("old")
        assert (after.status, gone.status) == (200, 404)
        here.gate.open()
        kept = await caller.finish(await caller.head())
        assert kept.status == 200
        assert kept.body.endswith(b"data: [DONE]\n\n")
        caller.hang_up()
        rows = await here.rows()
    assert rows[kept.call]["outcome"] == "ok"
    assert [rows[each.call]["revision"] for each in (kept, after, gone)] == [old, told["revision"], told["revision"]]


BUDGET = "budgets: [ {{ name: all, limit_usd: {limit}{match} }} ]\n"


def budget(limit: str, match: str = "") -> str:
    return BUDGET.replace("{limit}", limit).replace("{match}", match and f", match: {match}")


async def test_what_is_spent_and_what_is_held_outlive_a_reload(tmp_path: Path) -> None:
    async with house(tmp_path, FIRST + budget("10")) as here:
        assert (await here.ask("one/sim-small", max_tokens=50)).status == 200
        caller = Caller(here.gateway.address)
        await caller.send(CHAT, question("old", stream=True, max_tokens=50))
        await here.gate.reached()
        before = (await here.gateway.budgets())["all"]
        assert Decimal(before["spent_usd"]) > 0 < Decimal(before["reserved_usd"])
        await here.reload(SECOND + budget("20"))
        assert (await here.gateway.budgets())["all"] == {**before, "limit_usd": "20"}
        # Away and back again, and for others than before: the ledger knows it by its name.
        await here.reload(SECOND)
        await here.reload(SECOND + budget("30", "{{ team: other }}"))
        assert (await here.gateway.budgets())["all"] == {**before, "limit_usd": "30"}
        here.gate.open()
        await caller.finish(await caller.head())
        caller.hang_up()
        await here.gateway.idle()
        after = (await here.gateway.budgets())["all"]
        assert Decimal(after["reserved_usd"]) == 0
        assert Decimal(after["spent_usd"]) > Decimal(before["spent_usd"])
        rows = await here.rows()
    assert sum(row["cost_nano"] for row in rows.values()) == Decimal(after["spent_usd"]) * 1_000_000_000


async def test_a_new_limit_applies_at_once(tmp_path: Path) -> None:
    async with house(tmp_path, SECOND + budget("10")) as here:
        assert (await here.ask("new", max_tokens=50)).status == 200
        await here.reload(SECOND + budget("0.01"))
        assert (await here.ask("new", max_tokens=50)).status == 402
        await here.reload(SECOND + budget("10"))
        assert (await here.ask("new", max_tokens=50)).status == 200


async def test_a_key_that_is_not_there_leaves_everything_as_it_was(tmp_path: Path) -> None:
    async with house(tmp_path, SECOND + budget("10")) as here:
        before = await here.gateway.budgets()
        unknown = "keys: [ {{ name: app, key: 'file:no-such-file' }} ]\n"
        await here.reload(SECOND + budget("0.01") + unknown, "reload_refused")
        assert await here.gateway.budgets() == before
        assert (await here.ask("new", max_tokens=50)).status == 200


def test_what_reads_well_and_can_not_be_built_touches_no_limit() -> None:
    def build(limit: int, environ: dict[str, str], previous: Running | None = None) -> Running:
        text = f"providers: {{a: {{kind: openai, api_key: '${{KEY}}'}}}}\nbudgets: [{{name: all, limit_usd: {limit}}}]"
        config = read_config(text, "test", {"KEY": "some-key"})
        parts: dict[str, Any] = {"upstream": Mock(), "journal": Mock(), "log": Mock(), "prices": packaged_prices()}
        return build_gateway(config, environ, **parts, previous=previous)

    running = build(10, {"KEY": "some-key"})
    with pytest.raises(SecretError):
        build(1, {}, running)  # the variable went away between reading and building
    assert [allowance.limit for allowance in running.budgets.allowances] == [10_000_000_000]


async def test_breakers_outlive_a_reload(tmp_path: Path) -> None:
    async with house(tmp_path, FIRST) as here:
        for _ in range(2):
            assert (await here.ask("broken")).status == 502
        opened = {each["name"]: each["state"] for each in (await here.gateway.status())["targets"]}
        assert opened == {"one/broken": "open"}
        reached = here.simulator.received_count
        await here.reload(SECOND)
        targets = {each["name"]: each["state"] for each in (await here.gateway.status())["targets"]}
        assert targets["one/broken"] == "open"
        assert (await here.ask("broken")).status == 502
        assert here.simulator.received_count <= reached + 1, "the last candidate is probed, and that is all"


async def test_keys_are_taken_and_given_at_once(tmp_path: Path) -> None:
    def keys(key: str) -> str:
        return f"keys: [ {{{{ name: app, key: {key} }}}} ]\n"

    async with house(tmp_path, SECOND + keys("first-key")) as here:
        first, second = {"x-api-key": "first-key"}, {"authorization": "Bearer second-key"}
        assert [(await here.ask("new", key)).status for key in (first, second)] == [200, 401]
        await here.reload(SECOND + keys("second-key"))
        assert [(await here.ask("new", key)).status for key in (first, second)] == [401, 200]


async def test_what_needs_a_restart_is_told(tmp_path: Path) -> None:
    async with house(tmp_path, SECOND) as here:
        await here.reload(SECOND.replace("waypost.db", "other.db"))
        assert [told["section"] for told in here.gateway.all_heard("needs_restart")] == ["store"]
        assert (await here.ask("new")).status == 200


async def test_a_file_that_names_no_provider_is_obeyed_in_the_rest(tmp_path: Path) -> None:
    bare = "".join(HEAD.splitlines(keepends=True)[:3]) + "keys: [ {{ name: app, key: the-key }} ]\n"
    async with house(tmp_path, bare) as here:
        assert not here.gateway.address.endswith(":8080"), "it listens where the file says"
        answers = [await here.ask("fast", headers) for headers in (None, {"x-api-key": "the-key"})]
        assert [answer.status for answer in answers] == [401, 200]
        told = await here.reload(bare, "reload_refused")
        assert "no provider is configured" in told["problem"]
        assert (await here.ask("fast", {"x-api-key": "the-key"})).status == 200, "the simulated ones go on"
        await here.reload(SECOND)
        assert (await here.ask("new")).status == 200
        assert list(await here.rows()), "they are where the file says"


async def test_watching_reloads_when_the_file_changes(tmp_path: Path) -> None:
    async with house(tmp_path, FIRST, "--watch") as here:
        here.write(BAD)
        await here.gateway.heard("reload_refused")
        assert (await here.ask("broken")).status == 502
        here.write(SECOND)
        told = await here.gateway.heard("reloaded")
        assert told["revision"] == await revision(here)
        assert (await here.ask("new")).status == 200
