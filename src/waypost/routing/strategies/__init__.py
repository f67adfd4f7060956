"""How targets are put in order. A strategy only orders: it does not retry, ask a breaker or classify an error.

To add one: a file beside this one, a line in `STRATEGIES`, a value in `config.model.Strategy`, a case in its table test.
"""

from types import MappingProxyType
from typing import Protocol

from waypost.config.model import Strategy
from waypost.routing.strategies.ordered import Ordered
from waypost.routing.strategies.weighted import Weighted


class Ordering(Protocol):
    """Targets are given as their weights; the answers are positions in that sequence. All of `weights` are viable."""

    def order(self, weights: tuple[float, ...], seed: int) -> tuple[int, ...]:
        """A permutation of the positions, best first; the same for the same arguments. Reads positions of `seed` < len."""
        ...

    def shares(self, weights: tuple[float, ...]) -> tuple[float, ...]:
        """The exact probability over all seeds with which `order` puts each position first. Sums to 1."""
        ...


STRATEGIES: MappingProxyType[Strategy, Ordering] = MappingProxyType(
    {
        Strategy.ORDERED: Ordered(),
        Strategy.WEIGHTED: Weighted(),
    }
)
