"""What a provider's failure may say to others: never a key, never without a bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.dialects.fault_text import EXCERPT_LIMIT, MESSAGE_LIMIT, clean, excerpt, retry_after_s

SECRETS = [
    ("Incorrect API key provided: sk-proj-{}. You can find it at", "abcdEFGH1234567890"),
    ("Incorrect API key provided: {}.", "secret-without-a-prefix"),
    ("Incorrect API key provided: sk-abc{}f9Zk.", "**********"),
    ("invalid x-api-key: {}", "abcdef0123456789"),
    ("Authorization: Bearer {} is expired", "abcdef0123456789"),
    ("header bearer {}", "abcdef.0123456789"),
    ("GET /v1beta/models?key={}&alt=sse failed", "0123456789abcdef"),
    ("key {} is not valid", "AIzaSyA1234567890abcdefghijklmnopqrstu"),
    ("key {} is not valid", "sk-ant-api03-abcdefghijkl"),
    ("key {} is not valid", "gsk_abcdefghijkl"),
    ("key {} is not valid", "AKIAIOSFODNN7EXAMPLE"),
    ("token {} rejected", "eyJhbGciOiJIUzI1NiJ9.e30.abc"),
]

HARMLESS = [
    "Missing bearer authentication in header",
    "the task-specific-instructions are too long",
    "invalid x-api-key",
    "max_tokens: 64001 > 64000, which is the maximum allowed",
    "prompt is too long: 210000 tokens > 200000 maximum",
    "risk-assessment-report-2024.pdf is not readable",
]


@pytest.mark.parametrize(("template", "secret"), SECRETS)
def test_credentials_are_taken_out(template: str, secret: str) -> None:
    message = template.format(secret)
    assert secret not in clean(message)
    assert secret not in excerpt(message.encode())
    assert clean(message).startswith(template[:3])


@pytest.mark.parametrize("message", HARMLESS)
def test_harmless_words_stay(message: str) -> None:
    assert clean(message) == message


def test_a_key_cut_by_the_bound_does_not_survive() -> None:
    for padding in range(MESSAGE_LIMIT - 40, MESSAGE_LIMIT + 2):
        assert "sk-" not in clean("x" * padding + " sk-abcdefghijklmnopqrstuvwxyz0123456789")


@given(st.text(max_size=9000))
def test_a_message_is_bounded(message: str) -> None:
    assert len(clean(message)) <= MESSAGE_LIMIT


@given(st.binary(max_size=9000))
def test_an_excerpt_is_one_bounded_printable_line(body: bytes) -> None:
    text = excerpt(body)
    assert len(text) <= EXCERPT_LIMIT
    assert text.isprintable()


def test_an_excerpt_keeps_the_beginning() -> None:
    assert excerpt(b"<html>\r\n  <h1>502 Bad\tGateway</h1>") == "<html> <h1>502 Bad Gateway</h1>"
    assert excerpt(b"") == ""
    assert excerpt(b"x" * 600) == "x" * 499 + "…"


RETRY = [
    ({}, None),
    ({"retry-after": "12"}, 12.0),
    ({"retry-after": "0"}, 0.0),
    ({"retry-after": "1.5"}, 1.5),
    ({"retry-after": "-3"}, None),
    ({"retry-after": "nan"}, None),
    ({"retry-after": "inf"}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after": ""}, None),
    ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
    ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, None),
    ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
    ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:28:30 GMT"}, 0.0),
    ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:28:30 GMT"}, None),
]


@pytest.mark.parametrize(("headers", "seconds"), RETRY)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


@given(st.text(max_size=40), st.text(max_size=40))
def test_retry_after_never_raises(value: str, date: str) -> None:
    seconds = retry_after_s({"retry-after": value, "date": date})
    assert seconds is None or seconds >= 0
