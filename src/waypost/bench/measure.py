"""The measurement: what runs on which core, in which order, and what is read off.

The method is the public one of onthebench.ai, scaled to two cores: the subject on one, load and upstream on the other.
CPU a request is user and system time of the subject's whole process tree over a window at concurrency 8, divided by
its good answers. Added latency is taken at concurrency 1, against the upstream asked directly. Rounds alternate between
the subjects, so that what else the machine does touches all of them; the median counts. One failed call voids a figure.
"""

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from waypost.bench import nginx
from waypost.bench.figures import Report, Sample, Subject, subject
from waypost.bench.gateway import KEY, Serving, configuration, gateway
from waypost.bench.load import GRACE_S, Load, Order
from waypost.bench.processes import (
    BenchError,
    complaints,
    cores,
    cpu_seconds,
    family,
    find_program,
    finish,
    free_port,
    memory_mib,
    python,
    running,
)
from waypost.bench.workload import ASKS, Ask

CONCURRENCY = 8
ALONE_S = 1.0  # at concurrency 1, at most
WARM_S = 1.0
Tell = Callable[[str], None]


class Tools(Struct, frozen=True):
    """Programs that were found. The ratio needs nginx; wrk makes the load steadier than Python does."""

    nginx: str | None
    wrk: str | None


class Place(Struct, frozen=True):
    """Where it happens: the core under test, the core of the rest, a folder, the upstream's address."""

    tested: int | None
    rest: int | None
    folder: Path
    upstream: str


def find_tools() -> Tools:
    """Both or none: with one of them the figures would compare with no one's."""
    found = Tools(find_program("nginx"), find_program("wrk"))
    return found if found.nginx and found.wrk else Tools(None, None)


def measure(seconds: float, rounds: int, tools: Tools, tell: Tell) -> Report:
    """`seconds` is a window at concurrency 8. `tell` hears what is under way. BenchError if something does not run."""
    tested, rest = cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="waypost-bench-")))
        tell("starting upstream and gateway")
        upstream = stack.enter_context(_upstream(tools, rest, _subfolder(folder, "upstream")))
        place = Place(tested, rest, folder, upstream)
        own = _subfolder(folder, "gateway")
        serving = stack.enter_context(gateway(configuration(own, upstream), tested, own))
        proxy = stack.enter_context(_proxy(tools, place))
        samples, references = _rounds(serving, proxy, place, seconds, rounds, tools, tell)
        loaded_mib = memory_mib(family(serving.pid))
    pairs = [(ask, samples[ask.name], references[ask.name]) for ask in ASKS]
    return Report(
        machine=machine(),
        method="nginx and wrk" if tools.nginx else "Python upstream and load generator",
        rounds=rounds,
        seconds=seconds,
        subjects=tuple(subject(ask.name, own, its) for ask, own, its in pairs),
        references=tuple(_reference(ask, its) for ask, _, its in pairs if its),
        ready_s=round(serving.ready_s, 3),
        idle_mib=round(serving.idle_mib, 1),
        loaded_mib=round(loaded_mib, 1),
        notes=tuple(_notes(tools, tested, rest)),
    )


def _rounds(
    serving: Serving,
    proxy: tuple[int, str] | None,
    place: Place,
    seconds: float,
    rounds: int,
    tools: Tools,
    tell: Tell,
) -> tuple[dict[str, list[Sample]], dict[str, list[Sample]]]:
    """Samples of the gateway and of nginx, by kind of call."""
    samples: dict[str, list[Sample]] = {ask.name: [] for ask in ASKS}
    references: dict[str, list[Sample]] = {ask.name: [] for ask in ASKS}
    for number in range(rounds):
        for ask in ASKS:
            tell(f"round {number + 1} of {rounds}: {ask.name}")
            alone_s = min(ALONE_S, seconds)
            direct = _load(tools, place, _order(place.upstream, ask.path, ask.reference, 1, alone_s))
            own = _order(serving.address, ask.path, ask.request, CONCURRENCY, seconds)
            samples[ask.name].append(_sample(tools, place, serving.pid, own, direct, warm=number == 0))
            if proxy is not None:
                its = _order(proxy[1], ask.path, ask.reference, CONCURRENCY, seconds)
                references[ask.name].append(_sample(tools, place, proxy[0], its, direct, warm=number == 0))
    return samples, references


def _sample(tools: Tools, place: Place, pid: int, order: Order, direct: Load, *, warm: bool) -> Sample:
    if warm:
        _load(tools, place, msgspec.structs.replace(order, seconds=min(WARM_S, order.seconds)))
    pids = family(pid)
    before = cpu_seconds(pids)
    load = _load(tools, place, order)
    cpu_s = cpu_seconds(pids) - before
    alone = _load(tools, place, msgspec.structs.replace(order, connections=1, seconds=min(ALONE_S, order.seconds)))
    return Sample(cpu_s, load, alone, direct)


def _order(address: str, path: str, body: bytes, connections: int, seconds: float) -> Order:
    return Order(f"http://{address}{path}", body.decode(), KEY, connections, seconds)


def _load(tools: Tools, place: Place, order: Order) -> Load:
    folder = _subfolder(place.folder, "load")
    if tools.wrk is not None:
        return nginx.run_wrk(tools.wrk, order, place.rest, folder)
    command = [*python("waypost.bench.load"), msgspec.json.encode(order).decode()]
    with running(command, place.rest, folder) as process:
        told = finish(process, folder, order.seconds + 2 * GRACE_S)
    return msgspec.json.decode(told, type=Load)


@contextmanager
def _upstream(tools: Tools, core: int | None, folder: Path) -> Iterator[str]:
    """Its address, once it answers."""
    if tools.nginx is not None:
        port = free_port()
        configuration = nginx.upstream_configuration(folder, port)
        with nginx.serving(tools.nginx, configuration, core, folder) as process:
            nginx.until_listening(process, port, folder)
            yield f"127.0.0.1:{port}"
        return
    with running(python("waypost.bench.upstream"), core, folder) as process:
        assert process.stdout is not None
        told = process.stdout.readline().strip()
        if not told.isdecimal():
            raise BenchError(f"the upstream did not start: {complaints(folder)}")
        yield f"127.0.0.1:{told}"


@contextmanager
def _proxy(tools: Tools, place: Place) -> Iterator[tuple[int, str] | None]:
    """Process id and address of the reference; None where there is none."""
    if tools.nginx is None:
        yield None
        return
    port, folder = free_port(), _subfolder(place.folder, "proxy")
    configuration = nginx.proxy_configuration(folder, port, place.upstream)
    with nginx.serving(tools.nginx, configuration, place.tested, folder) as process:
        nginx.until_listening(process, port, folder)
        yield process.pid, f"127.0.0.1:{port}"


def _subfolder(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir(exist_ok=True)
    return path


def _reference(ask: Ask, samples: list[Sample]) -> Subject:
    return msgspec.structs.replace(subject(f"nginx ({ask.path})", samples, ()), ratio_to_nginx=None)


def machine() -> str:
    """What it was measured on."""
    count = os.cpu_count() or 1
    return f"{platform.system()} {platform.machine()}, {count} cores, Python {platform.python_version()}"


def _notes(tools: Tools, tested: int | None, rest: int | None) -> Iterator[str]:
    if tools.nginx is None:
        yield "nginx and wrk are not installed, so there is no ratio: apt-get install nginx wrk"
    if tested is None:
        yield "this system can't tie a process to a core: expect noise"
    elif tested == rest:
        yield "there is one core only, shared by gateway, load and upstream: expect noise"
