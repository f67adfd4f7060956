"""Chance from a seed: the same seed gives the same numbers on every machine and in every version, so decisions replay.

splitmix64 (Steele, Lea, Flood 2014), read by position instead of by state: nothing is mutated, nothing is consumed.
"""

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_TO_UNIT = 1.0 / (1 << 53)


def uniform(seed: int, position: int) -> float:
    """The number at `position` (from 0) of the sequence that `seed` starts: uniform in [0, 1), 53 bits."""
    mixed = (seed + (position + 1) * _GOLDEN) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((mixed ^ (mixed >> 31)) >> 11) * _TO_UNIT
