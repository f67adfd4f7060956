"""What is allowed and probably not meant is said, once, without a secret."""

import pytest

from config.examples import ENVIRON, EXAMPLE
from waypost.config.advice import advise
from waypost.config.reader import read_config

FINE = """
providers: {a: {kind: mistral, api_key: ${KEY}}}
routes: {fast: {targets: [a/m]}}
tasks: {default: fast}
policy: {regions: [eu], classes: [hosted], providers: [a]}
keys: [{name: k, hash: "sha256:DIGEST", team: t}]
budgets: [{name: b, limit_usd: 1, match: {team: t}}]
""".replace("DIGEST", "0" * 64)


def advice(text: str) -> list[str]:
    return list(advise(read_config(text, "test.yaml", {**ENVIRON, "KEY": "planted"})))


def test_there_is_nothing_to_say() -> None:
    assert advice(FINE) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("api_key: ${KEY}", "api_key: planted", "providers.a: a key is written in the file"),
        ('hash: "sha256:' + "0" * 64 + '"', "key: planted", "keys: k is written in the file"),
        ("kind: mistral", "kind: groq", "providers.a: its region is not known"),
        ("classes: [hosted]", "classes: [local]", "routes.fast: the policy denies every target"),
        ("providers: [a]}\nk", "providers: []}\nk", "routes.fast: the policy denies every target"),
        ("match: {team: t}", "match: {team: u}", "budgets: b counts nothing"),
        ("kind: mistral", "kind: qwen, region: eu", "providers.a: no price is known"),
        ("default: fast", "other: fast", "tasks: without default"),
    ],
)
def test_what_is_probably_not_meant(old: str, new: str, words: str) -> None:
    assert old in FINE
    said = advice(FINE.replace(old, new, 1))
    assert any(sentence.startswith(words) for sentence in said), said
    assert "planted" not in str(said)


def test_the_documented_example_is_told_which_regions_are_unknown() -> None:
    assert [sentence.partition(":")[0] for sentence in advice(EXAMPLE) if "region" in sentence] == [
        "providers.claude", "providers.grok", "providers.home",
    ]  # fmt: skip
