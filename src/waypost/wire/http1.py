"""HTTP/1.1 heads as bytes (RFC 9112): status lines, header lines, the start of a request. No parsing, no connection.

A head that could be read in two ways is never written: a line break or any other control character in a name or value
is a ValueError, as is a character that latin-1 does not have.
"""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus

from msgspec import Struct

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class _Names(dict[bytes, str]):
    """Names as they are written → in small letters, whether they are in here or not. Nothing is added to it."""

    def __missing__(self, name: bytes) -> str:
        return name.decode("latin-1").lower()


# Names that most heads are made of, as clients and servers write them: looking one up is cheaper than decoding it.
KNOWN_NAMES = _Names(
    (form.encode(), name)
    for name in (
        "accept",
        "accept-encoding",
        "anthropic-version",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "date",
        "host",
        "server",
        "transfer-encoding",
        "user-agent",
        "x-api-key",
        "x-request-id",
        "x-stainless-arch",
        "x-stainless-async",
        "x-stainless-lang",
        "x-stainless-os",
        "x-stainless-package-version",
        "x-stainless-read-timeout",
        "x-stainless-retry-count",
        "x-stainless-runtime",
        "x-stainless-runtime-version",
    )
    for form in (name, name.title())
)

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(r"[\x21-\x7e]+")
BODILESS = frozenset((204, 304))  # statuses whose answers carry no body (RFC 9112, 6.3)


class Rejection(Struct, frozen=True):
    """Why a request can't be read, as the status and sentence its sender is told. `path` is empty where unknown."""

    status: int
    message: str
    path: str = ""


def status_line(status: int) -> str:
    return STATUS_LINES.get(status) or f"HTTP/1.1 {status} Status\r\n"


def response_headers(headers: Sequence[tuple[str, str]]) -> str:
    """Header lines of an answer. ValueError for a line break in a name or value."""
    text = "".join([f"{name}: {value}\r\n" for name, value in headers])
    lines = len(headers)
    if text.count("\n") != lines or text.count("\r") != lines:
        raise ValueError("a header holds a line break")
    return text


def chunk(data: bytes) -> bytes:
    """`data`, which must not be empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def header_lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """Header lines of a request. ValueError names a header that can't be sent, never its value, a secret perhaps."""
    lines: list[str] = []
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is not a header name")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"the value of the header {name!r} has a character that HTTP does not allow")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")


def request_prefix(method: str, target: str, host: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Request line, `host` and header lines: the part of a request that stays the same from call to call."""
    if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(target):
        raise ValueError("the request line has a character that HTTP does not allow")
    return f"{method} {target} HTTP/1.1\r\n".encode() + header_lines((("host", host), *headers))
