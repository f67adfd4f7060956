"""The SSE framing: by bytes, verbatim, and the same however the stream is cut."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.wire.frames import Frame
from waypost.wire.sse import SseFraming

STREAMS = {
    "plain": b'data: {"a":1}\n\ndata: [DONE]\n\n',
    "named": b'event: ping\ndata: {"type":"ping"}\n\nevent: message_stop\ndata: {}\n\n',
    "crlf": b"event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n",
    "cr": b"data: 1\r\rdata: 2\r\r",
    "mixed": b"data: 1\r\n\ndata: 2\n\r\ndata: 3\n\rdata: 4\r\r\ndata: 5\n\n",
    "separators": 'data: {"t":"a\u2028b\u2029c\u0085d\x0b\x0c\x1c\x1d\x1e"}\n\n'.encode(),
    "bom": b"\xef\xbb\xbfdata: 1\n\ndata: 2\n\n",
    "comments": b": OPENROUTER PROCESSING\n\n:\n\ndata: 1\n: in between\n\n",
    "lines": b"data: a\ndata: b\ndata\ndata:c\n\n",
    "other fields": b"id: 7\nretry: 10\ndata: 1\n\nretry: 5\n\n",
    "blank lines": b"\n\n\ndata: 1\n\n\n\n\ndata: 2\n\n\n",
    "cut": b'data: {"a":1}\n\ndata: {"b',
    "no last blank line": b"data: 1\n\ndata: [DONE]\n",
    "no last line end": b"data: 1\r\n\r\ndata: [DONE]",
    "only blank": b"\n\r\n\r\r",
    "utf-8": "event: é\ndata: 日本語 🎉\n\n".encode(),
    "bad utf-8": b"event: \xff\ndata: \xff\xfe\n\n",
    "empty": b"",
    "bare fields": b"event\ndata\n\nevent:\ndata:\n\n",
    "two spaces": b"data:  1\n\nevent:  e\ndata:2\n\n",
    "data with event inside": b"data: event: x\n\nevent: y\nid: 1\ndata: z\n\n",
}


def frames_of(chunks: list[bytes], limit: int = 1000) -> list[Frame]:
    framing = SseFraming(limit)
    return [frame for chunk in chunks for frame in framing.feed(chunk)] + framing.end()


def told(frames: list[Frame]) -> list[tuple[str | None, bytes]]:
    return [(frame.event, frame.data) for frame in frames if frame.data is not None]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", [(None, b'{"a":1}'), (None, b"[DONE]")]),
        ("named", [("ping", b'{"type":"ping"}'), ("message_stop", b"{}")]),
        ("crlf", [("a", b"1"), (None, b"2")]),
        ("cr", [(None, b"1"), (None, b"2")]),
        ("mixed", [(None, b"1"), (None, b"2"), (None, b"3"), (None, b"4"), (None, b"5")]),
        ("separators", [(None, STREAMS["separators"][6:-2])]),
        ("bom", [(None, b"1"), (None, b"2")]),
        ("comments", [(None, b"1")]),
        ("lines", [(None, b"a\nb\n\nc")]),
        ("other fields", [(None, b"1")]),
        ("blank lines", [(None, b"1"), (None, b"2")]),
        ("cut", [(None, b'{"a":1}'), (None, b'{"b')]),
        ("no last blank line", [(None, b"1"), (None, b"[DONE]")]),
        ("no last line end", [(None, b"1"), (None, b"[DONE]")]),
        ("only blank", []),
        ("utf-8", [("é", "日本語 🎉".encode())]),
        ("bad utf-8", [("�", b"\xff\xfe")]),
        ("empty", []),
        ("bare fields", [("", b""), ("", b"")]),
        ("two spaces", [(None, b" 1"), (" e", b"2")]),
        ("data with event inside", [(None, b"event: x"), ("y", b"z")]),
    ],
)
def test_events(name: str, expected: list[tuple[str | None, bytes]]) -> None:
    assert told(frames_of([STREAMS[name]])) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_every_cut_gives_the_same_frames_and_all_bytes(name: str) -> None:
    stream = STREAMS[name]
    whole = frames_of([stream])
    assert b"".join(frame.raw for frame in whole) == stream
    assert frames_of([stream[i : i + 1] for i in range(len(stream))]) == whole
    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            assert frames_of([stream[:first], stream[first:second], stream[second:]]) == whole


pieces = st.sampled_from(
    [b"\n", b"\r", b"\r\n", b"data: ", b"data:", b"event: ", b": ", b"x", b"\xef\xbb\xbf", b"\xe2\x80\xa8"]
)


@given(st.lists(st.lists(pieces | st.binary(max_size=3)).map(b"".join)))
def test_random_bytes_and_cuts(chunks: list[bytes]) -> None:
    stream = b"".join(chunks)
    frames = frames_of(chunks, limit=1_000_000)
    assert b"".join(frame.raw for frame in frames) == stream
    assert frames == frames_of([stream], limit=1_000_000)


def test_a_byte_order_mark_counts_only_at_the_start() -> None:
    assert told(frames_of([b"data: 1\n\n\xef\xbb\xbfdata: 2\n\n"])) == [(None, b"1")]


def test_an_event_is_given_as_soon_as_it_is_whole() -> None:
    for end in (b"\n\n", b"\r\n\r\n", b"\r\r"):
        framing = SseFraming()
        assert framing.feed(b"data: 1" + end[:-1]) == []
        assert [frame.data for frame in framing.feed(end[-1:])] == [b"1"]


@pytest.mark.parametrize("filler", [b"x", b"\r", b"data: \r\n"])
def test_an_unfinished_event_is_bounded(filler: bytes) -> None:
    framing = SseFraming(limit=100)
    assert framing.feed(b"data: " + b"y" * 500 + b"\n\n")  # whole at once: nothing is held
    framing.feed(b"data: ")
    with pytest.raises(ValueError, match="100 bytes"):
        for _ in range(200):
            framing.feed(b"z" + filler)


def test_time_is_linear_when_fed_byte_by_byte() -> None:
    def seconds(size: int, end: bytes) -> float:
        framing = SseFraming()
        chunks = [bytes([byte]) for byte in b"data: " + b"x" * size + end]
        begin = time.process_time()
        frames = [frame for chunk in chunks for frame in framing.feed(chunk)]
        assert len(frames) == 1
        return time.process_time() - begin

    for end in (b"\n\n", b"\r\n\r\n"):
        small = min(seconds(20_000, end) for _ in range(3))
        assert seconds(400_000, end) < 20 * small * 5
