"""Errors: the provider's, read into faults, and a caller's, written as Bedrock writes its own.

An exception is named by the header `x-amzn-errortype` or the body's `__type`, in a stream by its `:exception-type`.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from waypost.conversation.faults import CallerError, Fault, FaultKind
from waypost.dialects.fault_text import BY_STATUS, clean, excerpt, retry_after_s


class _Error(Struct, frozen=True, rename="camel"):
    """The services spell `message` in both ways; `Message` is that of their shared front door."""

    type: str | None = msgspec.field(default=None, name="__type")
    code: str | int | None = None
    message: str | None = None
    capital: str | None = msgspec.field(default=None, name="Message")
    original_message: str | None = None


_ERROR = msgspec.json.Decoder(_Error)

_BY_TYPE = {
    "ValidationException": FaultKind.BAD_REQUEST,
    "ConflictException": FaultKind.BAD_REQUEST,
    "SerializationException": FaultKind.BAD_REQUEST,
    "UnknownOperationException": FaultKind.BAD_REQUEST,
    "ThrottlingException": FaultKind.RATE_LIMITED,
    "ServiceQuotaExceededException": FaultKind.QUOTA_EXHAUSTED,
    "AccessDeniedException": FaultKind.FORBIDDEN,
    "NotAuthorized": FaultKind.FORBIDDEN,
    "OptInRequired": FaultKind.FORBIDDEN,
    "UnrecognizedClientException": FaultKind.UNAUTHORIZED,
    "ExpiredTokenException": FaultKind.UNAUTHORIZED,
    "ExpiredToken": FaultKind.UNAUTHORIZED,
    "InvalidSignatureException": FaultKind.UNAUTHORIZED,
    "SignatureDoesNotMatch": FaultKind.UNAUTHORIZED,
    "IncompleteSignature": FaultKind.UNAUTHORIZED,
    "IncompleteSignatureException": FaultKind.UNAUTHORIZED,
    "InvalidClientTokenId": FaultKind.UNAUTHORIZED,
    "MissingAuthenticationToken": FaultKind.UNAUTHORIZED,
    "MissingAuthenticationTokenException": FaultKind.UNAUTHORIZED,
    "RequestExpired": FaultKind.UNAUTHORIZED,
    "ResourceNotFoundException": FaultKind.MODEL_NOT_FOUND,
    "ModelTimeoutException": FaultKind.UPSTREAM_TIMEOUT,
    "ModelNotReadyException": FaultKind.OVERLOADED,
    "ServiceUnavailableException": FaultKind.OVERLOADED,
    "ServiceUnavailable": FaultKind.OVERLOADED,
    "ModelErrorException": FaultKind.SERVER_ERROR,
    "ModelStreamErrorException": FaultKind.SERVER_ERROR,
    "InternalServerException": FaultKind.SERVER_ERROR,
    "InternalFailure": FaultKind.SERVER_ERROR,
}
_BY_STATUS = {**BY_STATUS, 424: FaultKind.SERVER_ERROR}
# The service's exceptions and their statuses; other 4xx are the request's, other 5xx the server's.
_STATUS_OF_TYPE = {
    "ValidationException": 400,
    "AccessDeniedException": 403,
    "UnrecognizedClientException": 403,
    "ExpiredTokenException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "ServiceQuotaExceededException": 400,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}
_TYPE_OF_STATUS = {
    401: "UnrecognizedClientException",
    402: "ServiceQuotaExceededException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}
# The only exceptions that a stream can end with, by the status for which each stands.
_OF_STREAM = {
    400: "validationException",
    424: "modelStreamErrorException",
    429: "throttlingException",
    502: "modelStreamErrorException",
    503: "serviceUnavailableException",
}
_TOO_LONG = (
    "input tokens exceeded",
    "input is too long",
    "prompt is too long",
    "too many input tokens",
    "too many tokens in",
    "maximum context",
    "context length",
    "context window",
    "exceed context limit",
    "exceeds the maximum number of tokens",
    "maximum number of tokens",
)
_NO_SUCH_MODEL = (
    "model identifier is invalid",
    "on-demand throughput",
    "model version has reached the end of its life",
    "could not resolve the foundation model",
)
_BLOCKED = ("content filter", "content policy", "blocked by")
_OUT_OF_QUOTA = ("tokens per day", "per day, please wait", "quota exceeded", "daily")


def read_fault(status: int, headers: Mapping[str, str], body: bytes) -> Fault:
    """Any answer that is not a success. Total: a body that is not the protocol's is excerpted."""
    told = _parse(body)
    type_ = _plain(headers.get("x-amzn-errortype")) or _type_of(told)
    message = _message(told)
    return Fault(
        kind=_kind(status, type_, message),
        message=clean(message) if message else excerpt(body) or f"HTTP status {status}",
        status=status,
        type=type_,
        retry_after_s=retry_after_s(headers),
    )


