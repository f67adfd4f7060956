"""One request → the steps that answer it: which protocol, which key, which model, which fault, how fast.

Knows both protocols' doors. Refuses to know sockets; chance and call numbers are arguments.
"""

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from waypost.sim import anthropic_write, openai_write
from waypost.sim.anthropic_read import read_anthropic
from waypost.sim.compose import compose_answer
from waypost.sim.connection import Received
from waypost.sim.dice import draw
from waypost.sim.exchange import Answer, Question, Rejected, Reply, Streamed, StreamEvent, Whole
from waypost.sim.faults import Fault, FaultKind, UnknownFault, is_due, read_markers, split_model
from waypost.sim.latency import draw_seconds
from waypost.sim.openai_read import read_openai
from waypost.sim.perform import NO_PACE, Pace, Step, perform
from waypost.sim.script import Model, Script, listed_models, model_of

CREATED = 1_750_000_000  # when every answer says it was made: answers must not depend on a clock
_JSON = b"application/json"
_Made = TypeVar("_Made")
_BAD_GATEWAY = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body>\r\n</html>\r\n"
)
_STATUSES = {
    FaultKind.STATUS_400: (400, "The request is invalid."),
    FaultKind.STATUS_401: (401, "The API key is not valid."),
    FaultKind.STATUS_403: (403, "Your account has no access to this resource."),
    FaultKind.STATUS_404: (404, "The model does not exist or you do not have access to it."),
    FaultKind.STATUS_429: (429, "Rate limit reached. Please slow down."),
    FaultKind.STATUS_500: (500, "The server had an error while processing your request."),
    FaultKind.STATUS_502: (502, "Bad gateway."),
    FaultKind.STATUS_503: (503, "The service is temporarily unavailable."),
    FaultKind.STATUS_529: (529, "Overloaded"),
}
_OPENAI_HEADERS = (
    b"openai-organization: waypost-sim\r\nopenai-processing-ms: 1\r\nopenai-version: 2020-10-01\r\n"
    b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: %d\r\nx-ratelimit-reset-requests: 6ms\r\n"
    b"x-ratelimit-limit-tokens: 2000000\r\nx-ratelimit-remaining-tokens: %d\r\nx-ratelimit-reset-tokens: 1ms\r\n"
)
_ANTHROPIC_HEADERS = (
    b"anthropic-organization-id: waypost-sim\r\n"
    b"anthropic-ratelimit-requests-limit: 10000\r\nanthropic-ratelimit-requests-remaining: %d\r\n"
    b"anthropic-ratelimit-requests-reset: 2025-06-15T15:06:41Z\r\n"
    b"anthropic-ratelimit-tokens-limit: 2000000\r\nanthropic-ratelimit-tokens-remaining: %d\r\n"
    b"anthropic-ratelimit-tokens-reset: 2025-06-15T15:06:41Z\r\n"
)


class Speaker(Struct, frozen=True):
    """One of the two protocols: its words for what both have."""

    request_id_header: bytes
    headers: bytes
    read: Callable[[dict[str, Any], str, bool, int], Question]
    whole: Callable[[Question, Answer, str, bool], bytes]
    stream: Callable[[Question, Answer, str, bool], list[StreamEvent]]
    error: Callable[[int, str, str, str | None], bytes]  # status, message, request id, code
    error_event: Callable[[int, str, str], bytes]
    rejected: Callable[[Rejected, str], bytes]
    models: Callable[[list[str]], bytes]
    model: Callable[[str], bytes]
    bad_json: str
    no_model: str
    too_long: Callable[[int, int], str]


OPENAI = Speaker(
    request_id_header=b"x-request-id",
    headers=_OPENAI_HEADERS,
    read=lambda body, model, strict, size: read_openai(body, model, strict=strict, size=size),
    whole=lambda question, answer, model, usage: openai_write.write_whole(
        question, answer, model, CREATED, tell_usage=usage
    ),
    stream=lambda question, answer, model, usage: openai_write.write_stream(
        question, answer, model, CREATED, tell_usage=usage
    ),
    error=lambda status, message, _, code: openai_write.write_error(status, message, code),
    error_event=lambda status, message, _: openai_write.write_error_event(status, message),
    rejected=lambda rejected, _: openai_write.write_rejected(rejected),
    models=openai_write.write_models,
    model=openai_write.write_model,
    bad_json="We could not parse the JSON body of your request. The OpenAI API expects a JSON payload.",
    no_model="you must provide a model parameter",
    too_long=lambda tokens, most: (
        f"This model's maximum context length is {most} tokens. However, your messages resulted in {tokens} tokens. "
        "Please reduce the length of the messages."
    ),
)
ANTHROPIC = Speaker(
    request_id_header=b"request-id",
    headers=_ANTHROPIC_HEADERS,
    read=lambda body, model, strict, size: read_anthropic(body, model, strict=strict, size=size),
    whole=lambda question, answer, model, usage: anthropic_write.write_whole(question, answer, model, tell_usage=usage),
    stream=lambda question, answer, model, usage: anthropic_write.write_stream(
        question, answer, model, tell_usage=usage
    ),
    error=lambda status, message, request_id, _: anthropic_write.write_error(status, message, request_id),
    error_event=anthropic_write.write_error_event,
    rejected=anthropic_write.write_rejected,
    models=anthropic_write.write_models,
    model=anthropic_write.write_model,
    bad_json="The request body is not valid JSON",
    no_model="model: Field required",
    too_long=lambda tokens, most: f"prompt is too long: {tokens} tokens > {most} maximum",
)


