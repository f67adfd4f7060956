"""From a file to a configuration, or to everything that is wrong with it. The only place that puts the parts together.

`load_config` is the exact start-up path: `waypost check` and a reload call the same function. Nothing is built here;
secrets are looked at, to know that they are there, and forgotten.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from waypost.config.credentials import DEFAULT
from waypost.config.describe import revision_of
from waypost.config.errors import ConfigError
from waypost.config.fields import Reading, read_section
from waypost.config.meaning import (
    check_breaker,
    check_dialects,
    check_policy,
    check_server,
    check_tasks,
    make_budgets,
    make_keys,
    make_routes,
)
from waypost.config.model import Breaker, Config, Policy, ProblemAt, Provider, Server, Store
from waypost.config.providers import complete
from waypost.config.sections import TOP
from waypost.config.yaml_source import LARGEST_FILE, Flaw, compose, decode

DEFAULT_FILE = "waypost.yaml"
VARIABLE = "WAYPOST_CONFIG"


def find_config(explicit: str | None, environ: Mapping[str, str]) -> str | None:
    """The file to load: `explicit`, else `$WAYPOST_CONFIG`, else `./waypost.yaml` if there is one, else none."""
    if explicit is not None:
        return explicit
    named = environ.get(VARIABLE)
    if named:
        return named
    return DEFAULT_FILE if Path(DEFAULT_FILE).is_file() else None


def load_config(path: str, environ: Mapping[str, str], *, with_secrets: bool = True) -> Config:
    """Reads a file. Raises ConfigError with every problem in it; a file that can't be read is one problem.

    Not `with_secrets`: for who only asks what is configured, and calls nobody.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
        raise ConfigError((ProblemAt(path, 1, "", f"can't be read: {reason}"),)) from None
    text, flaws = decode(content)
    if text is None:
        raise ConfigError(_problems(path, flaws))
    return read_config(text, path, environ, with_secrets=with_secrets)


def read_config(text: str, file: str, environ: Mapping[str, str], *, with_secrets: bool = True) -> Config:
    """Reads the text of a configuration; `file` is what problems call it. Relative paths in it stay relative.

    Raises ConfigError with every problem, ordered by line.
    """
    node, flaws = compose(text)
    if node is None and flaws:
        raise ConfigError(_problems(file, flaws))
    reading = Reading(file, environ, flaws, with_secrets=with_secrets)
    values = read_section(reading, node, "", TOP) if node is not None else {}
    config = _put_together(reading, values)
    problems = reading.sorted_problems()
    if problems:
        raise ConfigError(problems)
    return replace(config, path=file, revision=revision_of(config))


def _put_together(reading: Reading, values: dict[str, Any]) -> Config:
    parts: tuple[tuple[str, dict[str, Any]], ...] = values.get("providers", ())
    known = {name: members.get("models") for name, members in parts}
    providers = tuple(_complete_all(reading, parts))
    check_dialects(reading, values.get("routes", ()), {one.name: one.dialects for one in providers})
    routes = make_routes(reading, values.get("routes", ()), known)
    route_names = tuple(name for name, _ in values.get("routes", ()))
    key_parts = values.get("keys", ())
    keys = make_keys(reading, key_parts, route_names, known)
    key_names = frozenset(members["name"] for members in key_parts if "name" in members)
    budgets = make_budgets(reading, values.get("budgets", ()), key_names)
    server: Server = values.get("server", Server())
    policy: Policy = values.get("policy", Policy())
    breaker: Breaker = values.get("breaker", Breaker())
    check_server(reading, server, bool(key_parts))
    check_policy(reading, "policy", policy, known)
    check_breaker(reading, breaker)
    tasks = check_tasks(reading, values.get("tasks", ()), route_names, known)
    _check_files(reading, server, providers, values.get("ca_file"))
    return Config(
        revision="",
        server=server,
        store=values.get("store", Store()),
        providers=providers,
        routes=routes,
        tasks=tasks,
        budgets=budgets,
        keys=keys,
        policy=policy,
        breaker=breaker,
        ca_file=values.get("ca_file"),
        written=tuple(sorted(reading.written.items())),
    )


def _complete_all(reading: Reading, parts: tuple[tuple[str, dict[str, Any]], ...]) -> list[Provider]:
    found = (complete(reading, name, members, reading.path_below("providers", name)) for name, members in parts)
    return [provider for provider in found if provider is not None]


def _check_files(reading: Reading, server: Server, providers: tuple[Provider, ...], ca_file: str | None) -> None:
    named = [("ca_file", ca_file)]
    if server.tls is not None:
        named += [("server.tls.certificate", server.tls.certificate), ("server.tls.key", server.tls.key)]
    for one in providers:
        path = reading.path_below("providers", one.name)
        named.append((f"{path}.ca_file", one.ca_file))
        for login in one.credentials:
            below = path if login.name == DEFAULT else reading.path_below(f"{path}.profiles", login.name)
            named.append((f"{below}.credentials_file", login.credentials_file))
    for path, name in named:
        if name is None:
            continue
        try:
            with Path(name).open("rb") as file:
                file.read(1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
            reading.report(path, f"the file can't be read: {reason}")


def _problems(file: str, flaws: tuple[Flaw, ...]) -> tuple[ProblemAt, ...]:
    ordered = sorted(flaws, key=lambda flaw: (flaw.line, flaw.column, flaw.path))
    return tuple(ProblemAt(file, flaw.line, flaw.path, flaw.message) for flaw in ordered)
