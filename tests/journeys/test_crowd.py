"""Thousands who say nothing, hundreds who say it slowly, and some who do not listen: others are served as before.

The gateway is `waypost serve` in a process of its own, so that its memory and its files can be counted. What was
measured is printed (`pytest -s`) and kept in docs/robustness.md.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import pytest

from journeys.crowding import CONFIGURATION, Provider, answer, connected, descriptors, open_files, peak_mib, providing
from journeys.process import Caller, Gateway
from waypost.bench.processes import memory_mib

IDLE = 5000
SLOW = 500
ROUNDS = 40  # bytes that each slow caller still has to say, one at a time
SERVED_WITHIN_S = 2.0
IDLE_KIB = 16  # the most that an idle connection may cost
LISTENERS = 8  # callers who ask for a long stream and do not read it
PIECES = 1500  # of 32 KiB: far more than the kernel's buffers hold
UNREAD_MIB = 2.0  # the most that one of these may cost, the kernel's buffers aside
PATH = "/v1/chat/completions"
ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory and files are counted in /proc")


@asynccontextmanager
async def gateway_of(provider: Provider, folder: Path) -> AsyncIterator[Gateway]:
    (folder / "waypost.yaml").write_text(CONFIGURATION.format(folder=folder, upstream=provider.address))
    gateway = await Gateway.serve(folder)
    try:
        yield gateway
    finally:
        code = await gateway.stop()
    assert code == 0
    assert not gateway.all_heard("internal_error")


async def timed_call(caller: Caller) -> float:
    began = time.perf_counter()
    async with asyncio.timeout(SERVED_WITHIN_S):
        heard = await caller.ask(PATH, ASK)
    assert (heard.status, heard.whole) == (200, True)
    return time.perf_counter() - began


async def test_a_crowd_leaves_others_served(tmp_path: Path) -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"slowly, and long enough"}],"max_tokens":5}'
    head = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\nx-padding: %b\r\n\r\n"
    whole = head % (PATH.encode(), len(body), b"y" * ROUNDS) + body
    # Half are in the middle of their head, half in the middle of their body.
    held_back = [whole[: len(whole) - len(body) - ROUNDS], whole[: len(whole) - ROUNDS]]
    with descriptors(IDLE + SLOW + 500):
        async with providing() as provider, gateway_of(provider, tmp_path) as gateway:
            caller, pid = Caller(gateway.address), gateway.process.pid
            calm = [await timed_call(caller) for _ in range(200)]
            files, before = open_files(pid), memory_mib([pid])
            with connected(gateway.address, IDLE) as idle, connected(gateway.address, SLOW) as slow:
                for each in idle[::2]:  # these have been served once, the others never said a word
                    each.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
                    assert answer(each).startswith(b"HTTP/1.1 200 ")
                beset = [await timed_call(caller)]
                idle_kib = (memory_mib([pid]) - before) * 1024 / (IDLE + SLOW)
                for number, each in enumerate(slow):
                    each.sendall(held_back[number % 2])
                for place in range(ROUNDS):
                    for number, each in enumerate(slow):
                        start = len(held_back[number % 2]) + place
                        each.sendall(whole[start : start + 1])
                    beset.append(await timed_call(caller))
                assert open_files(pid) >= IDLE + SLOW
                for number, each in enumerate(slow):
                    each.sendall(whole[len(held_back[number % 2]) + ROUNDS :])
                replies = await asyncio.to_thread(lambda: [answer(each) for each in slow])
                assert all(reply.startswith(b"HTTP/1.1 200 ") for reply in replies)
                for each in idle[::50]:
                    each.sendall(whole)
                replies = await asyncio.to_thread(lambda: [answer(each) for each in idle[::50]])
                assert all(reply.startswith(b"HTTP/1.1 200 ") for reply in replies)
            while open_files(pid) > files + SLOW + IDLE // 50:  # connections to the provider are kept for a while
                await timed_call(caller)
            after = memory_mib([pid])
            caller.hang_up()
    print(
        f"\n{IDLE} idle and {SLOW} slow callers: {idle_kib:.1f} KiB an idle connection; a call took "
        f"{median(beset) * 1e3:.1f} ms (at most {max(beset) * 1e3:.0f}), {median(calm) * 1e3:.1f} ms in calm; "
        f"memory {before:.0f} MiB before, {after:.0f} MiB after"
    )
    assert idle_kib < IDLE_KIB


async def test_a_stream_that_nobody_reads_is_not_kept(tmp_path: Path) -> None:
    async with providing(PIECES) as provider, gateway_of(provider, tmp_path) as gateway:
        pid = gateway.process.pid
        other = Caller(gateway.address)
        for _ in range(50):
            await timed_call(other)
        before = peak_mib(pid)
        callers = [Caller(gateway.address) for _ in range(LISTENERS)]
        for caller in callers:
            await caller.send(PATH, {**ASK, "stream": True})
            assert (await caller.head()).status == 200
        sent, still = -1, 0
        while still < 20:  # until the provider has been waiting for so many other calls
            still = still + 1 if provider.sent == sent else 0
            sent = provider.sent
            await timed_call(other)
        unread = (peak_mib(pid) - before) / LISTENERS
        assert sent < LISTENERS * PIECES * 32 * 1024, "all of it fitted into buffers: nothing was shown"
        read = await asyncio.wait_for(read_through(callers[0]), 60)
        reading = peak_mib(pid) - before
        for caller in [*callers, other]:
            caller.hang_up()
        await gateway.idle()
    print(
        f"\n{LISTENERS} streams of {PIECES * 32 // 1024} MiB left unread: {unread:.2f} MiB each; "
        f"{reading:.1f} MiB in all while one was read to its end"
    )
    assert read > PIECES * 32 * 1024
    assert unread < UNREAD_MIB
    assert reading < LISTENERS * UNREAD_MIB


async def read_through(caller: Caller) -> int:
    """The rest of a stream, thrown away as it is read; how much it was."""
    assert caller._streams is not None
    reader, read, tail = caller._streams[0], 0, b""
    while not tail.endswith(b"0\r\n\r\n"):
        piece = await reader.read(1 << 20)
        assert piece, "the stream was cut"
        read += len(piece)
        tail = (tail + piece)[-64:]
    assert b"[DONE]" in tail
    return read
