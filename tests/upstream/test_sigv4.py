"""Signatures are those of botocore's own signer, with which the vectors here were made."""

import calendar

import pytest

from waypost.upstream.auth.renewed import Lease, Renewed
from waypost.upstream.auth.scheme import Unsigned
from waypost.upstream.auth.sigv4 import AwsKeys, SigV4, region_of

MOMENT = calendar.timegm((2026, 3, 1, 12, 30, 45))
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEXAMPLE//token=="
PROFILE = "arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.amazon.nova-lite-v1%3A0"
VECTORS = [
    pytest.param(
        Unsigned("/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse", "", b'{"messages":[]}'),
        "us-east-1",
        None,
        "79cf8081bebed50d35b426a175c747411eb062dec6574408710222d967016441",
        id="model",
    ),
    pytest.param(
        Unsigned(f"/model/{PROFILE}/converse-stream", "", '{"a":"é"}'.encode()),
        "eu-west-1",
        TOKEN,
        "474721e2d7bc81eb7eecedfba7ee9a91c18275cb8fe572212271983ddbf0581c",
        id="profile-with-session-token",
    ),
    pytest.param(
        Unsigned("/model/m/converse", "b=2&a=1&a=0&c", b""),
        "us-west-2",
        None,
        "002df8145df7f908d37d78e103bed5325a1ddbc9b94c90d8f0986db547cd03ad",
        id="query",
    ),
]


def signer(region: str, token: str | None = None) -> SigV4:
    keys = AwsKeys("AKIDEXAMPLE", SECRET, token)
    return SigV4(keys, region, f"bedrock-runtime.{region}.amazonaws.com", lambda: MOMENT)


@pytest.mark.parametrize(("request_", "region", "token", "expected"), VECTORS)
def test_as_botocore_signs(request_: Unsigned, region: str, token: str | None, expected: str) -> None:
    lines = signer(region, token).lines(request_)
    assert lines is not None
    headers = dict(line.split(": ", 1) for line in lines.decode().splitlines())
    assert headers["x-amz-date"] == "20260301T123045Z"
    assert headers.get("x-amz-security-token") == token
    assert headers["authorization"].startswith(
        f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260301/{region}/bedrock/aws4_request, SignedHeaders="
    )
    assert headers["authorization"].endswith(f"Signature={expected}")


def test_secrets_are_told_to_be_concealed_and_not_shown() -> None:
    assert list(signer("us-east-1", TOKEN).secrets()) == [SECRET, TOKEN]
    assert SECRET not in repr(AwsKeys("AKIDEXAMPLE", SECRET))


async def test_keys_that_are_renewed_are_waited_for_once() -> None:
    async def fetch() -> Lease[AwsKeys]:
        return Lease(AwsKeys("AKIDEXAMPLE", SECRET), 3600.0)

    renewed = Renewed(fetch)
    it = SigV4(renewed, "us-east-1", "bedrock-runtime.us-east-1.amazonaws.com", lambda: MOMENT)
    request = Unsigned("/model/m/converse", "", b"{}")
    assert it.lines(request) is None
    assert list(it.secrets()) == []
    waited = await it.wait(request)
    assert it.lines(request) == waited == signer("us-east-1").lines(request)
    assert SECRET in list(it.secrets())
    renewed.close()


@pytest.mark.parametrize(
    ("base_url", "region"),
    [
        ("https://bedrock-runtime.us-east-1.amazonaws.com", "us-east-1"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://vpce-1a2b.bedrock-runtime.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
        ("https://bedrock-runtime.eu-west-1.api.aws", "eu-west-1"),
        ("http://127.0.0.1:9000", None),
        ("https://bedrock-runtime.eu-west-1.example.com", None),
    ],
)
def test_the_region_that_an_address_names(base_url: str, region: str | None) -> None:
    assert region_of(base_url) == region
