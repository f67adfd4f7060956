import pytest

from waypost.routing.chance import uniform


@pytest.mark.parametrize(
    ("seed", "position", "published"),
    [(1234567, 0, 6457827717110365317), (1234567, 1, 3203168211198807973), (1234567, 4, 16408922859458223821)],
)
def test_the_numbers_are_those_of_splitmix64(seed: int, position: int, published: int) -> None:
    """The published sequence for this seed: if it ever changed, recorded decisions would not replay."""
    assert uniform(seed, position) == (published >> 11) / 2**53


def test_they_are_spread_evenly() -> None:
    numbers = [uniform(seed, 3) for seed in range(20_000)]
    assert all(0 <= number < 1 for number in numbers)
    for tenth in range(10):
        assert 1800 < sum(tenth / 10 <= number < (tenth + 1) / 10 for number in numbers) < 2200
