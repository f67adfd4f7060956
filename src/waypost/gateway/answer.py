"""What a caller gets beside the body: the `x-waypost-*` headers, a provider's own headers, typed errors."""

from collections.abc import Mapping
from urllib.parse import quote

from waypost.conversation.faults import CallerError
from waypost.gateway.call import Call
from waypost.governance.money import dollars

Headers = list[tuple[str, str]]

LONGEST_SHOWN = 256

# A provider's headers that its SDK reads or that help its support: request ids, limits, and when to come back.
PASSED_PREFIXES = (
    "x-ratelimit-",
    "anthropic-",
    "openai-",
    "x-request-id",
    "request-id",
    "retry-after",
    "x-should-retry",
)


def passed_headers(headers: Mapping[str, str]) -> Headers:
    return [(name, value) for name, value in headers.items() if name.startswith(PASSED_PREFIXES)]


def answer_headers(call: Call, now: float) -> Headers:
    """The contract's headers. `now` is the loop's clock: the overhead is the time so far without the provider's."""
    served = call.served_by
    overhead_us = int((now - call.exchange.received_at - call.provider_s) * 1e6)
    headers = [
        ("x-waypost-call-id", call.id),
        ("x-waypost-route", (call.found.route or "") if call.found is not None else ""),
        ("x-waypost-provider", served.provider if served is not None else ""),
        ("x-waypost-model", showable(served.model) if served is not None else ""),
        ("x-waypost-attempts", str(call.tries)),
        ("x-waypost-cache", "off"),
        ("x-waypost-overhead-us", str(max(0, overhead_us))),
    ]
    if call.dropped:
        headers.append(("x-waypost-dropped", showable(", ".join(call.dropped))))
    if call.course is not None and call.course.clamp.max_output is not None:
        headers.append(("x-waypost-max-output", str(call.course.clamp.max_output)))
    return headers


def showable(text: str) -> str:
    """What a caller named, fit for a header: at most 256 characters, percent-encoded but for printable ASCII."""
    if len(text) > LONGEST_SHOWN:
        text = text[:LONGEST_SHOWN]
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isascii() and c.isprintable() else quote(c, errors="replace") for c in text)


def cost_header(call: Call) -> tuple[str, str]:
    """Unknown is unknown: an empty value, never 0."""
    return ("x-waypost-cost-usd", "" if call.cost is None else dollars(call.cost))


def error_headers(call: Call, error: CallerError, now: float) -> Headers:
    headers = answer_headers(call, now)
    headers.append(("x-waypost-error", error.kind))
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(max(1, round(error.retry_after_s + 0.4999)))))
    return headers
