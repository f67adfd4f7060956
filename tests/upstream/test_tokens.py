"""Tokens are asked for as their issuers want it: service accounts, users, the machine, applications."""

import base64
import importlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest

from upstream.providing import Link, Providing, pooling, providing
from waypost.config.model import Auth, Credential, Provider, ProviderClass, Secret
from waypost.conversation.faults import FaultKind, UpstreamFault
from waypost.upstream.auth import aws_chain, entra, google
from waypost.upstream.auth.choose import choose
from waypost.upstream.auth.issuing import Issuing, Way
from waypost.upstream.auth.scheme import Scheme, Unsigned
from waypost.upstream.auth.sigv4 import SigV4

HERE = Way(proxy="none")
ANY = Unsigned("/", "", b"{}")


def answer(status: int, body: object) -> bytes:
    content = json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status,
        len(content),
        content,
    )


@asynccontextmanager
async def issuer(status: int = 200, body: object = None) -> AsyncIterator[tuple[Providing, Issuing, list[Any]]]:
    """A token endpoint: itself, who asks it, and what it was asked (head, form)."""
    asked: list[Any] = []
    told = {"access_token": "tok-1", "expires_in": 3599, "token_type": "Bearer"} if body is None else body

    async def script(link: Link) -> None:
        while True:
            head, form = await link.request()
            asked.append((head.decode(), {name: values[0] for name, values in parse_qs(form.decode()).items()}))
            link.send(answer(status, told))

    async with providing(script) as server, pooling() as pool:
        issuing = Issuing(pool.send)
        yield server, issuing, asked
        issuing.close()


def url_of(server: Providing) -> str:
    return str(server.peer.origin)


def write(folder: Path, **members: object) -> str:
    path = folder / "credentials.json"
    path.write_text(json.dumps(members), encoding="utf-8")
    return str(path)


def rsa_key() -> tuple[str, Any]:
    rsa: Any = importlib.import_module("cryptography.hazmat.primitives.asymmetric.rsa")
    serialization: Any = importlib.import_module("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode(), key.public_key()


async def test_a_service_account_asks_with_a_signed_assertion(tmp_path: Path) -> None:
    pem, public = rsa_key()
    async with issuer() as (server, issuing, asked):
        uri = f"{url_of(server)}/token"
        path = write(
            tmp_path,
            type="service_account",
            client_email="a@b.iam.gserviceaccount.com",
            private_key=pem,
            private_key_id="kid-1",
            token_uri=uri,
        )
        lease = await google.tokens(path, {}, issuing, HERE, lambda: 1_800_000_000.0)()
    assert (lease.value.value, lease.lasts_s) == ("tok-1", 3599)
    head, form = asked[0]
    assert head.startswith("POST /token HTTP/1.1\r\n")
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    told, _, signature = form["assertion"].rpartition(".")
    first, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in told.split("."))
    assert first == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}
    assert claims == {
        "iss": "a@b.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": uri,
        "iat": 1_800_000_000,
        "exp": 1_800_003_600,
    }
    padding: Any = importlib.import_module("cryptography.hazmat.primitives.asymmetric.padding")
    hashes: Any = importlib.import_module("cryptography.hazmat.primitives.hashes")
    public.verify(base64.urlsafe_b64decode(signature + "=="), told.encode(), padding.PKCS1v15(), hashes.SHA256())


async def test_a_user_asks_with_a_refresh_token_and_names_who_pays(tmp_path: Path) -> None:
    async with issuer() as (server, issuing, asked):
        path = write(
            tmp_path,
            type="authorized_user",
            client_id="id",
            client_secret="client-planted",
            refresh_token="refresh-planted",
            token_uri=f"{url_of(server)}/token",
            quota_project_id="proj",
        )
        lease = await google.tokens(path, {}, issuing, HERE)()
    form = {
        "grant_type": "refresh_token",
        "client_id": "id",
        "client_secret": "client-planted",
        "refresh_token": "refresh-planted",
    }
    assert asked[0][1] == form
    assert lease.value.headers == (("x-goog-user-project", "proj"),)


