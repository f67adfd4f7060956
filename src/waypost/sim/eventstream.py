"""Amazon's binary event stream, one message at a time: lengths, two checksums, typed headers, a payload.

Follows https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream. Writes it,
and knows how to break a payload so that everything around it is still right.
"""

import struct
from binascii import crc32

_TEXT = 7  # the type of a header that holds a string
_PRELUDE = 12  # bytes: both lengths and their checksum
_CHECKSUM = 4


def encode_event(kind: str, payload: bytes) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode_message(headers, payload)


def encode_exception(kind: str, payload: bytes) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return encode_message(headers, payload)


def encode_message(headers: dict[str, str], payload: bytes) -> bytes:
    """Big-endian: total length, length of the headers, CRC-32 of these; headers; payload; CRC-32 of all before."""
    return _frame(b"".join(map(_header, headers.items())), payload)


def malform(message: bytes) -> bytes:
    """The same message with a payload that breaks off; lengths and checksums are right."""
    (size,) = struct.unpack_from(">I", message, 4)
    headers = message[_PRELUDE : _PRELUDE + size]
    payload = message[_PRELUDE + size : -_CHECKSUM]
    return _frame(headers, payload[: len(payload) * 2 // 3])


def _frame(headers: bytes, payload: bytes) -> bytes:
    lengths = struct.pack(">II", _PRELUDE + len(headers) + len(payload) + _CHECKSUM, len(headers))
    message = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return message + struct.pack(">I", crc32(message))


def _header(item: tuple[str, str]) -> bytes:
    name, value = item[0].encode(), item[1].encode()
    return struct.pack(">B", len(name)) + name + struct.pack(">BH", _TEXT, len(value)) + value
