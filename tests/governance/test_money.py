import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.governance.money import dollars, nanodollars


@pytest.mark.parametrize(
    ("told", "amount"),
    [
        ("0.05", 50_000_000),
        (0.05, 50_000_000),
        (3, 3_000_000_000),
        ("1e-9", 1),
        ("0.0000000019", 1),
        (0, 0),
        ("1e3", 10**12),
    ],
)
def test_dollars_become_whole_nanodollars_rounded_down(told: str | float, amount: int) -> None:
    assert nanodollars(told) == amount


@pytest.mark.parametrize("told", ["", "five", "-1", "nan", "inf", float("inf"), "1e400", "9" * 50, "1e99999999"])
def test_what_is_no_amount_is_an_error(told: str | float) -> None:
    with pytest.raises(ValueError, match="not an amount of dollars"):
        nanodollars(told)


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0"), (37_500_000, "0.0375"), (10**9, "1"), (1, "0.000000001"), (-1_500_000_000, "-1.5"), (10**11, "100")],
)
def test_text_is_decimal_without_trailing_zeros(amount: int, text: str) -> None:
    assert dollars(amount) == text


@given(st.integers(0, 10**18))
def test_text_reads_back(amount: int) -> None:
    assert nanodollars(dollars(amount)) == amount
