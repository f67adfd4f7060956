"""Turns a reply into steps on a socket, and a fault into what it does to them. Pure: no socket, no clock.

Knows HTTP/1.1 framing and how to break it. Refuses to know what an answer means, beyond the part each event plays.
"""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from http import HTTPStatus
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from waypost.sim.exchange import SERVER_SENT_EVENTS, Part, Reply, Streamed, StreamEvent, Whole
from waypost.sim.faults import Fault, FaultKind


class Ending(StrEnum):
    """A step after which nothing follows. Without one the connection stays open for the next request."""

    CLOSE = "close"  # FIN, after everything before it
    RESET = "reset"  # RST, after everything before it
    SILENCE = "silence"  # nothing more, until the peer leaves


Step = bytes | float | Ending  # to send; seconds to wait; how it ends


class Pace(Struct, frozen=True):
    """Seconds before the first byte and before each content event; `tokens` that a whole answer took to make."""

    first_byte: float = 0.0
    per_token: float = 0.0
    tokens: int = 0


NO_PACE = Pace()
LAST_CHUNK = b"0\r\n\r\n"
_HTML = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>\n"
_GARBAGE = bytes(range(128, 160)) + b"\x00\x16\x03\x01 this is not HTTP \xff\xfe\r\n\r\n"
_PADDING = 128 * 1024
_TRICKLE = 16
_LONGEST_WRITE = 64 * 1024
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CUTS = re.compile(rb"[\xc2-\xf4]|\r(?=\n)|\n(?=\r?\n)|:")


def perform(reply: Reply, fault: Fault | None, pace: Pace) -> list[Step]:
    """The steps of a reply. A fault that changes only what is said was already in the reply."""
    steps = _frame(reply, pace) if fault is None else _break(reply, fault, pace)
    if fault is None and not isinstance(reply, Whole):
        return _join(steps)
    return list(steps)


def _frame(reply: Reply, pace: Pace) -> Iterator[Step]:
    match reply:
        case Whole():
            wait = pace.first_byte + pace.per_token * pace.tokens
            if wait:
                yield wait
            yield whole_head(reply) + reply.body
        case Streamed(events=events):
            if pace.first_byte:
                yield pace.first_byte
            yield stream_head(reply)
            for event in events:
                if pace.per_token and event.part is Part.CONTENT:
                    yield pace.per_token
                yield chunk(event.data)
            yield LAST_CHUNK


def whole_head(reply: Whole, length: int | None = None) -> bytes:
    return b"%scontent-type: %s\r\n%scontent-length: %d\r\n\r\n" % (
        status_line(reply.status),
        reply.content_type,
        reply.headers,
        len(reply.body) if length is None else length,
    )


def stream_head(reply: Reply, content_type: bytes = b"") -> bytes:
    """`content_type`: if it is not to be the stream's own."""
    status, own = (reply.status, SERVER_SENT_EVENTS) if isinstance(reply, Whole) else (200, reply.content_type)
    return b"%scontent-type: %s\r\n%stransfer-encoding: chunked\r\n\r\n" % (
        status_line(status),
        content_type or own,
        reply.headers,
    )


def status_line(status: int) -> bytes:
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d Overloaded\r\n" % status


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _break(reply: Reply, fault: Fault, pace: Pace) -> Iterator[Step]:
    if pace.first_byte:
        yield pace.first_byte
    rest = Pace(0.0, pace.per_token, pace.tokens)
    match fault.kind:
        case FaultKind.RESET_BEFORE:
            yield Ending.RESET
        case FaultKind.CLOSE_BEFORE:
            yield Ending.CLOSE
        case FaultKind.STALL_BEFORE:
            yield Ending.SILENCE
        case FaultKind.GARBAGE:
            yield _GARBAGE
            yield Ending.CLOSE
        case FaultKind.RESET_AFTER:
            yield _begin(reply, fault) if fault.after != 0 else _head(reply)[:20]
            yield Ending.RESET
        case FaultKind.STALL_MID:
            yield _begin(reply, fault)
            yield Ending.SILENCE
        case FaultKind.TRUNCATED:
            yield from _truncate(reply, fault)
        case FaultKind.TRUNCATED_CHUNK:
            yield _begin_chunked(reply, fault)
            yield Ending.CLOSE
        case FaultKind.BAD_CHUNK:
            yield _begin_chunked(reply, fault)
            yield b"ZZ\r\nnot a chunk\r\n"
            yield Ending.CLOSE
        case FaultKind.WRONG_CONTENT_TYPE:
            yield from _frame(Whole(200, reply.headers, b"text/html; charset=utf-8", _HTML), NO_PACE)
        case FaultKind.EMPTY_BODY:
            yield from _frame(Whole(200, reply.headers, b"application/json", b""), NO_PACE)
        case FaultKind.EMPTY_STREAM:
            yield stream_head(reply) + LAST_CHUNK
        case FaultKind.SLOW_TRICKLE:
            yield from _trickle(b"".join(_bytes_of(_frame(reply, NO_PACE))), fault)
        case FaultKind.HUGE_HEADER:
            padding = b"x-sim-padding: %s\r\n" % (b"a" * (_PADDING if fault.size is None else fault.size))
            yield from _frame(_with_headers(reply, padding), NO_PACE)
        case FaultKind.MALFORMED_JSON:
            yield from _frame(_malform(reply, fault), rest)
        case FaultKind.ERROR_EVENT:
            yield from _frame(_interrupt(reply, fault), rest)
        case FaultKind.SSE_SPLIT:
            yield from _split(reply)
        case FaultKind.NO_DONE:
            yield from _frame(_without_end_mark(reply), rest)
        case FaultKind.DUPLICATE_USAGE:
            yield from _frame(_repeat_usage(reply), rest)
        case _:  # statuses and missing usage: the reply itself already says it
            yield from _frame(reply, rest)


