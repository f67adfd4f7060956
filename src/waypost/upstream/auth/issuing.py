"""Asks those who issue tokens (OAuth 2.0, RFC 6749). Knows their answers; refuses to know what for a token is.

An error tells the issuer's error code and never its text, which may quote what was sent.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from waypost.conversation.faults import Fault, FaultKind, UpstreamFault
from waypost.upstream.auth.renewed import Lease, Renewed
from waypost.upstream.auth.token import Token
from waypost.upstream.connection import DeadlinePassed
from waypost.upstream.pool import Origin, Outgoing, Peer
from waypost.wire.http1 import request_prefix

MOST_ANSWER_BYTES = 256 * 1024
TOTAL_S = 30.0
_TOKEN = re.compile(r"[\x21-\x7e]+")
_CODE = re.compile(r"[a-z_]{1,64}")


class Incoming(Protocol):
    status: int

    async def read(self, limit: int) -> bytes: ...
    def close(self) -> None: ...


Send = Callable[[Outgoing], Awaitable[Any]]  # what a pool's `send` is; its answer is an `Incoming`


class Way(Struct, frozen=True):
    """How an issuer is reached: as its provider is."""

    proxy: str | None = None
    ca_file: str | None = None


_LONGEST_S = 1e9  # of a token's life


class _Granted(Struct, frozen=True):
    access_token: str
    expires_in: float


class _Denied(Struct, frozen=True):
    error: str | None = None


class Issuing:
    """What is renewed in the background, by what it is renewed with: a reload goes on with what is there.

    `send` None: nothing can be fetched, all can be built.
    """

    def __init__(self, send: Send | None = None) -> None:
        self._send = send
        self._renewed: dict[Hashable, Renewed[Any]] = {}
        self._asked: set[Hashable] = set()

    def begin(self) -> None:
        """What is asked for from here on is what a new configuration needs."""
        self._asked = set()

    def settle(self) -> None:
        """The new configuration is in force: ends the renewals that it has no need for."""
        for key in [key for key in self._renewed if key not in self._asked]:
            self._renewed.pop(key).close()

    def close(self) -> None:
        for renewed in self._renewed.values():
            renewed.close()

    def renewed(self, key: Hashable, fetch: Callable[[], Awaitable[Lease[Any]]]) -> Renewed[Any]:
        """The same one for equal keys."""
        self._asked.add(key)
        found = self._renewed.get(key)
        if found is None:
            found = self._renewed[key] = Renewed(fetch)
        return found

    async def grant(self, url: str, form: Mapping[str, str], way: Way) -> Lease[Token]:
        """A token for a form that is posted. UpstreamFault."""
        return await self._ask("POST", url, urlencode(form).encode(), (), way)

    async def look_up(self, url: str, headers: tuple[tuple[str, str], ...], way: Way) -> Lease[Token]:
        """A token that is there to be read. UpstreamFault."""
        return await self._ask("GET", url, b"", headers, way)

    async def _ask(
        self, method: str, url: str, body: bytes, headers: tuple[tuple[str, str], ...], way: Way
    ) -> Lease[Token]:
        parts = urlsplit(url)
        if self._send is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise _failed(FaultKind.UNAUTHORIZED, "the address of who issues tokens is none")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        fixed = (("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json"), *headers)
        outgoing = Outgoing(
            peer=Peer(Origin(parts.scheme, parts.hostname, port), way.proxy, way.ca_file),
            prefix=request_prefix(method, target, parts.netloc.rpartition("@")[2], fixed),
            body=body,
            connect_s=5.0,
            first_byte_s=15.0,
            stall_s=15.0,
            deadline=asyncio.get_running_loop().time() + TOTAL_S,
        )
        try:
            incoming: Incoming = await self._send(outgoing)
            try:
                answer = await incoming.read(MOST_ANSWER_BYTES)
            finally:
                incoming.close()
        except DeadlinePassed:
            raise _failed(FaultKind.FIRST_BYTE_TIMEOUT, f"{parts.hostname} issued no token in time") from None
        return _read(incoming.status, answer, parts.hostname)


def _read(status: int, answer: bytes, host: str) -> Lease[Token]:
    if status != 200:
        kind = FaultKind.UNAUTHORIZED if status < 500 else FaultKind.SERVER_ERROR
        raise _failed(kind, f"{host} issued no token: {status}{_code(answer)}")
    try:
        granted = msgspec.json.decode(answer, type=_Granted, strict=False)  # some write the number as a text
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _failed(FaultKind.MALFORMED, f"{host} answered something that is no token") from None
    if not _TOKEN.fullmatch(granted.access_token):
        raise _failed(FaultKind.MALFORMED, f"{host} issued a token that no header can carry")
    if not 0 <= granted.expires_in <= _LONGEST_S:
        raise _failed(FaultKind.MALFORMED, f"{host} issued a token that expires at no time")
    return Lease(Token(granted.access_token), granted.expires_in)


def _code(answer: bytes) -> str:
    """Its error code (RFC 6749, 5.2), if it looks like one."""
    try:
        told = msgspec.json.decode(answer, type=_Denied).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return f" {told}" if told is not None and _CODE.fullmatch(told) else ""


def _failed(kind: FaultKind, message: str) -> UpstreamFault:
    return UpstreamFault(Fault(kind=kind, message=message))
