"""The server over TLS, and under bytes that make no sense."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.serving import serving, until
from waypost.config.model import Server, Tls
from waypost.server.tls import server_context
from waypost.wire.exchange import Exchange

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def contexts(authority: trustme.CA, tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and the caller's."""
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    ours = server_context(Tls(str(certificate), str(key)))
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)
    return ours, theirs


async def echo(exchange: Exchange) -> None:
    if exchange.path == "/stream":
        exchange.start(200, [])
        exchange.send(b"one")
        exchange.send(b"two")
        exchange.finish()
    else:
        exchange.respond(200, [], exchange.body)


async def test_calls_over_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    ours, theirs = contexts
    async with serving(echo, ssl_context=ours) as running:
        caller = await running.caller(ssl=theirs)
        for body in (b"hi", b"x" * 1_000_000):
            caller.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert (await caller.answer())[::2] == (200, body)
        caller.send(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await caller.answer())[2] == b"onetwo"
        caller.send(b"GET /stream HTTP/1.0\r\n\r\n")
        await caller.head()
        assert await caller.rest() == b"onetwo"


async def test_a_refusal_over_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    ours, theirs = contexts
    async with serving(echo, Server(max_body_bytes=10), ssl_context=ours) as running:
        caller = await running.caller(ssl=theirs)
        caller.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n")
        assert (await caller.answer())[0] == 413


async def test_hanging_up_over_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    ours, theirs = contexts
    ended = asyncio.Event()

    async def waits(exchange: Exchange) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with serving(waits, ssl_context=ours) as running:
        caller = await running.caller(ssl=theirs)
        caller.send(GET)
        await until(lambda: running.server.active == 1)
        await caller.close()
        await asyncio.wait_for(ended.wait(), 10)


async def test_plain_text_to_a_tls_port_is_cut(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with serving(echo, ssl_context=contexts[0]) as running:
        caller = await running.caller()
        caller.send(GET)
        assert not (await asyncio.gather(caller.rest(), return_exceptions=True))[0].startswith(b"HTTP")  # type: ignore[union-attr]


SEEDS = [
    GET,
    b"POST /v1/x?y HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_no_bytes_break_the_server(data: st.DataObject) -> None:
    sent = bytearray(b"".join(data.draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=4))))
    for _ in range(data.draw(st.integers(0, 5))):
        at = data.draw(st.integers(0, len(sent)))
        sent[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    told: list[BaseException] = []
    async with serving(echo, on_error=told.append) as running:
        caller = await running.caller()
        caller.send(bytes(sent))
        caller.writer.write_eof()
        answers = await asyncio.gather(caller.rest(), return_exceptions=True)
        assert isinstance(answers[0], bytes | ConnectionError)
        if isinstance(answers[0], bytes):
            assert b"HTTP/1.1 500" not in answers[0]
        await until(lambda: running.server.active == 0)
        fresh = await running.caller()
        fresh.send(GET)
        assert (await fresh.answer())[0] == 200
    assert not told
