"""What a caller gets beside the body: the `x-waypost-*` headers, a provider's own headers, typed errors."""

from waypost.conversation.faults import CallerError
from waypost.dialects.dialect import Dialect, Headers
from waypost.gateway.call import Call
from waypost.gateway.headers import limit_headers, names_of, passed_headers, showable
from waypost.gateway.interfaces import Incoming
from waypost.governance.money import dollars


def answer_headers(call: Call, now: float) -> list[tuple[str, str]]:
    """The contract's headers. `now` is the loop's clock: the overhead is the time so far without the provider's."""
    overhead_us = int((now - call.exchange.received_at - call.provider_s) * 1e6)
    lane, course = call.lane, call.course
    headers = [
        ("x-waypost-call-id", call.id),
        *(names_of(None if call.found is None else call.found.route) if lane is None else lane.names),
        ("x-waypost-attempts", str(call.tries)),
        ("x-waypost-overhead-us", str(overhead_us) if overhead_us > 0 else "0"),
    ]
    if call.dropped:
        headers.append(("x-waypost-dropped", showable(", ".join(call.dropped))))
    if course is not None and course.clamp.max_output is not None:
        headers.append(("x-waypost-max-output", str(course.clamp.max_output)))
    return headers


def told_headers(call: Call, incoming: Incoming, now: float) -> list[tuple[str, str]]:
    """What the provider says in headers, and its limits in the caller's words as well. `now`: the loop's clock."""
    headers = passed_headers(incoming.headers)
    if call.lane is not None:
        now_s = call.started_ns / 1e9 + now - call.exchange.received_at
        headers.extend(limit_headers(call.lane.dialect, call.dialect, incoming.headers, now_s))
    return headers


def cost_header(call: Call) -> tuple[str, str]:
    """Unknown is unknown: an empty value, never 0."""
    return ("x-waypost-cost-usd", "" if call.cost is None else dollars(call.cost))


def fault_headers(dialect: Dialect, error: CallerError) -> Headers:
    """Headers in which this protocol tells its errors, beside the body."""
    return () if dialect.fault_headers is None else dialect.fault_headers(error)


def error_headers(call: Call, error: CallerError, now: float) -> list[tuple[str, str]]:
    headers = answer_headers(call, now)
    headers.append(cost_header(call))
    headers.append(("x-waypost-error", error.kind))
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(max(1, round(error.retry_after_s + 0.4999)))))
    return headers