def _head(reply: Reply) -> bytes:
    return whole_head(reply) if isinstance(reply, Whole) else stream_head(reply)


def _begin(reply: Reply, fault: Fault) -> bytes:
    """The head and the events up to the `after`th content event, or half the body."""
    if isinstance(reply, Whole):
        return whole_head(reply) + reply.body[: len(reply.body) // 2]
    return stream_head(reply) + b"".join(chunk(event.data) for event in _first_events(reply, fault, 2))


def _begin_chunked(reply: Reply, fault: Fault) -> bytes:
    if isinstance(reply, Whole):
        return stream_head(reply, reply.content_type) + chunk(reply.body[: len(reply.body) // 2] or b" ")
    return _begin(reply, fault)


def _first_events(reply: Streamed, fault: Fault, usual: int) -> list[StreamEvent]:
    """Up to the `after`th content event, and never the finish: what is cut must not look complete."""
    wanted = usual if fault.after is None else fault.after
    first: list[StreamEvent] = []
    for event in reply.events:
        if event.part in (Part.FINISH, Part.USAGE, Part.DONE):
            break
        if event.part is Part.CONTENT:
            if not wanted:
                break
            wanted -= 1
        first.append(event)
    return first


def _truncate(reply: Reply, fault: Fault) -> Iterator[Step]:
    if isinstance(reply, Whole):
        yield whole_head(reply) + reply.body[: len(reply.body) // 2]
        yield Ending.CLOSE
        return
    kept = _first_events(reply, fault, len(reply.events))
    yield stream_head(reply) + b"".join(chunk(event.data) for event in kept) + LAST_CHUNK


def _trickle(data: bytes, fault: Fault) -> Iterator[Step]:
    size = max(1, _TRICKLE if fault.size is None else fault.size)
    for start in range(0, len(data), size):
        yield data[start : start + size]
        yield fault.pause_ms / 1000


def _malform(reply: Reply, fault: Fault) -> Reply:
    """A body, or one event's data, that breaks off inside its JSON."""
    if isinstance(reply, Whole):
        return Whole(reply.status, reply.headers, reply.content_type, reply.body[: len(reply.body) * 2 // 3] + b'"}{')
    place = len(_first_events(reply, fault, 2))
    broken = reply.events[place]
    events = [*reply.events[:place], StreamEvent(reply.malform(broken.data), broken.part), *reply.events[place + 1 :]]
    return replace(reply, events=events)


def _interrupt(reply: Reply, fault: Fault) -> Reply:
    """An error in the middle of a 200; nothing follows it. First thing, unless `after` says otherwise."""
    if isinstance(reply, Whole):
        return reply
    before = _first_events(reply, fault, 0) if fault.after else []
    return replace(reply, events=[*before, StreamEvent(reply.error(len(before)), Part.FRAME)])


def _split(reply: Reply) -> Iterator[Step]:
    """Every event (or the body) in pieces cut inside characters, between the ends of a line and after colons."""
    if isinstance(reply, Whole):
        yield whole_head(reply)
        for piece in _awkward_pieces(reply.body):
            yield piece
            yield 0.0
        return
    yield stream_head(reply)
    for event in reply.events:
        for piece in _awkward_pieces(event.data):
            yield chunk(piece)
            yield 0.0
    yield LAST_CHUNK


def _awkward_pieces(data: bytes) -> list[bytes]:
    cuts = [found.start() + 1 for found in _CUTS.finditer(data)]
    return [data[start:end] for start, end in pairwise([0, *cuts, len(data)]) if end > start]


def _repeat_usage(reply: Reply) -> Reply:
    if isinstance(reply, Whole):
        return reply
    events = [same for event in reply.events for same in ([event, event] if event.tells_usage else [event])]
    # The opening event tells usage too where there is one, but a message that starts twice is another fault.
    if events[0].tells_usage:
        del events[0]
    return replace(reply, events=events)


def _without_end_mark(reply: Reply) -> Reply:
    if isinstance(reply, Whole):
        return reply
    return replace(reply, events=[event for event in reply.events if event.part is not Part.DONE])


def _with_headers(reply: Reply, headers: bytes) -> Reply:
    return replace(reply, headers=reply.headers + headers)


def _bytes_of(steps: Iterable[Step]) -> Iterator[bytes]:
    return (step for step in steps if isinstance(step, bytes))


def _join(steps: Iterable[Step]) -> list[Step]:
    """Neighbouring bytes in one write, up to a size at which a slow reader can still hold the next one back."""
    joined: list[Step] = []
    run: list[bytes] = []
    size = 0
    for step in steps:
        if isinstance(step, bytes):
            run.append(step)
            size += len(step)
            if size < _LONGEST_WRITE:
                continue
        if run:
            joined.append(b"".join(run))
            run, size = [], 0
        if not isinstance(step, bytes):
            joined.append(step)
    if run:
        joined.append(b"".join(run))
    return joined
