"""The whole gateway as one ASGI application, for people who bring their own server: `uvicorn waypost.asgi:application`.

The configuration is the one that `waypost serve` would take ($WAYPOST_CONFIG, ./waypost.yaml, the environment). It is
read and the gateway built when the server says that it starts; the gateway lives in the server's lifespan state, so
this module holds nothing. Listening, TLS, signals and workers are the server's business; the admin listener is ours.
"""

import os
from typing import Any

from waypost.app import Waypost
from waypost.config.environment import config_from_environment
from waypost.config.model import Config, Server
from waypost.config.reader import find_config, load_config
from waypost.config.urls import is_loopback
from waypost.conversation.faults import WaypostError
from waypost.server.asgi import AsgiApplication, Receive, Scope, Send
from waypost.telemetry.log import Log
from waypost.wire.exchange import Exchange

RUNNING = "waypost"  # its name in the server's lifespan state
NO_STATE = "this ASGI server has no lifespan state: run Waypost on one that has (uvicorn, hypercorn, granian)"
NO_PROVIDER = "no provider is configured: write a waypost.yaml (`waypost init`) or set a provider's key"
NO_KEYS = "No keys are configured here, so calls are answered on loopback only."


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI 3: lifespan and http. A start that fails says why to the server: ConfigError with every problem, OSError."""
    if scope["type"] == "lifespan":
        running = Running(scope)
        await AsgiApplication(nothing, Server(), start=running.start, stop=running.stop)(scope, receive, send)
        return
    running = scope.get("state", {}).get(RUNNING)
    if running is None:
        raise RuntimeError(NO_STATE)
    await running.serve(scope, receive, send)


class Running:
    """A gateway between a server's startup and its shutdown. Does nothing before `start`."""

    def __init__(self, lifespan: Scope) -> None:
        self._state: dict[str, Any] | None = lifespan.get("state")
        self._waypost: Waypost | None = None

    async def start(self) -> None:
        if self._state is None:
            raise RuntimeError(NO_STATE)
        config, log = configured(), Log()
        self._waypost = waypost = Waypost(config, os.environ, log)
        try:
            admin = await waypost.start_admin()
        except BaseException:
            await self.stop()
            raise
        self._state[RUNNING] = self
        log("serving", by="asgi", admin=admin, revision=config.revision)

    async def stop(self) -> None:
        waypost, self._waypost = self._waypost, None
        if waypost is not None:
            await waypost.stop()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._waypost is None:
            raise RuntimeError("the gateway has stopped")
        if self._waypost.gateway.config.keys or is_near(scope):
            await self._waypost.application()(scope, receive, send)
        else:
            await AsgiApplication(self._turn_away, Server())(scope, receive, send)

    async def _turn_away(self, exchange: Exchange) -> None:
        assert self._waypost is not None
        exchange.respond(401, *self._waypost.doors.error_body(401, NO_KEYS, exchange.path))


async def nothing(exchange: Exchange) -> None:
    raise RuntimeError("a lifespan carries no requests")


def configured() -> Config:
    """Raises ConfigError; WaypostError where there is nobody to call."""
    path = find_config(None, os.environ)
    config = load_config(path, os.environ) if path is not None else config_from_environment(os.environ)
    if not config.providers:
        raise WaypostError(NO_PROVIDER)
    return config


def is_near(scope: Scope) -> bool:
    """Whether the server was reached on loopback or a Unix socket: without keys, nobody else may call."""
    server = scope.get("server")
    return server is not None and (server[1] is None or is_loopback(server[0]))
