"""How a candidate is doing: the breakers of its target, of its credential and of the pair, and its provider's rate.

A target that fails is left by every credential; a credential that is refused leaves every target; a 429 rests the pair.
Applies the fault table to the breakers; decides nothing about the call itself. Times are seconds of a monotonic clock.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from waypost.config.model import Breaker as BreakerSettings
from waypost.config.model import Rate
from waypost.conversation.faults import Fault
from waypost.governance.rates import RateAllowance
from waypost.routing.breaker import Breaker, BreakerState
from waypost.routing.faults import Rest, consequence

_MOST = 4096
_LONGEST_REST_S = 86_400.0
_SMOOTHING = 0.2


class View(Struct, frozen=True, omit_defaults=True):
    """A candidate's health as a decision saw it.

    `wait_s`: seconds until its breakers let a call pass; `rate_wait_s`: until its provider's own rate has room; None:
    now. `latency_ms` is the smoothed duration of its answers; None: none seen yet.
    """

    target: BreakerState = BreakerState.CLOSED
    credential: BreakerState = BreakerState.CLOSED
    pair: BreakerState = BreakerState.CLOSED
    wait_s: float | None = None
    rate_wait_s: float | None = None
    latency_ms: float | None = None


class Health:
    """One candidate's share of the breakers. `succeeded`, `failed` or `abandon` follows every granted `admit`, once."""

    __slots__ = ("_settings", "credential", "latency_ms", "pair", "rate", "target")

    def __init__(
        self, target: Breaker, credential: Breaker, rate: RateAllowance | None, settings: BreakerSettings
    ) -> None:
        self.target = target
        self.credential = credential
        self.pair: Breaker | None = None  # from the first 429 on
        self.rate = rate
        self.latency_ms: float | None = None
        self._settings = settings

    @property
    def is_well(self) -> bool:
        return self.target.closed and self.credential.closed and ((pair := self.pair) is None or pair.closed)

    def view(self, now_s: float) -> View:
        """Changes nothing."""
        free_at = now_s if self.rate is None else self.rate.free_at(now_s)
        rate_wait = free_at - now_s if free_at > now_s else None
        if self.is_well:
            return View(rate_wait_s=rate_wait, latency_ms=self.latency_ms)
        target, credential = self.target.view(now_s), self.credential.view(now_s)
        pair = None if self.pair is None else self.pair.view(now_s)
        waits = [view.opened_until for view in (target, credential, pair) if view and view.opened_until is not None]
        return View(
            target.state,
            credential.state,
            BreakerState.CLOSED if pair is None else pair.state,
            max(waits) - now_s if waits else None,
            rate_wait,
            self.latency_ms,
        )

    def admit(self, now_s: float, *, last_resort: bool = False, calls: int = 1) -> bool:
        """Whether a call may go out now. Takes the probe of each breaker not closed, and `calls` of the rate."""
        if self.rate is not None and not self.rate.take(now_s, calls):
            return False
        if self.is_well:
            return True
        taken: list[Breaker] = []
        for breaker in self._breakers():
            if not breaker.admit(now_s, last_resort=last_resort):
                for other in taken:
                    other.abandon(now_s)
                if self.rate is not None:
                    self.rate.give_back(now_s, calls)
                return False
            if not breaker.closed:
                taken.append(breaker)
        return True

    def succeeded(self, now_s: float, total_ms: float | None = None) -> None:
        self.target.succeeded(now_s)
        self.credential.succeeded(now_s)
        if (pair := self.pair) is not None:
            pair.succeeded(now_s)
        if total_ms is not None:
            before = self.latency_ms
            self.latency_ms = total_ms if before is None else before + _SMOOTHING * (total_ms - before)

    def failed(self, fault: Fault, now_s: float, chance: float) -> None:
        """Blames whom the fault table blames; the others' probes are given back unjudged. `chance` in [0, 1)."""
        then = consequence(fault.kind)
        floor = None if fault.retry_after_s is None else min(max(fault.retry_after_s, 0.0), _LONGEST_REST_S)
        if then.rest is Rest.RETRY_AFTER and self.pair is None:
            self.pair = Breaker(self._settings)
        at_once = then.rest is Rest.COOLDOWN
        for breaker, blamed, opens in (
            (self.target, then.blame_target, at_once and then.blame_target),
            (self.credential, then.blame_credential, at_once),
            (self.pair, then.rest is Rest.RETRY_AFTER, True),
        ):
            if breaker is None:
                continue
            if blamed:
                breaker.failed(now_s, chance, floor_s=floor, at_once=opens)
            else:
                breaker.abandon(now_s)

    def abandon(self, now_s: float) -> None:
        """The call was given up: nobody is judged, probes are given back."""
        for breaker in self._breakers():
            breaker.abandon(now_s)

    def _breakers(self) -> Iterable[Breaker]:
        return (self.target, self.credential) if self.pair is None else (self.target, self.credential, self.pair)


class HealthBook:
    """The health of every candidate that was asked for, shared by all routes that name the same target or credential.

    Callers can name targets freely, so the book is bounded: beyond 4096 of a kind, the newest healthy one is forgotten
    (routes are asked for first, so they stay).
    """

    __slots__ = ("_credentials", "_pairs", "_rates", "_settings", "_targets")

    def __init__(self, settings: BreakerSettings, rates: Iterable[tuple[str, Rate]] = ()) -> None:
        """`rates`: (provider name, rate limit), one allowance a provider over all its credentials."""
        self._settings = settings
        self._rates = {provider: RateAllowance(rate) for provider, rate in rates}
        self._targets: dict[str, Breaker] = {}
        self._credentials: dict[str, Breaker] = {}
        self._pairs: dict[tuple[str, str], Health] = {}

    def of(self, provider: str, target_key: str, credential_key: str) -> Health:
        """The health of `provider/model` called with `provider/credential`."""
        key = (target_key, credential_key)
        health = self._pairs.get(key)
        if health is None:
            if len(self._pairs) >= _MOST:
                self._pairs.pop(
                    next((k for k in reversed(self._pairs) if self._pairs[k].is_well), next(iter(self._pairs)))
                )
            target = self._breaker(self._targets, target_key)
            credential = self._breaker(self._credentials, credential_key)
            health = self._pairs[key] = Health(target, credential, self._rates.get(provider), self._settings)
        return health

    def targets(self) -> tuple[tuple[str, Breaker], ...]:
        """(`provider/model`, its breaker), for status pages."""
        return tuple(self._targets.items())

    def credentials(self) -> tuple[tuple[str, Breaker], ...]:
        """(`provider/credential`, its breaker), for status pages."""
        return tuple(self._credentials.items())

    def _breaker(self, breakers: dict[str, Breaker], key: str) -> Breaker:
        breaker = breakers.get(key)
        if breaker is None:
            if len(breakers) >= _MOST:
                breakers.pop(next((k for k in reversed(breakers) if breakers[k].closed), next(iter(breakers))))
            breaker = breakers[key] = Breaker(self._settings)
        return breaker


def observe(healths: Sequence[Health], now_s: float, *, latency: bool = False) -> tuple[View, ...]:
    """What a decision is told of its candidates' health, in their order; empty where all is well (the usual case).

    `latency`: observed latencies are wanted, so that views are given even where all is well.
    """
    for health in healths:
        if latency or not health.is_well or (health.rate is not None and health.rate.room(now_s) <= 0):
            return tuple(each.view(now_s) for each in healths)
    return ()
