"""A streamed answer: holds everything back until the first content, then passes it on as fast as the caller reads.

Before the first content nothing has gone out, so any failure raises and the walk moves on. After it the call is
committed: a failure becomes an error event in the caller's protocol, and nothing is invented around it.
"""

from waypost.config.model import Timeouts
from waypost.conversation.faults import CallerError, ErrorKind, Fault, FaultKind, UpstreamFault
from waypost.dialects.dialect import Dialect
from waypost.gateway.answer import answer_headers, told_headers
from waypost.gateway.call import Call
from waypost.gateway.headers import media_type
from waypost.gateway.interfaces import Clock, Incoming
from waypost.gateway.passage import Passage
from waypost.ledger.records import Outcome
from waypost.upstream.pool import DeadlinePassed
from waypost.wire.frames import Framing

NO_CONTENT = Fault(kind=FaultKind.FIRST_BYTE_TIMEOUT, message="no content came in time")
MOST_AFTER_END_S = 1.0
LATE_S = 0.25  # for content behind what was read late
MOST_HELD = 4 * 1024 * 1024  # bytes before any content: more than this is not an answer


class Held:
    """What came before the first content."""

    __slots__ = ("parts", "size")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def keep(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > MOST_HELD:
            raise UpstreamFault(Fault(kind=FaultKind.MALFORMED, message="a stream without content grew too long"))
        if data:
            self.parts.append(data)


async def stream_answer(
    call: Call,
    incoming: Incoming,
    spoken: Dialect,
    passage: Passage,
    timeouts: Timeouts,
    sent_at: float,
    clock: Clock,
) -> None:
    """Raises UpstreamFault or DeadlinePassed while nothing is committed; later ones become an error event."""
    held, framing = Held(), spoken.framing()
    until, is_late = sent_at + timeouts.first_byte_s, False
    try:
        while not call.committed:
            now = clock.now()
            if now >= until:  # and yet something came: nobody was reading, so there may be more
                if is_late:
                    raise UpstreamFault(NO_CONTENT)
                until, is_late = now + LATE_S, True
            data = await first_piece(call, incoming, clock, until - now, timeouts.stall_s)
            held.keep(take(framing, passage, data))
            if passage.fault is not None:  # also if content came with it: nothing of it has gone out
                raise UpstreamFault(told_by_type(passage.fault, incoming, spoken))
            if passage.content or passage.finished:
                commit(call, incoming, b"".join(held.parts), clock)
            if not data:
                break
        while data and not passage.finished:
            data = await receive(call, incoming, clock, timeouts.stall_s)
            out = take(framing, passage, data)
            if out:
                send(call, out)
                await call.exchange.drain()
            if passage.fault is not None:
                raise UpstreamFault(passage.fault)
        if data:
            await pass_rest(call, incoming, framing, passage, clock)
    except UpstreamFault as failure:
        if not call.committed:
            raise
        break_off(call, passage, failure.fault)
    except DeadlinePassed:
        if not call.committed:
            raise
        break_off(call, passage, Fault(kind=FaultKind.UPSTREAM_TIMEOUT, message="the call's deadline passed"))
        call.error = ErrorKind.DEADLINE
    else:
        call.exchange.finish()
        call.outcome = Outcome.OK
    finally:
        if call.committed:
            call.usage = passage.usage
            call.seen_output = passage.seen_output


async def pass_rest(call: Call, incoming: Incoming, framing: Framing, passage: Passage, clock: Clock) -> None:
    """What comes behind the end mark. The answer is whole, so nothing can fail any more, and nobody is kept waiting.

    A provider's connection can serve another call only after it has ended its answer: most do so at once.
    """
    until = clock.now() + MOST_AFTER_END_S
    try:
        while (left := until - clock.now()) > 0:
            data = await receive(call, incoming, clock, left)
            out = take(framing, passage, data)
            if passage.fault is not None or not data:
                return
            if out:
                send(call, out)
                await call.exchange.drain()
    except (UpstreamFault, DeadlinePassed):
        return


async def first_piece(call: Call, incoming: Incoming, clock: Clock, left_s: float, stall_s: float) -> bytes:
    """`left_s`: what is left of the time to the first content. Which of the two limits was met is told apart."""
    try:
        return await receive(call, incoming, clock, min(left_s, stall_s))
    except UpstreamFault as failure:
        if failure.fault.kind is FaultKind.STALL and left_s <= stall_s:
            raise UpstreamFault(NO_CONTENT) from None
        raise


def told_by_type(fault: Fault, incoming: Incoming, spoken: Dialect) -> Fault:
    """A stream that ended before it began, and calls itself something else (a login page, say), never was one."""
    kind = incoming.headers.get("content-type", "")
    if fault.kind is not FaultKind.TRUNCATED or spoken.stream_type in kind:
        return fault
    return Fault(
        kind=FaultKind.MALFORMED, status=incoming.status, message=f"the answer is {media_type(kind)}, not a stream"
    )


async def receive(call: Call, incoming: Incoming, clock: Clock, silence_s: float) -> bytes:
    """The next piece; the wait counts as the provider's time."""
    asked = clock.now()
    try:
        return await incoming.next(silence_s)
    finally:
        call.provider_s += clock.now() - asked


def take(framing: Framing, passage: Passage, data: bytes) -> bytes:
    """What the caller gets for one piece of the provider's stream; `data` empty: the provider closed it."""
    try:
        if data:
            return passage.take(framing.feed(data))
        out = passage.take(framing.end())
        return out + passage.end() if passage.fault is None else out
    except ValueError as error:
        raise UpstreamFault(
            Fault(kind=FaultKind.MALFORMED, message=f"the stream's framing is broken: {error}")
        ) from None


def commit(call: Call, incoming: Incoming, first: bytes, clock: Clock) -> None:
    """The first content goes out: from here on there is no other candidate."""
    call.committed = True
    call.first_byte_at = now = clock.now()
    call.status = 200
    headers = answer_headers(call, now)
    headers.append(("content-type", call.dialect.stream_type))
    headers.append(("cache-control", "no-cache"))
    headers.extend(told_headers(call, incoming, now))
    call.exchange.start(200, headers)
    send(call, first)


def send(call: Call, data: bytes) -> None:
    call.exchange.send(data)
    if call.replied is not None:
        call.replied.append(data)


def without_secrets(call: Call, fault: Fault) -> Fault:
    return fault if call.line is None else call.line.concealed(fault)


def break_off(call: Call, passage: Passage, fault: Fault) -> None:
    """Ends a committed stream that failed: an error event, no stop reason, no end mark."""
    fault = without_secrets(call, fault)
    call.outcome = Outcome.TRUNCATED
    call.fault = fault
    call.error = ErrorKind.UPSTREAM_FAILED
    error = CallerError(
        kind=ErrorKind.UPSTREAM_FAILED,
        message=f"the provider's stream broke off: {fault.message}",
        status=502,
        cause=fault,
    )
    send(call, passage.fail(error))
    call.exchange.finish()
