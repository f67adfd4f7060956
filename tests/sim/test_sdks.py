"""The official SDKs of OpenAI (Responses), Google, Cohere and Amazon, as they are, against the simulator."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import boto3
import cohere
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from google import genai
from google.genai import errors, types

from waypost.sim import Simulator

SCHEMA: Any = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
TEXT = "What is the weather in Paris?"
PLAIN = types.AutomaticFunctionCallingConfig(disable=True)


@pytest.fixture
async def responses(simulator: Simulator) -> AsyncIterator[Any]:
    async with openai.AsyncOpenAI(base_url=f"http://{simulator.address}/v1", api_key="k", max_retries=0) as client:
        yield client.responses


async def test_responses(responses: Any) -> None:
    tools = [{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}]
    request = {"model": "sim-small", "input": TEXT, "tools": tools, "reasoning": {"effort": "low", "summary": "auto"}}
    whole = await responses.create(**request)
    assert [item.type for item in whole.output if item.type != "message"] == ["reasoning", "function_call"]
    assert json.loads(whole.output[-1].arguments) == {"place": "Paris"}
    async with responses.stream(**request) as stream:
        streamed = await stream.get_final_response()
    assert streamed.usage == whole.usage
    assert [item.id for item in streamed.output] == [item.id for item in whole.output]
    told = {"type": "function_call_output", "call_id": whole.output[-1].call_id, "output": "18 degrees"}
    turns = [{"role": "user", "content": TEXT}, *[item.to_dict() for item in whole.output], told]
    after = await responses.create(model="sim-small", input=turns, tools=tools)
    assert after.output_text.startswith("The tools said 18 degrees.")


async def test_responses_fail(responses: Any) -> None:
    with pytest.raises(openai.RateLimitError) as limited:
        await responses.create(model="m~429(retry_after=2)", input="Hello")
    assert limited.value.response.headers["retry-after"] == "2"
    with pytest.raises(openai.BadRequestError):
        await responses.create(model="m", input=[])
    stream = await responses.create(model="m~error_event(after=1)", input="Hello", stream=True)
    assert [event.type async for event in stream][-1] == "response.failed"


@pytest.fixture
async def gemini(simulator: Simulator) -> AsyncIterator[Any]:
    options = types.HttpOptions(base_url=f"http://{simulator.address}")
    client = genai.Client(api_key="k", http_options=options)
    yield client.aio.models
    await client.aio.aclose()
    client.close()


async def test_gemini(gemini: Any) -> None:
    declared = types.FunctionDeclaration(name="get_weather", parameters=SCHEMA)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declared])],
        thinking_config=types.ThinkingConfig(include_thoughts=True),
        automatic_function_calling=PLAIN,
    )
    whole = await gemini.generate_content(model="sim-small", contents=TEXT, config=config)
    (call,) = whole.function_calls
    assert (call.name, call.args) == ("get_weather", {"place": "Paris"})
    chunks = [
        chunk async for chunk in await gemini.generate_content_stream(model="sim-small", contents=TEXT, config=config)
    ]
    assert [call for chunk in chunks for call in chunk.function_calls or ()] == [call]
    assert chunks[-1].usage_metadata == whole.usage_metadata
    assert whole.usage_metadata.thoughts_token_count
    answer = types.Part.from_function_response(name="get_weather", response={"result": "18 degrees"})
    turns = [types.UserContent(TEXT), whole.candidates[0].content, types.UserContent([answer])]
    after = await gemini.generate_content(model="sim-small", contents=turns, config=config)
    assert after.text.startswith("The tools said 18 degrees.")
    assert (await gemini.count_tokens(model="sim-small", contents="one two")).total_tokens == 2


async def test_gemini_fails(gemini: Any) -> None:
    with pytest.raises(errors.ClientError) as limited:
        await gemini.generate_content(model="m~429", contents="Hello")
    assert (limited.value.code, limited.value.status) == (429, "RESOURCE_EXHAUSTED")
    with pytest.raises(errors.ServerError) as failed:
        async for _ in await gemini.generate_content_stream(model="m~error_event(after=2)", contents="Hello"):
            pass
    assert (failed.value.code, failed.value.status) == (503, "UNAVAILABLE")


@pytest.fixture
async def chat(simulator: Simulator) -> AsyncIterator[cohere.AsyncClientV2]:
    async with cohere.AsyncClientV2(api_key="k", base_url=f"http://{simulator.address}") as client:
        yield client


async def test_cohere(chat: Any) -> None:
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
    asked = {"role": "user", "content": TEXT}
    request: Any = {"model": "sim-small", "messages": [asked], "tools": tools, "thinking": {"type": "enabled"}}
    whole = await chat.chat(**request)
    (call,) = whole.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"place": "Paris"})
    events = [event async for event in chat.chat_stream(**request)]
    started = [event for event in events if event.type == "tool-call-start"]
    assert [event.delta.message.tool_calls.id for event in started] == [call.id]
    pieces = [event.delta.message for event in events if event.type == "tool-call-delta"]
    assert "".join(piece.tool_calls.function.arguments for piece in pieces) == call.function.arguments
    assert (events[-1].delta.finish_reason, events[-1].delta.usage) == ("TOOL_CALL", whole.usage)
    told = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees"}
    after = await chat.chat(model="sim-small", messages=[asked, whole.message, told], tools=tools)
    assert after.message.content[0].text.startswith("The tools said 18 degrees.")


async def test_cohere_fails(chat: Any) -> None:
    messages: Any = [{"role": "user", "content": "Hello"}]
    with pytest.raises(cohere.TooManyRequestsError):
        await chat.chat(model="m~429", messages=messages, request_options={"max_retries": 0})
    events = [event async for event in chat.chat_stream(model="m~error_event(after=2)", messages=messages)]
    assert (events[-1].delta.finish_reason, events[-1].delta.error) == ("ERROR", "Overloaded")


def bedrock(address: str) -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=f"http://{address}",
        aws_access_key_id="AKIDSIM",
        aws_secret_access_key="secret",
        config=Config(retries={"max_attempts": 0}),
    )


async def with_bedrock(simulator: Simulator, use: Callable[[Any], None]) -> None:
    """Amazon's SDK waits in its own thread."""

    def run() -> None:
        client = bedrock(simulator.address)
        try:
            use(client)
        finally:
            client.close()

    await asyncio.to_thread(run)


