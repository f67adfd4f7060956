"""What a framing gives: one message of a stream, with the exact bytes it came in."""

from typing import Protocol

from msgspec import Struct


class Frame(Struct, frozen=True):
    """`raw` holds every byte of the frame, its terminator included: relaying `raw` of all frames is verbatim.

    `data` is None for a frame without data (a comment, a bare `retry:`). `event` is the SSE event name, if any.
    """

    raw: bytes
    data: bytes | None = None
    event: str | None = None


class Framing(Protocol):
    """Bytes in, whole frames out. Holds at most one unfinished frame, bounded (`ValueError` beyond the bound)."""

    def feed(self, data: bytes) -> list[Frame]: ...

    def end(self) -> list[Frame]:
        """The stream is over: a last frame without its terminator, if what is left can be one."""
        ...
