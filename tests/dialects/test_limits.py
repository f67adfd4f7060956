"""A provider's limits, told to a caller of another protocol in the headers that its SDK looks at."""

import pytest

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
    "anthropic-ratelimit-tokens-reset": "2025-06-15T15:06:40Z",
}
AS_SPANS = {**OPENAI, "x-ratelimit-reset-requests": "60000ms", "x-ratelimit-reset-tokens": "0ms"}


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


@pytest.mark.parametrize("moment", ["", "soon", "2025-06-15T15:07:40", "9999-12-31T23:59:59+99:99"])
def test_what_is_no_moment_says_nothing(moment: str) -> None:
    assert told("anthropic", "openai_chat", {"anthropic-ratelimit-tokens-reset": moment}) == {}
