"""One HTTP request and the answer it gets, as a handler sees it. Knows no framing, no socket and no dialect."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol


class Exchange(Protocol):
    """A whole request, and the only way to answer it.

    `path` is raw (not percent-decoded), without the query. Header names are lower-case, values latin-1; repeated
    headers are joined with ", ". `body` is whole and de-chunked. `received_at` is the loop's time, in seconds, at which
    the last byte of the request had arrived. `started`: the head of an answer has gone out, so nothing but more of that
    answer can follow. `gone`: the caller hung up; whatever is sent then goes nowhere, silently.

    An answer is either one `respond`, or `start`, `send`…, `finish`. Content-length, transfer-encoding,
    connection and date are added here and are not the handler's to give.
    """

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...
    @property
    def peer(self) -> str: ...
    @property
    def received_at(self) -> float: ...
    @property
    def started(self) -> bool: ...
    @property
    def gone(self) -> bool: ...

    def respond(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """The whole answer, in one write. ValueError for a header that cannot be sent (a line break in it, say)."""
        ...

    def start(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Begins a streamed answer. The head waits for the first `send`, so until then `respond` may replace it."""
        ...

    def send(self, data: bytes) -> None:
        """One piece of a streamed answer, in one write. Never waits: see `drain`."""
        ...

    async def drain(self) -> None:
        """Returns at once while the caller keeps up; else waits. ConnectionAbortedError when it hung up or stalled."""
        ...

    def finish(self) -> None:
        """Ends a streamed answer properly."""
        ...

    def abort(self) -> None:
        """Cuts the connection, so that what was sent cannot be taken for a whole answer."""
        ...


class Direct(Protocol):
    """What handles an exchange without a task: it answers when it is called back, and ends when the caller is gone."""

    def cancel(self) -> None: ...


Handler = Callable[[Exchange], Coroutine[Any, Any, None]]
