"""Writes answers and errors as Gemini does: a response, its chunks as events or as one JSON array, an error.

Follows https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from waypost.sim.exchange import Choice, Part, Question, Rejected, Stop, StreamEvent
from waypost.sim.signing import Signer, seal
from waypost.sim.speaker import Told
from waypost.sim.tokens import count_tokens, split_tokens

_encode = msgspec.json.Encoder().encode
_FINISH = {
    Stop.END: "STOP",
    Stop.SEQUENCE: "STOP",
    Stop.TOOLS: "STOP",
    Stop.LENGTH: "MAX_TOKENS",
    Stop.REFUSAL: "SAFETY",
}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    529: "UNAVAILABLE",
}
_SAFETY = [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}]


def write_whole(told: Told) -> bytes:
    candidates = []
    for index, choice in enumerate(told.answer.choices):
        parts = [part for part, _ in _parts(told.question, choice)]
        if choice.text and choice.reasoning and not choice.calls:
            parts[-1]["thoughtSignature"] = _seal(choice)
        content = {"content": {"parts": parts, "role": "model"}} if parts else {}
        candidates.append({**content, **_end(choice), "index": index})
    return _encode(_response(told, candidates, told.answer.output_tokens, told.answer.reasoning_tokens))


def write_events(told: Told) -> list[StreamEvent]:
    """Server-sent events (`alt=sse`)."""
    return [_event(b"data: " + data + b"\r\n\r\n", part, last and told.usage) for data, part, last in _chunks(told)]


def write_array(told: Told) -> list[StreamEvent]:
    """One JSON array, an element at a time; its end is the stream's end mark."""
    events = [
        _event((b",\r\n" if index else b"[") + data, part, last and told.usage)
        for index, (data, part, last) in enumerate(_chunks(told))
    ]
    return [*events, StreamEvent(b"\r\n]", Part.DONE)]


def write_error(rejected: Rejected) -> bytes:
    return _encode({"error": _error(rejected)})


def write_error_array(rejected: Rejected) -> bytes:
    return b"[" + write_error(rejected) + b"\r\n]"


def write_error_event(rejected: Rejected) -> Callable[[int], bytes]:
    return lambda _: b"data: " + write_error(rejected) + b"\r\n\r\n"


def write_error_element(rejected: Rejected) -> Callable[[int], bytes]:
    return lambda before: (b",\r\n" if before else b"[") + write_error(rejected) + b"\r\n]"


def break_element(data: bytes) -> bytes:
    """An element of the array that ends inside itself."""
    return data[: len(data) * 2 // 3]


def write_count(question: Question) -> bytes:
    details = [{"modality": "TEXT", "tokenCount": question.input_tokens}]
    return _encode({"totalTokens": question.input_tokens, "promptTokensDetails": details})


def write_models(names: list[str]) -> bytes:
    return _encode({"models": [_model(name) for name in names]})


def write_model(name: str) -> bytes:
    return _encode(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": f"Simulated {name}",
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


def _error(rejected: Rejected) -> dict[str, Any]:
    # Google has no 529: what is overloaded there is unavailable.
    code = 503 if rejected.status == 529 else rejected.status
    error: dict[str, Any] = {
        "code": code,
        "message": rejected.message,
        "status": _STATUSES.get(rejected.status, "UNKNOWN"),
    }
    if rejected.code is not None:
        error["details"] = [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": rejected.code,
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            }
        ]
    if rejected.retry_after is not None:
        delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{rejected.retry_after:g}s"}
        error.setdefault("details", []).append(delay)
    return error


def _chunks(told: Told) -> Iterator[tuple[bytes, Part, bool]]:
    """Each chunk, its part, and whether it is the last: the one whose usage is final."""
    spoken = thought = 0
    last = len(told.answer.choices) - 1
    for index, choice in enumerate(told.answer.choices):
        for part, tokens in _split_parts(told.question, choice):
            spoken, thought = (spoken, thought + tokens) if part.get("thought") else (spoken + tokens, thought)
            candidate = {"content": {"parts": [part], "role": "model"}, "index": index}
            yield _encode(_response(told, [candidate], spoken + thought, thought)), Part.CONTENT, False
        final = {"content": {"parts": [_closing(choice)], "role": "model"}, **_end(choice), "index": index}
        if choice.refusal:
            final = {**_end(choice), "index": index}
        output, reasoning = (spoken + thought, thought)
        if index == last:
            output, reasoning = told.answer.output_tokens, told.answer.reasoning_tokens
        yield _encode(_response(told, [final], output, reasoning)), Part.FINISH, index == last


def _closing(choice: Choice) -> dict[str, Any]:
    """The part of a finishing chunk: no text, but the signature of what was thought for the text."""
    if choice.reasoning and not choice.calls:
        return {"text": "", "thoughtSignature": _seal(choice)}
    return {"text": ""}


def _split_parts(question: Question, choice: Choice) -> Iterator[tuple[dict[str, Any], int]]:
    for part, tokens in _parts(question, choice):
        if "text" not in part:
            yield part, tokens
            continue
        for token in split_tokens(part["text"]):
            yield {**part, "text": token}, 1


def _parts(question: Question, choice: Choice) -> Iterator[tuple[dict[str, Any], int]]:
    """Each part of an answer, and how many tokens it took."""
    if choice.reasoning and question.show_reasoning:
        yield {"text": choice.reasoning, "thought": True}, count_tokens(choice.reasoning)
    if choice.text:
        yield {"text": choice.text}, count_tokens(choice.text)
    for index, call in enumerate(choice.calls):
        part: dict[str, Any] = {"functionCall": {"name": call.name, "args": call.arguments}}
        if choice.reasoning and index == 0:
            part["thoughtSignature"] = _seal(choice)
        yield part, count_tokens(call.name) + count_tokens(_encode(call.arguments).decode())


def _seal(choice: Choice) -> str:
    return seal(Signer.GEMINI, choice.reasoning)


def _end(choice: Choice) -> dict[str, Any]:
    end: dict[str, Any] = {"finishReason": _FINISH[choice.stop]}
    if choice.refusal:
        end |= {"finishMessage": choice.refusal, "safetyRatings": _SAFETY}
    elif choice.calls:
        end["finishMessage"] = "Model generated function call(s)."
    return end


def _response(told: Told, candidates: list[Any], output: int, reasoning: int) -> dict[str, Any]:
    response: dict[str, Any] = {"candidates": candidates}
    if told.usage:
        response["usageMetadata"] = _usage(told.question, output, reasoning)
    return {**response, "modelVersion": told.model, "responseId": told.answer.token}


def _usage(question: Question, output: int, reasoning: int) -> dict[str, Any]:
    """Thoughts are not part of the candidates' tokens; what was cached is part of the prompt's."""
    usage: dict[str, Any] = {
        "promptTokenCount": question.input_tokens,
        "candidatesTokenCount": output - reasoning,
        "totalTokenCount": question.input_tokens + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": question.input_tokens}],
    }
    if reasoning:
        usage["thoughtsTokenCount"] = reasoning
    if question.cache_read:
        usage["cachedContentTokenCount"] = question.cache_read
        usage["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": question.cache_read}]
    return usage


def _event(data: bytes, part: Part, tells_usage: bool) -> StreamEvent:
    return StreamEvent(data, part, tells_usage)
