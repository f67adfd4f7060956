"""`/status`: what the gateway is doing now. Values only, from memory; secrets are not among them."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from waypost.gateway.gateway import Gateway
from waypost.governance.money import dollars
from waypost.ledger.mover import Mover
from waypost.routing.breaker import Breaker

Gauge = tuple[str, str, Sequence[tuple[dict[str, str], float]]]
MOST_CALLS_SHOWN = 1000


class Status:
    def __init__(self, current: Callable[[], Gateway], mover: Mover, started_ns: int) -> None:
        self._current = current
        self._mover = mover
        self._started_ns = started_ns

    def read_out(self) -> dict[str, object]:
        gateway = self._current()
        now = gateway.clock.now()
        lag = self._mover.lag
        return {
            "version": _version(),
            "revision": gateway.config.revision,
            "config": gateway.config.path,
            "started_at": _moment(self._started_ns / 1e9),
            "uptime_s": round((gateway.clock.wall_ns() - self._started_ns) / 1e9, 3),
            "targets": [_breaker(name, each, now) for name, each in gateway.health.targets()],
            "credentials": [_breaker(name, each, now) for name, each in gateway.health.credentials()],
            "budgets": self._budgets(gateway),
            "in_flight": len(gateway.calls),
            "calls": [
                {
                    "id": call.id,
                    "key": call.caller.name,
                    "route": None if call.found is None else call.found.route,
                    "provider": None if call.lane is None else call.lane.candidate.provider,
                    "model": None if call.lane is None else call.lane.candidate.model,
                    "seconds": round(now - call.exchange.received_at, 3),
                }
                for call in list(gateway.calls.values())[:MOST_CALLS_SHOWN]
            ],
            "ledger": {"entries_behind": lag.entries, "seconds_behind": lag.seconds, "error": self._mover.error},
        }

    def _budgets(self, gateway: Gateway) -> list[dict[str, object]]:
        return [
            {
                "name": view.name,
                "limit_usd": dollars(view.limit),
                "window": view.window.value,
                "spent_usd": dollars(view.spent),
                "reserved_usd": dollars(view.reserved),
                "resets_at": None if view.resets_at is None else _moment(view.resets_at),
            }
            for view in gateway.budgets.view(gateway.clock.wall_ns() / 1e9)
        ]

    def gauges(self) -> Iterable[Gauge]:
        """The same as numbers, for Prometheus. Breakers: 0 closed, 1 half open, 2 open."""
        gateway = self._current()
        now = gateway.clock.now()
        levels = {"closed": 0.0, "half_open": 1.0, "open": 2.0}
        yield "waypost_in_flight", "Calls under way.", [({}, float(len(gateway.calls)))]
        yield (
            "waypost_target_breaker",
            "0 closed, 1 half open, 2 open.",
            [({"target": name}, levels[each.view(now).state]) for name, each in gateway.health.targets()[:500]],
        )
        views = gateway.budgets.view(gateway.clock.wall_ns() / 1e9)
        for name in ("limit", "spent", "reserved"):
            values = [({"budget": view.name}, getattr(view, name) / 1e9) for view in views]
            yield f"waypost_budget_{name}_usd", f"A budget's {name} amount in this window.", values
        yield "waypost_ledger_entries_behind", "Rows still in the journal.", [({}, float(self._mover.lag.entries))]


def _version() -> str:
    from waypost import __version__

    return __version__


def _breaker(name: str, breaker: Breaker, now: float) -> dict[str, object]:
    view = breaker.view(now)
    wait = None if view.opened_until is None else max(0.0, round(view.opened_until - now, 3))
    return {"name": name, "state": view.state.value, "retry_in_s": wait}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
