"""The binary event stream: every cut, every type of header, every kind of damage; Amazon's own parser agrees."""

import json
import random
import struct
from uuid import UUID
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.wire.eventstream import ERROR, EventStreamFraming, event, exception, message, read_headers
from waypost.wire.frames import Frame

START = event("messageStart", b'{"role":"assistant"}')
DELTA = event("contentBlockDelta", '{"delta":{"text":"ü \u2028 \U0001f600"}}'.encode())
THROTTLED = exception("throttlingException", b'{"message":"slow down"}')
STREAM = START + DELTA + THROTTLED
FRAMES = [
    Frame(START, b'{"role":"assistant"}', "messageStart"),
    Frame(DELTA, '{"delta":{"text":"ü \u2028 \U0001f600"}}'.encode(), "contentBlockDelta"),
    Frame(THROTTLED, b'{"message":"slow down"}', "throttlingException"),
]


def fed(stream: bytes, cuts: list[int]) -> list[Frame]:
    framing = EventStreamFraming()
    frames: list[Frame] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        frames += framing.feed(stream[begin:end])
    return frames + framing.end()


def test_cut_at_every_byte_and_at_any() -> None:
    assert fed(STREAM, []) == FRAMES
    assert fed(STREAM, list(range(1, len(STREAM)))) == FRAMES
    for cut in range(len(STREAM)):
        assert fed(STREAM, [cut]) == FRAMES


@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_cut_anywhere(cuts: list[int]) -> None:
    assert fed(STREAM, cuts) == FRAMES


def test_a_message_that_is_cut_off_is_dropped() -> None:
    for end in range(len(START), len(START) + len(DELTA)):
        assert fed(STREAM[:end], []) == FRAMES[:1]


def header(name: str, kind: int, value: bytes) -> bytes:
    return bytes([len(name)]) + name.encode() + bytes([kind]) + value


TYPES = b"".join(
    [
        header("yes", 0, b""),
        header("no", 1, b""),
        header("byte", 2, b"\xff"),
        header("short", 3, struct.pack(">h", -2)),
        header("integer", 4, struct.pack(">i", -3)),
        header("long", 5, struct.pack(">q", 2**62)),
        header("bytes", 6, b"\x00\x03abc"),
        header(":event-type", 7, b"\x00\x05caf\xc3\xa9"),
        header("time", 8, struct.pack(">q", 1_700_000_000_123)),
        header("uuid", 9, bytes(range(16))),
    ]
)


def built(block: bytes, payload: bytes = b"{}") -> bytes:
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    whole = prelude + struct.pack(">I", crc32(prelude)) + block + payload
    return whole + struct.pack(">I", crc32(whole))


def test_headers_of_all_types() -> None:
    assert read_headers(TYPES) == {
        "yes": True,
        "no": False,
        "byte": -1,
        "short": -2,
        "integer": -3,
        "long": 2**62,
        "bytes": b"abc",
        ":event-type": "café",
        "time": 1_700_000_000_123,
        "uuid": UUID(bytes=bytes(range(16))),
    }
    raw = built(TYPES)
    assert fed(raw, list(range(1, len(raw)))) == [Frame(raw, b"{}", "café")]


def test_headers_cut_short_are_damage() -> None:
    for end in range(1, len(TYPES)):
        block = TYPES[:end]
        try:
            read = read_headers(block)
        except ValueError:
            with pytest.raises(ValueError, match="header"):
                EventStreamFraming().feed(built(block))
        else:
            assert set(read) < {*read_headers(TYPES)}


def test_an_unknown_type_of_header_is_damage() -> None:
    with pytest.raises(ValueError, match="unknown type 10"):
        EventStreamFraming().feed(built(header("x", 10, b"")))


@pytest.mark.parametrize("place", range(len(START)))
def test_any_changed_byte_is_damage(place: int) -> None:
    """Or a message that is longer than what came: then it is not whole."""
    damaged = bytearray(START)
    damaged[place] ^= 0x40
    framing = EventStreamFraming()
    with pytest.raises(ValueError, match=r"checksum|long"):
        framing.feed(bytes(damaged))
    with pytest.raises(ValueError, match=r"checksum|long"):
        framing.feed(START)


