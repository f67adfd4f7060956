"""HTTP/1.1 requests, read (RFC 9112): bytes in, whole requests out. No socket, no clock, no answer.

llhttp does the grammar (it refuses bare LF, folded lines, spaces before a colon, two framings in one head, repeated
Content-Length). Added here is what it lets pass: versions other than 1.0 and 1.1, a missing or repeated Host, repeated
Authorization, transfer codings other than `chunked`, CONNECT, fragments, and every bound on size.

A head that was read before need not go through llhttp again: `heads` says when two heads mean the same.
"""

from collections import deque
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

from httptools import HttpParserError, HttpParserInvalidURLError, HttpParserUpgrade, HttpRequestParser, parse_url
from msgspec import Struct

from waypost.wire.heads import Head, Heads, Parts
from waypost.wire.http1 import KNOWN_NAMES, Rejection

MAX_AHEAD = 16  # whole requests that may wait unanswered on one connection
_SLICE = 4096  # bytes judged at once: how far a bound can be overshot before it is noticed
_FRAMING = frozenset(("expect", "transfer-encoding", "upgrade"))  # they have a say in what follows a head
_PATIENCE = 64  # heads of a connection that were new, one after the other, until most are not looked up
_UNREPEATABLE = frozenset(("host", "authorization"))


class RequestLimits(Struct, frozen=True):
    """In bytes: the request line and headers together; the body without its chunk framing."""

    head: int
    body: int


