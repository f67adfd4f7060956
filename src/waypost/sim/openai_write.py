"""Writes answers and errors as OpenAI does: a chat completion, its chunks, an error object.

Follows https://platform.openai.com/docs/api-reference/chat/object and .../chat/streaming.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from waypost.sim.compose import encode_arguments
from waypost.sim.exchange import Answer, Choice, Part, Question, Rejected, Stop, StreamEvent
from waypost.sim.tokens import split_tokens

_encode = msgspec.json.Encoder().encode
_FINISH = {
    Stop.END: "stop",
    Stop.SEQUENCE: "stop",
    Stop.REFUSAL: "stop",
    Stop.LENGTH: "length",
    Stop.TOOLS: "tool_calls",
}
_ERRORS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    405: ("invalid_request_error", None),
    413: ("invalid_request_error", None),
    429: ("requests", "rate_limit_exceeded"),
    503: ("service_unavailable_error", None),
}
DONE = StreamEvent(b"data: [DONE]\n\n", Part.DONE)


def write_whole(question: Question, answer: Answer, model: str, created: int, *, tell_usage: bool) -> bytes:
    body: dict[str, Any] = {
        "id": f"chatcmpl-{answer.token}",
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [
            {
                "index": index,
                "message": _message(question, choice),
                "logprobs": None,
                "finish_reason": _FINISH[choice.stop],
            }
            for index, choice in enumerate(answer.choices)
        ],
        "service_tier": "default",
        "system_fingerprint": "fp_sim",
    }
    if tell_usage:
        body["usage"] = _usage(question, answer)
    return _encode(body)


def write_stream(
    question: Question, answer: Answer, model: str, created: int, *, tell_usage: bool
) -> list[StreamEvent]:
    told = question.include_usage and tell_usage
    shared: dict[str, Any] = {
        "id": f"chatcmpl-{answer.token}",
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_sim",
    }
    if told:
        shared["usage"] = None
    events: list[StreamEvent] = []
    for index, choice in enumerate(answer.choices):
        for delta, part in _deltas(question, choice):
            finish = _FINISH[choice.stop] if part is Part.FINISH else None
            chunk = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
            events.append(_event({**shared, "choices": [chunk]}, part))
    if told:
        events.append(_event({**shared, "choices": [], "usage": _usage(question, answer)}, Part.USAGE, True))
    events.append(DONE)
    return events


def write_error(status: int, message: str, code: str | None = None, param: str | None = None) -> bytes:
    kind, usual = _ERRORS.get(status, ("server_error", None))
    return _encode({"error": {"message": message, "type": kind, "param": param, "code": code or usual}})


def write_rejected(rejected: Rejected) -> bytes:
    return write_error(rejected.status, rejected.message, rejected.code, rejected.param)


def write_error_event(status: int, message: str) -> bytes:
    return b"data: " + write_error(status, message) + b"\n\n"


def write_models(names: list[str]) -> bytes:
    return _encode({"object": "list", "data": [_model(name) for name in names]})


def write_model(name: str) -> bytes:
    return _encode(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_735_689_600, "owned_by": "waypost-sim"}


def _message(question: Question, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": choice.text or (None if choice.calls or choice.refusal else ""),
        "refusal": choice.refusal,
        "annotations": [],
    }
    if choice.reasoning and question.show_reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.calls:
        message["tool_calls"] = [
            {
                "id": f"call_{call.token}",
                "type": "function",
                "function": {"name": call.name, "arguments": encode_arguments(call)},
            }
            for call in choice.calls
        ]
    return message


def _deltas(question: Question, choice: Choice) -> Iterator[tuple[dict[str, Any], Part]]:
    opening = {"role": "assistant", "content": None if choice.calls or choice.refusal else "", "refusal": None}
    yield opening, Part.FRAME
    if choice.reasoning and question.show_reasoning:
        for token in split_tokens(choice.reasoning):
            yield {"reasoning_content": token}, Part.CONTENT
    for token in split_tokens(choice.text):
        yield {"content": token}, Part.CONTENT
    for token in split_tokens(choice.refusal or ""):
        yield {"refusal": token}, Part.CONTENT
    for index, call in enumerate(choice.calls):
        function = {"name": call.name, "arguments": ""}
        head = {"index": index, "id": f"call_{call.token}", "type": "function", "function": function}
        yield {"tool_calls": [head]}, Part.CONTENT
        for token in split_tokens(encode_arguments(call)):
            yield {"tool_calls": [{"index": index, "function": {"arguments": token}}]}, Part.CONTENT
    yield {}, Part.FINISH


def _usage(question: Question, answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": question.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": question.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": question.cache_read,
            "audio_tokens": 0,
            **({"cache_write_tokens": question.cache_write} if question.cache_write else {}),
        },
        "completion_tokens_details": {
            "reasoning_tokens": answer.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _event(value: dict[str, Any], part: Part, tells_usage: bool = False) -> StreamEvent:
    return StreamEvent(b"data: " + _encode(value) + b"\n\n", part, tells_usage)
