"""Tokens of Microsoft Entra for Azure OpenAI: an application shows its secret (client credentials, RFC 6749, 4.4)."""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import quote, urlsplit

from msgspec import Struct

from waypost.upstream.auth.issuing import Issuing, Way
from waypost.upstream.auth.renewed import Lease
from waypost.upstream.auth.token import Token

_CLOUDS = {"us": "login.microsoftonline.us", "cn": "login.partner.microsoftonline.cn"}


class Application(Struct, frozen=True):
    tenant_id: str
    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return f"Application({self.client_id!r})"


def authority_of(base_url: str, environ: Mapping[str, str]) -> str:
    """Who issues tokens for a resource: that of its cloud, unless `AZURE_AUTHORITY_HOST` names another."""
    named = environ.get("AZURE_AUTHORITY_HOST")
    if named:
        return (named if "://" in named else f"https://{named}").rstrip("/")
    cloud = (urlsplit(base_url).hostname or "").rpartition(".")[2]
    return f"https://{_CLOUDS.get(cloud, 'login.microsoftonline.com')}"


def scope_of(base_url: str) -> str:
    cloud = (urlsplit(base_url).hostname or "").rpartition(".")[2]
    return f"https://cognitiveservices.azure.{cloud if cloud in _CLOUDS else 'com'}/.default"


def tokens(
    application: Application, base_url: str, environ: Mapping[str, str], issuing: Issuing, way: Way
) -> Callable[[], Awaitable[Lease[Token]]]:
    """What `Renewed` fetches."""
    url = f"{authority_of(base_url, environ)}/{quote(application.tenant_id, safe='')}/oauth2/v2.0/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": application.client_id,
        "client_secret": application.client_secret,
        "scope": scope_of(base_url),
    }

    async def fetch() -> Lease[Token]:
        return await issuing.grant(url, form, way)

    return fetch
