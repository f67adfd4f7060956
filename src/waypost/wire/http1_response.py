"""HTTP/1.1 answers, read (RFC 9112): bytes in, status, headers and pieces of a body out. No socket, no clock.

llhttp does the grammar; added here is what it lets pass: odd versions and statuses, transfer codings other than
`chunked`, protocol switches, bytes after the end, and every bound on size.

A head that was read before need not go through llhttp again: `heads` says when two heads mean the same.
"""

from typing import NoReturn

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from waypost.wire.heads import Form, form_of
from waypost.wire.http1 import BODILESS, KNOWN_NAMES

MAX_HEAD = 64 * 1024
_MAX_INTERIM = 16  # 1xx answers before the real one
_SLICE = 16 * 1024
_PATIENCE = 32  # heads of a connection that were new, one after the other, until most are not remembered


class ResponseParser:
    """Bytes of one connection → one answer at a time; `expect` makes it ready for the next.

    `begun`: a byte of the answer has come. `headed`: status and headers are whole. `complete`: so is the body.
    `fault` says why what came is not HTTP. `surplus`: something followed the answer, so the connection is used up.
    `delimited_by_close`: only the end of the connection ends the body, so nobody can tell whether it is whole.
    """

    __slots__ = (
        "_head_bytes",
        "_head_only",
        "_interim",
        "_interims",
        "_last",
        "_parser",
        "_pieces",
        "_vain",
        "begun",
        "complete",
        "delimited_by_close",
        "fault",
        "headed",
        "headers",
        "keep_alive",
        "pending",
        "status",
        "surplus",
    )

    def __init__(self) -> None:
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._head_only = False
        self._head_bytes = 0  # of head or framing since the last byte of content
        self._interim = False
        self._interims = 0
        self._last: Form | None = None  # of an answer with the status of the latest, after which all is as after that
        self._vain = 0
        self.begun = False
        self.headed = False
        self.complete = True
        self.delimited_by_close = False
        self.keep_alive = False
        self.surplus = False
        self.fault: str | None = None
        self.pending = 0  # bytes of the body that have not been taken
        self.status = 0
        self.headers: dict[str, str] = {}

    def expect(self, head_only: bool) -> None:
        """A request has been sent, the last answer being complete. `head_only`: a HEAD, whose answer has no body."""
        self._head_only = head_only
        self.begun = False
        self.headed = False
        self.complete = False
        if head_only:
            self._last = None

    def close(self) -> None:
        self._parser = None
        self._last = None

    def feed(self, data: bytes) -> None:
        if self.begun:
            self._read(data)
            return
        last = self._last
        if last is not None:
            size = len(data) - last.length
            if last.low <= size <= last.high and data.startswith(last.template % size):
                self.headers = last.headers if size == last.size else last.resize(size)
                self._pieces = [data[last.length :]]
                self.pending = size
                self.begun = self.headed = self.complete = True
                self._vain = 0
                return
        self._read(data)
        self._vain = vain = self._vain + 1
        if vain > _PATIENCE and vain % _PATIENCE:
            self._last = None
        elif self.complete:
            self._remember(data)

    def _read(self, data: bytes | memoryview) -> None:
        parser = self._parser
        if self.complete or parser is None:
            self._spoil()
            return
        if len(data) > _SLICE and not self.headed:
            view = memoryview(data)
            for at in range(0, len(data), _SLICE):
                self._read(view[at : at + _SLICE])
            return
        self.begun = True
        before = self.pending
        try:
            parser.feed_data(data)
        except HttpParserUpgrade:
            self._reject("the server switched to another protocol")
        except HttpParserError as error:
            if self.complete:
                self._spoil()
            else:
                self._reject(str(error))
        if not self.complete:
            self._bound(0 if self.pending != before else len(data))

    def end(self) -> bool:
        """The connection has closed: whether the answer is whole."""
        if self.headed and self.delimited_by_close and self.fault is None:
            self.complete = True
        return self.complete

    def take(self) -> bytes:
        """What has come of the body since the last time; b"" if nothing has."""
        pieces = self._pieces
        self.pending = 0
        if len(pieces) == 1:
            return pieces.pop()
        data = b"".join(pieces)
        pieces.clear()
        return data

    def put_back(self, data: bytes) -> None:
        """Gives back what was taken, for another to take."""
        self._pieces.insert(0, data)
        self.pending += len(data)

    def _bound(self, size: int) -> None:
        """Heads, chunk extensions and trailers must not go on for ever."""
        self._head_bytes = self._head_bytes + size if size else 0
        if self._head_bytes > MAX_HEAD:
            self._reject(f"more than {MAX_HEAD} bytes of head or framing")

    # ---- called by the parser

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError("something follows the answer")
        self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.headed:
            return  # a trailer
        headers = self.headers
        key = KNOWN_NAMES[name]
        if key in headers:
            headers[key] += ", " + value.rstrip().decode("latin-1")
        else:
            headers[key] = value.rstrip().decode("latin-1")

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        status = parser.get_status_code()
        self.keep_alive = parser.should_keep_alive()
        if not self.keep_alive and parser.get_http_version()[0] != "1":
            self._stop("the server does not speak HTTP/1")
        if status < 200 or status > 599:
            self._begin_interim(status)
            return
        headers = self.headers
        self.delimited_by_close = False
        if "transfer-encoding" in headers:
            if headers["transfer-encoding"].lower() != "chunked":
                self._stop("a transfer coding other than chunked")
        elif "content-length" not in headers and status not in BODILESS:
            self.delimited_by_close = True
        if status != self.status or not self.keep_alive:
            self._last = None
        self.status = status
        self.headed = True
        if self._head_only:
            # the parser can't be told that no body follows, so this connection ends here
            self.keep_alive = False
            self.complete = True

    def on_body(self, piece: bytes) -> None:
        if not self._head_only:
            self._pieces.append(piece)
            self.pending += len(piece)

    def on_message_complete(self) -> None:
        if not self._interim:
            self.complete = True
            self._head_bytes = 0
            self._interims = 0
            return
        self._interim = False
        self._interims += 1
        if self._interims > _MAX_INTERIM:
            self._stop("too many interim answers")

    def _begin_interim(self, status: int) -> None:
        if status < 100 or status > 599:
            self._stop(f"{status} is not a status")
        self._interim = True

    def _remember(self, data: bytes) -> None:
        """An answer that came whole, if nothing but its length said so."""
        if self.keep_alive and self.status not in BODILESS:
            form = form_of(data, self.headers)
            if form is not None and form.length + form.size == len(data):
                self._last = form

    def _spoil(self) -> None:
        self.surplus = True
        self._last = None

    def _reject(self, reason: str) -> None:
        self._last = None
        if self.fault is None:
            self.fault = reason

    def _stop(self, reason: str) -> NoReturn:
        """Ends the reading from within a callback of the parser."""
        self._reject(reason)
        raise ValueError(reason)
