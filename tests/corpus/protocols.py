"""What each protocol can say of an answer, and the words it has for it: one table, of facts about the protocols."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from waypost.conversation.reply import StopKind
from waypost.wire.frames import Frame

Told = Mapping[str, Any]


def mapping(**words: StopKind) -> Mapping[StopKind, StopKind]:
    return MappingProxyType({StopKind[name]: kind for name, kind in words.items()})


@dataclass(frozen=True)
class Protocol:
    """`stops` are its words for why an answer ended, found in one by `stop_words`; `stands_for` says what is told of a
    stop for which it has none. `calls_stop`: that tools are called is told by the calls, no word says so.
    `marks_refusals`: a refusal is marked as such; without that its words are text and the stop reason tells.
    `refusals_stop`: which it does where an answer ends with one. `calls_are_objects`: arguments are a JSON object, not
    text. `any_id`: a call's id may hold any characters. `shows_media`: an answer may hold images and sound of others.
    `members` are those of an answer, `brackets` the events of a stream that open and close something, `ends` the events
    (or the data) that end one.
    """

    stops: frozenset[str | None]
    stop_words: Callable[[Told], Iterable[str | None]]
    members: frozenset[str]
    ends: frozenset[str]
    stands_for: Mapping[StopKind, StopKind]
    brackets: tuple[tuple[str, str], ...] = ()
    calls_stop: bool = False
    marks_refusals: bool = False
    refusals_stop: bool = True
    calls_are_objects: bool = True
    any_id: bool = True
    tells_cache_writes: bool = True
    tells_model: bool = True
    shows_media: bool = False


def words(*told: str | None) -> frozenset[str | None]:
    return frozenset((*told, None))


def names(told: str) -> frozenset[str]:
    return frozenset(told.split())


def _response_stops(told: Told) -> list[str | None]:
    return [told["status"], (told.get("incomplete_details") or {}).get("reason")]


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "openai_chat": Protocol(
            words("stop", "length", "tool_calls", "content_filter"),
            lambda told: [choice["finish_reason"] for choice in told["choices"]],
            names("id object created model choices usage"),
            names("[DONE]"),
            stands_for=mapping(STOP_SEQUENCE=StopKind.END, PAUSE=StopKind.END, OTHER=StopKind.LENGTH),
            marks_refusals=True,
            calls_are_objects=False,
        ),
        "openai_responses": Protocol(
            words("completed", "incomplete", "max_output_tokens", "content_filter", "in_progress"),
            _response_stops,
            names(
                "id object created_at status background error incomplete_details instructions max_output_tokens model "
                "output parallel_tool_calls previous_response_id reasoning store temperature text tool_choice tools "
                "top_p truncation usage user metadata completed_at service_tier"
            ),
            names("response.completed response.incomplete"),
            brackets=(
                ("response.output_item.added", "response.output_item.done"),
                ("response.content_part.added", "response.content_part.done"),
                ("response.reasoning_summary_part.added", "response.reasoning_summary_part.done"),
            ),
            stands_for=mapping(STOP_SEQUENCE=StopKind.END, PAUSE=StopKind.END, OTHER=StopKind.LENGTH),
            calls_stop=True,
            marks_refusals=True,
            calls_are_objects=False,
        ),
        "anthropic": Protocol(
            words("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"),
            lambda told: [told["stop_reason"]],
            names("id type role model content stop_reason stop_sequence usage"),
            names("message_stop"),
            brackets=(("content_block_start", "content_block_stop"), ("message_start", "message_stop")),
            stands_for=mapping(OTHER=StopKind.LENGTH),
            any_id=False,
        ),
        "gemini": Protocol(
            words("STOP", "MAX_TOKENS", "SAFETY", "OTHER"),
            lambda told: [each.get("finishReason") for each in told.get("candidates", ())],
            names("candidates usageMetadata modelVersion responseId createTime"),
            names(""),
            stands_for=mapping(STOP_SEQUENCE=StopKind.END, PAUSE=StopKind.OTHER),
            calls_stop=True,
            tells_cache_writes=False,
            shows_media=True,
        ),
        "cohere": Protocol(
            words("COMPLETE", "STOP_SEQUENCE", "MAX_TOKENS", "TOOL_CALL", "ERROR_TOXIC"),
            lambda told: [told.get("finish_reason")],
            names("id finish_reason message usage logprobs"),
            names("message-end"),
            brackets=(
                ("message-start", "message-end"),
                ("content-start", "content-end"),
                ("tool-call-start", "tool-call-end"),
                ("citation-start", "citation-end"),
            ),
            stands_for=mapping(PAUSE=StopKind.END, OTHER=StopKind.LENGTH),
            refusals_stop=False,
            calls_are_objects=False,
            tells_cache_writes=False,
            tells_model=False,
        ),
        "bedrock": Protocol(
            words("end_turn", "max_tokens", "stop_sequence", "tool_use", "content_filtered"),
            lambda told: [told.get("stopReason")],
            names("output stopReason usage metrics"),
            names("messageStop"),
            brackets=(("messageStart", "messageStop"),),
            stands_for=mapping(PAUSE=StopKind.END, OTHER=StopKind.LENGTH),
            any_id=False,
            tells_model=False,
        ),
    }
)


def name_of(frame: Frame) -> str:
    """What a frame of a stream is: its event's name or type, or its data where that is no JSON."""
    if frame.event is not None:
        return frame.event
    try:
        told = json.loads(frame.data or b"{}")
    except ValueError:
        return (frame.data or b"").decode()
    return str(told.get("type", told.get("object", "")))
