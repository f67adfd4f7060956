"""A caller that is gone before its handler has begun leaves nothing behind."""

import asyncio
from typing import Any

from waypost.config.model import Server
from waypost.server.http import HttpServer
from waypost.server.http_connection import Connection
from waypost.wire.exchange import Exchange


class DeadTransport(asyncio.Transport):
    """Takes everything and does nothing."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


async def test_a_handler_that_never_began_is_not_waited_for() -> None:
    begun: list[str] = []

    async def handle(exchange: Exchange) -> None:
        begun.append(exchange.path)

    loop = asyncio.get_running_loop()
    server = HttpServer(handle, Server())
    connection = Connection(server, loop)
    connection.connection_made(DeadTransport())
    connection.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert server.active == 1
    connection.connection_lost(None)
    assert await server.drain(5.0) == 0
    assert server.active == server.connections == 0
    assert begun == []