class ReceivedRequest(Struct, eq=False):
    """One whole request, as `Exchange` describes it.

    `keep_alive`: its sender means to go on using the connection. `chunkable`: its sender understands chunks.
    `head` is what it shares with other requests that have the same head, None if it is not known to share anything.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool
    chunkable: bool
    received_at: float
    head: Head | None = None


Request = TypeVar("Request", bound=ReceivedRequest)
Make = Callable[[str, str, str, dict[str, str], bytes, bool, bool, float], Request]


class RequestParser(Generic[Request]):
    """Bytes of one connection → `ready`, the whole requests not yet taken, oldest first.

    Once `fault` is set nothing more is read: the framing can't be trusted. Requests completed before it are still good.
    `make` gives the object that a request becomes, from its members; its `head` is set afterwards. `heads` is shared
    by parsers with the same limits; without it none is remembered. Call `close` when the connection is gone.
    """

    __slots__ = (
        "_body",
        "_chunkable",
        "_collecting",
        "_completed",
        "_content_length",
        "_head",
        "_head_bytes",
        "_headers",
        "_heads",
        "_idle_bytes",
        "_joined",
        "_last",
        "_limits",
        "_make",
        "_method",
        "_now",
        "_parser",
        "_parts",
        "_path",
        "_pieces",
        "_query",
        "_received",
        "_rest",
        "_slice",
        "_upgrade",
        "_url",
        "_vain",
        "awaits_continue",
        "begun",
        "fault",
        "in_body",
        "ready",
    )

    def __init__(self, limits: RequestLimits, make: Make[Request], heads: Heads | None = None) -> None:
        self._limits = limits
        self._make = make
        self._slice = min(_SLICE, limits.head)
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self.ready: deque[Request] = deque()
        self.fault: Rejection | None = None
        self.begun = False  # part of a request has arrived, and not all of it
        self.in_body = False
        self.awaits_continue = False  # the sender holds its body back until it is told to go on
        self._now = 0.0
        self._completed = False  # a request has been, by what is being read
        self._method = ""
        self._path = ""
        self._query = ""
        self._chunkable = False
        self._rest = b""
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_bytes = 0  # of a head that is not whole yet
        self._joined = 0  # bytes of it that joining repeated headers has hidden
        self._idle_bytes = 0  # of a body's framing since its last byte of content
        self._upgrade = False
        self._content_length = 0
        self._received = 0
        self._body = b""
        self._pieces: bytearray | None = None
        self._heads = heads  # None once no more are to be remembered, or known
        self._last: Head | None = None  # of the latest request, if what comes next is the start of another
        self._head: Head | None = None  # of the request being read
        self._parts: Parts | None = None  # of the head that is about to be read and remembered
        self._vain = 0  # how many heads have not been known, one after the other
        self._collecting = False  # llhttp has not seen the head of this request, and won't see its body

    @property
    def full(self) -> bool:
        """Nothing more should be read from the connection until requests are taken."""
        return len(self.ready) >= MAX_AHEAD or len(self._rest) > 0

    @property
    def path(self) -> str:
        """The path of the request being read, as far as it is known."""
        return self._path if self.in_body else self._url.decode("latin-1").partition("?")[0]

    def close(self) -> None:
        self._parser = None
        self._heads = None
        self._last = None
        self._collecting = False

    def feed(self, data: bytes, now: float) -> None:
        """Reads on. `now` is stamped on the requests that this data completes."""
        head = self._last
        if head is not None:
            size = len(data) - head.length
            if head.low <= size <= head.high and data.startswith(head.template % size):
                headers = head.headers if size == head.size else head.resize(size)
                body = data[head.length :]
                request = self._make(head.method, head.path, head.query, headers, body, True, head.chunkable, now)
                request.head = head
                self.ready.append(request)
                return
        if self._collecting:
            self._collect(data, now)
        elif self._heads is None or self.begun or self._rest:
            self._read(data, now)
        else:
            self._look_up(data, now)

    def _look_up(self, data: bytes, now: float) -> None:
        """What begins a request, though perhaps not the whole of it."""
        head = self._last
        size = -1 if head is None else head.announced(data)
        heads, vain = self._heads, self._vain
        if size < 0 and heads is not None and (vain < _PATIENCE or vain % _PATIENCE == 0):
            head, self._parts = heads.find(data[: self._slice])
            size = -1 if head is None else head.announced(data)
            if head is not None or self._parts is not None:
                self._vain = 0
        if head is None or size < 0:
            self._vain += 1
            self._read(data, now)
            self._parts = None
            return
        come = len(data) - head.length
        if come > size:
            self._read(data, now)
        elif come == size:
            self._last = head
            self.feed(data, now)
        else:
            self._await_body(head, size)
            if come:
                self._collect(data[head.length :], now)

    def _await_body(self, head: Head, length: int) -> None:
        """Nothing is left to do but to wait for the rest of a body of `length` bytes."""
        self._last = None
        self._head = head
        self._path = head.path
        self._content_length = length
        self.begun = True
        self.in_body = True
        self._collecting = True

    def _collect(self, data: bytes, now: float) -> None:
        missing = self._content_length - self._received
        self.on_body(data[:missing])
        if len(data) < missing:
            return
        head = self._head
        assert head is not None
        self._method, self._query, self._chunkable = head.method, head.query, head.chunkable
        self._headers = head.headers if self._content_length == head.size else head.resize(self._content_length)
        self._now = now
        self.on_message_complete()
        rest = data[missing:].lstrip(b"\r\n")  # line breaks between requests mean nothing
        if rest:
            self.feed(rest, now)

    def _read(self, data: bytes | memoryview, now: float) -> None:
        parser = self._parser
        if len(data) > self._slice or self._rest:
            self._feed_sliced(self._rest + data, now)
            return
        if self.fault is not None or parser is None:
            return
        self._now = now
        self._completed = False
        received = self._received
        try:
            parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._ignore_upgrade(bytes(data[upgrade.args[0] :]))
        except HttpParserError as error:
            self._fail(error)
        if not self._completed and self.fault is None:
            if self.in_body:
                self._bound_framing(len(data), received)
            else:
                self._bound_head(len(data))

    def _feed_sliced(self, data: bytes, now: float) -> None:
        self._rest = b""
        self._now = now
        view = memoryview(data)
        begin = 0
        while begin < len(data) and self.fault is None:
            if len(self.ready) >= MAX_AHEAD:
                self._rest = data[begin:]
                self._last = None
                return
            end = begin + self._slice
            if self.in_body and self._content_length - self._received > self._slice:
                # the content of a body of known length holds no surprises: all of it at once
                end = begin + self._content_length - self._received
                self._feed_content(view[begin:end])
            else:
                self._read(view[begin:end], now)
            begin = end

    def _feed_content(self, data: memoryview) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._fail(error)

    def _bound_head(self, size: int) -> None:
        if size:
            self.begun = True
            self._last = None
        self._head_bytes += size
        if self._head_bytes > self._limits.head:
            self._reject(431, "the request's head is too large")

    def _bound_framing(self, size: int, received: int) -> None:
        """Extensions and trailers of chunks mean nothing here, and so must not go on for ever."""
        self._idle_bytes = self._idle_bytes + size if self._received == received else 0
        if self._idle_bytes > self._limits.head + _SLICE:
            self._reject(431, "the request's chunk framing is too large")

    # ---- called by the parser

    def on_message_begin(self) -> None:
        self.begun = True
        self._last = None

    def on_url(self, url: bytes) -> None:
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_body:
            return  # a trailer: nobody asked for it
        headers = self._headers
        key = KNOWN_NAMES[name]
        if key in headers:
            self._join(key, value)
        else:
            headers[key] = value.rstrip().decode("latin-1")

    def on_headers_complete(self) -> None:
        parser = self._parser
        assert parser is not None
        headers = self._headers
        version = parser.get_http_version()
        self._chunkable = version == "1.1"
        self._path = ""
        self._method = parser.get_method().decode("latin-1")
        target = self._url.decode("latin-1")
        if target[:1] != "/" or "#" in target:
            target = self._other_target(target)
        self._path, _, self._query = target.partition("?")
        if not self._chunkable and version != "1.0":
            self._stop(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        if self._head_bytes and self._measure_head() > self._limits.head:
            self._stop(431, "the request's head is too large")
        if self.fault is not None:
            self._stop(self.fault.status, self.fault.message)
        if "host" not in headers and self._chunkable:
            self._stop(400, "the header host is missing")
        if "content-length" in headers:
            self._content_length = int(headers["content-length"])
            if self._content_length > self._limits.body:
                self._stop(413, f"the body is larger than {self._limits.body} bytes")
        elif "transfer-encoding" in headers and (
            headers["transfer-encoding"].lower() != "chunked" or not self._chunkable
        ):
            self._stop(400, "the only transfer coding understood is chunked, in HTTP/1.1")
        if "expect" in headers and self._chunkable:
            self._expect(headers)
        if "upgrade" in headers:
            self._upgrade = parser.should_upgrade()
        self.in_body = True
        if self._parts is not None:
            self._remember(parser.should_keep_alive())

    def on_body(self, piece: bytes) -> None:
        self._received += len(piece)
        self.awaits_continue = False
        if self._received > self._limits.body:
            self._stop(413, f"the body is larger than {self._limits.body} bytes")
        if not self._body:
            self._body = piece
        elif self._pieces is None:
            self._pieces = bytearray(self._body)
            self._pieces += piece
        else:
            self._pieces += piece

    def on_message_complete(self) -> None:
        if self._upgrade:
            return
        assert self._parser is not None
        keep_alive = self._collecting or self._parser.should_keep_alive()
        request = self._make(
            self._method,
            self._path,
            self._query,
            self._headers,
            self._body if self._pieces is None else bytes(self._pieces),
            keep_alive,
            self._chunkable,
            self._now,
        )
        request.head = head = self._head
        self.ready.append(request)
        self._completed = True
        if head is not None:
            self._collecting = False
            self._head = None
            self._last = head
        if not keep_alive:
            self._heads = None
        self._clear()

    # ---- its parts

    def _clear(self) -> None:
        self.begun = False
        self.in_body = False
        self.awaits_continue = False
        self._url = b""
        self._headers = {}
        self._content_length = 0
        if self._received:
            self._received = 0
            self._body = b""
            self._pieces = None
        self._head_bytes = 0
        self._joined = 0
        self._idle_bytes = 0

    def _remember(self, keep_alive: bool) -> None:
        """The head that has been read, where nothing but its length says what follows it."""
        parts, self._parts = self._parts, None
        heads, headers = self._heads, self._headers
        if heads is None or parts is None or not keep_alive:
            return
        if headers.get("content-length", "") != parts[1].decode():
            return
        if not _FRAMING.isdisjoint(headers):
            return
        start = (self._method, self._path, self._query)
        self._head = head = Head(parts, headers, self._limits.body, start, self._chunkable)
        heads.remember(parts, head)

    def _other_target(self, target: str) -> str:
        """A target that is not in the usual form, in that form."""
        if self._method == "CONNECT":
            self._stop(501, "CONNECT is not served")
        if "#" in target:
            self._stop(400, "a request's target has no fragment")
        if target == "*":
            return target
        try:
            return _origin_form(self._url)
        except HttpParserInvalidURLError:
            self._stop(400, "the request's target is not a URL")

    def _join(self, key: str, value: bytes) -> None:
        if key in _UNREPEATABLE:
            self._reject(400, f"the header {key} is given twice")
            return
        self._headers[key] += ", " + value.rstrip().decode("latin-1")
        self._joined += len(key) + 2

    def _measure_head(self) -> int:
        lines = sum([len(name) + len(value) + 4 for name, value in self._headers.items()])
        return lines + self._joined + len(self._url) + len("POST  HTTP/1.1\r\n\r\n")

    def _expect(self, headers: dict[str, str]) -> None:
        if headers["expect"].lower() != "100-continue":
            self._stop(417, "the only expectation understood is 100-continue")
        self.awaits_continue = self._content_length > 0 or "transfer-encoding" in headers

    def _ignore_upgrade(self, rest: bytes) -> None:
        """The parser leaves the body of a request that asks for another protocol unread, yet to stay with HTTP/1.1 is
        the answerer's right (RFC 9110, 7.8) and clients of HTTP/2 begin so: the head is read again without the wish."""
        assert self._parser is not None
        headers = self._headers
        del headers["upgrade"]
        head = [self._parser.get_method(), b" ", self._url, b" HTTP/1.1\r\n"]
        head += [f"{name}: {value}\r\n".encode("latin-1") for name, value in headers.items()]
        self._upgrade = False
        self._clear()
        self._parser = HttpRequestParser(self)
        self._read(b"".join((*head, b"\r\n")), self._now)
        if rest:
            self._read(rest, self._now)

    def _reject(self, status: int, message: str) -> None:
        self._heads = None
        self._last = None
        if self.fault is None:
            self.fault = Rejection(status, message, self.path)

    def _stop(self, status: int, message: str) -> NoReturn:
        """Ends the reading from within a callback of the parser."""
        self.fault = Rejection(status, message, self._path)
        raise ValueError(message)

    def _fail(self, error: HttpParserError) -> None:
        text = str(error)
        self._reject(505 if "HTTP version" in text else 400, text)


def _origin_form(target: bytes) -> str:
    """An absolute target without its scheme and authority. HttpParserInvalidURLError if it is no URL."""
    parsed = parse_url(target)
    path = (parsed.path or b"/").decode("latin-1")
    return path if parsed.query is None else f"{path}?{parsed.query.decode('latin-1')}"
