"""Counts of tokens go to providers that count in the caller's own protocol, and only there."""

import json
from pathlib import Path

import anthropic
import httpx2
import pytest

from journeys.harness import ANTHROPIC, PATIENCE_S, House, open_house

CONFIG = """
providers:
  claude: {{kind: anthropic, api_key: sk-claude, base_url: 'http://{address}', models: [sim-haiku]}}
  google: {{kind: gemini, api_key: sk-google, base_url: 'http://{address}'}}
  other: {{kind: openai, api_key: sk-other, base_url: 'http://{address}/v1', models: [sim-small]}}
routes:
  mixed: {{targets: [other/sim-small], fallbacks: [claude/sim-haiku, google/sim-flash]}}
budgets: [{{name: all, limit_usd: 1}}]
"""


async def test_a_provider_that_cannot_count_is_passed_over(tmp_path: Path) -> None:
    async with open_house(lambda sim: CONFIG.format(address=sim.address), tmp_path) as house:
        async with house.client(ANTHROPIC) as client:
            told = await client.messages.with_raw_response.count_tokens(
                model="mixed", messages=[{"role": "user", "content": "How many?"}]
            )
            assert (await told.parse()).input_tokens > 0
        assert [received.path for received in house.simulator.requests] == ["/v1/messages/count_tokens"]
        row = await house.row(told.headers["x-waypost-call-id"])
        assert (row["provider"], row["cost_usd"], row["outcome"]) == ("claude", "0", "ok")


def caller(house: House) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=house.base, timeout=PATIENCE_S)


CONTENTS = [{"role": "user", "parts": [{"text": "How many?"}]}]


@pytest.mark.parametrize(
    "body",
    [
        {"contents": CONTENTS},
        {"generateContentRequest": {"model": "models/mixed", "contents": CONTENTS, "tools": []}},
    ],
)
async def test_gemini_counts_at_a_path_of_its_own(tmp_path: Path, body: dict[str, object]) -> None:
    async with open_house(lambda sim: CONFIG.format(address=sim.address), tmp_path) as house, caller(house) as http:
        told = await http.post("/v1beta/models/mixed:countTokens", json=body)
        assert (told.status_code, told.json()["totalTokens"] > 0) == (200, True)
        sent = house.received
        assert sent.path == "/v1beta/models/sim-flash:countTokens"
        asked = json.loads(sent.body)
        assert asked.get("generateContentRequest", {"model": "models/sim-flash"})["model"] == "models/sim-flash"
        row = await house.row(told.headers["x-waypost-call-id"])
        assert (row["provider"], row["cost_usd"], row["outcome"]) == ("google", "0", "ok")


async def test_gemini_callers_are_told_where_nobody_counts(tmp_path: Path) -> None:
    async with open_house(lambda sim: CONFIG.format(address=sim.address), tmp_path) as house, caller(house) as http:
        for model in ("claude/sim-haiku", "other/sim-small"):
            told = await http.post(f"/v1beta/models/{model}:countTokens", json={"contents": CONTENTS})
            assert (told.status_code, told.json()["error"]["status"]) == (404, "NOT_FOUND")
            assert "counts tokens" in told.json()["error"]["message"]
        assert house.simulator.received_count == 0


async def test_a_fault_while_counting_is_told(tmp_path: Path) -> None:
    async with open_house(lambda sim: CONFIG.format(address=sim.address), tmp_path) as house, caller(house) as http:
        for kind in ("error_event", "malformed_json", "500"):
            told = await http.post(f"/v1beta/models/google/sim-flash~{kind}:countTokens", json={"contents": CONTENTS})
            assert (told.status_code, told.headers["x-waypost-error"]) == (502, "upstream_failed"), kind


async def test_where_nobody_counts_the_caller_is_told(tmp_path: Path) -> None:
    async with open_house(lambda sim: CONFIG.format(address=sim.address), tmp_path) as house:
        async with house.client(ANTHROPIC) as client:
            with pytest.raises(anthropic.NotFoundError, match="counts tokens"):
                await client.messages.count_tokens(
                    model="other/sim-small", messages=[{"role": "user", "content": "How many?"}]
                )
        assert house.simulator.received_count == 0
