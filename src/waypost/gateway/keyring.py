"""Who calls: from a presented key to the caller it names. Holds digests only, never a key."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from urllib.parse import urlsplit

from msgspec import Struct

from waypost.config.model import Policy
from waypost.config.urls import is_loopback
from waypost.conversation.faults import ErrorKind, Refused


class Caller(Struct, frozen=True, kw_only=True):
    """`name` None: no keys are configured, so anyone on this machine may call."""

    name: str | None = None
    team: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    scopes: frozenset[str] = frozenset()
    routes: frozenset[str] | None = None
    policy: Policy = Policy()


ANYONE = Caller(scopes=frozenset({"stats"}))


def digest(key: str) -> str:
    """The form in which a configuration names a key: sha256, hex."""
    return sha256(key.encode()).hexdigest()


def presented_key(headers: Mapping[str, str]) -> str | None:
    """The key in the style of any of the served protocols: `Authorization: Bearer` or `x-api-key`."""
    authorization = headers.get("authorization")
    if authorization is not None and authorization[:7].lower() == "bearer ":
        return authorization[7:].strip()
    return headers.get("x-api-key")


class Keyring:
    """The callers by the digest of their key. Empty: everyone is `ANYONE`."""

    __slots__ = ("_callers",)

    def __init__(self, callers: Iterable[tuple[str, Caller]]) -> None:
        self._callers = dict(callers)

    def identify(self, headers: Mapping[str, str]) -> Caller:
        """Raises Refused(UNAUTHORIZED)."""
        if not self._callers:
            if "origin" in headers and not is_loopback(urlsplit(headers["origin"]).hostname or ""):
                raise Refused(
                    ErrorKind.POLICY_DENIED,
                    "A web page of another site may not call a gateway without keys. Configure keys, and send one.",
                )
            return ANYONE
        told = headers.get("authorization")
        key = told[7:] if told is not None and told.startswith("Bearer ") else presented_key(headers)
        caller = self._callers.get(sha256(key.encode("utf-8", "surrogateescape")).hexdigest()) if key else None
        if caller is None:
            raise _stranger(key)
        return caller


def _stranger(key: str | None) -> Refused:
    if not key:
        return Refused(
            ErrorKind.UNAUTHORIZED,
            "No key was sent. Put a Waypost key into 'Authorization: Bearer …' or 'x-api-key'.",
        )
    return Refused(ErrorKind.UNAUTHORIZED, "This key is not known here. Ask whoever runs this gateway for one.")
