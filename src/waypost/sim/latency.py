"""How long a simulated provider takes: distributions, drawn with chance given as a number.

Milliseconds in scripts, seconds in results. Knows no clock.
"""

import math

from msgspec import Struct

from waypost.sim.dice import fraction

_95TH_PERCENTILE = 1.6448536269514722  # of the standard normal distribution


class Fixed(Struct, frozen=True, kw_only=True, tag="fixed", tag_field="distribution", forbid_unknown_fields=True):
    ms: float


class Uniform(Struct, frozen=True, kw_only=True, tag="uniform", tag_field="distribution", forbid_unknown_fields=True):
    min_ms: float
    max_ms: float


class Lognormal(
    Struct, frozen=True, kw_only=True, tag="lognormal", tag_field="distribution", forbid_unknown_fields=True
):
    median_ms: float
    p95_ms: float


Distribution = float | Fixed | Uniform | Lognormal  # a bare number is a fixed time


class Latency(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`first_byte` before anything is sent; `per_token_ms` before each content event of a stream, or all at once."""

    first_byte: Distribution = 0.0
    per_token_ms: Distribution = 0.0


def draw_seconds(distribution: Distribution, drawn: bytes) -> float:
    """A time of this distribution, in seconds, decided by `drawn` (64 bytes of chance)."""
    match distribution:
        case Fixed(ms=ms):
            pass
        case Uniform(min_ms=low, max_ms=high):
            ms = low + (high - low) * fraction(drawn)
        case Lognormal(median_ms=median, p95_ms=p95):
            ms = median * math.exp(math.log(p95 / median) / _95TH_PERCENTILE * _normal(drawn))
        case _:
            ms = distribution
    return ms / 1000


def check_distribution(distribution: Distribution) -> str | None:
    """What is wrong with a distribution, if anything."""
    match distribution:
        case Fixed(ms=ms) if ms < 0:
            return "ms must not be negative"
        case Uniform(min_ms=low, max_ms=high) if not 0 <= low <= high:
            return "needs 0 <= min_ms <= max_ms"
        case Lognormal(median_ms=median, p95_ms=p95) if not 0 < median <= p95:
            return "needs 0 < median_ms <= p95_ms"
        case float() | int() if distribution < 0:
            return "must not be negative"
    return None


def _normal(drawn: bytes) -> float:
    """A standard normal number (Box and Muller)."""
    radius = math.sqrt(-2 * math.log(1 - fraction(drawn, 0)))
    return radius * math.cos(2 * math.pi * fraction(drawn, 1))
