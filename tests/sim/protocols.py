"""What each protocol looks like from the outside, as data: how to ask, and where its answers say what.

Written against the simulator's bytes and nothing of its code, the binary event stream's checksums included.
"""

import json
import struct
from binascii import crc32
from collections.abc import Callable
from typing import Any, NamedTuple

ANTHROPIC_HEADERS = {"anthropic-version": "2023-06-01", "x-api-key": "sk-sim"}
Members = dict[str, Any]


class Asking(NamedTuple):
    path: str
    body: Members
    headers: dict[str, str]


class Protocol(NamedTuple):
    """`pieces`: the JSON of each event of a stream, end marks left out. `final`: whether an event tells all usage."""

    name: str
    asking: Callable[[str, str, Members], Asking]
    pieces: Callable[[bytes], list[bytes]]
    is_content: Callable[[Any], bool]
    text: Callable[[Any], str]  # of one event
    said: Callable[[Any], str]  # of a whole answer
    finish: bytes  # in a stream that says why it stopped
    final: Callable[[Any], bool]
    usage: Callable[
        [Any], tuple[int | None, ...]
    ]  # input with what is cached, output with reasoning, cached, reasoning
    error_message: Callable[[Any], str]  # of an event or a body
    end_mark: bytes | None = None
    stream_type: str = "text/event-stream"

    def events(self, body: bytes) -> list[Any]:
        return [json.loads(piece) for piece in self.pieces(body)]


