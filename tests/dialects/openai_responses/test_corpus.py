"""What is Responses' alone in its recorded exchanges; the laws that all protocols share are held in tests/corpus."""

import json

import msgspec
import pytest

from corpus.meaning import events_of, frames_of, meaning, read_events, reply_of
from corpus.records import Record, answers, check_each, records_of
from waypost.conversation.faults import Refused
from waypost.dialects.openai_responses import DIALECT

STREAMS = answers("openai-responses", stream=True)
HELD = ("previous_response_id", "conversation", "prompt", "background")  # what only the provider could look up


def test_a_stream_says_what_its_last_event_says() -> None:
    whole = 0

    def check(record: Record) -> None:
        nonlocal whole
        told = [frame.data for frame in frames_of(DIALECT, record.body) if b'"response.' in (frame.data or b"")]
        final = DIALECT.read_reply(bytes(msgspec.json.decode(told[-1] or b"", type=dict[str, msgspec.Raw])["response"]))
        if final.choices[0].blocks:  # some send a final response without its output
            whole += 1
            assert meaning(reply_of(record).choices[0]) == meaning(final.choices[0])

    check_each(STREAMS, check)
    assert whole


def test_a_written_stream_is_numbered() -> None:
    def check(record: Record) -> None:
        writer = DIALECT.writer("m", True)
        written = b"".join(writer.write(event) for event in read_events(record))
        numbers = [json.loads(frame.data or b"")["sequence_number"] for frame in frames_of(DIALECT, written)]
        assert numbers == list(range(len(numbers)))
        assert events_of(DIALECT, written)

    check_each(STREAMS, check)


def test_what_only_its_provider_holds_is_refused_elsewhere_and_named() -> None:
    def check(record: Record) -> None:
        held = [name for name in HELD if record.request.get(name)]
        if held and "model" in record.request:
            assert DIALECT.glance(record.sent).unbounded_input or held == ["background"]
            with pytest.raises(Refused, match=f"^({'|'.join(held)}): "):
                DIALECT.read_request(record.sent)

    check_each(records_of("openai-responses"), check)
