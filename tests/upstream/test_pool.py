"""Calls over real sockets to a provider that answers, dawdles, lies or dies."""

import asyncio
from typing import Any

import pytest

from upstream.providing import OK, Link, pooling, providing, until, whole
from waypost.conversation.faults import FaultKind, UpstreamFault
from waypost.upstream.pool import DeadlinePassed, Origin, Peer

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def obliging(link: Link) -> None:
    while True:
        await link.request()
        link.send(OK)


def saying(*pieces: bytes, close: bool = False) -> Any:
    """Answers every request with these bytes, each piece in a write of its own."""

    async def script(link: Link) -> None:
        while True:
            await link.request()
            for piece in pieces:
                link.send(piece)
                await link.writer.drain()
            if close:
                return

    return script


async def test_a_request_arrives_as_it_was_said() -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def script(link: Link) -> None:
        seen.append(await link.request())
        link.send(OK)

    async with providing(script) as provider, pooling() as pool:
        assert await whole(await pool.send(provider.call(b'{"a":1}', extra=b"x-call: 7\r\n"))) == (200, b"ok")
    host = f"127.0.0.1:{provider.peer.origin.port}".encode()
    head = b"POST /v1/x HTTP/1.1\r\nhost: " + host + b"\r\nauthorization: Bearer secret\r\nx-call: 7\r\n"
    assert seen == [(head + b"content-length: 7\r\n\r\n", b'{"a":1}')]


async def test_a_large_request_arrives_whole() -> None:
    sizes: list[int] = []

    async def script(link: Link) -> None:
        sizes.append(len((await link.request())[1]))
        link.send(OK)

    async with providing(script) as provider, pooling() as pool:
        await whole(await pool.send(provider.call(b"x" * 5_000_000)))
    assert sizes == [5_000_000]


async def test_one_connection_serves_call_after_call() -> None:
    async with providing(obliging) as provider, pooling() as pool:
        for _ in range(5):
            assert await whole(await pool.send(provider.call())) == (200, b"ok")
        assert len(provider.links) == 1


async def test_calls_at_the_same_time_have_connections_of_their_own_and_the_last_used_is_used_first() -> None:
    async with providing(obliging) as provider, pooling() as pool:
        answers = [await pool.send(provider.call()) for _ in range(3)]
        for answer in answers:
            await answer.read(10)
        assert len(provider.links) == 3
        for answer in (answers[0], answers[2], answers[1]):
            answer.close()
            answer.close()  # once more does nothing
        again = await pool.send(provider.call())
        assert again._connection is not None
        assert len(provider.links) == 3
        assert pool._lanes[provider.peer].idle != []
        await whole(again)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + b"surplus",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok?",
    ],
)
async def test_only_a_clean_end_lets_a_connection_be_used_again(answer: bytes) -> None:
    async with providing(saying(answer)) as provider, pooling() as pool:
        clean = answer.endswith(b"ok?")
        for _ in range(2):
            await whole(await pool.send(provider.call()))
        assert len(provider.links) == (1 if clean else 2)


async def test_an_unfinished_answer_cuts_its_connection() -> None:
    closed = asyncio.Event()

    async def script(link: Link) -> None:
        await link.request()
        link.send(CHUNKED + b"2\r\nhi\r\n")
        await link.hung_up()
        closed.set()

    async with providing(script) as provider, pooling() as pool:
        answer = await pool.send(provider.call())
        assert await answer.next() == b"hi"
        answer.close()
        await asyncio.wait_for(closed.wait(), 10)
        with pytest.raises(RuntimeError):
            await answer.next()


async def test_a_stream_comes_piece_by_piece() -> None:
    go = asyncio.Event()

    async def script(link: Link) -> None:
        await link.request()
        link.send(CHUNKED)
        link.send(b"3\r\none\r\n")
        await go.wait()
        link.send(b"3\r\ntwo\r\n0\r\n\r\n")

    async with providing(script) as provider, pooling() as pool:
        answer = await pool.send(provider.call())
        assert answer.headers["transfer-encoding"] == "chunked"
        assert await answer.next() == b"one"
        go.set()
        assert await answer.next() == b"two"
        assert await answer.next() == b""
        assert await answer.next() == b""
        answer.close()


