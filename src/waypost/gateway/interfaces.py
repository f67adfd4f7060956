"""What the walk asks of the floor below. Fakes for tests satisfy these as well as the real parts do."""

from collections.abc import Mapping
from typing import Protocol

from waypost.ledger.records import Accepted, Ended, Planned
from waypost.upstream.pool import Outgoing


class Clock(Protocol):
    """`now`: seconds on a clock that never goes back. `wall_ns`: Unix nanoseconds."""

    def now(self) -> float: ...
    def wall_ns(self) -> int: ...


class Incoming(Protocol):
    """A provider's answer. Raises UpstreamFault for whatever goes wrong on the way."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...

    async def read(self, limit: int) -> bytes:
        """The whole body."""
        ...

    async def next(self, silence_s: float | None = None) -> bytes:
        """The next piece of the body, b"" at its end. FaultKind.STALL after `silence_s` without one."""
        ...

    def close(self) -> None: ...


class Upstream(Protocol):
    async def send(self, call: Outgoing) -> Incoming: ...


class Journal(Protocol):
    """`accept` raises JournalUnavailable; `end` never fails. So do the forms for entries that are lines already."""

    def accept(self, entry: Accepted) -> None: ...
    def accept_line(self, call_id: str, text: bytes, /) -> None: ...
    def end(self, entry: Ended) -> None: ...
    def end_line(self, call_id: str, text: bytes, /) -> None: ...
    def plan(self, entry: Planned) -> None: ...


class Log(Protocol):
    """One line for the operator. Values are names, kinds and numbers: never a secret, never a body."""

    def __call__(self, event: str, **values: object) -> None: ...
