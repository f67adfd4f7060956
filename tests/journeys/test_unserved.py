"""What this release does not do is refused in the caller's own protocol: whoever asks would rely on it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from journeys.harness import House, open_house

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONFIG = """
providers: {sim: {kind: openai, base_url: 'http://{address}/v1', class: local}}
routes: {fast: {targets: [sim/sim-small]}}
"""
CALL = {"model": "fast", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder: Path = tmp_path_factory.mktemp("unserved")
    async with open_house(CONFIG, folder) as house:
        yield house


async def post(house: House, path: str, body: dict[str, Any], headers: dict[str, str]) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=house.base) as client:
        return await client.post(path, json=body, headers=headers)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize(
    ("members", "headers"),
    [
        ({"waypost": {"combination_id": "c1"}}, {}),
        ({"metadata": {"combination_id": "c1"}}, {}),
        ({}, {"x-waypost-combination": "c1"}),
        ({"waypost": {"variables": {"name": "Ada"}}}, {}),
        ({"waypost": {"colour": "blue"}}, {}),
    ],
)
async def test_an_option_that_does_nothing_is_refused(
    house: House, path: str, members: dict[str, Any], headers: dict[str, str]
) -> None:
    answer = await post(house, path, CALL | members, headers)
    assert (answer.status_code, answer.headers["x-waypost-error"]) == (400, "bad_request")
    assert house.simulator.received_count == 0
    assert ("type" in answer.json()) == (path == MESSAGES)
