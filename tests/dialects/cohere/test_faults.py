"""Errors: read from what Cohere says, and told to its callers."""

import json

import pytest

from waypost.conversation.faults import CallerError, ErrorKind, FaultKind
from waypost.dialects.cohere import DIALECT

FAULTS = [
    (400, {"message": "invalid request: temperature"}, FaultKind.BAD_REQUEST),
    (400, {"message": "too many tokens: size limit exceeded by 12"}, FaultKind.CONTEXT_OVERFLOW),
    (401, {"id": "x", "message": "invalid api token"}, FaultKind.UNAUTHORIZED),
    (402, {"message": "payment required"}, FaultKind.QUOTA_EXHAUSTED),
    (403, {"message": "no"}, FaultKind.FORBIDDEN),
    (404, {"message": "model 'x' not found"}, FaultKind.MODEL_NOT_FOUND),
    (422, {"message": "bad"}, FaultKind.BAD_REQUEST),
    (429, {"message": "limited to 20 API calls / minute"}, FaultKind.RATE_LIMITED),
    (429, {"message": "limited to 1000 API calls / month"}, FaultKind.QUOTA_EXHAUSTED),
    (498, {"message": "token"}, FaultKind.CONTENT_BLOCKED),
    (500, {"message": "too many tokens"}, FaultKind.SERVER_ERROR),
    (503, {"message": "busy"}, FaultKind.OVERLOADED),
    (504, {"error": {"message": "slow", "type": "t", "code": 5}}, FaultKind.UPSTREAM_TIMEOUT),
]


@pytest.mark.parametrize(("status", "body", "kind"), FAULTS, ids=str)
def test_a_fault_is_read(status: int, body: dict[str, object], kind: FaultKind) -> None:
    fault = DIALECT.read_fault(status, {"retry-after": "3"}, json.dumps(body).encode())
    inner = body.get("error")
    said = inner["message"] if isinstance(inner, dict) else body["message"]
    assert (fault.kind, fault.status, fault.message, fault.retry_after_s) == (kind, status, said, 3.0)


def test_whatever_it_is_it_is_told() -> None:
    shown = {b"<html>gone</html>": "<html>gone</html>", b"": "HTTP status 502", b'{"detail":[1]}': "[1]"}
    for body, message in shown.items():
        assert DIALECT.read_fault(502, {}, body).message == message
    assert DIALECT.read_fault(400, {}, b"[" * 100_000).kind is FaultKind.BAD_REQUEST


def test_no_secret_leaves() -> None:
    fault = DIALECT.read_fault(401, {}, b'{"message":"bad key sk-abcdef0123456789"}')
    assert "abcdef0123456789" not in fault.message


def test_a_callers_error() -> None:
    error = CallerError(kind=ErrorKind.UPSTREAM_FAILED, message="all failed", status=502, detail={"attempts": []})
    assert json.loads(DIALECT.write_fault(error)) == {"message": "all failed", "waypost": {"attempts": []}}