async def test_an_answer_nobody_reads_is_not_piled_up() -> None:
    poured = 0

    async def script(link: Link) -> None:
        nonlocal poured
        await link.request()
        link.send(CHUNKED)
        for _ in range(400):
            link.send(b"c350\r\n" + b"x" * 50_000 + b"\r\n")
            await link.writer.drain()
            poured += 50_000
        link.send(b"0\r\n\r\n")

    async with providing(script) as provider, pooling() as pool:
        answer = await pool.send(provider.call())
        connection = answer._connection
        assert connection is not None
        await until(lambda: connection._reading_paused)
        assert connection.parser.pending < 2_000_000
        assert poured < 20_000_000
        assert len((await whole(answer, 1 << 30))[1]) == 20_000_000


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ([b""], FaultKind.RESET),
        ([b"HTTP/1.1 20"], FaultKind.RESET),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"], FaultKind.RESET),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"], FaultKind.TRUNCATED),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"], FaultKind.TRUNCATED),
        ([CHUNKED, b"2\r\nhi\r\n"], FaultKind.TRUNCATED),
        ([CHUNKED, b"2\r\nhi\r\n0\r\n"], FaultKind.TRUNCATED),
        ([b"SSH-2.0-OpenSSH\r\n"], FaultKind.MALFORMED),
        ([CHUNKED, b"2\r\nhi\r\nzz\r\n"], FaultKind.MALFORMED),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000], FaultKind.MALFORMED),
        ([b"HTTP/1.1 102 Wait\r\n\r\n"] * 20, FaultKind.MALFORMED),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi"], FaultKind.MALFORMED),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi"], FaultKind.MALFORMED),
    ],
)
async def test_how_an_answer_can_fail(pieces: list[bytes], kind: FaultKind) -> None:
    async with providing(saying(*pieces, close=True)) as provider, pooling() as pool:
        with pytest.raises(UpstreamFault) as failure:
            await whole(await pool.send(provider.call()))
        assert failure.value.fault.kind is kind
        assert "secret" not in str(failure.value)
        assert len(provider.links) == 1  # a fresh connection is not tried again
        await until(lambda: pool._lanes[provider.peer].count == 0)


async def test_a_body_that_the_connection_ends_is_marked() -> None:
    async with providing(saying(b"HTTP/1.1 200 OK\r\n\r\nhi", close=True)) as provider, pooling() as pool:
        answer = await pool.send(provider.call())
        assert answer.delimited_by_close
        assert await whole(answer) == (200, b"hi")


