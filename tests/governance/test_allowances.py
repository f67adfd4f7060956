import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from waypost.config.model import Budget, Match, Window
from waypost.governance.allowances import (
    Allowance,
    Budgets,
    Denied,
    Reservation,
    affordable,
    reserve_all,
)

MINUTE = 60.0


def reserved(outcome: Reservation | Denied) -> Reservation:
    assert isinstance(outcome, Reservation)
    return outcome


def test_what_is_reserved_cannot_be_reserved_again_and_what_is_settled_is_spent() -> None:
    allowance = Allowance("all", 100, Window.NONE)
    held = reserved(reserve_all((allowance,), 70, 0))
    assert reserve_all((allowance,), 31, 0) == Denied("all", 100, 0, 70, None)
    assert affordable((allowance,), 0) == 30
    assert held.settle(20, 0) == 0
    assert (allowance.spent, allowance.reserved) == (20, 0)
    assert affordable((allowance,), 0) == 80


def test_a_released_reservation_leaves_no_trace() -> None:
    allowance = Allowance("all", 100, Window.NONE)
    reserved(reserve_all((allowance,), 70, 0)).release(0)
    assert (allowance.spent, allowance.reserved) == (0, 0)


def test_a_reservation_tells_what_it_holds_and_what_more_would_fit() -> None:
    wide, minute = Allowance("wide", 100, Window.NONE), Allowance("minute", 90, Window.MINUTE)
    held = reserved(reserve_all((wide, minute), 30, 70.0))
    assert held.charges(20) == (("wide", 0, 20), ("minute", 60, 20))
    assert held.room(119.0) == 60
    assert held.room(120.0) == 0, "the minute is over: what it had left is not known any more"
    held.settle(0, 120.0)
    assert (held.charges(20), held.room(120.0)) == ((), 0)


@pytest.mark.parametrize("names", [("all",), ('a "b" c', "ü"), ("one", "two", "three")])
def test_charges_as_json_are_the_same_charges(names: tuple[str, ...]) -> None:
    held = reserved(reserve_all([Allowance(name, 100, Window.MINUTE) for name in names], 30, 70.0))
    told = tuple(tuple(charge) for charge in msgspec.json.decode(held.charges_json(20)))
    assert told == held.charges(20)


def test_what_does_not_fit_everywhere_is_held_nowhere() -> None:
    wide, narrow = Allowance("wide", 100, Window.NONE), Allowance("narrow", 10, Window.NONE)
    denied = reserve_all((wide, narrow), 30, 0)
    assert isinstance(denied, Denied)
    assert denied.name == "narrow"
    assert (wide.reserved, narrow.reserved, wide.spent, narrow.spent) == (0, 0, 0, 0)


def test_a_reservation_is_extended_everywhere_or_nowhere() -> None:
    wide, narrow = Allowance("wide", 100, Window.NONE), Allowance("narrow", 50, Window.NONE)
    held = reserved(reserve_all((wide, narrow), 30, 0))
    assert held.extend(21, 0) == Denied("narrow", 50, 0, 30, None)
    assert (held.amount, wide.reserved, narrow.reserved) == (30, 30, 30)
    assert held.extend(20, 0) is None
    assert (held.amount, wide.reserved, narrow.reserved) == (50, 50, 50)
    held.settle(45, 0)
    assert [(each.spent, each.reserved) for each in (wide, narrow)] == [(45, 0), (45, 0)]


def test_a_window_that_is_over_does_not_hold_an_extension_back() -> None:
    minute, always = Allowance("minute", 50, Window.MINUTE), Allowance("always", 500, Window.NONE)
    held = reserved(reserve_all((minute, always), 40, 0))
    assert held.extend(40, MINUTE) is None
    assert (minute.reserved, always.reserved) == (0, 80)
    held.settle(70, MINUTE)
    assert (minute.spent, always.spent, minute.reserved, always.reserved) == (0, 70, 0, 0)


def test_settling_twice_counts_once() -> None:
    allowance = Allowance("all", 100, Window.NONE)
    held = reserved(reserve_all((allowance,), 70, 0))
    held.settle(20, 0)
    assert not held.is_open
    assert held.settle(90, 0) == 0
    held.release(0)
    assert (allowance.spent, allowance.reserved) == (20, 0)


def test_a_provider_that_reports_more_than_the_bound_is_recorded_and_told() -> None:
    allowance = Allowance("all", 100, Window.NONE)
    assert reserved(reserve_all((allowance,), 10, 0)).settle(130, 0) == 120
    assert allowance.spent == 130
    assert affordable((allowance,), 0) == 0


def test_a_group_is_reserved_whole_or_not_at_all() -> None:
    wide, narrow = Allowance("wide", 100, Window.NONE), Allowance("narrow", 10, Window.NONE)
    assert reserve_all((wide, narrow), 11, 0) == Denied("narrow", 10, 0, 0, None)
    assert wide.reserved == 0
    assert affordable((wide, narrow), 0) == 10
    reserved(reserve_all((wide, narrow), 10, 0))
    assert (wide.reserved, narrow.reserved) == (10, 10)


def test_without_an_allowance_anything_goes() -> None:
    assert affordable((), 0) is None
    assert reserved(reserve_all((), 10**30, 0)).settle(5, 0) == 0


