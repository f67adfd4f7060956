"""JSON-array framing: whatever the cuts, the same elements with the same bytes; detection of the kind of stream."""

import random

import pytest

from waypost.wire.frames import Frame, Framing
from waypost.wire.jsonarray import AnyFraming, JsonArrayFraming
from waypost.wire.sse import SseFraming

STREAMS = [
    b"[]",
    b"[\n]\n",
    b'[{"a":1}]',
    b'[{"a":1}\n,\r\n{"b":[{"c":"}]{["}]}\n]\n',
    b'\xef\xbb\xbf[{"a":"\\"}\\\\"},{"b":"\\\\\\""}]',
    '[{"text":"é\u2028世界 😀 \\" ] }"},\n{"a":{"b":{"c":[[],[{}]]}}}]'.encode(),
    b'{"a":1}\n{"b":"}"}',
    b'[{"\\u0022":"\\\\"},{}]  ',
]
WHOLE = [
    [b"]"],
    [b"]", None],
    [b'{"a":1}', b"]"],
    [b'{"a":1}', b'{"b":[{"c":"}]{["}]}', b"]", None],
    [b'{"a":"\\"}\\\\"}', b'{"b":"\\\\\\""}', b"]"],
    ['{"text":"é\u2028世界 😀 \\" ] }"}'.encode(), b'{"a":{"b":{"c":[[],[{}]]}}}', b"]"],
    [b'{"a":1}', b'{"b":"}"}'],
    [b'{"\\u0022":"\\\\"}', b"{}", b"]", None],
]


def fed(framing: Framing, pieces: list[bytes]) -> list[Frame]:
    return [frame for piece in pieces for frame in framing.feed(piece)] + framing.end()


def cut(body: bytes, places: list[int]) -> list[bytes]:
    return [body[begin:end] for begin, end in zip([0, *places], [*places, len(body)], strict=True)]


@pytest.mark.parametrize(("body", "data"), list(zip(STREAMS, WHOLE, strict=True)))
def test_elements_come_whole_with_their_bytes(body: bytes, data: list[bytes | None]) -> None:
    for framing in (JsonArrayFraming(), AnyFraming()):
        frames = fed(framing, [body])
        assert [frame.data for frame in frames] == data
        assert b"".join(frame.raw for frame in frames) == body


@pytest.mark.parametrize("body", STREAMS)
def test_cuts_change_nothing(body: bytes) -> None:
    whole = fed(JsonArrayFraming(), [body])
    chance = random.Random(7)
    cuts = [[place] for place in range(1, len(body))]
    cuts += [sorted(chance.sample(range(1, len(body)), min(5, len(body) - 1))) for _ in range(20)]
    cuts.append(list(range(1, len(body))))
    for places in cuts:
        for framing in (JsonArrayFraming(), AnyFraming()):
            assert fed(framing, cut(body, places)) == whole


@pytest.mark.parametrize("body", STREAMS[2:6])
def test_an_element_that_is_cut_keeps_its_bytes(body: bytes) -> None:
    for place in range(1, len(body.rstrip())):
        frames = fed(AnyFraming(), [body[:place]])
        assert b"".join(frame.raw for frame in frames) == body[:place]
        assert all(frame.data != b"]" for frame in frames)


@pytest.mark.parametrize("body", [b"[1]", b'["a"]', b"[[]]", b"]", b'{"a":1}]', b"[{}[", b"x"])
def test_what_is_no_array_of_objects_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not an array of JSON objects"):
        JsonArrayFraming().feed(body)


def test_what_follows_the_array_is_relayed_and_means_nothing() -> None:
    assert fed(JsonArrayFraming(), [b"[{}]", b"\n", b"{}"])[-1] == Frame(b"\n{}", None)


@pytest.mark.parametrize("piece", [b"x" * 50, b'\\"' * 30])
def test_an_element_is_bounded(piece: bytes) -> None:
    framing = JsonArrayFraming(limit=200)
    framing.feed(b'[{"a":"')
    with pytest.raises(ValueError, match="longer than 200 bytes"):
        for _ in range(5):
            framing.feed(piece)


def test_the_bound_is_of_one_element() -> None:
    framing = JsonArrayFraming(limit=64)
    assert sum(len(framing.feed(b'{"a":"%s"}\n' % (b"x" * 50))) for _ in range(50)) == 50


@pytest.mark.parametrize(
    "body", [b"data: {}\n\ndata: {}\n\n", b": hello\n\n", b"\n\ndata: [1]\n\n", b"\xef\xbb\xbfdata: {}\n\n"]
)
def test_anything_else_is_server_sent_events(body: bytes) -> None:
    whole = fed(SseFraming(), [body])
    assert fed(AnyFraming(), [body]) == whole
    assert fed(AnyFraming(), cut(body, list(range(1, len(body))))) == whole


def test_white_space_before_anything_is_bounded() -> None:
    framing = AnyFraming()
    assert framing.feed(b" " * 4000) == []
    with pytest.raises(ValueError, match="white space"):
        framing.feed(b" " * 4000)


def test_nothing_but_white_space_is_relayed() -> None:
    assert fed(AnyFraming(), [b" \n"]) == [Frame(b" \n", None)]
    assert fed(AnyFraming(), []) == []
