"""A circuit breaker: stops calling what keeps failing, and finds out carefully whether it is well again.

Closed: calls pass and are counted. Open: none pass until the cooldown is over. Half open: one call passes, the probe;
its success closes the breaker, its failure opens it again for twice as long (with jitter, up to a cap). One probe is
out at a time, and who took it reports `succeeded`, `failed` or `abandon`. It opens on so many failures in a row, or on
an error rate over a sliding window with a minimum of calls (config.model.Breaker). Times are seconds on one clock that
does not run backwards; `chance` is uniform in [0, 1). Memory is fixed; every operation takes a few steps.
"""

from enum import StrEnum

from msgspec import Struct

from waypost.config.model import Breaker as BreakerSettings

_SLOTS = 10
_JITTER = 0.2
_LEASE_S = 900.0  # a probe that has not reported by then is lost: calls end sooner
_NEVER = float("-inf")


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerView(Struct, frozen=True):
    """A breaker at one moment. `opened_until`: the soonest that a call may pass; None where one may pass now."""

    state: BreakerState
    opened_until: float | None = None


_VIEW_CLOSED = BreakerView(BreakerState.CLOSED)
_VIEW_READY = BreakerView(BreakerState.HALF_OPEN)


class Breaker:
    """One breaker, of a target, a credential, or the pair of them."""

    __slots__ = (
        "_calls",
        "_count",
        "_failures",
        "_growth",
        "_lease_ends",
        "_place",
        "_row",
        "_settings",
        "_slot",
        "_slot_ends",
        "_slot_s",
        "_until",
        "closed",
    )

    def __init__(self, settings: BreakerSettings) -> None:
        self.closed = True  # the hot path reads this alone
        self._settings = settings
        self._slot_s = settings.window_s / _SLOTS
        self._calls = [0] * _SLOTS  # of earlier slots; those of the current one are counted apart
        self._failures = [0] * _SLOTS
        self._count = 0
        self._slot = 0
        self._slot_ends = 0.0
        self._place = 0
        self._row = 0  # failures in a row
        self._growth = 0  # times reopened since the last success
        self._until = _NEVER
        self._lease_ends = _NEVER  # of the probe that is out

    def view(self, now_s: float) -> BreakerView:
        """What it would say to a call now; changes nothing."""
        if self.closed:
            return _VIEW_CLOSED
        if now_s < self._until:
            return BreakerView(BreakerState.OPEN, self._until)
        if now_s < self._lease_ends:
            return BreakerView(BreakerState.HALF_OPEN, now_s + self._settings.cooldown_s)
        return _VIEW_READY

    def admit(self, now_s: float, *, last_resort: bool = False) -> bool:
        """Whether a call may pass now. While not closed, passing takes the probe.

        `last_resort`: nothing else is left to try, so the probe may go out before the cooldown is over.
        """
        if self.closed:
            return True
        if now_s < self._lease_ends or (now_s < self._until and not last_resort):
            return False
        self._lease_ends = now_s + _LEASE_S
        return True

    def succeeded(self, now_s: float) -> None:
        self._row = 0
        if not self.closed:
            self._close()
        if now_s >= self._slot_ends:
            self._slide(int(now_s // self._slot_s))
        self._count += 1

    def failed(self, now_s: float, chance: float, *, floor_s: float | None = None, at_once: bool = False) -> None:
        """Counts a failure. `floor_s`: the provider's retry-after; an opening lasts at least this long.

        `at_once`: opens without counting, as a refused credential does.
        """
        self._row += 1
        if now_s >= self._slot_ends:
            self._slide(int(now_s // self._slot_s))
        self._count += 1
        self._failures[self._place] += 1
        if not self.closed:
            if (
                self._lease_ends != _NEVER
            ):  # without a probe out, a call that was under way at the opening: adds nothing
                self._lease_ends = _NEVER
                self._growth += 1
                self._open(now_s, chance, floor_s)
            elif floor_s is not None:
                self._until = max(self._until, now_s + floor_s)
        elif at_once or self._too_many():
            self._open(now_s, chance, floor_s)

    def abandon(self, now_s: float) -> None:
        """The call was given up (the caller left, say): neither success nor failure. Gives the probe back."""
        self._lease_ends = _NEVER

    def _too_many(self) -> bool:
        if self._row >= self._settings.consecutive:
            return True
        calls = sum(self._calls) + self._count
        return calls >= self._settings.minimum and sum(self._failures) >= self._settings.error_rate * calls

    def _open(self, now_s: float, chance: float, floor_s: float | None) -> None:
        settings = self._settings
        grown = min(settings.cooldown_s * 2.0 ** min(self._growth, 32), settings.max_cooldown_s)
        cooldown = grown * (1.0 - _JITTER * chance)
        self.closed = False
        self._until = now_s + (cooldown if floor_s is None else max(cooldown, floor_s))

    def _close(self) -> None:
        self.closed = True
        self._lease_ends = _NEVER
        self._growth = 0
        self._calls = [0] * _SLOTS
        self._failures = [0] * _SLOTS
        self._count = 0

    def _slide(self, slot: int) -> None:
        self._calls[self._place] += self._count
        self._count = 0
        for passed in range(max(self._slot + 1, slot - _SLOTS + 1), slot + 1):
            self._calls[passed % _SLOTS] = 0
            self._failures[passed % _SLOTS] = 0
        self._slot = max(slot, self._slot)
        self._slot_ends = (self._slot + 1) * self._slot_s
        self._place = self._slot % _SLOTS
