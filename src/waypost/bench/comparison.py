"""Relaying beside translating, all that is measured of it as one report, and how that reads. Values and text only."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from waypost.bench.pairs import Pair
from waypost.bench.translation import Step

_WIDTH = 17
_CELL = 16


class Comparison(Struct, frozen=True):
    """`steps` are readers and writers by themselves; `pairs` whole calls and chunks through a running gateway."""

    machine: str
    rounds: int
    steps: tuple[Step, ...]
    pairs: tuple[Pair, ...]

    @property
    def failed(self) -> int:
        return sum(pair.failed for pair in self.pairs)


def lines(comparison: Comparison) -> Iterator[str]:
    """For people."""
    yield f"{comparison.machine}; the median of {comparison.rounds} rounds through a gateway, the least without"
    for what in _in_order(pair.what for pair in comparison.pairs):
        yield ""
        yield f"{what} through a gateway: µs of CPU, and beside the same caller's relayed one"
        yield from _pairs([pair for pair in comparison.pairs if pair.what == what])
    for what in _in_order(step.what for step in comparison.steps):
        yield ""
        yield f"{what}, without a gateway: µs of CPU to relay, to relay with a limit set, to translate"
        yield from _steps([step for step in comparison.steps if step.what == what])
    if comparison.failed:
        yield f"{comparison.failed} calls failed: figures they touch are void (-)"


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _pairs(pairs: Sequence[Pair]) -> Iterator[str]:
    providers = _in_order(pair.provider for pair in pairs)
    yield _row("caller, provider →", providers)
    for caller in _in_order(pair.caller for pair in pairs):
        yield _row(caller, [_pair(pair) for pair in pairs if pair.caller == caller])


def _pair(pair: Pair) -> str:
    if pair.cpu_us is None:
        return "-"
    return f"{pair.cpu_us:.1f}" if pair.ratio is None else f"{pair.cpu_us:.1f} ({pair.ratio:.2f})"


def _steps(steps: Sequence[Step]) -> Iterator[str]:
    dialects = [step.dialect for step in steps]
    yield _row("read, written →", ["bytes", "relayed", "with a limit", *dialects])
    for step in steps:
        limited = "" if step.limited is None else _figure(step.limited)
        written = [_figure(step.translate[name]) if name in step.translate else "" for name in dialects]
        yield _row(step.dialect, [str(step.bytes), _figure(step.relay), limited, *written])


def _figure(us: float) -> str:
    return f"{us:.1f}" if us < 1000 else f"{us:.0f}"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:{_WIDTH + 1}} " + " ".join([f"{cell:>{_CELL}}" for cell in cells])
