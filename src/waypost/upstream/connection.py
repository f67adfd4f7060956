"""One connection to a provider: writes a request, tells its answer as it arrives, and why it failed if it did.

Knows bytes, deadlines and back-pressure; which connection serves which call is the pool's business.
"""

import asyncio
from math import inf
from typing import Any, Protocol

from waypost.conversation.faults import Fault, FaultKind, UpstreamFault, WaypostError
from waypost.upstream.proxy import absolute_head
from waypost.wire.http1_response import ResponseParser

READ_HIGH_WATER = 64 * 1024
_COPY_LIMIT = 64 * 1024


class DeadlinePassed(WaypostError):
    """The call's own deadline passed while a provider was being waited for."""


class Stale(Exception):
    """A connection that had been used before turned out to be dead before it gave an answer's first byte."""


class Listener(Protocol):
    """Who waits for a connection: an `asyncio.Future`, or what would rather be called at once."""

    def done(self) -> bool: ...
    def set_result(self, result: None, /) -> object: ...
    def set_exception(self, exception: Exception, /) -> object: ...


def fault(kind: FaultKind, message: str) -> UpstreamFault:
    return UpstreamFault(Fault(kind=kind, message=message))


class UpstreamConnection(asyncio.Protocol):
    """`deadline` (loop time) is when `expire` is due, inf while nothing is waited for."""

    __slots__ = (
        "_failure",
        "_loop",
        "_reading_paused",
        "_stall_s",
        "_total",
        "_waiter",
        "_whole",
        "deadline",
        "idle",
        "lost",
        "on_lost",
        "parser",
        "proxied",
        "reused",
        "shown",
        "transport",
        "usable_until",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.transport: Any = None
        self._waiter: Listener | None = None
        self._whole = False  # who waits wants to hear of the whole answer and not of its head
        self._failure: Exception | None = None
        self._reading_paused = False
        self._stall_s = inf
        self._total = inf
        self.parser = ResponseParser()
        self.on_lost: Any = None  # the lane that keeps it
        self.proxied: tuple[bytes, bytes] | None = None  # how requests are put to a proxy that passes them on
        self.lost = False
        self.reused = False
        self.idle = False
        self.deadline = inf
        self.usable_until = inf  # while idle
        # For its user: headers, and what was made of them.
        self.shown: tuple[object, str | None, bool] = (None, None, False)

    # ---- called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        parser = self.parser
        if self.idle:
            self.transport.abort()  # nothing was asked, and yet it speaks
            return
        parser.feed(data)
        if parser.fault is not None:
            self.fail(fault(FaultKind.MALFORMED, f"the answer is not HTTP: {parser.fault}"))
            return
        waiter = self._waiter
        if waiter is not None and parser.headed:
            if self._whole and not parser.complete and parser.pending <= READ_HIGH_WATER:
                self.deadline = min(self._loop.time() + self._stall_s, self._total)
                return
            self._waiter = None
            self.deadline = self._total
            if not waiter.done():
                waiter.set_result(None)
        if parser.pending > READ_HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        parser = self.parser
        if not parser.end() and self._failure is None:
            if not parser.begun:
                self._failure = (
                    Stale() if self.reused else fault(FaultKind.RESET, "the connection closed without an answer")
                )
            elif not parser.headed or error is not None:
                self._failure = fault(FaultKind.RESET, "the connection was lost before the answer was whole")
            else:
                self._failure = fault(FaultKind.TRUNCATED, "the connection closed before the answer was whole")
        parser.close()
        self._tell()
        if self.on_lost is not None:
            self.on_lost.lose(self)

    # ---- called by the pool

    def begin(
        self, head: bytes, body: bytes, head_only: bool, first_byte_s: float, stall_s: float, total: float
    ) -> "asyncio.Future[None]":
        """Sends a request; the future is done once status and headers are there, or tells why not.

        `total` is the call's deadline in loop time.
        """
        waiter = self._loop.create_future()
        self.ask(head, body, waiter, first_byte_s, stall_s, total, head_only=head_only)
        return waiter

    def ask(
        self,
        head: bytes,
        body: bytes,
        listener: Listener,
        first_byte_s: float,
        stall_s: float,
        total: float,
        *,
        head_only: bool = False,
        whole: bool = False,
    ) -> None:
        """As `begin`, for any listener. `whole`: it is told when all of the answer is there, or too much to be kept.

        Raises Stale, or why it failed, for a connection that has died since it was taken.
        """
        if self._failure is not None:
            raise self._failure
        if self.lost or self.parser.surplus:
            raise Stale
        self.idle = False
        self.parser.expect(head_only)
        self._stall_s = stall_s
        self._total = total
        soonest = self._loop.time() + first_byte_s
        self.deadline = min(total, soonest)
        if self.proxied is not None:
            head = absolute_head(head, *self.proxied)
        if len(body) > _COPY_LIMIT:
            self.transport.writelines((head, body))
        else:
            self.transport.write(head + body if body else head)
        self._waiter = listener
        self._whole = whole

    async def next(self, silence_s: float | None = None) -> bytes:
        """The next piece of the body, b"" at its end. UpstreamFault, DeadlinePassed; cancelled, it cuts the connection.

        `silence_s` stands in for the request's `stall_s`, this once.
        """
        parser = self.parser
        while not parser.pending:
            if parser.complete:
                return b""
            if self._failure is not None:
                raise self._failure
            self.deadline = min(self._loop.time() + (self._stall_s if silence_s is None else silence_s), self._total)
            self._waiter = waiter = self._loop.create_future()
            self._whole = False
            try:
                await waiter
            except asyncio.CancelledError:
                self.cut()
                raise
        self.deadline = self._total
        return self.take()

    def take(self) -> bytes:
        """What has come of the body since the last time."""
        data = self.parser.take()
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()
        return data

    def rest(self, until: float) -> bool:
        """The answer is done with: whether the connection may serve another, `until` that loop time."""
        self.deadline = inf
        parser = self.parser
        if self.lost or not parser.complete or not parser.keep_alive or parser.surplus or parser.pending:
            self.cut()
            return False
        self.reused = self.idle = True
        self.usable_until = until
        return True

    def expire(self, now: float) -> None:
        """The deadline has passed."""
        if self.parser.complete:
            self.deadline = inf
        elif now >= self._total:
            self.fail(DeadlinePassed("the deadline of the call passed"))
        elif not self.parser.headed:
            self.fail(fault(FaultKind.FIRST_BYTE_TIMEOUT, "no answer in time"))
        else:
            self.fail(fault(FaultKind.STALL, "the answer stopped coming"))

    def cut(self) -> None:
        self.deadline = inf
        if self.transport is not None:
            self.transport.abort()

    def fail(self, error: Exception) -> None:
        """Ends the call: whoever waits is told, and whoever asks later."""
        if self._failure is None:
            self._failure = error
        self.cut()
        self._tell()

    def _tell(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if self._failure is not None:
            waiter.set_exception(self._failure)
        else:
            waiter.set_result(None)