def test_what_was_sound_is_given_before_the_damage_is_told() -> None:
    damaged = START + DELTA[:-1] + b"\x00"
    for cuts in ([], [3], [len(START)], [len(START) + 5]):
        framing = EventStreamFraming()
        frames: list[Frame] = []
        with pytest.raises(ValueError, match="checksum"):
            for begin, end in zip([0, *cuts], [*cuts, len(damaged)], strict=True):
                frames += framing.feed(damaged[begin:end])
            framing.end()
        assert frames == FRAMES[:1]


@pytest.mark.parametrize(("total", "headers"), [(15, 0), (0, 0), (20, 5), (2**32 - 1, 0), (1025, 0)])
def test_an_impossible_length_is_refused_at_once(total: int, headers: int) -> None:
    prelude = struct.pack(">II", total, headers)
    framing = EventStreamFraming(limit=1024)
    framing.feed(prelude)
    with pytest.raises(ValueError, match="long"):
        framing.feed(struct.pack(">I", crc32(prelude)))


def test_a_message_may_be_as_long_as_the_limit() -> None:
    raw = event("a", b" " * 900)
    assert len(EventStreamFraming(limit=len(raw)).feed(raw)) == 1
    with pytest.raises(ValueError, match="longer than"):
        EventStreamFraming(limit=len(raw) - 1).feed(raw)


def test_an_error_without_a_type_tells_its_code_and_message() -> None:
    raw = message(((":message-type", "error"), (":error-code", "InternalFailure"), (":error-message", "oh")), b"")
    (frame,) = fed(raw, [])
    assert (frame.raw, frame.event) == (raw, ERROR)
    assert json.loads(frame.data or b"") == {"__type": "InternalFailure", "message": "oh"}


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ({":exception-type": "validationException"}, "validationException"),
        ({":exception-type": "SlowDown"}, ERROR),
        ({":exception-type": "SlowDown", ":event-type": "metadata"}, ERROR),
        ({}, ERROR),
    ],
)
def test_no_exception_passes_for_an_event(named: dict[str, str], shown: str) -> None:
    raw = message((*named.items(), (":message-type", "exception")), b'{"message":"oh"}')
    assert fed(raw, []) == [Frame(raw, b'{"message":"oh"}', shown)]


def test_a_message_without_headers_or_payload() -> None:
    raw = message((), b"")
    assert len(raw) == 16
    assert fed(raw, [1, 9]) == [Frame(raw, b"", None)]


@pytest.mark.parametrize("headers", [(("", "x"),), (("n" * 256, "x"),), (("n", "x" * 2**15),)])
def test_a_header_that_is_too_long_is_not_written(headers: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(ValueError, match="too long"):
        message(headers, b"")


def test_amazons_own_parser_reads_what_is_written() -> None:
    botocore = pytest.importorskip("botocore.eventstream")
    buffer = botocore.EventStreamBuffer()
    buffer.add_data(STREAM + built(TYPES))
    messages = list(buffer)
    assert [(m.headers.get(":event-type") or m.headers.get(":exception-type"), m.payload) for m in messages] == [
        *[(frame.event, frame.data) for frame in FRAMES],
        ("café", b"{}"),
    ]
    assert messages[2].to_response_dict()["status_code"] == 400
    theirs = messages[3].headers
    ours = read_headers(TYPES)
    assert {name: theirs[name] for name in theirs if name != "uuid"} == {n: v for n, v in ours.items() if n != "uuid"}


def test_many_messages_at_random_cuts() -> None:
    chance = random.Random(7)
    stream = b"".join([event(f"e{i % 50}", chance.randbytes(chance.randrange(400))) for i in range(300)])
    whole = fed(stream, [])
    assert len(whole) == 300
    assert [frame.event for frame in whole] == [f"e{i % 50}" for i in range(300)]
    for _ in range(20):
        assert fed(stream, sorted(chance.sample(range(len(stream)), 60))) == whole
