"""Errors: the provider's, read into faults, and a caller's, written as Google writes its own (google.rpc.Status)."""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.faults import CallerError, ErrorKind, Fault, FaultKind
from waypost.dialects.fault_text import BY_STATUS, clean, excerpt, retry_after_s
from waypost.dialects.wire_json import ABSENT, told


class _Detail(Struct, rename="camel"):
    type: str | None = msgspec.field(default=None, name="@type")
    reason: str | None = None
    retry_delay: str | None = None


class _Error(Struct):
    code: int | str | None = None
    message: str | None = None
    status: str | None = None
    details: list[Raw] | None = None


class _Envelope(Struct):
    error: Raw = ABSENT
    message: str | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ENVELOPES = msgspec.json.Decoder(list[_Envelope])
_ERROR = msgspec.json.Decoder(_Error | str)
_DETAIL = msgspec.json.Decoder(_Detail)

_BY_TYPE = {
    "INVALID_ARGUMENT": FaultKind.BAD_REQUEST,
    "FAILED_PRECONDITION": FaultKind.BAD_REQUEST,
    "OUT_OF_RANGE": FaultKind.BAD_REQUEST,
    "UNAUTHENTICATED": FaultKind.UNAUTHORIZED,
    "PERMISSION_DENIED": FaultKind.FORBIDDEN,
    "NOT_FOUND": FaultKind.MODEL_NOT_FOUND,
    "RESOURCE_EXHAUSTED": FaultKind.RATE_LIMITED,
    "CANCELLED": FaultKind.SERVER_ERROR,
    "INTERNAL": FaultKind.SERVER_ERROR,
    "UNKNOWN": FaultKind.SERVER_ERROR,
    "UNAVAILABLE": FaultKind.OVERLOADED,
    "DEADLINE_EXCEEDED": FaultKind.UPSTREAM_TIMEOUT,
}
_STATUS_OF_TYPE = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_TYPE_OF_KIND = {
    ErrorKind.BAD_REQUEST: "INVALID_ARGUMENT",
    ErrorKind.UNAUTHORIZED: "UNAUTHENTICATED",
    ErrorKind.OVER_BUDGET: "RESOURCE_EXHAUSTED",
    ErrorKind.POLICY_DENIED: "PERMISSION_DENIED",
    ErrorKind.UNKNOWN_MODEL: "NOT_FOUND",
    ErrorKind.TOO_LARGE: "INVALID_ARGUMENT",
    ErrorKind.RATE_LIMITED: "RESOURCE_EXHAUSTED",
    ErrorKind.UPSTREAM_FAILED: "UNAVAILABLE",
    ErrorKind.UNAVAILABLE: "UNAVAILABLE",
    ErrorKind.DEADLINE: "DEADLINE_EXCEEDED",
    ErrorKind.INTERNAL: "INTERNAL",
}
# Google says of a key that it does not know that the argument is invalid.
_BY_REASON = {
    "API_KEY_INVALID": FaultKind.UNAUTHORIZED,
    "API_KEY_EXPIRED": FaultKind.UNAUTHORIZED,
    "ACCESS_TOKEN_EXPIRED": FaultKind.UNAUTHORIZED,
    "SERVICE_DISABLED": FaultKind.FORBIDDEN,
    "BILLING_DISABLED": FaultKind.QUOTA_EXHAUSTED,
}
_TOO_LONG = (
    "input token count",
    "exceeds the maximum number of tokens",
    "context length",
    "context window",
    "maximum context",
    "prompt is too long",
    "input is too long",
)
_BLOCKED = ("blocked by safety", "prohibited content", "violates our policies", "content policy")
# A day's quota, unlike a minute's, does not come back while a call waits. The free tier's says "limit: 0" of what it
# does not serve at all.
_OUT_OF_QUOTA = ("perday", "prepayment credits", "credits are depleted", "spending cap", "limit: 0,")
_RETRY_IN = re.compile(r"retry in (\d+(?:\.\d+)?)(ms|s)")


