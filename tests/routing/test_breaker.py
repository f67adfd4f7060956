import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from waypost.config.model import Breaker as Settings
from waypost.routing.breaker import Breaker, BreakerState

SETTINGS = Settings(window_s=10, minimum=6, error_rate=0.5, consecutive=3, cooldown_s=5, max_cooldown_s=30)


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(SETTINGS)
    for _ in range(3):
        breaker.failed(at, 0.0)
    return breaker


def test_it_opens_on_failures_in_a_row() -> None:
    breaker = Breaker(SETTINGS)
    breaker.failed(0, 0.0)
    breaker.failed(0, 0.0)
    assert breaker.admit(0)
    breaker.failed(0, 0.0)
    assert breaker.view(0).state is BreakerState.OPEN
    assert not breaker.admit(4.9)


def test_a_success_breaks_the_row() -> None:
    breaker = Breaker(SETTINGS)
    for moment in range(0, 100, 10):  # never enough within the window for the rate
        breaker.failed(moment, 0.0)
        breaker.failed(moment, 0.0)
        breaker.succeeded(moment)
    assert breaker.closed


@pytest.mark.parametrize(
    ("calls", "opens"), [("sfsf", False), ("sfsfsf", True), ("ssfssf", False), ("sssssfsfsff", False)]
)
def test_it_opens_on_the_rate_once_enough_calls_are_in_the_window(calls: str, opens: bool) -> None:
    breaker = Breaker(SETTINGS)
    for call in calls:
        if call == "s":
            breaker.succeeded(1)
        else:
            breaker.failed(1, 0.0)
    assert breaker.closed is not opens


def test_what_left_the_window_does_not_count() -> None:
    breaker = Breaker(SETTINGS)
    for moment in (0, 0, 20, 20, 40, 40):
        breaker.succeeded(moment)
        breaker.failed(moment, 0.0)
    assert breaker.closed


def test_after_the_cooldown_one_probe_passes_and_its_success_closes() -> None:
    breaker = opened()
    assert breaker.view(5.0).state is BreakerState.HALF_OPEN
    assert breaker.view(5.0).opened_until is None
    assert breaker.admit(5.0)
    assert not breaker.admit(5.0)
    assert breaker.view(5.0).opened_until is not None, "others wait while the probe is out"
    breaker.succeeded(5.5)
    assert breaker.view(5.5).state is BreakerState.CLOSED
    assert breaker.admit(5.5)
    assert breaker.admit(5.5)


def test_a_failed_probe_opens_for_twice_as_long_up_to_the_cap() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(5):
        until = breaker.view(now).opened_until
        assert until is not None
        waits.append(until - now)
        now = until
        assert breaker.admit(now)
        breaker.failed(now, 0.0)
    assert waits == [5, 10, 20, 30, 30]


def test_a_success_forgets_the_growth() -> None:
    breaker = opened()
    assert breaker.admit(5)
    breaker.failed(5, 0.0)
    assert breaker.admit(15)
    breaker.succeeded(15)
    for _ in range(3):
        breaker.failed(16, 0.0)
    assert breaker.view(16).opened_until == 21


@pytest.mark.parametrize(("chance", "until"), [(0.0, 5.0), (0.5, 4.5), (0.999999, 4.0)])
def test_chance_shortens_a_cooldown_by_a_fifth_at_most(chance: float, until: float) -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(3):
        breaker.failed(0, chance)
    assert breaker.view(0).opened_until == pytest.approx(until, abs=1e-4)


@pytest.mark.parametrize(("floor", "until"), [(60.0, 60.0), (1.0, 5.0)])
def test_retry_after_is_a_floor_and_not_the_cooldown(floor: float, until: float) -> None:
    breaker = Breaker(SETTINGS)
    breaker.failed(0, 0.0, floor_s=floor, at_once=True)
    assert breaker.view(0).opened_until == until


