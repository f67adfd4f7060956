"""Writes answers and errors as OpenAI's Responses do: a response, its typed events, an error.

Follows https://platform.openai.com/docs/api-reference/responses/object and .../responses-streaming.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from waypost.sim.compose import encode_arguments
from waypost.sim.exchange import Choice, Part, Stop, StreamEvent, ToolCall
from waypost.sim.signing import Signer, seal
from waypost.sim.speaker import Told
from waypost.sim.tokens import split_tokens

_encode = msgspec.json.Encoder().encode
_USUAL: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
_Event = tuple[str, dict[str, Any], Part]


def write_whole(told: Told, created: int) -> bytes:
    return _encode(_response(told, created, ended=True))


def write_stream(told: Told, created: int) -> list[StreamEvent]:
    opening = _response(told, created, ended=False)
    choice = told.answer.choices[0]
    events: list[_Event] = [
        ("response.created", {"response": opening}, Part.FRAME),
        ("response.in_progress", {"response": opening}, Part.FRAME),
    ]
    for place, item in enumerate(_items(told, choice)):
        events += _events_of(place, item)
    ended = "response.incomplete" if choice.stop is Stop.LENGTH else "response.completed"
    events.append((ended, {"response": _response(told, created, ended=True)}, Part.DONE))
    return [
        StreamEvent(frame(kind, members, number), part, told.usage and part is Part.DONE)
        for number, (kind, members, part) in enumerate(events)
    ]


def write_error_event(told: Told, message: str, created: int) -> Callable[[int], bytes]:
    """A bare error before anything was said; a response that failed, later."""

    def write(before: int) -> bytes:
        if not before:
            return frame("error", {"code": "server_error", "message": message, "param": None}, before)
        failed = _response(told, created, ended=False)
        failed["status"] = "failed"
        failed["error"] = {"code": "server_error", "message": message}
        return frame("response.failed", {"response": failed}, before)

    return write


def frame(kind: str, members: dict[str, Any], number: int) -> bytes:
    data = _encode({"type": kind, **members, "sequence_number": number})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def _response(told: Told, created: int, *, ended: bool) -> dict[str, Any]:
    choice = told.answer.choices[0]
    cut = ended and choice.stop is Stop.LENGTH
    status = "in_progress" if not ended else "incomplete" if cut else "completed"
    response: dict[str, Any] = {
        "id": f"resp_{told.answer.token}",
        "object": "response",
        "created_at": created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "model": told.model,
        "output": list(_items(told, choice)) if ended else [],
        "service_tier": "default",
        **_USUAL,
        **told.question.repeated,
    }
    response["usage"] = _usage(told) if ended and told.usage else None
    if not told.usage:
        del response["usage"]
    return response


def _usage(told: Told) -> dict[str, Any]:
    question, answer = told.question, told.answer
    written = {"cache_write_tokens": question.cache_write} if question.cache_write else {}
    return {
        "input_tokens": question.input_tokens,
        "input_tokens_details": {"cached_tokens": question.cache_read, **written},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": question.input_tokens + answer.output_tokens,
    }


def _items(told: Told, choice: Choice) -> Iterator[dict[str, Any]]:
    token = told.answer.token
    if choice.reasoning:
        shown = told.question.show_reasoning
        item: dict[str, Any] = {
            "id": f"rs_{token}",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": choice.reasoning}] if shown else [],
        }
        if told.question.seal_reasoning:
            item["encrypted_content"] = seal(Signer.RESPONSES, choice.reasoning)
        yield item
    # Where there is nothing else to say, an empty text is said, unless reasoning took all there was.
    if choice.text or choice.refusal or not (choice.calls or choice.stop is Stop.LENGTH):
        yield {
            "id": f"msg_{token}",
            "type": "message",
            "status": "incomplete" if choice.stop is Stop.LENGTH else "completed",
            "role": "assistant",
            "content": [_part(choice)],
        }
    yield from map(_call, choice.calls)


def _part(choice: Choice) -> dict[str, Any]:
    if choice.refusal:
        return {"type": "refusal", "refusal": choice.refusal}
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": choice.text}


def _call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": f"fc_{call.token}",
        "type": "function_call",
        "status": "completed",
        "arguments": encode_arguments(call),
        "call_id": f"call_{call.token}",
        "name": call.name,
    }


def _events_of(place: int, item: dict[str, Any]) -> Iterator[_Event]:
    """An item's events, from the moment it is there until it is whole."""
    empty: dict[str, Any]
    match item["type"]:
        case "reasoning":
            empty, middle = {**item, "summary": []}, _summary_events(place, item)
        case "message":
            empty, middle = {**item, "status": "in_progress", "content": []}, _part_events(place, item)
        case _:
            empty, middle = {**item, "status": "in_progress", "arguments": ""}, _argument_events(place, item)
    yield "response.output_item.added", {"output_index": place, "item": empty}, Part.FRAME
    yield from middle
    yield "response.output_item.done", {"output_index": place, "item": item}, Part.FRAME


def _summary_events(place: int, item: dict[str, Any]) -> Iterator[_Event]:
    for index, part in enumerate(item["summary"]):
        at = {"item_id": item["id"], "output_index": place, "summary_index": index}
        added = {**at, "part": {**part, "text": ""}}
        yield "response.reasoning_summary_part.added", added, Part.FRAME
        for token in split_tokens(part["text"]):
            yield "response.reasoning_summary_text.delta", {**at, "delta": token}, Part.CONTENT
        yield "response.reasoning_summary_text.done", {**at, "text": part["text"]}, Part.FRAME
        yield "response.reasoning_summary_part.done", {**at, "part": part}, Part.FRAME


def _part_events(place: int, item: dict[str, Any]) -> Iterator[_Event]:
    (part,) = item["content"]
    member, kind = ("refusal", "refusal") if part["type"] == "refusal" else ("text", "output_text")
    more: dict[str, Any] = {} if member == "refusal" else {"logprobs": []}
    at = {"item_id": item["id"], "output_index": place, "content_index": 0}
    yield "response.content_part.added", {**at, "part": {**part, member: ""}}, Part.FRAME
    for token in split_tokens(part[member]):
        yield f"response.{kind}.delta", {**at, "delta": token, **more}, Part.CONTENT
    yield f"response.{kind}.done", {**at, member: part[member], **more}, Part.FRAME
    yield "response.content_part.done", {**at, "part": part}, Part.FRAME


def _argument_events(place: int, item: dict[str, Any]) -> Iterator[_Event]:
    at = {"item_id": item["id"], "output_index": place}
    for token in split_tokens(item["arguments"]):
        yield "response.function_call_arguments.delta", {**at, "delta": token}, Part.CONTENT
    done = {**at, "name": item["name"], "arguments": item["arguments"]}
    yield "response.function_call_arguments.done", done, Part.FRAME
