"""The configured order, always. Knows no weight and no chance."""

from collections.abc import Sequence

from waypost.routing.candidates import Candidate
from waypost.routing.facts import Facts


class Ordered:
    __slots__ = ()

    def order(self, candidates: Sequence[Candidate], call: Facts, chance: int) -> Sequence[Candidate]:
        return candidates

    def shares(self, candidates: Sequence[Candidate], call: Facts) -> Sequence[float]:
        return [1.0 if position == 0 else 0.0 for position in range(len(candidates))]
