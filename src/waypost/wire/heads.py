"""Heads of HTTP/1.1 messages that have been read before (RFC 9112), known again by their bytes. No grammar, no socket.

A sender on a kept connection says the same head again and again, but for the digits of Content-Length. What llhttp took
for a head at the start of a message is one again, and means the same, whatever those digits: llhttp keeps nothing from
one message to the next while the connection stays open. So the only heads to remember are those after which these
digits alone say where the body ends, or which have no body, of connections that stay open. And a head is known again
only where every other byte is the same, and the digits are as many and written as a number usually is.
"""

_END = b"\r\n\r\n"
_TITLED = b"\r\nContent-Length: "
_SMALL = b"\r\ncontent-length: "
_LONGEST = 4096  # bytes of an answer's head
_MOST_DIGITS = 12
_MOST_HEADS = 128
_MOST_MET = 1024

Parts = tuple[bytes, bytes, bytes]  # what is before the digits of a length, the digits (b"" if none), what is after


class Form:
    """The bytes of a head, with room for a length of as many digits as it had, and what its headers say.

    `template % size` is the head, `length` bytes of it, of a body of `size` bytes, from `low` to `high`. `headers` are
    those of the latest such head, with `size` bytes of body. Without digits there is no body: its size is 0.
    """

    __slots__ = ("_begin", "_end", "headers", "high", "length", "low", "size", "template")

    def __init__(self, parts: Parts, headers: dict[str, str], most: int) -> None:
        """`most`: bytes that a body may have."""
        before, digits, after = parts
        count = len(digits)
        self._begin = len(before)
        self._end = len(before) + count
        room = b"%d" if digits else b"%.0a"  # the latter is b"" whatever the number
        self.template = before.replace(b"%", b"%%") + room + after.replace(b"%", b"%%") + _END
        self.length = len(before) + count + len(after) + len(_END)
        self.low = 10 ** (count - 1) if count > 1 else 0
        self.high = min(10**count - 1, most)
        self.size = int(digits or b"0")
        self.headers = headers

    def resize(self, size: int) -> dict[str, str]:
        """The headers of a head with another length. Those given out before stay as they are."""
        self.headers = {**self.headers, "content-length": str(size)}
        self.size = size
        return self.headers

    def announced(self, data: bytes) -> int:
        """The length of the body that follows, if `data` begins with a head of this form, else -1."""
        digits = data[self._begin : self._end]
        size = int(digits) if digits.isdigit() else 0
        return size if self.low <= size <= self.high and data.startswith(self.template % size) else -1


class Head(Form):
    """What a request's head said: one object for all requests whose heads differ in the digits of a length alone.

    `known` belongs to whoever serves the requests: what it worked out from this very head, None at first.
    """

    __slots__ = ("chunkable", "known", "method", "path", "query")

    def __init__(
        self,
        parts: Parts,
        headers: dict[str, str],
        most: int,
        start: tuple[str, str, str],
        chunkable: bool,
    ) -> None:
        """`start`: method, path, query."""
        super().__init__(parts, headers, most)
        self.method, self.path, self.query = start
        self.chunkable = chunkable
        self.known: object | None = None


class Heads:
    """The heads that callers send of late, for all connections of one server: the limits of all must be the same.

    A head is remembered when it is met for the second time: what is said but once, as where requests are numbered in a
    header, would only push out what is said often. The oldest makes room.
    """

    __slots__ = ("_heads", "_met")

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}
        self._met: set[int] = set()

    def find(self, data: bytes) -> tuple[Head | None, Parts | None]:
        """The known head that `data` begins with; or the parts of one that has been met before, to be remembered."""
        lines, end, _ = data.partition(_END)
        parts = cut(lines) if end else None
        if parts is None:
            return None, None
        key = _key(parts)
        head = self._heads.get(key)
        if head is not None:
            return head, None
        trace = hash(key)
        if trace in self._met:
            return None, parts
        if len(self._met) >= _MOST_MET:
            self._met.clear()
        self._met.add(trace)
        return None, None

    def remember(self, parts: Parts, head: Head) -> None:
        if len(self._heads) >= _MOST_HEADS:
            del self._heads[next(iter(self._heads))]
        self._heads[_key(parts)] = head


def cut(head: bytes) -> Parts | None:
    """`head`, its end left out → its parts. None where nothing is to be remembered.

    That is an odd length, or a line break before the first line.
    """
    if head[:1] <= b"\r":
        return None
    before, name, rest = head.partition(_TITLED)
    if not name:
        before, name, rest = head.partition(_SMALL)
        if not name:
            return head, b"", b""
    digits, end, after = rest.partition(b"\r\n")
    if not digits.isdigit() or len(digits) > _MOST_DIGITS or (digits[0] == 48 and len(digits) > 1):
        return None
    return before + name, digits, end + after


def form_of(data: bytes, headers: dict[str, str]) -> Form | None:
    """The form of the head that `data` begins with, if it says how long its body is. `headers`: what llhttp read."""
    lines, end, _ = data[:_LONGEST].partition(_END)
    parts = cut(lines) if end else None
    if parts is None or headers.get("content-length") != parts[1].decode():
        return None
    return Form(parts, headers, 10**_MOST_DIGITS)


def _key(parts: Parts) -> bytes:
    """What is the same for all heads of one form, and for no others: no head has an empty line inside."""
    before, digits, after = parts
    return b"%b\r\n\r\n%d%b" % (before, len(digits), after) if digits else before
