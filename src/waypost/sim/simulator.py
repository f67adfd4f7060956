"""Simulated providers on one port: serves, numbers the calls, remembers what came. The parts are in the modules beside.

Knows listening and remembering. Refuses to know protocols, faults and answers.
"""

import asyncio
import ssl
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager

from waypost.sim.addresses import refusing_address, show_address
from waypost.sim.answering import Call, answer_request
from waypost.sim.connection import Connection, Received, Sleep
from waypost.sim.perform import Step
from waypost.sim.script import Script

MOST_CONNECTIONS = 10_000
MOST_REMEMBERED = 1000  # requests
MOST_REMEMBERED_BYTES = 64 * 1024 * 1024
MOST_COUNTED = 1000  # model names


class Simulator:
    """Providers of six protocols, played by a script. All memory is bounded: the oldest is forgotten.

        async with Simulator(read_script(text), seed=7).serve() as address:
            ...  # http://ADDRESS/v1 for OpenAI's SDK, http://ADDRESS for all others

    `sleep` is what latency and slow faults wait with. Serves one address at a time.
    """

    def __init__(self, script: Script | None = None, *, seed: int = 0, sleep: Sleep = asyncio.sleep) -> None:
        self.script = script or Script()
        self.seed = seed
        self.sleep = sleep
        self.address = ""
        self.refusing_address = ""  # while serving: an address that refuses connections
        self.received_count = 0
        self.answered_count = 0
        self.abandoned_count = 0  # the peer left before its answer was over
        self._requests: deque[Received] = deque()
        self._remembered_bytes = 0
        self._calls: OrderedDict[str, int] = OrderedDict()
        self._connections: set[Connection] = set()
        self._watchers: list[asyncio.Future[None]] = []
        self._server: asyncio.Server | None = None
        self._holder = ExitStack()
        self._tls: ssl.SSLContext | None = None

    @property
    def requests(self) -> list[Received]:
        """What came last, oldest first."""
        return list(self._requests)

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    @asynccontextmanager
    async def serve(
        self, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[str]:
        """Gives `HOST:PORT`. On leaving, every connection is cut. Raises OSError if it can't listen."""
        if self._server is not None:
            raise RuntimeError("this simulator already serves an address")
        self._tls = tls
        try:
            with refusing_address(host) as self.refusing_address:
                await self._listen(host, port)
                yield self.address
        finally:
            await self._close()
            self._holder.close()
            self.address = self.refusing_address = ""

    async def refuse(self) -> None:
        """Cuts every connection and refuses new ones, keeping the port, until `accept`."""
        host, port = self._place()
        await self._close()
        self._holder.enter_context(refusing_address(host, port))

    async def accept(self) -> None:
        """Listens again, on the same port."""
        host, port = self._place()
        self._holder.close()
        await self._listen(host, port)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until the condition holds; it is asked whenever something came, was answered or was given up."""
        while not condition():
            watcher = asyncio.get_running_loop().create_future()
            self._watchers.append(watcher)
            await watcher

    def answer(self, received: Received) -> list[Step]:
        self.received_count += 1
        self._remember(received)
        request_id = f"req_{self.seed & 0xFFFFFFFF:08x}{self.received_count:016x}"
        steps = answer_request(Call(received, self.script, self.seed, request_id, self._count))
        self._notify()
        return steps

    def connected(self, connection: Connection) -> bool:
        self._connections.add(connection)
        self._notify()
        return len(self._connections) <= MOST_CONNECTIONS

    def disconnected(self, connection: Connection, unanswered: bool) -> None:
        self._connections.discard(connection)
        self.abandoned_count += unanswered
        self._notify()

    def answered(self) -> None:
        self.answered_count += 1
        self._notify()

    def _remember(self, received: Received) -> None:
        self._requests.append(received)
        self._remembered_bytes += len(received.body)
        while len(self._requests) > MOST_REMEMBERED or self._remembered_bytes > MOST_REMEMBERED_BYTES:
            self._remembered_bytes -= len(self._requests.popleft().body)

    def _count(self, model: str) -> int:
        number = self._calls.pop(model, 0) + 1
        self._calls[model] = number
        if len(self._calls) > MOST_COUNTED:
            self._calls.popitem(last=False)
        return number

    def _notify(self) -> None:
        if self._watchers:
            watchers, self._watchers = self._watchers, []
            for watcher in watchers:
                if not watcher.done():
                    watcher.set_result(None)

    async def _listen(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, ssl=self._tls, backlog=4096)
        self.address = show_address(host, self._server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for connection in list(self._connections):
            connection.drop()
        await self.until(lambda: not self._connections)
        await server.wait_closed()

    def _place(self) -> tuple[str, int]:
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)