async def test_a_machine_is_asked_for_its_own() -> None:
    async with issuer() as (server, issuing, asked):
        environ = {"GCE_METADATA_HOST": url_of(server).removeprefix("http://")}
        lease = await google.tokens(None, environ, issuing, HERE)()
    assert lease.value.value == "tok-1"
    assert asked[0][0].startswith("GET /computeMetadata/v1/instance/service-accounts/default/token HTTP/1.1\r\n")
    assert "metadata-flavor: Google\r\n" in asked[0][0]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"GOOGLE_APPLICATION_CREDENTIALS": "/named.json", "HOME": "HERE"}, "/named.json"),
        ({"CLOUDSDK_CONFIG": "HERE"}, "HERE/application_default_credentials.json"),
        ({"HOME": "HERE"}, "HERE/.config/gcloud/application_default_credentials.json"),
        ({"HOME": "HERE/nobody"}, None),
        ({}, None),
    ],
)
def test_where_credentials_are_looked_for(environ: dict[str, str], expected: str | None, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / ".config" / "gcloud"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "application_default_credentials.json").write_text("{}", encoding="utf-8")
    environ = {name: value.replace("HERE", str(tmp_path)) for name, value in environ.items()}
    assert google.find_file(None, environ) == (expected and expected.replace("HERE", str(tmp_path)))
    assert google.find_file("/given.json", environ) == "/given.json"


@pytest.mark.parametrize("content", ["", "[]", '{"type": "external_account"}', '{"type": 3}', '{"no": "type"}'])
def test_a_file_that_is_none_is_told_without_what_is_in_it(content: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"x\.json"):
        google.read_file(str(path))
    with pytest.raises(ValueError, match="nowhere"):
        google.read_file(str(tmp_path / "nowhere"))


async def test_an_application_shows_its_secret() -> None:
    async with issuer() as (server, issuing, asked):
        environ = {"AZURE_AUTHORITY_HOST": url_of(server)}
        application = entra.Application("ten/ant", "cli", "secret-planted")
        lease = await entra.tokens(application, "https://r.openai.azure.com/openai/v1", environ, issuing, HERE)()
    assert lease.value.value == "tok-1"
    assert asked[0][0].startswith("POST /ten%2Fant/oauth2/v2.0/token HTTP/1.1\r\n")
    assert asked[0][1] == {
        "grant_type": "client_credentials",
        "client_id": "cli",
        "client_secret": "secret-planted",
        "scope": "https://cognitiveservices.azure.com/.default",
    }
    assert "planted" not in repr(application)


@pytest.mark.parametrize(
    ("base_url", "authority", "scope"),
    [
        ("https://r.openai.azure.com/x", "login.microsoftonline.com", "azure.com"),
        ("https://r.openai.azure.us/x", "login.microsoftonline.us", "azure.us"),
        ("https://r.openai.azure.cn/x", "login.partner.microsoftonline.cn", "azure.cn"),
        ("http://127.0.0.1:1/x", "login.microsoftonline.com", "azure.com"),
    ],
)
def test_each_cloud_has_its_own_authority(base_url: str, authority: str, scope: str) -> None:
    assert entra.authority_of(base_url, {}) == f"https://{authority}"
    assert entra.scope_of(base_url) == f"https://cognitiveservices.{scope}/.default"


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, {"error": "invalid_grant", "error_description": "planted"}, FaultKind.UNAUTHORIZED, "400 invalid_grant"),
        (401, {"error": "planted here"}, FaultKind.UNAUTHORIZED, "401"),
        (503, "planted", FaultKind.SERVER_ERROR, "503"),
        (200, {"access_token": 3}, FaultKind.MALFORMED, "no token"),
        (200, ["planted"], FaultKind.MALFORMED, "no token"),
        (200, {"access_token": "t\r\nx-planted: 1", "expires_in": 60}, FaultKind.MALFORMED, "no header can carry"),
        (200, {"access_token": "t planted", "expires_in": 60}, FaultKind.MALFORMED, "no header can carry"),
        (200, {"access_token": "t\u2028planted", "expires_in": 60}, FaultKind.MALFORMED, "no header can carry"),
        (200, {"access_token": "", "expires_in": 60}, FaultKind.MALFORMED, "no header can carry"),
        (200, {"access_token": "t", "expires_in": "planted"}, FaultKind.MALFORMED, "no token"),
        (200, {"access_token": "t", "expires_in": "inf"}, FaultKind.MALFORMED, "expires at no time"),
        (200, {"access_token": "t", "expires_in": "nan"}, FaultKind.MALFORMED, "expires at no time"),
        (200, {"access_token": "t", "expires_in": -1}, FaultKind.MALFORMED, "expires at no time"),
    ],
)
async def test_a_refusal_tells_its_code_and_not_its_text(
    status: int, body: object, kind: FaultKind, words: str
) -> None:
    async with issuer(status, body) as (server, issuing, _):
        with pytest.raises(UpstreamFault) as caught:
            await issuing.grant(url_of(server), {"a": "b"}, HERE)
    assert caught.value.fault.kind is kind
    assert words in str(caught.value)
    assert "planted" not in str(caught.value)


