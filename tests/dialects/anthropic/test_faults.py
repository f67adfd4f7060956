"""Errors: what a provider's mean, and what a caller is told."""

import json
from typing import Any

import pytest

from waypost.conversation.faults import CallerError, ErrorKind, Fault, FaultKind
from waypost.dialects.anthropic import DIALECT


def body(type_: str, message: str, **more: object) -> bytes:
    return json.dumps({"type": "error", "error": {"type": type_, "message": message, **more}}).encode()


KINDS: list[tuple[int, bytes, FaultKind]] = [
    (400, body("invalid_request_error", "messages: at least one message is required"), FaultKind.BAD_REQUEST),
    (
        400,
        body("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        FaultKind.CONTEXT_OVERFLOW,
    ),
    (
        400,
        body("invalid_request_error", "input length and `max_tokens` exceed context limit: 1 + 2 > 3"),
        FaultKind.CONTEXT_OVERFLOW,
    ),
    (400, body("invalid_request_error", "Your credit balance is too low to access"), FaultKind.QUOTA_EXHAUSTED),
    (
        400,
        body("invalid_request_error", "Output blocked by content filtering policy"),
        FaultKind.CONTENT_BLOCKED,
    ),
    (401, body("authentication_error", "invalid x-api-key"), FaultKind.UNAUTHORIZED),
    (402, body("billing_error", "pay"), FaultKind.QUOTA_EXHAUSTED),
    (403, body("permission_error", "no"), FaultKind.FORBIDDEN),
    (404, body("not_found_error", "model: x"), FaultKind.MODEL_NOT_FOUND),
    (413, body("request_too_large", "big"), FaultKind.BAD_REQUEST),
    (422, b"{}", FaultKind.BAD_REQUEST),
    (429, body("rate_limit_error", "slow down"), FaultKind.RATE_LIMITED),
    (500, body("api_error", "oops"), FaultKind.SERVER_ERROR),
    (503, body("api_error", "later"), FaultKind.OVERLOADED),
    (504, body("timeout_error", "late"), FaultKind.UPSTREAM_TIMEOUT),
    (529, body("overloaded_error", "Overloaded"), FaultKind.OVERLOADED),
    (502, b"<html>bad gateway</html>", FaultKind.SERVER_ERROR),
    (503, b"", FaultKind.OVERLOADED),
    (524, b"", FaultKind.UPSTREAM_TIMEOUT),
    (408, b"", FaultKind.UPSTREAM_TIMEOUT),
    (401, b'{"error":"who?"}', FaultKind.UNAUTHORIZED),
    (429, b'{"detail":"later"}', FaultKind.RATE_LIMITED),
    (301, b"", FaultKind.SERVER_ERROR),
]


@pytest.mark.parametrize(("status", "data", "kind"), KINDS)
def test_kinds(status: int, data: bytes, kind: FaultKind) -> None:
    fault = DIALECT.read_fault(status, {}, data)
    assert (fault.kind, fault.status) == (kind, status)
    assert fault.message


def test_what_the_provider_said_survives() -> None:
    data = body("rate_limit_error", "slow down", error_code="ramp_limit_exceeded")
    assert DIALECT.read_fault(429, {"retry-after": "7"}, data) == Fault(
        kind=FaultKind.RATE_LIMITED,
        message="slow down",
        status=429,
        type="rate_limit_error",
        code="ramp_limit_exceeded",
        retry_after_s=7.0,
    )


MESSAGES: list[tuple[bytes, str]] = [
    (b"<html>\n<h1>Bad  Gateway</h1>", "<html> <h1>Bad Gateway</h1>"),
    (b"", "HTTP status 502"),
    (b'{"error":"plain"}', "plain"),
    (b'{"message":"flat"}', "flat"),
    (b'{"detail":"fast"}', "fast"),
    (b'{"error":{"message":"key sk-ant-abcdefghij is bad"}}', "key [redacted] is bad"),
    (b"upstream said sk-ant-abcdefghij", "upstream said [redacted]"),
    (b'{"error":{"message":5}}', '{"error":{"message":5}}'),
    (b"x" * 900, "x" * 499 + "…"),
]


@pytest.mark.parametrize(("data", "message"), MESSAGES)
def test_messages(data: bytes, message: str) -> None:
    assert DIALECT.read_fault(502, {}, data).message == message


def error(kind: ErrorKind, status: int, **members: Any) -> CallerError:
    return CallerError(kind=kind, message="why", status=status, **members)


def fault(type_: str | None) -> Fault:
    return Fault(kind=FaultKind.OVERLOADED, message="busy", type=type_)


TYPES: list[tuple[CallerError, str]] = [
    (error(ErrorKind.BAD_REQUEST, 400), "invalid_request_error"),
    (error(ErrorKind.BAD_REQUEST, 422), "invalid_request_error"),
    (error(ErrorKind.UNAUTHORIZED, 401), "authentication_error"),
    (error(ErrorKind.OVER_BUDGET, 402), "billing_error"),
    (error(ErrorKind.POLICY_DENIED, 403), "permission_error"),
    (error(ErrorKind.UNKNOWN_MODEL, 404), "not_found_error"),
    (error(ErrorKind.TOO_LARGE, 413), "request_too_large"),
    (error(ErrorKind.TOO_LARGE, 431), "invalid_request_error"),
    (error(ErrorKind.RATE_LIMITED, 429), "rate_limit_error"),
    (error(ErrorKind.UPSTREAM_FAILED, 502), "api_error"),
    (error(ErrorKind.UNAVAILABLE, 503), "overloaded_error"),
    (error(ErrorKind.DEADLINE, 504), "timeout_error"),
    (error(ErrorKind.INTERNAL, 500), "api_error"),
    (error(ErrorKind.UPSTREAM_FAILED, 502, cause=fault("overloaded_error")), "overloaded_error"),
    (error(ErrorKind.UPSTREAM_FAILED, 502, cause=fault("insufficient_quota")), "api_error"),
    (error(ErrorKind.UPSTREAM_FAILED, 502, cause=fault(None)), "api_error"),
]


@pytest.mark.parametrize(("told", "type_"), TYPES)
def test_what_a_caller_is_told(told: CallerError, type_: str) -> None:
    assert json.loads(DIALECT.write_fault(told)) == {"type": "error", "error": {"type": type_, "message": "why"}}


def test_details_stand_beside_the_error() -> None:
    told = error(ErrorKind.UPSTREAM_FAILED, 502, detail={"attempts": [{"provider": "a", "status": 500}]})
    assert json.loads(DIALECT.write_fault(told))["waypost"] == {"attempts": [{"provider": "a", "status": 500}]}


def test_a_secret_in_a_message_is_not_told() -> None:
    told = CallerError(kind=ErrorKind.INTERNAL, message="sk-abcdefghijkl", status=500)
    assert b"sk-" not in DIALECT.write_fault(told)
