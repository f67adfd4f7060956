"""`waypost bench` as it is used, in the small: with its own load generator and upstream."""

import json
import os
from pathlib import Path

import pytest

from waypost.cli import main


def children() -> set[str]:
    return {
        pid.name
        for pid in Path("/proc").iterdir()
        if pid.name.isdecimal() and f"PPid:\t{os.getpid()}\n" in read(pid / "status")
    }


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_it_measures_and_leaves_nothing_behind(capsys: pytest.CaptureFixture[str]) -> None:
    before = children() if Path("/proc/self/status").exists() else set()
    assert main(["bench", "--python", "--seconds", "0.1", "--rounds", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in report["subjects"]] == ["OpenAI → OpenAI", "Anthropic → OpenAI"]
    for each in report["subjects"]:
        assert each["ratio_to_nginx"] is None
        assert each["failed"] == 0
        assert each["requests_per_second"] > 10
        assert each["cpu_us_per_request"] > 1
        assert each["added_p50_us"] > 0
    assert report["references"] == []
    assert any("apt-get install nginx wrk" in note for note in report["notes"])
    assert 0 < report["ready_s"] < 20
    assert 5 < report["idle_mib"] <= report["loaded_mib"] + 1 < 500
    assert not before or children() == before


@pytest.mark.parametrize("words", [["--seconds", "0"], ["--rounds", "0"], ["--seconds", "nan"]])
def test_a_bad_option_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    assert "--seconds" in capsys.readouterr().err