async def test_a_life_may_be_written_as_a_text() -> None:
    async with issuer(200, {"access_token": "tok-1", "expires_in": "3599"}) as (server, issuing, _):
        lease = await issuing.grant(url_of(server), {"a": "b"}, HERE)
    assert lease.lasts_s == 3599


async def test_what_is_asked_for_again_is_shared_and_what_is_not_ends() -> None:
    async with issuer() as (server, issuing, asked):

        def of(name: str) -> Any:
            return issuing.renewed(name, lambda: issuing.grant(url_of(server), {"n": name}, HERE))

        issuing.begin()
        one, two = of("one"), of("two")
        issuing.settle()
        await one.wait()
        await two.wait()
        issuing.begin()
        assert of("one") is one
        issuing.settle()
        assert of("two") is not two
        assert len(asked) == 2


# ---- which credential goes with which scheme


def provider(**members: Any) -> Provider:
    facts: dict[str, Any] = {
        "name": "p",
        "kind": "bedrock",
        "base_url": "https://bedrock-runtime.us-east-1.amazonaws.com",
        "dialect": "bedrock",
        "auth_header": "authorization",
        "auth_prefix": "Bearer ",
        "provider_class": ProviderClass.HOSTED,
        "auth": Auth.SIGV4,
    }
    return Provider(**{**facts, **members})


def chosen(it: Provider, environ: dict[str, str] | None = None, **login: Any) -> Scheme | None:
    return choose(it, Credential(name="default", **login), environ or {}, Issuing(), None)


def test_a_key_that_is_given_is_sent_as_it_is() -> None:
    assert chosen(provider(), api_key=Secret("k")) is None
    assert chosen(provider(auth=Auth.GOOGLE), api_key=Secret("k")) is None


def test_what_a_login_is_made_of_says_how_it_is_shown(tmp_path: Path) -> None:
    aws = chosen(
        provider(auth=Auth.HEADER), {"S": "secret"}, access_key_id=Secret("id"), secret_access_key=Secret("${S}")
    )
    assert isinstance(aws, SigV4)
    assert list(aws.secrets()) == ["secret"]
    path = write(tmp_path, type="authorized_user", client_secret="cs", refresh_token="rt")
    of_file = chosen(provider(auth=Auth.HEADER), credentials_file=path)
    assert of_file is not None
    assert list(of_file.secrets()) == ["cs", "rt"]
    of_entra = chosen(provider(auth=Auth.HEADER), tenant_id="t", client_id="c", client_secret=Secret("es"))
    assert of_entra is not None
    assert list(of_entra.secrets()) == ["es"]
    assert chosen(provider(auth=Auth.HEADER)) is None


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    login: dict[str, Any] = {"access_key_id": Secret("id"), "secret_access_key": Secret("s")}
    with pytest.raises(ValueError, match=r"providers\.p: .*set region"):
        chosen(provider(base_url="http://127.0.0.1:1"), **login)
    assert chosen(provider(base_url="http://127.0.0.1:1", region="eu-west-1"), **login) is not None
    monkeypatch.setattr(aws_chain, "is_installed", lambda: False)
    with pytest.raises(ValueError, match=r"waypost\[aws\]"):
        chosen(provider())


async def test_the_machine_s_aws_credentials_come_through_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = SimpleNamespace(
        get_frozen_credentials=lambda: SimpleNamespace(access_key="id", secret_key="sec", token="tok"),
        _expiry_time=datetime.now(UTC) + timedelta(hours=1),
    )
    module = ModuleType("botocore.session")
    module.get_session = lambda: SimpleNamespace(get_credentials=lambda: credentials)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "botocore", ModuleType("botocore"))
    monkeypatch.setitem(sys.modules, "botocore.session", module)
    fetch = aws_chain.from_chain()
    lease = await fetch()
    assert (lease.value.access_key_id, lease.value.secret_access_key, lease.value.session_token) == ("id", "sec", "tok")
    assert 3500 < lease.lasts_s <= 3600
    credentials._expiry_time = None
    assert (await fetch()).lasts_s == float("inf")
    module.get_session = lambda: SimpleNamespace(get_credentials=lambda: None)  # type: ignore[attr-defined]
    with pytest.raises(UpstreamFault, match="no AWS credentials"):
        await aws_chain.from_chain()()
