"""`waypost serve`: loads the configuration, starts the gateway, reloads it when told, drains it when asked to stop."""

import argparse
import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from waypost.config.environment import config_from_environment
from waypost.config.errors import ConfigError
from waypost.config.model import Config
from waypost.config.reader import find_config, load_config, read_config
from waypost.conversation.faults import WaypostError
from waypost.telemetry.log import Log

NAME = "serve"
HELP = "start the gateway"
FAILED = 1
USAGE = 2
WATCH_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="reload when the configuration file changes")


def run(arguments: argparse.Namespace) -> int:
    import uvloop

    try:
        return uvloop.run(_serve(arguments))
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return USAGE
    except (WaypostError, OSError, ValueError) as error:
        print(f"waypost: {error}", file=sys.stderr)
        return FAILED


async def _serve(arguments: argparse.Namespace) -> int:
    log = Log(as_json=arguments.json)
    async with AsyncExitStack() as stack:
        path = find_config(arguments.config, os.environ)
        config = load_config(path, os.environ) if path is not None else config_from_environment(os.environ)
        if not config.providers:
            config = await _demo(stack)
        from waypost.app import Waypost

        waypost = Waypost(config, os.environ, log)
        try:
            data, admin = await waypost.start()
            if not arguments.json:
                print(_welcome(config, data, admin), flush=True)
            else:
                log("serving", listen=data, admin=admin, revision=config.revision)
            await _until_stopped(waypost, path, arguments.watch, log)
        finally:
            cut = await waypost.stop()
    log("stopped", cut=cut)
    return 0


async def _demo(stack: AsyncExitStack) -> Config:
    """Simulated providers in this process, for a first call without a key."""
    from waypost.sim.demo import demo_config_yaml
    from waypost.sim.simulator import Simulator

    address = await stack.enter_async_context(Simulator().serve("127.0.0.1", 0))
    return read_config(demo_config_yaml(str(address)), "simulated providers", os.environ)


async def _until_stopped(waypost: "object", path: str | None, watch: bool, log: Log) -> None:
    from waypost.app import Waypost

    assert isinstance(waypost, Waypost)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def reload() -> None:
        if path is None:
            log("reload_refused", reason="there is no configuration file")
            return
        try:
            waypost.reload(load_config(path, os.environ))
        except ConfigError as error:
            for problem in error.problems:
                log("reload_refused", problem=str(problem))
        except (WaypostError, OSError, ValueError) as error:
            log("reload_refused", problem=str(error))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    watching = asyncio.create_task(_watch(Path(path), reload)) if watch and path is not None else None
    await stop.wait()
    log("draining", in_flight=len(waypost.gateway.calls))
    if watching is not None:
        watching.cancel()


async def _watch(path: Path, changed: "object") -> None:
    assert callable(changed)
    seen = _stamp(path)
    while True:
        await asyncio.sleep(WATCH_S)
        now = _stamp(path)
        if now != seen:
            seen = now
            changed()


def _stamp(path: Path) -> tuple[int, int]:
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
    simulated = (
        "Nothing is configured, so the providers are simulated.\n" if config.path == "simulated providers" else ""
    )
    body = f'{{"model":"{name}","messages":[{{"role":"user","content":"Hello"}}]}}'
    return (
        f"{simulated}Waypost listens on {scheme}://{data} (admin: http://{admin}), revision {config.revision}.\n"
        f"Try it:\n"
        f"  curl {scheme}://{data}/v1/chat/completions{key} -H 'content-type: application/json' -d '{body}'"
    )
