"""A provider's limits, told to a caller of another protocol in the headers that its SDK looks at."""

import pytest

from waypost.dialects.openai_limits import seconds_of
from waypost.dialects.registry import DIALECTS
from waypost.gateway.headers import limit_headers

NOW = 1_750_000_000.0  # 2025-06-15T15:06:40Z
OPENAI = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-reset-requests": "1m0s",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "0",
    "x-ratelimit-reset-tokens": "500ms",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "10000",
    "anthropic-ratelimit-requests-remaining": "9999",
    "anthropic-ratelimit-requests-reset": "2025-06-15T15:07:40Z",
    "anthropic-ratelimit-tokens-limit": "200000",
    "anthropic-ratelimit-tokens-remaining": "0",
    "anthropic-ratelimit-tokens-reset": "2025-06-15T15:06:41Z",
}
AS_SPANS = {**OPENAI, "x-ratelimit-reset-requests": "60000ms", "x-ratelimit-reset-tokens": "1000ms"}


def told(provider: str, caller: str, headers: dict[str, str]) -> dict[str, str]:
    return dict(limit_headers(DIALECTS[provider], DIALECTS[caller], headers, NOW))


@pytest.mark.parametrize("openai", ["openai_chat", "openai_responses"])
def test_each_in_the_others_words(openai: str) -> None:
    assert told(openai, "anthropic", OPENAI) == ANTHROPIC
    assert told("anthropic", openai, ANTHROPIC) == AS_SPANS


@pytest.mark.parametrize("caller", ["gemini", "cohere", "bedrock"])
def test_who_has_no_words_for_it_is_told_nothing(caller: str) -> None:
    assert told("openai_chat", caller, OPENAI) == {}
    assert told(caller, "anthropic", OPENAI) == {}


def test_the_same_words_are_not_said_twice() -> None:
    assert told("openai_chat", "openai_responses", OPENAI) == {}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-ratelimit-remaining-tokens": "7"}, {"anthropic-ratelimit-tokens-remaining": "7"}),
        ({"x-ratelimit-remaining-tokens": "-7", "x-ratelimit-reset-tokens": "soon"}, {}),
        ({"x-ratelimit-limit-requests": "9" * 30}, {}),
        ({"x-ratelimit-limit-requests": "²"}, {}),
        ({"x-ratelimit-reset-requests": "9" * 40 + "h"}, {}),
        ({"content-type": "application/json"}, {}),
    ],
)
def test_what_is_no_limit_says_nothing(headers: dict[str, str], expected: dict[str, str]) -> None:
    assert told("openai_chat", "anthropic", headers) == expected


def test_what_the_provider_says_in_the_callers_words_itself_is_left_to_it() -> None:
    name = "anthropic-ratelimit-requests-limit"
    assert name not in told("openai_chat", "anthropic", {**OPENAI, name: "77"})


@pytest.mark.parametrize(
    ("span", "seconds"),
    [
        ("6m0s", 360),
        ("120ms", 0.12),
        ("1.5s", 1.5),
        ("2 seconds", 2),
        ("1 minute 5 secs", 65),
        ("3 milliseconds", 0.003),
        ("1d2h", 93600),
        *((wrong, None) for wrong in ("-5s", "1e3s", "12,5s", "5 moons", "1h30", "6m0s, 1s", "", "s", "1" * 60_000)),
    ],
)
def test_spans(span: str, seconds: float | None) -> None:
    assert seconds_of(span) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("moment", ["", "soon", "2025-06-15T15:07:40", "9999-12-31T23:59:59+99:99"])
def test_what_is_no_moment_says_nothing(moment: str) -> None:
    assert told("anthropic", "openai_chat", {"anthropic-ratelimit-tokens-reset": moment}) == {}