def test_a_new_window_starts_empty_and_old_reservations_do_not_touch_it() -> None:
    allowance = Allowance("all", 100, Window.MINUTE)
    late = reserved(reserve_all((allowance,), 100, 59.0))
    assert isinstance(reserve_all((allowance,), 1, 59.9), Denied)
    current = reserved(reserve_all((allowance,), 60, 60.0))
    late.settle(100, 61.0)
    assert (allowance.spent, allowance.reserved) == (0, 60)
    current.settle(50, 62.0)
    assert (allowance.spent, allowance.reserved) == (50, 0)
    assert allowance.view(62.0).resets_at == 120


def test_a_clock_set_back_opens_no_window() -> None:
    allowance = Allowance("all", 100, Window.MINUTE)
    reserved(reserve_all((allowance,), 100, 130.0)).settle(100, 130.0)
    assert affordable((allowance,), 50.0) == 0


def test_spend_is_restored_for_the_current_window_only() -> None:
    allowance = Allowance("all", 100, Window.MINUTE)
    assert allowance.starts_at(95.0) == 60.0
    allowance.restore(80, 95.0)
    assert affordable((allowance,), 100.0) == 20
    assert affordable((allowance,), 120.0) == 100


BUDGETS = (
    Budget(name="all", limit=1),
    Budget(name="app", limit=1, match=Match(key="app")),
    Budget(name="team", limit=1, match=Match(team="a")),
    Budget(name="both", limit=1, match=Match(key="app", team="b")),
    Budget(name="tagged", limit=1, match=Match(team="a", tags=(("env", "prod"), ("app", "x")))),
)


@pytest.mark.parametrize(
    ("key", "team", "tags", "names"),
    [
        (None, None, (), ["all"]),
        ("app", None, (), ["all", "app"]),
        ("app", "b", (("env", "prod"),), ["all", "app", "both"]),
        ("other", "a", (("env", "prod"),), ["all", "team"]),
        ("other", "a", (("app", "x"), ("env", "prod"), ("more", "1")), ["all", "team", "tagged"]),
        (None, "b", (("env", "prod"), ("app", "x")), ["all"]),
    ],
)
def test_budgets_count_the_calls_that_match(
    key: str | None, team: str | None, tags: tuple[tuple[str, str], ...], names: list[str]
) -> None:
    budgets = Budgets(BUDGETS)
    for _ in range(2):  # the second time from memory
        assert [allowance.name for allowance in budgets.match(key, team, tags)] == names


def test_a_reload_goes_on_counting_where_the_budget_is_the_same() -> None:
    before = Budgets((Budget(name="a", limit=10), Budget(name="b", limit=10, window=Window.DAY)))
    held = reserved(reserve_all(before.allowances, 5, 0))
    after = Budgets((Budget(name="a", limit=4), Budget(name="b", limit=10, window=Window.HOUR)), before)
    assert [(view.name, view.limit, view.reserved) for view in after.view(0)] == [("a", 4, 5), ("b", 10, 0)]
    held.settle(3, 0)
    assert [view.spent for view in after.view(0)] == [3, 0]


def test_a_budget_goes_on_counting_when_its_match_changes_and_when_it_was_away() -> None:
    before = Budgets((Budget(name="a", limit=10),))
    held = reserved(reserve_all(before.allowances, 5, 0))
    narrower = Budgets((Budget(name="a", limit=10, match=Match(team="x")),), before)
    assert [view.reserved for view in narrower.view(0)] == [5]
    away = Budgets((), narrower)
    held.settle(3, 0)
    assert [(view.spent, view.reserved) for view in Budgets((Budget(name="a", limit=10),), away).view(0)] == [(3, 0)]


def test_who_calls_is_remembered_within_bounds() -> None:
    budgets = Budgets(BUDGETS)
    for number in range(10_000):
        budgets.match(f"key-{number}", None)
    assert len(budgets._by_caller) <= 4096


class AllowanceMachine(RuleBasedStateMachine):
    """Any interleaving of reservations over overlapping limits and windows: never above a limit, never below 0."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        limits = (("m", 100, Window.MINUTE), ("h", 250, Window.HOUR), ("n", 900, Window.NONE))
        self.allowances = tuple(Allowance(*limit) for limit in limits)

    @rule(passed=st.floats(0, 90))
    def wait(self, passed: float) -> None:
        self.now += passed

    @rule(target=held, amount=st.integers(0, 120), which=st.sets(st.integers(0, 2)))
    def reserve(self, amount: int, which: set[int]) -> tuple[Reservation | None, int]:
        group = tuple(self.allowances[index] for index in sorted(which))
        room = affordable(group, self.now)
        outcome = reserve_all(group, amount, self.now)
        assert isinstance(outcome, Reservation) == (room is None or amount <= room)
        return (outcome, amount) if isinstance(outcome, Reservation) else (None, amount)

    @rule(one=held, amount=st.integers(0, 60))
    def extend(self, one: tuple[Reservation | None, int], amount: int) -> None:
        outcome, _ = one
        if outcome is not None:
            before = outcome.amount
            denied = outcome.extend(amount, self.now)
            assert outcome.amount == before + (amount if denied is None else 0)

    @rule(one=consumes(held), share=st.floats(0, 1))
    def settle(self, one: tuple[Reservation | None, int], share: float) -> None:
        outcome, _ = one
        if outcome is not None:
            assert outcome.settle(int(outcome.amount * share), self.now) == 0

    @invariant()
    def limits_hold(self) -> None:
        for allowance in self.allowances:
            view = allowance.view(self.now)
            assert view.reserved >= 0
            assert 0 <= view.spent + view.reserved <= view.limit


TestAllowanceMachine = AllowanceMachine.TestCase
TestAllowanceMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