def read_exception(name: str | None, data: bytes) -> Fault:
    """An exception within a stream (`name` as in `:exception-type`), or an error body under status 200."""
    told = _parse(data)
    type_ = name[:1].upper() + name[1:] if name else _type_of(told)
    message = _message(told)
    status = _STATUS_OF_TYPE.get(type_ or "")
    return Fault(
        kind=_kind(status or 500, type_, message),
        message=clean(message) if message else excerpt(data) or "an exception without a message",
        status=status,
        type=type_,
    )


def is_error(body: bytes) -> bool:
    """Whether a body that is no answer says what went wrong."""
    told = _parse(body)
    return _type_of(told) is not None or bool(_message(told))


def malformed(reason: str) -> Fault:
    return Fault(kind=FaultKind.MALFORMED, message=clean(reason))


def _parse(body: bytes) -> _Error:
    try:
        return _ERROR.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Error()


def _type_of(told: _Error) -> str | None:
    return _plain(told.type) or (_plain(told.code) if isinstance(told.code, str) else None)


def _message(told: _Error) -> str:
    return told.message or told.capital or told.original_message or ""


def _plain(name: str | None) -> str | None:
    """ "com.amazon.bedrock#ValidationException:http://…" → "ValidationException"."""
    if name is None:
        return None
    return name.partition(":")[0].rpartition("#")[2].strip() or None


def _kind(status: int, type_: str | None, message: str) -> FaultKind:
    kind = _BY_TYPE.get(type_ or "") or _BY_STATUS.get(status)
    if kind is None:
        kind = FaultKind.BAD_REQUEST if 400 <= status < 500 else FaultKind.SERVER_ERROR
    lowered = message.lower()
    if kind is FaultKind.BAD_REQUEST:
        for words, meant in (
            (_TOO_LONG, FaultKind.CONTEXT_OVERFLOW),
            (_NO_SUCH_MODEL, FaultKind.MODEL_NOT_FOUND),
            (_BLOCKED, FaultKind.CONTENT_BLOCKED),
        ):
            if any(word in lowered for word in words):
                return meant
    if kind is FaultKind.RATE_LIMITED and any(word in lowered for word in _OUT_OF_QUOTA):
        return FaultKind.QUOTA_EXHAUSTED
    return kind


def write_fault(error: CallerError) -> bytes:
    """The body of an error answer; `detail` stands beside the error as `waypost`.

    Amazon's SDKs take the exception's name from `__type` where no header tells it.
    """
    body: dict[str, object] = {"__type": error_type(error), "message": clean(error.message)}
    if error.detail is not None:
        body["waypost"] = error.detail
    return msgspec.json.encode(body)


def fault_headers(error: CallerError) -> tuple[tuple[str, str], ...]:
    """Amazon's SDKs look here first, and those of some languages nowhere else."""
    return (("x-amzn-errortype", error_type(error)),)


def error_type(error: CallerError) -> str:
    """The provider's own exception if it is one of Bedrock's, else the one that goes with the status."""
    if error.cause is not None and error.cause.type in _STATUS_OF_TYPE:
        return error.cause.type
    named = _TYPE_OF_STATUS.get(error.status)
    if named is not None:
        return named
    return "ValidationException" if 400 <= error.status < 500 else "InternalServerException"


def stream_exception(error: CallerError) -> str:
    """The exception that a stream ends with: it can be one of five."""
    status = error.status
    if error.cause is not None:
        status = _STATUS_OF_TYPE.get(error.cause.type or "", status)
    named = _OF_STREAM.get(status)
    if named is not None:
        return named
    return "validationException" if 400 <= status < 500 else "internalServerException"
