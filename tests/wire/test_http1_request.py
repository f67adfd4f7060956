"""Requests as bytes → requests as values, or the status of their refusal; however the bytes are cut."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.wire.http1_request import MAX_AHEAD, ReceivedRequest, RequestLimits, RequestParser

HOST = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HOST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LIMITS = RequestLimits(head=1000, body=100)


@dataclass(frozen=True)
class Good:
    name: str
    sent: bytes
    body: bytes = b""
    path: str = "/a"
    query: str = "b=c"
    keep_alive: bool = True


GOOD = [
    Good("length", HOST + b"Content-Length: 2\r\n\r\nhi", b"hi"),
    Good("no body", HOST + b"\r\n"),
    Good("length zero", HOST + b"Content-Length: 0\r\n\r\n"),
    Good("length with spaces around", HOST + b"Content-Length:  2 \t\r\n\r\nhi", b"hi"),
    Good("chunks", CHUNKED + b"2\r\nhi\r\n003\r\n ho\r\n0\r\n\r\n", b"hi ho"),
    Good("chunk extension", CHUNKED + b'2;a="b"\r\nhi\r\n0\r\n\r\n', b"hi"),
    Good("trailer", CHUNKED + b"2\r\nhi\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n", b"hi"),
    Good("coding in capitals", HOST + b"Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n"),
    Good("close", HOST + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", b"hi", keep_alive=False),
    Good("1.0", b"GET /a?b=c HTTP/1.0\r\n\r\n", keep_alive=False),
    Good("1.0 keep-alive", b"GET /a?b=c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    Good("empty line first", b"\r\n" + HOST + b"\r\n"),
    Good("absolute form", b"GET http://h:1/p?q HTTP/1.1\r\nHost: x\r\n\r\n", path="/p", query="q"),
    Good("absolute form, no path", b"GET http://h HTTP/1.1\r\nHost: x\r\n\r\n", path="/", query=""),
    Good("asterisk form", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", path="*", query=""),
    Good("raw path", b"GET /%2e/a%20b//?? HTTP/1.1\r\nHost: x\r\n\r\n", path="/%2e/a%20b//", query="?"),
    Good("full body", HOST + b"Content-Length: 100\r\n\r\n" + b"x" * 100, b"x" * 100),
    Good("head at its limit", HOST + b"X: " + b"y" * (1000 - len(HOST) - 7) + b"\r\n\r\n"),
    Good(
        "upgrade ignored",
        HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi",
        b"hi",
    ),
    Good(
        "upgrade ignored, chunks",
        HOST + b"Connection: upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n",
        b"z",
    ),
]

BAD = {
    "length and coding": (400, HOST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "coding and length": (400, HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n"),
    "two equal lengths": (400, HOST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi"),
    "two lengths": (400, HOST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi"),
    "list of lengths": (400, HOST + b"Content-Length: 2, 2\r\n\r\nhi"),
    "length with sign": (400, HOST + b"Content-Length: +2\r\n\r\nhi"),
    "negative length": (400, HOST + b"Content-Length: -2\r\n\r\nhi"),
    "empty length": (400, HOST + b"Content-Length:\r\n\r\nhi"),
    "hexadecimal length": (400, HOST + b"Content-Length: 0x2\r\n\r\nhi"),
    "length overflow": (400, HOST + b"Content-Length: 99999999999999999999999\r\n\r\nhi"),
    "gzip, chunked": (400, HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "chunked twice": (400, HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "identity": (400, HOST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    "xchunked": (400, HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "coding after control": (400, HOST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    "coding in 1.0": (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "bare LF after request line": (400, b"GET / HTTP/1.1\nHost: x\r\n\r\n"),
    "bare LF after header": (400, b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n"),
    "bare LF at the end": (400, b"GET / HTTP/1.1\r\nHost: x\r\n\n"),
    "bare CR after header": (400, b"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n"),
    "folded header": (400, HOST + b"X: a\r\n b\r\n\r\n"),
    "folded empty header": (400, HOST + b"X:\r\n\tb\r\n\r\n"),
    "space before first header": (400, b"GET / HTTP/1.1\r\n Host: x\r\n\r\n"),
    "space before colon": (400, HOST + b"X : a\r\n\r\n"),
    "tab before colon": (400, HOST + b"X\t: a\r\n\r\n"),
    "no name": (400, HOST + b": a\r\n\r\n"),
    "no colon": (400, HOST + b"abc\r\n\r\n"),
    "bad name": (400, HOST + b"a(b: c\r\n\r\n"),
    "name not ASCII": (400, HOST + b"a\x80: c\r\n\r\n"),
    "NUL in value": (400, HOST + b"X: a\x00b\r\n\r\n"),
    "control in value": (400, HOST + b"X: a\x01b\r\n\r\n"),
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two hosts": (400, HOST + b"Host: x\r\n\r\n"),
    "two authorizations": (400, HOST + b"Authorization: a\r\nauthorization: b\r\n\r\n"),
    "space before method": (400, b" GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "tab after method": (400, b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    "space after version": (400, b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n"),
    "space in target": (400, b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"),
    "control in target": (400, b"GET /a\x01 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "fragment in target": (400, b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n"),
    "relative target": (400, b"GET a HTTP/1.1\r\nHost: x\r\n\r\n"),
    "unknown method": (400, b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "method in small letters": (400, b"get / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01"),
    "HTTP/2 preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "connect": (501, b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "version 1.2": (505, b"GET / HTTP/1.2\r\nHost: x\r\n\r\n"),
    "version 2.0": (505, b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
    "version 0.9": (505, b"GET / HTTP/0.9\r\nHost: x\r\n\r\n"),
    "unknown expectation": (417, HOST + b"Expect: gold\r\nContent-Length: 2\r\n\r\n"),
    "long length": (413, HOST + b"Content-Length: 101\r\n\r\n"),
    "long chunk": (413, CHUNKED + b"64\r\n" + b"x" * 100 + b"\r\n1\r\ny"),
    "long header": (431, HOST + b"X: " + b"y" * 1000 + b"\r\n\r\n"),
    "many headers": (431, HOST + b"X: y\r\n" * 200 + b"\r\n"),
    "long target": (431, b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    "endless head": (431, HOST + b"X: " + b"y" * 1000),
    "endless empty lines": (431, b"\r\n" * 501),
    "endless trailer": (431, CHUNKED + b"0\r\nX: " + b"y" * 6000),
    "endless extension": (431, CHUNKED + b"1;" + b"y" * 6000),
    "space in chunk size": (400, CHUNKED + b"2 \r\nhi\r\n0\r\n\r\n"),
    "space before chunk size": (400, CHUNKED + b" 2\r\nhi\r\n0\r\n\r\n"),
    "prefix of chunk size": (400, CHUNKED + b"0x2\r\nhi\r\n0\r\n\r\n"),
    "sign of chunk size": (400, CHUNKED + b"-2\r\nhi\r\n0\r\n\r\n"),
    "no chunk size": (400, CHUNKED + b"\r\nhi\r\n0\r\n\r\n"),
    "chunk size overflow": (400, CHUNKED + b"fffffffffffffffff\r\nhi"),
    "bare LF after chunk size": (400, CHUNKED + b"2\nhi\r\n0\r\n\r\n"),
    "bare LF after last chunk": (400, CHUNKED + b"0\n\r\n"),
    "bare LF in extension": (400, CHUNKED + b"2;a\nb\r\nhi\r\n0\r\n\r\n"),
    "chunk longer than said": (400, CHUNKED + b"2\r\nhi!\r\n0\r\n\r\n"),
    "space before colon in trailer": (400, CHUNKED + b"0\r\nX : y\r\n\r\n"),
    "length in trailer": (400, CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n"),
}


def read(pieces: list[bytes], limits: RequestLimits = LIMITS) -> RequestParser[ReceivedRequest]:
    parser = RequestParser(limits, ReceivedRequest)
    for piece in pieces:
        parser.feed(piece, 1.0)
    return parser


def cuts(data: bytes) -> list[list[bytes]]:
    """Whole, byte by byte, and in two at every place."""
    halves = [[data[:at], data[at:]] for at in range(1, len(data))] if len(data) < 300 else []
    return [[data], [data[i : i + 1] for i in range(len(data))], *halves]


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_a_request_is_read_however_it_is_cut(case: Good) -> None:
    for pieces in cuts(case.sent):
        parser = read(pieces)
        assert parser.fault is None
        (request,) = parser.ready
        assert (request.body, request.path, request.query) == (case.body, case.path, case.query)
        assert request.keep_alive is case.keep_alive
        assert not parser.begun


@pytest.mark.parametrize(("status", "sent"), BAD.values(), ids=BAD.keys())
def test_a_bad_request_is_refused_however_it_is_cut(status: int, sent: bytes) -> None:
    for pieces in cuts(sent):
        parser = read(pieces)
        assert not parser.ready
        assert parser.fault is not None, pieces
        assert parser.fault.status == status, (pieces, parser.fault)


@pytest.mark.parametrize(("status", "sent"), BAD.values(), ids=BAD.keys())
def test_what_follows_a_bad_request_is_never_read(status: int, sent: bytes) -> None:
    parser = read([sent, GET, GET])
    assert not parser.ready
    assert parser.fault is not None
    assert parser.fault.status == status


def test_headers_are_lower_case_and_joined() -> None:
    parser = read([HOST + b"X-A: 1\r\nx-a:2 \r\nX-E:\r\nX-L: caf\xe9\r\n\r\n"])
    assert parser.ready[0].headers == {"host": "x", "x-a": "1, 2", "x-e": "", "x-l": "café"}


def test_a_trailer_is_no_header() -> None:
    parser = read([CHUNKED + b"0\r\nX-Admin: yes\r\n\r\n"])
    assert "x-admin" not in parser.ready[0].headers


def test_the_wish_for_another_protocol_is_gone_and_the_rest_stays() -> None:
    parser = read([HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\nX: y\r\n\r\n" + GET])
    first, second = parser.ready
    assert first.headers == {"host": "x", "connection": "upgrade", "x": "y"}
    assert second.path == "/"


def test_time_is_stamped_when_the_last_byte_comes() -> None:
    parser = RequestParser(LIMITS, ReceivedRequest)
    parser.feed(GET[:5], 1.0)
    assert parser.begun
    parser.feed(GET[5:] + GET + GET[:6], 2.0)
    assert [request.received_at for request in parser.ready] == [2.0, 2.0]
    assert parser.begun
    parser = RequestParser(RequestLimits(1000, 10_000), ReceivedRequest)
    parser.feed(HOST + b"Content-Length: 10000\r\n\r\n", 1.0)
    parser.feed(b"x" * 10_000, 2.0)
    assert parser.ready[0].received_at == 2.0


@pytest.mark.parametrize(
    ("sent", "awaits"),
    [
        (HOST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", True),
        (HOST + b"Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        (HOST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nh", False),
        (HOST + b"Expect: 100-continue\r\n\r\n", False),
        (HOST + b"Expect: 100-continue\r\nContent-Length: 200\r\n\r\n", False),
        (b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", False),
    ],
)
def test_who_waits_to_be_told_to_go_on(sent: bytes, awaits: bool) -> None:
    assert read([sent]).awaits_continue is awaits


def test_reading_ahead_is_bounded() -> None:
    parser = read([GET * 5000])
    most = MAX_AHEAD + 4096 // len(GET) + 1
    assert MAX_AHEAD <= len(parser.ready) <= most
    assert parser.full
    served = 0
    while parser.ready:
        parser.ready.popleft()
        served += 1
        if not parser.ready:
            parser.feed(b"", 1.0)
            assert len(parser.ready) <= most
    assert served == 5000


def test_a_large_body_is_read_whole() -> None:
    body = bytes(range(256)) * 4000
    sent = HOST + b"Content-Length: %d\r\n\r\n" % len(body) + body + GET
    limits = RequestLimits(1000, len(body))
    for pieces in ([sent], [sent[i : i + 60_000] for i in range(0, len(sent), 60_000)]):
        parser = read(pieces, limits)
        assert [request.body for request in parser.ready] == [body, b""]
    assert read([HOST + b"Content-Length: %d\r\n\r\n" % (len(body) + 1)], limits).fault is not None


def test_a_refusal_knows_the_path_once_that_is_known() -> None:
    fault = read([b"POST /v1/messages?x HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n"]).fault
    assert fault is not None
    assert fault.path == "/v1/messages"


CORPUS = [case.sent for case in GOOD] + [sent for _, sent in BAD.values()]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutations_never_crash_and_cuts_never_matter(data: st.DataObject) -> None:
    sent = bytearray(b"".join(data.draw(st.lists(st.sampled_from(CORPUS), min_size=1, max_size=3))))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(sent) - 1))
        sent[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b" ", b":", b"\x00", b"0", b"9", b"\xff", b",", b";"])
        )
        if not sent:
            return
    whole = read([bytes(sent)])
    bytewise = read([bytes([byte]) for byte in sent])

    def seen(parser: RequestParser[ReceivedRequest]) -> list[tuple[object, ...]]:
        return [(r.method, r.path, r.query, r.headers, r.body, r.keep_alive) for r in parser.ready]

    faults = (whole.fault, bytewise.fault)
    if any(fault is not None and fault.status == 431 for fault in faults):
        return  # bounds are judged a slice at a time
    assert seen(whole) == seen(bytewise)
    assert (whole.fault is None) == (bytewise.fault is None)
