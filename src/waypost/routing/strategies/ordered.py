"""The configured order, always. Knows no weight and no chance."""


class Ordered:
    __slots__ = ()

    def order(self, weights: tuple[float, ...], seed: int) -> tuple[int, ...]:
        return tuple(range(len(weights)))

    def shares(self, weights: tuple[float, ...]) -> tuple[float, ...]:
        return (1.0, *(0.0 for _ in weights[1:])) if weights else ()
