"""Which path is which protocol, as the registered dialects say it themselves. Knows paths; opens nothing.

A path that is the same for all calls is looked up; one that holds the model's name is known by what is before and
behind it.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from waypost.dialects.dialect import Dialect, Door
from waypost.gateway.call import Address

MODEL = "{model}"


class Entry(Struct, frozen=True):
    """A call's dialect, in the form that its query asks for, and what its path says.

    `counts`: only its tokens are to be counted. `embeds`: its inputs are to be turned into vectors.
    """

    dialect: Dialect
    address: Address | None = None
    counts: bool = False
    embeds: bool = False


class Gap(Struct, frozen=True):
    """A door whose path holds the model's name between these."""

    before: str
    behind: str
    dialect: Dialect
    stream: bool | None
    counts: bool

    def fits(self, path: str) -> bool:
        least = len(self.before) + len(self.behind)
        return len(path) > least and path.startswith(self.before) and path.endswith(self.behind)

    def model(self, path: str) -> str:
        """The name, which may hold slashes and colons, percent-decoded."""
        quoted = path[len(self.before) : len(path) - len(self.behind)]
        return unquote_to_bytes(quoted.encode("latin-1", "replace")).decode("utf-8", "replace")


class DoorPlan:
    """`plain` are the doors at which all is said by the body; the fast path is for these."""

    __slots__ = ("_exact", "_gaps", "_places", "plain")

    def __init__(self, dialects: Iterable[Dialect]) -> None:
        known = tuple(dialects)
        told = [(door, dialect) for dialect in known for door in dialect.doors]
        exact = [(door, dialect) for door, dialect in told if MODEL not in door.path]
        self.plain: Mapping[str, Dialect] = {
            door.path: dialect
            for door, dialect in exact
            if door.stream is None and not door.counts and not door.embeds and dialect.for_query is None
        }
        self._exact = {door.path: (dialect, door) for door, dialect in exact}
        gaps = [_gap(door, dialect) for door, dialect in told if MODEL in door.path]
        self._gaps = sorted(gaps, key=lambda gap: len(gap.before) + len(gap.behind), reverse=True)
        places = [(gap.before.rstrip("/"), gap.dialect) for gap in self._gaps]
        places += [(door.path, dialect) for door, dialect in exact]
        self._places = sorted(places, key=lambda place: len(place[0]), reverse=True)

    def find(self, path: str, query: str) -> Entry | None:
        """What a call at this path is, if calls are taken there."""
        found = self._exact.get(path)
        if found is not None:
            dialect, door = found
            address = None if door.stream is None else Address(None, door.stream)
            return Entry(_form(dialect, query), address, door.counts, door.embeds)
        for gap in self._gaps:
            if gap.fits(path):
                return Entry(_form(gap.dialect, query), Address(gap.model(path), gap.stream), gap.counts)
        return None

    def speaker(self, path: str) -> Dialect | None:
        """What is spoken at a door, below it, and where only the name in its path is another."""
        for place, dialect in self._places:
            if path.startswith(place) and path[len(place) : len(place) + 1] in ("", "/", ":"):
                return dialect
        return None

    def paths(self) -> list[str]:
        """Where calls go, for people."""
        gaps = (f"{gap.before}{MODEL}{gap.behind}" for gap in reversed(self._gaps) if not gap.counts)
        return [*(path for path, (_, door) in self._exact.items() if not door.counts), *gaps]


def _gap(door: Door, dialect: Dialect) -> Gap:
    before, _, behind = door.path.partition(MODEL)
    return Gap(before, behind, dialect, door.stream, door.counts)


def _form(dialect: Dialect, query: str) -> Dialect:
    return dialect if dialect.for_query is None else dialect.for_query(query)
