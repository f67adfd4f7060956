"""A secret is looked at, and shown nowhere."""

from pathlib import Path

import msgspec
import pytest

from waypost.config.describe import describe_config
from waypost.config.errors import ConfigError, SecretError
from waypost.config.model import Secret
from waypost.config.reader import read_config
from waypost.config.secrets import resolve

PLANTED = "sk-planted-0123456789"


def test_references_are_resolved(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{PLANTED}\r\n", encoding="utf-8")
    assert resolve(Secret("${KEY}"), {"KEY": PLANTED}) == PLANTED
    assert resolve(Secret(f"file:{file}"), {}) == PLANTED
    assert resolve(Secret(PLANTED), {}) == PLANTED


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"a\nb", "no header"),
        (b"\xff", "not text"),
        (b"x" * 70_000, "larger than"),
    ],
)
def test_a_file_that_holds_no_key(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(SecretError, match=words):
        resolve(Secret(f"file:{file}"), {})


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="environment variable KEY is not set"):
        resolve(Secret("${KEY}"), {})
    with pytest.raises(SecretError, match="can't be read: Is a directory"):
        resolve(Secret(f"file:{tmp_path}"), {})


@pytest.mark.parametrize("source", [PLANTED, f"${{{PLANTED}", f"file:{PLANTED}"])
def test_a_secret_never_shows_itself(source: str) -> None:
    secret = Secret(source)
    assert PLANTED not in f"{secret} {secret!r} {(secret,)!s}"
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)


EVERYWHERE = f"""
providers:
  a: {{kind: openai, api_key: {PLANTED}}}
  b: {{kind: openai, api_key: ${{KEY}}, headers: {{x-key: {PLANTED}, y-key: "${{KEY}}", z-key: "Token ${{KEY}}"}}}}
  c: {{kind: openai, api_key: ${{KEY}}, query: {{key: ${{KEY}}}}, proxy: "http://user:{PLANTED}@proxy:3128"}}
  d: {{kind: openai, api_key: ${{KEY}}, base_url: "https://host/${{KEY}}/v1", proxy: "http://${{KEY}}:x@proxy:1"}}
keys: [{{name: k, key: {PLANTED}-own}}]
"""


def test_a_configuration_shows_no_secret() -> None:
    config = read_config(EVERYWHERE, "test.yaml", {"KEY": f"{PLANTED}-2"})
    shown = f"{config} {config!r} {describe_config(config)} {config.providers!r}"
    assert PLANTED not in shown
    described = describe_config(config)["providers"]
    assert isinstance(described, dict)
    assert described["a"]["credentials"] == {"default": "***"}
    assert described["b"]["credentials"] == {"default": "${KEY}"}
    assert described["b"]["headers"] == {"x-key": "***", "y-key": "${KEY}", "z-key": "***"}
    assert described["c"]["query"] == {"key": "${KEY}"}
    assert described["c"]["proxy"] == "***"
    assert described["d"]["base_url"] == "https://host/${KEY}/v1"
    assert dict(config.providers[1].headers)["z-key"] == f"Token {PLANTED}-2"


def test_a_description_is_plain() -> None:
    config = read_config(EVERYWHERE, "test.yaml", {"KEY": "k"})
    assert msgspec.json.decode(msgspec.json.encode(describe_config(config))) == describe_config(config)


@pytest.mark.parametrize(
    "text",
    [
        "providers: {a: {kind: openai, api_key: ${KEY}, base_url: ${KEY}}}",
        "providers: {a: {kind: ${KEY}, api_key: ${KEY}}}",
        "providers: {a: {kind: openai, api_key: k, rate_limit: ${KEY}, region: ${KEY}, dialect: ${KEY}}}",
        "routes: {a: {targets: [${KEY}]}}\ntasks: {a: ${KEY}}",
        "server: {listen: ${KEY}}\nstore: {ledger: ${KEY}}\nca_file: /nowhere/${KEY}",
        "keys: [{name: a, hash: ${KEY}}]",
        f"keys: [{{name: a, hash: {PLANTED}}}]",
        f"keys: [{{name: a, key {PLANTED}}}]",
        f"providers: {{a: {{kind: openai, api_key {PLANTED}}}}}",
        f'providers: {{a: {{kind: openai, api_key: "{PLANTED}\\x01"}}}}',
        f"providers: {{a: {{kind: openai, api_key: '{PLANTED} ${{KEY}}'}}}}",
        f"providers: {{a: {{kind: openai, api_key: {PLANTED}é}}}}",
        f"providers: {{a: {{kind: openai, api_key: k, base_url: 'https://u:{PLANTED}@h'}}}}",
    ],
)
def test_no_problem_repeats_a_value(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(text, "test.yaml", {"KEY": PLANTED})
    assert PLANTED not in str(caught.value)
