"""What is to be embedded, and the vectors it gets: the same for the same text, model and seed, in every protocol.

Knows arithmetic. Refuses to know protocols.
"""

import sys
from array import array
from base64 import b64encode
from hashlib import shake_256
from math import sqrt

from msgspec import Struct

from waypost.sim.dice import draw
from waypost.sim.tokens import count_tokens

Input = str | tuple[int, ...]  # a text, or the ids of its tokens


class Inputs(Struct, frozen=True, kw_only=True):
    """`packed`: vectors are wanted as base64 of 32-bit floats, little-endian."""

    inputs: tuple[Input, ...]
    dimensions: int
    packed: bool = False

    @property
    def tokens(self) -> int:
        return sum(map(size_of, self.inputs))

    @property
    def longest(self) -> int:
        return max(map(size_of, self.inputs))

    @property
    def text(self) -> str:
        return "\n".join([each for each in self.inputs if isinstance(each, str)])


class Embedded(Struct, frozen=True):
    """Inputs and their vectors, and what is said of them. `model`: as sent, faults included."""

    inputs: Inputs
    vectors: tuple["array[float]", ...]
    model: str
    usage: bool = True
    request_id: str = ""


def size_of(given: Input) -> int:
    """In tokens."""
    return count_tokens(given) if isinstance(given, str) else len(given)


def embed(inputs: Inputs, model: str, seed: int) -> tuple["array[float]", ...]:
    return tuple([vector(each, inputs.dimensions, model, seed) for each in inputs.inputs])


def vector(given: Input, dimensions: int, model: str, seed: int) -> "array[float]":
    """Of length 1, of 32-bit floats."""
    drawn = array("I")
    drawn.frombytes(shake_256(draw(seed, "vector", model, given)).digest(dimensions * drawn.itemsize))
    if sys.byteorder == "big":
        drawn.byteswap()
    centred = [each / 0x7FFFFFFF - 1 for each in drawn]
    length = sqrt(sum(each * each for each in centred)) or 1.0
    return array("f", [each / length for each in centred])


def pack(numbers: "array[float]") -> str:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode()
