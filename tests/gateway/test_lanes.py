"""Which dialect is spoken with whom: the target's own, else the caller's, else the provider's first."""

from typing import Any

import pytest

from waypost.app import build_gateway
from waypost.config.reader import read_config
from waypost.gateway.gateway import Gateway
from waypost.gateway.keyring import ANYONE
from waypost.governance.pricing import packaged_prices

CONFIG = """\
providers:
  openai: {kind: openai, api_key: k}
  own: {kind: openai, base_url: http://127.0.0.1:9/v1, class: local}
  both: {kind: vllm, base_url: http://127.0.0.1:9/v1, dialects: [openai_chat, anthropic]}
  gcp: {kind: vertex-anthropic, base_url: https://aiplatform.googleapis.com/v1/projects/p/locations/l, api_key: k}
routes:
  forced: {targets: [{model: openai/gpt-5, dialect: openai_chat}]}
"""


def gateway() -> Gateway:
    nothing: Any = None
    return build_gateway(
        read_config(CONFIG, "test", {}),
        {},
        upstream=nothing,
        journal=nothing,
        prices=packaged_prices(),
        log=lambda event, **values: None,
    )


@pytest.mark.parametrize(
    ("name", "caller", "spoken", "path"),
    [
        ("openai/gpt-5", "openai_chat", "openai_chat", "/v1/chat/completions"),
        ("openai/gpt-5", "openai_responses", "openai_responses", "/v1/responses"),
        ("openai/gpt-5", "anthropic", "openai_chat", "/v1/chat/completions"),
        ("openai/gpt-5", "", "openai_chat", "/v1/chat/completions"),
        ("own/gpt-5", "openai_responses", "openai_chat", "/v1/chat/completions"),
        ("both/qwen", "anthropic", "anthropic", "/v1/messages"),
        ("both/qwen", "openai_chat", "openai_chat", "/v1/chat/completions"),
        ("forced", "openai_responses", "openai_chat", "/v1/chat/completions"),
        (
            "gcp/claude-haiku-4-5@20251001",
            "anthropic",
            "anthropic",
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude-haiku-4-5%4020251001:rawPredict",
        ),
    ],
)
def test_the_dialect_that_is_spoken(name: str, caller: str, spoken: str, path: str) -> None:
    (lane,) = gateway().standing(ANYONE, name, None, caller).lanes
    assert lane.dialect.name == spoken
    prefix = lane.line.prefix(lane.dialect.path, lane.candidate.model)
    assert prefix.startswith(f"POST {path} HTTP/1.1\r\n".encode())


def test_streams_have_a_path_of_their_own_where_the_provider_has() -> None:
    (lane,) = gateway().standing(ANYONE, "gcp/claude", None, "openai_chat").lanes
    assert lane.dialect.stream_path == "/publishers/anthropic/models/{model}:streamRawPredict"
    (plain,) = gateway().standing(ANYONE, "openai/gpt-5", None, "openai_chat").lanes
    assert plain.dialect.stream_path is None


def test_a_forced_dialect_makes_a_plan_of_its_own() -> None:
    """Lanes are kept by plan: two targets that differ in nothing else must not share them."""
    it = gateway()
    forced = it.standing(ANYONE, "forced", None, "openai_responses").found.plan
    assert b'"dialect":"openai_chat"' in forced.statics
    assert b'"dialect"' not in it.standing(ANYONE, "openai/gpt-5", None, "openai_chat").found.plan.statics
