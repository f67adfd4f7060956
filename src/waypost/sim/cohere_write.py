"""Writes answers and errors as Cohere's v2 chat does: a message, its typed events, an error.

Follows https://docs.cohere.com/reference/chat and .../reference/chat-stream.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from waypost.sim.compose import encode_arguments
from waypost.sim.exchange import Choice, Part, Rejected, Stop, StreamEvent, ToolCall
from waypost.sim.speaker import Told
from waypost.sim.tokens import split_tokens

_encode = msgspec.json.Encoder().encode
_FINISH = {
    Stop.END: "COMPLETE",
    Stop.REFUSAL: "COMPLETE",
    Stop.SEQUENCE: "STOP_SEQUENCE",
    Stop.LENGTH: "MAX_TOKENS",
    Stop.TOOLS: "TOOL_CALL",
}
DONE = StreamEvent(b"data: [DONE]\n\n", Part.DONE)


def write_whole(told: Told) -> bytes:
    choice = told.answer.choices[0]
    body = {"id": _identity(told), "message": _message(choice), "finish_reason": _FINISH[choice.stop]}
    if told.usage:
        body["usage"] = _usage(told)
    return _encode(body)


def write_stream(told: Told) -> list[StreamEvent]:
    choice = told.answer.choices[0]
    empty = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    start = {"id": _identity(told), "type": "message-start", "delta": {"message": empty}}
    events = [_event(start, Part.FRAME), *(_event(value, part) for value, part in _deltas(choice))]
    delta: dict[str, Any] = {"finish_reason": _FINISH[choice.stop]}
    if told.usage:
        delta["usage"] = _usage(told)
    events.append(_event({"type": "message-end", "delta": delta}, Part.FINISH, told.usage))
    events.append(DONE)
    return events


def write_error(rejected: Rejected, request_id: str) -> bytes:
    return _encode({"id": request_id, "message": rejected.message})


def write_error_event(message: str) -> Callable[[int], bytes]:
    delta = {"error": message, "finish_reason": "ERROR"}
    return lambda _: _event({"type": "message-end", "delta": delta}, Part.FRAME).data


def _identity(told: Told) -> str:
    token = (told.answer.token * 2)[:32]
    return f"{token[:8]}-{token[8:12]}-{token[12:16]}-{token[16:20]}-{token[20:]}"


def _message(choice: Choice) -> dict[str, Any]:
    """What is said before tool calls is the plan to call them."""
    message: dict[str, Any] = {"role": "assistant"}
    content = [{"type": kind, kind: text} for kind, text in _contents(choice)]
    if choice.calls:
        message |= {"tool_calls": [_call(call) for call in choice.calls]}
        if choice.text:
            message["tool_plan"] = choice.text
    if content or not choice.calls:
        message["content"] = content
    return message


def _contents(choice: Choice) -> list[tuple[str, str]]:
    thought = [("thinking", choice.reasoning)] if choice.reasoning else []
    if choice.calls:
        return thought
    text = choice.text or choice.refusal
    return [*thought, ("text", text)] if text else thought


def _call(call: ToolCall) -> dict[str, Any]:
    function: dict[str, Any] = {"name": call.name, "arguments": encode_arguments(call)}
    return {"id": f"{call.name}_{call.token[:12]}", "type": "function", "function": function}


def _deltas(choice: Choice) -> Iterator[tuple[dict[str, Any], Part]]:
    for index, (kind, text) in enumerate(_contents(choice)):
        opened = {"type": kind, kind: ""}
        yield {"type": "content-start", "index": index, "delta": {"message": {"content": opened}}}, Part.FRAME
        for token in split_tokens(text):
            content = {"message": {"content": {kind: token}}}
            yield {"type": "content-delta", "index": index, "delta": content}, Part.CONTENT
        yield {"type": "content-end", "index": index}, Part.FRAME
    if not choice.calls:
        return
    for token in split_tokens(choice.text):
        yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": token}}}, Part.CONTENT
    for index, call in enumerate(choice.calls):
        started: dict[str, Any] = {**_call(call), "function": {"name": call.name, "arguments": ""}}
        yield {"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": started}}}, Part.FRAME
        for token in split_tokens(encode_arguments(call)):
            piece = {"message": {"tool_calls": {"function": {"arguments": token}}}}
            yield {"type": "tool-call-delta", "index": index, "delta": piece}, Part.CONTENT
        yield {"type": "tool-call-end", "index": index}, Part.FRAME


def _usage(told: Told) -> dict[str, Any]:
    """What was cached is part of the input's tokens."""
    question, answer = told.question, told.answer
    counted: dict[str, int] = {"input_tokens": question.input_tokens, "output_tokens": answer.output_tokens}
    tokens = {**counted, "reasoning_tokens": answer.reasoning_tokens} if answer.reasoning_tokens else counted
    return {"billed_units": counted, "tokens": tokens, "cached_tokens": question.cache_read}


def _event(value: dict[str, Any], part: Part, tells_usage: bool = False) -> StreamEvent:
    data = b"event: " + value["type"].encode() + b"\ndata: " + _encode(value) + b"\n\n"
    return StreamEvent(data, part, tells_usage)
