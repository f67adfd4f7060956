"""The official Anthropic SDK, as it is, against the simulator."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest

from waypost.sim import Script, Simulator

DATA = base64.b64encode(b"twelve bytes").decode()
TOOLS: Any = [
    {
        "name": name,
        "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    }
    for name in ("get_weather", "find_hotel", "send_mail")
]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=f"http://{simulator.address}", api_key="sk-sim", max_retries=0
    ) as client:
        yield client


def user(content: Any) -> Any:
    return [{"role": "user", "content": content}]


def said(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


async def both_ways(client: anthropic.AsyncAnthropic, **request: Any) -> Any:
    """The answer, after checking that its stream adds up to the same."""
    request = {"model": "sim-small", "max_tokens": 2048, **request}
    whole = await client.messages.create(**request)
    async with client.messages.stream(**request) as stream:
        streamed = await stream.get_final_message()
    assert [block.to_dict() for block in streamed.content] == [block.to_dict() for block in whole.content]
    assert (streamed.stop_reason, streamed.stop_sequence) == (whole.stop_reason, whole.stop_sequence)
    assert streamed.usage.to_dict() == whole.usage.to_dict()
    return whole


async def test_text(client: anthropic.AsyncAnthropic) -> None:
    message = await both_ways(client, messages=user("Hello there"), system="Be brief.")
    assert said(message).startswith("You said Hello there.")
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens == 4


def ask_synchronously(address: str) -> tuple[str, str, int, list[str]]:
    with anthropic.Anthropic(base_url=f"http://{address}", api_key="sk-sim", max_retries=0) as client:
        whole = client.messages.create(model="sim-small", max_tokens=99, messages=user("Hello"))
        with client.messages.stream(model="sim-small", max_tokens=99, messages=user("Hello")) as stream:
            text = "".join(stream.text_stream)
        count = client.messages.count_tokens(model="sim-small", messages=user("one two three"))
        return said(whole), text, count.input_tokens, [model.id for model in client.models.list()]


async def test_synchronous_client(simulator: Simulator) -> None:
    whole, text, count, models = await asyncio.to_thread(ask_synchronously, simulator.address)
    assert whole == text
    assert count == 3
    assert models == ["sim-small", "sim-large", "sim-reasoner", "sim-echo"]


async def test_counting_is_what_is_billed(client: anthropic.AsyncAnthropic) -> None:
    request: Any = {"messages": user("What is the weather?"), "tools": TOOLS, "system": "Be brief."}
    count = await client.messages.count_tokens(model="sim-small", **request)
    message = await both_ways(client, **request)
    assert count.input_tokens == message.usage.input_tokens


@pytest.mark.parametrize(
    ("text", "choice", "names"),
    [
        ("Use get_weather for Paris", None, ["get_weather"]),
        ("First find_hotel and then get_weather", None, ["find_hotel", "get_weather"]),
        ("First find_hotel, then mail", {"type": "auto", "disable_parallel_tool_use": True}, ["find_hotel"]),
        ("Hello", None, []),
        ("Use get_weather", {"type": "none"}, []),
        ("Hello", {"type": "any"}, ["get_weather"]),
        ("Hello", {"type": "tool", "name": "send_mail"}, ["send_mail"]),
    ],
)
async def test_tools(client: anthropic.AsyncAnthropic, text: str, choice: Any, names: list[str]) -> None:
    options = {} if choice is None else {"tool_choice": choice}
    message = await both_ways(client, messages=user(text), tools=TOOLS, **options)
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [call.name for call in calls] == names
    assert all(isinstance(call.input["place"], str) for call in calls)
    assert message.stop_reason == ("tool_use" if names else "end_turn")


async def test_arguments_come_from_the_prompt(client: anthropic.AsyncAnthropic) -> None:
    message = await both_ways(client, messages=user("What is the weather in Paris?"), tools=TOOLS)
    assert message.content[-1].input == {"place": "Paris"}


async def test_a_conversation_with_thoughts_and_tools(client: anthropic.AsyncAnthropic) -> None:
    messages = user("What is the weather in Paris?")
    first = await both_ways(client, messages=messages, tools=TOOLS, thinking=THINKING)
    assert first.content[0].type == "thinking"
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "18 degrees"}
        for block in first.content
        if block.type == "tool_use"
    ]
    content = [block.to_dict() for block in first.content]
    turns = [*messages, {"role": "assistant", "content": content}, {"role": "user", "content": results}]
    second = await both_ways(client, messages=turns, tools=TOOLS, thinking=THINKING)
    assert said(second).startswith("The tools said 18 degrees.")

    content[0]["signature"] = "Zm9yZ2Vk"
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        await client.messages.create(model="sim-small", max_tokens=2048, messages=turns, tools=TOOLS, thinking=THINKING)


async def test_omitted_thoughts_keep_their_signature(client: anthropic.AsyncAnthropic) -> None:
    message = await both_ways(client, messages=user("Why?"), thinking={**THINKING, "display": "omitted"})
    assert message.content[0].thinking == ""
    assert message.content[0].signature
    turns = [*user("Why?"), {"role": "assistant", "content": [message.content[0].to_dict()]}, *user("And?")]
    assert (await both_ways(client, messages=turns)).stop_reason == "end_turn"


async def test_images_and_documents(client: anthropic.AsyncAnthropic) -> None:
    blocks = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A page."}},
        {"type": "text", "text": "What?"},
    ]
    message = await both_ways(client, messages=user(blocks))
    assert said(message).startswith(
        "I see an image of 12 bytes. I see an image by reference. I see a document of 7 bytes. You said What?."
    )


async def test_structured_output(client: anthropic.AsyncAnthropic) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    message = await both_ways(
        client, messages=user("Is it?"), output_config={"format": {"type": "json_schema", "schema": schema}}
    )
    assert json.loads(said(message)) == {"ok": True}


async def test_limits_and_stops(client: anthropic.AsyncAnthropic) -> None:
    message = await both_ways(client, model="sim-echo", max_tokens=2, messages=user("one two three"))
    assert (said(message), message.stop_reason, message.usage.output_tokens) == ("one two", "max_tokens", 2)
    message = await both_ways(client, model="sim-echo", messages=user("one two three"), stop_sequences=["two"])
    assert (said(message), message.stop_reason, message.stop_sequence) == ("one ", "stop_sequence", "two")
    message = await both_ways(client, messages=user("No [[sim:refuse]]"))
    assert message.stop_reason == "refusal"


async def test_cache_marks(client: anthropic.AsyncAnthropic) -> None:
    def text(words: str, marked: bool = True) -> dict[str, Any]:
        return {"type": "text", "text": words, **({"cache_control": {"type": "ephemeral"}} if marked else {})}

    system = [text("one two three")]
    usage = (await both_ways(client, system=system, messages=user("four"))).usage
    assert (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens) == (1, 3, 0)
    turns: Any = [*user("four"), {"role": "assistant", "content": "five"}, *user("six")]
    usage = (await both_ways(client, system=system, messages=turns)).usage
    assert (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens) == (3, 0, 3)
    turns[2] = {"role": "user", "content": [text("six")]}
    usage = (await both_ways(client, system=system, messages=turns)).usage
    assert (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens) == (0, 3, 3)


async def test_errors_are_the_sdks_own(client: anthropic.AsyncAnthropic, simulator: Simulator) -> None:
    with pytest.raises(anthropic.BadRequestError, match="at least one message"):
        await client.messages.create(model="sim-small", max_tokens=9, messages=[])
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        await client.messages.create(model="sim-small~529", max_tokens=9, messages=user("Hello"))
    assert overloaded.value.status_code == 529
    assert overloaded.value.request_id
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        async with client.messages.stream(
            model="sim-small~error_event(after=1)", max_tokens=9, messages=user("Hello")
        ) as stream:
            await stream.get_final_message()
    simulator.script = Script(keys=("sk-other",))
    with pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"):
        await client.messages.create(model="sim-small", max_tokens=9, messages=user("Hello"))


async def test_one_model(client: anthropic.AsyncAnthropic) -> None:
    assert (await client.models.retrieve("sim-large")).display_name == "Simulated sim-large"