async def test_a_body_larger_than_its_limit_is_refused() -> None:
    for sent in (OK, CHUNKED + b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n"):
        async with providing(saying(sent)) as provider, pooling() as pool:
            with pytest.raises(UpstreamFault) as failure:
                await whole(await pool.send(provider.call()), 1)
            assert failure.value.fault.kind is FaultKind.MALFORMED
            assert (await whole(await pool.send(provider.call()), 2))[1] == b"ok"


@pytest.mark.parametrize(
    ("sent", "after_s", "kind"),
    [
        (b"", 10.5, FaultKind.FIRST_BYTE_TIMEOUT),
        (b"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 2", 10.5, FaultKind.FIRST_BYTE_TIMEOUT),
        (CHUNKED, 20.5, FaultKind.STALL),
        (CHUNKED + b"2\r\nh", 20.5, FaultKind.STALL),
        (CHUNKED + b"2\r\nh", 601, None),
        (b"", 601, None),
    ],
)
async def test_silence_ends_a_call(sent: bytes, after_s: float, kind: FaultKind | None) -> None:
    async with providing(saying(sent)) as provider, pooling() as pool:
        now = asyncio.get_running_loop().time()
        task = asyncio.ensure_future(consume(pool, provider.call()))
        await until(lambda: len(provider.links) == 1 and len(pool.busy) == 1)
        (connection,) = pool.busy
        await until(lambda: connection.parser.begun or not sent)
        await until(lambda: connection._waiter is not None)
        pool.sweep(now + 9.5)
        assert not task.done()
        pool.sweep(now + after_s)
        with pytest.raises(DeadlinePassed if kind is None else UpstreamFault) as failure:
            await task
        if isinstance(failure.value, UpstreamFault):
            assert failure.value.fault.kind is kind
        await until(lambda: pool._lanes[provider.peer].count == 0)
        assert not pool.busy


async def consume(pool: Any, call: Any) -> bytes:
    answer = await pool.send(call)
    try:
        data = b""
        while piece := await answer.next():
            data += piece
        return data
    finally:
        answer.close()


async def test_the_timer_sweeps_by_itself() -> None:
    async with providing(saying(b"")) as provider, pooling() as pool:
        with pytest.raises(UpstreamFault) as failure:
            await pool.send(provider.call(first_byte_s=0.01))
        assert failure.value.fault.kind is FaultKind.FIRST_BYTE_TIMEOUT


@pytest.mark.parametrize("sent", [b"", CHUNKED + b"2\r\nhi\r\n"])
async def test_cancelling_cuts_the_connection_at_once(sent: bytes) -> None:
    closed = asyncio.Event()

    async def script(link: Link) -> None:
        await link.request()
        link.send(sent)
        await link.hung_up()
        closed.set()

    async with providing(script) as provider, pooling() as pool:
        task = asyncio.ensure_future(consume(pool, provider.call()))
        await until(lambda: bool(provider.links) and bool(pool.busy))
        (connection,) = pool.busy
        await until(lambda: (connection.parser.headed or not sent) and connection._waiter is not None)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(closed.wait(), 10)
        assert not pool.busy


async def test_a_used_connection_that_died_is_replaced_without_a_word() -> None:
    async def script(link: Link) -> None:
        await link.request()
        link.send(OK)
        if link.number == 0:
            await link.request()  # taken, never answered
            return
        await link.hung_up()

    async with providing(script) as provider, pooling() as pool:
        for _ in range(2):
            assert await whole(await pool.send(provider.call())) == (200, b"ok")
        assert len(provider.links) == 2


async def test_a_replacement_that_dies_too_is_a_fault() -> None:
    async def script(link: Link) -> None:
        await link.request()
        if link.number == 0:
            link.send(OK)
            await link.request()

    async with providing(script) as provider, pooling() as pool:
        await whole(await pool.send(provider.call()))
        with pytest.raises(UpstreamFault) as failure:
            await pool.send(provider.call())
        assert failure.value.fault.kind is FaultKind.RESET
        assert len(provider.links) == 2
        await until(lambda: pool._lanes[provider.peer].count == 0)


async def test_a_used_connection_that_dies_after_a_byte_is_not_tried_again() -> None:
    async def script(link: Link) -> None:
        await link.request()
        link.send(OK)
        await link.request()
        link.send(b"H")

    async with providing(script) as provider, pooling() as pool:
        await whole(await pool.send(provider.call()))
        with pytest.raises(UpstreamFault) as failure:
            await pool.send(provider.call())
        assert failure.value.fault.kind is FaultKind.RESET
        assert len(provider.links) == 1


async def test_an_idle_connection_that_closes_or_speaks_is_forgotten() -> None:
    for unasked in (b"", b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n"):
        go = asyncio.Event()

        async def script(link: Link, unasked: bytes = unasked, go: asyncio.Event = go) -> None:
            await link.request()
            link.send(OK)
            await go.wait()
            link.send(unasked)

        async with providing(script) as provider, pooling() as pool:
            await whole(await pool.send(provider.call()))
            lane = pool._lanes[provider.peer]
            assert len(lane.idle) == 1
            go.set()
            await until(lambda lane=lane: not lane.idle and lane.count == 0)  # type: ignore[misc]
            assert await whole(await pool.send(provider.call())) == (200, b"ok")


async def test_idle_connections_are_closed_in_time() -> None:
    async with providing(obliging) as provider, pooling(idle_s=60) as pool:
        await whole(await pool.send(provider.call()))
        lane = pool._lanes[provider.peer]
        now = asyncio.get_running_loop().time()
        pool.sweep(now + 59)
        await asyncio.sleep(0)
        assert len(lane.idle) == 1
        pool.sweep(now + 61)
        await until(lambda: not lane.idle and lane.count == 0)


async def test_connections_are_counted_and_waited_for() -> None:
    async with providing(obliging) as provider, pooling(max_connections=2) as pool:
        first, second = await pool.send(provider.call()), await pool.send(provider.call())
        third = asyncio.ensure_future(pool.send(provider.call()))
        fourth = asyncio.ensure_future(pool.send(provider.call()))
        lane = pool._lanes[provider.peer]
        await until(lambda: len(lane.waiters) == 2)
        await whole(first)  # handed over
        assert await whole(await third) == (200, b"ok")
        second.close()  # unread, so cut: the next one opens its own
        assert await whole(await fourth) == (200, b"ok")
        assert lane.count <= 2


async def test_waiting_for_a_connection_has_an_end() -> None:
    async with providing(obliging) as provider, pooling(max_connections=1) as pool:
        first = await pool.send(provider.call())
        with pytest.raises(UpstreamFault) as failure:
            await pool.send(provider.call(connect_s=0.01))
        assert failure.value.fault.kind is FaultKind.CONNECT
        with pytest.raises(DeadlinePassed):
            await pool.send(provider.call(deadline=asyncio.get_running_loop().time() + 0.01))
        waiting = asyncio.ensure_future(pool.send(provider.call()))
        await until(lambda: len(pool._lanes[provider.peer].waiters) > 0)
        waiting.cancel()
        await whole(first)
        assert await whole(await pool.send(provider.call())) == (200, b"ok")
        assert pool._lanes[provider.peer].count == 1


async def test_nobody_there_is_a_connect_fault() -> None:
    async with providing(obliging) as provider:
        pass
    async with pooling() as pool:
        for peer in (provider.peer, Peer(Origin("http", "no-such-host.invalid", 80))):
            with pytest.raises(UpstreamFault) as failure:
                await pool.send(provider.call(peer=peer))
            assert failure.value.fault.kind is FaultKind.CONNECT
            assert pool._lanes[peer].count == 0


async def test_closing_the_pool_ends_every_call() -> None:
    async with providing(saying(b"")) as provider, pooling() as pool:
        waiting = asyncio.ensure_future(pool.send(provider.call()))
        await until(lambda: len(pool.busy) == 1)
        pool.close()
        with pytest.raises(UpstreamFault):
            await waiting


async def test_the_answer_to_head_has_no_body() -> None:
    async with providing(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as provider, pooling() as pool:
        prefix = provider.prefix.replace(b"POST", b"HEAD")
        answer = await pool.send(provider.call(b"", prefix=prefix))
        assert answer.headers["content-length"] == "5"
        assert await whole(answer) == (200, b"")


async def test_a_call_never_shows_its_secrets() -> None:
    async with providing(obliging) as provider:
        assert "secret" not in repr(provider.call())


async def test_credentials_are_waited_for_no_longer_than_an_answer() -> None:
    """Who issues them may hang: that is a failure of this provider, and must not use up the time of the next one."""

    async def never() -> bytes:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async with providing(obliging) as provider, pooling() as pool:
        with pytest.raises(UpstreamFault) as caught:
            await pool.send(provider.call(late=never, first_byte_s=0.01))
        assert caught.value.fault.kind is FaultKind.FIRST_BYTE_TIMEOUT
        with pytest.raises(DeadlinePassed):
            await pool.send(provider.call(late=never, deadline=asyncio.get_running_loop().time() + 0.01))
        assert not provider.links
