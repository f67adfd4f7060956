"""`waypost init`: what it writes passes `check`, holds no key, and replaces nothing unasked."""

import json
import os
from pathlib import Path

import pytest

from waypost.cli import main
from waypost.cli.init import first_config
from waypost.config import catalogue
from waypost.config.advice import advise
from waypost.config.reader import load_config, read_config

HOSTED = {name: f"planted-{name}" for entry in catalogue.entries() for name in entry.api_key_variables}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if (
            name.endswith(("_API_KEY", "_BASE_URL"))
            or name.startswith("AWS_")
            or name in ("OLLAMA_HOST", "WAYPOST_CONFIG")
        ):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OPENAI_API_KEY": "planted-a"},
        {"OLLAMA_HOST": "127.0.0.1"},
        {"OLLAMA_HOST": "https://ollama.example.com", "VLLM_BASE_URL": "http://gpu:8000/v1"},
        {**HOSTED, "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com", "OLLAMA_HOST": "gpu"},
        {"AWS_ACCESS_KEY_ID": "planted-a", "AWS_SECRET_ACCESS_KEY": "planted-b", "AWS_REGION": "eu-west-1"},
    ],
)
def test_what_it_writes_can_be_served(environ: dict[str, str]) -> None:
    text = first_config(environ)
    assert "planted" not in text
    config = read_config(text, "waypost.yaml", environ)
    assert advise(config) == ()
    vendors = [one for one in config.providers if (entry := catalogue.find(one.kind)) and entry.suggested]
    assert [route.name for route in config.routes] == (["fast", "strong"] if vendors else [])


def test_every_provider_of_the_environment_is_in_it() -> None:
    environ = {**HOSTED, "AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com", "AWS_REGION": "eu-west-1"}
    config = read_config(first_config(environ), "waypost.yaml", environ)
    assert {one.kind for one in config.providers} == {one.name for one in catalogue.entries() if one.api_key_variables}


def test_it_replaces_nothing_unasked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "planted-a")
    file = folder / "waypost.yaml"
    file.write_text("mine", encoding="utf-8")
    assert main(["init"]) == 1
    assert "--force" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == "mine"
    assert main(["init", "--force", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["providers"]) == ("waypost.yaml", ["openai"])
    assert load_config("waypost.yaml", os.environ).revision == told["revision"]


def test_it_writes_where_it_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--config", "etc/waypost/gateway.yaml"]) == 0
    assert (folder / "etc/waypost/gateway.yaml").is_file()
    assert "examples in comments" in capsys.readouterr().out


def test_a_variable_that_can_not_be_used(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "ftp://x")
    assert main(["init"]) == 2
    assert "OLLAMA_HOST" in capsys.readouterr().err
