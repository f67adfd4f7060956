"""Answers as bytes → status, headers and body, or the reason why they are none; however the bytes are cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


# ---- a head that was read before

USUAL = OK + b"Content-Length: 2\r\nX-A: 50%\r\n\r\nhi"


class Untaught(ResponseParser):
    """Reads every answer as if it were the first."""

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        self._last = None
        super().feed(data)


def converse(parser: ResponseParser, answers: list[list[bytes]], head_only: int = -1) -> list[tuple[object, ...]]:
    """What can be told of each answer, after each of its pieces. One more is asked of a connection that is used up."""
    seen: list[tuple[object, ...]] = []
    for number, pieces in enumerate(answers):
        parser.expect(head_only=number == head_only)
        seen.append((parser.begun, parser.headed, parser.complete))
        for piece in pieces:
            parser.feed(piece)
            seen.append((parser.fault, parser.begun, parser.headed, parser.complete, parser.surplus, parser.pending))
            if parser.headed:
                told = (parser.status, list(parser.headers.items()), parser.keep_alive, parser.delimited_by_close)
                seen.append((*told, parser.take(), parser.pending))
        if parser.fault or parser.surplus or not parser.complete or not parser.keep_alive:
            parser.feed(USUAL)
            seen.append((parser.fault, parser.surplus, parser.complete, parser.end()))
            if parser.complete or parser.fault:
                parser.expect(head_only=False)
                parser.feed(USUAL)
                seen.append((parser.fault, parser.surplus, parser.complete))
            break
    return seen


def agree(answers: list[list[bytes]], head_only: int = -1) -> None:
    assert converse(ResponseParser(), answers, head_only) == converse(Untaught(), answers, head_only)


def test_a_known_head_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = read([USUAL])
    parser.take()
    monkeypatch.setattr(ResponseParser, "_read", lambda parser, data: pytest.fail("it was"))
    for size in (2, 9, 0, 9):
        parser.expect(head_only=False)
        parser.feed(USUAL[:-2].replace(b": 2", b": %d" % size) + b"z" * size)
        assert parser.complete
        assert parser.take() == b"z" * size
        assert parser.headers == {"content-length": str(size), "x-a": "50%"}


def test_headers_given_out_before_stay_as_they_are() -> None:
    parser = ResponseParser()
    kept = []
    for sent in (USUAL, USUAL, USUAL.replace(b": 2", b": 3") + b"!", USUAL):
        parser.expect(head_only=False)
        parser.feed(sent)
        kept.append(parser.headers)
        parser.take()
    assert [headers["content-length"] for headers in kept] == ["2", "2", "3", "2"]


def test_where_every_head_is_new_few_are_remembered_and_then_one_is_known_again() -> None:
    parser = ResponseParser()
    for number in range(200):
        parser.expect(head_only=False)
        parser.feed(USUAL.replace(b"50%", b"%d" % number))
        assert parser.take() == b"hi"
    assert parser._last is None
    for _ in range(100):
        parser.expect(head_only=False)
        parser.feed(USUAL)
        assert parser.take() == b"hi"
    assert parser._last is not None


def test_a_head_that_changes_now_and_then_is_remembered_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    parser, read_on, reads = ResponseParser(), ResponseParser._read, list[bytes]()

    def noted(parser: ResponseParser, data: bytes) -> None:
        reads.append(data)
        read_on(parser, data)

    monkeypatch.setattr(ResponseParser, "_read", noted)
    for number in range(300):
        parser.expect(head_only=False)
        parser.feed(USUAL.replace(b"50%", b"%d" % (number // 3)))
        assert parser.take() == b"hi"
    assert len(reads) == 100


def test_a_parser_that_is_closed_reads_nothing() -> None:
    parser = read([USUAL])
    parser.take()
    parser.expect(head_only=False)
    parser.close()
    parser.feed(USUAL)
    assert not parser.headed


ALIKE = [
    [USUAL[:-1], USUAL[-1:]],
    [USUAL[:-2], USUAL[-2:]],
    [USUAL[:-1]],
    [USUAL + b"!"],
    [USUAL, b"!"],
    [USUAL + b"\r\n"],
    [USUAL + USUAL],
    [b"\r\n" + USUAL],
    [USUAL.replace(b"200 OK", b"201 OK")],
    [USUAL.replace(b"200 OK", b"204 OK")],
    [USUAL.replace(b"200 OK", b"304 OK")[:-2]],
    [USUAL.replace(b"200 OK", b"304 OK").replace(b": 2", b": 0")[:-2]],
    [USUAL.replace(b"200 OK", b"100 OK")],
    [USUAL.replace(b"HTTP/1.1", b"HTTP/1.0")],
    [b"HTTP/1.1 100 Continue\r\n\r\n" + USUAL],
    [b"HTTP/1.1 100 Continue\r\n\r\n", USUAL],
    *[[USUAL.replace(b": 2", b": " + length)] for length in (b"02", b"+2", b" 2", b"2 ", b"", b"-7", b"2, 2", b"%d")],
    [USUAL.replace(b"Content-Length", b"content-length")],
    [USUAL.replace(b"Content-Length", b"CONTENT-LENGTH")],
    [USUAL.replace(b"X-A: 50%", b"Content-Length: 2")],
    [USUAL.replace(b"X-A: 50%", b"Connection: close")],
    [USUAL.replace(b"X-A: 50%", b"X: a\r\n b")],
    [USUAL.replace(b"X-A: 50%", b"X : a")],
    [OK + b"X: Content-Length: 2\r\n\r\nhi"],
    [CHUNKED + b"2\r\nhi\r\n0\r\n\r\n"],
    [OK + b"Content-Length: 20000\r\n\r\n" + b"z" * 20000],
    [b"x"],
    [USUAL[:-2].replace(b": 2", b": 100") + b"z" * 100],
    [USUAL[:-2].replace(b": 2", b": -1")],
    [USUAL[:-2].replace(b": 2", b": 12") + b"z" * 11],
    [b"HTTP/1.1 103 Early\r\nContent-Length: 2\r\n\r\n" + USUAL],
    [b"HTTP/1.1 103 Early\r\nContent-Length: 2\r\n\r\nhi"],
    [b"HTTP/1.1 103 Early\r\nContent-Length: %d\r\n\r\n" % len(USUAL) + USUAL],
    [USUAL.replace(b"200 OK", b"304 OK")],
]


@pytest.mark.parametrize("pieces", ALIKE)
def test_a_memory_changes_nothing(pieces: list[bytes]) -> None:
    for other in ALIKE:
        agree([other, pieces])
        agree([other, other, pieces, other, pieces])
    for head_only in range(4):
        agree([[USUAL], pieces, [USUAL], pieces, [USUAL]], head_only)


@pytest.mark.parametrize("sent", [*(case[0] for case in WHOLE.values()), *BAD.values()])
def test_every_answer_and_what_is_none_is_read_as_the_first_time(sent: bytes) -> None:
    for pieces in ([sent], [sent[:30], sent[30:]]):
        agree([pieces, pieces, pieces])
        agree([[USUAL], pieces, [USUAL], pieces])


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_known_head_that_is_tampered_with_is_read(data: st.DataObject) -> None:
    bodies = st.binary(max_size=12)
    usual = [USUAL[:-2].replace(b": 2", b": %d" % len(body)) + body for body in data.draw(st.lists(bodies, max_size=4))]
    sent = bytearray(data.draw(st.sampled_from([USUAL, *usual])))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(sent)))
        sent[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"-", b"+", b"%", b"0", b"1", b"9", b"z"])
        )
    agree([*([each] for each in usual), [USUAL], [bytes(sent)], [USUAL], *([each] for each in usual)])
