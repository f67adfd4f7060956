"""What every scheme gives a line: header lines that a request gets when it is sent. Knows no scheme.

A fixed key is none of this: it stands in the request's prefix (`upstream/lines.py`).
"""

from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct


class Unsigned(Struct, frozen=True):
    """A request before it is signed. `path` and `query` as they are sent; the method is always POST."""

    path: str
    query: str
    body: bytes


class Scheme(Protocol):
    """`lines` are header lines, None while what they are made of has not come yet: then `wait` gives them.

    `wait` raises UpstreamFault, and is bounded in time by its caller. `warm` begins to fetch what will be needed, if it
    has not begun; it returns at once. `secrets` are what must not be shown when a provider quotes a request.
    """

    def lines(self, request: Unsigned) -> bytes | None: ...
    async def wait(self, request: Unsigned) -> bytes: ...
    def warm(self) -> None: ...
    def secrets(self) -> Iterator[str]: ...
