"""The page of what survives a crossing is current, and nothing is lost on the way without a word."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from dialects.fidelity import (
    CARRIED,
    CHANGED,
    DROPPED,
    RELAYED,
    REPLY,
    REQUEST,
    UNSAID,
    crossed_error,
    crossed_reply,
    crossed_request,
    page,
    plain,
    shape,
)
from waypost.dialects.registry import DIALECTS

DOCS = Path(__file__).parents[2] / "docs"
EVERY_PAIR = [(caller, provider) for caller in DIALECTS for provider in DIALECTS]
# Features that a protocol says in its own nearest form, so that they are neither lost nor the same.
NEAREST = {
    "strict tools": "Gemini has one mode for all tools",
    "tool choice: named": "Cohere has no word for it: only that tool is offered, and must be called",
    "reasoning: effort": "Gemini, Cohere and Claude before its version 4.6 have a budget of tokens",
    "reasoning: budget": "OpenAI has an effort",
    "cache marks": "OpenAI and Cohere cache by themselves",
}
# What every protocol can tell of an answer.
ALWAYS = {"text", "parallel tool calls", "stop: stop", "stop: length", "usage: input", "usage: output"}


def test_the_page_is_current() -> None:
    assert (DOCS / "fidelity.md").read_text(encoding="utf-8") == page(), "run `make docs`"


@pytest.mark.parametrize(("caller", "provider"), EVERY_PAIR)
def test_nothing_asked_is_lost_in_silence(caller: str, provider: str) -> None:
    for feature in REQUEST:
        cell = crossed_request(DIALECTS[caller], DIALECTS[provider], feature)
        lost = cell == CHANGED and feature.name not in NEAREST
        assert not lost, f"{feature.name}: neither carried nor reported"
        assert cell.partition(":")[0] in {CARRIED, CHANGED, DROPPED, RELAYED, UNSAID}


@pytest.mark.parametrize(("caller", "provider"), EVERY_PAIR)
def test_errors_reach_every_caller(caller: str, provider: str) -> None:
    assert crossed_error(DIALECTS[caller], DIALECTS[provider]) in (CARRIED, RELAYED)


@pytest.mark.parametrize(("caller", "provider"), EVERY_PAIR)
def test_what_every_protocol_can_tell_is_told(caller: str, provider: str) -> None:
    cells = {feature.name: crossed_reply(DIALECTS[caller], DIALECTS[provider], feature) for feature in REPLY}
    assert {name: cells[name] for name in ALWAYS if cells[name] not in (CARRIED, RELAYED)} == {}


@pytest.mark.parametrize(("caller", "provider"), EVERY_PAIR)
def test_not_to_keep_an_answer_asks_for_nothing(caller: str, provider: str) -> None:
    request = replace(plain(caller), store=False)
    assert DIALECTS[provider].write_request(request, shape(provider)).dropped == ()
