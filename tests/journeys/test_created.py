"""An answer of a protocol that tells no time, or no id, gets those of its call in one that does."""

import time
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError

from journeys.harness import OPENAI, open_house

CONFIG = """
providers:
  claude: {{kind: anthropic, api_key: sk-claude, base_url: 'http://{address}', models: [sim-haiku]}}
  bedrock: {{kind: openai, dialect: bedrock, api_key: sk-claude, base_url: 'http://{address}', models: [sim-haiku]}}
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


async def test_each_translated_answer_has_an_id_of_its_own(tmp_path: Path) -> None:
    async with (
        open_house(lambda sim: CONFIG.format(address=sim.address), tmp_path) as house,
        house.client(OPENAI) as client,
    ):
        request = {"model": "bedrock/sim-haiku", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9}
        ids = [(await client.chat.completions.create(**request)).id for _ in range(3)]
        for _ in range(2):
            stream = await client.chat.completions.create(**request, stream=True)
            ids += {chunk.id async for chunk in stream}
    assert len(set(ids)) == len(ids) == 5
    assert all(each.startswith("chatcmpl-") for each in ids)


@pytest.mark.parametrize("messages", [[], [{"role": "user", "content": ""}]])
async def test_who_says_nothing_is_not_answered_by_another_protocol(tmp_path: Path, messages: Any) -> None:
    async with (
        open_house(lambda sim: CONFIG.format(address=sim.address), tmp_path) as house,
        house.client(OPENAI) as client,
    ):
        for _ in range(2):
            with pytest.raises(BadRequestError, match="conversation is empty"):
                await client.chat.completions.create(model="claude/sim-haiku", messages=messages, max_tokens=9)
