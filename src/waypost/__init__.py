"""Waypost: a self-hosted LLM gateway and router. Importing it does no work."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waypost.library import Gateway as Gateway

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # The library's door loads with its first use: `import waypost` alone costs nothing.
    if name == "Gateway":
        from waypost.library import Gateway

        return Gateway
    raise AttributeError(f"module 'waypost' has no attribute {name!r}")
