"""Signatures: one request as botocore 1.44.5 signed it, and every way in which it may not be what it was."""

from datetime import UTC, datetime
from typing import Any

import pytest

from waypost.conversation.faults import ErrorKind, Refused
from waypost.governance.signed_request import is_signed, read_signed, verify
from waypost.wire.sigv4 import Scope, canonical_path, canonical_query, payload_digest, signature

SECRET = "wp-sigv4/test+secret"
SIGNED_AT = datetime(2026, 11, 21, 12, 28, 57, tzinfo=UTC).timestamp()
SIGNATURE = "83df422c1e9a986e65a7566f6b2f625f7c9d81d9d0c8a5e884150e2a6d729a51"
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=team app/20261121/eu-central-1/bedrock/aws4_request,"
    f" SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature={SIGNATURE}"
)
HEADERS = {
    "content-type": "application/json",
    "host": "127.0.0.1:8080",
    "x-amz-date": "20261121T122857Z",
    "x-amz-security-token": "sess/ion==",
    "user-agent": "Boto3",
    "authorization": AUTHORIZATION,
}
BODY = b'{"messages": [{"role": "user", "content": [{"text": "Gr\\u00fc\\u00dfe"}]}]}'
REQUEST: dict[str, Any] = {
    "secret": SECRET,
    "method": "POST",
    "path": "/model/openai%2Fsim-small%3A0%20%C3%A9~/converse",
    "query": "",
    "headers": HEADERS,
    "body": BODY,
    "now_s": SIGNED_AT,
}


def check(**changes: Any) -> None:
    given = {**REQUEST, **changes}
    verify(read_signed(given["headers"]["authorization"]), **given)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"now_s": SIGNED_AT + 299},
        {"now_s": SIGNED_AT - 299},
        {"headers": {**HEADERS, "user-agent": "another"}},
        {"headers": {**HEADERS, "content-type": "  application/json "}},
        {"headers": {**HEADERS, "x-amz-content-sha256": payload_digest(BODY)}},
    ],
)
def test_what_botocore_signed_is_taken(changes: dict[str, Any]) -> None:
    check(**changes)


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in HEADERS.items() if name not in names}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"secret": "another"}, "does not fit"),
        ({"method": "GET"}, "does not fit"),
        ({"path": "/model/other/converse"}, "does not fit"),
        ({"path": "/model/other/../openai%2Fsim-small%3A0%20%C3%A9~/converse"}, "can't be signed"),
        ({"path": "/model//openai%2Fsim-small%3A0%20%C3%A9~/converse"}, "can't be signed"),
        ({"path": "/./model/openai%2Fsim-small%3A0%20%C3%A9~/converse"}, "can't be signed"),
        ({"query": "a=b"}, "does not fit"),
        ({"body": BODY + b" "}, "does not fit"),
        ({"headers": {**HEADERS, "host": "elsewhere"}}, "does not fit"),
        ({"headers": {**HEADERS, "x-amz-security-token": "other"}}, "does not fit"),
        ({"headers": {**HEADERS, "authorization": AUTHORIZATION[:-1] + "é"}}, "does not fit"),
        ({"headers": {**HEADERS, "authorization": AUTHORIZATION.replace("eu-", "us-")}}, "does not fit"),
        ({"headers": without("x-amz-security-token")}, "did not arrive"),
        ({"headers": without("x-amz-date")}, "x-amz-date is missing"),
        ({"headers": {**HEADERS, "x-amz-date": "yesterday"}}, "x-amz-date is missing"),
        ({"headers": {**HEADERS, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}, "SHA-256 of the body"),
        ({"headers": {**HEADERS, "x-amz-content-sha256": payload_digest(b"")}}, "SHA-256 of the body"),
        ({"now_s": SIGNED_AT + 301}, "five minutes"),
        ({"now_s": SIGNED_AT - 301}, "five minutes"),
        ({"headers": {**HEADERS, "authorization": AUTHORIZATION.replace("/20261121/", "/20261120/")}}, "another day"),
        ({"headers": {**HEADERS, "authorization": AUTHORIZATION.replace("host;", "")}}, "'host'"),
        ({"headers": {**HEADERS, "authorization": AUTHORIZATION.replace("x-amz-date;", "")}}, "'x-amz-date'"),
    ],
)
def test_anything_else_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told) as refused:
        check(**changes)
    assert refused.value.error.kind is ErrorKind.UNAUTHORIZED
    assert SIGNATURE not in refused.value.error.message
    assert SECRET not in refused.value.error.message


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a/b/c/aws4_request, SignedHeaders=host, Signature=1",
        "AWS4-HMAC-SHA256 Credential=a/20261121/r/s/aws4_request, Signature=1",
        "AWS4-HMAC-SHA256 Credential=a/20261121/r/s/aws4_request, SignedHeaders=host",
        "AWS4-HMAC-SHA256 ,,=,",
    ],
)
def test_what_is_no_signature(authorization: str) -> None:
    with pytest.raises(Refused, match="not one of"):
        read_signed(authorization)


def test_names_may_hold_slashes() -> None:
    signed = read_signed(AUTHORIZATION.replace("team app", "team/app"))
    assert (signed.name, signed.scope) == ("team/app", Scope("20261121", "eu-central-1", "bedrock"))


def test_other_schemes_are_not_signed() -> None:
    assert is_signed(HEADERS)
    assert not is_signed({"authorization": "Bearer AWS4"})
    assert not is_signed({})


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/", "/"),
        ("", "/"),
        ("//a//b/", "/a/b/"),
        ("/a/./b/../c", "/a/c"),
        ("/../a", "/a"),
        ("/m%3A0/x~y", "/m%253A0/x~y"),
        ("/a:b", "/a%3Ab"),
    ],
)
def test_paths(path: str, wanted: str) -> None:
    assert canonical_path(path) == wanted


@pytest.mark.parametrize(
    ("query", "wanted"), [("", ""), ("b=2&a=1", "a=1&b=2"), ("b", "b="), ("a=2&a=1", "a=1&a=2"), ("a==", "a==")]
)
def test_queries(query: str, wanted: str) -> None:
    assert canonical_query(query) == wanted


def test_a_signature_depends_on_all_it_is_made_of() -> None:
    scope = Scope("20261121", "r", "s")
    made = {
        signature(*each)
        for each in [
            ("k", "t", scope, "c"),
            ("l", "t", scope, "c"),
            ("k", "u", scope, "c"),
            ("k", "t", Scope("20261122", "r", "s"), "c"),
            ("k", "t", Scope("20261121", "q", "s"), "c"),
            ("k", "t", Scope("20261121", "r", "q"), "c"),
            ("k", "t", scope, "d"),
        ]
    }
    assert len(made) == 7
