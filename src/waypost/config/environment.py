"""A configuration without a file: providers whose usual variables are set. Naming a key is the consent to call that
vendor.

Local-first: a hosted provider without its key is not there at all, and a local one only where a variable says that it
is.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from waypost.config import catalogue
from waypost.config.credentials import AWS_VARIABLES, aws_credential
from waypost.config.describe import revision_of
from waypost.config.errors import ConfigError
from waypost.config.fields import Reading
from waypost.config.model import Auth, Config, Provider, ProviderClass, Secret
from waypost.config.providers import complete
from waypost.config.urls import split_url

ENVIRONMENT = "environment"


def config_from_environment(environ: Mapping[str, str]) -> Config:
    """Providers by the name of their kind, no routes, no tasks, no budgets, no keys. Without any variable: no
    providers.

    Raises ConfigError if a variable is set to something that can't be used; the problem's path is the variable's name.
    """
    reading = Reading(ENVIRONMENT, environ)
    found = (_provider(reading, entry) for entry in catalogue.entries())
    providers = tuple(provider for provider in found if provider is not None)
    problems = reading.sorted_problems()
    if problems:
        raise ConfigError(problems)
    config = Config(revision="", providers=providers)
    return replace(config, revision=revision_of(config))


def _provider(reading: Reading, entry: catalogue.Entry) -> Provider | None:
    environ = reading.environ
    place = _first_set(entry.base_url_variables, environ)
    key = _first_set(entry.api_key_variables, environ)
    hosted = entry.provider_class is ProviderClass.HOSTED
    region = _first_set(entry.region_variables, environ)
    has_login = key is not None or (entry.auth is Auth.SIGV4 and bool(aws_credential(environ).secrets))
    has_place = place is not None or (hosted and (entry.base_url is not None or region is not None))
    if not has_place or (hosted and not has_login):
        return None
    values: dict[str, object] = {"kind": entry.name}
    if region is not None and place is None and entry.regional_base_url is not None:
        # The address only: models may be served across regions, so it promises nothing about where calls end up.
        values["base_url"] = entry.regional_base_url.replace("{region}", environ[region])
    if place is not None:
        base_url = base_url_from(environ[place], entry)
        if base_url is None:
            reading.report(place, f"must say where {entry.title} is: a URL or HOST:PORT")
            return None
        values["base_url"] = base_url
    if not hosted:
        values["provider_class"] = entry.provider_class
    if key is not None:
        values["api_key"] = Secret(f"${{{key}}}")
        reading.mark(f"{entry.name}.api_key", 1, 0)
    elif hosted:
        for member in AWS_VARIABLES:
            secret = getattr(aws_credential(environ), member)
            if secret is not None:
                values[member] = secret
                reading.mark(f"{entry.name}.{member}", 1, 0)
    return complete(reading, entry.name, values, entry.name)


def base_url_from(said: str, entry: catalogue.Entry) -> str | None:
    """The base URL that a variable means: `HOST`, `HOST:PORT` or a URL, with the dialect's own suffix added where it
    lacks.
    """
    said = said.strip().rstrip("/")
    default = split_url(entry.base_url) if entry.base_url is not None else None
    if "://" not in said:
        said = f"http://{said}" if default is not None else f"https://{said}"
    parts = split_url(said)
    if parts is None or parts.username is not None or parts.query or parts.fragment:
        return None
    host = parts.hostname or ""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - where a server listens; it is reached on loopback
        host = "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    port = parts.port or (default.port if default is not None and parts.scheme == "http" else None)
    suffix = "" if parts.path.endswith(entry.base_url_suffix) else entry.base_url_suffix
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}{suffix}"


def _first_set(variables: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    return next((name for name in variables if environ.get(name)), None)
