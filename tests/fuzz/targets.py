"""What is fuzzed: each dialect's requests, answers, streams and errors, through all that may follow their reading."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import msgspec
from msgspec.structs import replace

from corpus.records import all_records
from waypost.conversation.events import Failed
from waypost.conversation.faults import CallerError, ErrorKind, Refused, UpstreamFault
from waypost.conversation.fold import fold
from waypost.dialects.dialect import Dialect, Edits, Shape
from waypost.dialects.registry import DIALECTS

SHAPE = Shape(model="m")
STATUSES = (400, 401, 404, 429, 500, 503)


def request(dialect: Dialect, body: bytes) -> None:
    with suppress(Refused):
        glance = dialect.glance(body)
        edits = Edits(model="other", want_usage=glance.stream, max_output=5, remove_options=True)
        dialect.glance(dialect.edit(body, glance, edits))
    with suppress(Refused):
        read = replace(dialect.read_request(body), model="m")
        for there in DIALECTS.values():
            with suppress(Refused):
                there.read_request(there.write_request(read, SHAPE).body)


def reply(dialect: Dialect, body: bytes) -> None:
    with suppress(UpstreamFault):
        dialect.glance_reply(body)
    with suppress(UpstreamFault):
        read = dialect.read_reply(body)
        for there in DIALECTS.values():
            msgspec.json.decode(there.write_reply(read, "m"))


def stream(dialect: Dialect, body: bytes) -> None:
    framing, reader, watcher = dialect.framing(), dialect.reader(), dialect.watcher(True)
    writers = [there.writer("m", True) for there in DIALECTS.values()]
    try:
        half = len(body) // 2
        frames = [*framing.feed(body[:half]), *framing.feed(body[half:]), *framing.end()]
    except ValueError:
        return  # a framing's own way to say that these are no frames
    events = []
    with suppress(UpstreamFault):
        for frame in frames:
            watcher.see(frame)
    with suppress(UpstreamFault):
        for frame in frames:
            events += reader.feed(frame)
        events += reader.end()
    for event in events:
        for writer in writers:
            writer.write(event)
    with suppress(UpstreamFault):
        fold([event for event in events if not isinstance(event, Failed)], dialect.name)
    error = CallerError(kind=ErrorKind.UPSTREAM_FAILED, message="cut", status=502)
    for writer in writers:
        writer.fail(error)


def fault(dialect: Dialect, body: bytes) -> None:
    for status in STATUSES:
        told = dialect.read_fault(status, {"retry-after": "3", "content-type": "application/json"}, body)
        for there in DIALECTS.values():
            there.write_fault(CallerError(kind=ErrorKind.UPSTREAM_FAILED, message=told.message, status=502, cause=told))


TARGETS: dict[str, Callable[[bytes], None]] = {
    f"{dialect.name}-{what.__name__}": partial(what, dialect)
    for dialect in DIALECTS.values()
    for what in (request, reply, stream, fault)
}


def recorded() -> Iterator[tuple[str, bytes]]:
    """(target, body) of every recording."""
    for record in all_records():
        name = record.dialect.name
        yield f"{name}-request", msgspec.json.encode(record.request)
        if record.expect["kind"] == "error":
            yield f"{name}-fault", record.body
        else:
            yield f"{name}-{'stream' if record.stream else 'reply'}", record.body
