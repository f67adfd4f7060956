"""Providers without a file: those whose variables are set, and no others."""

import pytest

from waypost.config.environment import config_from_environment
from waypost.config.errors import ConfigError
from waypost.config.model import Secret


def test_nothing_set_is_nobody_called() -> None:
    config = config_from_environment({"PATH": "/bin", "OPENAI_API_KEY": ""})
    assert (config.providers, config.routes, config.tasks, config.budgets, config.keys) == ((), (), (), (), ())
    assert config.path is None
    assert len(config.revision) == 16


def test_naming_a_key_is_consent_to_call_that_vendor() -> None:
    config = config_from_environment({"OPENAI_API_KEY": "sk-planted", "ANTHROPIC_API_KEY": "sk-planted-too"})
    assert [one.name for one in config.providers] == ["anthropic", "openai"]
    assert config.providers[1].credentials[0].api_key == Secret("${OPENAI_API_KEY}")
    assert "planted" not in repr(config)


@pytest.mark.parametrize(
    ("environ", "base_url"),
    [
        ({"OLLAMA_HOST": "0.0.0.0"}, "http://127.0.0.1:11434/v1"),
        ({"OLLAMA_HOST": "gpu:9999"}, "http://gpu:9999/v1"),
        ({"OLLAMA_HOST": "http://gpu"}, "http://gpu:11434/v1"),
        ({"OLLAMA_HOST": "https://ollama.example.com/"}, "https://ollama.example.com/v1"),
        ({"OLLAMA_HOST": "[::1]:1"}, "http://[::1]:1/v1"),
        ({"VLLM_BASE_URL": "http://gpu:8000/v1"}, "http://gpu:8000/v1"),
        (
            {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com/"},
            "https://r.openai.azure.com/openai/v1",
        ),
    ],
)
def test_variables_that_say_where(environ: dict[str, str], base_url: str) -> None:
    (provider,) = config_from_environment(environ).providers
    assert provider.base_url == base_url


def test_a_key_without_its_place_is_not_enough() -> None:
    assert config_from_environment({"AZURE_OPENAI_API_KEY": "k"}).providers == ()
    assert config_from_environment({"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com"}).providers == ()


def test_a_variable_that_says_nothing_usable_is_a_problem() -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_environment({"OLLAMA_HOST": "ftp://user:word@gpu"})
    assert [one.path for one in caught.value.problems] == ["OLLAMA_HOST"]
    assert "word" not in str(caught.value)
