"""What goes wrong: a provider's faults, and the errors that a caller is told. Statuses are those of the contract."""

from enum import StrEnum

from msgspec import Struct


class FaultKind(StrEnum):
    """Every way in which a provider can fail a call. `routing/faults.py` says what follows from each."""

    BAD_REQUEST = "bad_request"  # the caller's mistake: 400, 413, 422
    CONTEXT_OVERFLOW = "context_overflow"  # the conversation does not fit this model
    CONTENT_BLOCKED = "content_blocked"  # the provider's safety filter refused the prompt
    UNAUTHORIZED = "unauthorized"  # 401: the credential is not known
    FORBIDDEN = "forbidden"  # 403: the credential may not do this
    QUOTA_EXHAUSTED = "quota_exhausted"  # 402, or 429 with an exhausted account
    MODEL_NOT_FOUND = "model_not_found"  # 404
    RATE_LIMITED = "rate_limited"  # 429
    OVERLOADED = "overloaded"  # 503, 529
    SERVER_ERROR = "server_error"  # any other 5xx
    UPSTREAM_TIMEOUT = "upstream_timeout"  # 408, 504, 524: the provider says that it timed out
    CONNECT = "connect"  # name, route, port, TLS or proxy: nothing was sent
    RESET = "reset"  # the connection died before the answer was whole
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    STALL = "stall"  # the stream fell silent
    TRUNCATED = "truncated"  # the answer ended before it was whole
    MALFORMED = "malformed"  # not the protocol: bad framing, bad JSON, wrong content type


class Fault(Struct, frozen=True, kw_only=True):
    """One failure of one attempt. `message` is the provider's, cleaned of secrets; `retry_after_s` is its own wish."""

    kind: FaultKind
    message: str
    status: int | None = None
    type: str | None = None
    code: str | None = None
    retry_after_s: float | None = None


class ErrorKind(StrEnum):
    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    OVER_BUDGET = "over_budget"
    POLICY_DENIED = "policy_denied"
    UNKNOWN_MODEL = "unknown_model"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    UPSTREAM_FAILED = "upstream_failed"
    UNAVAILABLE = "unavailable"
    DEADLINE = "deadline"
    INTERNAL = "internal"


STATUS: dict[ErrorKind, int] = {
    ErrorKind.BAD_REQUEST: 400,
    ErrorKind.UNAUTHORIZED: 401,
    ErrorKind.OVER_BUDGET: 402,
    ErrorKind.POLICY_DENIED: 403,
    ErrorKind.UNKNOWN_MODEL: 404,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.RATE_LIMITED: 429,
    ErrorKind.UPSTREAM_FAILED: 502,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.DEADLINE: 504,
    ErrorKind.INTERNAL: 500,
}


class CallerError(Struct, frozen=True, kw_only=True):
    """What a caller is told, before a dialect dresses it. `status` may differ from the kind's own (431, say).

    `detail` are plain values for the error body (each attempt of an `upstream_failed`, say); `cause` is the provider's
    fault where exactly one caused it, so that its type and code survive. `code`: the caller's protocol has a word of
    its own for this.
    """

    kind: ErrorKind
    message: str
    status: int
    retry_after_s: float | None = None
    cause: Fault | None = None
    detail: dict[str, object] | None = None
    code: str | None = None


def broken_off(fault: Fault) -> CallerError:
    """What a caller is told of a provider that failed when its answer had begun."""
    return CallerError(kind=ErrorKind.UPSTREAM_FAILED, message=fault.message, status=502, cause=fault)


class WaypostError(Exception):
    """Root of everything that Waypost raises on purpose."""


class Refused(WaypostError):
    """The caller's to mend: answered as a typed error, blamed on nobody upstream."""

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        detail: dict[str, object] | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.error = CallerError(
            kind=kind,
            message=message,
            status=status or STATUS[kind],
            retry_after_s=retry_after_s,
            detail=detail,
            code=code,
        )


class UpstreamFault(WaypostError):
    """A provider failed an attempt."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault
