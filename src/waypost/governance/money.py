"""Money as whole nano-dollars (1e-9 USD). Knows the two ways in and out of text; knows no prices."""

from decimal import Decimal, InvalidOperation

NANO = 1_000_000_000
_LONGEST = 40


def nanodollars(dollars: str | float) -> int:
    """Dollars as a caller or an operator writes them ("0.05", 0.05, 3).

    Rounded down: a limit is never widened by rounding. Raises ValueError for what is not a finite amount from zero up.
    """
    text = str(dollars)
    try:
        amount = Decimal(text) if len(text) <= _LONGEST else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0 or amount.adjusted() > _LONGEST:
        raise ValueError(f"not an amount of dollars: {text[:_LONGEST]!r}")
    return int(amount * NANO)


def dollars(amount: int) -> str:
    """Nano-dollars as decimal dollars without trailing zeros: 37_500_000 is "0.0375", 0 is "0"."""
    if amount < 0:
        return f"-{dollars(-amount)}"
    digits = f"{amount:010d}"
    return f"{digits[:-9]}.{digits[-9:]}".rstrip("0").rstrip(".")
