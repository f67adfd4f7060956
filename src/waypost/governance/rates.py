"""At most so many calls in ANY window of so many seconds: a provider's `rate_limit`, kept on our side.

The window slides over a ring of 32 slots. The slot of this moment and the 32 before it always cover a whole window, and
their sum is held under the count: so the limit is never exceeded, at most 1/32 of a window is counted too long, and
memory does not grow with the count. Times are seconds on any clock that does not run backwards.
"""

from math import ceil

from waypost.config.model import Rate

_SLOTS = 32


class RateAllowance:
    """One rate limit. A call is spent when it is taken; `give_back` is for a call that was never sent."""

    __slots__ = ("_counts", "_latest", "_slot_s", "_total", "limit")

    def __init__(self, rate: Rate) -> None:
        self.limit = rate.count
        self._slot_s = rate.window_s / _SLOTS
        self._counts = [0] * (_SLOTS + 1)
        self._latest = 0
        self._total = 0

    def room(self, now_s: float) -> int:
        """How many calls could be taken now."""
        self._slide(now_s)
        return self.limit - self._total

    def take(self, now_s: float, calls: int = 1) -> bool:
        """Counts so many calls if all of them fit."""
        self._slide(now_s)
        if self._total + calls > self.limit:
            return False
        self._counts[self._latest % (_SLOTS + 1)] += calls
        self._total += calls
        return True

    def give_back(self, now_s: float, calls: int = 1) -> None:
        """Uncounts calls of this moment's slot; those taken longer ago stay counted."""
        self._slide(now_s)
        index = self._latest % (_SLOTS + 1)
        calls = min(calls, self._counts[index])
        self._counts[index] -= calls
        self._total -= calls

    def free_at(self, now_s: float) -> float:
        """The soonest moment at which a call fits: now, or when the oldest counted slot leaves the window."""
        self._slide(now_s)
        if self._total < self.limit:
            return now_s
        for slot in range(self._latest - _SLOTS, self._latest + 1):
            if self._counts[slot % (_SLOTS + 1)]:
                return ceil((slot + _SLOTS + 1) * self._slot_s * 1000) / 1000
        return now_s + self._slot_s * (_SLOTS + 1)

    def _slide(self, now_s: float) -> None:
        slot = int(now_s // self._slot_s)
        passed = slot - self._latest
        if passed <= 0:
            return
        for step in range(1, min(passed, _SLOTS + 1) + 1):
            index = (self._latest + step) % (_SLOTS + 1)
            self._total -= self._counts[index]
            self._counts[index] = 0
        self._latest = slot
