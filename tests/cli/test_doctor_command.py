"""`waypost doctor`: each thing that can be wrong is found, with what to do about it."""

import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from waypost.cli import main, surroundings
from waypost.cli.doctor import examine
from waypost.cli.findings import Finding, Level
from waypost.config.model import Address, Store


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WAYPOST_CONFIG", raising=False)
    return tmp_path


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def write(text: str) -> None:
    Path("waypost.yaml").write_text(text, encoding="utf-8")


def found(environ: dict[str, str] | None = None, *, offline: bool = True) -> list[Finding]:
    return list(examine(None, environ or {}, offline=offline))


def failures(findings: list[Finding]) -> list[str]:
    return [one.subject for one in findings if one.level is Level.FAILED]


def test_nothing_is_wrong() -> None:
    write("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0}\nproviders: {a: {kind: openai, api_key: ${KEY}}}\n")
    findings = found({"KEY": "planted"})
    assert failures(findings) == []
    subjects = {one.subject for one in findings}
    assert {"python", "uvloop", "clock", "configuration", "secrets", "server.listen", "ledger", "journal"} <= subjects
    assert "planted" not in str(findings)


def test_every_problem_of_the_configuration_is_a_finding() -> None:
    write("server: {listn: x}\nproviders: {a: {kind: openai, api_key: ${GONE}}}\n")
    findings = [one for one in found() if one.subject == "configuration"]
    assert [one.level for one in findings] == [Level.FAILED, Level.FAILED]
    assert "environment variable GONE is not set" in findings[1].message
    assert all(one.remedy for one in findings)


def test_a_taken_port(taken: int) -> None:
    write(f"server: {{listen: 127.0.0.1:{taken}, admin: 127.0.0.1:0}}\n")
    assert failures(found()) == ["server.listen"]
    finding = surroundings.listener("server.listen", Address("127.0.0.1", taken))
    assert finding.level is Level.FAILED
    assert finding.remedy


def test_a_ledger_that_is_no_database(folder: Path) -> None:
    (folder / "broken.db").write_text("this is no database, and long enough to be read as one" * 20, encoding="utf-8")
    write("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0}\nstore: {ledger: sqlite:///broken.db}\n")
    assert failures(found()) == ["ledger"]
    sqlite3.connect(folder / "good.db").close()
    assert failures([*surroundings.ledger(Store(ledger="sqlite:///good.db"))]) == []


def test_a_ledger_below_a_file(folder: Path) -> None:
    (folder / "var").write_text("", encoding="utf-8")
    assert failures([*surroundings.ledger(Store())]) == ["ledger", "journal"]


def test_providers_are_connected_to_and_sent_nothing(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    write(
        f"""
server: {{listen: 127.0.0.1:0, admin: 127.0.0.1:0}}
providers:
  up: {{kind: openai, base_url: http://127.0.0.1:{taken}/v1, api_key: ${{KEY}}}}
  down: {{kind: ollama, base_url: http://127.0.0.1:{free}/v1}}
"""
    )
    findings = {one.subject: one for one in found({"KEY": "planted"}, offline=False)}
    assert findings["up"].level is Level.OK
    assert findings["down"].level is Level.FAILED
    assert findings["down"].remedy == "start it, or correct base_url"


@pytest.mark.parametrize(("now_s", "level"), [(0.0, Level.FAILED), (1.8e9, Level.OK), (9e9, Level.FAILED)])
def test_the_clock(now_s: float, level: Level) -> None:
    assert surroundings.clock(now_s).level is level


def test_an_old_python() -> None:
    assert surroundings.python_version((3, 10, 4)).level is Level.FAILED


def test_descriptors_are_counted() -> None:
    assert "descriptors" in surroundings.file_descriptors(10**6).subject
    assert surroundings.file_descriptors(1).message.startswith("enough")


def test_the_command_prints_and_fails(
    taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in list(os.environ):
        if name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    write(f"server: {{listen: 127.0.0.1:{taken}, admin: 127.0.0.1:0}}\n")
    assert main(["doctor", "--offline"]) == 1
    out = capsys.readouterr().out
    assert f"failed  server.listen: 127.0.0.1:{taken}" in out
    assert "        -> " in out
    write("server: {listen: 127.0.0.1:0, admin: 127.0.0.1:0}\n")
    assert main(["doctor", "--offline", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"level", "subject", "message", "remedy"} == set(lines[0])
