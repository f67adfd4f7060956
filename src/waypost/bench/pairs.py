"""What calls of every dialect cost a running gateway, answered by a provider of every dialect: 36 pairs.

CPU is user and system time of the gateway's process over a known number of calls, sockets, ledger, budget and all.
Whole calls come over eight connections; so do streams, each chunk by itself; calls of 1 MB come one after another.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from waypost.bench import conversations
from waypost.bench.crowd import Tally, Task
from waypost.bench.gateway import KEY, Provider, Serving, configuration_of, gateway
from waypost.bench.processes import BenchError, complaints, cores, exact_cpu_seconds, family, finish, python, running
from waypost.bench.replay import DELTAS, STREAM, WHOLE
from waypost.conversation.request import Request
from waypost.dialects.dialect import Dialect
from waypost.dialects.registry import DIALECTS

CONNECTIONS = 8
MOST_S = 60.0  # for all calls of one figure
_MARK = "pump"  # of which each of our answers holds some
Tell = Callable[[str], None]


class Kind(Struct, frozen=True):
    """A kind of call. `calls` over each of `connections`; a figure is CPU over `units` of each call."""

    what: str
    request: Request
    connections: int
    calls: int
    units: int
    least: int


class Pair(Struct, frozen=True):
    """µs of CPU a unit; None if a call failed. `ratio` is to the same caller's relayed call."""

    what: str
    caller: str
    provider: str
    cpu_us: float | None
    ratio: float | None
    failed: int


class Extent(Struct, frozen=True):
    """How much is measured. `calls`: whole calls of a pair; `deltas`: chunks of a stream."""

    calls: int
    rounds: int
    deltas: int = DELTAS
    dialects: tuple[str, ...] = tuple(DIALECTS)


def kinds(calls: int, deltas: int) -> tuple[Kind, ...]:
    plain, stream = conversations.plain_request(), conversations.plain_request(stream=True)
    return (
        Kind("whole call", plain, CONNECTIONS, max(1, calls // CONNECTIONS), 1, 1),
        Kind("chunk of a stream", stream, CONNECTIONS, 1, deltas, deltas // 2),
        Kind("call of 1 MB", conversations.large_request(), 1, max(1, calls // 200), 1, 1),
    )


def measure_pairs(extent: Extent, tell: Tell) -> tuple[Pair, ...]:
    """`tell` hears what is under way. BenchError if something does not run."""
    tested, rest = cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="waypost-bench-")))
        tell("starting upstream and gateway")
        command = [*python("waypost.bench.replay"), str(extent.deltas)]
        upstream = stack.enter_context(running(command, rest, folder))
        assert upstream.stdout is not None
        port = upstream.stdout.readline().strip()
        if not port.isdecimal():
            raise BenchError(f"the upstream did not start: {complaints(folder)}")
        own = folder / "gateway"
        own.mkdir()
        providers = [
            Provider(_name(way, name), name, f"127.0.0.1:{port}/{way}/{name}", conversations.MODEL)
            for way in (WHOLE, STREAM)
            for name in extent.dialects
        ]
        serving = stack.enter_context(gateway(configuration_of(own, providers), tested, own))
        measured = kinds(extent.calls, extent.deltas)
        pairs: list[Pair] = []
        for kind in measured:
            for name in extent.dialects:
                tell(f"{kind.what} of {name}")
                pairs += _row(kind, DIALECTS[name], extent, serving, rest, folder)
        return tuple(pairs)


def _row(
    kind: Kind, caller: Dialect, extent: Extent, serving: Serving, core: int | None, folder: Path
) -> Iterator[Pair]:
    """One caller. Its relayed call is measured before and after each translated one, so that what moves the machine
    moves both.
    """
    units = kind.connections * kind.calls * kind.units
    failed = dict.fromkeys(extent.dialects, 0)
    samples: dict[str, list[float]] = {name: [] for name in extent.dialects}
    beside: dict[str, list[float]] = {name: [] for name in extent.dialects}

    def sample(name: str) -> float:
        before = exact_cpu_seconds(family(serving.pid))
        failed[name] += _ask(kind, caller, name, serving, core, folder).failed
        samples[name].append((exact_cpu_seconds(family(serving.pid)) - before) * 1e6 / units)
        return samples[name][-1]

    for _ in range(extent.rounds):
        relayed = sample(caller.name)
        for name in extent.dialects:
            if name != caller.name:
                before = relayed
                sample(name)
                relayed = sample(caller.name)
                beside[name].append((before + relayed) / 2)
    beside[caller.name] = samples[caller.name]
    for name, found in samples.items():
        own = None if failed[name] else round(median(found), 1)
        ratio = None if own is None else _ratio(found, beside[name])
        yield Pair(kind.what, caller.name, name, own, ratio, failed[name])


def _ratio(found: list[float], beside: list[float]) -> float | None:
    if 0 in beside:
        return None
    return round(median([own / relayed for own, relayed in zip(found, beside, strict=True)]), 2)


def _ask(kind: Kind, caller: Dialect, provider: str, serving: Serving, core: int | None, folder: Path) -> Tally:
    streamed = kind.request.stream
    model = f"{_name(STREAM if streamed else WHOLE, provider)}/{conversations.MODEL}"
    body = folder / "request.json"
    body.write_bytes(conversations.request_bytes(caller, msgspec.structs.replace(kind.request, model=model)))
    door = next(door for door in caller.doors if door.stream in (None, streamed) and not door.counts)
    url = f"http://{serving.address}{door.path.replace('{model}', model)}"
    query = f"?{caller.stream_query}" if streamed and caller.stream_query else ""
    task = Task(url + query, str(body), KEY, kind.connections, kind.calls, _MARK, kind.least, MOST_S)
    with running([*python("waypost.bench.crowd"), msgspec.json.encode(task).decode()], core, folder) as process:
        return msgspec.json.decode(finish(process, folder, 2 * MOST_S), type=Tally)


def _name(way: str, dialect: str) -> str:
    """A provider's."""
    return f"{way}-{dialect.replace('_', '-')}"
