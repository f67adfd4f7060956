"""AWS Signature Version 4: each request is signed with a secret that is never sent. The arithmetic is `wire/sigv4.py`.

Signed are the host, the body and its type, the time and, where there is one, the session token.
"""

import re
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from msgspec import Struct

from waypost.upstream.auth.renewed import Renewed
from waypost.upstream.auth.scheme import Unsigned
from waypost.wire.http1 import header_lines
from waypost.wire.sigv4 import ALGORITHM, Scope, canonical_request, payload_digest, signature

SERVICE = "bedrock"
CONTENT_TYPE = "application/json"  # of every request, in its fixed headers
_AWS_HOST = re.compile(r"(?:[a-z0-9-]+\.)*bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws|api)\.")


class AwsKeys(Struct, frozen=True):
    """`session_token` for temporary ones."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return "AwsKeys()"


def region_of(base_url: str) -> str | None:
    """The region that an address of AWS names; None for any other."""
    match = _AWS_HOST.match(urlsplit(base_url).hostname or "")
    return match[1] if match else None


class SigV4:
    """`host` is what the Host header says; `wall` gives seconds since 1970."""

    __slots__ = ("_host", "_keys", "_region", "_wall")

    def __init__(
        self, keys: AwsKeys | Renewed[AwsKeys], region: str, host: str, wall: Callable[[], float] = time.time
    ) -> None:
        self._keys = keys
        self._region = region
        self._host = host
        self._wall = wall

    def lines(self, request: Unsigned) -> bytes | None:
        keys = self._keys if isinstance(self._keys, AwsKeys) else self._keys.get()
        return None if keys is None else self._signed(request, keys)

    async def wait(self, request: Unsigned) -> bytes:
        return self._signed(request, self._keys if isinstance(self._keys, AwsKeys) else await self._keys.wait())

    def warm(self) -> None:
        if not isinstance(self._keys, AwsKeys):
            self._keys.warm()

    def secrets(self) -> Iterator[str]:
        keys = self._keys if isinstance(self._keys, AwsKeys) else self._keys.last()
        if keys is not None:
            yield keys.secret_access_key
            if keys.session_token is not None:
                yield keys.session_token

    def _signed(self, request: Unsigned, keys: AwsKeys) -> bytes:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._wall()))
        added = {"x-amz-date": moment}
        if keys.session_token is not None:
            added["x-amz-security-token"] = keys.session_token
        headers = {"content-type": CONTENT_TYPE, "host": self._host, **added}
        scope = Scope(moment[:8], self._region, SERVICE)
        digest = payload_digest(request.body)
        canonical = canonical_request("POST", request.path, request.query, headers, headers, digest)
        told = signature(keys.secret_access_key, moment, scope, canonical)
        names = ";".join(sorted(headers))
        added["authorization"] = (
            f"{ALGORITHM} Credential={keys.access_key_id}/{scope}, SignedHeaders={names}, Signature={told}"
        )
        return header_lines(added.items())