class Call(Struct, frozen=True):
    """What is known of a request before its body is looked at. `count` numbers the calls of each model name, from 1."""

    received: Received
    script: Script
    seed: int
    request_id: str
    count: Callable[[str], int]


def answer_request(call: Call) -> list[Step]:
    path = call.received.path.partition("?")[0]
    speaker = _choose_speaker(call.received, path)
    try:
        return _open_door(call, path, speaker)
    except Rejected as rejected:
        reply = _whole(call, speaker, rejected.status, speaker.rejected(rejected, call.request_id))
        return perform(reply, None, NO_PACE)


def _choose_speaker(received: Received, path: str) -> Speaker:
    """By the path; where both have it, or neither, by the header that only Anthropic's callers send."""
    if path == "/v1/chat/completions":
        return OPENAI
    if path.startswith("/v1/messages") or received.header("anthropic-version") is not None:
        return ANTHROPIC
    return OPENAI


def _open_door(call: Call, path: str, speaker: Speaker) -> list[Step]:
    _check_key(call, speaker)
    method = call.received.method
    match path:
        case "/v1/chat/completions" if method == "POST":
            return _converse(call, speaker)
        case "/v1/messages" if method == "POST":
            _check_version(call.received)
            return _converse(call, speaker)
        case "/v1/messages/count_tokens" if method == "POST":
            _check_version(call.received)
            return _count(call)
        case "/v1/models" if method == "GET":
            body = speaker.models(listed_models(call.script))
            return perform(_whole(call, speaker, 200, body), None, NO_PACE)
        case _ if path.startswith("/v1/models/") and method == "GET":
            return _describe(call, speaker, unquote(path.removeprefix("/v1/models/")))
        case "/v1/chat/completions" | "/v1/messages" | "/v1/messages/count_tokens" | "/v1/models":
            raise Rejected(405, f"Not allowed to {method} on {path}.")
        case _:
            raise Rejected(404, f"Invalid URL ({method} {path})", code="unknown_url")


def _check_key(call: Call, speaker: Speaker) -> None:
    if call.script.keys is None:
        return
    key = call.received.header("x-api-key") if speaker is ANTHROPIC else None
    if key is None:
        scheme, _, key = (call.received.header("authorization") or "").partition(" ")
        key = key if scheme.lower() == "bearer" else None
    if not key:
        missing = "x-api-key header is required" if speaker is ANTHROPIC else "You didn't provide an API key."
        raise Rejected(401, missing, kind="authentication_error")
    if key not in call.script.keys:
        wrong = "invalid x-api-key" if speaker is ANTHROPIC else "Incorrect API key provided."
        raise Rejected(401, wrong, kind="authentication_error", code="invalid_api_key")


def _check_version(received: Received) -> None:
    if not received.header("anthropic-version"):
        raise Rejected(400, "anthropic-version: header is required")


def _describe(call: Call, speaker: Speaker, name: str) -> list[Step]:
    if name not in listed_models(call.script):
        _reject_model(speaker, name)
    return perform(_whole(call, speaker, 200, speaker.model(name)), None, NO_PACE)


def _reject_model(speaker: Speaker, name: str) -> NoReturn:
    message = (
        f"model: {name}"
        if speaker is ANTHROPIC
        else f"The model `{name}` does not exist or you do not have access to it."
    )
    raise Rejected(404, message, code="model_not_found")


class Asked(Struct, frozen=True):
    """A body, as far as it says which model is meant."""

    body: dict[str, Any]
    sent_model: str
    model: str  # without faults
    faults: list[Fault]
    scripted: Model


def _ask(call: Call, speaker: Speaker) -> Asked:
    try:
        body = msgspec.json.decode(call.received.body)
    except (msgspec.DecodeError, RecursionError):
        raise Rejected(400, speaker.bad_json) from None
    if not isinstance(body, dict):
        raise Rejected(400, speaker.bad_json)
    sent = body.get("model")
    if not isinstance(sent, str) or not sent:
        raise Rejected(400, speaker.no_model, param="model")
    try:
        model, faults = split_model(sent)
    except UnknownFault as error:
        raise Rejected(400, str(error), param="model") from None
    if call.script.only_listed and model not in call.script.models:
        _reject_model(speaker, model)
    return Asked(body, sent, model, faults, model_of(call.script, model))


