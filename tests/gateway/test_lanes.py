"""Which dialect is spoken with whom: the target's own, else the caller's, else the provider's first."""

from typing import Any

import pytest

from waypost.app import build_gateway
from waypost.config.reader import read_config
from waypost.conversation.faults import ErrorKind, Refused
from waypost.gateway.embedding import OF_TEXTS, OF_TOKENS
from waypost.gateway.gateway import Gateway
from waypost.gateway.keyring import ANYONE
from waypost.governance.pricing import packaged_prices
from waypost.routing.decision import decide, encode_decision
from waypost.routing.explain import verify
from waypost.routing.facts import Facts

CONFIG = """\
providers:
  openai: {kind: openai, api_key: k}
  google: {kind: gemini, api_key: k}
  cohere: {kind: cohere, api_key: k}
  amazon: {kind: bedrock, region: us-east-1, api_key: k}
  claude: {kind: anthropic, api_key: k}
  own: {kind: openai, base_url: http://127.0.0.1:9/v1, class: local}
  both: {kind: vllm, base_url: http://127.0.0.1:9/v1, dialects: [openai_chat, anthropic]}
  gcp: {kind: vertex-anthropic, base_url: https://aiplatform.googleapis.com/v1/projects/p/locations/l, api_key: k}
routes:
  forced: {targets: [{model: openai/gpt-5, dialect: openai_chat}]}
  native: {targets: [{model: google/gemini-embedding-001, dialect: gemini}]}
  mixed: {targets: [claude/claude-haiku-4-5, google/e, cohere/e], strategy: weighted}
  last: {targets: [claude/claude-haiku-4-5], fallbacks: [amazon/nova, cohere/e]}
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


@pytest.mark.parametrize(
    ("name", "path", "batch", "relays"),
    [
        ("openai/text-embedding-3-small", "/v1/embeddings", 2048, True),
        ("google/gemini-embedding-001", "/v1beta/openai/embeddings", 100, True),
        ("native", "/v1beta/models/gemini-embedding-001:batchEmbedContents", 100, False),
        ("cohere/embed-v4.0", "/compatibility/v1/embeddings", 96, True),
        ("amazon/amazon.titan-embed-text-v2:0", "/model/amazon.titan-embed-text-v2%3A0/invoke", 1, False),
        ("amazon/cohere.embed-v4:0", "/model/cohere.embed-v4%3A0/invoke", 96, False),
        ("both/qwen", "/v1/embeddings", 2048, True),
    ],
)
def test_how_a_provider_embeds(name: str, path: str, batch: int, relays: bool) -> None:
    """At most as many inputs at once as it takes in any of its dialects."""
    (lane,) = gateway().standing(ANYONE, name, None, "openai_chat", OF_TEXTS).lanes
    assert lane.embedder is not None
    assert (lane.batch, lane.embedder.relays) == (batch, relays)
    prefix = lane.line.prefix(lane.embedder.path, lane.candidate.model)
    assert prefix.startswith(f"POST {path} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize("name", ["claude/claude-haiku-4-5", "amazon/amazon.nova-lite-v1:0", "gcp/claude"])
def test_who_is_not_known_to_embed(name: str) -> None:
    with pytest.raises(Refused, match="is known to embed") as refused:
        gateway().standing(ANYONE, name, None, "openai_chat", OF_TEXTS)
    assert refused.value.error.kind is ErrorKind.UNKNOWN_MODEL
    with pytest.raises(Refused, match="takes token ids") as refused:
        gateway().standing(ANYONE, name, None, "openai_chat", OF_TOKENS)
    assert refused.value.error.kind is ErrorKind.BAD_REQUEST


@pytest.mark.parametrize(
    ("name", "order", "certain"),
    [("mixed", ["google/e", "cohere/e"], False), ("last", ["cohere/e"], True), ("both/qwen", ["both/qwen"], True)],
)
def test_a_decision_among_those_who_embed_can_be_made_again(name: str, order: list[str], certain: bool) -> None:
    """The plan is one of its own, with a record of its own; what is remembered for chat stays whole."""
    it = gateway()
    whole = it.standing(ANYONE, name, None, "openai_chat")
    some = it.standing(ANYONE, name, None, "openai_chat", OF_TEXTS)
    plan = some.found.plan
    assert [lane.candidate.target_key for lane in some.lanes] == order
    assert [lane.candidate.index for lane in some.lanes] == list(range(len(order)))
    assert (plan.single_order is not None) is certain
    assert (plan.id == whole.found.plan.id) is (len(whole.lanes) == len(order))
    assert it.standing(ANYONE, name, None, "openai_chat") is whole
    for seed in range(4):
        decision = decide(plan, Facts(0.0, 1, 0), (), seed)
        assert sorted(decision.order) == list(range(len(order)))
        assert sum(decision.propensities) == pytest.approx(1)
        assert verify(plan.statics, encode_decision(decision)).ok
