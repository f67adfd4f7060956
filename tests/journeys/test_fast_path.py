"""The fast path and the walk are two ways to the same: the same answer, the same row, the same money.

A header that changes nothing, `x-waypost-timeout` with the route's own value, keeps a call from the fast path.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any
from unittest.mock import patch

import httpx2
import msgspec
import pytest
import pytest_asyncio

from journeys.asking import SPEAKERS
from journeys.fault_table import FAULTS, PACED, SCRIPT, TIMEOUTS, WAITING
from journeys.harness import ANTHROPIC, CALL_ID, OPENAI, House, Row, open_house
from waypost.gateway.fast_path import FastPath
from waypost.governance.allowances import Reservation
from waypost.ledger.errors import JournalUnavailable
from waypost.sim import FaultKind, Simulator

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOTAL_S = 8
PATHS = {OPENAI: "/v1/chat/completions", ANTHROPIC: "/v1/messages"}
MET = tuple(fault for fault in FAULTS if fault != FaultKind.CONNECT_REFUSED)  # that has no connection to keep
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}
DIFFERENT = frozenset(
    (CALL_ID, "x-waypost-overhead-us", "date", "retry-after", "content-length", "x-request-id", "request-id")
)
# Drawn anew, told by a clock, or hanging on whether head and body came together: whether a broken answer had a status.
DRAWN = re.compile(rb'"(retry_after_s|created)":[0-9.]+|"status":(200|null)')
EXTRAS: dict[str, dict[str, dict[str, Any]]] = {
    "plain": {OPENAI: {}, ANTHROPIC: {}},
    "dropped": {OPENAI: {"logit_bias": {"5": 1}}, ANTHROPIC: {"top_k": 5}},
    "tools": {
        OPENAI: {"tools": [{"type": "function", "function": {"name": "look", "parameters": TOOL}}]},
        ANTHROPIC: {"tools": [{"name": "look", "input_schema": TOOL}]},
    },
    "many": {OPENAI: {"n": 2}, ANTHROPIC: {}},
    "more than is left": {OPENAI: {"max_tokens": 10**9}, ANTHROPIC: {"max_tokens": 10**9}},
    "over the route's limit": {OPENAI: {"max_tokens": 5000}, ANTHROPIC: {"max_tokens": 5000}},
    "refused": {OPENAI: {"messages": 5}, ANTHROPIC: {"messages": 5}},
}


def configuration(simulator: Simulator) -> str:
    """Breakers that never open, so that the two ways meet the same."""
    lines = ["breaker: {consecutive: 1000, minimum: 1000}", "providers:"]
    for kind in SPEAKERS:
        url = f"http://{simulator.address}/v1" if kind == OPENAI else f"http://{simulator.address}"
        lines.append(
            f"  {kind}: {{kind: {kind}, base_url: '{url}', class: local,"
            " prices: {'*': {input: 1, output: 2, cache_read: 0.5}}}"
        )
    lines.append("routes:")
    for kind in SPEAKERS:
        more = f"timeouts: {TIMEOUTS}"
        other = ANTHROPIC if kind == OPENAI else OPENAI
        lines.append(f"  one-{kind}: {{targets: [{kind}/{PACED}], max_output_tokens: 2000, {more}}}")
        lines.append(f"  backed-{kind}: {{targets: [{kind}/{PACED}], fallbacks: [{other}/{PACED}], {more}}}")
        for number, fault in enumerate(MET):
            lines.append(f"  f{number}-{kind}: {{targets: ['{kind}/{PACED}~{fault}'], {more}}}")
            lines.append(
                f"  b{number}-{kind}: {{targets: ['{kind}/{PACED}~{fault}'], fallbacks: [{other}/{PACED}], {more}}}"
            )
    lines.append("budgets: [{name: 'all \"of\" it', limit_usd: 100, window: none}]")
    return "\n".join(lines)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(configuration, tmp_path_factory.mktemp("fast"), script=SCRIPT) as house:
        yield house
        budget = house.waypost.gateway.budgets.allowances[0]
        assert budget.reserved == 0
        assert budget.spent == sum(nano for ended in house.journal.ended.values() for _, _, nano in ended.charges)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=house.base, timeout=20) as client:
        yield client


def heal(house: House) -> None:
    """Closes whatever breaker the call before has opened."""
    now = asyncio.get_running_loop().time()
    for health in house.waypost.gateway.health._pairs.values():
        health.succeeded(now)


async def ask(http: httpx2.AsyncClient, speaks: str, model: str, *, walk: bool, **more: Any) -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello there"}], "max_tokens": 1000, **more}
    headers = {"x-waypost-timeout": str(TOTAL_S)} if walk else {}
    return await http.post(PATHS[speaks], json=body, headers=headers)


async def both_ways(
    house: House, http: httpx2.AsyncClient, speaks: str, model: str, **more: Any
) -> tuple[tuple[httpx2.Response, Row], tuple[httpx2.Response, Row], bool]:
    """The fast way, the walk, and whether the first was taken in fact. The plan is on record before, a line is open."""
    await ask(http, speaks, model, walk=True, **more)
    for kind in SPEAKERS:
        await ask(http, speaks, f"one-{kind}", walk=True)
    heal(house)
    fast = await ask(http, speaks, model, walk=False, **more)
    heal(house)
    walked = await ask(http, speaks, model, walk=True, **more)
    pairs = []
    for answer in (fast, walked):
        row = await house.row(answer.headers[CALL_ID])
        decision = house.journal.ended[row["id"]].decision
        pairs.append((answer, {**row, "decision": msgspec.json.decode(decision)}))
    return pairs[0], pairs[1], fast.headers[CALL_ID] in house.journal.at_once


def comparable(answer: httpx2.Response, row: Row) -> dict[str, Any]:
    """All but times, and what is drawn or counted anew for each call."""
    shown = {
        name: "a moment" if name.endswith("-reset") else value
        for name, value in answer.headers.items()
        if name not in DIFFERENT
    }
    row = msgspec.json.decode(msgspec.json.encode(row))
    for name in [name for name in row if name.endswith(("_us", "_ms", "_at", "_ns"))]:
        del row[name]
    for attempt in row["attempts"]:
        for name in [name for name in attempt if name.endswith(("_us", "_ms"))]:
            del attempt[name]
        attempt.setdefault("status", 200)
    del row["id"]
    decision = row["decision"]
    if decision is not None:
        del decision["seed"], decision["facts"]["at_s"]
    body = msgspec.json.decode(DRAWN.sub(b'"drawn":0', answer.content.replace(answer.headers[CALL_ID].encode(), b"ID")))
    for name in ("id", "request_id"):
        body.pop(name, None)
    return {"status": answer.status_code, "headers": shown, "row": row, "body": body}


@pytest.mark.parametrize("speaks", SPEAKERS)
@pytest.mark.parametrize("provider", SPEAKERS)
@pytest.mark.parametrize("route", ["one", "backed"])
@pytest.mark.parametrize("extra", EXTRAS)
async def test_what_goes_well(
    house: House, http: httpx2.AsyncClient, speaks: str, provider: str, route: str, extra: str
) -> None:
    more = EXTRAS[extra][speaks]
    fast, walked, taken = await both_ways(house, http, speaks, f"{route}-{provider}", **more)
    assert comparable(*fast) == comparable(*walked)
    if extra in ("plain", "tools", "dropped"):
        assert taken
        assert fast[0].status_code == 200


@pytest.mark.parametrize("speaks", SPEAKERS)
@pytest.mark.parametrize("provider", SPEAKERS)
@pytest.mark.parametrize("backed", [False, True])
async def test_what_goes_wrong(
    house: House, http: httpx2.AsyncClient, speaks: str, provider: str, *, backed: bool
) -> None:
    async def meet(number: int, fault: str) -> None:
        fast, walked, taken = await both_ways(house, http, speaks, f"{'b' if backed else 'f'}{number}-{provider}")
        assert taken, fault
        assert comparable(*fast) == comparable(*walked), fault

    quick = [(number, fault) for number, fault in enumerate(MET) if fault not in WAITING]
    for number, fault in quick:
        await meet(number, fault)
    if not backed:
        await asyncio.gather(*[meet(number, fault) for number, fault in enumerate(MET) if fault in WAITING])


@pytest.mark.parametrize("walk", [False, True])
@pytest.mark.parametrize("fault", ["stall_before", "stall_mid"])
async def test_who_hangs_up_is_recorded_and_pays_nothing_held(house: House, fault: str, *, walk: bool) -> None:
    budget = house.waypost.gateway.budgets.allowances[0]
    route = f"f{MET.index(fault)}-{OPENAI}"
    heal(house)
    async with httpx2.AsyncClient(base_url=house.base, timeout=20) as http:
        await ask(http, OPENAI, f"one-{OPENAI}", walk=True)
        known, before = set(house.journal.ended), house.received
        calling = asyncio.create_task(ask(http, OPENAI, route, walk=walk))
        await house.simulator.until(lambda: house.received is not before)
        assert budget.reserved > 0
        calling.cancel()
    await house.journal.until(lambda: set(house.journal.ended) != known)
    (call,) = set(house.journal.ended) - known
    row = await house.row(call)
    assert (row["outcome"], [each["outcome"] for each in row["attempts"]]) == ("cancelled", ["cancelled"])
    assert (call in house.journal.at_once) is not walk
    assert budget.reserved == 0


async def test_what_can_not_be_put_on_record_is_not_sent(house: House, http: httpx2.AsyncClient) -> None:
    await ask(http, OPENAI, f"one-{OPENAI}", walk=True)
    before = house.received

    def fail(*_: object) -> None:
        raise JournalUnavailable("full")

    with patch.object(house.journal, "write_lines", fail), patch.object(house.journal, "accept", fail):
        answer = await ask(http, OPENAI, f"one-{OPENAI}", walk=False)
    assert (answer.status_code, answer.headers["x-waypost-error"]) == (503, "unavailable")
    assert house.received is before
    assert house.waypost.gateway.budgets.allowances[0].reserved == 0
    assert (await ask(http, OPENAI, f"one-{OPENAI}", walk=False)).status_code == 200


async def test_a_call_that_is_started_over_keeps_its_id(house: House, http: httpx2.AsyncClient) -> None:
    """With `fsync_s: 0` its entry may be in the journal after all: a row of its own must not come of that."""
    heal(house)
    await ask(http, OPENAI, f"one-{OPENAI}", walk=True)
    begun: list[str] = []

    def fail(accepted: Sequence[tuple[str, bytes]], ended: object) -> None:
        begun.extend(call for call, _ in accepted)
        raise JournalUnavailable("not synced")

    with patch.object(house.journal, "write_lines", fail):
        answer = await ask(http, OPENAI, f"one-{OPENAI}", walk=False)
    assert answer.status_code == 200
    assert [answer.headers[CALL_ID]] == begun


async def test_a_new_configuration_holds_for_the_next_call_on_an_old_connection(
    house: House, http: httpx2.AsyncClient
) -> None:
    await ask(http, OPENAI, f"one-{OPENAI}", walk=False)
    before = house.waypost.gateway.config
    house.waypost.reload(msgspec.structs.replace(before, revision="another"))
    answers = [await ask(http, OPENAI, f"one-{OPENAI}", walk=False) for _ in range(3)]
    house.waypost.reload(before)
    rows = [await house.row(answer.headers[CALL_ID]) for answer in answers]
    assert [row["revision"] for row in rows] == ["another"] * 3
    assert rows[2]["id"] in house.journal.at_once


async def test_calls_in_a_row_on_one_connection_are_answered_in_order(house: House) -> None:
    """Pipelined: each is answered before the next is begun, whatever way it takes."""
    await asyncio.gather(*[_pipeline(house, number) for number in range(5)])


async def _pipeline(house: House, number: int) -> None:
    host, _, port = house.base.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    texts = [f"caller {number} call {index}" for index in range(6)]
    for index, text in enumerate(texts):
        body = msgspec.json.encode(
            {"model": f"one-{OPENAI}", "max_tokens": 1000, "messages": [{"role": "user", "content": text}]}
        )
        option = f"x-waypost-timeout: {TOTAL_S}\r\n" if index == 3 else ""
        start = f"POST {PATHS[OPENAI]} HTTP/1.1\r\nhost: a\r\n{option}content-length: {len(body)}\r\n\r\n"
        writer.write(start.encode() + body)
    for text in texts:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert text.encode() in await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()


async def test_a_connection_that_closes_before_it_is_used_is_replaced(house: House, http: httpx2.AsyncClient) -> None:
    heal(house)
    await ask(http, OPENAI, f"one-{OPENAI}", walk=True)
    flush, loop = FastPath.flush, asyncio.get_running_loop()

    def late(path: FastPath) -> None:
        for connection in list(house.waypost._pool.busy):
            connection.transport.abort()
        loop.call_soon(loop.call_soon, flush, path)

    with patch.object(FastPath, "flush", late):
        answer = await ask(http, OPENAI, f"one-{OPENAI}", walk=False)
    assert answer.status_code == 200
    assert answer.headers[CALL_ID] in house.journal.at_once
    assert house.waypost.gateway.budgets.allowances[0].reserved == 0


@pytest.mark.parametrize("broken", ["cost", "dollars", "charges_json"])
async def test_a_bug_of_ours_costs_one_call_and_holds_nothing(
    house: House, http: httpx2.AsyncClient, broken: str
) -> None:
    heal(house)
    await ask(http, OPENAI, f"one-{OPENAI}", walk=True)
    bug = RuntimeError("broken")
    if broken == "charges_json":
        breaking = patch.object(Reservation, broken, side_effect=["[]", bug])
    else:
        breaking = patch(f"waypost.gateway.fast_path.{broken}", side_effect=[bug])
    with breaking:
        answer = await ask(http, OPENAI, f"one-{OPENAI}", walk=False)
    row = await house.row(answer.headers.get(CALL_ID) or next(reversed(house.journal.ended)))
    assert (answer.status_code, row["outcome"], row["error"]) == (500, "failed", "internal")
    assert house.waypost.gateway.budgets.allowances[0].reserved == 0
    assert not house.waypost._pool.busy
    house.logged.clear()  # of what was broken on purpose
    assert (await ask(http, OPENAI, f"one-{OPENAI}", walk=False)).status_code == 200
