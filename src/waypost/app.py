"""The composition root: a configuration in, a running Waypost out. The only place that builds parts and joins them."""

import asyncio
import random
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from waypost.config.model import Config, Credential, Provider
from waypost.config.secrets import digest_of, resolve
from waypost.dialects.registry import DIALECTS
from waypost.gateway.fast_path import FastPath
from waypost.gateway.gateway import Gateway
from waypost.gateway.interfaces import Clock, Journal, Log, Responses, Upstream
from waypost.gateway.keyring import Caller, Keyring
from waypost.governance.allowances import Budgets
from waypost.governance.pricing import PriceTable, packaged_prices
from waypost.ledger.records import window_start
from waypost.ledger.responses import ResponseStore, responses_path
from waypost.ledger.running import RunningLedger, start_ledger
from waypost.routing.health import HealthBook
from waypost.routing.tables import compile_tables
from waypost.server.admin import Admin
from waypost.server.data import Doors
from waypost.server.http import HttpServer
from waypost.server.status import Status
from waypost.telemetry.log import place_of
from waypost.telemetry.tally import Tally
from waypost.upstream.auth.choose import choose
from waypost.upstream.auth.issuing import Issuing
from waypost.upstream.dial import Dialer
from waypost.upstream.lines import Line, peer_of
from waypost.upstream.pool import Pool

if TYPE_CHECKING:
    import ssl

    from waypost.server.asgi import AsgiApplication

NO_CREDENTIAL = "default"


class MachineClock:
    """The clocks of this machine. The monotonic one is the loop's, without its rounding to milliseconds."""

    now = staticmethod(time.monotonic)
    wall_ns = staticmethod(time.time_ns)


def build_gateway(
    config: Config,
    environ: Mapping[str, str],
    *,
    upstream: Upstream,
    journal: Journal,
    prices: PriceTable,
    log: Log,
    clock: Clock | None = None,
    previous: Gateway | None = None,
    issuing: Issuing | None = None,
    responses: Responses | None = None,
) -> Gateway:
    """Everything a walk needs. `previous` hands on what outlives a reload; without `issuing` no tokens can be fetched,
    without `responses` none are kept.

    Raises SecretError, ValueError.
    """
    tables = compile_tables(config, prices)
    same_breakers = previous is not None and previous.config.breaker == config.breaker
    rates = [(each.name, each.rate_limit) for each in config.providers if each.rate_limit is not None]
    same_rates = previous is not None and rates == [
        (each.name, each.rate_limit) for each in previous.config.providers if each.rate_limit is not None
    ]
    # Before the budgets, whose limits apply at once: a configuration that can't be built must not have touched them.
    keyring, lines = build_keyring(config, environ), build_lines(config, environ, issuing)
    return Gateway(
        config=config,
        tables=tables,
        keyring=keyring,
        budgets=Budgets(config.budgets, None if previous is None else previous.budgets),
        health=previous.health if previous and same_breakers and same_rates else HealthBook(config.breaker, rates),
        lines=lines,
        dialects=DIALECTS,
        upstream=upstream,
        journal=journal,
        tally=Tally() if previous is None else previous.tally,
        clock=clock or (MachineClock() if previous is None else previous.clock),
        dice=partial(random.Random().getrandbits, 53) if previous is None else previous.dice,  # noqa: S311  no secret hangs on it
        log=log,
        calls={} if previous is None else previous.calls,
        planned=set(),
        responses=responses if previous is None else previous.responses,
    )


def build_keyring(config: Config, environ: Mapping[str, str]) -> Keyring:
    """Of keys that are given by their hash nothing else is known; with the others a signature can be verified."""
    secrets = {key.name: resolve(key.key, environ) for key in config.keys if key.key is not None}
    callers = (
        (
            key.digest or digest_of(secrets[key.name]),
            Caller(
                name=key.name, team=key.team, tags=key.tags, scopes=key.scopes, routes=key.routes, policy=key.policy
            ),
        )
        for key in config.keys
    )
    return Keyring(callers, secrets)


def build_lines(
    config: Config, environ: Mapping[str, str], issuing: Issuing | None = None
) -> dict[str, dict[str, Line]]:
    """By `provider/credential`, then by dialect, the preferred one first. Secrets are resolved here, once.

    Raises SecretError, and ValueError for a login that is not there.
    """
    issuing = issuing or Issuing()
    issuing.begin()
    return {
        f"{provider.name}/{credential.name}": {
            spoken.dialect: _line(spoken, credential, config, environ, issuing) for spoken in (provider, *provider.also)
        }
        for provider in config.providers
        for credential in provider.credentials or (Credential(name=NO_CREDENTIAL),)
    }


def _line(
    provider: Provider, credential: Credential, config: Config, environ: Mapping[str, str], issuing: Issuing
) -> Line:
    secret = None if credential.api_key is None else resolve(credential.api_key, environ)
    scheme = choose(provider, credential, environ, issuing, config.ca_file)
    return Line(provider, secret, peer_of(provider, config.ca_file), scheme)


