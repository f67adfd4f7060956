import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.building import FACTS, plan_of, provider, targets
from waypost.config.model import Strategy
from waypost.routing.candidates import Candidate
from waypost.routing.strategies import STRATEGIES


def weighted(*weights: float) -> tuple[Candidate, ...]:
    wanted = targets(*(f"p/m{index}*{weight}" for index, weight in enumerate(weights)))
    return plan_of((provider("p"),), wanted, strategy=Strategy.WEIGHTED).candidates


def test_every_strategy_of_the_configuration_is_here() -> None:
    assert set(STRATEGIES) == set(Strategy)


@pytest.mark.parametrize(
    ("strategy", "weights", "shares"),
    [
        (Strategy.ORDERED, (1, 5, 2), (1, 0, 0)),
        (Strategy.ORDERED, (0,), (1,)),
        (Strategy.WEIGHTED, (80, 20), (0.8, 0.2)),
        (Strategy.WEIGHTED, (1, 0, 3), (0.25, 0, 0.75)),
        (Strategy.WEIGHTED, (0, 0), (1, 0)),
        (Strategy.WEIGHTED, (5,), (1,)),
    ],
)
def test_shares_of_the_first_place(strategy: Strategy, weights: tuple[float, ...], shares: tuple[float, ...]) -> None:
    candidates = weighted(*weights)
    assert tuple(STRATEGIES[strategy].shares(candidates, FACTS)) == pytest.approx(shares)
    seeds = 4000
    firsts = [STRATEGIES[strategy].order(candidates, FACTS, seed)[0].index for seed in range(seeds)]
    for index, share in enumerate(shares):
        assert firsts.count(index) / seeds == pytest.approx(share, abs=0.03)


@given(st.sampled_from(Strategy), st.lists(st.floats(0, 1e6), min_size=1, max_size=8), st.integers(0, 2**53))
def test_an_order_is_a_permutation_and_repeats(strategy: Strategy, weights: list[float], seed: int) -> None:
    candidates = weighted(*weights)
    order = STRATEGIES[strategy].order(candidates, FACTS, seed)
    assert sorted(candidate.index for candidate in order) == list(range(len(weights)))
    assert list(order) == list(STRATEGIES[strategy].order(candidates, FACTS, seed))
    assert sum(STRATEGIES[strategy].shares(candidates, FACTS)) == pytest.approx(1)


def test_the_second_place_is_drawn_by_weight_among_those_left() -> None:
    candidates = weighted(50, 30, 10)
    order = STRATEGIES[Strategy.WEIGHTED].order
    seconds = [each[1].index for seed in range(20_000) if (each := order(candidates, FACTS, seed))[0].index == 0]
    assert seconds.count(1) / len(seconds) == pytest.approx(0.75, abs=0.02)


def test_a_target_without_weight_comes_last() -> None:
    candidates = weighted(0, 1, 0, 1)
    for seed in range(50):
        order = [candidate.index for candidate in STRATEGIES[Strategy.WEIGHTED].order(candidates, FACTS, seed)]
        assert order[2:] == [0, 2]
