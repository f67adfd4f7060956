import pytest

from waypost.config.model import Breaker as Settings
from waypost.config.model import Rate
from waypost.conversation.faults import Fault, FaultKind
from waypost.routing.breaker import BreakerState
from waypost.routing.faults import CONSEQUENCES, Rest
from waypost.routing.health import Health, HealthBook, View, observe

SETTINGS = Settings(consecutive=3, cooldown_s=5)


def fault(kind: FaultKind, retry_after_s: float | None = None) -> Fault:
    return Fault(kind=kind, message="no", retry_after_s=retry_after_s)


def book(*rates: tuple[str, Rate]) -> HealthBook:
    return HealthBook(SETTINGS, rates)


def three(health_book: HealthBook) -> tuple[Health, Health, Health]:
    """One candidate, another credential of its target, another target of its credential."""
    return (
        health_book.of("p", "p/m", "p/a"),
        health_book.of("p", "p/m", "p/b"),
        health_book.of("p", "p/n", "p/a"),
    )


@pytest.mark.parametrize("kind", FaultKind)
def test_who_is_left_alone_after_a_fault_is_whom_the_table_blames(kind: FaultKind) -> None:
    then = CONSEQUENCES[kind]
    me, same_target, same_credential = three(book())
    for _ in range(SETTINGS.consecutive):
        assert me.admit(0, last_resort=True)
        me.failed(fault(kind), 0, 0.0)
    assert me.is_well == (not then.blame_target and not then.blame_credential and then.rest is Rest.NONE)
    assert same_target.is_well == (not then.blame_target)
    assert same_credential.is_well == (not then.blame_credential)


def test_one_refused_credential_is_enough_and_its_target_stays_in_use() -> None:
    me, same_target, same_credential = three(book())
    me.failed(fault(FaultKind.UNAUTHORIZED), 0, 0.0)
    assert not me.admit(1)
    assert not same_credential.admit(1)
    assert same_target.admit(1)


def test_a_429_rests_this_target_with_this_credential_until_the_provider_says() -> None:
    me, same_target, same_credential = three(book())
    me.failed(fault(FaultKind.RATE_LIMITED, retry_after_s=40), 0, 0.0)
    assert me.view(10) == View(pair=BreakerState.OPEN, wait_s=30)
    assert not me.admit(39)
    assert same_target.admit(1)
    assert same_credential.admit(1)
    assert me.admit(40)


def test_a_wish_to_be_left_alone_for_years_is_cut_to_a_day() -> None:
    me = book().of("p", "p/m", "p/a")
    me.failed(fault(FaultKind.RATE_LIMITED, retry_after_s=1e12), 0, 0.0)
    assert me.view(0).wait_s == 86_400


def test_a_callers_mistake_on_a_probe_judges_nobody_and_gives_the_probe_back() -> None:
    me = book().of("p", "p/m", "p/a")
    for _ in range(3):
        me.failed(fault(FaultKind.SERVER_ERROR), 0, 0.0)
    assert me.admit(5)
    me.failed(fault(FaultKind.BAD_REQUEST), 5, 0.0)
    assert me.admit(5)
    me.succeeded(6)
    assert me.is_well


def test_a_candidate_with_two_open_breakers_is_admitted_by_both_or_by_neither() -> None:
    me, same_target, _ = three(book())
    for _ in range(3):
        me.failed(fault(FaultKind.SERVER_ERROR), 0, 0.0)
    me.failed(fault(FaultKind.UNAUTHORIZED), 3, 0.0)
    assert not me.admit(6), "the credential still rests"
    assert same_target.admit(6), "so the target's probe was not kept"


def test_an_abandoned_call_gives_its_probe_back() -> None:
    me = book().of("p", "p/m", "p/a")
    for _ in range(3):
        me.failed(fault(FaultKind.STALL), 0, 0.0)
    assert me.admit(5)
    assert not me.admit(5)
    me.abandon(5)
    assert me.admit(5)


def test_a_rate_is_shared_by_all_of_a_provider_and_not_spent_on_what_a_breaker_refuses() -> None:
    health_book = book(("p", Rate(2, 60)))
    me, same_target, other = three(health_book)
    me.failed(fault(FaultKind.RATE_LIMITED, retry_after_s=100), 0, 0.0)
    for _ in range(10):
        assert not me.admit(1)
    assert same_target.admit(1)
    assert other.admit(1)
    assert not other.admit(1)
    wait = other.view(1).rate_wait_s
    assert wait is not None
    assert wait >= 60
    assert health_book.of("q", "q/m", "q/a").admit(1)


def test_all_well_is_told_by_saying_nothing() -> None:
    health_book = book()
    healths = three(health_book)
    assert observe(healths, 0) == ()
    healths[0].succeeded(0, total_ms=100)
    assert observe(healths, 0) == ()
    assert observe(healths, 0, latency=True) == (View(latency_ms=100), View(), View())
    healths[0].failed(fault(FaultKind.FORBIDDEN), 0, 0.0)
    first, second, third = observe(healths, 1)
    assert (first.credential, first.wait_s, second, third.wait_s) == (BreakerState.OPEN, 4, View(), 4)


def test_a_rate_without_room_is_told() -> None:
    me = book(("p", Rate(1, 60))).of("p", "p/m", "p/a")
    assert observe((me,), 0) == ()
    assert me.admit(0)
    assert observe((me,), 0)[0].rate_wait_s is not None


def test_observed_latency_is_smoothed() -> None:
    me = book().of("p", "p/m", "p/a")
    me.succeeded(0, total_ms=100)
    me.succeeded(0, total_ms=200)
    assert me.latency_ms == pytest.approx(120)


def test_the_book_is_bounded_and_remembers_whom_it_met_first_and_who_is_unwell() -> None:
    health_book = book()
    mine = health_book.of("p", "p/m", "p/a")
    sick = health_book.of("p", "p/sick", "p/a")
    for _ in range(3):
        sick.failed(fault(FaultKind.SERVER_ERROR), 0, 0.0)
    for number in range(10_000):
        health_book.of("p", f"p/x{number}", "p/a")
    assert len(health_book.targets()) <= 4096
    assert health_book.of("p", "p/m", "p/a") is mine
    assert dict(health_book.targets())["p/sick"] is sick.target
    assert [name for name, _ in health_book.credentials()] == ["p/a"]
