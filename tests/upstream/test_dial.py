"""TLS and proxies, over real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
import trustme

from upstream.providing import OK, Link, Providing, pooling, providing, whole
from waypost.conversation.faults import FaultKind, UpstreamFault
from waypost.upstream.dial import Dialer, Origin, Peer


async def obliging(link: Link) -> None:
    while True:
        await link.request()
        link.send(OK)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def server_side(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(name).configure_cert(context)
    return context


def with_peer(provider: Providing, **changes: str) -> Peer:
    return msgspec.structs.replace(provider.peer, **changes)


class Proxying:
    """A proxy that notes what it is asked, and tunnels or passes on unless it is told what to answer instead."""

    def __init__(self) -> None:
        self.url = ""
        self.heads: list[bytes] = []
        self.answer: bytes | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if self.answer is not None:
                writer.write(self.answer)
            else:
                target = head.split(b" ")[1].removeprefix(b"http://").partition(b"/")[0].decode()
                there = await asyncio.open_connection(*target.rsplit(":", 1))
                self.writers.append(there[1])
                if head.startswith(b"CONNECT"):
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    there[1].write(head)
                await asyncio.gather(self.pour(reader, there[1]), self.pour(there[0], writer))
        writer.close()

    async def pour(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data)
        sink.close()


@asynccontextmanager
async def proxying(ssl_context: ssl.SSLContext | None = None) -> AsyncIterator[Proxying]:
    proxy = Proxying()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=ssl_context)
    port = server.sockets[0].getsockname()[1]
    proxy.url = f"{'https' if ssl_context else 'http'}://user:pass@127.0.0.1:{port}"
    try:
        yield proxy
    finally:
        server.close()
        for task in proxy.tasks:
            task.cancel()
        await asyncio.gather(*proxy.tasks, return_exceptions=True)
        for writer in proxy.writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in proxy.writers), return_exceptions=True)


async def test_a_certificate_of_a_known_authority(authority: trustme.CA, ca_file: str) -> None:
    seen: list[tuple[str | None, str | None]] = []

    async def script(link: Link) -> None:
        tls = link.writer.get_extra_info("ssl_object")
        seen.append((tls.version(), tls.selected_alpn_protocol()))
        await obliging(link)

    async with providing(script, ssl_context=server_side(authority)) as provider, pooling() as pool:
        peer = with_peer(provider, ca_file=ca_file)
        for _ in range(3):
            assert await whole(await pool.send(provider.call(peer=peer))) == (200, b"ok")
        assert seen == [("TLSv1.3", "http/1.1")]


async def test_a_large_exchange_over_tls(authority: trustme.CA, ca_file: str) -> None:
    big = b"x" * 3_000_000

    async def script(link: Link) -> None:
        _, body = await link.request()
        link.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await link.hung_up()

    async with providing(script, ssl_context=server_side(authority)) as provider, pooling() as pool:
        answer = await pool.send(provider.call(big, peer=with_peer(provider, ca_file=ca_file)))
        assert await whole(answer, len(big)) == (200, big)


async def connect_fault(provider: Providing, peer: Peer, dialer: Dialer | None = None) -> str:
    """What a call that can't connect is told."""
    async with pooling(dialer) as pool:
        with pytest.raises(UpstreamFault) as failure:
            await pool.send(provider.call(peer=peer))
        assert failure.value.fault.kind is FaultKind.CONNECT
        assert pool._lanes[peer].count == 0
    return failure.value.fault.message


async def silent(link: Link) -> None:
    await link.hung_up()


async def test_a_certificate_of_nobody_known_is_refused(authority: trustme.CA) -> None:
    async with providing(silent, ssl_context=server_side(authority)) as provider:
        assert "certificate verify failed" in await connect_fault(provider, provider.peer)


async def test_a_certificate_of_another_host_is_refused(authority: trustme.CA, ca_file: str) -> None:
    async with providing(silent, ssl_context=server_side(authority, "other.example")) as provider:
        assert "127.0.0.1" in await connect_fault(provider, with_peer(provider, ca_file=ca_file))


