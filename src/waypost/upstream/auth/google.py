"""Tokens of Google Cloud: of a service account, of a user who logged in with gcloud, of the machine.

Follows Google's "Application Default Credentials" and "OAuth 2.0 for server to server applications". A service
account's key signs with RS256, for which `pip install 'waypost[google]'` brings cryptography; nothing else needs it.
"""

import asyncio
import base64
import importlib
import importlib.util
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from waypost.conversation.faults import Fault, FaultKind, UpstreamFault
from waypost.upstream.auth.issuing import Issuing, Way
from waypost.upstream.auth.renewed import Lease
from waypost.upstream.auth.token import Token

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105  an address
_ASSERTED_S = 3600
_LARGEST_FILE = 64 * 1024
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_MACHINE = "/computeMetadata/v1/instance/service-accounts/default/token"


class Kept(Struct, frozen=True):
    """A file of credentials, of either kind."""

    type: str
    client_email: str = ""
    private_key: str = ""
    private_key_id: str | None = None
    token_uri: str = TOKEN_URI
    client_id: str = ""
    client_secret: str = ""
    refresh_token: str = ""
    quota_project_id: str | None = None

    def __repr__(self) -> str:
        return f"Kept({self.type!r})"


def find_file(given: str | None, environ: Mapping[str, str]) -> str | None:
    """The file that holds the credentials; None where there is none, so that the machine's own are meant."""
    named = given or environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return named
    home = environ.get("HOME")
    folder = environ.get("CLOUDSDK_CONFIG") or (f"{home}/.config/gcloud" if home else None)
    usual = None if folder is None else Path(folder) / "application_default_credentials.json"
    return str(usual) if usual is not None and usual.is_file() else None


def read_file(path: str) -> Kept:
    """ValueError for what is no such file, or needs what is not installed; never shows what is in it."""
    try:
        with Path(path).open("rb") as file:
            kept = msgspec.json.decode(file.read(_LARGEST_FILE), type=Kept)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a file of Google credentials: {type(error).__name__}") from None
    if kept.type not in ("service_account", "authorized_user"):
        raise ValueError(f"{path} holds credentials of type {kept.type[:40]!r}; service_account and authorized_user do")
    if kept.type == "service_account" and importlib.util.find_spec("cryptography") is None:
        raise ValueError(f"{path} is a service account's key, which needs cryptography: pip install 'waypost[google]'")
    return kept


def tokens(
    path: str | None, environ: Mapping[str, str], issuing: Issuing, way: Way, wall: Callable[[], float] = time.time
) -> Callable[[], Awaitable[Lease[Token]]]:
    """What `Renewed` fetches. The file is read each time, so that a new key in it is noticed."""
    machine = environ.get("GCE_METADATA_HOST") or "metadata.google.internal"

    async def fetch() -> Lease[Token]:
        if path is None:
            here = Way(proxy="none")
            return await issuing.look_up(f"http://{machine}{_MACHINE}", (("metadata-flavor", "Google"),), here)
        try:
            kept = read_file(path)
        except ValueError as error:
            raise UpstreamFault(Fault(kind=FaultKind.UNAUTHORIZED, message=str(error))) from None
        if kept.type == "service_account":
            loop = asyncio.get_running_loop()
            asserted = await loop.run_in_executor(None, assertion, kept, int(wall()))
            return await issuing.grant(kept.token_uri, {"grant_type": _GRANT, "assertion": asserted}, way)
        lease = await issuing.grant(
            kept.token_uri,
            {
                "grant_type": "refresh_token",
                "client_id": kept.client_id,
                "client_secret": kept.client_secret,
                "refresh_token": kept.refresh_token,
            },
            way,
        )
        if kept.quota_project_id is None:
            return lease
        return Lease(Token(lease.value.value, (("x-goog-user-project", kept.quota_project_id),)), lease.lasts_s)

    return fetch


def assertion(kept: Kept, now_s: int) -> str:
    """A signed statement of who asks (RFC 7523, RS256)."""
    head: dict[str, object] = {"alg": "RS256", "typ": "JWT"}
    if kept.private_key_id is not None:
        head["kid"] = kept.private_key_id
    claims = {
        "iss": kept.client_email,
        "scope": SCOPE,
        "aud": kept.token_uri,
        "iat": now_s,
        "exp": now_s + _ASSERTED_S,
    }
    told = f"{_encoded(msgspec.json.encode(head))}.{_encoded(msgspec.json.encode(claims))}"
    return f"{told}.{_encoded(_rs256(kept.private_key.encode(), told.encode()))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _rs256(key: bytes, told: bytes) -> bytes:
    """Imported here: only whoever has a service account has it, and pays for it."""
    primitives = "cryptography.hazmat.primitives"
    serialization: Any = importlib.import_module(f"{primitives}.serialization")
    hashes: Any = importlib.import_module(f"{primitives}.hashes")
    padding: Any = importlib.import_module(f"{primitives}.asymmetric.padding")
    signed: bytes = serialization.load_pem_private_key(key, None).sign(told, padding.PKCS1v15(), hashes.SHA256())
    return signed
