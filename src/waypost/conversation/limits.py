"""How much a provider lets its caller ask, as it tells with each answer."""

from msgspec import Struct


class Limit(Struct, frozen=True):
    """Unset members were not told. `of` is "requests" or "tokens"; `full_in_s`: seconds until all is there again."""

    of: str
    most: int | None = None
    left: int | None = None
    full_in_s: float | None = None

    @property
    def says_anything(self) -> bool:
        return self.most is not None or self.left is not None or self.full_in_s is not None
