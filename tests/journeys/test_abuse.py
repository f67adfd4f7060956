"""What a caller might try in order to get more than it was given: another's route, a longer answer, the memory."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio

from journeys.harness import OPENAI, House, open_house

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY, LIMITED = "wp-any-route-key", "wp-one-route-key"
LONGEST = 256


def digest_of(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


CONFIG = f"""
providers:
  modern:
    {{kind: openai, base_url: 'http://{{address}}/v1', api_key: sk-of-the-house,
     prices: {{'*': {{input: 1, output: 2}}}}}}
  older:
    {{kind: deepseek, base_url: 'http://{{address}}/v1', api_key: sk-of-the-house,
     prices: {{'*': {{input: 1, output: 2}}}}}}
routes:
  cheap: {{targets: [modern/sim-small]}}
  strong: {{targets: [modern/sim-echo]}}
  older: {{targets: [older/sim-small]}}
tasks: {{code: strong, summary: cheap, default: cheap}}
keys:
  - {{name: any, hash: '{digest_of(KEY)}', team: a}}
  - {{name: limited, hash: '{digest_of(LIMITED)}', routes: [cheap]}}
budgets: [{{name: team, limit_usd: 10, window: none, match: {{team: a}}}}]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(CONFIG, tmp_path_factory.mktemp("abuse")) as house:
        yield house


async def post(house: House, key: str, **members: Any) -> httpx2.Response:
    body = {"messages": [{"role": "user", "content": "Hello"}], **members}
    async with httpx2.AsyncClient(base_url=house.base) as client:
        return await client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"model": "cheap"}, 200),
        ({"model": "cheap", "waypost": {"task": "summary"}}, 200),
        ({"model": "gpt-4o", "waypost": {"task": "summary"}}, 200),
        ({"model": "cheap", "waypost": {"task": "code"}}, 403),
        ({"model": "cheap", "metadata": {"task": "code"}}, 403),
        ({"model": "strong", "waypost": {"task": "unheard-of"}}, 200),
    ],
)
async def test_a_task_leads_no_key_beyond_its_routes(house: House, members: dict[str, Any], status: int) -> None:
    before = house.simulator.received_count
    answer = await post(house, LIMITED, **members)
    assert answer.status_code == status
    assert house.simulator.received_count - before == (status == 200)
    if status == 200:
        assert answer.headers["x-waypost-route"] == "cheap"
    else:
        assert answer.headers["x-waypost-error"] == "policy_denied"


@pytest.mark.parametrize(
    ("members", "status", "kind"),
    [
        ({"model": "x" * (LONGEST + 1), "waypost": {"task": "code"}}, 404, "unknown_model"),
        ({"model": "cheap", "metadata": {"task": "x" * (LONGEST + 1)}}, 400, "bad_request"),
        ({"model": "cheap", "waypost": {"constraints": {"regions": ["x" * (LONGEST + 1)]}}}, 400, "bad_request"),
        ({"model": "cheap", "waypost": {"constraints": {"capabilities": ["x"] * 33}}}, 400, "bad_request"),
    ],
)
async def test_no_name_is_too_long_to_be_kept(house: House, members: dict[str, Any], status: int, kind: str) -> None:
    """What a call's names lead to is remembered under them, and its constraints stand in its row."""
    answer = await post(house, KEY, **members)
    assert (answer.status_code, answer.headers["x-waypost-error"]) == (status, kind)
    assert len(answer.content) < 1024


@pytest.mark.parametrize(
    ("model", "limits", "sent"),
    [
        ("older", {"max_completion_tokens": 7}, {"max_tokens": 7}),
        ("older", {"max_completion_tokens": 7, "max_tokens": None}, {"max_tokens": 7}),
        ("older", {"max_tokens": 7}, {"max_tokens": 7}),
        ("cheap", {"max_completion_tokens": 7}, {"max_completion_tokens": 7}),
        ("cheap", {"max_tokens": 7}, {"max_tokens": 7}),
    ],
)
async def test_a_limit_that_money_was_held_for_is_sent_as_the_provider_obeys_it(
    house: House, model: str, limits: dict[str, Any], sent: dict[str, int]
) -> None:
    answer = await post(house, KEY, model=model, **limits)
    assert answer.status_code == 200
    received = json.loads(house.received.body)
    assert {name: value for name, value in received.items() if name.startswith("max_")} == sent


@pytest.mark.parametrize("key", [KEY, LIMITED])
@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("/v1/chat/completions", '"max_tokens":{huge}'),
        ("/v1/chat/completions", '"max_completion_tokens":{huge}'),
        ("/v1/chat/completions", '"n":{huge},"max_tokens":{huge}'),
        ("/v1/messages", '"max_tokens":{huge}'),
    ],
)
async def test_a_number_that_no_record_can_hold_is_refused(house: House, key: str, path: str, members: str) -> None:
    """Python writes no number of more than 4300 digits, and a bound is a product: the row could not be written."""
    numbers = members.format(huge="9" * 4300)
    body = f'{{"model":"cheap","messages":[{{"role":"user","content":"Hello"}}],{numbers}}}'
    async with httpx2.AsyncClient(base_url=house.base) as client:
        answer = await client.post(path, content=body.encode(), headers={"x-api-key": key})
    assert (answer.status_code, answer.headers["x-waypost-error"]) == (400, "bad_request")
    assert (await house.row(answer.headers["x-waypost-call-id"]))["outcome"] == "refused"


TIERS = """
providers:
  openai: {kind: openai, api_key: sk-o, base_url: 'http://%s/v1', models: [m], prices: {m: {input: 1, output: 2}}}
"""


@pytest.mark.parametrize("budget", ["", "budgets: [{name: all, limit_usd: 1}]\n"])
async def test_a_tier_of_unknown_price_is_not_charged_at_another(tmp_path: Path, budget: str) -> None:
    """Unknown is unknown: null without a budget, refused under one."""
    async with (
        open_house(lambda sim: TIERS % sim.address + budget, tmp_path) as house,
        house.client(OPENAI) as client,
    ):
        create = client.chat.completions.with_raw_response.create
        request = {"model": "openai/m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
        if budget:
            with pytest.raises(openai.APIStatusError) as refused:
                await create(**request, service_tier="priority")
            assert refused.value.status_code == 402
        else:
            raw = await create(**request, service_tier="priority")
            row = await house.row(raw.headers["x-waypost-call-id"])
            assert (row["outcome"], row["cost_usd"], row["price"]) == ("ok", None, None)
        plain = await create(**request, service_tier="auto")
        assert (await house.row(plain.headers["x-waypost-call-id"]))["cost_usd"] is not None


async def test_a_page_of_another_site_is_refused_without_keys(tmp_path: Path) -> None:
    async with (
        open_house(lambda sim: TIERS % sim.address, tmp_path) as house,
        house.client(OPENAI) as client,
    ):
        request = {"model": "openai/m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
        with pytest.raises(openai.PermissionDeniedError):
            await client.chat.completions.create(**request, extra_headers={"origin": "https://evil.example"})
        assert house.simulator.received_count == 0
        await client.chat.completions.create(**request, extra_headers={"origin": "http://localhost:3000"})