def read_fault(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """Any answer that is not a success. Total: a body that is not the protocol's is excerpted."""
    return _fault(status, body, retry_after_s(headers))


def read_error(data: bytes) -> Fault:
    """An error told under status 200: in a stream, or as the whole body."""
    error = _parse(data)
    status = error.code if isinstance(error.code, int) and 400 <= error.code <= 599 else None
    return _fault(status or _STATUS_OF_TYPE.get(error.status or ""), data, None)


def malformed(reason: str) -> Fault:
    return Fault(kind=FaultKind.MALFORMED, message=clean(reason))


def _fault(status: int | None, body: bytes, retry_after: float | None) -> Fault:
    error = _parse(body)
    details = _details(error)
    message = error.message or ""
    if retry_after is None:
        retry_after = _delay(details, message)
    return Fault(
        kind=_kind(status or 500, error, details, body),
        message=clean(message) if message else excerpt(body) or f"HTTP status {status or 500}",
        status=status,
        type=error.status,
        code=None if error.code is None else str(error.code),
        retry_after_s=retry_after,
    )


def _parse(body: bytes) -> _Error:
    """Also of an array that holds the error, as the array form of a stream has it."""
    try:
        if body.lstrip()[:1] == b"[":
            envelope = next(iter(_ENVELOPES.decode(body)), _Envelope())
        else:
            envelope = _ENVELOPE.decode(body)
        if not told(envelope.error):
            return _Error(message=envelope.message)
        error = _ERROR.decode(envelope.error)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Error()
    return _Error(message=error) if isinstance(error, str) else error


def _details(error: _Error) -> list[_Detail]:
    details = []
    for raw in error.details or ():
        try:
            details.append(_DETAIL.decode(raw))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
    return details


def _delay(details: list[_Detail], message: str) -> float | None:
    """google.rpc.RetryInfo's duration ("48s", "1.5s"), else the message's own words."""
    for detail in details:
        delay = detail.retry_delay
        if delay is not None and delay.endswith("s"):
            try:
                seconds = float(delay[:-1])
            except ValueError:
                continue
            if 0 <= seconds < 1e9:
                return seconds
    said = _RETRY_IN.search(message)
    if said is None:
        return None
    return float(said[1]) / (1000 if said[2] == "ms" else 1)


def _kind(status: int, error: _Error, details: list[_Detail], body: bytes) -> FaultKind:
    for detail in details:
        known = _BY_REASON.get(detail.reason or "")
        if known is not None:
            return known
    kind = _BY_TYPE.get(error.status or "") or BY_STATUS.get(status)
    if kind is None or kind is FaultKind.SERVER_ERROR:
        kind = BY_STATUS.get(status, kind)
    if kind is None:
        kind = FaultKind.BAD_REQUEST if 400 <= status < 500 else FaultKind.SERVER_ERROR
    message = (error.message or "").lower()
    if kind is FaultKind.RATE_LIMITED:
        quotas = body[:100_000].lower().decode("utf-8", "replace")
        return FaultKind.QUOTA_EXHAUSTED if any(words in quotas for words in _OUT_OF_QUOTA) else kind
    if kind is FaultKind.BAD_REQUEST:
        if "api key not valid" in message or "api key expired" in message:
            return FaultKind.UNAUTHORIZED
        if any(words in message for words in _TOO_LONG):
            return FaultKind.CONTEXT_OVERFLOW
        if any(words in message for words in _BLOCKED):
            return FaultKind.CONTENT_BLOCKED
    return kind


def write_fault(error: CallerError) -> bytes:
    """`detail` stands within the error as `waypost`. How long to wait is a detail too, where Google's clients look."""
    shown: dict[str, object] = {
        "code": error.status,
        "message": clean(error.message),
        "status": error_type(error),
    }
    if error.retry_after_s is not None:
        delay = f"{error.retry_after_s:.9f}".rstrip("0").rstrip(".") + "s"
        shown["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
    if error.detail is not None:
        shown["waypost"] = error.detail
    return msgspec.json.encode({"error": shown})


def error_type(error: CallerError) -> str:
    """The provider's own type if it is one of Google's, else the one that goes with the kind."""
    if error.cause is not None and error.cause.type in _BY_TYPE:
        return error.cause.type
    return _TYPE_OF_KIND[error.kind]
