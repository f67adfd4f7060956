"""Keys in every protocol's own style, and what of a query may be seen by others."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from waypost.conversation.faults import ErrorKind, Refused
from waypost.gateway.keyring import ANYONE, Caller, Keyring, digest, presented_key, without_keys
from waypost.wire.sigv4 import Scope, canonical_request, payload_digest, signature

KEY = "wp-key/+&=ü"
APP = Caller(name="app")
HASHED = Caller(name="hashed")
RING = Keyring([(digest(KEY), APP), (digest("other"), HASHED)], {"app": KEY})
NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC).timestamp()


def exchange(headers: Mapping[str, str], query: str = "", body: bytes = b"{}") -> Any:
    return SimpleNamespace(method="POST", path="/model/m/converse", query=query, headers=headers, body=body)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": f"Bearer {KEY}"}, ""),
        ({"authorization": f"bearer  {KEY} "}, ""),
        ({"x-api-key": KEY}, ""),
        ({"x-goog-api-key": KEY}, ""),
        ({"x-goog-api-key": KEY}, "alt=sse"),
        ({}, "key=wp-key/%2B%26%3D%C3%BC"),
        ({}, "alt=sse&key=wp-key%2F%2B%26%3D%C3%BC&x=1"),
        ({}, "%6Bey=wp-key%2F%2B%26%3D%C3%BC"),
        ({"authorization": f"Bearer {KEY}"}, "key=another"),
    ],
)
def test_styles(headers: Mapping[str, str], query: str) -> None:
    assert RING.identify(exchange(headers, query), NOW) is APP


@pytest.mark.parametrize(
    ("headers", "query", "told"),
    [
        ({}, "", "No key was sent"),
        ({}, "alt=sse", "No key was sent"),
        ({}, "key=", "No key was sent"),
        ({"authorization": "Basic abc"}, "", "No key was sent"),
        ({}, "key=unknown-secret", "not known"),
        ({"x-goog-api-key": "unknown-secret"}, "", "not known"),
        ({"authorization": "Bearer app"}, "", "not known"),
    ],
)
def test_strangers(headers: Mapping[str, str], query: str, told: str) -> None:
    with pytest.raises(Refused, match=told) as refused:
        RING.identify(exchange(headers, query), NOW)
    assert refused.value.error.kind is ErrorKind.UNAUTHORIZED
    assert "unknown-secret" not in refused.value.error.message


def signed(name: str, secret: str, body: bytes = b"{}") -> dict[str, str]:
    headers = {"host": "here", "x-amz-date": "20261121T120000Z"}
    scope = Scope("20261121", "us-east-1", "bedrock")
    canonical = canonical_request("POST", "/model/m/converse", "", headers, tuple(headers), payload_digest(body))
    made = signature(secret, headers["x-amz-date"], scope, canonical)
    told = f"Credential={name}/{scope}, SignedHeaders=host;x-amz-date, Signature={made}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {told}"}


def test_a_signature_names_its_key() -> None:
    assert RING.identify(exchange(signed("app", KEY)), NOW) is APP


@pytest.mark.parametrize(
    ("name", "secret", "told"),
    [
        ("app", "wrong", "does not fit"),
        ("nobody", KEY, "No key of this name"),
        ("hashed", "other", "configured by its hash.*`key:`"),
    ],
)
def test_signatures_that_are_not_taken(name: str, secret: str, told: str) -> None:
    with pytest.raises(Refused, match=told) as refused:
        RING.identify(exchange(signed(name, secret)), NOW)
    assert refused.value.error.kind is ErrorKind.UNAUTHORIZED


def test_a_signature_is_of_one_body_and_one_time() -> None:
    headers = signed("app", KEY)
    with pytest.raises(Refused, match="does not fit"):
        RING.identify(exchange(headers, body=b'{"more": 1}'), NOW)
    with pytest.raises(Refused, match="five minutes"):
        RING.identify(exchange(headers), NOW + 301)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", "http://[", "http://[::1", "//", "é"])
def test_a_page_of_who_knows_where_is_refused_without_keys(origin: str) -> None:
    with pytest.raises(Refused) as refused:
        Keyring([]).identify(exchange({"origin": origin}), NOW)
    assert refused.value.error.kind is ErrorKind.POLICY_DENIED


def test_without_keys_a_signature_is_not_asked_for() -> None:
    assert Keyring([]).identify(exchange(signed("AKIA", "any")), NOW) is ANYONE


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", ""),
        ("key=a", ""),
        ("alt=sse&key=a", "alt=sse"),
        ("key=a&alt=sse&key=b", "alt=sse"),
        ("%6b%65y=a&b=%20", "b=%20"),
        ("access_token=a&oauth_token=b&c", "c"),
        ("monkey=1&keys=2", "monkey=1&keys=2"),
    ],
)
def test_a_provider_sees_no_key_of_ours(query: str, wanted: str) -> None:
    assert without_keys(query) == wanted


def test_a_header_goes_before_the_query() -> None:
    assert presented_key({"x-goog-api-key": "a"}, "key=b") == "a"
    assert presented_key({"x-api-key": "a", "x-goog-api-key": "b"}) == "a"