class Waypost:
    """A running gateway: both listeners, the ledger, the connections. `start`, `reload`, `stop`."""

    def __init__(self, config: Config, environ: Mapping[str, str], log: Log) -> None:
        self._environ = environ
        self._log = log
        self._prices = packaged_prices()
        self._ledger: RunningLedger = start_ledger(config.store)
        self._responses = ResponseStore(responses_path(config.store), config.store.max_responses_bytes)
        self._pool = Pool(Dialer(environ))
        self._issuing = Issuing(self._pool.send)
        try:
            self.gateway = build_gateway(
                config,
                environ,
                upstream=self._pool,
                journal=self._ledger.journal,
                prices=self._prices,
                log=log,
                issuing=self._issuing,
                responses=self._responses,
            )
        except BaseException:
            self._ledger.close()
            raise
        self._fetch_tokens(self.gateway)
        self._restore_budgets(self.gateway)
        self._keep_responses(config)
        self._status = Status(lambda: self.gateway, self._ledger.mover, time.time_ns())
        self._fast_path = FastPath(lambda: self.gateway, self._pool)
        self.doors = Doors(DIALECTS, lambda: self.gateway, self._status, self._fast_path)
        self._data = HttpServer(
            self.doors.serve, config.server, error_body=self.doors.error_body, on_error=self._on_error
        )
        admin = Admin(self._status, self.gateway.tally, lambda: self._data.draining)
        self._admin = HttpServer(admin.handle, config.server, on_error=self._on_error)

    async def start(self) -> tuple[str, str]:
        """Listens. Returns the addresses of the data and the admin listener, as HOST:PORT. OSError if one is taken."""
        server = self.gateway.config.server
        data = await self._data.start(server.listen, self._tls())
        return str(data), await self.start_admin()

    async def start_admin(self) -> str:
        """Listens for the operator only: `start` without the data listener, where another server carries the calls."""
        admin = await self._admin.start(self.gateway.config.server.admin)
        recovered = self._ledger.recovered
        if recovered.interrupted:
            self._log("recovered", interrupted=recovered.interrupted)
        return str(admin)

    def application(self) -> "AsgiApplication":
        """The data listener's doors, for the connections of an ASGI server."""
        from waypost.server.asgi import AsgiApplication

        settings, doors = self.gateway.config.server, self.doors
        return AsgiApplication(doors.handle, settings, error_body=doors.error_body, on_error=self._on_error)

    def reload(self, config: Config) -> None:
        """Calls under way go on with the old one. Raises, and changes nothing, if the new one can't be built."""
        before = self.gateway
        built = build_gateway(
            config,
            self._environ,
            upstream=self._pool,
            journal=self._ledger.journal,
            prices=self._prices,
            log=self._log,
            previous=before,
            issuing=self._issuing,
        )
        for name in ("server", "store"):
            if getattr(config, name) != getattr(before.config, name):
                self._log("needs_restart", section=name)
        self._restore_budgets(built)
        self.gateway = built
        self._keep_responses(config)
        self._fetch_tokens(built)
        self._log("reloaded", revision=config.revision)

    async def cut(self) -> None:
        """Ends a drain that is under way: what has not ended is cut."""
        await self._data.close()

    async def stop(self) -> int:
        """Calls under way end first, within `drain_s`. Returns how many had to be cut."""
        cut = await self._data.drain(self.gateway.config.server.drain_s)
        await self._admin.close()
        self._fast_path.flush()
        self._issuing.close()
        self._pool.close()
        await asyncio.get_running_loop().run_in_executor(None, self._close_ledger)
        if self._ledger.journal.waiting:
            self._log("rows_incomplete", entries=self._ledger.journal.waiting, problem=self._ledger.journal.error)
        return cut

    def _close_ledger(self) -> None:
        self._responses.close()
        self._ledger.close()

    def _keep_responses(self, config: Config) -> None:
        """Also where no route keeps any now: those that were kept expire."""
        if any(route.store_responses is not None for route in config.routes) or self._responses.path.exists():
            self._responses.start()

    def _restore_budgets(self, gateway: Gateway) -> None:
        """What the ledger says was spent in the current windows, for allowances that have not counted yet."""
        now_s = time.time()
        fresh = [each for each in gateway.budgets.allowances if not each.started]
        windows = {each: (each.name, window_start(each.starts_at(now_s))) for each in fresh}
        spent = self._ledger.spent(windows.values())
        for each, window in windows.items():
            each.restore(spent.get(window, 0), now_s)

    def _fetch_tokens(self, gateway: Gateway) -> None:
        """Begins now, so that the first call need not wait; and ends what only the old configuration had a need for."""
        self._issuing.settle()
        for lines in gateway.lines.values():
            for line in lines.values():
                line.warm()

    def _tls(self) -> "ssl.SSLContext | None":
        tls = self.gateway.config.server.tls
        if tls is None:
            return None
        from waypost.server.tls import server_context

        return server_context(tls)

    def _on_error(self, error: BaseException) -> None:
        self._log("internal_error", error=type(error).__name__, trace=place_of(error))
