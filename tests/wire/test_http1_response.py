"""Answers as bytes → status, headers and body, or the reason why they are none; however the bytes are cut."""

import pytest

from waypost.wire.http1_response import MAX_HEAD, ResponseParser

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

# name: bytes, status, body, complete, reusable
WHOLE: dict[str, tuple[bytes, int, bytes, bool, bool]] = {
    "length": (OK + b"Content-Length: 2\r\n\r\nhi", 200, b"hi", True, True),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", True, True),
    "chunks": (CHUNKED + b"2\r\nhi\r\n3;x\r\n ho\r\n0\r\nX: y\r\n\r\n", 200, b"hi ho", True, True),
    "close": (OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", True, False),
    "1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", True, False),
    "1.0 keep-alive": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
        200,
        b"hi",
        True,
        True,
    ),
    "204": (b"HTTP/1.1 204 No\r\n\r\n", 204, b"", True, True),
    "304 with a length": (b"HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\n", 304, b"", True, True),
    "by close": (OK + b"\r\nhi", 200, b"hi", False, False),
    "cut by length": (OK + b"Content-Length: 3\r\n\r\nhi", 200, b"hi", False, True),
    "cut by chunk": (CHUNKED + b"2\r\nhi\r\n", 200, b"hi", False, True),
    "after 100": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", 200, b"hi", True, True),
    "after 103": (
        b"HTTP/1.1 103 Early\r\nX-Early: y\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi",
        200,
        b"hi",
        True,
        True,
    ),
    "upgrade offered": (
        OK + b"Upgrade: h2,h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nhi",
        200,
        b"hi",
        True,
        True,
    ),
    "500": (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", 500, b"", True, True),
}

BAD: dict[str, bytes] = {
    "length and coding": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    "gzip": OK + b"Transfer-Encoding: gzip\r\n\r\nhi",
    "gzip, chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "folded": OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "space before colon": OK + b"X : a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "not HTTP": b"SSH-2.0-x\r\n",
    "status 099": b"HTTP/1.1 099 X\r\n\r\n",
    "status 600": b"HTTP/1.1 600 X\r\n\r\n",
    "switched": b"HTTP/1.1 101 Sw\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc",
    "bad chunk": CHUNKED + b"2\r\nhi\r\nx\r\n",
    "chunk with bare LF": CHUNKED + b"2\nhi\n0\n\n",
    "interim flood": b"HTTP/1.1 102 Wait\r\n\r\n" * 20,
    "endless head": OK + b"X: " + b"y" * MAX_HEAD,
    "endless trailer": CHUNKED + b"0\r\nX: " + b"y" * MAX_HEAD,
}


def read(pieces: list[bytes], *, head_only: bool = False) -> ResponseParser:
    parser = ResponseParser()
    parser.expect(head_only=head_only)
    for piece in pieces:
        parser.feed(piece)
    return parser


def cuts(data: bytes) -> list[list[bytes]]:
    halves = [[data[:at], data[at:]] for at in range(1, len(data))] if len(data) < 300 else []
    return [[data], [data[i : i + 1] for i in range(len(data))], *halves]


@pytest.mark.parametrize(("sent", "status", "body", "complete", "reusable"), WHOLE.values(), ids=WHOLE.keys())
def test_an_answer_is_read_however_it_is_cut(
    sent: bytes, status: int, body: bytes, complete: bool, reusable: bool
) -> None:
    for pieces in cuts(sent):
        parser = read(pieces)
        assert parser.fault is None
        assert parser.headed
        assert parser.status == status
        assert parser.complete is complete
        assert parser.keep_alive is reusable
        assert not parser.surplus
        assert "x-early" not in parser.headers
        assert parser.pending == len(body)
        assert parser.take() == body
        assert parser.pending == 0


@pytest.mark.parametrize("sent", BAD.values(), ids=BAD.keys())
def test_what_is_not_an_answer_is_told(sent: bytes) -> None:
    for pieces in cuts(sent):
        parser = read(pieces)
        assert parser.fault is not None, pieces
        assert not parser.complete


@pytest.mark.parametrize(
    ("sent", "whole"),
    [
        (OK + b"\r\nhi", True),
        (OK + b"Content-Length: 3\r\n\r\nhi", False),
        (CHUNKED + b"2\r\nhi\r\n", False),
        (OK + b"X: y\r\n", False),
        (b"", False),
        (OK + b"Content-Length: 2\r\n\r\nhi", True),
    ],
)
def test_what_the_end_of_the_connection_means(sent: bytes, whole: bool) -> None:
    assert read([sent]).end() is whole


def test_only_a_body_without_framing_is_delimited_by_the_connection() -> None:
    assert read([OK + b"\r\n"]).delimited_by_close
    assert not read([CHUNKED]).delimited_by_close
    assert not read([OK + b"Content-Length: 3\r\n\r\n"]).delimited_by_close


@pytest.mark.parametrize("more", [b"x", b"\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"H"])
def test_what_follows_an_answer_spoils_the_connection(more: bytes) -> None:
    sent = OK + b"Content-Length: 2\r\n\r\nhi"
    for pieces in ([sent + more], [sent, more]):
        parser = read(pieces)
        assert parser.complete
        assert parser.take() == b"hi"
        assert parser.status == 200
        assert parser.surplus or more == b"\r\n"


def test_one_connection_gives_many_answers() -> None:
    parser = read([OK + b"Content-Length: 2\r\nX-A: 1\r\n\r\nhi"])
    assert parser.take() == b"hi"
    parser.expect(head_only=False)
    assert not parser.headed
    parser.feed(CHUNKED + b"2\r\nho\r\n0\r\n\r\n")
    assert parser.complete
    assert parser.headers == {"transfer-encoding": "chunked"}
    assert parser.take() == b"ho"


def test_the_answer_to_head_has_no_body_and_ends_the_connection() -> None:
    parser = read([OK + b"Content-Length: 2\r\n\r\n"], head_only=True)
    assert parser.complete
    assert not parser.keep_alive
    assert parser.take() == b""
