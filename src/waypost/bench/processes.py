"""Other processes: started on a core, counted, and always ended. Knows no HTTP and no figures.

CPU time and memory come from Linux's /proc, elsewhere from `ps` (POSIX), whose times are coarser.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

STOP_S = 5.0
_PROC = Path("/proc")
_SYSTEM_PATHS = "/usr/local/sbin:/usr/sbin:/sbin:/opt/homebrew/bin"  # where nginx is, though not in everyone's PATH


class BenchError(Exception):
    """Something that a measurement needs did not work. The message says what, and what it printed."""


def cores() -> tuple[int | None, int | None]:
    """The core under test, and the core of load and upstream. None: can't be chosen on this system. May be the same."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 % len(allowed)]


def find_program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_PATHS)


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def python(module: str) -> list[str]:
    """The command that runs a module's `main` in this interpreter, with this package."""
    return [sys.executable, "-c", f"import sys; from {module} import main; sys.exit(main())"]


@contextmanager
def running(
    command: Sequence[str], core: int | None, folder: Path, environ: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """A process on one core, from start to its end here. What it says on standard error is kept in `folder`.

    It has a group of its own, so that a Ctrl-C reaches it only through here.
    """
    with open_log(folder) as errors:
        process = subprocess.Popen(  # noqa: S603  the commands are ours
            command,
            cwd=folder,
            env=None if environ is None else dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            process_group=0,
            preexec_fn=None if core is None else partial(os.sched_setaffinity, 0, {core}),
        )
        try:
            yield process
        finally:
            stop(process)


def open_log(folder: Path) -> IO[str]:
    return (folder / "stderr.log").open("a", encoding="utf-8")


def complaints(folder: Path) -> str:
    """The end of what the processes of a folder said on standard error."""
    try:
        return (folder / "stderr.log").read_text("utf-8", "replace")[-2000:].strip()
    except OSError:
        return ""


def stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def finish(process: "subprocess.Popen[str]", folder: Path, timeout_s: float) -> str:
    """Waits for a process to end by itself; what it printed. BenchError if it failed or did not end."""
    try:
        out, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{process.args!r} did not end within {timeout_s:g} s") from None
    if process.returncode != 0:
        raise BenchError(f"{process.args!r} failed: {complaints(folder)}")
    return out


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    members = [pid]
    parents = _parents()
    for member in members:  # grows while it is walked: that is the walk
        members += [child for child, parent in parents.items() if parent == member]
    return members


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time that the processes have used so far, all their threads included."""
    if not _PROC.joinpath("self/stat").exists():
        return sum(_clock(told) for told in _ps("time=", pids))
    ticks = [field for pid in pids for field in _stat(pid)[11:13]]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def exact_cpu_seconds(pids: Sequence[int]) -> float:
    """As `cpu_seconds`, of the threads that still live, to the microsecond where the system tells it so finely."""
    told = [path for pid in pids for path in _PROC.glob(f"{pid}/task/*/schedstat")]
    if not told:
        return cpu_seconds(pids)
    try:
        return sum(int(path.read_text().split()[0]) for path in told) / 1e9
    except (OSError, IndexError, ValueError):
        return cpu_seconds(pids)


def memory_mib(pids: Sequence[int]) -> float:
    """Resident memory now. Pages that processes share are counted for each."""
    if not _PROC.joinpath("self/stat").exists():
        return sum(int(told) for told in _ps("rss=", pids)) / 1024
    pages = sum(int(_stat(pid)[21]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / (1024 * 1024)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on (proc(5)): a name with spaces would shift the others."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        raise BenchError(f"process {pid} ended while it was measured") from None


def _parents() -> dict[int, int]:
    if not _PROC.joinpath("self/stat").exists():
        pairs = (line.split() for line in _ps("pid=,ppid=", ()))
        return {int(pid): int(parent) for pid, parent in pairs}
    found = {}
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            try:
                found[int(folder.name)] = int(_stat(int(folder.name))[1])
            except BenchError:
                continue  # it ended while the list was read
    return found


def _ps(columns: str, pids: Sequence[int]) -> list[str]:
    which = ["-p", ",".join(map(str, pids))] if pids else ["-A"]
    told = subprocess.run(["ps", *which, "-o", columns], capture_output=True, text=True, check=True)  # noqa: S603, S607
    return told.stdout.splitlines()


def _clock(told: str) -> float:
    """`ps`'s [[dd-]hh:]mm:ss[.cc] in seconds."""
    days, _, clock = told.strip().rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + int(days or 0) * 86_400
