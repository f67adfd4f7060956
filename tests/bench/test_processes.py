"""What is read off other processes, and that they end."""

import sys
from pathlib import Path

import pytest

from waypost.bench.gateway import configuration, gateway
from waypost.bench.nginx import proxy_configuration, upstream_configuration
from waypost.bench.processes import (
    BenchError,
    _clock,
    cores,
    cpu_seconds,
    family,
    find_program,
    finish,
    memory_mib,
    running,
)
from waypost.bench.workload import ANSWERS

PARENT = """
import subprocess, sys
with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
    print(child.pid, flush=True)
    sum(range(3_000_000))
    print("counted", flush=True)
    child.wait()
"""


def test_a_family_is_counted_and_ended(tmp_path: Path) -> None:
    with running([sys.executable, "-c", PARENT], cores()[0], tmp_path) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        assert set(family(process.pid)) == {process.pid, child}
        assert process.stdout.readline() == "counted\n"
        assert 0.01 < cpu_seconds(family(process.pid)) < 60
        assert 2 < memory_mib([process.pid]) < memory_mib(family(process.pid)) < 500
    assert process.returncode is not None
    with pytest.raises(BenchError):
        cpu_seconds([process.pid])


def test_what_a_failed_process_said_is_told(tmp_path: Path) -> None:
    with (
        running([sys.executable, "-c", "import sys; sys.exit('no such thing')"], None, tmp_path) as process,
        pytest.raises(BenchError, match="no such thing"),
    ):
        finish(process, tmp_path, 20)


def test_a_gateway_that_does_not_start_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(BenchError, match="base_url"),
        gateway(configuration(tmp_path, "not an address"), None, tmp_path),
    ):
        pytest.fail("it started")


@pytest.mark.parametrize(
    ("told", "seconds"), [("0:01.25", 1.25), ("00:00:07", 7.0), ("1-02:03:04", 93784.0), (" 12:00 ", 720.0)]
)
def test_clock_of_ps(told: str, seconds: float) -> None:
    assert _clock(told) == seconds


def test_nginx_takes_its_configurations(tmp_path: Path) -> None:
    program = find_program("nginx")
    if program is None:
        pytest.skip("nginx is not installed")
    for text in (upstream_configuration(tmp_path, 65_001), proxy_configuration(tmp_path, 65_002, "127.0.0.1:65001")):
        (tmp_path / "nginx.conf").write_text(text)
        command = [program, "-t", "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
        with running(command, None, tmp_path) as process:
            finish(process, tmp_path, 20)


def test_answers_fit_into_a_configuration() -> None:
    assert all("'" not in body and "$" not in body for body in ANSWERS.values())
