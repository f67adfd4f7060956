"""The comparison of translating with relaying, in the small: that it measures what it says, not how fast it is."""

import json

import pytest

from waypost.bench import conversations, pairs, translation
from waypost.bench.comparison import Comparison, lines
from waypost.bench.pairs import Extent, Pair, measure_pairs
from waypost.bench.translation import Step, chunk_step, least, reply_step, request_step
from waypost.cli import main
from waypost.conversation.blocks import Text, ToolCall, ToolResult
from waypost.conversation.fold import fold
from waypost.dialects.dialect import Dialect
from waypost.dialects.registry import DIALECTS

every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())


@every_dialect
def test_every_dialect_is_measured_with_the_same_conversation(dialect: Dialect) -> None:
    asked = conversations.tool_request()
    request = dialect.read_request(conversations.request_bytes(dialect, asked))
    for kind in (Text, ToolCall, ToolResult):
        told = [block for turn in request.turns for block in turn.blocks if isinstance(block, kind)]
        assert len(told) == sum(isinstance(block, kind) for turn in asked.turns for block in turn.blocks)
    assert len(request.tools) == len(conversations.TOOLS)


@every_dialect
def test_a_large_conversation_is_about_a_megabyte(dialect: Dialect) -> None:
    body = conversations.request_bytes(dialect, conversations.large_request())
    assert 1_000_000 <= len(body) < 1_300_000


@every_dialect
def test_every_chunk_of_a_stream_is_one_of_the_answer(dialect: Dialect) -> None:
    chunks = conversations.stream_chunks(dialect, 50)
    reader, framing = dialect.reader(), dialect.framing()
    events = [event for chunk in chunks for frame in framing.feed(chunk) for event in reader.feed(frame)]
    reply = fold([*events, *reader.end()], dialect.name)
    assert [block.text for block in reply.choices[0].blocks if isinstance(block, Text)] == [
        "".join(" pump" if number % 4 else " pressure," for number in range(50))
    ]
    assert 50 <= len(chunks) <= 56


def test_the_least_of_several_repetitions_counts() -> None:
    assert 0 < least(lambda: sum(range(1000)), 3) < least(lambda: sum(range(100_000)), 3)


def test_it_measures_calls_and_chunks_through_a_gateway() -> None:
    dialects = ("anthropic", "gemini")
    measured = measure_pairs(Extent(8, 1, 20, dialects), lambda text: None)
    assert len(measured) == 3 * len(dialects) ** 2
    for pair in measured:
        assert pair.failed == 0
        assert pair.cpu_us is not None
        assert pair.cpu_us > 0
        assert pair.caller != pair.provider or pair.ratio == 1


@every_dialect
def test_it_measures_readers_and_writers(dialect: Dialect) -> None:
    others = [other for other in DIALECTS.values() if other is not dialect]
    steps = (
        request_step(dialect, others, "request", conversations.plain_request(), 1),
        reply_step(dialect, others, 1),
        chunk_step(dialect, others, 1),
    )
    for step in steps:
        assert step.relay > 0
        assert step.bytes > 50
        assert set(step.translate) == {other.name for other in others}


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_the_command_prints_both(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(translation, "measure_steps", lambda *_: (Step("a", "whole answer", 10, 1.5, {}),))
    monkeypatch.setattr(pairs, "measure_pairs", lambda *_: (Pair("whole call", "a", "a", 100.0, 1.0, 0),))
    assert main(["bench", "--translation", *words]) == 0
    printed = capsys.readouterr().out
    if words:
        told = json.loads(printed)
        assert (told["pairs"][0]["cpu_us"], told["steps"][0]["relay"]) == (100.0, 1.5)
    else:
        assert "100.0 (1.00)" in printed


def test_it_reads_as_tables() -> None:
    measured = (Pair("whole call", "a", "a", 100.0, 1.0, 0), Pair("whole call", "a", "b", None, None, 2))
    steps = (Step("a", "whole answer", 10, 1.5, {"b": 2.5}), Step("b", "whole answer", 12, 3.0, {"a": 4.0}))
    shown = "\n".join(lines(Comparison("machine", 1, steps, measured)))
    assert "100.0 (1.00)" in shown
    assert "2 calls failed" in shown
    assert "2.5" in shown


def test_calls_are_counted_from_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--translation", "--calls", "0"]) == 2
    assert "--calls" in capsys.readouterr().err
