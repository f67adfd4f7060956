"""What `waypost doctor` looks at on this machine: versions, clock, limits, ports, disk. Changes nothing, calls no
provider.
"""

import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from waypost.cli.findings import Finding, Level
from waypost.config.model import Address, Server, Store

OLDEST_PYTHON = (3, 11)
PACKAGES = ("uvloop", "httptools", "msgspec", "PyYAML", "prometheus-client")
EARLIEST_TIME = 1_767_225_600  # 2026-01-01: this release is younger
LATEST_TIME = 4_102_444_800  # 2100-01-01
FEW_DESCRIPTORS = 4096
LITTLE_SPACE = 256 * 1024 * 1024
PROBE_S = 1.0


def python_version(running: tuple[int, int, int]) -> Finding:
    text = ".".join(map(str, running))
    if running[:2] < OLDEST_PYTHON:
        return Finding(Level.FAILED, "python", f"{text} is too old", "run Python 3.11 or newer")
    return Finding(Level.OK, "python", text)


def packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(Level.OK, name, version(name))
        except PackageNotFoundError:
            yield Finding(Level.FAILED, name, "is not installed", f"pip install {name}")


def clock(now_s: float) -> Finding:
    """Budget windows and certificates hang on the wall clock."""
    if not EARLIEST_TIME <= now_s <= LATEST_TIME:
        return Finding(Level.FAILED, "clock", "the wall clock can't be right", "set it; run a time service (NTP)")
    return Finding(Level.OK, "clock", "the wall clock is plausible")


def file_descriptors(max_connections: int) -> Finding:
    """Each call takes two: the caller's connection and the provider's. `serve` uses all that the hard limit allows."""
    import resource

    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = 2 * max_connections + 64
    if limit == resource.RLIM_INFINITY or limit >= enough:
        return Finding(Level.OK, "file descriptors", "enough for every connection that is allowed")
    remedy = f"ulimit -Hn {enough}, or a lower server.max_connections"
    if limit < FEW_DESCRIPTORS:
        return Finding(Level.NOTE, "file descriptors", f"only {limit}: about {limit // 2} calls at once", remedy)
    return Finding(Level.OK, "file descriptors", f"{limit}: about {limit // 2} calls at once")


def listeners(server: Server) -> Iterator[Finding]:
    for name, address in (("server.listen", server.listen), ("server.admin", server.admin)):
        yield listener(name, address)


def listener(name: str, address: Address) -> Finding:
    """Whether the address is free; a gateway that already serves there is no failure."""
    problem = _bind(address)
    if problem is None:
        return Finding(Level.OK, name, f"{address} is free")
    if address.port and _answers(address):
        return Finding(Level.NOTE, name, f"{address} is served already, by something that answers /livez")
    return Finding(Level.FAILED, name, f"{address}: {problem}", f"stop what listens there, or set {name}")


def _bind(address: Address) -> str | None:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        with closing(socket.socket(family, socket.SOCK_STREAM)) as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind((address.host, address.port))
            taken.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _answers(address: Address) -> bool:
    try:
        with closing(socket.create_connection((address.reachable.host, address.port), PROBE_S)) as connection:
            connection.settimeout(PROBE_S)
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: doctor\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def ledger(store: Store) -> Iterator[Finding]:
    """Whether the ledger's file can be opened or made, and whether there is room for it."""
    from waypost.ledger.sqlite import journal_folder, ledger_path

    path = ledger_path(store)
    yield _ledger_file(path)
    yield _folder("journal", journal_folder(store))
    existing = _existing(path.parent)
    free = shutil.disk_usage(existing).free
    if free < LITTLE_SPACE:
        yield Finding(Level.NOTE, "disk", f"only {free // 2**20} MiB free at {existing}", "make room")
    else:
        yield Finding(Level.OK, "disk", f"{free // 2**20} MiB free at {existing}")


def _ledger_file(path: Path) -> Finding:
    if not path.exists():
        return _folder("ledger", path.parent)
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        return Finding(Level.FAILED, "ledger", f"{path} can't be written", "give this user the right to")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return Finding(Level.FAILED, "ledger", f"{path}: {error}", "restore it, or set store.ledger to another file")
    return Finding(Level.OK, "ledger", f"{path} opens")


def _folder(subject: str, folder: Path) -> Finding:
    existing = _existing(folder)
    if not existing.is_dir():
        return Finding(Level.FAILED, subject, f"{existing} is not a folder", "move it, or set another path in store")
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding(Level.FAILED, subject, f"{existing} can't be written", "give this user the right to")
    return Finding(Level.OK, subject, f"{folder} can be written")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
