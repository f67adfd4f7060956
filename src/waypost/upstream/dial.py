"""Opens connections: names to addresses, addresses to sockets, through proxies, into TLS. Knows nothing of calls."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING

from msgspec import Struct

from waypost.conversation.faults import FaultKind, UpstreamFault
from waypost.upstream.connection import UpstreamConnection, fault
from waypost.upstream.proxy import Proxy, authority, authorization_line, connect_head, read_proxy, read_rules
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
        return f"{self.scheme}://{authority(self.host, self.port)}"


class Peer(Struct, frozen=True):
    """Where connections go, and how; calls with equal peers share connections.

    `proxy`: a URL, None to go by the environment, "none" for none. `ca_file`: PEM
    certificates that are trusted beside the system's.
    """

    origin: Origin
    proxy: str | None = None
    ca_file: str | None = None


class Dialer:
    """Opens connections to peers. Keeps one TLS context per CA file. Build it inside a running loop.

    `environ` is where proxies are looked up for peers that name none.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        make_context: "Callable[[str | None], ssl.SSLContext]" = client_context,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._rules = read_rules(environ or {})
        self._make_context = make_context
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    async def open(self, peer: Peer, until: float) -> UpstreamConnection:
        """UpstreamFault(CONNECT) if it fails. The caller bounds it in time; `until` (loop time) says how."""
        origin = peer.origin
        try:
            proxy = self.find_proxy(peer)
            if proxy is None:
                context = self._context(peer.ca_file) if origin.scheme == "https" else None
                return await self._connect(origin.host, origin.port, context, until)
            context = self._context(peer.ca_file) if proxy.scheme == "https" else None
            connection = await self._connect(proxy.host, proxy.port, context, until)
            if origin.scheme == "https":
                return await self._tunnel(connection, proxy, peer, until)
        except UpstreamFault as error:  # of the proxy, before there was a way through
            raise fault(FaultKind.CONNECT, f"can't connect to {origin}: {error.fault.message}") from None
        except (OSError, ValueError) as error:  # of a CA file, of TLS; of a proxy's URL
            raise fault(FaultKind.CONNECT, f"can't connect to {origin}: {_describe(error)}") from None
        connection.proxied = f"http://{authority(origin.host, origin.port)}".encode(), authorization_line(proxy)
        return connection

    def find_proxy(self, peer: Peer) -> Proxy | None:
        """The proxy that calls to `peer` go through. ValueError if what is configured is none."""
        if peer.proxy == "none":
            return None
        url = peer.proxy or self._rules.find(peer.origin.scheme, peer.origin.host, peer.origin.port)
        return read_proxy(url) if url is not None else None

    async def _connect(
        self, host: str, port: int, context: "ssl.SSLContext | None", until: float
    ) -> UpstreamConnection:
        """Tries the addresses of `host` in turn, each with its share of the time."""
        addresses = await self._resolve(host, port)
        problem: Exception = OSError("no address")
        for index, address in enumerate(addresses):
            share = max(_LEAST_ATTEMPT_S, (until - self._loop.time()) / (len(addresses) - index))
            try:
                async with asyncio.timeout(share):
                    _, connection = await self._loop.create_connection(
                        lambda: UpstreamConnection(self._loop),
                        address[0],
                        address[1],
                        ssl=context,
                        server_hostname=host if context else None,
                    )
                return connection
            except OSError as error:  # TimeoutError and ssl.SSLError are kinds of it
                problem = error
        raise problem

    async def _tunnel(self, outer: UpstreamConnection, proxy: Proxy, peer: Peer, until: float) -> UpstreamConnection:
        """Asks the proxy for a way through, and speaks TLS with the target over it."""
        origin = peer.origin
        try:
            head = connect_head(proxy, origin.host, origin.port) + b"\r\n"
            await outer.begin(head, b"", True, inf, inf, until)
            status = outer.parser.status
            if status // 100 != 2:
                raise OSError(f"{proxy} answered {status} to CONNECT")
            inner = UpstreamConnection(self._loop)
            transport = await self._loop.start_tls(
                outer.transport, inner, self._context(peer.ca_file), server_hostname=origin.host
            )
        except BaseException:
            outer.cut()
            raise
        if transport is None:
            raise OSError("the connection closed while TLS began")
        inner.connection_made(transport)
        return inner

    async def _resolve(self, host: str, port: int) -> list[tuple[str, int]]:
        try:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise OSError(f"can't resolve {host}: {_describe(error)}") from None
        addresses = [(str(entry[4][0]), int(entry[4][1])) for entry in found]
        return list(dict.fromkeys(addresses))

    def _context(self, ca_file: str | None) -> "ssl.SSLContext":
        context = self._contexts.get(ca_file)
        if context is None:
            context = self._contexts[ca_file] = self._make_context(ca_file)
        return context


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__
