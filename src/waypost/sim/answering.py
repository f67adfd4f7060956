"""One request → the steps that answer it: which key, which model, which fault, how fast.

Knows the order of these. Refuses to know protocols and sockets; chance and call numbers are arguments.
"""

from collections.abc import Callable
from typing import Any, TypeVar, assert_never

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from waypost.sim.compose import compose_answer
from waypost.sim.connection import Received
from waypost.sim.dice import draw
from waypost.sim.doors import Act, Door, find_door
from waypost.sim.embedding import Embedded, embed
from waypost.sim.exchange import Question, Rejected, Reply, Streamed, Whole
from waypost.sim.faults import Fault, FaultKind, UnknownFault, is_due, read_markers, split_model
from waypost.sim.latency import draw_seconds
from waypost.sim.perform import NO_PACE, Pace, Step, perform
from waypost.sim.script import Model, Script, listed_models, model_of
from waypost.sim.speaker import Speaker, Told
from waypost.sim.speakers import ANTHROPIC

_Made = TypeVar("_Made")
_BAD_GATEWAY = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body>\r\n</html>\r\n"
)
_REMAINING = 9999  # requests, in headers that tell of a limit
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


class Call(Struct, frozen=True):
    """What is known of a request before its body is looked at. `count` numbers the calls of each model name, from 1."""

    received: Received
    script: Script
    seed: int
    request_id: str
    count: Callable[[str], int]


def answer_request(call: Call) -> list[Step]:
    door = find_door(call.received)
    try:
        return _open(call, door)
    except Rejected as rejected:
        return perform(_refusal(call, door.speaker, rejected), None, NO_PACE)


def _open(call: Call, door: Door) -> list[Step]:
    speaker, method = door.speaker, call.received.method
    _check_key(call, speaker)
    if door.act is not Act.NOWHERE and method != door.method:
        raise Rejected(405, f"Not allowed to {method} on {call.received.path.partition('?')[0]}.")
    if speaker is ANTHROPIC and door.method == "POST" and not call.received.header("anthropic-version"):
        raise Rejected(400, "anthropic-version: header is required")
    match door.act:
        case Act.CONVERSE:
            return _converse(call, door)
        case Act.COUNT:
            return _count(call, door)
        case Act.EMBED:
            return _embed(call, door)
        case Act.LIST:
            body = speaker.models(listed_models(call.script))
            return perform(_whole(call, speaker, 200, body), None, NO_PACE)
        case Act.DESCRIBE:
            name = door.model or ""
            if name not in listed_models(call.script):
                raise speaker.unknown_model(name)
            return perform(_whole(call, speaker, 200, speaker.model(name)), None, NO_PACE)
        case Act.NOWHERE:
            path = call.received.path.partition("?")[0]
            raise Rejected(404, f"Invalid URL ({method} {path})", code="unknown_url")
        case _:
            assert_never(door.act)


def _check_key(call: Call, speaker: Speaker) -> None:
    key = speaker.key(call.received)  # a signature that is none is refused, whichever keys there are
    if call.script.keys is None:
        return
    if not key:
        raise speaker.no_key()
    if key not in call.script.keys:
        raise speaker.wrong_key()


class Asked(Struct, frozen=True):
    """A body, and which model is meant."""

    body: dict[str, Any]
    sent_model: str
    model: str  # without faults
    faults: list[Fault]
    scripted: Model


def _ask(call: Call, door: Door) -> Asked:
    speaker = door.speaker
    try:
        body = msgspec.json.decode(call.received.body)
    except (msgspec.DecodeError, RecursionError):
        raise Rejected(400, speaker.bad_json) from None
    if not isinstance(body, dict):
        raise Rejected(400, speaker.bad_json)
    sent = body.get("model") if door.model is None else door.model
    if not isinstance(sent, str) or not sent:
        raise Rejected(400, speaker.no_model, param="model")
    try:
        model, faults = split_model(sent)
    except UnknownFault as error:
        raise Rejected(400, str(error), param="model") from None
    if call.script.only_listed and model not in call.script.models:
        raise speaker.unknown_model(model)
    return Asked(body, sent, model, faults, model_of(call.script, model))


