"""`waypost doctor`: looks at an installation and its surroundings, and says what is wrong and what to do about it.

No key is sent anywhere: providers are only connected to, and not even that with --offline.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING

from waypost.cli.findings import Finding, Level
from waypost.config.model import Config, Provider, ProviderClass

if TYPE_CHECKING:
    from waypost.upstream.dial import Dialer

NAME = "doctor"
HELP = "find out what is wrong with this installation"
FAILED = 1
CONNECT_S = 4.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--offline", action="store_true", help="connect to no provider")


def run(arguments: argparse.Namespace) -> int:
    """0 if nothing failed, else 1."""
    failed = False
    for finding in examine(arguments.config, os.environ, offline=arguments.offline):
        failed = failed or finding.level is Level.FAILED
        _print(finding, arguments.json)
    return FAILED if failed else 0


def examine(explicit: str | None, environ: Mapping[str, str], *, offline: bool) -> Iterator[Finding]:
    """Everything that is looked at, in an order in which a later finding may follow from an earlier one."""
    from waypost.cli import surroundings

    yield surroundings.python_version(sys.version_info[:3])
    yield from surroundings.packages()
    yield surroundings.clock(time.time())
    config = yield from _configuration(explicit, environ)
    yield surroundings.file_descriptors(config.server.max_connections)
    yield from surroundings.listeners(config.server)
    yield from surroundings.ledger(config.store)
    if offline:
        yield Finding(Level.NOTE, "providers", "not connected to: --offline")
    else:
        yield from asyncio.run(_reach(config, environ))


def _configuration(explicit: str | None, environ: Mapping[str, str]) -> Generator[Finding, None, Config]:
    """Yields what is wrong with the configuration; returns it, or the defaults where it can't be used."""
    from waypost.cli.check import prepare
    from waypost.config.advice import advise
    from waypost.config.environment import config_from_environment
    from waypost.config.errors import ConfigError
    from waypost.config.reader import find_config, load_config
    from waypost.conversation.faults import WaypostError

    path = find_config(explicit, environ)
    try:
        config = load_config(path, environ) if path is not None else config_from_environment(environ)
        prepare(config, environ)
    except ConfigError as error:
        for problem in error.problems:
            yield Finding(Level.FAILED, "configuration", str(problem), "mend the file; `waypost check` reads it again")
        return Config(revision="")
    except (WaypostError, OSError, ValueError) as error:
        yield Finding(Level.FAILED, "configuration", str(error), "mend what it names; `waypost check` reads it again")
        return Config(revision="")
    yield Finding(Level.OK, "configuration", f"{path or 'from the environment'}: revision {config.revision}")
    secrets = sum(len(one.secrets) for provider in config.providers for one in provider.credentials)
    yield Finding(Level.OK, "secrets", f"{secrets} of {secrets} provider keys are there")
    if not config.providers:
        yield Finding(
            Level.NOTE, "providers", "none: `waypost serve` serves simulated ones", "set a key, then `waypost init`"
        )
    for sentence in advise(config):
        yield Finding(Level.NOTE, "configuration", sentence)
    return config


async def _reach(config: Config, environ: Mapping[str, str]) -> list[Finding]:
    """Connects to every provider, TLS included, all at once."""
    from waypost.upstream.dial import Dialer

    dialer = Dialer(environ)
    return list(await asyncio.gather(*(_reach_one(dialer, one, config.ca_file) for one in config.providers)))


async def _reach_one(dialer: "Dialer", provider: Provider, ca_file: str | None) -> Finding:
    from waypost.conversation.faults import UpstreamFault
    from waypost.upstream.lines import peer_of

    remedy = "look at base_url, proxy, ca_file and the network; behind a proxy set HTTPS_PROXY or providers.*.proxy"
    if provider.provider_class is ProviderClass.LOCAL:
        remedy = "start it, or correct base_url"
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(CONNECT_S):
            connection = await dialer.open(peer_of(provider, ca_file), began + CONNECT_S)
    except TimeoutError:
        return Finding(Level.FAILED, provider.name, f"no connection within {CONNECT_S:g} s", remedy)
    except (UpstreamFault, OSError, ValueError) as error:
        return Finding(Level.FAILED, provider.name, str(error), remedy)
    connection.cut()
    return Finding(Level.OK, provider.name, f"connected in {(loop.time() - began) * 1000:.0f} ms")


def _print(finding: Finding, as_json: bool) -> None:
    if as_json:
        print(json.dumps({name: str(getattr(finding, name)) for name in finding.__struct_fields__}), flush=True)
        return
    from waypost.cli.table import has_colour

    mark = f"{finding.level:<6}"
    if has_colour(sys.stdout, os.environ):
        codes = {Level.OK: "32", Level.NOTE: "33", Level.FAILED: "31"}
        mark = f"\x1b[{codes[finding.level]}m{mark}\x1b[0m"
    print(f"{mark}  {finding.subject}: {finding.message}", flush=True)
    if finding.remedy and finding.level is not Level.OK:
        print(f"        -> {finding.remedy}", flush=True)
