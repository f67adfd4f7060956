"""`waypost check`: 0 and a summary, or 2 and every problem, for people and for programs."""

import json
from pathlib import Path

import pytest

from config.examples import ENVIRON, EXAMPLE
from waypost.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("WAYPOST_CONFIG", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_good_file(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    (folder / "waypost.yaml").write_text(EXAMPLE, encoding="utf-8")
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("ok: waypost.yaml: revision ")
    assert "4 providers, 2 routes, 3 tasks, 1 budget, 1 key\n" in out
    assert "note: providers.claude: its region is not known" in out
    assert main(["check", "--json", "--config", "waypost.yaml"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["file"], told["providers"], len(told["advice"])) == (True, "waypost.yaml", 4, 4)
    assert told["revision"] in out


def test_a_bad_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "bad.yaml"
    file.write_text("server: {listn: x}\nproviders: {a: {kind: openai, api_key: ${UNSET_KEY}}}\n", encoding="utf-8")
    assert main(["check", "--config", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        f"{file}:1: server.listn: unknown key: did you mean listen?",
        f"{file}:2: providers.a.api_key: environment variable UNSET_KEY is not set",
        "2 problems: nothing would start",
    ]
    assert main(["check", "--config", str(file), "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert told["problems"][0] == {
        "file": str(file), "line": 1, "path": "server.listn", "message": "unknown key: did you mean listen?",
    }  # fmt: skip


def test_certificates_that_a_start_could_not_load(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.pem").write_text("not a certificate", encoding="utf-8")
    (folder / "waypost.yaml").write_text("server: {tls: {certificate: a.pem, key: a.pem}}\n", encoding="utf-8")
    assert main(["check"]) == 2
    assert "waypost.yaml:1: " in capsys.readouterr().err


def test_nothing_at_all(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(__import__("os").environ):
        if name.endswith(("_API_KEY", "_BASE_URL")):
            monkeypatch.delenv(name)
    assert main(["check"]) == 0
    assert "serves simulated ones" in capsys.readouterr().out


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", "gone.yaml"]) == 2
    assert "gone.yaml:1: can't be read" in capsys.readouterr().err
