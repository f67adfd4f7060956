"""Amazon's binary event stream, by bytes: a stream of bytes in, whole messages with their exact bytes out.

Knows the grammar of `application/vnd.amazon.eventstream` (Smithy, "Amazon Event Stream Specification"): a prelude of
total length, headers' length and their CRC-32, the headers, the payload, the CRC-32 of all before it; big-endian.
Refuses to know what the payload means.
"""

import struct
from collections.abc import Callable, Iterable
from uuid import UUID
from zlib import crc32

import msgspec

from waypost.wire.frames import Frame

CONTENT_TYPE = "application/vnd.amazon.eventstream"
DEFAULT_LIMIT = 16 * 1024 * 1024  # bytes of one message
ERROR = "error"  # the event of a message that is an error without a type of its own

HeaderValue = bool | int | bytes | str | UUID
Headers = dict[str, HeaderValue]

_PRELUDE = struct.Struct(">III")
_TWO = struct.Struct(">II")
_CRC = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_LEAST = _PRELUDE.size + _CRC.size
_MOST_KNOWN = 32  # blocks of headers whose meaning is remembered; a protocol has about ten, each seen very often

_BYTES, _TEXT, _UUID = 6, 7, 9
_INTEGERS = {  # 8 is a timestamp: milliseconds since 1970
    kind: struct.Struct(form) for kind, form in ((2, ">b"), (3, ">h"), (4, ">i"), (5, ">q"), (8, ">q"))
}


class EventStreamFraming:
    """Satisfies `Framing`. The frames do not depend on how the bytes are cut.

    `Frame.event` is the message's `:event-type`, of an exception its `:exception-type`, which ends in "Exception", else
    `ERROR`, as it is of an error without a type; then `data` is JSON of its code and message. Raises ValueError for
    damage and for a message of more than `limit` bytes, after the frames before it were given. What is left at the end
    can't be a message, and is dropped.
    """

    __slots__ = ("_broken", "_buffer", "_known", "_limit")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._known: dict[bytes, str | None] = {}
        self._broken: ValueError | None = None

    def feed(self, data: bytes) -> list[Frame]:
        if self._broken is not None:
            raise self._broken
        buffer = self._buffer
        if buffer:
            unjudged = len(buffer) < _PRELUDE.size
            buffer += data
            data = bytes(buffer) if unjudged or self._is_whole() else b""
        frames: list[Frame] = []
        begin = 0
        try:
            while (end := self._end_of_message(data, begin)) is not None:
                frames.append(self._frame(data[begin:end]))
                begin = end
        except ValueError as error:
            self._broken = error
            buffer.clear()
            if not frames:
                raise
            return frames
        if data:
            buffer[:] = data[begin:]
        return frames

    def end(self) -> list[Frame]:
        self._buffer.clear()
        if self._broken is not None:
            raise self._broken
        return []

    def _is_whole(self) -> bool:
        """Spares copying a long message once for each piece of it. Its prelude is known to be sound."""
        return len(self._buffer) >= int.from_bytes(self._buffer[:4])

    def _end_of_message(self, data: bytes, begin: int) -> int | None:
        """None if the message at `begin` is not whole yet. Its prelude is judged as soon as it is there."""
        if len(data) - begin < _PRELUDE.size:
            return None
        length, headers, crc = _PRELUDE.unpack_from(data, begin)
        if crc32(data[begin : begin + 8]) != crc:
            raise ValueError("the checksum of a message's prelude is wrong")
        if length > self._limit:
            raise ValueError(f"a message of the stream is longer than {self._limit} bytes")
        if headers > length - _LEAST:
            raise ValueError("a message's headers are longer than it is")
        return begin + length if len(data) - begin >= length else None

    def _frame(self, raw: bytes) -> Frame:
        end = len(raw) - _CRC.size
        if crc32(memoryview(raw)[:end]) != _CRC.unpack_from(raw, end)[0]:
            raise ValueError("the checksum of a message is wrong")
        begin = _PRELUDE.size + int.from_bytes(raw[4:8])
        named = raw[_PRELUDE.size : begin]
        payload = raw[begin:end]
        if named in self._known:
            return Frame(raw, payload, self._known[named])
        headers = read_headers(named)
        if headers.get(":message-type") == ERROR:
            told = {"__type": _text(headers, ":error-code"), "message": _text(headers, ":error-message")}
            return Frame(raw, msgspec.json.encode(told), ERROR)
        event = _text(headers, ":event-type") or _text(headers, ":exception-type")
        if headers.get(":message-type") == "exception":  # one of any name ends the stream: none may pass for an event
            told_type = _text(headers, ":exception-type")
            event = told_type if told_type is not None and told_type.endswith("Exception") else ERROR
        if len(self._known) < _MOST_KNOWN:
            self._known[named] = event
        return Frame(raw, payload, event)


