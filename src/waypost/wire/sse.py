"""Server-sent events, by bytes: a stream of bytes in, whole events with their exact bytes out.

Knows the grammar of the WHATWG event stream (HTML Living Standard, 9.2.6): lines end in LF, CRLF or CR and in nothing
else (U+2028 and its friends are ordinary text), a blank line ends an event, a byte order mark may open the stream.
Refuses to know what the data means.
"""

import re

from waypost.wire.frames import Frame

DEFAULT_LIMIT = 16 * 1024 * 1024  # bytes of one unfinished event

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
# The end of a line and then a blank one. A CR after LF is only judged once the byte after it is known: it may be CRLF.
# A CR after CR is a blank line at once; an LF that follows it is read as one more blank line, which means nothing.
_EVENT_END = re.compile(rb"\n\n|\r\r|\n\r(?:\n|(?=[^\n]))")
_LONGEST_END = 3


class SseFraming:
    """Satisfies `Framing`. Time is linear in the bytes however they are cut; the frames do not depend on the cuts.

    `limit` bounds the bytes of one unfinished event; beyond it `feed` raises ValueError.
    """

    __slots__ = ("_begun", "_buffer", "_has_cr", "_limit", "_scanned")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._scanned = 0  # no event ends before this place in the buffer
        self._has_cr = False  # whether the buffer may hold a CR
        self._begun = False

    def feed(self, data: bytes) -> list[Frame]:
        if self._has_cr or b"\r" in data:
            self._has_cr = True
            return self._feed_any(data)
        if self._buffer:
            return self._feed_after(data)
        return self._feed_fresh(data)

    def end(self) -> list[Frame]:
        """The rest as one frame, whether or not it is a whole event: its reader tells a cut one by its data."""
        if not self._buffer:
            return []
        rest = bytes(self._buffer)
        self._buffer.clear()
        return [self._first(rest) if not self._begun else parse_event(rest)]

    def _feed_fresh(self, data: bytes) -> list[Frame]:
        """Nothing is pending and all lines end in LF: how providers send, so the short way."""
        pieces = data.split(b"\n\n")
        rest = pieces.pop()
        if rest:
            self._keep(rest)
        if not self._begun and pieces:
            return [self._first(pieces[0] + b"\n\n"), *[_parse_piece(piece) for piece in pieces[1:]]]
        return [_parse_piece(piece) for piece in pieces]

    def _feed_after(self, data: bytes) -> list[Frame]:
        """All lines end in LF; completes the pending event first."""
        buffer = self._buffer
        buffer += data
        end = buffer.find(b"\n\n", self._scanned)
        if end < 0:
            self._scanned = len(buffer) - 1
            self._check()
            return []
        raw = bytes(buffer[: end + 2])
        rest = bytes(buffer[end + 2 :])
        buffer.clear()
        frame = self._first(raw) if not self._begun else _parse_piece(raw[:-2])
        return [frame, *self._feed_fresh(rest)] if rest else [frame]

    def _feed_any(self, data: bytes) -> list[Frame]:
        """Any mixture of line ends."""
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        begin = 0
        found = _EVENT_END.search(buffer, self._scanned)
        while found:
            raw = bytes(buffer[begin : found.end()])
            frames.append(parse_event(raw) if self._begun else self._first(raw))
            begin = found.end()
            found = _EVENT_END.search(buffer, begin)
        del found  # a match object pins the buffer, which could then not shrink
        if begin:
            del buffer[:begin]
            self._has_cr = b"\r" in buffer
        self._scanned = max(0, len(buffer) - (_LONGEST_END - 1))
        self._check()
        return frames

    def _first(self, raw: bytes) -> Frame:
        self._begun = True
        return parse_event(raw, skip=len(_BOM) if raw.startswith(_BOM) else 0)

    def _keep(self, rest: bytes) -> None:
        self._buffer += rest
        self._scanned = len(rest) - 1
        self._check()

    def _check(self) -> None:
        if len(self._buffer) > self._limit:
            raise ValueError(f"an event of the stream is longer than {self._limit} bytes")


def _parse_piece(piece: bytes) -> Frame:
    """An event whose lines end in LF, without its blank line."""
    if piece.startswith(b"data: "):
        if b"\n" not in piece:
            return Frame(piece + b"\n\n", piece[6:])
    elif piece.startswith(b"event: "):
        end = piece.find(b"\n")
        if piece.startswith(b"data: ", end + 1) and piece.find(b"\n", end + 1) < 0:
            return Frame(piece + b"\n\n", piece[end + 7 :], piece[7:end].decode("utf-8", "replace"))
    return parse_event(piece + b"\n\n")


def parse_event(raw: bytes, skip: int = 0) -> Frame:
    """One event's bytes → its frame. `skip` bytes at the start belong to `raw` but not to the first line."""
    data: list[bytes] = []
    event: str | None = None
    for line in _LINE_END.split(raw[skip:] if skip else raw):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value[1:] if value.startswith(b" ") else value)
        elif name == b"event":
            event = (value[1:] if value.startswith(b" ") else value).decode("utf-8", "replace")
    return Frame(raw, b"\n".join(data) if data else None, event)