def user(*blocks: Any) -> Any:
    return {"role": "user", "content": list(blocks)}


def use_tools(client: Any) -> None:
    request = {
        "modelId": "anthropic.claude-sim-v1:0",
        "messages": [user({"text": TEXT})],
        "toolConfig": {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": SCHEMA}}}]},
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    }
    whole = client.converse(**request)
    message = whole["output"]["message"]
    use = message["content"][-1]["toolUse"]
    assert (use["name"], use["input"], whole["stopReason"]) == ("get_weather", {"place": "Paris"}, "tool_use")
    events = list(client.converse_stream(**request)["stream"])
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert json.loads("".join(delta["toolUse"]["input"] for delta in deltas if "toolUse" in delta)) == use["input"]
    thoughts = [delta["reasoningContent"] for delta in deltas if "reasoningContent" in delta]
    thought = message["content"][0]["reasoningContent"]["reasoningText"]
    assert "".join(one.get("text", "") for one in thoughts) == thought["text"]
    assert thoughts[-1]["signature"] == thought["signature"]
    assert events[-1]["metadata"]["usage"] == whole["usage"]
    result = {"toolResult": {"toolUseId": use["toolUseId"], "content": [{"text": "18 degrees"}]}}
    after = client.converse(**{**request, "messages": [*request["messages"], message, user(result)]})
    assert after["output"]["message"]["content"][-1]["text"].startswith("The tools said 18 degrees.")


def fail(client: Any) -> None:
    messages = [user({"text": "Hello"})]
    with pytest.raises(client.exceptions.ThrottlingException):
        client.converse(modelId="m~429", messages=messages)
    with pytest.raises(client.exceptions.ValidationException):
        client.converse(modelId="m", messages=[user()])
    with pytest.raises(ClientError) as unknown:
        client.converse(modelId="m~401", messages=messages)
    assert unknown.value.response["Error"]["Code"] == "UnrecognizedClientException"
    stream = client.converse_stream(modelId="m~error_event(after=2)", messages=messages)["stream"]
    with pytest.raises(EventStreamError, match="Overloaded"):
        list(stream)
    stream.close()


async def test_bedrock(simulator: Simulator) -> None:
    await with_bedrock(simulator, use_tools)


async def test_bedrock_fails(simulator: Simulator) -> None:
    await with_bedrock(simulator, fail)
