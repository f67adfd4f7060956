"""A stream on its way from a provider's dialect to the caller's: relayed as it came, or translated.

A passage turns each frame into the bytes that the caller gets, and keeps what the walk must know: whether content has
come, whether the provider said that it was done, what it used, how it failed.
"""

import sys
from typing import Protocol

from waypost.conversation.blocks import Block, Refusal, Text, Thinking
from waypost.conversation.events import BlockStarted, Delta, Event, Failed, Finished, Reported, Started, Stopped
from waypost.conversation.faults import CallerError, Fault, FaultKind, UpstreamFault
from waypost.conversation.fold import merge_usage
from waypost.conversation.reply import Usage
from waypost.dialects.dialect import Dialect, Reader, Watcher, Writer
from waypost.wire.frames import Frame


class Passage(Protocol):
    """`seen_output` estimates the tokens that passed, for when the provider does not tell."""

    content: bool
    finished: bool
    usage: Usage | None
    fault: Fault | None

    @property
    def seen_output(self) -> int: ...

    def take(self, frames: list[Frame]) -> bytes:
        """The bytes for the caller. Stops at the first failure, which is then in `fault`."""
        ...

    def end(self) -> bytes:
        """The provider closed the stream. Sets `fault` or `finished`."""
        ...

    def fail(self, error: CallerError) -> bytes: ...


TRUNCATED = Fault(kind=FaultKind.TRUNCATED, message="the stream ended before the answer was whole")
BYTES_A_TOKEN = 3  # for estimates only


class Relay:
    """Same dialect on both sides: every byte of every frame, except frames that only our own asking brought."""

    __slots__ = (
        "_bytes",
        "_dialect",
        "_frames",
        "_least",
        "_stopped",
        "_watcher",
        "content",
        "fault",
        "finished",
        "usage",
    )

    def __init__(self, dialect: Dialect, hide_usage: bool) -> None:
        self._dialect = dialect
        self._watcher: Watcher = dialect.watcher(hide_usage)
        self._stopped = False
        self._frames = 0
        self._bytes = 0
        self._least = sys.maxsize
        self.content = False
        self.finished = False
        self.usage: Usage | None = None
        self.fault: Fault | None = None

    def take(self, frames: list[Frame]) -> bytes:
        see = self._watcher.see
        passed = []
        rest = iter(frames)
        for frame in rest:
            seen = see(frame)
            if seen.fault is not None:
                self.fault = seen.fault
                break
            if not seen.hide:
                passed.append(frame.raw)
            if seen.content:
                self.content = True
                size = len(frame.raw)
                self._frames += 1
                self._bytes += size
                if size < self._least:
                    self._least = size
            if seen.usage is not None:
                self.usage = merge_usage(self.usage, seen.usage)
            if seen.stop is not None:
                self._stopped = True
            if seen.finished:
                if not (self.content or self._stopped):
                    self.fault = TRUNCATED  # an end mark after nothing is no answer
                    break
                self.finished = True
                passed += [each.raw for each in rest]  # what comes behind the end mark can't undo it
        return passed[0] if len(passed) == 1 else b"".join(passed)

    @property
    def seen_output(self) -> int:
        """The smallest content frame is about one token and its wrapping; what is beyond that is more text."""
        return self._frames + (self._bytes - self._frames * self._least) // BYTES_A_TOKEN if self._frames else 0

    def end(self) -> bytes:
        if not self.finished:
            if self._stopped and self._dialect.ends_without_mark:
                self.finished = True
            else:
                self.fault = TRUNCATED
        return b""

    def fail(self, error: CallerError) -> bytes:
        return self._dialect.writer("", False).fail(error)


class Translation:
    """Different dialects: frames → events → the caller's frames."""

    __slots__ = (
        "_bytes",
        "_created",
        "_identity",
        "_reader",
        "_stopped",
        "_writer",
        "content",
        "fault",
        "finished",
        "usage",
    )

    def __init__(
        self, provider: Dialect, caller: Dialect, model: str, asked_usage: bool, identity: str, created: int
    ) -> None:
        """`identity` and `created` (Unix seconds): the answer's, for a provider that does not tell."""
        self._reader: Reader = provider.reader()
        self._writer: Writer = caller.writer(model, asked_usage)
        self._identity = identity
        self._stopped = False
        self._created = created
        self._bytes = 0
        self.content = False
        self.finished = False
        self.usage: Usage | None = None
        self.fault: Fault | None = None

    def take(self, frames: list[Frame]) -> bytes:
        written = []
        try:
            for frame in frames:
                if self.finished:
                    break
                for event in self._reader.feed(frame):
                    written.append(self._note(event))
                    if self.fault is not None:
                        return b"".join(written)
        except UpstreamFault as failure:  # what was read before it is still the caller's
            self.fault = failure.fault
        return b"".join(written)

    def end(self) -> bytes:
        written = [self._note(event) for event in self._reader.end()]
        if not self.finished and self.fault is None:
            self.fault = TRUNCATED
        return b"".join(written)

    @property
    def seen_output(self) -> int:
        return self._bytes // BYTES_A_TOKEN + 1 if self.content else 0

    def _note(self, event: Event) -> bytes:
        match event:
            case Delta():
                self.content = True
                self._bytes += len(event.text or event.arguments or "")
            case BlockStarted(block=block):
                self.content = self.content or _is_content(block)
            case Reported(usage=usage):
                self.usage = merge_usage(self.usage, usage)
            case Failed(fault=fault):
                self.fault = fault
                return b""
            case Started(id=told, model=model, created=created) if not told or created is None:
                event = Started(told or self._identity, model, self._created if created is None else created)
            case Stopped():
                self._stopped = True
            case Finished():
                if not (self.content or self._stopped):
                    self.fault = TRUNCATED  # an end mark after nothing is no answer
                    return b""
                self.finished = True
            case _:
                pass
        return self._writer.write(event)

    def fail(self, error: CallerError) -> bytes:
        return self._writer.fail(error)


def _is_content(block: Block) -> bool:
    """Whether the start of a block says something already; text and reasoning start empty."""
    return not isinstance(block, Text | Thinking | Refusal)
