"""The admin listener: `/status` and `/metrics`. Small for now; docs/decisions/0003 says what comes in its place."""

from collections.abc import Callable

import msgspec

from waypost.server.status import Status
from waypost.telemetry.tally import Tally
from waypost.wire.exchange import Exchange

JSON = ("content-type", "application/json")


class Admin:
    """`draining` says whether new calls are refused by now."""

    def __init__(self, status: Status, tally: Tally, draining: Callable[[], bool]) -> None:
        self._status = status
        self._tally = tally
        self._draining = draining

    async def handle(self, exchange: Exchange) -> None:
        if exchange.method not in {"GET", "HEAD"}:
            exchange.respond(405, [JSON, ("allow", "GET, HEAD")], b'{"error":"this listener only reads"}')
        elif exchange.path == "/status":
            exchange.respond(200, [JSON], msgspec.json.encode(self._status.read_out()))
        elif exchange.path == "/metrics":
            # The client library loads at the first scrape: a gateway that nobody scrapes does not carry it.
            from waypost.telemetry.prometheus import CONTENT_TYPE, exposition

            exchange.respond(200, [("content-type", CONTENT_TYPE)], exposition(self._tally, self._status.gauges))
        elif exchange.path == "/readyz" and self._draining():
            exchange.respond(503, [JSON], b'{"status":"draining"}')
        elif exchange.path in {"/health", "/livez", "/readyz"}:
            exchange.respond(200, [JSON], b'{"status":"ok"}')
        else:
            exchange.respond(404, [JSON], b'{"error":"nothing here; see /status and /metrics"}')
