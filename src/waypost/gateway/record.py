"""The last step: whatever happened, the reservation is settled, the row is written, the counts are told."""

from msgspec import Raw

from waypost.gateway.call import Call
from waypost.gateway.gateway import Gateway
from waypost.gateway.settlement import settle
from waypost.ledger.records import Ended, Outcome
from waypost.routing.decision import encode_decision


def record(gateway: Gateway, call: Call) -> None:
    """Writes the call's one row, unless nothing was asked of us that a row is owed for (a dry run, a stranger)."""
    if call.unrecorded:
        return
    settle(gateway, call)
    ended = row(gateway, call)
    gateway.journal.end(ended)
    gateway.tally.note(ended)


def row(gateway: Gateway, call: Call) -> Ended:
    now = gateway.clock.now()
    caller, course, found, served, usage = call.caller, call.course, call.found, call.served_by, call.usage
    started = call.exchange.received_at
    total_s = now - started
    overhead_us = int((total_s - call.provider_s) * 1e6)
    return Ended(
        id=call.id,
        started_ns=call.started_ns,
        key=caller.name,
        team=caller.team,
        tags=dict(call.tags),
        task=None if found is None else found.task,
        route=None if found is None else found.route,
        revision=gateway.config.revision,
        dialect=call.dialect.name,
        provider=None if served is None else served.provider,
        model=None if served is None else served.model,
        profile=None if served is None else served.credential,
        outcome=call.outcome or Outcome.FAILED,
        error=call.error,
        status=call.status or None,
        stream=course is not None and course.glance.stream,
        input=None if usage is None else usage.input,
        cache_read=None if usage is None else usage.cache_read,
        cache_write=None if usage is None else usage.cache_write,
        output=None if usage is None else usage.output,
        reasoning=None if usage is None else usage.reasoning,
        estimated=call.estimated,
        price=None if call.price is None else gateway.price_json(call.price),
        cost_nano=call.cost,
        first_byte_us=None if call.first_byte_at is None else int((call.first_byte_at - started) * 1e6),
        total_us=int(total_s * 1e6),
        overhead_us=max(0, overhead_us),
        cache="off",
        decision=None if course is None else Raw(encode_decision(course.decision)),
        dropped=call.dropped,
        attempts=tuple(call.attempts),
        charges=call.charges,
        bodies=bodies(call),
    )


def bodies(call: Call) -> tuple[str | None, str | None] | None:
    """The texts, only where the route stores them."""
    if call.replied is None:
        return None
    return call.exchange.body.decode("utf-8", "replace"), b"".join(call.replied).decode("utf-8", "replace")
