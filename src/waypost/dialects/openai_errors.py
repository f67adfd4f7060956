"""Errors of both of OpenAI's protocols: what providers that speak them say when they fail, into faults, and a caller's.

Vendors share the shape and little else: codes are numbers or words; an error stands in `error`, bare in the body or the
event, in the `error` of a response that failed, in `detail` or in a list.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from waypost.conversation.faults import CallerError, ErrorKind, Fault, FaultKind
from waypost.dialects.fault_text import BY_STATUS, MESSAGE_LIMIT, clean, excerpt, retry_after_s
from waypost.dialects.openai_limits import LIMITS, seconds_of

# What a word in `code` or `type` says, whatever the status; in a stream there is no other status than 200.
_BY_WORD = {
    "context_length_exceeded": FaultKind.CONTEXT_OVERFLOW,
    "exceed_context_size_error": FaultKind.CONTEXT_OVERFLOW,
    "string_above_max_length": FaultKind.CONTEXT_OVERFLOW,
    "content_filter": FaultKind.CONTENT_BLOCKED,
    "content_policy_violation": FaultKind.CONTENT_BLOCKED,
    "responsibleaipolicyviolation": FaultKind.CONTENT_BLOCKED,
    "data_inspection_failed": FaultKind.CONTENT_BLOCKED,
    "moderation_blocked": FaultKind.CONTENT_BLOCKED,
    "image_content_policy_violation": FaultKind.CONTENT_BLOCKED,
    "bio_policy": FaultKind.CONTENT_BLOCKED,
    "misalignment_policy_violation": FaultKind.CONTENT_BLOCKED,
    "insufficient_quota": FaultKind.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": FaultKind.QUOTA_EXHAUSTED,
    "billing_not_active": FaultKind.QUOTA_EXHAUSTED,
    "insufficient_balance": FaultKind.QUOTA_EXHAUSTED,
    "usage_limit_reached": FaultKind.QUOTA_EXHAUSTED,
    "model_not_found": FaultKind.MODEL_NOT_FOUND,
    "deploymentnotfound": FaultKind.MODEL_NOT_FOUND,
    "invalid_api_key": FaultKind.UNAUTHORIZED,
    "authentication_error": FaultKind.UNAUTHORIZED,
    "permission_error": FaultKind.FORBIDDEN,
    "rate_limit_exceeded": FaultKind.RATE_LIMITED,
    "rate_limit_error": FaultKind.RATE_LIMITED,
    "ratelimitreached": FaultKind.RATE_LIMITED,
    "too_many_requests": FaultKind.RATE_LIMITED,
    "overloaded_error": FaultKind.OVERLOADED,
    "engine_overloaded": FaultKind.OVERLOADED,
    "server_is_overloaded": FaultKind.OVERLOADED,
    "slow_down": FaultKind.OVERLOADED,
    "timeout": FaultKind.UPSTREAM_TIMEOUT,
    "vector_store_timeout": FaultKind.UPSTREAM_TIMEOUT,
}
# Codes that say, without a status to say it, that the request is at fault.
_CALLERS = frozenset(("invalid_prompt", "invalid_request_error", "data_residency_mismatch"))
_TOO_LONG = (
    "context length",
    "context_length",
    "context window",
    "context size",
    "maximum context",
    "max context",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "too many input tokens",
    "reduce the length of the messages",
    "exceeds the maximum number of tokens",
    "input token count",
    "maximum prompt length",
)
_BLOCKED = (
    "content management policy",
    "content policy",
    "content_policy",
    "safety system",
    "content filter",
    "usage policy",
)
_OUT_OF_MONEY = (
    "exceeded your current quota",
    "insufficient balance",
    "insufficient credits",
    "credit balance",
    "billing",
)

_AGAIN_IN = re.compile(
    r"(?:try again|retry) (?:in|after) (?P<told>(?:\d+(?:\.\d+)?\s*(?:ms|s|m|h)[a-z]*\s*)+)", re.IGNORECASE
)


class _Told(Struct):
    """What an error says, wherever it says it."""

    message: str = ""
    type: str | None = None
    code: str | None = None


def read_fault(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """Any answer that is not a success. Total: a body that is not the protocol's is excerpted."""
    told = _parse(body)
    kind = _kind(status, told)
    return Fault(
        kind=kind,
        message=clean(told.message) if told.message else excerpt(body) or f"HTTP status {status}",
        status=status,
        type=told.type,
        code=told.code,
        retry_after_s=_retry_after(headers, told.message, kind),
    )


def read_error(data: bytes) -> Fault:
    """An error told under status 200: an event of a stream, or a whole body. A code that is a status is the status."""
    told = _parse(data)
    status = int(told.code) if told.code and told.code.isdecimal() and 400 <= int(told.code) <= 599 else None
    caller = not _CALLERS.isdisjoint((told.code, told.type)) or (told.code or "").startswith(("invalid_", "image_"))
    kind = _kind(status or (400 if caller else 500), told)
    return Fault(
        kind=kind,
        message=clean(told.message) if told.message else excerpt(data) or "an error without a message",
        status=status,
        type=told.type,
        code=told.code,
        retry_after_s=_retry_after({}, told.message, kind),
    )


