"""Bytes that are no text go through a relay as they are, and never into a translation."""

import pytest

from waypost.conversation.faults import FaultKind, UpstreamFault
from waypost.dialects.registry import DIALECTS
from waypost.gateway.passage import Translation, is_text

OPENAI, ANTHROPIC = DIALECTS["openai_chat"], DIALECTS["anthropic"]
BROKEN = b'{"id":"c","choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":"\xff"}}]}'


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", True), (b"plain", True), ("é\u2028".encode(), True), (b"\xff", False), (b"\xc3", False)],
)
def test_text_is_utf_8(data: bytes, expected: bool) -> None:
    assert is_text(data) is expected


def test_a_translated_stream_ends_where_it_is_no_text() -> None:
    through = Translation(OPENAI, ANTHROPIC, "m", False, 1)
    framing = OPENAI.framing()
    whole = BROKEN.replace(b"\xff", b"x")
    assert through.take(framing.feed(b"data: " + whole + b"\n\n"))
    assert through.fault is None
    assert through.take(framing.feed(b"data: " + BROKEN + b"\n\n")) == b""
    assert through.fault is not None
    assert through.fault.kind is FaultKind.MALFORMED


def test_a_translated_answer_is_text() -> None:
    from waypost.gateway.whole import translated

    body = b'{"id":"c","choices":[{"index":0,"message":{"content":"a","annotations":["\xff"]},"finish_reason":"stop"}]}'

    class Lane:
        dialect = OPENAI

        class candidate:  # noqa: N801  stands for a value
            model = "m"

    with pytest.raises(UpstreamFault, match="UTF-8"):
        translated(ANTHROPIC, Lane(), body, 1)  # type: ignore[arg-type]