def _converse(call: Call, speaker: Speaker) -> list[Step]:
    asked = _ask(call, speaker)
    size = len(call.received.body)
    question = _or_reject(lambda: speaker.read(asked.body, asked.model, call.script.strict, size))
    number = call.count(asked.sent_model)
    fault = _find_fault(call, asked, question.text, number)
    _check_length(asked, question, speaker)
    if asked.scripted.words is not None and question.words is None:
        question = msgspec.structs.replace(question, words=asked.scripted.words)
    if fault is not None:
        failed = _fail(call, speaker, fault, question)
        if failed is not None:
            return perform(failed, fault, _pace(call, asked, number, 0))
    answer = _or_reject(lambda: compose_answer(question, call.seed))
    tell_usage = fault is None or fault.kind is not FaultKind.NO_USAGE
    reply: Reply
    if question.stream:
        events = speaker.stream(question, answer, asked.sent_model, tell_usage)
        error = speaker.error_event(*_error_of(fault), call.request_id)
        reply = Streamed(_headers(call, speaker), events, error)
    else:
        reply = _whole(call, speaker, 200, speaker.whole(question, answer, asked.sent_model, tell_usage))
    return perform(reply, fault, _pace(call, asked, number, answer.output_tokens))


def _or_reject(make: Callable[[], _Made]) -> _Made:
    """A body may hold any JSON in any place; where no rule names what is wrong, that it is wrong must do."""
    try:
        return make()
    except UnknownFault as error:
        raise Rejected(400, str(error), param="messages") from None
    except (TypeError, AttributeError, KeyError, ValueError, ArithmeticError) as error:
        raise Rejected(400, f"Invalid request: {type(error).__name__} while reading the body.") from None


def _count(call: Call) -> list[Step]:
    asked = _ask(call, ANTHROPIC)
    size = len(call.received.body)
    strict = call.script.strict
    question = _or_reject(lambda: read_anthropic(asked.body, asked.model, strict=strict, size=size, count_only=True))
    number = call.count(asked.sent_model)
    fault = _find_fault(call, asked, question.text, number)
    reply = _whole(call, ANTHROPIC, 200, anthropic_write.write_count(question))
    if fault is not None:
        reply = _fail(call, ANTHROPIC, fault, question) or reply
    return perform(reply, fault, _pace(call, asked, number, 0))


def _find_fault(call: Call, asked: Asked, text: str, number: int) -> Fault | None:
    """The first that is due of what the prompt, the model's name and the script ask for."""
    marked, _ = read_markers(text)
    for index, fault in enumerate((*marked, *asked.faults, *asked.scripted.faults)):
        chance = draw(call.seed, asked.sent_model, number, index) if fault.probability < 1 else b""
        if is_due(fault, number, chance):
            return fault
    return None


def _check_length(asked: Asked, question: Question, speaker: Speaker) -> None:
    most = asked.scripted.context_tokens
    if most is not None and question.input_tokens > most:
        raise _overflow(speaker, question.input_tokens, most)


def _overflow(speaker: Speaker, tokens: int, most: int) -> Rejected:
    return Rejected(400, speaker.too_long(tokens, most), param="messages", code="context_length_exceeded")


def _fail(call: Call, speaker: Speaker, fault: Fault, question: Question) -> Whole | None:
    """The reply of a fault that replaces the answer; None for one that only spoils it."""
    headers = b"" if fault.retry_after is None else b"retry-after: %s\r\n" % f"{fault.retry_after:g}".encode()
    if fault.kind is FaultKind.CONTEXT_OVERFLOW:
        rejected = _overflow(speaker, question.input_tokens + 8192, 8192)
        return _whole(call, speaker, 400, speaker.rejected(rejected, call.request_id), headers)
    if fault.kind is FaultKind.ERROR_EVENT and not question.stream:
        body = speaker.error(*_error_of(fault), call.request_id, None)
        return _whole(call, speaker, 200, body, headers)
    if fault.kind not in _STATUSES:
        return None
    status, message = _STATUSES[fault.kind]
    if fault.kind is FaultKind.STATUS_502:
        return Whole(status, _headers(call, speaker) + headers, b"text/html", _BAD_GATEWAY)
    body = speaker.error(status, fault.message or message, call.request_id, None)
    remaining = 0 if status == 429 else 9999
    return Whole(status, _headers(call, speaker, remaining) + headers, _JSON, body)


def _error_of(fault: Fault | None) -> tuple[int, str]:
    return 529, (fault.message if fault is not None else None) or "Overloaded"


def _pace(call: Call, asked: Asked, number: int, tokens: int) -> Pace:
    latency = asked.scripted.latency
    if latency.first_byte == 0 and latency.per_token_ms == 0:
        return NO_PACE
    return Pace(
        draw_seconds(latency.first_byte, draw(call.seed, asked.model, number, "first byte")),
        draw_seconds(latency.per_token_ms, draw(call.seed, asked.model, number, "token")),
        tokens,
    )


def _whole(call: Call, speaker: Speaker, status: int, body: bytes, extra: bytes = b"") -> Whole:
    return Whole(status, _headers(call, speaker) + extra, _JSON, body)


def _headers(call: Call, speaker: Speaker, remaining: int = 9999) -> bytes:
    own = speaker.headers % (remaining, remaining * 200)
    return b"%s: %s\r\n%s" % (speaker.request_id_header, call.request_id.encode(), own)
