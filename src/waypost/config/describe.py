"""A configuration as plain values, to be shown and hashed. Knows what must not be seen; refuses to know how it is
shown.

A secret is shown as its reference; a literal one, and the value of a header or parameter that is not a whole reference,
as `***`. What `${NAME}` was filled in with is shown as it was written.
"""

import hashlib
from enum import StrEnum
from typing import Any

import msgspec

from waypost.config.model import Address, Config, Credential, Key, Provider, Route, Secret, TargetRef
from waypost.config.secrets import REFERENCE, is_reference
from waypost.config.yaml_source import dotted

HIDDEN = "***"
_REVISION_DIGITS = 16
_OF_A_DIALECT = (
    *("dialect", "base_url", "auth", "auth_header", "auth_prefix", "path", "stream_path", "quirks"),
    *("max_output_field", "count_tokens"),
)


def describe_config(config: Config) -> dict[str, object]:
    """The configuration as dictionaries, lists, text and numbers; safe to show and to store."""
    return {"revision": config.revision, "path": config.path, **_Describing(config, hashes=False).whole(config)}


def revision_of(config: Config) -> str:
    """16 hex digits, the same for the same meaning: comments, spacing and the order of names change nothing.

    A reference counts as it is written, a literal secret by its digest, so that the revision tells neither.
    """
    plain = _Describing(config, hashes=True).whole(config)
    content = msgspec.json.encode(plain, order="deterministic")
    return hashlib.sha256(content).hexdigest()[:_REVISION_DIGITS]


class _Describing:
    """One pass over a configuration. `hashes`: hidden values are told apart by their digest."""

    __slots__ = ("_hashes", "_written")

    def __init__(self, config: Config, *, hashes: bool) -> None:
        self._written = dict(config.written)
        self._hashes = hashes

    def whole(self, config: Config) -> dict[str, object]:
        return {
            "server": self._plain(config.server),
            "store": self._plain(config.store),
            "providers": {one.name: self._provider(one) for one in config.providers},
            "routes": {one.name: self._route(one) for one in config.routes},
            "tasks": dict(config.tasks),
            "budgets": {one.name: self._plain(one) for one in config.budgets},
            "keys": {one.name: self._key(one) for one in config.keys},
            "policy": self._plain(config.policy),
            "breaker": self._plain(config.breaker),
            "ca_file": config.ca_file,
        }

    def _provider(self, provider: Provider) -> dict[str, object]:
        path = dotted("providers", provider.name)
        found: dict[str, object] = self._plain(provider)
        for member in ("base_url", "path", "ca_file"):
            found[member] = self._written.get(f"{path}.{member}", found[member])
        found["proxy"] = self._proxy(f"{path}.proxy", provider.proxy)
        found["headers"] = {name: self._maybe_secret(path, "headers", name, value) for name, value in provider.headers}
        found["query"] = {name: self._maybe_secret(path, "query", name, value) for name, value in provider.query}
        found["prices"] = {name: self._plain(price) for name, price in provider.prices}
        found["credentials"] = {one.name: self._credential(one) for one in provider.credentials}
        if provider.also:
            found["also"] = [self._further(one) for one in provider.also]
        return found

    def _further(self, provider: Provider) -> dict[str, object]:
        """Only what may differ from dialect to dialect, and of its headers no value."""
        return {member: self._plain(getattr(provider, member)) for member in _OF_A_DIALECT}

    def _credential(self, credential: Credential) -> object:
        if credential.secrets == (credential.api_key,) or credential == Credential(name=credential.name):
            return self._plain(credential.api_key)
        told: dict[str, object] = self._plain(credential)
        return {name: value for name, value in told.items() if name != "name" and value is not None}

    def _route(self, route: Route) -> dict[str, object]:
        found: dict[str, object] = self._plain(route)
        found["targets"] = [self._target(target) | {"weight": target.weight} for target in route.targets]
        plain = [self._target(target) for target in route.fallbacks]
        found["fallbacks"] = [target if len(target) > 1 else target["model"] for target in plain]
        return found

    @staticmethod
    def _target(target: TargetRef) -> dict[str, object]:
        told: dict[str, object] = {"model": str(target)}
        return told if target.dialect is None else {**told, "dialect": target.dialect}

    def _key(self, key: Key) -> dict[str, object]:
        found: dict[str, object] = self._plain(key)
        if key.digest is not None and not self._hashes:
            found["digest"] = f"sha256:{key.digest[:8]}…"
        return found

    def _maybe_secret(self, path: str, part: str, name: str, value: str) -> str:
        written = self._written.get(dotted(f"{path}.{part}", name))
        if written is not None and REFERENCE.fullmatch(written) is not None:
            return written
        return self._hide(written if written is not None else value)

    def _proxy(self, path: str, value: str | None) -> str | None:
        written = self._written.get(path, value)
        if written is None or "@" not in written:
            return written
        return self._hide(written)

    def _hide(self, value: str) -> str:
        return hashlib.sha256(value.encode()).hexdigest() if self._hashes else HIDDEN

    def _plain(self, value: object) -> Any:
        match value:
            case None | bool() | int() | float():
                return value
            case StrEnum():
                return str(value)
            case str():
                return value
            case Secret():
                return self._secret(value)
            case Address() | TargetRef():
                return str(value)
            case frozenset():
                return sorted(str(item) for item in value)
            case tuple():
                return [self._plain(item) for item in value]
            case msgspec.Struct():
                return {name: self._plain(getattr(value, name)) for name in value.__struct_fields__}
            case _:
                raise TypeError(f"a configuration holds no {type(value).__name__}")

    def _secret(self, secret: Secret) -> str:
        return secret.source if is_reference(secret) else self._hide(secret.source)