def messages(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def _chat(path: str, headers: dict[str, str] | None = None, **more: Any) -> Callable[[str, str, Members], Asking]:
    def asking(model: str, text: str, members: Members) -> Asking:
        return Asking(path, {**more, "model": model, "messages": messages(text), **members}, headers or {})

    return asking


def _responses(model: str, text: str, members: Members) -> Asking:
    return Asking("/v1/responses", {"model": model, "input": text, **members}, {})


def _gemini(query: str) -> Callable[[str, str, Members], Asking]:
    def asking(model: str, text: str, members: Members) -> Asking:
        stream = members.pop("stream", False)
        method = f"streamGenerateContent{query}" if stream else "generateContent"
        body = {"contents": [{"role": "user", "parts": [{"text": text}]}], **members}
        return Asking(f"/v1beta/models/{model.replace(' ', '%20')}:{method}", body, {"x-goog-api-key": "sk-sim"})

    return asking


def _bedrock(model: str, text: str, members: Members) -> Asking:
    method = "converse-stream" if members.pop("stream", False) else "converse"
    body = {"messages": [{"role": "user", "content": [{"text": text}]}], **members}
    return Asking(f"/model/{model.replace(' ', '%20')}/{method}", body, {"authorization": "Bearer sk-sim"})


def server_sent(body: bytes) -> list[bytes]:
    data = [line[6:].rstrip(b"\r") for line in body.split(b"\n") if line.startswith(b"data: ")]
    return [line for line in data if line != b"[DONE]"]


def array_elements(body: bytes) -> list[bytes]:
    assert body[:1] in (b"[", b"")
    whole = body[1:].removesuffix(b"\r\n]")
    return whole.split(b",\r\n") if whole else []


def binary_messages(body: bytes) -> list[bytes]:
    """The payload of each message, whose lengths and checksums must be right."""
    payloads = []
    while body:
        total, headers, checksum = struct.unpack_from(">III", body)
        assert checksum == crc32(body[:8])
        message, body = body[:total], body[total:]
        assert struct.unpack(">I", message[-4:])[0] == crc32(message[:-4])
        assert b":message-type" in message[12 : 12 + headers]
        payloads.append(message[12 + headers : -4])
    return payloads


def _delta_type(event: Any) -> bool:
    return str(event.get("type")).endswith((".delta", "-delta"))


def _parts(event: Any) -> list[Any]:
    return [part for one in event["candidates"] for part in one.get("content", {}).get("parts", ())]


def _gemini_text(event: Any) -> str:
    return "".join(part.get("text", "") for part in _parts(event) if not part.get("thought"))


def _gemini_usage(event: Any) -> tuple[int | None, ...]:
    usage = event["usageMetadata"]
    thoughts = usage.get("thoughtsTokenCount", 0)
    cached = usage.get("cachedContentTokenCount", 0)
    return usage["promptTokenCount"], usage["candidatesTokenCount"] + thoughts, cached, thoughts


def _openai_usage(event: Any) -> tuple[int | None, ...]:
    usage = event["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    thought = usage["completion_tokens_details"]["reasoning_tokens"]
    return usage["prompt_tokens"], usage["completion_tokens"], cached, thought


def _anthropic_usage(event: Any) -> tuple[int | None, ...]:
    usage = event["usage"]
    cached = usage["cache_read_input_tokens"]
    whole = usage["input_tokens"] + cached + usage["cache_creation_input_tokens"]
    return whole, usage["output_tokens"], cached, None


def _responses_usage(event: Any) -> tuple[int | None, ...]:
    usage = event.get("response", event)["usage"]
    cached = usage["input_tokens_details"]["cached_tokens"]
    thought = usage["output_tokens_details"]["reasoning_tokens"]
    return usage["input_tokens"], usage["output_tokens"], cached, thought


def _cohere_usage(event: Any) -> tuple[int | None, ...]:
    usage = event.get("delta", event)["usage"]
    tokens = usage["tokens"]
    return tokens["input_tokens"], tokens["output_tokens"], usage["cached_tokens"], tokens.get("reasoning_tokens", 0)


def _bedrock_usage(event: Any) -> tuple[int | None, ...]:
    usage = event["usage"]
    cached = usage["cacheReadInputTokens"]
    return usage["inputTokens"] + cached + usage["cacheWriteInputTokens"], usage["outputTokens"], cached, None


def _responses_error(event: Any) -> str:
    error = event.get("response", event).get("error") or event
    return str(error["message"])


def _cohere_text(event: Any) -> str:
    if event["type"] == "tool-plan-delta":
        return str(event["delta"]["message"]["tool_plan"])
    return str(event["delta"]["message"]["content"].get("text", "")) if event["type"] == "content-delta" else ""


def _cohere_said(whole: Any) -> str:
    message = whole["message"]
    texts = [part.get("text", "") for part in message.get("content", ())]
    return "".join([*texts, message.get("tool_plan", "")])


OPENAI = Protocol(
    "openai",
    _chat("/v1/chat/completions"),
    server_sent,
    is_content=lambda event: any(choice["delta"].get("content") for choice in event.get("choices", ())),
    text=lambda event: "".join(choice["delta"].get("content") or "" for choice in event["choices"]),
    said=lambda whole: str(whole["choices"][0]["message"]["content"]),
    finish=b'"finish_reason":"',
    final=lambda event: bool(event.get("usage")),
    usage=_openai_usage,
    error_message=lambda event: str(event["error"]["message"]),
    end_mark=b"data: [DONE]\n\n",
)
ANTHROPIC = Protocol(
    "anthropic",
    _chat("/v1/messages", ANTHROPIC_HEADERS, max_tokens=4096),
    server_sent,
    is_content=lambda event: event.get("type") == "content_block_delta",
    text=lambda event: event["delta"].get("text", "") if event["type"] == "content_block_delta" else "",
    said=lambda whole: "".join(block.get("text", "") for block in whole["content"]),
    finish=b'"stop_reason":"',
    final=lambda event: event["type"] == "message_delta" and "usage" in event,
    usage=_anthropic_usage,
    error_message=lambda event: str(event["error"]["message"]),
    end_mark=b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
)
RESPONSES = Protocol(
    "responses",
    _responses,
    server_sent,
    is_content=_delta_type,
    text=lambda event: event["delta"] if event["type"] == "response.output_text.delta" else "",
    said=lambda whole: "".join(p["text"] for item in whole["output"] for p in item.get("content", ()) if "text" in p),
    finish=b'"type":"response.completed"',
    final=lambda event: event["type"] == "response.completed",
    usage=_responses_usage,
    error_message=_responses_error,
    end_mark=b"event: response.completed\n",
)
GEMINI = Protocol(
    "gemini",
    _gemini("?alt=sse"),
    server_sent,
    is_content=lambda event: "candidates" in event and "finishReason" not in event["candidates"][0],
    text=_gemini_text,
    said=_gemini_text,
    finish=b'"finishReason":"',
    final=lambda event: "finishReason" in event["candidates"][0],
    usage=_gemini_usage,
    error_message=lambda event: str((event[0] if isinstance(event, list) else event)["error"]["message"]),
)
GEMINI_ARRAY = GEMINI._replace(
    name="gemini_array",
    asking=_gemini(""),
    pieces=array_elements,
    end_mark=b"\r\n]",
    stream_type="application/json",
)
COHERE = Protocol(
    "cohere",
    _chat("/v2/chat"),
    server_sent,
    is_content=_delta_type,
    text=_cohere_text,
    said=_cohere_said,
    finish=b'"finish_reason":"COMPLETE"',
    final=lambda event: event["type"] == "message-end" and "usage" in event["delta"],
    usage=_cohere_usage,
    error_message=lambda event: str(event["delta"]["error"] if "delta" in event else event["message"]),
    end_mark=b"data: [DONE]\n\n",
)
BEDROCK = Protocol(
    "bedrock",
    _bedrock,
    binary_messages,
    is_content=lambda event: "delta" in event,
    text=lambda event: str(event.get("delta", {}).get("text", "")),
    said=lambda whole: "".join(block.get("text", "") for block in whole["output"]["message"]["content"]),
    finish=b'"stopReason":"',
    final=lambda event: "usage" in event,
    usage=_bedrock_usage,
    error_message=lambda event: str(event["message"]),
    stream_type="application/vnd.amazon.eventstream",
)
ALL = (OPENAI, ANTHROPIC, RESPONSES, GEMINI, GEMINI_ARRAY, COHERE, BEDROCK)
BY_NAME = {protocol.name: protocol for protocol in ALL}
