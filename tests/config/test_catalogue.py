"""Every file of the catalogue is complete, and says nothing that the rest of the house does not know."""

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import waypost
from waypost.config import catalogue
from waypost.config.dialects import DIALECTS
from waypost.config.model import Auth, ProviderClass
from waypost.config.provider_sections import CAPABILITIES, QUIRKS

ENTRIES = catalogue.entries()
KINDS = {
    "openai", "anthropic", "gemini", "xai", "deepseek", "qwen", "glm", "mistral", "groq", "together", "fireworks",
    "openrouter", "cerebras", "azure-openai", "cohere", "bedrock", "vertex",
    "vertex-anthropic", "ollama", "vllm", "lmstudio", "llama.cpp",
}  # fmt: skip


def test_all_kinds_are_there() -> None:
    assert {entry.name for entry in ENTRIES} == KINDS


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_is_complete(entry: catalogue.Entry) -> None:
    assert catalogue.find(entry.name) == entry
    assert entry.title
    assert entry.dialect in DIALECTS
    assert entry.quirks <= set(QUIRKS)
    assert entry.capabilities is None or entry.capabilities <= set(CAPABILITIES)
    assert entry.auth_header == entry.auth_header.lower()
    assert (entry.auth_header == "authorization") == (entry.auth_prefix == "Bearer ")
    assert entry.max_output_field in (None, "max_tokens", "max_completion_tokens")
    if entry.provider_class is ProviderClass.HOSTED:
        assert entry.api_key_variables or entry.auth is Auth.GOOGLE
        place = entry.base_url or entry.base_url_example or entry.regional_base_url or ""
        assert place.startswith("https://")
    else:
        assert entry.base_url_variables
        assert ipaddress.ip_address(urlsplit(entry.base_url or "").hostname or "").is_loopback
        assert entry.region is None
        assert entry.price_source is None
    for dialect, more in entry.also.items():
        assert dialect in DIALECTS
        assert dialect != entry.dialect
        assert more.quirks <= set(QUIRKS)
        assert more.base_url is None or more.base_url.startswith(("/", "https://"))
        assert (more.auth_header is None) == (more.auth_prefix is None)


def test_prices_come_from_providers_that_the_price_table_knows() -> None:
    from genai_prices.data import providers

    known = {provider.id for provider in providers}
    assert {entry.price_source for entry in ENTRIES if entry.price_source} <= known


@pytest.mark.parametrize("kind", ["", ".", "..", "../secrets", "openai.toml", "OpenAI", "llama-cpp", "a/b", "watson"])
def test_what_is_not_a_kind_is_not_found(kind: str) -> None:
    assert catalogue.find(kind) is None


def test_files_are_short_and_carry_their_name() -> None:
    folder = Path(waypost.__file__).parent / "upstream" / "providers"
    files = sorted(folder.glob("*.toml"))
    assert len(files) == len(KINDS)
    for file in files:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        assert len(lines) <= 20, file.name
        assert file.stem == next(e.name for e in ENTRIES if e.name.replace(".", "-") == file.stem).replace(".", "-")


def test_suggested_models_are_hosted_and_come_in_pairs() -> None:
    for entry in ENTRIES:
        assert set(entry.suggested) in (set(), {"fast", "strong"})
        if entry.suggested:
            assert entry.provider_class is ProviderClass.HOSTED


def test_every_quirk_is_known_to_a_dialect() -> None:
    """A quirk that nobody reads would be a promise that nobody keeps."""
    folder = Path(waypost.__file__).parent / "dialects"
    read = "".join(file.read_text(encoding="utf-8") for file in folder.rglob("*.py"))
    assert {quirk for quirk in QUIRKS if f'"{quirk}" in ' not in read and f'"{quirk}" not in ' not in read} == set()
