"""`Authorization: Bearer` with a token that expires. Knows no one who issues tokens."""

from collections.abc import Iterator

from msgspec import Struct

from waypost.upstream.auth.renewed import Renewed
from waypost.upstream.auth.scheme import Unsigned
from waypost.wire.http1 import header_lines


class Token(Struct, frozen=True):
    """`headers` go along with it."""

    value: str
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return "Token()"


class BearerToken:
    """`kept` are the secrets that tokens are asked for with."""

    __slots__ = ("_kept", "_lines", "_token", "_told")

    def __init__(self, token: Renewed[Token], kept: tuple[str, ...] = ()) -> None:
        self._token = token
        self._kept = kept
        self._told: Token | None = None
        self._lines = b""

    def lines(self, request: Unsigned) -> bytes | None:
        token = self._token.get()
        return None if token is None else self._written(token)

    async def wait(self, request: Unsigned) -> bytes:
        return self._written(await self._token.wait())

    def warm(self) -> None:
        self._token.warm()

    def secrets(self) -> Iterator[str]:
        token = self._token.last()
        if token is not None:
            yield token.value
        yield from self._kept

    def _written(self, token: Token) -> bytes:
        if token is not self._told:
            lines = header_lines((("authorization", f"Bearer {token.value}"), *token.headers))
            self._lines, self._told = lines, token
        return self._lines
