"""A line: all that is needed to dial one credential of one provider, prepared when the configuration loads.

The head of a request is the same for every call but for a few headers, so it is kept as bytes. A line holds a secret:
it is never shown.
"""

import html
from collections.abc import Iterator, Sequence
from functools import partial
from urllib.parse import quote, quote_plus, unquote, urlencode, urlsplit

import msgspec

from waypost.config.model import Auth, Provider
from waypost.conversation.faults import Fault
from waypost.upstream.auth.scheme import Scheme, Unsigned
from waypost.upstream.pool import Origin, Outgoing, Peer
from waypost.upstream.proxy import read_proxy
from waypost.wire.http1 import header_lines, request_prefix

USER_AGENT = "waypost"
REDACTED = "[redacted]"
MOST_PREFIXES = 256
SHORTEST_SECRET = 8  # characters: what is shorter is no key, and would be found in the middle of words


class Line:
    """`peer` is where to connect; `outgoing` is a whole request to it. `scheme` signs it, where no fixed key does.

    `is_fixed`: nothing in the head of a request depends on the moment or on the body.
    """

    __slots__ = (
        "_base_path",
        "_headers",
        "_host",
        "_prefixes",
        "_query",
        "_scheme",
        "_secret",
        "is_fixed",
        "peer",
        "provider",
    )

    def __init__(self, provider: Provider, secret: str | None, peer: Peer, scheme: Scheme | None = None) -> None:
        parts = urlsplit(provider.base_url)
        self.provider = provider
        self.peer = peer
        self._base_path = parts.path.rstrip("/")
        self._host = parts.netloc.rpartition("@")[2]
        keyed = secret is not None and provider.auth is Auth.QUERY
        self._query = urlencode((*provider.query, (provider.auth_header, secret)) if keyed else provider.query)
        self._headers = _fixed_headers(provider, None if keyed else secret)
        self._secret = secret
        self._scheme = scheme
        self.is_fixed = scheme is None
        self._prefixes: dict[tuple[str, str], bytes] = {}
        request_prefix("POST", self._base_path or "/", self._host, self._headers)  # what can't be sent is told at load

    def outgoing(
        self,
        path: str,
        model: str,
        query: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        connect_s: float,
        first_byte_s: float,
        stall_s: float,
        deadline: float,
    ) -> Outgoing:
        """A POST of `body` to a path of this provider's. `headers` come on top of the fixed ones."""
        outgoing = Outgoing(
            peer=self.peer,
            prefix=self.prefix(path, model, query),
            body=body,
            connect_s=connect_s,
            first_byte_s=first_byte_s,
            stall_s=stall_s,
            deadline=deadline,
            extra=header_lines(headers) if headers else b"",
        )
        if self._scheme is not None:
            unsigned = Unsigned(*self._target(path, model, query), body)
            lines = self._scheme.lines(unsigned)
            if lines is None:
                outgoing.late = partial(self._scheme.wait, unsigned)
            else:
                outgoing.extra += lines
        return outgoing

    def warm(self) -> None:
        """Begins to fetch what requests will be signed with. Inside a running loop."""
        if self._scheme is not None:
            self._scheme.warm()

    def with_secret(self, secret: str) -> "Line":
        """The same line with a caller's own key, for one call. ValueError for a key that no header can carry."""
        return Line(self.provider, secret, self.peer)

    def concealed(self, fault: Fault) -> Fault:
        """The fault without what this line says in secret, should the provider have quoted it."""
        message = self.conceal_text(fault.message)
        kind, code = (None if text is None else self.conceal_text(text) for text in (fault.type, fault.code))
        return msgspec.structs.replace(fault, message=message, type=kind, code=code)

    def conceal_text(self, text: str) -> str:
        return self.conceal(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def conceal(self, text: bytes) -> bytes:
        """`text` with each secret of this line replaced, in every spelling in which an answer may quote it."""
        for spelling in sorted(set(self._spellings()), key=len, reverse=True):
            text = text.replace(spelling.encode(), REDACTED.encode())
        return text

    def _spellings(self) -> Iterator[str]:
        for secret in self._secrets():
            if len(secret) >= SHORTEST_SECRET:
                quoted = msgspec.json.encode(secret).decode()[1:-1]
                yield from (secret, quoted, quoted.replace("/", "\\/"), html.escape(secret))
                yield from (quote(secret), quote(secret, safe=""), quote_plus(secret))

    def _secrets(self) -> Iterator[str]:
        """The key; every word of the configured headers, which may be `Bearer KEY`; parameters; the proxy's login."""
        if self._secret is not None:
            yield self._secret
        if self._scheme is not None:
            yield from self._scheme.secrets()
        for _, value in self.provider.headers:
            yield value
            yield from value.split()
        yield from (value for _, value in self.provider.query)
        proxy = self.provider.proxy
        if proxy is not None and proxy != "none":
            password = urlsplit(proxy).password or ""
            yield from (password, unquote(password), *(read_proxy(proxy).authorization or "").split())

    def prefix(self, path: str, model: str, query: str = "") -> bytes:
        """`Outgoing.prefix` for a path of this provider's; `{model}` in it stands for the model's name, quoted."""
        if query:
            return self._compose(path, model, query)
        key = (path, model if "{" in path else "")
        prefix = self._prefixes.get(key)
        if prefix is None:
            if len(self._prefixes) >= MOST_PREFIXES:  # callers name models of their own
                self._prefixes.pop(next(iter(self._prefixes)))
            prefix = self._prefixes[key] = self._compose(path, model, "")
        return prefix

    def _compose(self, path: str, model: str, query: str) -> bytes:
        where, queries = self._target(path, model, query)
        return request_prefix("POST", f"{where}{'?' if queries else ''}{queries}", self._host, self._headers)

    def _target(self, path: str, model: str, query: str) -> tuple[str, str]:
        """Path and query as they are sent."""
        if "{model}" in path:
            path = path.replace("{model}", quote(model, safe=""))
        return f"{self._base_path}{path}", "&".join(part for part in (self._query, query) if part)


def peer_of(provider: Provider, ca_file: str | None) -> Peer:
    """Where a provider is reached. ValueError for an address that is no http(s) URL."""
    parts = urlsplit(provider.base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"base_url of provider {provider.name!r} is not an http or https address")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Peer(Origin(parts.scheme, parts.hostname, port), provider.proxy, provider.ca_file or ca_file)


def _fixed_headers(provider: Provider, secret: str | None) -> tuple[tuple[str, str], ...]:
    fixed = (
        ("content-type", "application/json"),
        ("accept-encoding", "identity"),
        ("user-agent", USER_AGENT),
        *provider.headers,
    )
    return (*fixed, (provider.auth_header, f"{provider.auth_prefix}{secret}")) if secret else fixed
