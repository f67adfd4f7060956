"""What a provider is logged in with: one credential, or several profiles. Knows which members belong together, and what
the environment is asked for where a file says nothing: at the vendor's own address, and for no other.
"""

from collections.abc import Mapping
from typing import Any

from waypost.config import catalogue
from waypost.config.fields import Reading
from waypost.config.model import Auth, Credential, ProviderClass, Secret
from waypost.config.secrets import resolve
from waypost.config.urls import is_loopback, split_url
from waypost.conversation.faults import WaypostError

DEFAULT = "default"
# Each way of logging in: the members it needs, and those it may have.
_WAYS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("api_key",), ()),
    (("access_key_id", "secret_access_key"), ("session_token",)),
    (("credentials_file",), ()),
    (("tenant_id", "client_id", "client_secret"), ()),
)
MEMBERS = tuple(member for needed, optional in _WAYS for member in (*needed, *optional))
AWS_VARIABLES = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "session_token": "AWS_SESSION_TOKEN",
}


def read_credentials(
    reading: Reading,
    values: dict[str, Any],
    entry: catalogue.Entry,
    provider_class: ProviderClass,
    auth: Auth,
    base_url: str | None,
    path: str,
) -> tuple[Credential, ...]:
    """The logins that these members describe, else the usual ones; what is wrong with them is reported."""
    given = [member for member in MEMBERS if reading.knows(f"{path}.{member}")]
    if given and reading.knows(f"{path}.profiles"):
        reading.report(f"{path}.profiles", f"{given[0]} or profiles, not both")
    if reading.knows(f"{path}.profiles"):
        return _profiles(reading, values, path)
    if given:
        check_way(reading, path)
        return (Credential(name=DEFAULT, **{member: values[member] for member in MEMBERS if member in values}),)
    if base_url is None:
        return (Credential(name=DEFAULT),)
    usual = _usual(entry, auth, reading.environ) if _is_vendors(entry, base_url) else Credential(name=DEFAULT)
    of_machine = auth in (Auth.SIGV4, Auth.GOOGLE)
    hosted = provider_class is ProviderClass.HOSTED and not _on_loopback(base_url)
    if hosted and not usual.secrets and not of_machine and reading.with_secrets:
        variable = entry.api_key_variables[0] if entry.api_key_variables else "NAME"
        reading.report(path, f"api_key is missing, as in api_key: ${{{variable}}}")
    return (usual,)


def _profiles(reading: Reading, values: dict[str, Any], path: str) -> tuple[Credential, ...]:
    found: tuple[tuple[str, dict[str, Any]], ...] = values.get("credentials", ())
    if not found and reading.is_good(f"{path}.profiles"):
        reading.report(f"{path}.profiles", "needs at least one profile")
    for name, _ in found:
        check_way(reading, reading.path_below(f"{path}.profiles", name))
    return tuple(Credential(name=name, **members) for name, members in found)


def check_way(reading: Reading, path: str) -> None:
    """Reports two ways of logging in at once, half of one, and none."""
    given = [member for member in MEMBERS if reading.knows(f"{path}.{member}")]
    ways = [way for way in _WAYS if any(member in given for member in (*way[0], *way[1]))]
    if not ways:
        reading.report(path, "api_key is missing, or another way of logging in")
    elif len(ways) > 1:
        reading.report(f"{path}.{given[-1]}", f"{given[0]} or {given[-1]}, not both")
    else:
        for member in ways[0][0]:
            if member not in given:
                reading.report(path, f"{member} is missing: {given[0]} needs it")


def _is_vendors(entry: catalogue.Entry, base_url: str) -> bool:
    """Where each customer has an address of their own, nobody can say that it is the vendor's."""
    return (entry.base_url is not None or entry.regional_base_url is not None) and entry.is_own_address(base_url)


def _usual(entry: catalogue.Entry, auth: Auth, environ: Mapping[str, str]) -> Credential:
    for variable in entry.api_key_variables:
        secret = Secret(f"${{{variable}}}")
        if _is_there(secret, environ):
            return Credential(name=DEFAULT, api_key=secret)
    return aws_credential(environ) if auth is Auth.SIGV4 else Credential(name=DEFAULT)


def aws_credential(environ: Mapping[str, str]) -> Credential:
    """The usual variables of AWS; nothing at all unless both that are needed are there."""
    key, secret, token = (
        secret if _is_there(secret, environ) else None
        for secret in (Secret(f"${{{variable}}}") for variable in AWS_VARIABLES.values())
    )
    if key is None or secret is None:
        return Credential(name=DEFAULT)
    return Credential(name=DEFAULT, access_key_id=key, secret_access_key=secret, session_token=token)


def _is_there(secret: Secret, environ: Mapping[str, str]) -> bool:
    try:
        resolve(secret, environ)
    except WaypostError:
        return False
    return True


def _on_loopback(base_url: str) -> bool:
    parts = split_url(base_url)
    return parts is not None and is_loopback(parts.hostname or "")
