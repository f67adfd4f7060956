"""An address that refuses connections for as long as it is held: nobody else can take the port meanwhile."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def refusing_address(host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """`HOST:PORT` that is bound and not listened on: connecting fails at once with ECONNREFUSED."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, port))
        yield show_address(host, holder.getsockname()[1])


def show_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