async def test_tls_1_1_is_refused(authority: trustme.CA, ca_file: str) -> None:
    context = server_side(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with providing(silent, ssl_context=context) as provider:
        assert await connect_fault(provider, with_peer(provider, ca_file=ca_file))


async def test_plain_text_where_tls_was_expected() -> None:
    async def script(link: Link) -> None:
        link.send(OK)
        await link.hung_up()

    async with providing(script) as provider:
        origin = msgspec.structs.replace(provider.peer.origin, scheme="https")
        assert await connect_fault(provider, Peer(origin))


async def test_an_authority_that_can_not_be_read(authority: trustme.CA, tmp_path: Path) -> None:
    async with providing(silent, ssl_context=server_side(authority)) as provider:
        assert await connect_fault(provider, with_peer(provider, ca_file=str(tmp_path / "none.pem")))


@pytest.mark.parametrize("secure_proxy", [False, True])
async def test_a_tunnel_through_a_proxy(authority: trustme.CA, ca_file: str, secure_proxy: bool) -> None:
    tls = server_side(authority)
    async with (
        providing(obliging, ssl_context=tls) as provider,
        proxying(tls if secure_proxy else None) as proxy,
        pooling() as pool,
    ):
        peer = with_peer(provider, ca_file=ca_file, proxy=proxy.url)
        for _ in range(2):
            assert await whole(await pool.send(provider.call(b"x" * 100_000, peer=peer))) == (200, b"ok")
        target = f"127.0.0.1:{provider.peer.origin.port}".encode()
        assert proxy.heads == [
            b"CONNECT " + target + b" HTTP/1.1\r\nhost: " + target + b"\r\n"
            b"proxy-authorization: Basic dXNlcjpwYXNz\r\n\r\n"
        ]


async def test_a_plain_request_is_passed_on_by_a_proxy() -> None:
    heads: list[bytes] = []

    async def script(link: Link) -> None:
        while True:
            heads.append((await link.request())[0])
            link.send(OK)

    async with providing(script) as provider, proxying() as proxy, pooling() as pool:
        peer = with_peer(provider, proxy=proxy.url)
        for _ in range(2):
            assert await whole(await pool.send(provider.call(peer=peer))) == (200, b"ok")
        start = f"POST http://127.0.0.1:{provider.peer.origin.port}/v1/x HTTP/1.1\r\n".encode()
        assert len(heads) == 2
        for head in heads:
            assert head.startswith(start + b"proxy-authorization: Basic dXNlcjpwYXNz\r\nhost: ")
            assert b"authorization: Bearer secret\r\n" in head


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
async def test_a_proxy_that_refuses_is_a_connect_fault(authority: trustme.CA, answer: bytes) -> None:
    async with providing(silent, ssl_context=server_side(authority)) as provider, proxying() as proxy:
        proxy.answer = answer
        message = await connect_fault(provider, with_peer(provider, proxy=proxy.url))
        assert "pass" not in message
        assert not provider.links


async def test_a_proxy_that_is_none_is_a_connect_fault() -> None:
    async with providing(silent) as provider:
        assert "socks5" in await connect_fault(provider, with_peer(provider, proxy="socks5://u:secret@127.0.0.1:1"))


async def test_the_environment_is_for_peers_that_name_no_proxy() -> None:

    far = Origin("http", "far.example", 80)
    async with proxying() as proxy:
        dialer = Dialer({"HTTP_PROXY": proxy.url})
        found = dialer.find_proxy(Peer(far))
        assert found is not None
        assert found.authorization is not None
        assert dialer.find_proxy(Peer(far, proxy="none")) is None
        assert dialer.find_proxy(Peer(Origin("http", "127.0.0.1", 80))) is None
        other = dialer.find_proxy(Peer(far, proxy="http://other:1"))
        assert other is not None
        assert other.host == "other"


async def test_a_proxy_that_says_nothing_is_waited_for_no_longer_than_a_connection_may_take(
    authority: trustme.CA,
) -> None:
    async with providing(silent) as stuck, providing(silent, ssl_context=server_side(authority)) as provider:
        peer = with_peer(provider, proxy=f"http://127.0.0.1:{stuck.peer.origin.port}")
        async with pooling() as pool:
            with pytest.raises(UpstreamFault) as failure:
                await pool.send(provider.call(peer=peer, connect_s=0.05))
            assert failure.value.fault.kind is FaultKind.CONNECT
            assert pool._lanes[peer].count == 0
