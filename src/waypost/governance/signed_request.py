"""Whether a request that is signed with AWS Signature Version 4 was signed by whom it names, just now, and as it is.

Knows what must be covered by a signature and how old one may be. The time is an argument, the secrets are another's.
"""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

from waypost.conversation.faults import ErrorKind, Refused
from waypost.wire.sigv4 import ALGORITHM, Scope, canonical_request, payload_digest, signature

MOST_SKEW_S = 300.0
_MOMENT = "%Y%m%dT%H%M%SZ"
_MUST_BE_SIGNED = ("host", "x-amz-date")


class Signed(Struct, frozen=True):
    """What an `Authorization` header says: who signs, for what, which headers, with what result."""

    name: str
    scope: Scope
    headers: tuple[str, ...]
    signature: str


def is_signed(headers: Mapping[str, str]) -> bool:
    return headers.get("authorization", "").startswith(ALGORITHM)


def read_signed(authorization: str) -> Signed:
    """Raises Refused(UNAUTHORIZED) for what is no such header. Never repeats the signature."""
    parts = {
        name: value
        for each in authorization.removeprefix(ALGORITHM).split(",")
        for name, _, value in (each.strip().partition("="),)
    }
    scope = parts.get("Credential", "").rsplit("/", 4)
    if len(scope) != 5 or scope[4] != "aws4_request" or not parts.get("SignedHeaders") or not parts.get("Signature"):
        raise _refused(f"The Authorization header is not one of {ALGORITHM}.")
    name, day, region, service, _ = scope
    return Signed(
        name, Scope(day, region, service), tuple(parts["SignedHeaders"].lower().split(";")), parts["Signature"]
    )


def verify(
    signed: Signed,
    secret: str,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    now_s: float,
) -> None:
    """Raises Refused(UNAUTHORIZED) for a signature of something else, by someone else, or of another time.

    `path` and `query` as received; header names lower-case; `now_s` seconds since 1970.
    """
    moment = headers.get("x-amz-date", "")
    _check_time(moment, signed.scope, now_s)
    _check_path(path)
    for name in _MUST_BE_SIGNED:
        if name not in signed.headers:
            raise _refused(f"The signature does not cover the header {name!r}.")
    absent = [name for name in signed.headers if name not in headers]
    if absent:
        raise _refused(f"The signature covers a header that did not arrive: {absent[0][:80]!r}.")
    digest = payload_digest(body)
    if not _same(headers.get("x-amz-content-sha256", digest), digest):
        raise _refused("x-amz-content-sha256 is not the SHA-256 of the body; unsigned bodies are not taken.")
    canonical = canonical_request(method, path, query, headers, signed.headers, digest)
    if not _same(signature(secret, moment, signed.scope, canonical), signed.signature):
        raise _refused("The signature does not fit the request. Is the secret access key the Waypost key itself?")


def _check_time(moment: str, scope: Scope, now_s: float) -> None:
    try:
        at = datetime.strptime(moment, _MOMENT).replace(tzinfo=UTC)
    except ValueError:
        raise _refused("x-amz-date is missing, or is not of the form YYYYMMDDTHHMMSSZ.") from None
    if abs(now_s - at.timestamp()) > MOST_SKEW_S:
        raise _refused("The signature's time is more than five minutes off. Is the clock right?")
    if scope.day != moment[:8]:
        raise _refused("The signature's scope is of another day than x-amz-date.")


def _check_path(path: str) -> None:
    """What is signed is a path without these segments; here a name is read with them, and would be another one."""
    if any(segment in ("", ".", "..") for segment in path.split("/")[1:-1]):
        raise _refused("A path with empty segments, or with . or .. for one, can't be signed; percent-encode slashes.")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _refused(message: str) -> Refused:
    return Refused(ErrorKind.UNAUTHORIZED, message)
