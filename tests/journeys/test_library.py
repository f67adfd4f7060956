"""The library's door: the same walk and the same rows, without the HTTP hop."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from waypost.config.reader import read_config
from waypost.ledger.questions import list_calls
from waypost.ledger.sqlite import open_ledger
from waypost.library import CallError, Gateway
from waypost.sim.demo import demo_config_yaml
from waypost.sim.simulator import Simulator

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with Simulator().serve() as address:
        text = demo_config_yaml(address) + f"store: {{ledger: 'sqlite:///{tmp_path}/waypost.db'}}\n"
        async with Gateway(read_config(text, "library.yaml", {}), {}) as gateway:
            yield gateway


@pytest.mark.parametrize("model", ["sim-openai/sim-small", "sim-anthropic/sim-haiku"])
async def test_a_chat_and_its_stream_say_the_same(gateway: Gateway, model: str) -> None:
    whole = await gateway.chat(model=model, messages=HELLO, max_tokens=50)
    chunks = [chunk async for chunk in gateway.stream(model=model, messages=HELLO, max_tokens=50)]
    streamed = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert streamed == whole["choices"][0]["message"]["content"] != ""
    assert chunks[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"] == "stop"


async def test_an_error_is_typed(gateway: Gateway) -> None:
    with pytest.raises(CallError, match="No route") as caught:
        await gateway.chat(model="nothing", messages=HELLO)
    assert (caught.value.kind, caught.value.status) == ("unknown_model", 404)
    with pytest.raises(CallError):
        _ = [chunk async for chunk in gateway.stream(model="nothing", messages=HELLO)]


async def test_every_call_leaves_its_row(tmp_path: Path) -> None:
    async with Simulator().serve() as address:
        text = demo_config_yaml(address) + f"store: {{ledger: 'sqlite:///{tmp_path}/waypost.db'}}\n"
        async with Gateway(read_config(text, "library.yaml", {}), {}) as gateway:
            await gateway.chat(model="fast", messages=HELLO, waypost={"tags": {"from": "library"}})
    ledger = open_ledger(tmp_path / "waypost.db", readonly=True)
    rows = list_calls(ledger)
    ledger.close()
    assert [(row["outcome"], row["route"], row["tags"]) for row in rows] == [("ok", "fast", {"from": "library"})]


async def test_a_gateway_that_was_not_entered_says_how(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Gateway.from_environment({}).chat(model="fast", messages=HELLO)
