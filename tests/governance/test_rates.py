from hypothesis import given
from hypothesis import strategies as st

from waypost.config.model import Rate
from waypost.governance.rates import RateAllowance


def test_calls_fit_until_the_count_and_again_when_the_window_has_passed() -> None:
    rate = RateAllowance(Rate(3, 60))
    assert [rate.take(1000.0) for _ in range(4)] == [True, True, True, False]
    assert not rate.take(1059.0)
    free = rate.free_at(1001.0)
    assert 1060.0 <= free <= 1000.0 + 60.0 * 33 / 32 + 2
    assert rate.take(free)


def test_a_call_that_was_not_sent_is_given_back() -> None:
    rate = RateAllowance(Rate(1, 60))
    assert rate.take(5.0)
    assert rate.room(5.0) == 0
    rate.give_back(5.0)
    assert rate.take(5.0)


def test_giving_back_what_was_never_taken_adds_no_room() -> None:
    rate = RateAllowance(Rate(1, 60))
    rate.give_back(5.0)
    assert rate.room(5.0) == 1


def test_several_calls_are_taken_together_or_not_at_all() -> None:
    rate = RateAllowance(Rate(5, 60))
    assert rate.take(1.0, 3)
    assert not rate.take(1.0, 3)
    assert rate.room(1.0) == 2
    rate.give_back(1.0, 3)
    assert rate.take(1.0, 5)
    rate.give_back(1.0, 9)
    assert rate.room(1.0) == 5


@given(st.integers(1, 8), st.lists(st.floats(0, 12), max_size=120))
def test_no_window_anywhere_holds_more_than_the_count(count: int, gaps: list[float]) -> None:
    window = 30
    rate, now, taken = RateAllowance(Rate(count, window)), 0.0, []
    for gap in gaps:
        now += gap
        room = rate.room(now)
        granted = rate.take(now)
        assert granted == (room > 0)
        if granted:
            taken.append(now)
        else:
            assert rate.free_at(now) > now
    for first in taken:
        assert sum(first <= moment < first + window for moment in taken) <= count


@given(st.floats(0, 1e6), st.integers(1, 50))
def test_when_it_says_that_a_call_fits_it_fits(start: float, count: int) -> None:
    rate = RateAllowance(Rate(count, 10))
    for _ in range(count):
        assert rate.take(start)
    assert rate.take(rate.free_at(start))
