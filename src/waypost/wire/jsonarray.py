"""A stream that is one JSON array of objects: a stream of bytes in, whole elements with their exact bytes out.

Knows the grammar of JSON (RFC 8259) as far as brackets and strings go: an element ends where its first bracket closes.
Objects that follow one another without an array around them are taken as well. Refuses to know what they mean.
"""

import re

from waypost.wire.frames import Frame
from waypost.wire.sse import DEFAULT_LIMIT, SseFraming

_SPACE = b" \t\r\n"
# Brackets and whole strings; a lone quote begins a string that goes on in bytes to come.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]]', re.DOTALL)
_IN_STRING = re.compile(rb'["\\]')
_QUOTE = 0x22
_BEGIN = re.compile(rb"[^ \t\r\n,\xef\xbb\xbf]")  # of an element; a byte order mark may stand before the first
_BOM = b"\xef\xbb\xbf"
_MOST_SPACE = 4096  # bytes before anything else


class JsonArrayFraming:
    """Satisfies `Framing`. Time is linear in the bytes however they are cut; the frames do not depend on the cuts.

    A frame's `raw` is an element with what stands before it (the array's opening, a comma); the frame of the array's
    end has `data` b"]". `limit` bounds the bytes of one unfinished element; beyond it, or where something else stands
    than an object belongs, `feed` raises ValueError.
    """

    __slots__ = ("_begin", "_buffer", "_closed", "_depth", "_escaped", "_in_string", "_limit", "_opened", "_scanned")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._scanned = 0  # all before this place is understood
        self._begin = 0  # of the element's own bytes in the buffer
        self._depth = 0  # of brackets that are open within the element; 0 between elements
        self._in_string = False
        self._escaped = False  # the byte at `_scanned` is escaped
        self._opened = False  # the array has begun
        self._closed = False

    def feed(self, data: bytes) -> list[Frame]:
        self._buffer += data
        frames: list[Frame] = []
        while self._step(frames):
            pass
        if len(self._buffer) > self._limit:
            raise ValueError(f"an element of the stream is longer than {self._limit} bytes")
        return frames

    def end(self) -> list[Frame]:
        """The rest as one frame; with its data if it is a part of an element, so that a reader sees it is cut."""
        if not self._buffer:
            return []
        rest = bytes(self._buffer)
        self._buffer.clear()
        data = rest[self._begin :] if self._depth else None
        return [Frame(rest, data)]

    def _step(self, frames: list[Frame]) -> bool:
        """Goes on to the next end of an element; False where the bytes end first."""
        if self._depth == 0:
            return self._between(frames)
        if self._in_string and not self._to_string_end():
            return False
        end = self._element_end()
        if end < 0:
            return False
        raw = bytes(self._buffer[:end])
        frames.append(Frame(raw, raw[self._begin :]))
        self._forget(end)
        return True

    def _element_end(self) -> int:
        """The place after the element's last bracket; -1 where it has not come yet, all that came being understood.

        On its own, because a match pins the buffer, which could then not shrink.
        """
        buffer = self._buffer
        for token in _TOKEN.finditer(buffer, self._scanned):
            mark = buffer[token.start()]
            if mark == _QUOTE:
                if token.end() - token.start() == 1:
                    self._in_string = True
                    self._scanned = token.end()
                    self._to_string_end()
                    return -1
            elif mark in b"{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth == 0:
                    return token.end()
        self._scanned = len(buffer)
        return -1

    def _between(self, frames: list[Frame]) -> bool:
        if self._closed:
            return False
        found = _BEGIN.search(self._buffer, self._scanned)
        if found is None:
            self._scanned = len(self._buffer)
            return False
        place, mark = found.start(), found[0]
        del found
        if mark == b"{":
            self._begin = place
            self._depth = 1
            self._scanned = place + 1
            return True
        if mark == b"[" and not self._opened:
            self._opened = True
            self._scanned = place + 1
            return True
        if mark == b"]" and self._opened:
            self._closed = True
            frames.append(Frame(bytes(self._buffer[: place + 1]), b"]"))
            self._forget(place + 1)
            return False
        raise ValueError("the stream is not an array of JSON objects")

    def _to_string_end(self) -> bool:
        """Goes on in a string that was cut; False where its end has not come yet."""
        buffer = self._buffer
        place = self._scanned
        if self._escaped:
            if place >= len(buffer):
                return False
            place += 1
            self._escaped = False
        while True:
            found = _IN_STRING.search(buffer, place)
            if found is None:
                self._scanned = len(buffer)
                return False
            place = found.end()
            quote = buffer[place - 1] == _QUOTE
            del found
            if quote:
                self._in_string = False
                self._scanned = place
                return True
            if place >= len(buffer):
                self._escaped = True
                self._scanned = place
                return False
            place += 1

    def _forget(self, end: int) -> None:
        del self._buffer[:end]
        self._scanned = self._begin = 0


class AnyFraming:
    """Satisfies `Framing`: a JSON array or server-sent events, whichever the first byte that is no space shows."""

    __slots__ = ("_held", "_is", "_limit")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._held = b""
        self._is: JsonArrayFraming | SseFraming | None = None

    def feed(self, data: bytes) -> list[Frame]:
        if self._is is not None:
            return self._is.feed(data)
        data = self._held + data
        first = data.removeprefix(_BOM).lstrip(_SPACE)[:1]
        if not first or _BOM.startswith(data):
            if len(data) > _MOST_SPACE:
                raise ValueError(f"the stream begins with more than {_MOST_SPACE} bytes of white space")
            self._held = data
            return []
        self._held = b""
        self._is = JsonArrayFraming(self._limit) if first in b"[{" else SseFraming(self._limit)
        return self._is.feed(data)

    def end(self) -> list[Frame]:
        if self._is is not None:
            return self._is.end()
        held, self._held = self._held, b""
        return [Frame(held)] if held else []
