"""Which scheme a credential goes with. The only place that knows them all; each is imported by whoever needs it."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from waypost.config.model import Auth, Credential, Provider, Secret
from waypost.config.secrets import resolve
from waypost.upstream.auth.issuing import Issuing, Way
from waypost.upstream.auth.scheme import Scheme


def choose(
    provider: Provider, credential: Credential, environ: Mapping[str, str], issuing: Issuing, ca_file: str | None
) -> Scheme | None:
    """None for a fixed key, and for a provider without one. Raises SecretError, and ValueError for what is missing.

    A key that is given is sent as it is, whatever else the provider's scheme would be.
    """
    if credential.api_key is not None:
        return None
    way = Way(provider.proxy, provider.ca_file or ca_file)
    match credential.scheme(provider.auth):
        case Auth.SIGV4:
            return _sigv4(provider, credential, environ, issuing)
        case Auth.GOOGLE:
            return _google(provider, credential, environ, issuing, way)
        case Auth.ENTRA:
            return _entra(provider, credential, environ, issuing, way)
        case Auth.HEADER | Auth.QUERY:
            return None


def _sigv4(provider: Provider, credential: Credential, environ: Mapping[str, str], issuing: Issuing) -> Scheme:
    from waypost.upstream.auth import aws_chain
    from waypost.upstream.auth.sigv4 import AwsKeys, SigV4, region_of

    region = region_of(provider.base_url) or provider.region
    if region is None:
        raise ValueError(f"providers.{provider.name}: SigV4 needs a region, and base_url names none: set region")
    host = urlsplit(provider.base_url).netloc.rpartition("@")[2]
    if credential.access_key_id is not None and credential.secret_access_key is not None:
        keys = AwsKeys(
            resolve(credential.access_key_id, environ),
            resolve(credential.secret_access_key, environ),
            _optional(credential.session_token, environ),
        )
        return SigV4(keys, region, host)
    if not aws_chain.is_installed():
        raise ValueError(
            f"providers.{provider.name}: no access_key_id is given, and botocore, which would look for one on this "
            "machine, is not installed: pip install 'waypost[aws]'"
        )
    return SigV4(issuing.renewed("aws", aws_chain.from_chain()), region, host)


def _google(
    provider: Provider, credential: Credential, environ: Mapping[str, str], issuing: Issuing, way: Way
) -> Scheme:
    from waypost.upstream.auth import google
    from waypost.upstream.auth.token import BearerToken

    path = google.find_file(credential.credentials_file, environ)
    kept: tuple[str, ...] = ()
    if path is not None:
        file = google.read_file(path)
        kept = tuple(each for each in (file.private_key, file.client_secret, file.refresh_token) if each)
    return BearerToken(issuing.renewed(("google", path, way), google.tokens(path, environ, issuing, way)), kept)


def _entra(
    provider: Provider, credential: Credential, environ: Mapping[str, str], issuing: Issuing, way: Way
) -> Scheme | None:
    from waypost.upstream.auth import entra
    from waypost.upstream.auth.token import BearerToken

    if credential.tenant_id is None or credential.client_id is None or credential.client_secret is None:
        return None  # nothing to ask for a token with: a resource of one's own that wants no key
    secret = resolve(credential.client_secret, environ)
    application = entra.Application(credential.tenant_id, credential.client_id, secret)
    authority, scope = entra.authority_of(provider.base_url, environ), entra.scope_of(provider.base_url)
    fetch = entra.tokens(application, provider.base_url, environ, issuing, way)
    return BearerToken(issuing.renewed((application, authority, scope, way), fetch), (secret,))


def _optional(secret: Secret | None, environ: Mapping[str, str]) -> str | None:
    return None if secret is None else resolve(secret, environ)
