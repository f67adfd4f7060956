"""The data listener: calls go to the walk, whichever door they come by; what is only to be read is read out here."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from waypost.conversation.faults import STATUS, CallerError, ErrorKind, Refused
from waypost.dialects.dialect import Dialect
from waypost.dialects.embeddings import asked_for_in
from waypost.gateway.answer import fault_headers
from waypost.gateway.fast_path import FastPath
from waypost.gateway.gateway import Gateway
from waypost.gateway.keyring import Caller
from waypost.gateway.walk import walk
from waypost.server.doors import DoorPlan
from waypost.server.http_connection import ServerExchange
from waypost.server.listing import VERSION, listed, place_of
from waypost.server.status import Status
from waypost.server.stored import StoredPlace, read_stored, stored_place
from waypost.wire.exchange import Direct, Exchange

JSON = ("content-type", "application/json")
ALIVE = frozenset({"/", "/health", "/livez", "/readyz"})  # some clients open their connection by a HEAD of "/"
KINDS = {
    400: ErrorKind.BAD_REQUEST,
    401: ErrorKind.UNAUTHORIZED,
    404: ErrorKind.UNKNOWN_MODEL,
    413: ErrorKind.TOO_LARGE,
    431: ErrorKind.TOO_LARGE,
    503: ErrorKind.UNAVAILABLE,
    500: ErrorKind.INTERNAL,
}


class Doors:
    """`current` gives the gateway of the configuration in force, once per request."""

    def __init__(
        self,
        dialects: Mapping[str, Dialect],
        current: Callable[[], Gateway],
        status: Status,
        fast_path: FastPath,
    ) -> None:
        self._take = fast_path.take
        self._dialects = dialects
        self._plan = DoorPlan((*dialects.values(), asked_for_in(dialects["openai_chat"])))
        self._plain = self._plan.plain
        self._current = current
        self._status = status

    def serve(self, exchange: ServerExchange) -> Direct | Coroutine[Any, Any, None]:
        """`handle`, with the fast path for what may take it."""
        dialect = self._plain.get(exchange.path)
        if dialect is not None and exchange.method == "POST":
            return self._take(exchange, dialect)
        return self.handle(exchange)

    async def handle(self, exchange: Exchange) -> None:
        if exchange.method == "POST":
            path = exchange.path
            entry = self._plan.find(path, exchange.query)
            if entry is not None:
                await walk(
                    self._current(),
                    exchange,
                    entry.dialect,
                    address=entry.address,
                    counting=entry.counts,
                    embedding=entry.embeds,
                )
                return
        stored = stored_place(exchange.method, exchange.path)
        if stored is not None:
            await self._answer_stored(exchange, stored)
            return
        self._answer_other(exchange)

    async def _answer_stored(self, exchange: Exchange, place: StoredPlace) -> None:
        try:
            caller = self._caller(exchange)
            body = await read_stored(self._current(), caller, exchange.method, place, exchange.query)
            exchange.respond(200, [JSON], body)
        except Refused as refusal:
            self._refuse(exchange, refusal.error)

    def _answer_other(self, exchange: Exchange) -> None:
        try:
            self._read_out(exchange)
        except Refused as refusal:
            self._refuse(exchange, refusal.error)

    def _read_out(self, exchange: Exchange) -> None:
        path = exchange.path
        if self._plan.find(path, "") is not None:
            self._refuse(exchange, _wrong_way(exchange))
        elif exchange.method not in {"GET", "HEAD"}:
            self._refuse(exchange, self._no_door(path))
        elif path in ALIVE:
            exchange.respond(200, [JSON], b'{"status":"ok"}')
        elif (place := place_of(path, exchange.headers)) is not None:
            exchange.respond(200, [JSON], listed(self._current(), self._caller(exchange), place))
        elif path == "/status":
            if "stats" not in self._caller(exchange).scopes:
                raise Refused(ErrorKind.POLICY_DENIED, "This key has no scope 'stats'.")
            exchange.respond(200, [JSON], msgspec.json.encode(self._status.read_out()))
        else:
            self._refuse(exchange, self._no_door(path))

    def _caller(self, exchange: Exchange) -> Caller:
        gateway = self._current()
        return gateway.keyring.identify(exchange, gateway.clock.wall_ns() / 1e9)

    def _refuse(self, exchange: Exchange, error: CallerError) -> None:
        headers, body = self._told(error, self._speaker(exchange.path, exchange.headers))
        exchange.respond(error.status, headers, body)

    def _speaker(self, path: str, headers: Mapping[str, str]) -> Dialect:
        """The dialect of the path; else that which the headers are of, or the first of all."""
        place = place_of(path, headers)
        if place is not None and place.listing.dialect in self._dialects:
            return self._dialects[place.listing.dialect]
        near = self._plan.speaker(path)
        if near is not None:
            return near
        return self._dialects["anthropic"] if VERSION in headers else next(iter(self._dialects.values()))

    def error_body(self, status: int, message: str, path: str) -> tuple[list[tuple[str, str]], bytes]:
        """How the server's own errors (malformed requests, draining, a bug) look to the caller of this path."""
        kind = KINDS.get(status, ErrorKind.BAD_REQUEST if status < 500 else ErrorKind.INTERNAL)
        return self._told(CallerError(kind=kind, message=message, status=status), self._speaker(path, {}))

    def _told(self, error: CallerError, dialect: Dialect) -> tuple[list[tuple[str, str]], bytes]:
        headers = [JSON, ("x-waypost-error", error.kind), *fault_headers(dialect, error)]
        return headers, dialect.write_fault(error)

    def _no_door(self, path: str) -> CallerError:
        calls = ", ".join(self._plan.paths())
        message = f"There is nothing at {path[:200]!r}. Calls go to {calls}."
        return CallerError(kind=ErrorKind.UNKNOWN_MODEL, message=message, status=STATUS[ErrorKind.UNKNOWN_MODEL])


def _wrong_way(exchange: Exchange) -> CallerError:
    """Of 426 Codex takes its call to HTTP at once; after any other status it knocks six times more."""
    if "sec-websocket-key" in exchange.headers:
        message = "WebSockets are not served here; use POST over HTTP."
        return CallerError(kind=ErrorKind.BAD_REQUEST, message=message, status=426)
    return CallerError(
        kind=ErrorKind.BAD_REQUEST, message=f"{exchange.method} is not served here; use POST.", status=405
    )
