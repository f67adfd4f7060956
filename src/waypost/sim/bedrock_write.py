"""Writes answers and errors as Bedrock's Converse does: a message, its binary events, an exception.

Follows https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from waypost.sim.eventstream import encode_event, encode_exception
from waypost.sim.exchange import Choice, Part, Rejected, Stop, StreamEvent
from waypost.sim.signing import Signer, sign
from waypost.sim.speaker import Told
from waypost.sim.tokens import split_tokens

_encode = msgspec.json.Encoder().encode
_STOPS = {
    Stop.END: "end_turn",
    Stop.LENGTH: "max_tokens",
    Stop.SEQUENCE: "stop_sequence",
    Stop.TOOLS: "tool_use",
    Stop.REFUSAL: "content_filtered",
}
_ERRORS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    405: "UnknownOperationException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
    529: "ServiceUnavailableException",
}
_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_Event = tuple[str, dict[str, Any], Part]


def write_whole(told: Told) -> bytes:
    choice = told.answer.choices[0]
    body: dict[str, Any] = {
        "metrics": {"latencyMs": 1},
        "output": {"message": {"role": "assistant", "content": list(_content(choice))}},
        **_stop(told, choice),
    }
    if told.usage:
        body["usage"] = _usage(told)
    return _encode(body)


def write_stream(told: Told) -> list[StreamEvent]:
    choice = told.answer.choices[0]
    events: list[_Event] = [("messageStart", {"role": "assistant"}, Part.FRAME)]
    for index, block in enumerate(_content(choice)):
        events += _events_of(index, block)
    events.append(("messageStop", _stop(told, choice), Part.FINISH))
    metadata: dict[str, Any] = {"metrics": {"latencyMs": 1}}
    if told.usage:
        metadata["usage"] = _usage(told)
    events.append(("metadata", metadata, Part.USAGE))
    return [
        StreamEvent(encode_event(kind, _pad(members, number)), part, told.usage and part is Part.USAGE)
        for number, (kind, members, part) in enumerate(events)
    ]


def write_error(rejected: Rejected) -> bytes:
    return _encode({"message": rejected.message})


def name_error(rejected: Rejected) -> bytes:
    """The header that says which exception it is."""
    return b"x-amzn-errortype: %s:http://internal.amazon.com/coral/com.amazon.bedrock/\r\n" % _name(rejected).encode()


def write_exception(rejected: Rejected) -> Callable[[int], bytes]:
    name = _name(rejected)
    message = encode_exception(name[:1].lower() + name[1:], _encode({"message": rejected.message}))
    return lambda _: message


def _name(rejected: Rejected) -> str:
    return rejected.kind or _ERRORS.get(rejected.status, "InternalServerException")


def _pad(members: dict[str, Any], number: int) -> bytes:
    """Amazon hides how long tokens are by a member of changing length."""
    return _encode({**members, "p": _PADDING[: 4 + number * 7 % 58]})


def _stop(told: Told, choice: Choice) -> dict[str, Any]:
    stop: dict[str, Any] = {"stopReason": _STOPS[choice.stop]}
    if "/stop_sequence" in told.question.repeated.get("paths", ()):
        stop["additionalModelResponseFields"] = {"stop_sequence": choice.stop_sequence}
    return stop


def _content(choice: Choice) -> Iterator[dict[str, Any]]:
    if choice.reasoning:
        text = {"text": choice.reasoning, "signature": sign(Signer.BEDROCK, choice.reasoning)}
        yield {"reasoningContent": {"reasoningText": text}}
    if choice.text or choice.refusal:
        yield {"text": choice.text or choice.refusal}
    for call in choice.calls:
        yield {"toolUse": {"toolUseId": f"tooluse_{call.token}", "name": call.name, "input": call.arguments}}


def _events_of(index: int, block: dict[str, Any]) -> Iterator[_Event]:
    """A block's events. Only tool calls say that they start."""
    deltas: list[dict[str, Any]]
    match block:
        case {"reasoningContent": {"reasoningText": {"text": str(text), "signature": signature}}}:
            deltas = [{"reasoningContent": {"text": token}} for token in split_tokens(text)]
            deltas.append({"reasoningContent": {"signature": signature}})
        case {"toolUse": {"toolUseId": identity, "name": name, "input": arguments}}:
            start = {"toolUse": {"toolUseId": identity, "name": name}}
            yield "contentBlockStart", {"contentBlockIndex": index, "start": start}, Part.FRAME
            pieces = ["", *split_tokens(_encode(arguments).decode())]
            deltas = [{"toolUse": {"input": piece}} for piece in pieces]
        case _:
            deltas = [{"text": token} for token in split_tokens(block["text"])]
    for delta in deltas:
        yield "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}, Part.CONTENT
    yield "contentBlockStop", {"contentBlockIndex": index}, Part.FRAME


def _usage(told: Told) -> dict[str, Any]:
    """The cached tokens are not part of the input's, but of the total."""
    question, answer = told.question, told.answer
    return {
        "inputTokens": question.input_tokens - question.cache_read - question.cache_write,
        "outputTokens": answer.output_tokens,
        "totalTokens": question.input_tokens + answer.output_tokens,
        "cacheReadInputTokens": question.cache_read,
        "cacheWriteInputTokens": question.cache_write,
    }
