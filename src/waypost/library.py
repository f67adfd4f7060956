"""The library's door: the same walk, without the HTTP hop.

async with Gateway.from_file("waypost.yaml") as gateway:
    reply = await gateway.chat(model="fast", messages=[{"role": "user", "content": "Hello"}])
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from waypost.config.environment import config_from_environment
from waypost.config.model import Config
from waypost.config.reader import load_config
from waypost.conversation.faults import WaypostError
from waypost.dialects.registry import DIALECTS
from waypost.gateway.walk import walk
from waypost.telemetry.log import Log

OPENAI = DIALECTS["openai_chat"]


class CallError(WaypostError):
    """A call that ended as a typed error. `kind` is the contract's, `body` the error as a client would have got it."""

    def __init__(self, kind: str, status: int, body: Mapping[str, Any]) -> None:
        error = body.get("error")
        super().__init__(str(error.get("message")) if isinstance(error, Mapping) else kind)
        self.kind = kind
        self.status = status
        self.body = body


class Local:
    """An exchange without a wire. Satisfies `wire.exchange.Exchange`; a reader that does not keep up is waited for."""

    MOST_WAITING = 64

    def __init__(self, body: bytes, headers: Mapping[str, str]) -> None:
        self.method, self.path, self.query, self.peer = "POST", OPENAI.path, "", "library"
        self.headers = headers
        self.body = body
        self.received_at = time.monotonic()
        self.started = self.gone = False
        self.status = 0
        self.answer_headers: dict[str, str] = {}
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()

    def respond(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        self.start(status, headers)
        self.pieces.put_nowait(body)
        self.pieces.put_nowait(None)

    def start(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        self.status, self.answer_headers = status, dict(headers)

    def send(self, data: bytes) -> None:
        self.started = True
        self.pieces.put_nowait(data)
        if self.pieces.qsize() > self.MOST_WAITING:
            self._room.clear()

    async def drain(self) -> None:
        await self._room.wait()

    def finish(self) -> None:
        self.pieces.put_nowait(None)

    def abort(self) -> None:
        self.pieces.put_nowait(None)

    async def next(self) -> bytes | None:
        piece = await self.pieces.get()
        self._room.set()
        return piece


class Gateway:
    """A gateway inside this process: no listeners, everything else as `waypost serve` has it.

    Use it as an async context manager. One process owns a ledger's journal at a time, so beside a running `waypost
    serve` it needs a configuration with a store of its own.
    """

    def __init__(self, config: Config, environ: Mapping[str, str] | None = None) -> None:
        self._config = config
        self._environ = os.environ if environ is None else environ
        self._stack = AsyncExitStack()
        self._waypost: Any = None

    @classmethod
    def from_file(cls, path: str, environ: Mapping[str, str] | None = None) -> "Gateway":
        """Raises ConfigError with every problem of the file."""
        return cls(load_config(path, os.environ if environ is None else environ), environ)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Gateway":
        """Providers from the usual variables (OPENAI_API_KEY, …)."""
        environ = os.environ if environ is None else environ
        return cls(config_from_environment(environ), environ)

    async def __aenter__(self) -> "Gateway":
        from waypost.app import Waypost

        self._waypost = Waypost(self._config, self._environ, Log())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._waypost.stop()

    async def chat(self, *, model: str, messages: Sequence[Mapping[str, Any]], **parameters: Any) -> dict[str, Any]:
        """One chat completion, in OpenAI's form. `parameters` are OpenAI's, plus `waypost`. Raises CallError."""
        exchange, task = self._begin(model, messages, parameters, stream=False)
        await task
        body = await exchange.next() or b""
        answer: dict[str, Any] = msgspec.json.decode(body)
        if exchange.status != 200:
            raise CallError(exchange.answer_headers.get("x-waypost-error", "internal"), exchange.status, answer)
        return answer

    async def stream(
        self, *, model: str, messages: Sequence[Mapping[str, Any]], **parameters: Any
    ) -> AsyncIterator[dict[str, Any]]:
        """The chunks of a streamed chat completion. Raises CallError, also for a stream that breaks off."""
        exchange, task = self._begin(model, messages, parameters, stream=True)
        framing = OPENAI.framing()
        try:
            while (piece := await exchange.next()) is not None:
                if exchange.status != 200:
                    kind = exchange.answer_headers.get("x-waypost-error", "internal")
                    raise CallError(kind, exchange.status, msgspec.json.decode(piece))
                for frame in framing.feed(piece):
                    if frame.data is None or frame.data == b"[DONE]":
                        continue
                    chunk = msgspec.json.decode(frame.data)
                    if "error" in chunk:
                        raise CallError("upstream_failed", 502, chunk)
                    yield chunk
            await task
        finally:
            if not task.done():
                task.cancel()

    def _begin(
        self, model: str, messages: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any], *, stream: bool
    ) -> tuple[Local, "asyncio.Task[None]"]:
        if self._waypost is None:
            raise RuntimeError("use the gateway as 'async with Gateway.from_file(…) as gateway'")
        key = parameters.get("api_key")
        told = {name: value for name, value in parameters.items() if name != "api_key"}
        body = msgspec.json.encode({"model": model, "messages": messages, **told, "stream": stream})
        exchange = Local(body, {"authorization": f"Bearer {key}"} if key else {})
        return exchange, asyncio.create_task(walk(self._waypost.gateway, exchange, OPENAI))
