"""How a gateway stops: the first signal lets calls under way end, the second cuts them, and every call has its row."""

import asyncio
import signal
from contextlib import closing
from pathlib import Path

import pytest

from journeys.process import Caller, Gateway
from waypost.ledger.questions import list_calls
from waypost.ledger.sqlite import open_ledger
from waypost.sim import Simulator

CONFIG = """
server: {{ listen: '127.0.0.1:0', admin: '127.0.0.1:0', drain_s: 600 }}
store: {{ ledger: 'sqlite:///waypost.db' }}
providers:
  one: {{ kind: openai, base_url: 'http://{address}/v1', class: local }}
"""
STALLED = {"model": "one/sim-small~stall_before", "messages": [{"role": "user", "content": "Hello"}]}


def outcomes(folder: Path) -> list[object]:
    with closing(open_ledger(folder / "waypost.db", readonly=True)) as ledger:
        return [row["outcome"] for row in list_calls(ledger)]


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_cuts_what_the_first_would_wait_for(tmp_path: Path, second: signal.Signals) -> None:
    async with Simulator().serve() as address:
        (tmp_path / "waypost.yaml").write_text(CONFIG.format(address=address))
        gateway = await Gateway.serve(tmp_path)
        caller = Caller(gateway.address)
        await caller.send("/v1/chat/completions", STALLED)
        while not (await gateway.status())["in_flight"]:
            pass
        assert await gateway.readiness() == b"HTTP/1.1 200 OK"
        gateway.signal(signal.SIGTERM)
        await gateway.heard("draining")
        assert await gateway.readiness() == b"HTTP/1.1 503 Service Unavailable"
        gateway.signal(second)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await caller.head()
        assert await gateway.ended() == 0
        caller.hang_up()
    assert outcomes(tmp_path) == ["cancelled"]
