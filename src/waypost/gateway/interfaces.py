"""What the walk asks of the floor below. Fakes for tests satisfy these as well as the real parts do."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from waypost.ledger.records import Accepted, Ended, Planned
from waypost.ledger.responses import StoredResponse
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
    """`accept` raises JournalUnavailable; `end` never fails. `write_lines` is both, of entries that are lines already:

    (call id, line) of those accepted and of those ended. It raises as `accept` does: then none of them is accepted.
    """

    def accept(self, entry: Accepted) -> None: ...
    def end(self, entry: Ended) -> None: ...
    def plan(self, entry: Planned) -> None: ...
    def write_lines(self, accepted: Sequence[tuple[str, bytes]], ended: Sequence[tuple[str, bytes]], /) -> None: ...


class Responses(Protocol):
    """Answers kept for their callers. `find` and `delete` block and raise ResponsesUnavailable; `keep` does neither."""

    def keep(self, stored: StoredResponse) -> None: ...
    def find(self, id_: str, owner: str | None) -> StoredResponse | None: ...
    def delete(self, id_: str, owner: str | None) -> bool: ...


class Log(Protocol):
    """One line for the operator. Values are names, kinds and numbers: never a secret, never a body."""

    def __call__(self, event: str, **values: object) -> None: ...