def _converse(call: Call, door: Door) -> list[Step]:
    speaker, asked = door.speaker, _ask(call, door)
    size = len(call.received.body)
    question = _or_reject(lambda: speaker.read(asked.body, asked.model, call.script.strict, size))
    if door.stream is not None:
        question = replace(question, stream=door.stream)
    number = call.count(asked.sent_model)
    fault = _find_fault(call, asked, question.text, number)
    _check_length(asked, question, speaker)
    if asked.scripted.words is not None and question.words is None:
        question = replace(question, words=asked.scripted.words)
    if fault is not None:
        failed = _fail(call, speaker, fault, question)
        if failed is not None:
            return perform(failed, fault, _pace(call, asked, number, 0))
    answer = _or_reject(lambda: compose_answer(question, call.seed))
    tell_usage = fault is None or fault.kind is not FaultKind.NO_USAGE
    told = Told(question, answer, asked.sent_model, tell_usage, call.request_id)
    reply: Reply
    if question.stream:
        error = speaker.error_event(told, *_error_of(fault))
        head = speaker.head(call.request_id, _REMAINING)
        reply = Streamed(head, speaker.stream(told), error, speaker.stream_type, speaker.malform)
    else:
        reply = _whole(call, speaker, 200, speaker.whole(told))
    return perform(reply, fault, _pace(call, asked, number, answer.output_tokens))


def _or_reject(make: Callable[[], _Made]) -> _Made:
    """A body may hold any JSON in any place; where no rule names what is wrong, that it is wrong must do."""
    try:
        return make()
    except UnknownFault as error:
        raise Rejected(400, str(error), param="messages") from None
    except (TypeError, AttributeError, LookupError, ValueError, ArithmeticError, RecursionError) as error:
        raise Rejected(400, f"Invalid request: {type(error).__name__} while reading the body.") from None


def _count(call: Call, door: Door) -> list[Step]:
    speaker, asked = door.speaker, _ask(call, door)
    size, read = len(call.received.body), speaker.count or speaker.read
    question = _or_reject(lambda: read(asked.body, asked.model, call.script.strict, size))
    number = call.count(asked.sent_model)
    fault = _find_fault(call, asked, question.text, number)
    reply = _whole(call, speaker, 200, speaker.counted(question))
    if fault is not None:
        reply = _fail(call, speaker, fault, question) or reply
    return perform(reply, fault, _pace(call, asked, number, 0))


def _embed(call: Call, door: Door) -> list[Step]:
    speaker, asked = door.speaker, _ask(call, door)
    read = speaker.read_inputs
    assert read is not None, "a door for embeddings has a reader"
    inputs = _or_reject(lambda: read(asked.body, asked.model, call.script.strict))
    number = call.count(asked.sent_model)
    question = Question(model=asked.model, text=inputs.text, input_tokens=inputs.longest)
    fault = _find_fault(call, asked, inputs.text, number)
    _check_length(asked, question, speaker)
    failed = None if fault is None else _fail(call, speaker, fault, question)
    if failed is not None:
        return perform(failed, fault, _pace(call, asked, number, 0))
    vectors = embed(inputs, asked.model, call.seed)
    tell_usage = fault is None or fault.kind is not FaultKind.NO_USAGE
    lines, body = speaker.embedded(Embedded(inputs, vectors, asked.sent_model, tell_usage, call.request_id))
    head = speaker.head(call.request_id, _REMAINING) + lines
    return perform(Whole(200, head, speaker.content_type, body), fault, _pace(call, asked, number, 0))


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
    again = b"" if fault.retry_after is None else b"retry-after: %s\r\n" % f"{fault.retry_after:g}".encode()
    if fault.kind is FaultKind.CONTEXT_OVERFLOW:
        return _refusal(call, speaker, _overflow(speaker, question.input_tokens + 8192, 8192), again)
    if fault.kind is FaultKind.ERROR_EVENT and not question.stream:
        status, message = _error_of(fault)
        body = speaker.error(Rejected(status, message), call.request_id)
        return Whole(200, speaker.head(call.request_id, _REMAINING) + again, speaker.content_type, body)
    if fault.kind not in _STATUSES:
        return None
    status, message = _STATUSES[fault.kind]
    if fault.kind is FaultKind.STATUS_502:
        return Whole(status, speaker.head(call.request_id, _REMAINING) + again, b"text/html", _BAD_GATEWAY)
    rejected = Rejected(status, fault.message or message, retry_after=fault.retry_after)
    return _refusal(call, speaker, rejected, again, 0 if status == 429 else _REMAINING)


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


def _whole(call: Call, speaker: Speaker, status: int, body: bytes) -> Whole:
    return Whole(status, speaker.head(call.request_id, _REMAINING), speaker.content_type, body)


def _refusal(
    call: Call, speaker: Speaker, rejected: Rejected, extra: bytes = b"", remaining: int = _REMAINING
) -> Whole:
    head = speaker.head(call.request_id, remaining) + speaker.error_head(rejected) + extra
    return Whole(rejected.status, head, speaker.content_type, speaker.error(rejected, call.request_id))
