"""The stream of `InvokeModelWithResponseStream` for Anthropic's models: their own events, each in a chunk of base64.

Gives frames as Anthropic's own stream would: `data` is the event within, of an exception an `error` event in
Anthropic's words. `raw` is what came, the whole binary message.
"""

import base64
import binascii

import msgspec
from msgspec import Struct

from waypost.conversation.faults import FaultKind
from waypost.dialects.bedrock.faults import read_exception
from waypost.dialects.bedrock.stream import is_exception
from waypost.wire.eventstream import DEFAULT_LIMIT, ERROR, EventStreamFraming
from waypost.wire.frames import Frame


class _Chunk(Struct, frozen=True):
    bytes: str


_CHUNK = msgspec.json.Decoder(_Chunk)

# What Anthropic calls each; the rest is its `api_error`.
_TYPES = {
    FaultKind.BAD_REQUEST: "invalid_request_error",
    FaultKind.CONTEXT_OVERFLOW: "invalid_request_error",
    FaultKind.CONTENT_BLOCKED: "invalid_request_error",
    FaultKind.UNAUTHORIZED: "authentication_error",
    FaultKind.FORBIDDEN: "permission_error",
    FaultKind.QUOTA_EXHAUSTED: "rate_limit_error",
    FaultKind.MODEL_NOT_FOUND: "not_found_error",
    FaultKind.RATE_LIMITED: "rate_limit_error",
    FaultKind.OVERLOADED: "overloaded_error",
    FaultKind.UPSTREAM_TIMEOUT: "timeout_error",
}


class InvokeFraming:
    """Satisfies `Framing`. Raises ValueError as `EventStreamFraming` does, and for a chunk that is none."""

    __slots__ = ("_messages",)

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._messages = EventStreamFraming(limit)

    def feed(self, data: bytes) -> list[Frame]:
        return [_unwrapped(frame) for frame in self._messages.feed(data)]

    def end(self) -> list[Frame]:
        return [_unwrapped(frame) for frame in self._messages.end()]


def _unwrapped(frame: Frame) -> Frame:
    data, event = frame.data or b"", frame.event
    if event == "chunk":
        try:
            return Frame(frame.raw, base64.b64decode(_CHUNK.decode(data).bytes, validate=True))
        except (msgspec.MsgspecError, UnicodeDecodeError, binascii.Error, ValueError) as error:
            raise ValueError(f"a chunk of the stream is broken: {error}") from error
    if not is_exception(event):
        return Frame(frame.raw)
    fault = read_exception(None if event == ERROR else event, data)
    told = {"type": _TYPES.get(fault.kind, "api_error"), "message": fault.message}
    return Frame(frame.raw, msgspec.json.encode({"type": "error", "error": told}), "error")
