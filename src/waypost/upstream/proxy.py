"""Proxies: which one, if any, stands between here and a provider, and what it is told. No sockets.

Reads the variables that curl and the vendors' SDKs read: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, the forms in
small letters first. The environment's proxies are never used for loopback addresses; a configured one is used for all.
"""

import base64
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from msgspec import Struct

_PORTS = {"http": 80, "https": 443}


class Proxy(Struct, frozen=True):
    """`scheme` is how the proxy itself is spoken to. `authorization` is the value of Proxy-Authorization, a secret."""

    scheme: str
    host: str
    port: int
    authorization: str | None = None

    def __repr__(self) -> str:
        return f"Proxy({self.scheme}://{authority(self.host, self.port)})"


class Exemption(Struct, frozen=True):
    """One entry of NO_PROXY: a network, or a domain with all below it ("" for every host); `port` None is any port."""

    domain: str = ""
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None


class ProxyRules(Struct, frozen=True):
    """What an environment says about proxies. Members are URLs."""

    http: str | None = None
    https: str | None = None
    exemptions: tuple[Exemption, ...] = ()

    def find(self, scheme: str, host: str, port: int) -> str | None:
        """The URL of the proxy for a target, None for none."""
        url = self.https if scheme == "https" else self.http
        if url is None or is_loopback(host) or any(is_exempt(rule, host, port) for rule in self.exemptions):
            return None
        return url


def read_rules(environ: Mapping[str, str]) -> ProxyRules:
    """The variables of an environment → rules. Empty variables count as unset."""
    every = _variable(environ, "all_proxy")
    # a CGI server makes HTTP_PROXY out of a request's header: then it is the caller's word, not the operator's
    http = environ.get("http_proxy") if "REQUEST_METHOD" in environ else _variable(environ, "http_proxy")
    return ProxyRules(
        http=http or every,
        https=_variable(environ, "https_proxy") or every,
        exemptions=tuple(
            read_exemption(entry) for entry in (_variable(environ, "no_proxy") or "").replace(",", " ").split()
        ),
    )


def read_proxy(url: str) -> Proxy:
    """`http://user:password@host:port` → proxy; without a scheme it is http. ValueError, which never shows the URL."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("the proxy's port is not a port") from None
    if parts.scheme not in _PORTS:
        raise ValueError(f"proxies of kind {parts.scheme!r} are not supported, only http and https")
    if not parts.hostname:
        raise ValueError("the proxy has no host")
    authorization = None
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(login.encode()).decode()
    return Proxy(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], authorization)


def read_exemption(entry: str) -> Exemption:
    """An entry of NO_PROXY: `*`, `[*][.]example.com`, an address or a network, each perhaps with `:port`."""
    network = _network(entry)
    if network is not None:
        return Exemption(network=network)
    name, _, port = entry.rpartition(":")
    if not name or not port.isdigit():
        name, port = entry, ""
    network = _network(name)
    number = int(port) if port else None
    if network is not None:
        return Exemption(network=network, port=number)
    return Exemption(domain=name.lower().lstrip("*").strip("."), port=number)


def is_exempt(rule: Exemption, host: str, port: int) -> bool:
    if rule.port is not None and rule.port != port:
        return False
    if rule.network is not None:
        address = _address(host)
        return address is not None and address in rule.network
    name = host.lower().rstrip(".")
    return not rule.domain or name == rule.domain or name.endswith("." + rule.domain)


def is_loopback(host: str) -> bool:
    name = host.lower().rstrip(".")
    address = _address(host)
    return name == "localhost" or name.endswith(".localhost") or (address is not None and address.is_loopback)


def authority(host: str, port: int) -> str:
    """`host:port` as requests have it: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def authorization_line(proxy: Proxy) -> bytes:
    return f"proxy-authorization: {proxy.authorization}\r\n".encode() if proxy.authorization else b""


def connect_head(proxy: Proxy, host: str, port: int) -> bytes:
    """The request for a tunnel, without the blank line that ends it (RFC 9110, 9.3.6)."""
    target = authority(host if host.isascii() else host.encode("idna").decode(), port).encode()
    return b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b" % (target, target, authorization_line(proxy))


def absolute_head(head: bytes, origin: bytes, authorization: bytes) -> bytes:
    """A request's head as a proxy is sent it for a plain-text target: the target absolute, the proxy's header first."""
    method, _, rest = head.partition(b" ")
    line, _, lines = rest.partition(b"\r\n")
    return b"%b %b%b\r\n%b%b" % (method, origin, line, authorization, lines)


def _variable(environ: Mapping[str, str], name: str) -> str | None:
    return environ.get(name) or environ.get(name.upper()) or None


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
