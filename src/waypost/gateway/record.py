"""The last step: whatever happened, the reservation is settled, the row is written, the counts are told."""

from contextlib import suppress

from msgspec import Raw

from waypost.conversation.reply import Usage
from waypost.dialects.dialect import Edits
from waypost.gateway.call import Call
from waypost.gateway.gateway import Gateway
from waypost.gateway.settlement import settle
from waypost.ledger.errors import JournalUnavailable
from waypost.ledger.records import NULL, Ended, Kind, Outcome
from waypost.routing.decision import encode_decision

UNKNOWN = Usage()


def record(gateway: Gateway, call: Call) -> None:
    """Writes the call's one row, unless nothing was asked of us that a row is owed for (a dry run, a stranger)."""
    if call.unrecorded:
        return
    if not call.settled:
        settle(gateway, call)
    if call.course is not None and call.course.plan.id not in gateway.planned:
        with suppress(JournalUnavailable):  # then the row waits too, and comes without its plan
            gateway.write_plan(call.course.plan)
    ended = row(gateway, call)
    gateway.journal.end(ended)
    gateway.tally.note(ended)


def row(gateway: Gateway, call: Call) -> Ended:
    """Positional, in the order of the members: keyword arguments cost a call about two microseconds."""
    course, found, lane, caller = call.course, call.found, call.lane, call.caller
    usage = call.usage or UNKNOWN
    started, first_byte_at = call.exchange.received_at, call.first_byte_at
    total_s = gateway.clock.now() - started
    overhead_us = int((total_s - call.provider_s) * 1e6)
    route, task = (None, None) if found is None else (found.route, found.task)
    provider, model, profile = (
        (None, None, None)
        if lane is None
        else (lane.candidate.provider, lane.candidate.model, lane.candidate.credential)
    )
    return Ended(
        call.id,
        call.started_ns,
        usage.input,
        usage.cache_read,
        usage.cache_write,
        usage.output,
        usage.reasoning,
        call.cost,
        None if first_byte_at is None else int((first_byte_at - started) * 1e6),
        int(total_s * 1e6),
        max(0, overhead_us),
        dict(call.tags) if call.tags else {},
        NULL if course is None else Raw(encode_decision(course.decision)),
        call.attempts,
        call.charges,
        None if call.replied is None else bodies(call, call.replied),
        Kind(
            caller.name,
            caller.team,
            task,
            route,
            gateway.config.revision,
            call.dialect.name,
            provider,
            model,
            profile,
            call.outcome or Outcome.FAILED,
            call.error,
            call.status or None,
            course is not None and course.glance.stream,
            call.estimated,
            NULL if call.price is None else gateway.price_json(call.price),
            "off",
            call.dropped,
        ),
    )


def bodies(call: Call, replied: list[bytes]) -> tuple[str, str]:
    """The texts, for a route that stores them; without the options where a key of the caller's own is among them."""
    request, course = call.exchange.body, call.course
    if call.options.api_key is not None and course is not None and course.glance.options is not None:
        request = call.dialect.edit(request, course.glance, Edits(model=course.glance.model, remove_options=True))
    return request.decode("utf-8", "replace"), b"".join(replied).decode("utf-8", "replace")
