"""Drawn one after the other, each with a probability proportional to its weight among those that are left.

So a target's share of first places is its weight over the sum, and when it is left out the others' shares keep their
proportions. A weight of 0 is never drawn: such targets come last, in configured order (and first only among themselves).
"""

from waypost.routing.chance import uniform


class Weighted:
    __slots__ = ()

    def order(self, weights: tuple[float, ...], seed: int) -> tuple[int, ...]:
        left = [position for position, weight in enumerate(weights) if weight > 0]
        order: list[int] = []
        while len(left) > 1:
            order.append(left.pop(_drawn([weights[position] for position in left], uniform(seed, len(order)))))
        order += left
        order += [position for position, weight in enumerate(weights) if weight <= 0]
        return tuple(order)

    def shares(self, weights: tuple[float, ...]) -> tuple[float, ...]:
        total = sum(weight for weight in weights if weight > 0)
        if total <= 0:
            return (1.0, *(0.0 for _ in weights[1:])) if weights else ()
        return tuple(max(weight, 0.0) / total for weight in weights)


def _drawn(weights: list[float], chance: float) -> int:
    mark = chance * sum(weights)
    for position, weight in enumerate(weights):
        mark -= weight
        if mark < 0:
            return position
    return len(weights) - 1
