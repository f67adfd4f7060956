"""The gateway under test: `waypost serve` in a process of its own, configured as in earnest and watched from outside.

One worker; a key, a budget, the breaker and the ledger are on. Knows the command line and the probes, no inner part.
"""

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from waypost.bench.processes import BenchError, complaints, family, memory_mib, python, running
from waypost.bench.workload import MODEL, PROVIDER, READY_PATH

KEY = "wp-bench"
START_S = 20.0
_POLL_S = 0.002
# A budget of more dollars than a measurement can spend; prices are given, so that no table's gaps void a run.
_CONFIGURATION = """\
server: {{listen: "127.0.0.1:0", admin: "127.0.0.1:0", workers: 1}}
store: {{ledger: "sqlite:///{folder}/waypost.db", state: "sqlite:///{folder}/state.db"}}
providers:
{providers}budgets: [{{name: bench, limit_usd: 1000000, window: day, match: {{team: bench}}}}]
keys: [{{name: bench, hash: "sha256:{digest}", team: bench}}]
"""
_PROVIDER = """\
  {name}:
    kind: openai
    dialect: {dialect}
    base_url: http://{address}
    api_key: sk-bench
    models: [{model}]
    prices: {{{model}: {{input: 0.15, output: 0.6}}}}
    proxy: none
"""


class Provider(Struct, frozen=True):
    """A provider to configure. `address`: HOST:PORT and what of the path is the same for all its calls."""

    name: str
    dialect: str
    address: str
    model: str


class Serving(Struct, frozen=True):
    """A gateway that is ready. `ready_s`: from its exec to the first 200 on /readyz; memory in MiB."""

    pid: int
    address: str
    ready_s: float
    idle_mib: float


def configuration(folder: Path, upstream: str) -> str:
    """For the calls of `workload`. `upstream` is HOST:PORT."""
    return configuration_of(folder, [Provider(PROVIDER, "openai_chat", f"{upstream}/v1", MODEL)])


def configuration_of(folder: Path, providers: Iterable[Provider]) -> str:
    """For these providers."""
    told = [
        _PROVIDER.format(name=each.name, dialect=each.dialect, address=each.address, model=each.model)
        for each in providers
    ]
    return _CONFIGURATION.format(folder=folder, providers="".join(told), digest=sha256(KEY.encode()).hexdigest())


@contextmanager
def gateway(configured: str, core: int | None, folder: Path) -> Iterator[Serving]:
    """Starts it, waits until it is ready, ends it. `configured`: its whole file. BenchError if it does not start."""
    file = folder / "waypost.yaml"
    file.write_text(configured, "utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WAYPOST_")}
    command = [*python("waypost.cli"), "serve", "--config", str(file), "--json"]
    began = time.perf_counter()
    with running(command, core, folder, environ) as process:
        address = _until_listening(process, folder, began + START_S)
        _until_ready(address, began + START_S)
        ready_s = time.perf_counter() - began
        yield Serving(process.pid, address, ready_s, memory_mib(family(process.pid)))


def _until_listening(process: "subprocess.Popen[str]", folder: Path, until: float) -> str:
    """The address that it tells in its log once it listens."""
    log = folder / "stderr.log"
    while process.poll() is None and time.perf_counter() < until:
        for line in log.read_text("utf-8", "replace").splitlines(keepends=True):
            if line.endswith("\n") and '"serving"' in line:
                return str(json.loads(line)["listen"])
        time.sleep(_POLL_S)
    raise BenchError(f"the gateway did not start: {complaints(folder)}")


def _until_ready(address: str, until: float) -> None:
    while time.perf_counter() < until:
        connection = http.client.HTTPConnection(address, timeout=1.0)
        try:
            connection.request("GET", READY_PATH)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass  # not yet
        finally:
            connection.close()
        time.sleep(_POLL_S)
    raise BenchError(f"the gateway was not ready within {START_S:g} s")
