"""Header values as Waypost shows them, and which of a provider's headers it passes on. Knows no call."""

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from waypost.dialects.dialect import Dialect, Headers
from waypost.routing.candidates import Candidate

LONGEST_SHOWN = 256
USUAL_TYPES = frozenset(
    {
        "application/json",
        "application/octet-stream",
        "application/xml",
        "text/event-stream",
        "text/html",
        "text/plain",
        "text/xml",
    }
)
# A provider's headers that its SDK reads or that help its support: request ids, limits, and when to come back.
PASSED_PREFIXES = (
    "x-ratelimit-",
    "anthropic-",
    "openai-",
    "apim-request-id",
    "x-amzn-bedrock-",
    "x-amzn-errortype",
    "x-amzn-requestid",
    "x-request-id",
    "request-id",
    "retry-after",
    "x-should-retry",
)


def names_of(route: str | None, candidate: Candidate | None = None) -> Headers:
    """The part of an answer's headers that is the same for every call along a route that one candidate serves."""
    return (
        ("x-waypost-route", showable(route or "")),
        ("x-waypost-provider", "" if candidate is None else candidate.provider),
        ("x-waypost-model", "" if candidate is None else showable(candidate.model)),
        ("x-waypost-cache", "off"),
    )


def media_type(told: str) -> str:
    """A provider's content type as we repeat it: the usual ones only, since a header can hold whatever was sent."""
    usual = told.partition(";")[0].strip().lower()
    return usual if usual in USUAL_TYPES else "of an unusual type"


def passed_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [pair for pair in headers.items() if pair[0].startswith(PASSED_PREFIXES)]


def limit_headers(provider: Dialect, caller: Dialect, headers: Mapping[str, str], now_s: float) -> Headers:
    """A provider's limits as another protocol's SDKs look for them, but what it tells so itself.

    `now_s`: the answer's time, in Unix seconds.
    """
    read, write = provider.limits, caller.limits
    if read is None or write is None or read is write or not tells_limits(headers):
        return ()
    return tuple([pair for pair in write.write(read.read(headers, now_s), now_s) if pair[0] not in headers])


def tells_limits(headers: Iterable[str]) -> bool:
    return any("ratelimit-" in name for name in headers)


def showable(text: str) -> str:
    """What a caller named, fit for a header: at most 256 characters, percent-encoded but for printable ASCII."""
    if len(text) > LONGEST_SHOWN:
        text = text[:LONGEST_SHOWN]
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isascii() and c.isprintable() else quote(c, errors="replace") for c in text)
