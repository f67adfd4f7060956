"""Chance without a generator: numbers drawn from a hash, so that the same seed and the same facts give the same throw.

Knows hashing. Refuses to know what is being decided.
"""

from hashlib import blake2b

_SCALE = float(1 << 64)


def draw(seed: int, *facts: object) -> bytes:
    """64 bytes that depend on the seed and on every fact (by its `str`), and on nothing else, in any process."""
    return blake2b("\x1f".join([str(seed), *map(str, facts)]).encode("utf-8", "surrogatepass")).digest()


def fraction(drawn: bytes, position: int = 0) -> float:
    """A number in [0, 1) from the 8 bytes at `position` times 8 (0 to 7)."""
    return int.from_bytes(drawn[position * 8 : position * 8 + 8], "big") / _SCALE
