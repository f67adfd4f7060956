"""Every call can be explained: also the first of its kind, when it was refused, and by the start of its id."""

import json
from pathlib import Path

import httpx2
import pytest

from journeys.harness import CALL_ID, open_house
from waypost.cli import main

CONFIG = """
providers:
  priced: {kind: openai, base_url: 'http://{address}/v1', class: local, prices: {'*': {input: 1, output: 2}}}
  unpriced: {kind: openai, base_url: 'http://{address}/v1', class: local}
budgets: [{name: tiny, limit_usd: 0.000001}]
"""


@pytest.mark.parametrize("model", ["priced/sim-small", "unpriced/sim-small"])
async def test_a_call_that_was_the_first_and_refused(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_house(CONFIG, tmp_path) as house, httpx2.AsyncClient() as client:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}
        answer = await client.post(f"{house.base}/v1/chat/completions", json=body)
        assert answer.status_code == 402
        call = answer.headers[CALL_ID]
        await house.row(call)
    (tmp_path / "store.yaml").write_text(f"store: {{ledger: 'sqlite:///{house.ledger.path}'}}\n")
    for named in (call, call[:-1]):
        assert main(["explain", named, "--json", "--verify", "--config", str(tmp_path / "store.yaml")]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["call"]["id"], told["verified"]["ok"]) == (call, True)
