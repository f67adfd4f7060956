"""A signature comes back to the dialect that it is of, whoever carried it."""

import pytest

from waypost.conversation.signatures import carried, recovered


@pytest.mark.parametrize("signature", ["abc", "a.b.c", "waypost.", ""])
@pytest.mark.parametrize("origin", ["anthropic", "gemini"])
def test_it_comes_back(signature: str, origin: str) -> None:
    assert recovered(carried(signature, origin, "anthropic"), "anthropic") == (signature, origin)


@pytest.mark.parametrize("text", ["plain", "waypost.", "waypost.no-name", "waypost.7.x", "waypost..x"])
def test_what_was_not_marked_is_of_the_dialect_it_was_found_in(text: str) -> None:
    assert recovered(text, "anthropic") == (text, "anthropic")


def test_nothing_stays_nothing() -> None:
    assert carried(None, "gemini", "anthropic") is None
    assert recovered(None, "anthropic") == (None, None)
