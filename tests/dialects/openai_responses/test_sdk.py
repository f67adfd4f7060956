"""The official SDK reads what is written, streams by its own accumulator."""

from typing import Any

import httpx2
import openai
import pytest

from waypost.conversation.blocks import Refusal, Text, Thinking, ToolCall
from waypost.conversation.events import (
    BlockEnded,
    BlockStarted,
    Delta,
    Event,
    Finished,
    Reported,
    Started,
    Stopped,
)
from waypost.conversation.faults import CallerError, ErrorKind
from waypost.conversation.reply import Choice, Reply, Stop, StopKind, Usage
from waypost.dialects.openai_responses import DIALECT

EVENTS: list[Event] = [
    Started("msg_01abc", "claude-sonnet-4-5"),
    BlockStarted(0, Thinking("", None, "anthropic")),
    Delta(0, text="Let me "),
    Delta(0, text="see."),
    Delta(0, signature="c2lnbmF0dXJl"),
    BlockEnded(0),
    BlockStarted(1, Text("")),
    Delta(1, text="Zürich "),
    Delta(1, text="it is."),
    BlockEnded(1),
    BlockStarted(2, ToolCall("toolu_1", "weather", "")),
    Delta(2, arguments='{"city":'),
    Delta(2, arguments='"Zürich"}'),
    BlockEnded(2),
    BlockStarted(3, ToolCall("toolu_2", "now", "")),
    BlockEnded(3),
    Reported(Usage(input=10, cache_read=5, output=7, reasoning=3)),
    Stopped(Stop(StopKind.TOOL, "tool_use")),
    Finished(),
]


def client(body: bytes, content_type: str, status: int = 200) -> Any:
    def answer(_: Any) -> httpx2.Response:
        return httpx2.Response(status, content=body, headers={"content-type": content_type})

    transport: Any = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="none", max_retries=0, http_client=transport)


def streamed(body: bytes) -> tuple[list[Any], Any]:
    with (
        client(body, "text/event-stream") as sdk,
        sdk.responses.stream(model="m", input="where?") as stream,
    ):
        events = list(stream)
        return events, stream.get_final_response()


def check(response: Any) -> None:
    assert response.id == "resp_01abc"
    assert response.model == "claude-sonnet-4-5"
    assert response.output_text == "Zürich it is."
    thought, _, first, second = response.output
    assert [part.text for part in thought.summary] == ["Let me see."]
    assert thought.encrypted_content == "waypost.anthropic.c2lnbmF0dXJl"
    assert (first.call_id, first.name, first.arguments) == ("toolu_1", "weather", '{"city":"Zürich"}')
    assert (second.call_id, second.name, second.arguments) == ("toolu_2", "now", "{}")
    assert (response.usage.input_tokens, response.usage.input_tokens_details.cached_tokens) == (15, 5)
    assert (response.usage.output_tokens, response.usage.output_tokens_details.reasoning_tokens) == (10, 3)
    assert response.status == "completed"


def test_the_accumulator_takes_a_stream() -> None:
    writer = DIALECT.writer("m", True)
    events, response = streamed(b"".join(writer.write(event) for event in EVENTS))
    check(response)
    words = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert words == ["Zürich ", "it is."]
    last = [event for event in events if event.type == "response.output_text.delta"][-1]
    assert last.snapshot == "Zürich it is."


def test_the_sdk_takes_a_whole_answer() -> None:
    blocks = (
        Thinking("Let me see.", "c2lnbmF0dXJl", "anthropic"),
        Text("Zürich it is."),
        ToolCall("toolu_1", "weather", '{"city":"Zürich"}'),
        ToolCall("toolu_2", "now", ""),
    )
    usage = Usage(input=10, cache_read=5, output=7, reasoning=3)
    reply = Reply(
        "anthropic", "msg_01abc", "claude-sonnet-4-5", (Choice(blocks, Stop(StopKind.TOOL, "tool_use")),), usage
    )
    with client(DIALECT.write_reply(reply, "m"), "application/json") as sdk:
        check(sdk.responses.create(model="m", input="where?"))


def test_the_accumulator_takes_a_refusal_and_an_answer_cut_short() -> None:
    writer = DIALECT.writer("m", True)
    events: list[Event] = [
        Started(None, None),
        BlockStarted(0, Refusal("")),
        Delta(0, text="No."),
        BlockEnded(0),
        Stopped(Stop(StopKind.LENGTH, "length")),
        Finished(),
    ]
    body = b"".join(writer.write(event) for event in events)
    with client(body, "text/event-stream") as sdk, sdk.responses.stream(model="m", input="?") as stream:
        last = list(stream)[-1]
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details.reason == "max_output_tokens"
    assert last.response.output[0].content[0].refusal == "No."
    assert last.response.model == "m"


@pytest.mark.parametrize("count", range(len(EVENTS) - 1))
def test_the_sdk_raises_where_a_stream_breaks(count: int) -> None:
    writer = DIALECT.writer("m", True)
    body = b"".join(writer.write(event) for event in EVENTS[:count])
    body += writer.fail(CallerError(kind=ErrorKind.UPSTREAM_FAILED, message="it broke", status=502))
    if count == 0:
        with client(body, "text/event-stream") as sdk, pytest.raises(openai.APIError, match="it broke"):
            list(sdk.responses.create(model="m", input="?", stream=True))
        return
    with pytest.raises(openai.APIError, match="it broke"):
        streamed(body)
    assert writer.write(Finished()) == b""


def test_the_sdk_raises_the_class_of_an_error() -> None:
    body = DIALECT.write_fault(CallerError(kind=ErrorKind.RATE_LIMITED, message="slow down", status=429))
    with client(body, "application/json", 429) as sdk, pytest.raises(openai.RateLimitError) as caught:
        sdk.responses.create(model="m", input="?")
    assert caught.value.code == "rate_limit_exceeded"
