"""The words around a provider's failure: messages without secrets, excerpts with a bound, its wish when to retry.

Knows nothing of any dialect's error shape.
"""

import math
import re
from collections.abc import Mapping

from waypost.conversation.faults import FaultKind

MESSAGE_LIMIT = 2000  # characters
EXCERPT_LIMIT = 500  # characters
REDACTED = "[redacted]"
# What a status alone says of a failure, whoever sent it; one that is not here says no more than its first digit.
BY_STATUS = {
    401: FaultKind.UNAUTHORIZED,
    402: FaultKind.QUOTA_EXHAUSTED,
    403: FaultKind.FORBIDDEN,
    404: FaultKind.MODEL_NOT_FOUND,
    408: FaultKind.UPSTREAM_TIMEOUT,
    429: FaultKind.RATE_LIMITED,
    503: FaultKind.OVERLOADED,
    504: FaultKind.UPSTREAM_TIMEOUT,
    524: FaultKind.UPSTREAM_TIMEOUT,
    529: FaultKind.OVERLOADED,
}

# Providers echo (parts of) keys in their 401s, often with stars in the middle. Prefixes are those of OpenAI, Anthropic
# and others (sk-), Google (AIza, ya29.), Groq (gsk_), xAI (xai-), Fireworks (fw_), Cerebras (csk-), AWS (AKIA, ASIA),
# GitHub (gh?_), Hugging Face (hf_) and JSON web tokens (eyJ); beside them what follows the name of a header or field
# that carries a key.
_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|csk|pk|rk|xai)-|(?:gsk|hf|fw|gh[a-z]|tgp|r8)_|AIza|ya29\.|AKIA|ASIA|eyJ)[A-Za-z0-9._*…=-]{6,}"
    r"|(?<=bearer )\s*(?=[A-Za-z_~+/=.*-]{0,199}[0-9*])[A-Za-z0-9._~+/=*-]{8,}"
    r"|(?<=api-key: )\s*[^\s\"',;]{6,}|(?<=api_key=)[^\s\"',;&]{6,}|(?<=[?&]key=)[^\s\"',;&]{6,}"
    r"|(?<=key provided: )\s*[^\s\"',;]{6,}",
    re.IGNORECASE,
)


def clean(message: str) -> str:
    """The message without anything that looks like a credential, at most `MESSAGE_LIMIT` characters long."""
    # Cut twice: a key that the first cut splits must not survive as a stump too short to be recognised.
    text = _SECRET.sub(REDACTED, message[: 2 * MESSAGE_LIMIT])
    return _shorten(text, MESSAGE_LIMIT)


def excerpt(body: bytes) -> str:
    """The beginning of a body that is not the protocol's (a proxy's HTML page, say), on one line; "" for none."""
    text = body[: 8 * EXCERPT_LIMIT].decode("utf-8", "replace")
    printable = "".join(character if character.isprintable() else " " for character in text)
    return _shorten(_SECRET.sub(REDACTED, " ".join(printable.split())), EXCERPT_LIMIT)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds the provider asks to wait (RFC 9110 §10.2.3, or `retry-after-ms`); None if it does not say.

    Header names are lower-case. A date is measured against the response's own `date`; without that it says nothing.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    if seconds is not None:
        return seconds
    until = _http_date(value)
    since = _http_date(headers.get("date"))
    if until is None or since is None:
        return None
    return max(0.0, until - since)


def count_of(value: str | None) -> int | None:
    """A header's whole number of something; None for what is none, or more than any provider grants."""
    if value is None or len(value) > 18 or not (value.isascii() and value.isdecimal()):
        return None
    return int(value)


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _number(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _http_date(value: str | None) -> float | None:
    """Unix seconds."""
    if value is None:
        return None
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(value)
        return None if date.tzinfo is None else date.timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
