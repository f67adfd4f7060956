"""`waypost sim` as a process, and the configuration of the demonstration."""

import argparse
import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.request import urlopen

import pytest

from waypost.cli import sim
from waypost.config.reader import read_config
from waypost.sim import Fault, FaultKind, Model, Script, demo_config_yaml, read_script

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulator.md"

PROGRAM = """
import argparse, sys
from waypost.cli import sim
parser = argparse.ArgumentParser()
sim.add_arguments(parser)
parser.add_argument("--json", action="store_true")
sys.exit(sim.run(parser.parse_args()))
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(tmp_path: Path, stop: signal.Signals) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("models: {scripted: {}}")
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        "--listen",
        "127.0.0.1:0",
        "--seed",
        "5",
        "--script",
        str(script),
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        told = json.loads(process.stdout.readline())
        with urlopen(f"http://{told['address']}/v1/models") as answer:
            assert json.load(answer)["data"][0]["id"] == "scripted"
        process.send_signal(stop)
        assert process.wait(10) == 0


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    sim.add_arguments(parser)
    return sim.run(parser.parse_args(words))


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.0.0.1:port", "127.0.0.1:70000"])
def test_a_bad_address_is_a_usage_error(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--listen", listen) == 2
    assert "HOST:PORT" in capsys.readouterr().err


def test_a_bad_script_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "script.yaml"
    assert run("--script", str(script)) == 2
    script.write_text("modles: {}")
    assert run("--script", str(script)) == 2
    assert "modles" in capsys.readouterr().err


def test_an_address_it_cannot_have_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--listen", "192.0.2.1:8090") == 1
    assert "192.0.2.1:8090" in capsys.readouterr().err


def test_the_demonstration_is_a_sound_configuration() -> None:
    config = read_config(demo_config_yaml("127.0.0.1:8090"), "demo", {})
    providers = {provider.name: provider for provider in config.providers}
    assert providers["sim-openai"].base_url == "http://127.0.0.1:8090/v1"
    assert providers["sim-anthropic"].base_url == "http://127.0.0.1:8090"
    assert {route.name for route in config.routes} == {"fast", "strong", "shaky"}
    assert dict(config.tasks)["default"] == "fast"
    assert config.budgets
    assert all(provider.prices for provider in config.providers)
    for route in config.routes:
        for target in (*route.targets, *route.fallbacks):
            assert target.model in (providers[target.provider].models or ())


def test_the_document_names_everything() -> None:
    document = DOCUMENT.read_text("utf-8")
    names = [*FaultKind, *Fault.__struct_fields__[1:], *Script.__struct_fields__, *Model.__struct_fields__]
    assert [name for name in names if f"`{name}`" not in document and f"{name}:" not in document] == []


def test_the_script_in_the_document_is_one() -> None:
    section = DOCUMENT.read_text("utf-8").partition("## A script\n")[2].partition("A time is")[0]
    script = read_script(textwrap.dedent(section))
    assert [fault.kind for fault in script.models["gpt-sim"].faults] == ["status_500", "reset_before"]
