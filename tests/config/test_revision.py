"""The same meaning has the same revision, another meaning another."""

import pytest

from config.examples import ENVIRON, EXAMPLE
from waypost.config.reader import read_config

SAME = """\
# the same, written by someone else
policy:
  regions: [eu, us]
  classes: ["hosted", local]
keys:
  - hash: sha256:DIGEST
    team: "a"
    name: app
budgets:
- {limit_usd: 50.00, name: team-a, match: {team: a}}
tasks: {default: fast, qa: fast, code: strong}
routes:
  strong:
    targets: [{model: claude/claude-sonnet-4-5}]
    strategy: ordered
    fallbacks: []
  fast:
    strategy: weighted
    targets:
      - {model: claude/claude-haiku-4-5, weight: 80.0}
      - {weight: 20, model: openai/gpt-5-mini}
    fallbacks: [grok/grok-4-fast, home/qwen3]
    timeouts: {connect_s: 5.0, first_byte_s: 30, stall_s: 60, total_s: 600}
providers:
  home:
    kind: openai
    base_url: http://127.0.0.1:11434/v1/
    class: local
    models: [qwen3]
    prices: {"*": {output: 0.0, input: 0}}
  grok: {kind: xai, api_key: ${XAI_API_KEY}}
  claude: {kind: anthropic, profiles: {personal: {api_key: ${CLAUDE_HOME_KEY}}, work: {api_key: ${CLAUDE_WORK_KEY}}}}
  openai: {kind: openai, api_key: "${OPENAI_API_KEY}", region: US, rate_limit: 1200/minute}
""".replace("DIGEST", "0123456789ABCDEF" * 4)


def revision(text: str, environ: dict[str, str] | None = None) -> str:
    return read_config(text, "any.yaml", ENVIRON if environ is None else environ).revision


def test_another_hand_same_meaning() -> None:
    assert revision(EXAMPLE) == revision(SAME)
    assert len(revision(EXAMPLE)) == 16
    assert int(revision(EXAMPLE), 16) >= 0


def test_a_value_behind_a_reference_does_not_count() -> None:
    assert revision(EXAMPLE) == revision(EXAMPLE, {name: f"{value}-rotated" for name, value in ENVIRON.items()})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("weight: 80", "weight: 81"),
        ("${XAI_API_KEY}", "${OPENAI_API_KEY}"),
        ("limit_usd: 50", "limit_usd: 50.000000001"),
        ("regions: [us, eu]", "regions: [us]"),
        ("grok/grok-4-fast, home/qwen3", "home/qwen3, grok/grok-4-fast"),
        ("code:    strong", "code:    fast"),
        ("1200/min", "1200/s"),
        ("team: a} ]\npolicy", "team: b} ]\npolicy"),
        ("class: local", "class: hosted"),
        ("{input: 0,", "{input: 1,"),
    ],
)
def test_another_meaning(old: str, new: str) -> None:
    assert old in EXAMPLE
    assert revision(EXAMPLE.replace(old, new, 1)) != revision(EXAMPLE)


def test_literal_secrets_count_by_their_digest() -> None:
    text = "providers: {a: {kind: openai, api_key: KEY, headers: {x: HEADER}}}"
    base = revision(text)
    assert revision(text.replace("KEY", "OTHER")) != base
    assert revision(text.replace("HEADER", "OTHER")) != base
