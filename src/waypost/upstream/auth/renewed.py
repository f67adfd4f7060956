"""A value that expires, and is renewed in the background before it does. Knows when; refuses to know what.

Whoever asks gets the value that is there. Only the first one of all, and one after renewals failed until the value was
too old, has to be waited for; all who wait then share one fetch.
"""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Generic, TypeVar

from msgspec import Struct

from waypost.conversation.faults import Fault, FaultKind, UpstreamFault

T = TypeVar("T")

EARLIEST_S = 300.0  # how long before its end a value is renewed, or at half of its life where that is shorter
SHORTEST_S = 5.0  # between two renewals
RETRY_S = 10.0  # after a renewal that failed, doubled each time up to
MOST_RETRY_S = 300.0


class Lease(Struct, Generic[T], frozen=True):
    """A value and for how many seconds from now it may be used; inf: for ever."""

    value: T
    lasts_s: float


class Renewed(Generic[T]):
    """`fetch` raises UpstreamFault, and may take as long as it likes. `now` is a clock that never goes back; `later`
    calls back after so many seconds. Both are the running loop's where not given.

    `close` ends renewals; whoever still asks gets a value all the same.
    """

    __slots__ = ("_closed", "_ends_at", "_failures", "_fetch", "_later", "_now", "_task", "_timer", "_value")

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Lease[T]]],
        now: Callable[[], float] | None = None,
        later: "Callable[[float, Callable[[], None]], asyncio.TimerHandle] | None" = None,
    ) -> None:
        self._fetch = fetch
        self._now = now or _loop_time
        self._later = later or _loop_later
        self._value: T | None = None
        self._ends_at = -inf
        self._task: asyncio.Task[T] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failures = 0
        self._closed = False

    def get(self) -> T | None:
        """The value, None if there is none that may be used."""
        return self._value if self._now() < self._ends_at else None

    async def wait(self) -> T:
        """The value, once there is one. UpstreamFault if it can't be had."""
        value = self.get()
        if value is not None:
            return value
        # shielded: who gives up waiting must not take the others' value along
        return await asyncio.shield(self._begin())

    def warm(self) -> None:
        """Begins to fetch if there is nothing to be had. Inside a running loop."""
        if self.get() is None:
            self._begin()

    def last(self) -> T | None:
        """The value that was fetched last, usable or not."""
        return self._value

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> "asyncio.Task[T]":
        if self._task is None or self._task.done():
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._task = asyncio.get_running_loop().create_task(self._renew())
            self._task.add_done_callback(self._ended)
        return self._task

    async def _renew(self) -> T:
        try:
            lease = await self._fetch()
        except UpstreamFault:
            raise
        except Exception as error:
            # Its text may hold what was sent or read: only its kind is told.
            message = f"no credentials: {type(error).__name__}"
            raise UpstreamFault(Fault(kind=FaultKind.UNAUTHORIZED, message=message)) from error
        self._value = lease.value
        self._ends_at = self._now() + lease.lasts_s
        self._failures = 0
        if lease.lasts_s < inf:
            self._plan(max(SHORTEST_S, lease.lasts_s - min(EARLIEST_S, lease.lasts_s / 2)))
        return lease.value

    def _ended(self, task: "asyncio.Task[T]") -> None:
        if self._task is task:
            self._task = None
        if task.cancelled() or task.exception() is None:  # `exception` also marks it as seen
            return
        self._failures += 1
        if self._value is not None:  # nobody waits for it: the renewal is tried again on its own
            self._plan(min(MOST_RETRY_S, RETRY_S * 2 ** min(self._failures - 1, 10)))

    def _plan(self, delay_s: float) -> None:
        if not self._closed:
            self._timer = self._later(delay_s, self._due)

    def _due(self) -> None:
        self._timer = None
        self._begin()


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _loop_later(delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(delay_s, call)