def says_error(data: bytes) -> bool:
    """Whether a body that is no answer says why."""
    told = _parse(data)
    return bool(told.message or told.type or told.code)


def _parse(body: bytes) -> _Told:
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Told()
    if isinstance(value, list) and value:  # Gemini's compatible endpoint
        value = value[0]
    if not isinstance(value, dict):
        return _Told()
    response = value.get("response")
    if isinstance(response, dict) and isinstance(response.get("error"), dict):
        value = response
    error = value.get("error")
    if isinstance(error, dict):
        return _told(error)
    if isinstance(error, str):
        return _Told(error, _word(value.get("type")), _word(value.get("code")))
    told = _told(value)
    if not told.message:
        detail = value.get("detail")  # FastAPI's
        told.message = detail if isinstance(detail, str) else _shown(detail)
    return told


def _told(error: dict[str, Any]) -> _Told:
    message = error.get("message")
    type_ = _word(error.get("type"))
    return _Told(
        message if isinstance(message, str) else _shown(message),
        _word(error.get("status"))
        if type_ in (None, "error")
        else type_,  # "error": the event's own, around a bare one
        _word(error.get("code")),
    )


def _word(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def _shown(value: object) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()


def _kind(status: int, told: _Told) -> FaultKind:
    lowered = told.message.lower()
    for word in (told.code, told.type):
        said = _BY_WORD.get(word.lower()) if word else None
        if said is not None:
            return said
    kind = BY_STATUS.get(status)
    if kind is None and status < 500:
        kind = FaultKind.BAD_REQUEST
    if kind in (FaultKind.RATE_LIMITED, FaultKind.FORBIDDEN) and any(words in lowered for words in _OUT_OF_MONEY):
        return FaultKind.QUOTA_EXHAUSTED
    if kind is FaultKind.BAD_REQUEST or (kind is None and told.type == "invalid_request_error"):
        if any(words in lowered for words in _TOO_LONG):
            return FaultKind.CONTEXT_OVERFLOW
        if any(words in lowered for words in _BLOCKED):
            return FaultKind.CONTENT_BLOCKED
        return FaultKind.BAD_REQUEST
    return kind or FaultKind.SERVER_ERROR


def _retry_after(headers: Mapping[str, str], message: str, kind: FaultKind) -> float | None:
    """The header, else the message's own "try again in 1.2s", else when the limit that ran out is full again."""
    told = retry_after_s(headers)
    if told is not None or kind not in (FaultKind.RATE_LIMITED, FaultKind.OVERLOADED):
        return told
    again = _AGAIN_IN.search(message[:MESSAGE_LIMIT])
    if again is not None:
        return seconds_of(again["told"])
    resets = [limit.full_in_s for limit in LIMITS.read(headers, 0) if limit.left == 0]
    return max((reset for reset in resets if reset is not None), default=None)


_TYPE_AND_CODE: dict[ErrorKind, tuple[str, str | None]] = {
    ErrorKind.BAD_REQUEST: ("invalid_request_error", None),
    ErrorKind.UNAUTHORIZED: ("invalid_request_error", "invalid_api_key"),
    ErrorKind.OVER_BUDGET: ("insufficient_quota", "insufficient_quota"),
    ErrorKind.POLICY_DENIED: ("permission_error", "policy_denied"),
    ErrorKind.UNKNOWN_MODEL: ("invalid_request_error", "model_not_found"),
    ErrorKind.TOO_LARGE: ("invalid_request_error", "request_too_large"),
    ErrorKind.RATE_LIMITED: ("rate_limit_error", "rate_limit_exceeded"),
    ErrorKind.UPSTREAM_FAILED: ("server_error", "upstream_failed"),
    ErrorKind.UNAVAILABLE: ("server_error", "unavailable"),
    ErrorKind.DEADLINE: ("server_error", "deadline"),
    ErrorKind.INTERNAL: ("server_error", "internal_error"),
}


def write_fault(error: CallerError) -> bytes:
    """`detail` stands within the error as `waypost`: SDKs show the error object whole."""
    return msgspec.json.encode({"error": error_object(error)})


def error_object(error: CallerError) -> dict[str, object]:
    kind_type, kind_code = _TYPE_AND_CODE[error.kind]
    cause = error.cause
    shown: dict[str, object] = {
        "message": clean(error.message),
        "type": (cause and cause.type) or kind_type,
        "param": None,
        "code": cause.code if cause is not None and (cause.type or cause.code) else error.code or kind_code,
    }
    if error.detail is not None:
        shown["waypost"] = error.detail
    return shown
