"""An answer of a protocol that tells no time gets the time of its call in one that does."""

import time
from pathlib import Path

from journeys.harness import OPENAI, open_house

CONFIG = """
providers:
  claude: {{kind: anthropic, api_key: sk-claude, base_url: 'http://{address}', models: [sim-haiku]}}
"""


async def test_a_translated_answer_was_made_now(tmp_path: Path) -> None:
    before = int(time.time())
    async with (
        open_house(lambda sim: CONFIG.format(address=sim.address), tmp_path) as house,
        house.client(OPENAI) as client,
    ):
        request = {"model": "claude/sim-haiku", "messages": [{"role": "user", "content": "Hello"}]}
        whole = await client.chat.completions.create(**request)
        told = {chunk.created async for chunk in await client.chat.completions.create(**request, stream=True)}
    assert before <= whole.created <= time.time()
    assert len(told) == 1
    assert before <= told.pop() <= time.time()
