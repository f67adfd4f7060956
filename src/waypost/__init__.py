"""Waypost: a self-hosted LLM gateway and router. Importing it does no work."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waypost.library import CallError as CallError
    from waypost.library import Gateway as Gateway

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # The library's door loads with its first use: `import waypost` alone costs nothing.
    if name in {"CallError", "Gateway"}:
        from waypost import library

        return getattr(library, name)
    raise AttributeError(f"module 'waypost' has no attribute {name!r}")