def test_retry_after_of_a_late_failure_still_counts_while_open() -> None:
    breaker = opened()
    breaker.failed(1, 0.0, floor_s=100)
    assert breaker.view(1).opened_until == 101


def test_a_late_failure_of_a_call_from_before_does_not_prolong_an_opening() -> None:
    breaker = opened()
    breaker.failed(4, 0.0)
    assert breaker.view(4).opened_until == 5


def test_an_abandoned_probe_lets_the_next_call_probe() -> None:
    breaker = opened()
    assert breaker.admit(5)
    breaker.abandon(6)
    assert breaker.admit(6)


def test_a_probe_that_never_reports_is_not_waited_for_for_ever() -> None:
    breaker = opened()
    assert breaker.admit(5)
    assert not breaker.admit(600)
    assert breaker.admit(1000)


def test_the_last_resort_is_probed_before_its_time_but_by_one_call_at_a_time() -> None:
    breaker = opened()
    assert breaker.admit(1, last_resort=True)
    assert not breaker.admit(1, last_resort=True)
    breaker.failed(1, 0.0)
    assert breaker.admit(1, last_resort=True)


def test_looking_changes_nothing() -> None:
    breaker = opened()
    for _ in range(3):
        assert breaker.view(7).state is BreakerState.HALF_OPEN
    assert breaker.admit(7)


def test_a_provider_that_always_fails_gets_only_its_probes() -> None:
    breaker, calls = Breaker(SETTINGS), 0
    for tenth in range(36_000):  # an hour of ten calls a second
        if breaker.admit(tenth / 10):
            calls += 1
            breaker.failed(tenth / 10, 0.5)
    # 3 to open; then waits of 4.5, 9, 18 and 27 s again and again.
    assert calls <= 3 + 3 + 3600 / 27


def test_a_provider_that_is_well_again_is_called_within_one_cooldown() -> None:
    breaker, well_from = Breaker(SETTINGS), 1000.0
    now, back = 0.0, None
    while back is None:
        now += 0.1
        if breaker.admit(now):
            if now >= well_from:
                breaker.succeeded(now)
                back = now
            else:
                breaker.failed(now, 0.0)
    assert breaker.closed
    assert back - well_from <= SETTINGS.max_cooldown_s + 0.2


class BreakerMachine(RuleBasedStateMachine):
    """Any interleaving of calls: never two probes at once, never a call before the cooldown, always a way back."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker(SETTINGS)
        self.probes = 0

    @rule(passed=st.floats(0, 20))
    def wait(self, passed: float) -> None:
        self.now += passed

    @rule()
    def call(self) -> None:
        before = self.breaker.view(self.now)
        admitted = self.breaker.admit(self.now)
        assert admitted == (before.opened_until is None)
        if before.state is not BreakerState.CLOSED and admitted:
            assert self.probes == 0
            self.probes = 1

    @rule()
    def succeed(self) -> None:
        self.breaker.succeeded(self.now)
        self.probes = 0
        assert self.breaker.closed

    @rule(chance=st.floats(0, 0.99), floor=st.none() | st.floats(0, 50))
    def fail(self, chance: float, floor: float | None) -> None:
        was_closed = self.breaker.closed
        self.breaker.failed(self.now, chance, floor_s=floor)
        if self.probes or (was_closed and not self.breaker.closed):
            view = self.breaker.view(self.now)
            assert view.opened_until is not None
            assert view.opened_until >= self.now + (floor or 0)
        self.probes = 0

    @precondition(lambda self: self.probes)
    @rule()
    def abandon(self) -> None:
        self.breaker.abandon(self.now)
        self.probes = 0

    @invariant()
    def it_opens_for_a_bounded_time(self) -> None:
        view = self.breaker.view(self.now)
        assert (view.state is BreakerState.CLOSED) == self.breaker.closed
        assert view.opened_until is None or view.opened_until <= self.now + 50 + 1e-6


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
