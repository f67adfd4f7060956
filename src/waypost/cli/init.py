"""`waypost init`: writes a first waypost.yaml from what the environment offers. Keys stay where they are: only their
names are written.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from waypost.config import catalogue
from waypost.config.credentials import MEMBERS
from waypost.config.environment import config_from_environment
from waypost.config.errors import ConfigError
from waypost.config.model import Config, Provider, ProviderClass, Secret
from waypost.config.reader import DEFAULT_FILE, VARIABLE, read_config

NAME = "init"
HELP = "write a first configuration from the environment"
FAILED = 1
USAGE = 2
_FIRST = ("anthropic", "openai", "gemini")

_HEAD = """\
# waypost.yaml: what Waypost serves, and to whom.
# `waypost check` says all that is wrong with it, `waypost doctor` looks at what surrounds it.
# Every key: docs/configuration.md

server:
  listen: 127.0.0.1:8080      # callers; any address but loopback needs `keys`
  admin: 127.0.0.1:8081       # status and metrics

store:
  ledger: sqlite:///var/waypost.db    # one row a call

# Who may be called. A secret is written as ${NAME} or file:PATH and stays out of this file.
"""

_ROUTES_HEAD = """
# Names that callers put into "model". Targets come first, fallbacks when they fail. `provider/model` always works too.
"""

_TASKS = """
# Task type -> route, for callers who say what a call is for (x-waypost-task). A type that is not listed takes default.
tasks:
  code: strong
  default: fast
"""

_TAIL = """
# A hard limit: a call that might not fit is refused before anything is sent.
# budgets:
#   - { name: everything, limit_usd: 50, window: month }

# Who may call. The hash of a key: printf %s "$KEY" | sha256sum
# keys:
#   - { name: app, hash: "sha256:...", team: a }

# What may be called at all, fallbacks included. A provider whose region is unknown is denied where regions are listed.
# policy: { classes: [local, hosted], regions: [us, eu] }
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="overwrite a file that is there")


def run(arguments: argparse.Namespace) -> int:
    """0 when written, 1 if the file is there already or can't be written, 2 if a variable can't be used."""
    path = Path(arguments.config or os.environ.get(VARIABLE) or DEFAULT_FILE)
    if path.exists() and not arguments.force:
        print(f"waypost init: {path} is there already: --force overwrites it", file=sys.stderr)
        return FAILED
    try:
        text = first_config(os.environ)
        config = read_config(text, str(path), os.environ)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return USAGE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"waypost init: {path}: {error.strerror}", file=sys.stderr)
        return FAILED
    _print_written(path, config, arguments.json)
    return 0


def first_config(environ: Mapping[str, str]) -> str:
    """The text of a configuration with every provider that the environment names. Raises ConfigError."""
    providers = config_from_environment(environ).providers
    ordered = sorted(providers, key=lambda one: _FIRST.index(one.kind) if one.kind in _FIRST else len(_FIRST))
    parts = [_HEAD]
    parts.append("providers:\n" if ordered else "# providers:\n")
    parts += [_provider(provider) for provider in ordered]
    parts += [_absent(entry) for entry in catalogue.entries() if entry.name in ("openai", "ollama") and not ordered]
    routes = _routes(ordered)
    if routes:
        parts += [_ROUTES_HEAD, routes, _TASKS]
    else:
        parts += [_ROUTES_HEAD, _no_routes(ordered)]
    parts.append(_TAIL)
    return "".join(parts)


def _provider(provider: Provider) -> str:
    entry = catalogue.find(provider.kind)
    assert entry is not None
    members = [f"kind: {provider.kind}"]
    if provider.base_url != entry.base_url:
        members.append(f'base_url: "{provider.base_url}"')
    if provider.base_url != entry.base_url and provider.provider_class is ProviderClass.LOCAL:
        members.append("class: local")
    (credential,) = provider.credentials
    for name in MEMBERS:
        value = getattr(credential, name)
        if isinstance(value, Secret):
            members.append(f"{name}: {value.source}")
    return f"  {provider.name}: {{ {', '.join(members)} }}   # {entry.title}\n"


def _absent(entry: catalogue.Entry) -> str:
    key = f", api_key: ${{{entry.api_key_variables[0]}}}" if entry.api_key_variables else ""
    return f"#   {entry.name}: {{ kind: {entry.name}{key} }}   # {entry.title}\n"


def _routes(providers: list[Provider]) -> str:
    """Routes fast and strong over the vendors whose models are known by name; nothing without any."""
    suggested = {
        one.name: entry.suggested for one in providers if (entry := catalogue.find(one.kind)) and entry.suggested
    }
    if not suggested:
        return ""
    lines = ["routes:\n"]
    for route in ("fast", "strong"):
        first, *others = [f"{name}/{models[route]}" for name, models in suggested.items()]
        lines.append(f"  {route}:\n    targets: [{first}]\n")
        lines.append(f"    fallbacks: [{', '.join(others[:3])}]\n" if others else "")
    return "".join(lines)


def _no_routes(providers: list[Provider]) -> str:
    name = providers[0].name if providers else "openai"
    return f"# routes:\n#   fast: {{ targets: [{name}/MODEL] }}\n"


def _print_written(path: Path, config: Config, as_json: bool) -> None:
    names = [provider.name for provider in config.providers]
    if as_json:
        print(json.dumps({"file": str(path), "revision": config.revision, "providers": names}))
        return
    if names:
        print(
            f"{path}: providers {', '.join(names)}; routes {', '.join(one.name for one in config.routes) or 'none yet'}"
        )
    else:
        print(f"{path}: no provider's variable is set, so its providers are examples in comments")
    print("Next: waypost check, then waypost serve")
