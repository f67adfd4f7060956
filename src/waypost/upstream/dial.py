"""Opens connections: names to addresses, addresses to sockets, sockets to TLS. Knows nothing of requests."""

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from waypost.conversation.faults import FaultKind
from waypost.upstream.connection import UpstreamConnection, fault
from waypost.upstream.tls import client_context

if TYPE_CHECKING:
    import ssl

_LEAST_ATTEMPT_S = 0.25  # one dead address must not use up the time of the ones after it


class Origin(Struct, frozen=True):
    """`scheme` is http or https; `host` a name or an address, an IPv6 one without brackets."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return (
            f"{self.scheme}://[{self.host}]:{self.port}"
            if ":" in self.host
            else f"{self.scheme}://{self.host}:{self.port}"
        )


class Peer(Struct, frozen=True):
    """Where connections go, and how; calls with equal peers share connections.

    `proxy`: a URL, None to go by the environment, "none" for none. `ca_file`: PEM
    certificates that are trusted beside the system's.
    """

    origin: Origin
    proxy: str | None = None
    ca_file: str | None = None


class Dialer:
    """Opens connections to peers. Keeps one TLS context per CA file."""

    def __init__(self, make_context: "Callable[[str | None], ssl.SSLContext]" = client_context) -> None:
        self._loop = asyncio.get_running_loop()
        self._make_context = make_context
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    async def open(self, peer: Peer, until: float) -> UpstreamConnection:
        """UpstreamFault(CONNECT) if it fails. The caller bounds it in time; `until` (loop time) says how."""
        origin = peer.origin
        context = self._context(peer.ca_file) if origin.scheme == "https" else None
        addresses = await self._resolve(origin.host, origin.port)
        problem = "no address"
        for index, address in enumerate(addresses):
            left = until - self._loop.time()
            share = max(_LEAST_ATTEMPT_S, left / (len(addresses) - index))
            try:
                async with asyncio.timeout(share):
                    _, connection = await self._loop.create_connection(
                        lambda: UpstreamConnection(self._loop),
                        address[0],
                        address[1],
                        ssl=context,
                        server_hostname=origin.host if context else None,
                    )
                return connection
            except OSError as error:  # TimeoutError and ssl.SSLError are kinds of it
                problem = _describe(error)
        raise fault(FaultKind.CONNECT, f"can't connect to {origin}: {problem}")

    async def _resolve(self, host: str, port: int) -> list[tuple[str, int]]:
        try:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise fault(FaultKind.CONNECT, f"can't resolve {host}: {_describe(error)}") from None
        addresses = [(str(entry[4][0]), int(entry[4][1])) for entry in found]
        return list(dict.fromkeys(addresses))

    def _context(self, ca_file: str | None) -> "ssl.SSLContext":
        context = self._contexts.get(ca_file)
        if context is None:
            context = self._contexts[ca_file] = self._make_context(ca_file)
        return context


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__
