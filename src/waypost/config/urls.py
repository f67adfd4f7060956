"""Addresses of providers, proxies and stores. Knows which of them this release can use, and whether a host is
evidently one's own.
"""

import re
from urllib.parse import SplitResult, urlsplit

from waypost.config.fields import Kind, Reading
from waypost.config.kinds import read_text
from waypost.config.yaml_source import Node

_URL_TEXT = re.compile(r"[\x21-\x7e]{1,2048}")
_SQLITE = re.compile(r"sqlite:///([^?#\x00-\x1f]+)")
_LATER = {
    "postgresql": "PostgreSQL is not served in this release: use sqlite:///PATH",
    "postgres": "PostgreSQL is not served in this release: use sqlite:///PATH",
    "redis": "Redis is not served in this release: use sqlite:///PATH",
    "rediss": "Redis is not served in this release: use sqlite:///PATH",
}


def split_url(text: str) -> SplitResult | None:
    """The parts of an http(s) URL with a host, or None. Port and host are checked, so that reading them later can't
    fail.
    """
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if good and _URL_TEXT.fullmatch(text) is not None else None


def is_own_host(host: str) -> bool:
    """Whether a host is evidently on this machine or network: loopback, private, link-local, or a name without a
    public suffix.
    """
    return (
        is_loopback(host)
        or _is_private(host)
        or "." not in host
        or host.endswith((".local", ".internal", ".lan", ".home.arpa"))
    )


def is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_private(host: str) -> bool:
    from ipaddress import ip_address

    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_private or address.is_link_local


def sqlite_path(url: str) -> str | None:
    """The path of `sqlite:///PATH`: relative after three slashes, absolute after four. None for anything else."""
    match = _SQLITE.fullmatch(url)
    if match is None or match[1] == ":memory:" or match[1].endswith("/"):
        return None
    return match[1]


def _base_url(reading: Reading, node: Node, path: str) -> str | None:
    expected = "a URL: http(s)://HOST[:PORT][/PATH]"
    text = read_text(reading, node, path, expected)
    if text is None:
        return None
    parts = split_url(text)
    if parts is None:
        reading.report(path, f"must be {expected}")
    elif parts.username is not None or parts.password is not None:
        reading.report(path, "must not hold a login: give it as api_key or headers")
    elif parts.query or parts.fragment:
        reading.report(path, "must not hold a query or fragment: give parameters as query")
    else:
        return text.rstrip("/")
    return None


def _proxy(reading: Reading, node: Node, path: str) -> str | None:
    expected = "a proxy: http://HOST:PORT, or none"
    text = read_text(reading, node, path, expected)
    if text is None or text == "none":
        return text
    parts = split_url(text)
    if parts is None or parts.scheme != "http" or parts.path not in ("", "/") or parts.query or parts.fragment:
        reading.report(path, f"must be {expected}")
        return None
    return text.rstrip("/")


def _store(reading: Reading, node: Node, path: str) -> str | None:
    expected = "sqlite:///PATH"
    text = read_text(reading, node, path, expected)
    if text is None or sqlite_path(text) is not None:
        return text
    scheme = text.partition(":")[0].partition("+")[0]
    reading.report(path, _LATER.get(scheme, f"must be {expected}"))
    return None


BASE_URL = Kind("URL", _base_url)
PROXY = Kind("URL, or `none`", _proxy)
LEDGER = Kind("`sqlite:///PATH`", _store)
STATE = Kind("`sqlite:///PATH`", _store)
