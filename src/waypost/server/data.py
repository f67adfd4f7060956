"""The doors of the data listener: which path is which protocol. Everything behind a door is the gateway's walk."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from waypost.conversation.faults import STATUS, CallerError, ErrorKind, Refused
from waypost.dialects.dialect import Dialect
from waypost.gateway.fast_path import FastPath
from waypost.gateway.gateway import Gateway
from waypost.gateway.walk import walk
from waypost.server.http_connection import ServerExchange
from waypost.server.listing import list_models
from waypost.server.status import Status
from waypost.wire.exchange import Direct, Exchange

JSON = ("content-type", "application/json")
LATER = {
    "/v1/responses": "OpenAI Responses",
    "/v1/embeddings": "embeddings",
    "/v2/chat": "Cohere chat",
}
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
        self._openai = dialects["openai_chat"]
        self._anthropic = dialects["anthropic"]
        self._current = current
        self._status = status
        self._calls = {"/v1/chat/completions": self._openai, "/v1/messages": self._anthropic}

    def serve(self, exchange: ServerExchange) -> Direct | Coroutine[Any, Any, None]:
        """`handle`, with the fast path for what may take it."""
        dialect = self._calls.get(exchange.path)
        if dialect is not None and exchange.method == "POST":
            return self._take(exchange, dialect)
        return self.handle(exchange)

    async def handle(self, exchange: Exchange) -> None:
        dialect = self._calls.get(exchange.path)
        if dialect is not None and exchange.method == "POST":
            await walk(self._current(), exchange, dialect)
        elif exchange.path == "/v1/messages/count_tokens" and exchange.method == "POST":
            await walk(self._current(), exchange, self._anthropic, counting=True)
        else:
            self._answer_other(exchange)

    def _answer_other(self, exchange: Exchange) -> None:
        try:
            self._read_out(exchange)
        except Refused as refusal:
            self._refuse(exchange, refusal.error)

    def _read_out(self, exchange: Exchange) -> None:
        path = exchange.path
        if path in self._calls or path == "/v1/messages/count_tokens":
            self._refuse(exchange, _wrong_method(exchange.method, "POST"))
        elif exchange.method not in {"GET", "HEAD"}:
            self._refuse(exchange, _no_door(path))
        elif path in {"/health", "/livez", "/readyz"}:
            exchange.respond(200, [JSON], b'{"status":"ok"}')
        elif path == "/v1/models" or path.startswith("/v1/models/"):
            gateway = self._current()
            caller = gateway.keyring.identify(exchange.headers)
            as_anthropic = "anthropic-version" in exchange.headers
            exchange.respond(200, [JSON], list_models(gateway, caller, path[11:] or None, as_anthropic))
        elif path == "/status":
            if "stats" not in self._current().keyring.identify(exchange.headers).scopes:
                raise Refused(ErrorKind.POLICY_DENIED, "This key has no scope 'stats'.")
            exchange.respond(200, [JSON], msgspec.json.encode(self._status.read_out()))
        else:
            self._refuse(exchange, _no_door(path))

    def _refuse(self, exchange: Exchange, error: CallerError) -> None:
        dialect = self._speaker(exchange.path, exchange.headers)
        exchange.respond(error.status, [JSON, ("x-waypost-error", error.kind)], dialect.write_fault(error))

    def _speaker(self, path: str, headers: Mapping[str, str]) -> Dialect:
        if path.startswith("/v1/messages") or "anthropic-version" in headers:
            return self._anthropic
        return self._openai

    def error_body(self, status: int, message: str, path: str) -> tuple[list[tuple[str, str]], bytes]:
        """How the server's own errors (malformed requests, draining, a bug) look to the caller of this path."""
        kind = KINDS.get(status, ErrorKind.BAD_REQUEST if status < 500 else ErrorKind.INTERNAL)
        error = CallerError(kind=kind, message=message, status=status)
        return [JSON, ("x-waypost-error", kind)], self._speaker(path, {}).write_fault(error)


def _wrong_method(method: str, right: str) -> CallerError:
    return CallerError(kind=ErrorKind.BAD_REQUEST, message=f"{method} is not served here; use {right}.", status=405)


def _no_door(path: str) -> CallerError:
    later = LATER.get(path) or ("this protocol" if path.startswith(("/v1beta/", "/model/")) else None)
    message = (
        f"{later} is not served by this release: it speaks /v1/chat/completions and /v1/messages."
        if later
        else f"There is nothing at {path[:200]!r}. Calls go to /v1/chat/completions or /v1/messages."
    )
    return CallerError(kind=ErrorKind.UNKNOWN_MODEL, message=message, status=STATUS[ErrorKind.UNKNOWN_MODEL])
