"""Writes answers and errors as Anthropic does: a message, its events, an error object.

Follows https://docs.claude.com/en/api/messages and .../build-with-claude/streaming.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from waypost.sim.compose import encode_arguments
from waypost.sim.exchange import Answer, Choice, Part, Question, Rejected, Stop, StreamEvent
from waypost.sim.signing import Signer, sign
from waypost.sim.tokens import split_tokens

_encode = msgspec.json.Encoder().encode
_STOPS = {
    Stop.END: "end_turn",
    Stop.LENGTH: "max_tokens",
    Stop.SEQUENCE: "stop_sequence",
    Stop.TOOLS: "tool_use",
    Stop.REFUSAL: "refusal",
}
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def write_whole(question: Question, answer: Answer, model: str, *, tell_usage: bool) -> bytes:
    choice = answer.choices[0]
    body = _message(answer, model, _content(question, choice))
    body["stop_reason"] = _STOPS[choice.stop]
    body["stop_sequence"] = choice.stop_sequence
    if tell_usage:
        body["usage"] = {**_input_usage(question), "output_tokens": answer.output_tokens, "service_tier": "standard"}
    return _encode(body)


def write_stream(question: Question, answer: Answer, model: str, *, tell_usage: bool) -> list[StreamEvent]:
    choice = answer.choices[0]
    message = _message(answer, model, [])
    if tell_usage:
        message["usage"] = {**_input_usage(question), "output_tokens": 1, "service_tier": "standard"}
    events = [_event({"type": "message_start", "message": message}, Part.FRAME, tell_usage)]
    for index, (block, deltas) in enumerate(_blocks(question, choice)):
        events.append(_event({"type": "content_block_start", "index": index, "content_block": block}, Part.FRAME))
        if index == 0:
            events.append(_event({"type": "ping"}, Part.FRAME))
        events.extend(
            _event({"type": "content_block_delta", "index": index, "delta": delta}, Part.CONTENT) for delta in deltas
        )
        events.append(_event({"type": "content_block_stop", "index": index}, Part.FRAME))
    end: dict[str, Any] = {
        "type": "message_delta",
        "delta": {"stop_reason": _STOPS[choice.stop], "stop_sequence": choice.stop_sequence},
    }
    if tell_usage:
        end["usage"] = {**_totals(question), "output_tokens": answer.output_tokens}
    events.append(_event(end, Part.FINISH, tell_usage))
    events.append(_event({"type": "message_stop"}, Part.DONE))
    return events


def write_error(status: int, message: str, request_id: str, kind: str | None = None) -> bytes:
    error = {"type": kind or _ERRORS.get(status, "api_error"), "message": message}
    return _encode({"type": "error", "error": error, "request_id": request_id})


def write_rejected(rejected: Rejected, request_id: str) -> bytes:
    return write_error(rejected.status, rejected.message, request_id, rejected.kind)


def write_error_event(status: int, message: str, request_id: str) -> bytes:
    return b"event: error\ndata: " + write_error(status, message, request_id) + b"\n\n"


def write_count(question: Question) -> bytes:
    return _encode({"input_tokens": question.input_tokens})


def write_models(names: list[str]) -> bytes:
    data = [_model(name) for name in names]
    first, last = (names[0], names[-1]) if names else (None, None)
    return _encode({"data": data, "has_more": False, "first_id": first, "last_id": last})


def write_model(name: str) -> bytes:
    return _encode(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": f"Simulated {name}", "created_at": "2025-01-01T00:00:00Z"}


def _message(answer: Answer, model: str, content: list[Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.token}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
    }


def _content(question: Question, choice: Choice) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    if choice.reasoning:
        thought = choice.reasoning if question.show_reasoning else ""
        content.append({"type": "thinking", "thinking": thought, "signature": sign(Signer.ANTHROPIC, choice.reasoning)})
    text = choice.text or choice.refusal
    if text:
        content.append({"type": "text", "text": text})
    content.extend(
        {"type": "tool_use", "id": f"toolu_{call.token}", "name": call.name, "input": call.arguments}
        for call in choice.calls
    )
    return content


def _blocks(question: Question, choice: Choice) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each block as it starts, and the deltas that complete it."""
    if choice.reasoning:
        thought = split_tokens(choice.reasoning) if question.show_reasoning else []
        signature = {"type": "signature_delta", "signature": sign(Signer.ANTHROPIC, choice.reasoning)}
        deltas = [{"type": "thinking_delta", "thinking": token} for token in thought]
        yield {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signature]
    text = choice.text or choice.refusal
    if text:
        yield {"type": "text", "text": ""}, [{"type": "text_delta", "text": token} for token in split_tokens(text)]
    for call in choice.calls:
        pieces = split_tokens(encode_arguments(call))
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces]]
        yield {"type": "tool_use", "id": f"toolu_{call.token}", "name": call.name, "input": {}}, deltas


def _totals(question: Question) -> dict[str, Any]:
    return {
        "input_tokens": question.input_tokens - question.cache_read - question.cache_write,
        "cache_creation_input_tokens": question.cache_write,
        "cache_read_input_tokens": question.cache_read,
    }


def _input_usage(question: Question) -> dict[str, Any]:
    creation = {"ephemeral_5m_input_tokens": question.cache_write, "ephemeral_1h_input_tokens": 0}
    return {**_totals(question), "cache_creation": creation}


def _event(value: dict[str, Any], part: Part, tells_usage: bool = False) -> StreamEvent:
    data = b"event: " + value["type"].encode() + b"\ndata: " + _encode(value) + b"\n\n"
    return StreamEvent(data, part, tells_usage)
