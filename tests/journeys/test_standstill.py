"""A gateway that stood still, longer than it would wait for anybody, blames nobody for it."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from journeys.asking import SPEAKERS
from journeys.harness import ANTHROPIC, CALL_ID, OPENAI, House, open_house
from waypost.sim import Latency, Model, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")
SLOW = "sim-slow"
SCRIPT = Script(models={SLOW: Model(latency=Latency(first_byte=200.0, per_token_ms=5.0))})
CONFIG = f"""
breaker: {{consecutive: 1, cooldown_s: 60}}
providers:
  openai: {{kind: openai, base_url: 'http://{{address}}/v1', class: local}}
  anthropic: {{kind: anthropic, base_url: 'http://{{address}}', class: local}}
routes:
  openai: {{targets: [openai/{SLOW}], timeouts: {{first_byte_s: 0.4, stall_s: 0.4}}}}
  anthropic: {{targets: [anthropic/{SLOW}], timeouts: {{first_byte_s: 0.4, stall_s: 0.4}}}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(CONFIG, tmp_path_factory.mktemp("still"), script=SCRIPT) as house:
        yield house


@pytest.mark.parametrize("after_s", [0.1, 0.25])  # before the first token, and about when it comes
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("provider", SPEAKERS)
@pytest.mark.parametrize("speaks", SPEAKERS)
async def test_nobody_is_blamed(house: House, speaks: str, provider: str, streamed: bool, after_s: float) -> None:
    async with house.client(speaks) as client:
        resource = client.chat.completions if speaks == OPENAI else client.messages
        more = {"max_tokens": 50} if speaks == ANTHROPIC else {}
        for still_s in (0.0, 0.9):  # the first opens the connection
            asyncio.get_running_loop().call_later(after_s, time.sleep, still_s)
            raw = await resource.with_raw_response.create(
                model=provider, messages=[{"role": "user", "content": "Hello"}], stream=streamed, **more
            )
            await raw.http_response.aread()
            row = await house.row(raw.headers[CALL_ID])
            assert (row["outcome"], [each["outcome"] for each in row["attempts"]]) == ("ok", ["ok"])
