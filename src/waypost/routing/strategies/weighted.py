"""Drawn one after the other, each with a probability proportional to its weight among those that are left.

So a target's share of first places is its weight over the sum, and when one is left out, the others' shares keep their
proportions. A weight of 0 is never drawn: such targets come last, in configured order (first only among themselves).
"""

from collections.abc import Sequence

from waypost.routing.candidates import Candidate
from waypost.routing.chance import uniform
from waypost.routing.facts import Facts


class Weighted:
    __slots__ = ()

    def order(self, candidates: Sequence[Candidate], call: Facts, chance: int) -> Sequence[Candidate]:
        left = [candidate for candidate in candidates if candidate.weight > 0]
        order: list[Candidate] = []
        while len(left) > 1:
            order.append(left.pop(_drawn(left, uniform(chance, len(order)))))
        order += left
        order += [candidate for candidate in candidates if candidate.weight <= 0]
        return order

    def shares(self, candidates: Sequence[Candidate], call: Facts) -> Sequence[float]:
        total = sum(candidate.weight for candidate in candidates if candidate.weight > 0)
        if total <= 0:
            return [1.0 if position == 0 else 0.0 for position in range(len(candidates))]
        return [max(candidate.weight, 0.0) / total for candidate in candidates]


def _drawn(candidates: list[Candidate], mark: float) -> int:
    left = mark * sum(candidate.weight for candidate in candidates)
    for position, candidate in enumerate(candidates):
        left -= candidate.weight
        if left < 0:
            return position
    return len(candidates) - 1
