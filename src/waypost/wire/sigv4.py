"""AWS Signature Version 4 as arithmetic: a request's parts and a secret in, a signature out. Knows no clock, no key's
owner and no service; who signs and who verifies both compute it here.

Follows "Create a signed AWS API request" of the AWS General Reference, for every service but S3: the path is encoded
once more than it was sent.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from msgspec import Struct

ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"


class Scope(Struct, frozen=True):
    """What a signature is good for. `day` is YYYYMMDD, in UTC."""

    day: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


def payload_digest(body: bytes) -> str:
    """SHA-256 of a body, as hex digits: what `x-amz-content-sha256` says."""
    return hashlib.sha256(body).hexdigest()


def canonical_request(
    method: str, path: str, query: str, headers: Mapping[str, str], signed: Iterable[str], digest: str
) -> str:
    """`path` and `query` as sent; header names lower-case, each of `signed` among them; `digest` the body's."""
    names = sorted(signed)
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
    return "\n".join((method, canonical_path(path), canonical_query(query), lines, ";".join(names), digest))


def canonical_path(path: str) -> str:
    """Without empty, `.` and `..` segments, and percent-encoded once more than it was sent."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    tail = "/" if kept and path.endswith("/") else ""
    return quote(f"/{'/'.join(kept)}{tail}", safe=f"/{_UNRESERVED}")


def canonical_query(query: str) -> str:
    """The parameters by name and value; one without a value has an empty one."""
    pairs = sorted(part.partition("=")[::2] for part in query.split("&") if part)
    return "&".join(f"{name}={value}" for name, value in pairs)


def signature(secret: str, moment: str, scope: Scope, canonical: str) -> str:
    """64 hex digits. `moment` is `x-amz-date`: YYYYMMDDTHHMMSSZ."""
    told = f"{ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (scope.day, scope.region, scope.service, "aws4_request", told):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()