def read_headers(block: bytes) -> Headers:
    """A message's headers, of all types that there are; a timestamp is in milliseconds. Raises ValueError."""
    headers: Headers = {}
    place = 0
    try:
        while place < len(block):
            name = block[place + 1 : place + 1 + block[place]]
            place += 1 + len(name)
            headers[name.decode()], place = _value(block, place + 1, block[place])
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError("a message's headers are broken") from error
    return headers


def _value(block: bytes, place: int, kind: int) -> tuple[HeaderValue, int]:
    """The value that begins at `place`, and where it ends."""
    if kind in (_BYTES, _TEXT):
        (length,) = _LENGTH.unpack_from(block, place)
        place += _LENGTH.size
        value = _exactly(block, place, length)
        return (value.decode() if kind == _TEXT else value), place + length
    if kind in _INTEGERS:
        integer = _INTEGERS[kind]
        return int(integer.unpack_from(block, place)[0]), place + integer.size
    if kind == _UUID:
        return UUID(bytes=_exactly(block, place, 16)), place + 16
    if kind in (0, 1):
        return kind == 0, place  # the type is the value
    raise ValueError(f"a message's header is of the unknown type {kind}")


def _exactly(block: bytes, place: int, length: int) -> bytes:
    value = block[place : place + length]
    if len(value) < length:
        raise IndexError
    return value


def _text(headers: Headers, name: str) -> str | None:
    value = headers.get(name)
    return value if isinstance(value, str) else None


def message(headers: Iterable[tuple[str, str]], payload: bytes) -> bytes:
    """One message as bytes, all its headers texts. Raises ValueError for one that is too long to be a header."""
    block = b"".join([_header(name.encode(), value.encode()) for name, value in headers])
    length = _LEAST + len(block) + len(payload)
    prelude = _TWO.pack(length, len(block))
    whole = b"".join((prelude, _CRC.pack(crc32(prelude)), block, payload))
    return whole + _CRC.pack(crc32(whole))


def event(name: str, payload: bytes) -> bytes:
    """An event whose payload is JSON."""
    return event_framer(name)(payload)


def event_framer(name: str) -> Callable[[bytes], bytes]:
    """`event` for many payloads under one name, whose headers are only written once."""
    headers = ((":event-type", name), (":content-type", "application/json"), (":message-type", "event"))
    block = b"".join([_header(each.encode(), value.encode()) for each, value in headers])
    around, length = _LEAST + len(block), len(block)
    two, one = _TWO.pack, _CRC.pack

    def framed(payload: bytes) -> bytes:
        prelude = two(around + len(payload), length)
        whole = b"%b%b%b%b" % (prelude, one(crc32(prelude)), block, payload)
        return whole + one(crc32(whole))

    return framed


def exception(name: str, payload: bytes) -> bytes:
    """An exception, which ends a stream, whose payload is JSON."""
    headers = ((":exception-type", name), (":content-type", "application/json"), (":message-type", "exception"))
    return message(headers, payload)


def _header(name: bytes, value: bytes) -> bytes:
    if not 0 < len(name) < 256 or len(value) >= 1 << 15:
        raise ValueError("a header is too long")
    return b"".join((bytes((len(name),)), name, bytes((_TEXT,)), _LENGTH.pack(len(value)), value))
