"""How targets are put in order. A strategy only orders: it does not retry, ask a breaker or classify an error.

To add one: a file beside this one, a line in `STRATEGIES`, a value in `config.model.Strategy`, a case in its table
test.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Protocol

from waypost.config.model import Strategy
from waypost.routing.candidates import Candidate
from waypost.routing.facts import Facts
from waypost.routing.strategies.ordered import Ordered
from waypost.routing.strategies.weighted import Weighted


class Ordering(Protocol):
    """Each candidate given stands for one target of the route, and all of them are viable. `chance` is a seed."""

    def order(self, candidates: Sequence[Candidate], call: Facts, chance: int) -> Sequence[Candidate]:
        """A permutation, best first; the same for the same arguments. May read `uniform(chance, n)` for n < 1000."""
        ...

    def shares(self, candidates: Sequence[Candidate], call: Facts) -> Sequence[float]:
        """The exact probability over all seeds with which `order` puts each candidate first. Sums to 1."""
        ...


STRATEGIES: MappingProxyType[Strategy, Ordering] = MappingProxyType(
    {
        Strategy.ORDERED: Ordered(),
        Strategy.WEIGHTED: Weighted(),
    }
)
