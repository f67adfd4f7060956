"""Fuzzes every dialect's readers, and the writers behind them, with mutated recordings: only typed faults may come out.

    python tests/fuzz/readers.py --seconds 1200 [--dialect gemini] [--findings FOLDER]

Needs `atheris` (not among the locked dependencies: it has wheels for few Pythons) and starts from the recordings that
tests/corpus knows. Findings are kept one file each kind, by where they happened; cases worth keeping go to
tests/fuzz/cases, which test_cases.py reads in on every run.
"""

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
LONGEST = 32 * 1024
TOLD_EVERY = 20_000  # inputs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=1200)
    parser.add_argument("--dialect")
    parser.add_argument("--findings", type=Path, default=Path("var/fuzz"))
    arguments = parser.parse_args()
    sys.path[:0] = [str(HERE.parents[1] / "src"), str(HERE.parent)]
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

    with atheris.instrument_imports(include=["waypost.dialects", "waypost.wire", "waypost.conversation"]):
        from fuzz.targets import TARGETS
    names = [name for name in TARGETS if arguments.dialect is None or name.startswith(arguments.dialect + "-")]
    found: dict[str, bytes] = {}
    runs = [0]
    started = time.monotonic()

    def one(data: bytes) -> None:
        runs[0] += 1
        if runs[0] % TOLD_EVERY == 0:  # and not at the end: libFuzzer ends the process itself
            sys.stderr.write(f"{runs[0]} inputs in {time.monotonic() - started:.0f} s, {len(found)} findings\n")
        if not data:
            return
        name = names[data[0] % len(names)]
        try:
            TARGETS[name](data[1:])
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            keep(found, arguments.findings, name, error, data[1:])

    with tempfile.TemporaryDirectory() as folder:
        seed(Path(folder), names)
        options = [f"-max_len={LONGEST}", "-timeout=20", "-rss_limit_mb=4096", "-verbosity=0"]
        atheris.Setup([sys.argv[0], *options, f"-max_total_time={arguments.seconds}", folder], one)
        atheris.Fuzz()
    return 0


def keep(found: dict[str, bytes], folder: Path, name: str, error: Exception, body: bytes) -> None:
    frames = [each for each in traceback.extract_tb(error.__traceback__) if "waypost" in each.filename]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    place = f"{name}.{type(error).__name__}.{Path(last.filename).stem}-{last.lineno}"
    if place in found and len(found[place]) <= len(body):
        return
    if place not in found:
        sys.stderr.write(f"found: {place}: {str(error)[:150]!r}\n")
    found[place] = body
    folder.mkdir(parents=True, exist_ok=True)
    (folder / place).write_bytes(body)


def seed(folder: Path, names: list[str]) -> None:
    """Recordings as libFuzzer's corpus, the target's number before each."""
    from fuzz.targets import recorded

    taken: Callable[[str], int] = names.index
    for number, (name, body) in enumerate(recorded()):
        if name in names and len(body) < LONGEST:
            (folder / str(number)).write_bytes(bytes([taken(name)]) + body)


if __name__ == "__main__":
    sys.exit(main())
