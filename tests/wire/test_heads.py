"""A head that was read before is known again: what is said of a request is what llhttp alone would have said."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.wire.heads import Heads, cut
from waypost.wire.http1_request import ReceivedRequest, RequestLimits, RequestParser

from .test_http1_request import CORPUS

LIMITS = RequestLimits(head=1000, body=300)
START = b"POST /a?b=c%20d HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /100%25 HTTP/1.1\r\nHost: x\r\n\r\n"

Seen = list[tuple[object, ...]]
Parser = RequestParser[ReceivedRequest]


def request(size: int, more: bytes = b"X-A: 50%\r\n") -> bytes:
    return START + b"Content-Length: %d\r\n" % size + more + b"\r\n" + b"z" * size


def drain(parser: Parser) -> Seen:
    """Everything that can be told of a parser, and of the requests that are taken from it."""
    seen: Seen = [
        (r.method, r.path, r.query, list(r.headers.items()), r.body, r.keep_alive, r.chunkable, r.received_at)
        for r in parser.ready
    ]
    parser.ready.clear()
    return [*seen, (parser.fault, parser.begun, parser.in_body, parser.awaits_continue, parser.path, parser.full)]


def run(pieces: list[bytes], heads: Heads | None, limits: RequestLimits = LIMITS) -> list[Seen]:
    parser: Parser = RequestParser(limits, ReceivedRequest, heads)
    told = []
    for now, piece in enumerate(pieces):
        parser.feed(piece, float(now))
        told.append(drain(parser))
        if parser.full:
            parser.feed(b"", float(now))
            told.append(drain(parser))
    return told


def agree(pieces: list[bytes], limits: RequestLimits = LIMITS) -> None:
    """On three connections that share a memory, and on each of which it is all said twice."""
    alone = run([*pieces, *pieces], None, limits)
    heads = Heads()
    for _ in range(3):
        assert run([*pieces, *pieces], heads, limits) == alone


def heads_of(pieces: list[bytes], heads: Heads | None) -> list[object]:
    parser: Parser = RequestParser(LIMITS, ReceivedRequest, heads)
    for piece in pieces:
        parser.feed(piece, 1.0)
    assert parser.fault is None
    return [request.head for request in parser.ready]


def whole_and_cut(sent: bytes) -> list[list[bytes]]:
    at = sent.find(b"\r\n\r\n") + 4
    return [[sent], [sent[:at], sent[at:]], [sent[: at + 2], sent[at + 2 :]]]


# ---- what is known again


@pytest.mark.parametrize("pieces", whole_and_cut(request(20)))
def test_a_head_is_known_the_third_time_and_by_all_connections(pieces: list[bytes]) -> None:
    heads = Heads()
    first, second, third, longer = heads_of([*pieces * 3, request(99)], heads)
    assert first is None
    assert second is not None
    assert second is third is longer
    assert heads_of(pieces, heads) == [second]


def test_lengths_of_one_digit_and_of_two_are_both_known() -> None:
    heads = Heads()
    heads_of([request(2), request(2), request(20), request(20)], heads)
    assert None not in heads_of([request(20), request(3), request(30), request(5)], heads)


def test_without_a_memory_nothing_is_known() -> None:
    assert heads_of([request(20)] * 3, None) == [None] * 3


def test_what_a_layer_above_knows_of_a_head_stays_with_it() -> None:
    heads = Heads()
    parser: Parser = RequestParser(LIMITS, ReceivedRequest, heads)
    for _ in range(2):
        parser.feed(request(20), 1.0)
    head = parser.ready[1].head
    assert head is not None
    assert head.known is None
    head.known = "ann"
    parser.feed(request(21), 1.0)
    again = parser.ready[2].head
    assert again is not None
    assert again.known == "ann"


def test_requests_made_before_keep_their_length() -> None:
    parser: Parser = RequestParser(LIMITS, ReceivedRequest, Heads())
    sizes = [20, 20, 30, 20, 31, 31]
    for size in sizes:
        parser.feed(request(size), 1.0)
    assert [request.headers["content-length"] for request in parser.ready] == [str(size) for size in sizes]
    assert [list(request.headers) for request in parser.ready] == [["host", "content-length", "x-a"]] * len(sizes)


@pytest.mark.parametrize(
    "sent",
    [
        GET,
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        START + b"content-length: 2\r\n\r\nhi",
        START + b"X: a\r\nX: b\r\nContent-Length: 2\r\n\r\nhi",
        b"POST http://h/p?q HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_these_are_remembered(sent: bytes) -> None:
    second, third = heads_of([sent] * 3, Heads())[1:]
    assert second is not None
    assert second is third
    agree([sent])


@pytest.mark.parametrize(
    "sent",
    [
        START + b"Transfer-Encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n",
        START + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
        START + b"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nhi",
        START + b"Upgrade: x\r\nContent-Length: 2\r\n\r\nhi",
        START + b"Content-Length: 02\r\n\r\nhi",
        START + b"Content-Length:  2\r\n\r\nhi",
        START + b"Content-Length: 2 \r\n\r\nhi",
        START + b"CONTENT-LENGTH: 2\r\n\r\nhi",
        b"\r\n" + request(2),
    ],
)
def test_these_are_not(sent: bytes) -> None:
    assert heads_of([sent] * 4, Heads()) == [None] * 4
    agree([sent])


@pytest.mark.parametrize("size", range(960, 1010, 3))
def test_a_head_about_as_long_as_its_limit_fares_as_without_a_memory(size: int) -> None:
    long = b"X: " + b"y" * (size - len(request(0, b"")) - 5) + b"\r\n"
    for pieces in whole_and_cut(request(2, long)):
        agree([*pieces, request(100, long), request(9, long)])


def test_a_connection_that_is_to_close_is_not_remembered() -> None:
    sent = START + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi"
    heads = Heads()
    for _ in range(3):
        assert heads_of([sent], heads) == [None]
    heads_of([request(2)] * 3, heads)
    agree([sent, request(2)])
    agree([request(2), request(2), sent, request(2)])


def test_the_oldest_head_makes_room() -> None:
    heads = Heads()
    many = [request(2, b"X-B: %d\r\n" % i) for i in range(129)]
    remembered = [heads_of([sent, sent], heads)[1] for sent in many]
    assert heads_of([many[128]], heads) == [remembered[128]]
    assert heads_of([many[1]], heads) == [remembered[1]]
    assert heads_of([many[0]], heads) != [remembered[0]]  # read anew
    assert heads_of([many[1]], heads) != [remembered[1]]  # to make room for that


def test_where_every_head_is_new_few_are_looked_up_and_a_known_one_is_found_again() -> None:
    heads = Heads()
    heads_of([request(2)] * 2, heads)
    new = [request(2, b"X-B: %d\r\n" % i) for i in range(200)]
    parser: Parser = RequestParser(LIMITS, ReceivedRequest, heads)
    for sent in new:
        parser.feed(sent, 1.0)
    for _ in range(100):
        parser.feed(request(2), 1.0)
    assert [request.head is None for request in parser.ready][:201] == [True] * 201
    assert parser.ready[-1].head is not None


# ---- what is not


@pytest.mark.parametrize(
    "other",
    [
        START + b"Content-Length: 5\r\nX-A: 50%\r\n\r\nzz",  # less than it says
        START + b"Content-Length: 1\r\nX-A: 50%\r\n\r\n" + request(2),
        START + b"Content-Length: 1\r\nX-A: 50%\r\n\r\n" + GET,
        START + b"Content-Length: 12\r\nX-A: 50%\r\n\r\nz" + GET,
        START + b"Content-Length: -3\r\nX-A: 50%\r\n\r\n",
        START + b"Content-Length: -1\r\nX-A: 50%\r\n\r\n",
        START + b"Content-Length: 12\r\nX-A: 50%\r\n\r\n" + b"z" * 11,
        START + b"Content-Length: +3\r\nX-A: 50%\r\n\r\nabc",
        START + b"Content-Length: 1_0\r\nX-A: 50%\r\n\r\n0123456789",
        START + b"Content-Length: 007\r\nX-A: 50%\r\n\r\n0123456",
        START + b"Content-Length: \r\nX-A: 50%\r\n\r\n",
        START + b"Content-Length: 2\r\nX-A: 50%\r\nContent-Length: 2\r\n\r\nhi",
        START + b"Content-Length: 301\r\nX-A: 50%\r\n\r\n" + b"z" * 301,
        START + b"Content-Length: 2\r\nX-A: 50%\r\n\r\nhi\r\n",
        START + b"Content-Length: %d\r\nX-A: 50%\r\n\r\nhi",
        START + b"Content-Length: 2\r\nX-A: 51%\r\n\r\nhi",
        START + b"Content-Length: 2\nX-A: 50%\r\n\r\nhi",
        START + b"\r\n\r\n1\r\nX-A: 50%\r\n\r\nhi",
        START + b"\r\nContent-Length: 2\r\nX-A: 50%\r\n\r\nhi",
        b"\r\n" + request(2),
        b"\r\n\r\n" + request(2),
        b"G",
        b"\r\n",
        b"\r",
        b"\x16\x03",
        GET + b"G",
        GET + b"\r\n",
        GET + GET,
        GET[:-2],
        GET[:-4],
    ],
)
def test_what_looks_alike_is_read_by_llhttp(other: bytes) -> None:
    for known in (request(2), request(20), request(0), request(200), GET):
        agree([known, known, other, known])
        agree([known, known, other + known])
        agree([known, known, known[:-1], known[-1:] + b"\r\n", other])
        agree([known, known, known[:5], known[5:], other])


def test_a_body_over_its_limit_is_refused_though_the_head_is_known() -> None:
    for size in (300, 301):
        agree([request(100), request(100), request(size)])
        agree([request(100), request(100), *whole_and_cut(request(size))[1]])
    parser: Parser = RequestParser(LIMITS, ReceivedRequest, Heads())
    for size in (100, 100, 300, 301):
        parser.feed(request(size), 1.0)
    assert [len(request.body) for request in parser.ready] == [100, 100, 300]
    assert parser.fault is not None
    assert parser.fault.status == 413


def test_a_large_body_arrives_as_it_may() -> None:
    limits = RequestLimits(1000, 100_000)
    sent = request(70_000)
    for step in (1500, 4096, 30_000, 65_536, 70_000, 100_000):
        agree([sent, sent, *[sent[i : i + step] for i in range(0, len(sent), step)]], limits)
    agree([sent, sent + sent, sent + sent[:70_010], sent[70_010:] + sent], limits)


def test_a_parser_that_is_closed_reads_nothing() -> None:
    for begun in (b"", request(20)[:-5]):
        parser: Parser = RequestParser(LIMITS, ReceivedRequest, Heads())
        for piece in (request(20), request(20), begun):
            parser.feed(piece, 1.0)
        parser.ready.clear()
        parser.close()
        parser.feed(request(20), 1.0)
        assert not parser.ready


def test_requests_read_ahead_are_bounded_though_their_head_is_known() -> None:
    limits = RequestLimits(1000, 10_000)
    many = request(5000) * 40
    for sent in (many, GET * 1000):
        agree([request(5000), request(5000), GET, GET, sent], limits)


@pytest.mark.parametrize(
    ("head", "parts"),
    [
        (b"A\r\nContent-Length: 12\r\nB", (b"A\r\nContent-Length: ", b"12", b"\r\nB")),
        (b"A\r\ncontent-length: 0", (b"A\r\ncontent-length: ", b"0", b"")),
        (b"A\r\nB", (b"A\r\nB", b"", b"")),
        (b"A\r\nContent-Length: 012\r\nB", None),
        (b"A\r\nContent-Length: \r\nB", None),
        (b"A\r\nContent-Length: 1 \r\nB", None),
        (b"A\r\nContent-Length: " + b"1" * 13, None),
        (b"\r\nA", None),
        (b"", None),
    ],
)
def test_where_a_head_is_cut(head: bytes, parts: tuple[bytes, bytes, bytes] | None) -> None:
    assert cut(head) == parts


@pytest.mark.parametrize("sent", CORPUS)
def test_every_request_and_what_is_none_is_read_as_without_a_memory(sent: bytes) -> None:
    for pieces in ([sent], [sent[:40], sent[40:]], whole_and_cut(sent)[1], [sent, sent + sent]):
        agree(pieces)
        agree([GET, GET, *pieces, GET, request(2)])
        agree([request(2), request(2), *pieces, request(2)])


def test_what_waits_unread_comes_before_a_request_that_is_known() -> None:
    parser: Parser = RequestParser(LIMITS, ReceivedRequest, Heads())
    for _ in range(16):
        parser.feed(request(20), 1.0)
    parser.feed(GET * 100, 1.0)
    parser.ready.clear()
    parser.feed(request(20), 1.0)
    assert parser.ready[0].method == "GET"


def test_a_long_head_is_not_remembered() -> None:
    heads = Heads()
    for size, remembered in ((3900, True), (4100, False)):
        parser: Parser = RequestParser(RequestLimits(8192, 300), ReceivedRequest, heads)
        for _ in range(3):
            parser.feed(request(2, b"X: " + b"y" * size + b"\r\n"), 1.0)
        assert [request.head is not None for request in parser.ready] == [False, remembered, remembered]


# ---- anything at all

LINES = [
    b"Host: x\r\n",
    b"Host: x\r\n",
    b"Host: x\r\n",
    b"X-A: 1\r\n",
    b"X-A: Content-Length: 3\r\n",
    b"X: a\r\n b\r\n",
    b"X : a\r\n",
    b"X: a\r\n\tContent-Length: 2\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: upgrade\r\n",
    b"Upgrade: h2c\r\n",
    b"Expect: 100-continue\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Authorization: %s%d\r\n",
    b"X: a\nContent-Length: 1\r\n",
    b"\r\n",
]
LENGTHS = [
    b"Content-Length: %d\r\n",
    b"Content-Length: %d\r\n",
    b"Content-Length: %d\r\n",
    b"content-length: %d\r\n",
    b"content-length: %d\r\n",
    b"CONTENT-LENGTH: %d\r\n",
    b"Content-Length:%d\r\n",
    b"Content-Length: 0%d\r\n",
    b"Content-Length: +%d\r\n",
    b"Content-Length:  %d\r\n",
    b"Content-Length: %d \r\n",
    b"Content-Length: %d0\r\n",
    b"Content-Length : %d\r\n",
    b"Content-Length: %d\r\nContent-Length: %d\r\n",
    b"",
]
STARTS = [
    b"POST /a HTTP/1.1\r\n",
    b"POST /a HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\n",
    b"POST /Content-Length:%20%d HTTP/1.0\r\n",
    b"\r\nPOST /a HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n",
]
BODIES = [
    b"",
    b"z",
    b"hi",
    b"0123456789",
    b"\r\nContent-Length: 5\r\n\r\n",
    b"0\r\n\r\n",
    b"2\r\nhi\r\n0\r\n\r\n",
    b"z" * 120,
]


@st.composite
def messages(draw: st.DrawFn) -> list[bytes]:
    """One head, with a few bodies, whose lengths are mostly true."""
    lines = draw(st.lists(st.sampled_from(LINES), max_size=2))
    start, length = draw(st.sampled_from(STARTS)), draw(st.sampled_from(LENGTHS))
    after = draw(st.booleans())
    made = []
    for body in draw(st.lists(st.sampled_from(BODIES), min_size=1, max_size=3)):
        size = len(body) + draw(st.sampled_from([0, 0, 0, 0, 0, 1, -1]))
        said = length.replace(b"%d", b"%d" % size)
        rest = b"Host: x\r\n" + b"".join(lines)
        made.append(start + (said + rest if after else rest + said) + b"\r\n" + body)
    return made


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_memory_changes_nothing(data: st.DataObject) -> None:
    pool = [sent for made in data.draw(st.lists(messages(), min_size=1, max_size=2)) for sent in made]
    if data.draw(st.booleans()):
        pool.append(request(2))
    pieces: list[bytes] = []
    for sent in data.draw(st.lists(st.sampled_from(pool), min_size=1, max_size=8)):
        match data.draw(st.sampled_from(["whole", "whole", "whole", "head", "cut", "joined"])):
            case "head":
                at = sent.find(b"\r\n\r\n", 2) + 4
                pieces += [sent[:at], sent[at:]]
            case "cut":
                at = data.draw(st.integers(0, len(sent)))
                pieces += [sent[:at], sent[at:]]
            case "joined" if pieces:
                pieces[-1] += sent
            case _:
                pieces.append(sent)
    agree(pieces)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_known_head_that_is_tampered_with_is_read_by_llhttp(data: st.DataObject) -> None:
    known = data.draw(st.sampled_from([request(2), request(20), GET, request(0)]))
    sent = bytearray(known)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(sent)))
        sent[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"-", b"+", b"%", b"0", b"1", b"9", b"z"])
        )
    agree([known, known, bytes(sent), known])
