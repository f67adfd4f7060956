"""`waypost serve`: loads the configuration, starts the gateway, reloads it when told, drains it when asked to stop."""

import argparse
import asyncio
import errno
import gc
import os
import signal
import sqlite3
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from waypost.config.environment import config_from_environment
from waypost.config.errors import ConfigError
from waypost.config.model import Config
from waypost.config.reader import find_config, load_config, read_config
from waypost.conversation.faults import WaypostError
from waypost.telemetry.log import Log

if TYPE_CHECKING:
    from waypost.app import Waypost

NAME = "serve"
HELP = "start the gateway"
FAILED = 1
USAGE = 2
WATCH_S = 1.0
SPARE_FILES = 64  # for listeners, the ledger and its journal

Stamp = tuple[int, int]  # when a file was changed (nanoseconds), and its size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="reload when the configuration file changes")


def run(arguments: argparse.Namespace) -> int:
    import uvloop

    try:
        return uvloop.run(_serve(arguments))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return USAGE
    except (WaypostError, OSError, ValueError, sqlite3.Error) as error:
        print(f"waypost: {error}{_remedy(error)}", file=sys.stderr)
        return FAILED


def _remedy(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return ". Stop what listens there, or set server.listen and server.admin in waypost.yaml to free addresses."
    return ""


async def _serve(arguments: argparse.Namespace) -> int:
    log = Log(as_json=arguments.json)
    stop, changed = asyncio.Event(), asyncio.Event()
    _heed_signals(stop, changed)  # first of all: a SIGHUP that nobody heeds ends the process
    async with AsyncExitStack() as stack:
        path = find_config(arguments.config, os.environ)
        watched = Path(path) if arguments.watch and path is not None else None
        seen = None if watched is None else _stamp(watched)
        config = load_config(path, os.environ) if path is not None else config_from_environment(os.environ)
        simulated = ""
        if not config.providers:
            simulated = (
                "Nothing is configured, so the providers are simulated.\n"
                if path is None
                else f"{path} names no provider, so they are simulated.\n"
            )
            config = await _demo(stack, config)
        allow_connections(config.server.max_connections)
        from waypost.app import Waypost

        waypost = Waypost(config, os.environ, log)
        try:
            data, admin = await waypost.start()
            _settle_memory()
            if not arguments.json:
                print(simulated + _welcome(config, data, admin), flush=True)
            else:
                log("serving", listen=data, admin=admin, revision=config.revision)
            tasks = [asyncio.create_task(_reload_on(changed, waypost, path, log))]
            if watched is not None:
                tasks.append(asyncio.create_task(_watch(watched, seen, changed)))
            await stop.wait()
            for task in tasks:
                task.cancel()
            log("draining", in_flight=len(waypost.gateway.calls))
        finally:
            stop.clear()
            cut = await _stopped(waypost, stop)
    log("stopped", cut=cut)
    return 0


def allow_connections(count: int) -> None:
    """Raises this process's soft limit on open files to what so many connections need, as far as it may.

    The usual 1024 is for programs that use select(2). Each call takes two: the caller's connection and the provider's.
    """
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * count + SPARE_FILES
    wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # Some systems allow less than they say; what there is must then do.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _settle_memory() -> None:
    """What was built at the start lives as long as the process: the collector need not look at it again and again.

    A call leaves no cycles behind, so rarer collections find little and cost little.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


async def _stopped(waypost: "Waypost", hurry: asyncio.Event) -> int:
    """Lets the calls under way end; a second signal cuts them. Returns how many were cut."""
    stopping, told = asyncio.create_task(waypost.stop()), asyncio.create_task(hurry.wait())
    await asyncio.wait((stopping, told), return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        await waypost.cut()
    told.cancel()
    return await stopping


def _heed_signals(stop: asyncio.Event, changed: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, changed.set)


async def _demo(stack: AsyncExitStack, config: Config) -> Config:
    """Simulated providers in this process, for a first call without a key.

    Where a file says to listen, to keep the rows and whom to let in, it is obeyed: it only names no provider.
    """
    from msgspec.structs import replace

    from waypost.sim.demo import demo_config_yaml
    from waypost.sim.simulator import Simulator

    address = await stack.enter_async_context(Simulator().serve("127.0.0.1", 0))
    demo = read_config(demo_config_yaml(str(address)), "simulated providers", os.environ)
    return replace(demo, server=config.server, store=config.store, keys=config.keys, written=config.written)


async def _reload_on(changed: asyncio.Event, waypost: "Waypost", path: str | None, log: Log) -> None:
    while await changed.wait():
        changed.clear()
        _reload(waypost, path, log)


def _reload(waypost: "Waypost", path: str | None, log: Log) -> None:
    if path is None:
        log("reload_refused", problem="there is no configuration file")
        return
    try:
        config = load_config(path, os.environ)
        if config.providers:
            waypost.reload(config)
        else:  # a start would simulate some; in the place of what serves now, they are not what anybody means
            log("reload_refused", problem=f"{path}: no provider is configured")
    except ConfigError as error:
        for problem in error.problems:
            log("reload_refused", problem=str(problem))
    except (WaypostError, OSError, ValueError, sqlite3.Error) as error:
        log("reload_refused", problem=str(error))
    except Exception as error:  # noqa: BLE001 - a bug met with one file must not end the reading of the next
        log("reload_refused", problem=f"internal error: {type(error).__name__}")


async def _watch(path: Path, seen: Stamp | None, changed: asyncio.Event) -> None:
    """`seen` is the file as it was before it was read, so that a change during the start is not missed."""
    while True:
        now = _stamp(path)
        if now != seen:
            seen = now
            changed.set()
        await asyncio.sleep(WATCH_S)


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return status.st_mtime_ns, status.st_size


def _welcome(config: Config, data: str, admin: str) -> str:
    scheme = "https" if config.server.tls is not None else "http"
    if config.routes:
        name = config.routes[0].name
    else:
        provider = config.providers[0]
        name = f"{provider.name}/{provider.models[0] if provider.models else 'MODEL'}"
    key = " -H 'authorization: Bearer YOUR_KEY'" if config.keys else ""
    body = f'{{"model":"{name}","messages":[{{"role":"user","content":"Hello"}}]}}'
    return (
        f"Waypost listens on {scheme}://{data} (admin: http://{admin}), revision {config.revision}.\n"
        f"Try it:\n"
        f"  curl {scheme}://{data}/v1/chat/completions{key} -H 'content-type: application/json' -d '{body}'"
    )
