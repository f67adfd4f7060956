"""`/v1/messages/count_tokens` goes to providers that have it, and only there."""

from pathlib import Path

import anthropic
import pytest

from journeys.harness import ANTHROPIC, open_house

CONFIG = """
providers:
  claude: {{kind: anthropic, api_key: sk-claude, base_url: 'http://{address}', models: [sim-haiku]}}
  other: {{kind: openai, api_key: sk-other, base_url: 'http://{address}/v1', models: [sim-small]}}
routes:
  mixed: {{targets: [other/sim-small], fallbacks: [claude/sim-haiku]}}
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


async def test_where_nobody_counts_the_caller_is_told(tmp_path: Path) -> None:
    async with open_house(lambda sim: CONFIG.format(address=sim.address), tmp_path) as house:
        async with house.client(ANTHROPIC) as client:
            with pytest.raises(anthropic.NotFoundError, match="counts tokens"):
                await client.messages.count_tokens(
                    model="other/sim-small", messages=[{"role": "user", "content": "How many?"}]
                )
        assert house.simulator.received_count == 0
