"""`waypost bench`: measures the overhead on this machine, beside nginx proxying the same bytes."""

import argparse
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from waypost.bench.figures import Report, Subject

NAME = "bench"
HELP = "measure the overhead on this machine"
FAILED = 1
USAGE = 2
MOST_SECONDS = 600.0
MOST_ROUNDS = 99
MOST_CALLS = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds", type=float, default=4.0, metavar="S", help="a window of load; default: %(default)s"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="the median counts; default: %(default)s")
    parser.add_argument("--python", action="store_true", help="do without nginx and wrk, and so without the ratio")
    parser.add_argument(
        "--translation",
        action="store_true",
        help="measure instead what translating costs beside relaying, for all pairs of protocols; five minutes a round",
    )
    parser.add_argument(
        "--calls", type=int, default=3200, metavar="N", help="calls of a pair, with --translation; default: %(default)s"
    )


def run(arguments: argparse.Namespace) -> int:
    """0 if every figure is sound, 1 if a call failed or something did not run, 2 for a bad option."""
    from waypost.bench.processes import BenchError

    if not 0 < arguments.seconds <= MOST_SECONDS or not 1 <= arguments.rounds <= MOST_ROUNDS:
        limits = f"--seconds is above 0 and at most {MOST_SECONDS:g}, --rounds from 1 to {MOST_ROUNDS}"
        print(f"waypost bench: {limits}", file=sys.stderr)
        return USAGE
    if not 1 <= arguments.calls <= MOST_CALLS:
        print(f"waypost bench: --calls is from 1 to {MOST_CALLS}", file=sys.stderr)
        return USAGE
    progress = Progress(sys.stderr)
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        failed = (_compare if arguments.translation else _measure)(arguments, progress)
    except (BenchError, OSError) as error:
        progress.end()
        print(f"waypost bench: {error}", file=sys.stderr)
        return FAILED
    finally:
        signal.signal(signal.SIGTERM, before)
    return FAILED if failed else 0


def _measure(arguments: argparse.Namespace, progress: "Progress") -> int:
    """How many calls failed."""
    from waypost.bench.measure import Tools, find_tools, measure

    tools = Tools(None, None) if arguments.python else find_tools()
    report = measure(arguments.seconds, arguments.rounds, tools, progress.tell)
    progress.end()
    _print(report, arguments.json)
    return report.failed


def _compare(arguments: argparse.Namespace, progress: "Progress") -> int:
    """How many calls failed."""
    import msgspec

    from waypost.bench.comparison import Comparison, lines
    from waypost.bench.measure import machine
    from waypost.bench.pairs import Extent, measure_pairs
    from waypost.bench.translation import REPETITIONS, measure_steps

    steps = measure_steps(REPETITIONS if arguments.calls >= REPETITIONS else 1, progress.tell)
    pairs = measure_pairs(Extent(arguments.calls, arguments.rounds), progress.tell)
    comparison = Comparison(machine(), arguments.rounds, steps, pairs)
    progress.end()
    if arguments.json:
        print(msgspec.json.encode(comparison).decode())
    else:
        print("\n".join(lines(comparison)))
    return comparison.failed


class Progress:
    """What is under way, on one line of a terminal; nothing elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = stream.isatty()

    def tell(self, text: str) -> None:
        if self._shown:
            print(f"\r\x1b[K{text} …", end="", file=self._stream, flush=True)

    def end(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=self._stream, flush=True)


def _stop(number: int, frame: FrameType | None) -> None:
    """A measurement that is told to stop ends what it started: that is done on the way out."""
    raise KeyboardInterrupt


def _print(report: "Report", as_json: bool) -> None:
    import msgspec

    if as_json:
        print(msgspec.json.encode(report).decode())
        return
    print(f"{report.machine}; {report.method}; the median of {report.rounds} rounds of {report.seconds:g} s\n")
    width = max(len(each.name) for each in (*report.subjects, *report.references))
    print(f"{'':{width}}  CPU/nginx  CPU µs/call  calls/s  added p50 µs  added p99 µs")
    for each in (*report.subjects, *report.references):
        print(_row(each, width))
    print(
        f"\nready after {report.ready_s:.2f} s; memory {report.idle_mib} MiB idle, {report.loaded_mib} MiB after load"
    )
    if report.failed:
        print(f"{report.failed} calls failed: figures they touch are void (-)")
    for note in report.notes:
        print(f"note: {note}")


def _row(each: "Subject", width: int) -> str:
    cells = (
        _cell(each.ratio_to_nginx, 9, 2),
        _cell(each.cpu_us_per_request, 11, 1),
        _cell(each.requests_per_second, 7, 0),
        _cell(each.added_p50_us, 12, 0),
        _cell(each.added_p99_us, 12, 0),
    )
    return "  ".join((each.name.ljust(width), *cells))


def _cell(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:{width}.{digits}f}"
