"""Who calls: from a presented key, or a signature made with one, to the caller it names.

Holds digests, and of keys only those that may sign: the ones that the configuration refers to by `key`.
"""

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from urllib.parse import unquote_plus, urlsplit

from msgspec import Struct

from waypost.config.model import Policy
from waypost.config.urls import is_loopback
from waypost.conversation.faults import ErrorKind, Refused
from waypost.governance.signed_request import is_signed, read_signed, verify
from waypost.wire.exchange import Exchange

KEY_HEADERS = ("x-api-key", "x-goog-api-key")
KEY_PARAMETER = "key"
# What says in a query who calls, in the protocols that have it there. It is for us, and never for a provider.
SECRET_PARAMETERS = frozenset({KEY_PARAMETER, "access_token", "oauth_token"})


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


def presented_key(headers: Mapping[str, str], query: str = "") -> str | None:
    """The key in the style of any of the served protocols: `Authorization: Bearer`, a header of its own, `?key=`."""
    authorization = headers.get("authorization")
    if authorization is not None and authorization[:7].lower() == "bearer ":
        return authorization[7:].strip()
    for name in KEY_HEADERS:
        if name in headers:
            return headers[name]
    return _in_query(query) if query else None


def _in_query(query: str) -> str | None:
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if unquote_plus(name) == KEY_PARAMETER:
            return unquote_plus(value)
    return None


def without_keys(query: str, passes: Callable[[str], bool] | None = None) -> str:
    """A caller's query as a provider may see it. `passes`: as a dialect has it."""
    if not query:
        return query
    parts = [(unquote_plus(part.partition("=")[0]), part) for part in query.split("&")]
    return "&".join(part for name, part in parts if name not in SECRET_PARAMETERS and (passes is None or passes(name)))


class Keyring:
    """The callers by the digest of their key. Empty: everyone is `ANYONE`.

    `secrets`: the keys that can verify a signature, by their names.
    """

    __slots__ = ("_callers", "_names", "_secrets")

    def __init__(self, callers: Iterable[tuple[str, Caller]], secrets: Mapping[str, str] | None = None) -> None:
        self._callers = dict(callers)
        self._names = {caller.name: caller for caller in self._callers.values()}
        self._secrets = dict(secrets or {})

    def identify(self, exchange: Exchange, now_s: float) -> Caller:
        """`now_s`: seconds since 1970. Raises Refused(UNAUTHORIZED)."""
        headers = exchange.headers
        if not self._callers:
            if "origin" in headers and not _is_of_this_machine(headers["origin"]):
                raise Refused(
                    ErrorKind.POLICY_DENIED,
                    "A web page of another site may not call a gateway without keys. Configure keys, and send one.",
                )
            return ANYONE
        told = headers.get("authorization")
        if told is not None and told.startswith("Bearer "):
            key: str | None = told[7:]
        elif is_signed(headers):
            return self._signer(exchange, now_s)
        else:
            key = presented_key(headers, exchange.query)
        caller = self._callers.get(sha256(key.encode("utf-8", "surrogateescape")).hexdigest()) if key else None
        if caller is None:
            raise _stranger(key)
        return caller

    def _signer(self, exchange: Exchange, now_s: float) -> Caller:
        headers = exchange.headers
        signed = read_signed(headers["authorization"])
        caller = self._names.get(signed.name)
        if caller is None:
            raise Refused(
                ErrorKind.UNAUTHORIZED,
                "No key of this name is known here. The access key id is the name of a Waypost key, the secret access"
                " key is that key.",
            )
        secret = self._secrets.get(signed.name)
        if secret is None:
            raise Refused(
                ErrorKind.UNAUTHORIZED,
                f"Key {signed.name!r} is configured by its hash, and a signature can't be verified with a hash."
                " Configure it with `key:` instead, or send it as a bearer token (over TLS).",
            )
        verify(signed, secret, exchange.method, exchange.path, exchange.query, headers, exchange.body, now_s)
        return caller


def _is_of_this_machine(origin: str) -> bool:
    try:
        return is_loopback(urlsplit(origin).hostname or "")
    except ValueError:  # it is no URL
        return False


def _stranger(key: str | None) -> Refused:
    if not key:
        return Refused(
            ErrorKind.UNAUTHORIZED,
            "No key was sent. Put a Waypost key into 'Authorization: Bearer …', 'x-api-key' or 'x-goog-api-key'.",
        )
    return Refused(ErrorKind.UNAUTHORIZED, "This key is not known here. Ask whoever runs this gateway for one.")
