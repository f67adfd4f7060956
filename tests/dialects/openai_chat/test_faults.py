"""Errors of many vendors into faults, and a caller's errors as OpenAI tells its own."""

import json

import pytest

from waypost.conversation.faults import CallerError, ErrorKind, Fault, FaultKind, UpstreamFault
from waypost.dialects.openai_chat import DIALECT


def error(message: str, code: object = None, type_: str | None = None) -> str:
    return json.dumps({"error": {"message": message, "type": type_, "code": code}})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error("no", type_="invalid_request_error"), FaultKind.BAD_REQUEST),
        (400, error("no", "context_length_exceeded"), FaultKind.CONTEXT_OVERFLOW),
        (400, error("This model's maximum context length is 10 tokens."), FaultKind.CONTEXT_OVERFLOW),
        (400, error("request exceeds the available context size", 400), FaultKind.CONTEXT_OVERFLOW),
        (413, error("prompt too long"), FaultKind.CONTEXT_OVERFLOW),
        (413, error("the body is large"), FaultKind.BAD_REQUEST),
        (422, '{"detail":[{"loc":["body"],"msg":"field required"}]}', FaultKind.BAD_REQUEST),
        (400, error("filtered", "content_filter"), FaultKind.CONTENT_BLOCKED),
        (400, error("the prompt triggered our content management policy"), FaultKind.CONTENT_BLOCKED),
        (401, error("who?", "invalid_api_key"), FaultKind.UNAUTHORIZED),
        (402, error("pay"), FaultKind.QUOTA_EXHAUSTED),
        (403, error("no"), FaultKind.FORBIDDEN),
        (403, error("Your credit balance is used up"), FaultKind.QUOTA_EXHAUSTED),
        (404, error("no such model", "model_not_found"), FaultKind.MODEL_NOT_FOUND),
        (400, error("no such deployment", "DeploymentNotFound"), FaultKind.MODEL_NOT_FOUND),
        (408, "", FaultKind.UPSTREAM_TIMEOUT),
        (409, error("busy"), FaultKind.BAD_REQUEST),
        (429, error("slow down", "rate_limit_exceeded"), FaultKind.RATE_LIMITED),
        (429, error("You exceeded your current quota", "insufficient_quota"), FaultKind.QUOTA_EXHAUSTED),
        (500, error("oops", type_="server_error"), FaultKind.SERVER_ERROR),
        (502, "<html>bad gateway</html>", FaultKind.SERVER_ERROR),
        (503, "", FaultKind.OVERLOADED),
        (503, error("down", type_="server_error"), FaultKind.OVERLOADED),
        (504, "", FaultKind.UPSTREAM_TIMEOUT),
        (529, error("overloaded"), FaultKind.OVERLOADED),
    ],
)
def test_kinds(status: int, body: str, kind: FaultKind) -> None:
    fault = DIALECT.read_fault(status, {}, body.encode())
    assert fault.kind is kind
    assert fault.status == status


@pytest.mark.parametrize(
    ("body", "message", "type_", "code"),
    [
        (error("m", 400, "t"), "m", "t", "400"),
        ('{"error":"just text"}', "just text", None, None),
        ('{"object":"error","message":"m","type":"t","code":3000}', "m", "t", "3000"),
        ('{"detail":"Not Found"}', "Not Found", None, None),
        ('[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]', "m", "INVALID_ARGUMENT", "400"),
        ("<html>\n  gateway \x00 </html>", "<html> gateway </html>", None, None),
        ("", "HTTP status 418", None, None),
        ('{"error":{"message":{"a":1}}}', '{"a":1}', None, None),
        ("[" * 5000, "[" * 499 + "…", None, None),
        (error("Incorrect key sk-abcdefghijkl given"), "Incorrect key [redacted] given", None, None),
    ],
)
def test_words(body: str, message: str, type_: str | None, code: str | None) -> None:
    fault = DIALECT.read_fault(418, {}, body.encode())
    assert (fault.message, fault.type, fault.code) == (message, type_, code)


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry-after": "3"}, "", 3.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, "", 0.25),
        (
            {"retry-after": "Wed, 21 Oct 2015 07:28:10 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"},
            "",
            10.0,
        ),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:10 GMT"}, "", None),
        ({}, "Please try again in 1.2s. More", 1.2),
        ({}, "Please try again in 6m0s.", 360.0),
        ({}, "Please try again in 120ms.", 0.12),
        ({}, "Please retry after 7 seconds.", 7.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m30s"}, "", 90.0),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "1m30s"}, "", None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1700000000"}, "", None),
        ({}, "later", None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], message: str, seconds: float | None) -> None:
    assert DIALECT.read_fault(429, headers, error(message).encode()).retry_after_s == seconds


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", FaultKind.MALFORMED),
        (b"<html>", FaultKind.MALFORMED),
        (b'{"id":"x"}', FaultKind.MALFORMED),
        (b'{"choices":[]}', FaultKind.MALFORMED),
        (b'{"choices":[{"message":{"content":"\xff"}}]}', FaultKind.MALFORMED),
        (b"[" * 100_000, FaultKind.MALFORMED),
        (b'{"error":{"message":"m","code":429}}', FaultKind.RATE_LIMITED),
        (b'{"error":{"message":"m","type":"invalid_request_error"}}', FaultKind.BAD_REQUEST),
        (b'{"error":"broken"}', FaultKind.SERVER_ERROR),
        (b'{"model":[],"choices":5,"error":{"message":"m","code":429}}', FaultKind.RATE_LIMITED),
    ],
)
def test_an_answer_that_is_none(body: bytes, kind: FaultKind) -> None:
    for read in (DIALECT.read_reply, DIALECT.glance_reply):
        if body == b'{"choices":[{"message":{"content":"\xff"}}]}' and read is DIALECT.glance_reply:
            continue  # the glance does not look that deep
        with pytest.raises(UpstreamFault) as caught:
            read(body)
        assert caught.value.fault.kind is kind


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_is_told_in_openais_shape(kind: ErrorKind) -> None:
    told = json.loads(
        DIALECT.write_fault(CallerError(kind=kind, message="no sk-abcdefghijkl", status=400, detail={"attempts": []}))
    )
    assert told.keys() == {"error"}
    assert told["error"].keys() == {"message", "type", "param", "code", "waypost"}
    assert told["error"]["message"] == "no [redacted]"
    assert told["error"]["waypost"] == {"attempts": []}


def test_a_single_causes_own_words_survive() -> None:
    cause = Fault(kind=FaultKind.BAD_REQUEST, message="m", status=400, type="invalid_request_error", code="bad_thing")
    told = json.loads(
        DIALECT.write_fault(CallerError(kind=ErrorKind.BAD_REQUEST, message="m", status=400, cause=cause))
    )
    assert (told["error"]["type"], told["error"]["code"]) == ("invalid_request_error", "bad_thing")
