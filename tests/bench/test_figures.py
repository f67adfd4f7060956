"""How samples become figures, and what voids one."""

from math import isclose

import pytest

from waypost.bench.figures import Sample, middle, subject
from waypost.bench.load import Load, summarise


def load(good: int = 100, failed: int = 0, p50: float = 100.0, p99: float = 300.0) -> Load:
    return Load(good, failed, 2.0, p50, p99)


def sample(cpu_s: float, good: int = 100, failed: int = 0) -> Sample:
    return Sample(cpu_s, load(good, failed), load(p50=150.0, p99=420.0), load(p50=50.0, p99=80.0))


def test_a_figure_is_the_median_of_the_rounds() -> None:
    mine, its = [sample(0.04), sample(0.9), sample(0.02)], [sample(0.01), sample(0.1), sample(0.01)]
    seen = subject("x", mine, its)
    assert seen.ratio_to_nginx == 4.0
    assert seen.cpu_us_per_request == 400.0
    assert seen.requests_per_second == 50
    assert seen.added_p50_us == 100.0
    assert seen.added_p99_us == 340.0
    assert seen.failed == 0


def test_without_nginx_there_is_no_ratio() -> None:
    seen = subject("x", [sample(0.04)], [])
    assert seen.ratio_to_nginx is None
    assert seen.cpu_us_per_request == 400.0


@pytest.mark.parametrize("mine_failed", [True, False])
def test_one_failed_call_voids_the_figure(mine_failed: bool) -> None:
    mine = [sample(0.04), sample(0.04, failed=int(mine_failed)), sample(0.04)]
    its = [sample(0.01), sample(0.01), sample(0.01, failed=int(not mine_failed))]
    seen = subject("x", mine, its)
    assert seen.ratio_to_nginx is None
    assert (seen.cpu_us_per_request is None) is mine_failed
    assert (seen.requests_per_second is None) is mine_failed
    assert (seen.added_p50_us is None) is mine_failed
    assert seen.failed == int(mine_failed)


def test_no_good_answer_is_no_figure() -> None:
    assert subject("x", [sample(0.04, good=0)], []).cpu_us_per_request is None


@pytest.mark.parametrize(
    ("values", "expected"), [([], None), ([None, 1.0], None), ([3.0, 1.0, 2.0], 2.0), ([1.0, 2.04], 1.5)]
)
def test_middle(values: list[float | None], expected: float | None) -> None:
    assert middle(values, 1) == expected


def test_latencies_are_summarised() -> None:
    seen = summarise([n / 1000 for n in range(100, 0, -1)], 3, 1.5)
    assert (seen.good, seen.failed, seen.seconds) == (100, 3, 1.5)
    assert isclose(seen.p50_us or 0, 51_000)
    assert isclose(seen.p99_us or 0, 100_000)
    assert summarise([], 1, 1.5).p50_us is None
