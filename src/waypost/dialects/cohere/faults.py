"""Errors: what Cohere says when it fails, into faults, and a caller's, written as Cohere writes its own."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.faults import CallerError, Fault, FaultKind
from waypost.dialects.fault_text import BY_STATUS, clean, excerpt, retry_after_s
from waypost.dialects.wire_json import ABSENT


class _Inner(Struct, gc=False):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None


class _Envelope(Struct, gc=False):
    """Cohere's own is a bare `message`; proxies before it use the other two."""

    message: Raw = ABSENT
    error: str | _Inner | None = None
    detail: Raw = ABSENT


_envelope_decoder = msgspec.json.Decoder(_Envelope)
_text_decoder = msgspec.json.Decoder(str)

_BY_STATUS = {
    **BY_STATUS,
    498: FaultKind.CONTENT_BLOCKED,  # prompt or answer held a token that is on a list of forbidden ones
    499: FaultKind.UPSTREAM_TIMEOUT,  # it holds that the request was cancelled
}
_TOO_LONG = ("too many tokens", "context length", "context window", "maximum context", "prompt is too long")
_BLOCKED = ("deny-listed", "blocked input", "blocked output", "safety")
# A trial key has a limit a month beside the one a minute.
_OUT_OF_MONEY = ("/ month", "per month", "billing", "payment", "quota")


def read_fault(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """Any answer that is not a success. Total: a body that is not the protocol's is excerpted."""
    message, type_, code = _parse(body)
    return Fault(
        kind=_kind(status, message.lower()),
        message=clean(message) if message else excerpt(body) or f"HTTP status {status}",
        status=status,
        type=type_,
        code=code,
        retry_after_s=retry_after_s(headers),
    )


def broken_off(word: str, message: str | None) -> Fault:
    """An answer that ended in ERROR or TIMEOUT, as a stream's last event or a whole one under status 200."""
    kind = FaultKind.UPSTREAM_TIMEOUT if word == "TIMEOUT" else FaultKind.SERVER_ERROR
    if message and any(words in message.lower() for words in _TOO_LONG):
        kind = FaultKind.CONTEXT_OVERFLOW
    return Fault(kind=kind, message=clean(message or f"the answer ended with {word}"), type=word)


def error_event(data: bytes) -> Fault:
    """An error in a stream that is no event of it."""
    message, type_, code = _parse(data)
    return Fault(
        kind=_kind(500, message.lower()),
        message=clean(message) if message else excerpt(data) or "an error event without a message",
        type=type_,
        code=code,
    )


def malformed(reason: str) -> Fault:
    return Fault(kind=FaultKind.MALFORMED, message=clean(reason))


def _parse(body: bytes) -> tuple[str, str | None, str | None]:
    """Message, type and code, as far as they are told."""
    try:
        envelope = _envelope_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "", None, None
    error = envelope.error
    if isinstance(error, _Inner):
        code = None if error.code is None else str(error.code)
        return error.message or _shown(envelope.message), error.type, code
    return _shown(envelope.message) or error or _shown(envelope.detail), None, None


def _shown(raw: Raw) -> str:
    """Text as it is, anything else as its JSON."""
    body = bytes(raw)
    if body in (b"", b"null"):
        return ""
    if body.startswith(b'"'):
        try:
            return _text_decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return ""
    return body.decode("utf-8", "replace")


def _kind(status: int, message: str) -> FaultKind:
    kind = _BY_STATUS.get(status)
    if kind is FaultKind.RATE_LIMITED and any(words in message for words in _OUT_OF_MONEY):
        return FaultKind.QUOTA_EXHAUSTED
    if kind is not None:
        return kind
    if status >= 500:
        return FaultKind.SERVER_ERROR
    if any(words in message for words in _TOO_LONG):
        return FaultKind.CONTEXT_OVERFLOW
    if any(words in message for words in _BLOCKED):
        return FaultKind.CONTENT_BLOCKED
    return FaultKind.BAD_REQUEST


def write_fault(error: CallerError) -> bytes:
    """`detail` stands beside the message as `waypost`: SDKs show the body whole."""
    body: dict[str, object] = {"message": clean(error.message)}
    if error.detail is not None:
        body["waypost"] = error.detail
    return msgspec.json.encode(body)
