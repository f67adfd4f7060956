"""The official OpenAI SDK, as it is, against the simulator."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from waypost.sim import Script, Simulator

IMAGE = "data:image/png;base64," + base64.b64encode(b"twelve bytes").decode()
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {"place": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
                "required": ["place", "unit"],
            },
        },
    }
    for name in ("get_weather", "find_hotel", "send_mail")
]


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"http://{simulator.address}/v1", api_key="sk-sim", max_retries=0) as client:
        yield client


def user(text: Any) -> Any:
    return [{"role": "user", "content": text}]


async def fold(stream: Any) -> tuple[str, dict[int, list[str]], str | None, Any]:
    """Text, tool calls (name and arguments by index), finish reason and usage of a stream."""
    text, calls, finish, usage = "", dict[int, list[str]](), None, None
    async for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or ():
                name_and_arguments = calls.setdefault(call.index, [call.function.name, ""])
                name_and_arguments[1] += call.function.arguments or ""
    return text, calls, finish, usage


async def test_a_stream_says_what_the_whole_says(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="sim-small", messages=user("Hello there"))
    stream = await client.chat.completions.create(
        model="sim-small", messages=user("Hello there"), stream=True, stream_options={"include_usage": True}
    )
    text, _, finish, usage = await fold(stream)
    assert text == whole.choices[0].message.content
    assert text.startswith("You said Hello there.")
    assert finish == whole.choices[0].finish_reason == "stop"
    assert usage == whole.usage
    assert usage.prompt_tokens == 2
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


async def test_usage_of_a_stream_is_told_only_if_asked(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="sim-small", messages=user("Hello"), stream=True)
    assert (await fold(stream))[3] is None


def ask_synchronously(address: str) -> tuple[str | None, str, list[str]]:
    with openai.OpenAI(base_url=f"http://{address}/v1", api_key="sk-sim", max_retries=0) as client:
        whole = client.chat.completions.create(model="sim-small", messages=user("Hello"))
        stream = client.chat.completions.create(model="sim-small", messages=user("Hello"), stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        return whole.choices[0].message.content, text, [model.id for model in client.models.list()]


async def test_synchronous_client(simulator: Simulator) -> None:
    whole, text, models = await asyncio.to_thread(ask_synchronously, simulator.address)
    assert whole == text
    assert models == ["sim-small", "sim-large", "sim-reasoner", "sim-echo"]


@pytest.mark.parametrize(
    ("text", "options", "names"),
    [
        ("Use get_weather for Paris", {}, ["get_weather"]),
        ("First find_hotel and then get_weather", {}, ["find_hotel", "get_weather"]),
        ("What is the weather in Paris?", {}, ["get_weather"]),
        ("First find_hotel and then get_weather", {"parallel_tool_calls": False}, ["find_hotel"]),
        ("Hello", {}, []),
        ("Use get_weather", {"tool_choice": "none"}, []),
        ("Hello", {"tool_choice": "required"}, ["get_weather"]),
        ("Hello", {"tool_choice": {"type": "function", "function": {"name": "send_mail"}}}, ["send_mail"]),
    ],
)
async def test_tools(client: openai.AsyncOpenAI, text: str, options: Any, names: list[str]) -> None:
    whole = await client.chat.completions.create(model="sim-small", messages=user(text), tools=TOOLS, **options)
    calls = [call for call in whole.choices[0].message.tool_calls or () if call.type == "function"]
    assert [call.function.name for call in calls] == names
    assert all(set(json.loads(call.function.arguments)) == {"place", "unit"} for call in calls)
    assert whole.choices[0].finish_reason == ("tool_calls" if names else "stop")
    assert len({call.id for call in calls}) == len(names)

    stream = await client.chat.completions.create(
        model="sim-small", messages=user(text), tools=TOOLS, stream=True, **options
    )
    said, streamed, finish, _ = await fold(stream)
    assert said == (whole.choices[0].message.content or "")
    assert list(streamed.values()) == [[call.function.name, call.function.arguments] for call in calls]
    assert finish == whole.choices[0].finish_reason


async def test_tool_results_are_taken_up(client: openai.AsyncOpenAI) -> None:
    messages = user("What is the weather in Paris?")
    first = await client.chat.completions.create(model="sim-small", messages=messages, tools=TOOLS)
    message = first.choices[0].message
    assert message.tool_calls
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "18 degrees"} for call in message.tool_calls]
    answered: Any = [*messages, message.model_dump(exclude_none=True, exclude={"annotations"}), *results]
    second = await client.chat.completions.create(model="sim-small", messages=answered, tools=TOOLS)
    assert (second.choices[0].message.content or "").startswith("The tools said 18 degrees.")


async def test_images(client: openai.AsyncOpenAI) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": IMAGE}},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
    ]
    whole = await client.chat.completions.create(model="sim-small", messages=user(parts))
    text = whole.choices[0].message.content or ""
    assert text.startswith("I see an image of 12 bytes. I see an image by reference. You said What is this?.")


async def test_json(client: openai.AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 18}}, "required": ["age"]}
    structured: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    whole = await client.chat.completions.create(model="sim-small", messages=user("Who?"), response_format=structured)
    assert json.loads(whole.choices[0].message.content or "") == {"age": 18}
    whole = await client.chat.completions.create(
        model="sim-small", messages=user("Answer in JSON"), response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(whole.choices[0].message.content or ""), dict)


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_output_limits(client: openai.AsyncOpenAI, limit: str) -> None:
    options: Any = {limit: 3}
    whole = await client.chat.completions.create(model="sim-echo", messages=user("a b c d e"), **options)
    assert whole.choices[0].message.content == "a b c"
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage
    assert whole.usage.completion_tokens == 3


async def test_stop_sequences(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(
        model="sim-echo", messages=user("one two three"), stop=["three", "two"]
    )
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("one ", "stop")


async def test_several_choices(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="sim-small", messages=user("Hello"), n=3)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in whole.choices}) == 3
    stream = await client.chat.completions.create(model="sim-small", messages=user("Hello"), n=3, stream=True)
    texts = ["", "", ""]
    async for chunk in stream:
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == [choice.message.content for choice in whole.choices]


@pytest.mark.parametrize(
    ("model", "options", "shown", "counted"),
    [
        ("sim-small", {}, False, False),
        ("sim-small", {"reasoning_effort": "low"}, False, True),
        ("sim-small", {"reasoning_effort": "none"}, False, False),
        ("deep-reasoner", {}, True, True),
    ],
)
async def test_reasoning(client: openai.AsyncOpenAI, model: str, options: Any, shown: bool, counted: bool) -> None:
    whole = await client.chat.completions.create(model=model, messages=user("Hello"), **options)
    assert hasattr(whole.choices[0].message, "reasoning_content") == shown
    assert whole.usage
    assert whole.usage.completion_tokens_details
    assert bool(whole.usage.completion_tokens_details.reasoning_tokens) == counted
    stream = await client.chat.completions.create(model=model, messages=user("Hello"), stream=True, **options)
    thought = ""
    async for chunk in stream:
        thought += getattr(chunk.choices[0].delta, "reasoning_content", None) or ""
    assert thought == getattr(whole.choices[0].message, "reasoning_content", "")


async def test_refusals(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="sim-small", messages=user("No [[sim:refuse]]"))
    assert whole.choices[0].message.refusal == "I can't help with that."
    assert whole.choices[0].message.content is None


async def test_long_histories_are_partly_cached(client: openai.AsyncOpenAI) -> None:
    history: Any = [*user("word " * 2000), {"role": "assistant", "content": "Yes."}, *user("More?")]
    whole = await client.chat.completions.create(model="sim-small", messages=history)
    assert whole.usage
    assert whole.usage.prompt_tokens_details
    cached = whole.usage.prompt_tokens_details.cached_tokens
    assert cached
    assert cached % 128 == 0
    assert cached < whole.usage.prompt_tokens


async def test_errors_are_the_sdks_own(client: openai.AsyncOpenAI, simulator: Simulator) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        await client.chat.completions.create(model="sim-small", messages=[])
    assert bad.value.code == "empty_array"
    with pytest.raises(openai.RateLimitError) as limited:
        await client.chat.completions.create(model="sim-small~429(retry_after=0.5)", messages=user("Hello"))
    assert limited.value.response.headers["retry-after"] == "0.5"
    assert limited.value.request_id
    simulator.script = Script(keys=("sk-other",))
    with pytest.raises(openai.AuthenticationError) as unknown:
        await client.chat.completions.create(model="sim-small", messages=user("Hello"))
    assert unknown.value.code == "invalid_api_key"


async def test_one_model(client: openai.AsyncOpenAI) -> None:
    assert (await client.models.retrieve("sim-large")).id == "sim-large"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("sim-none")
