"""What is written for callers, in every protocol, is what the official SDKs' own types say that their provider says.

Without the parts that are a provider's own: the tools that it runs, and members that nobody else has.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic import TypeAdapter

from corpus.meaning import frames_of, read_events, reply_of
from corpus.protocols import PROTOCOLS
from corpus.records import DIALECTS, Record, answers, check_each
from dialects.bedrock.service import converted, model
from waypost.conversation.blocks import Opaque
from waypost.conversation.events import BlockStarted, Event
from waypost.conversation.reply import Reply
from waypost.dialects.registry import DIALECTS as SPOKEN

SCALED = (None, "auto", "default", "flex", "scale", "priority")


@cache
def chat() -> tuple[TypeAdapter[Any], TypeAdapter[Any]]:
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    return TypeAdapter(ChatCompletion), TypeAdapter(ChatCompletionChunk)


@cache
def responses() -> tuple[TypeAdapter[Any], TypeAdapter[Any]]:
    from openai.types.responses import Response, ResponseStreamEvent

    return TypeAdapter(Response), TypeAdapter(ResponseStreamEvent)


@cache
def anthropic() -> tuple[TypeAdapter[Any], TypeAdapter[Any]]:
    from anthropic.types import Message, RawMessageStreamEvent

    return TypeAdapter(Message), TypeAdapter(RawMessageStreamEvent)


@cache
def gemini() -> TypeAdapter[Any]:
    from google.genai.types import GenerateContentResponse

    return TypeAdapter(GenerateContentResponse)


@cache
def cohere() -> tuple[TypeAdapter[Any], TypeAdapter[Any]]:
    from cohere import V2ChatResponse, V2ChatStreamResponse

    return TypeAdapter(V2ChatResponse), TypeAdapter(V2ChatStreamResponse)


def bedrock(operation: str) -> Any:
    return model().operation_model(operation).output_shape


Check = Callable[[Any], object]
WHOLE: Mapping[str, Check] = MappingProxyType(
    {
        "openai_chat": lambda told: chat()[0].validate_python(own_words_aside(told)),
        "openai_responses": lambda told: responses()[0].validate_python(told),
        "anthropic": lambda told: anthropic()[0].validate_python(told),
        "gemini": lambda told: gemini().validate_json(json.dumps(told)),
        "cohere": lambda told: cohere()[0].validate_python(told),
        "bedrock": lambda told: converted(told, bedrock("Converse"), ""),
    }
)
PIECE: Mapping[str, Check] = MappingProxyType(
    {
        "openai_chat": lambda told: chat()[1].validate_python(told),
        "openai_responses": lambda told: responses()[1].validate_python(told),
        "anthropic": lambda told: anthropic()[1].validate_python(told),
        "gemini": lambda told: gemini().validate_json(json.dumps(told)),
        "cohere": lambda told: cohere()[1].validate_python(told),
        "bedrock": lambda told: converted(told, bedrock("ConverseStream").members["stream"], ""),
    }
)


def own_words_aside(told: dict[str, Any]) -> dict[str, Any]:
    """Within a dialect a provider's own words stay, which the types don't list."""
    for choice in told["choices"]:
        if choice["finish_reason"] not in PROTOCOLS["openai_chat"].stops:
            choice["finish_reason"] = "stop"
        annotations = choice["message"].pop("annotations", [])
        choice["message"]["annotations"] = [each for each in annotations if each["type"] == "url_citation"]
    if told.get("service_tier") not in SCALED:
        del told["service_tier"]
    return told


def everybodys(reply: Reply) -> Reply:
    choices = [
        replace(choice, blocks=tuple(block for block in choice.blocks if not isinstance(block, Opaque)))
        for choice in reply.choices
    ]
    return replace(reply, choices=tuple(choices), extra=())


def everybodys_events(events: Iterable[Event]) -> list[Event]:
    hosted: set[tuple[int, int]] = set()
    shown = []
    for event in events:
        if isinstance(event, BlockStarted) and isinstance(event.block, Opaque):
            hosted.add((event.choice, event.index))
        if (getattr(event, "choice", -1), getattr(event, "index", -1)) not in hosted:
            shown.append(event)
    return shown


def is_ended(reply: Reply) -> bool:
    """A stop reason may not be absent in most types."""
    return all(choice.stop is not None for choice in reply.choices)


per_caller = pytest.mark.parametrize("caller", SPOKEN)
per_protocol = pytest.mark.parametrize("protocol", DIALECTS)


@per_caller
@per_protocol
def test_the_official_types_accept_an_answer(protocol: str, caller: str) -> None:
    def check(record: Record) -> None:
        told = json.loads(SPOKEN[caller].write_reply(everybodys(reply_of(record)), "m"))
        WHOLE[caller](told)

    check_each((record for record in answers(protocol) if is_ended(reply_of(record))), check)


@per_caller
@per_protocol
def test_the_official_types_accept_a_stream(protocol: str, caller: str) -> None:
    dialect = SPOKEN[caller]

    def check(record: Record) -> None:
        writer = dialect.writer("m", True)
        written = b"".join(map(writer.write, everybodys_events(read_events(record))))
        for frame in frames_of(dialect, written):
            assert frame.data is not None
            if frame.data == b"[DONE]":
                continue
            told = json.loads(frame.data)
            PIECE[caller]({frame.event: told} if caller == "bedrock" else told)
            assert frame.event in (None, told.get("type")) or caller == "bedrock"

    check_each((r for r in answers(protocol, stream=True) if not r.expect["mid_error"]), check)
