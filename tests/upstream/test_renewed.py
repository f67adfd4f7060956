"""What expires is renewed before it does, and nobody but the first waits for it."""

import asyncio
from collections.abc import Callable
from math import inf

import pytest

from upstream.providing import until
from waypost.conversation.faults import Fault, FaultKind, UpstreamFault
from waypost.upstream.auth.renewed import RETRY_S, Lease, Renewed

Timers = list[tuple[float, Callable[[], None]]]


class Source:
    """Gives 1, 2, 3 …, each for `lasts_s`, when it is let to; time and timers are the test's."""

    def __init__(self, lasts_s: float) -> None:
        self.lasts_s = lasts_s
        self.now = 0.0
        self.count = 0
        self.failing = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.timers: Timers = []
        self.value = Renewed(self.fetch, lambda: self.now, self.later)

    async def fetch(self) -> Lease[int]:
        await self.gate.wait()
        if self.failing:
            raise UpstreamFault(Fault(kind=FaultKind.SERVER_ERROR, message="no"))
        self.count += 1
        return Lease(self.count, self.lasts_s)

    def later(self, delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        self.timers.append((delay_s, call))
        return asyncio.get_running_loop().call_later(86_400, call)

    def due(self) -> float:
        delay_s, call = self.timers.pop()
        call()
        return delay_s


async def test_the_first_waits_and_all_who_wait_share_one_fetch() -> None:
    source = Source(3600)
    source.gate.clear()
    assert source.value.get() is None
    waiting = [asyncio.create_task(source.value.wait()) for _ in range(3)]
    waiting[0].cancel()  # who gives up takes nothing from the others
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(*waiting[1:]) == [1, 1]
    assert (source.count, source.value.get()) == (1, 1)
    source.value.close()


@pytest.mark.parametrize(("lasts_s", "after_s"), [(3600, 3300), (200, 100), (4, 5)])
async def test_it_is_renewed_before_its_end_while_the_old_one_serves(lasts_s: float, after_s: float) -> None:
    source = Source(lasts_s)
    await source.value.wait()
    source.gate.clear()
    assert source.due() == after_s
    await asyncio.sleep(0)
    assert source.value.get() == 1
    source.gate.set()
    await until(lambda: source.value.get() == 2)
    source.value.close()


async def test_what_lasts_is_not_renewed() -> None:
    source = Source(inf)
    await source.value.wait()
    assert source.timers == []


async def test_a_renewal_that_fails_is_tried_again_and_an_old_value_is_not_given() -> None:
    source = Source(3600)
    await source.value.wait()
    source.failing = True
    for wait_s in (3300, RETRY_S, RETRY_S * 2):
        assert source.due() == wait_s
        await until(lambda: bool(source.timers))
    assert source.value.get() == 1
    source.now = 3600.0
    assert (source.value.get(), source.value.last()) == (None, 1)
    with pytest.raises(UpstreamFault, match="no"):
        await source.value.wait()
    source.failing = False
    assert await source.value.wait() == 2
    source.value.close()


async def test_an_error_of_any_other_kind_becomes_a_fault_that_tells_nothing() -> None:
    async def fetch() -> Lease[int]:
        raise RuntimeError("sk-planted")

    with pytest.raises(UpstreamFault) as caught:
        await Renewed(fetch).wait()
    assert caught.value.fault.kind is FaultKind.UNAUTHORIZED
    assert "planted" not in str(caught.value)


async def test_warm_begins_and_close_ends() -> None:
    source = Source(3600)
    source.value.warm()
    await until(lambda: source.value.get() == 1)
    source.value.warm()
    assert source.count == 1
    source.value.close()
    source.now = 3600.0
    assert await source.value.wait() == 2  # whoever still asks gets one
    assert len(source.timers) == 1
