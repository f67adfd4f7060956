"""Errors: the provider's, read into faults, and a caller's, written as Anthropic writes its own."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from waypost.conversation.faults import CallerError, Fault, FaultKind
from waypost.dialects.fault_text import BY_STATUS, clean, excerpt, retry_after_s


class _Error(Struct, frozen=True):
    type: str | None = None
    message: str | None = None
    code: str | int | None = None
    error_code: str | None = None


class _Envelope(Struct, frozen=True):
    error: _Error | str | None = None
    message: str | None = None
    detail: str | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)

_BY_TYPE = {
    "invalid_request_error": FaultKind.BAD_REQUEST,
    "authentication_error": FaultKind.UNAUTHORIZED,
    "billing_error": FaultKind.QUOTA_EXHAUSTED,
    "permission_error": FaultKind.FORBIDDEN,
    "not_found_error": FaultKind.MODEL_NOT_FOUND,
    "request_too_large": FaultKind.BAD_REQUEST,
    "rate_limit_error": FaultKind.RATE_LIMITED,
    "api_error": FaultKind.SERVER_ERROR,
    "timeout_error": FaultKind.UPSTREAM_TIMEOUT,
    "overloaded_error": FaultKind.OVERLOADED,
}
# How Anthropic names each status; other 4xx are the request's, other 5xx the server's.
_TYPE_OF_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# Statuses that an error event inside a stream stands for: its own status is the stream's 200.
_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_TOO_LONG = (
    "prompt is too long",
    "exceed context limit",
    "exceeds context limit",
    "context window",
    "context length",
    "context_length",
    "too many total text bytes",
    "input is too long",
    "maximum context",
)
_BLOCKED = ("content filtering policy", "content filter")
_OUT_OF_MONEY = ("credit balance is too low", "reached your specified api usage limits", "spend limit")


def read_fault(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """Any answer that is not a success. Total: a body that is not the protocol's is excerpted."""
    type_, code, message = _parse(body)
    return Fault(
        kind=_kind(status, type_, message),
        message=clean(message) if message else excerpt(body) or f"HTTP status {status}",
        status=status,
        type=type_,
        code=code,
        retry_after_s=retry_after_s(headers),
    )


def read_error_event(data: bytes) -> Fault:
    """The `error` event of a stream, or an error body under status 200."""
    type_, code, message = _parse(data)
    status = _STATUS_OF_TYPE.get(type_ or "")
    return Fault(
        kind=_kind(status or 500, type_, message),
        message=clean(message) if message else excerpt(data) or "an error event without a message",
        status=status,
        type=type_,
        code=code,
    )


def malformed(reason: str) -> Fault:
    return Fault(kind=FaultKind.MALFORMED, message=clean(reason))


def _parse(body: bytes) -> tuple[str | None, str | None, str]:
    """Type, code and message, as far as they are told."""
    try:
        envelope = _ENVELOPE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None, None, ""
    error = envelope.error
    if isinstance(error, _Error):
        code = error.error_code or (None if error.code is None else str(error.code))
        return error.type, code, error.message or envelope.message or ""
    return None, None, error or envelope.message or envelope.detail or ""


def _kind(status: int, type_: str | None, message: str) -> FaultKind:
    lowered = message.lower()
    kind = _BY_TYPE.get(type_ or "")
    if kind is None or kind is FaultKind.SERVER_ERROR:  # `api_error` says no more than its status does
        kind = BY_STATUS.get(status, kind)
    if kind is None:
        kind = FaultKind.BAD_REQUEST if 400 <= status < 500 else FaultKind.SERVER_ERROR
    if kind in (FaultKind.BAD_REQUEST, FaultKind.FORBIDDEN, FaultKind.RATE_LIMITED):
        if any(words in lowered for words in _OUT_OF_MONEY):
            return FaultKind.QUOTA_EXHAUSTED
        if kind is FaultKind.BAD_REQUEST and any(words in lowered for words in _TOO_LONG):
            return FaultKind.CONTEXT_OVERFLOW
        if kind is FaultKind.BAD_REQUEST and any(words in lowered for words in _BLOCKED):
            return FaultKind.CONTENT_BLOCKED
    return kind


def write_fault(error: CallerError) -> bytes:
    """The body of an error answer; `detail` stands beside the error as `waypost`."""
    body: dict[str, object] = {
        "type": "error",
        "error": {"type": error_type(error), "message": clean(error.message)},
    }
    if error.detail is not None:
        body["waypost"] = error.detail
    return msgspec.json.encode(body)


def error_type(error: CallerError) -> str:
    """The provider's own type if it is one of Anthropic's, else the one that goes with the status."""
    if error.cause is not None and error.cause.type in _BY_TYPE:
        return error.cause.type
    named = _TYPE_OF_STATUS.get(error.status)
    if named is not None:
        return named
    return "invalid_request_error" if 400 <= error.status < 500 else "api_error"
