"""What the official SDKs make of an answer: one function each that asks as its users would, and plain values out.

The functions know their SDK and nothing of what was recorded, so that what is compared was heard and not assumed.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

PROMPT = "Say it again."
AT_ONCE = 8  # calls under way


@dataclass
class Heard:
    """`stop` is the class of the stop reason; `input` and `output` are totals, None where none was told."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    stop: str | None = None
    input: int | None = None
    output: int | None = None

    def use(self, input_tokens: int | None, output_tokens: int | None) -> None:
        self.input = self.input if input_tokens is None else input_tokens
        self.output = self.output if output_tokens is None else output_tokens


class Arguments:
    """Tool calls whose arguments come in pieces."""

    def __init__(self) -> None:
        self._calls: dict[object, list[str]] = {}

    def add(self, place: object, name: str | None, arguments: str | None) -> None:
        call = self._calls.setdefault(place, ["", ""])
        call[0] = call[0] or name or ""
        call[1] += arguments or ""

    def has(self, place: object) -> bool:
        return place in self._calls

    def all(self) -> list[tuple[str, Any]]:
        return [(name, parsed(arguments)) for name, arguments in self._calls.values()]


def parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return {"__raw__": arguments}


def summed(*counts: int | None) -> int | None:
    return None if all(count is None for count in counts) else sum(count or 0 for count in counts)


def text_of(content: Any) -> str:
    """Mistral's models say it in parts; in their own protocol they reach the caller as they came."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def thought_of(message: Any) -> str:
    """The members in which OpenAI-like servers tell reasoning; the SDK keeps them as they are."""
    for name in ("reasoning_content", "reasoning"):
        told = getattr(message, name, None)
        if isinstance(told, str) and told:
            return told
    content = getattr(message, "content", None)
    if isinstance(content, list):  # Mistral's form
        parts = [part for part in content if isinstance(part, dict) and part.get("type") == "thinking"]
        return "".join(each.get("text") or "" for part in parts for each in part.get("thinking") or ())
    return ""


CHAT_STOPS = {"stop": "stop", "eos": "stop", "length": "length", "tool_calls": "tool", "content_filter": "filter"}


async def ask_openai_chat(client: Any, model: str, stream: bool) -> Heard:
    heard, calls = Heard(), Arguments()
    request: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": PROMPT}]}
    if not stream:
        answer = await client.chat.completions.create(**request)
        choice = answer.choices[0]
        heard.text, heard.reasoning = text_of(choice.message.content), thought_of(choice.message)
        for place, call in enumerate(choice.message.tool_calls or ()):
            calls.add(place, call.function.name, call.function.arguments)
        heard.stop = CHAT_STOPS.get(choice.finish_reason, choice.finish_reason)
        if answer.usage is not None:
            heard.use(answer.usage.prompt_tokens, answer.usage.completion_tokens)
    else:
        request["stream_options"] = {"include_usage": True}
        async for chunk in await client.chat.completions.create(**request, stream=True):
            for choice in (each for each in chunk.choices if each.index == 0):
                heard.text += text_of(choice.delta.content)
                heard.reasoning += thought_of(choice.delta)
                heard.stop = CHAT_STOPS.get(choice.finish_reason, choice.finish_reason) or heard.stop
                for call in choice.delta.tool_calls or ():
                    calls.add(call.index, call.function.name, call.function.arguments)
            if chunk.usage is not None:
                heard.use(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
    heard.calls = calls.all()
    return heard


async def ask_openai_responses(client: Any, model: str, stream: bool) -> Heard:
    if not stream:
        response = await client.responses.create(model=model, input=PROMPT)
        return _response(response, response.output)
    text, items, last = "", [], None
    # Not `responses.stream`, which takes an answer that met its limit for one that never ended.
    async for event in await client.responses.create(model=model, input=PROMPT, stream=True):
        if event.type == "response.output_text.delta":
            text += event.delta
        elif event.type == "response.output_item.done":
            items.append(event.item)
        elif event.type in ("response.completed", "response.incomplete", "response.failed"):
            last = event.response
    assert last is not None, "the stream has no end"
    heard = _response(last, items)
    assert text == heard.text, "the deltas are not the text"
    assert not last.output or _response(last, last.output) == heard, "the end repeats something else"
    return heard


def _response(response: Any, items: list[Any]) -> Heard:
    heard = Heard()
    for item in items:
        if item.type == "message":
            heard.text += "".join(part.text for part in item.content if part.type == "output_text")
        elif item.type == "reasoning":
            heard.reasoning += "".join(part.text for part in item.summary) or "".join(
                part.text for part in item.content or ()
            )
        elif item.type == "function_call":
            heard.calls.append((item.name, parsed(item.arguments)))
    if response.status == "incomplete":
        reasons = {"max_output_tokens": "length", "content_filter": "filter"}
        heard.stop = reasons.get(response.incomplete_details.reason, response.incomplete_details.reason)
    elif response.status == "completed":
        heard.stop = "tool" if heard.calls else "stop"
    if response.usage is not None:
        heard.use(response.usage.input_tokens, response.usage.output_tokens)
    return heard


ANTHROPIC_STOPS = {
    "end_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool",
    "stop_sequence": "stop_sequence",
    "refusal": "filter",
}


async def ask_anthropic(client: Any, model: str, stream: bool) -> Heard:
    request: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 4096}
    if not stream:
        return _message(await client.messages.create(**request))
    heard = Heard()
    async with client.messages.stream(**request) as events:
        async for event in events:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                heard.text += event.delta.text
        final = _message(await events.get_final_message())
    assert final.text.endswith(heard.text), "the deltas are not the text"
    return final


def _message(message: Any) -> Heard:
    heard = Heard(stop=ANTHROPIC_STOPS.get(message.stop_reason, message.stop_reason))
    for block in message.content:
        if block.type == "text":
            heard.text += block.text
        elif block.type == "thinking":
            heard.reasoning += block.thinking
        elif block.type == "tool_use":
            heard.calls.append((block.name, block.input))
    usage = message.usage
    cached = (usage.cache_read_input_tokens, usage.cache_creation_input_tokens)
    heard.use(summed(usage.input_tokens, *cached), usage.output_tokens)
    return heard


async def ask_gemini(client: Any, model: str, stream: bool) -> Heard:
    if not stream:
        return _generated([await client.aio.models.generate_content(model=model, contents=PROMPT)])
    answers = await client.aio.models.generate_content_stream(model=model, contents=PROMPT)
    return _generated([answer async for answer in answers])


def _generated(answers: Iterable[Any]) -> Heard:
    heard = Heard()
    for answer in answers:
        candidate = next((each for each in answer.candidates or () if not each.index), None)
        for part in (candidate.content.parts if candidate and candidate.content else None) or ():
            if part.function_call is not None:
                heard.calls.append((part.function_call.name, part.function_call.args or {}))
            elif part.text and part.thought:
                heard.reasoning += part.text
            elif part.text:
                heard.text += part.text
        if candidate is not None and candidate.finish_reason is not None:
            reason = candidate.finish_reason.value
            heard.stop = {"STOP": "stop", "MAX_TOKENS": "length"}.get(reason, "filter")
        if answer.prompt_feedback is not None and answer.prompt_feedback.block_reason is not None:
            heard.stop = "filter"
        if (usage := answer.usage_metadata) is not None:
            heard.use(
                summed(usage.prompt_token_count, usage.tool_use_prompt_token_count),
                summed(usage.candidates_token_count, usage.thoughts_token_count),
            )
    if heard.stop == "stop" and heard.calls:
        heard.stop = "tool"
    return heard


COHERE_STOPS = {
    "COMPLETE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool",
    "STOP_SEQUENCE": "stop_sequence",
    "ERROR": "filter",
    "ERROR_TOXIC": "filter",
}


async def ask_cohere(client: Any, model: str, stream: bool) -> Heard:
    heard, calls = Heard(), Arguments()
    messages = [{"role": "user", "content": PROMPT}]
    if not stream:
        answer = await client.chat(model=model, messages=messages)
        for part in answer.message.content or ():
            heard.text += getattr(part, "text", None) or ""
            heard.reasoning += getattr(part, "thinking", None) or ""
        for place, call in enumerate(answer.message.tool_calls or ()):
            calls.add(place, call.function.name, call.function.arguments)
        heard.stop = COHERE_STOPS.get(answer.finish_reason, answer.finish_reason)
        _use_cohere(heard, answer.usage)
    else:
        async for event in client.chat_stream(model=model, messages=messages):
            _hear_cohere(heard, calls, event)
    heard.calls = calls.all()
    return heard


def _hear_cohere(heard: Heard, calls: Arguments, event: Any) -> None:
    match event.type:
        case "content-start" | "content-delta":
            content = event.delta.message.content
            heard.text += getattr(content, "text", None) or ""
            heard.reasoning += getattr(content, "thinking", None) or ""
        case "tool-call-start":
            call = event.delta.message.tool_calls
            calls.add(event.index, call.function.name, call.function.arguments)
        case "tool-call-delta":
            calls.add(event.index, None, event.delta.message.tool_calls.function.arguments)
        case "message-end":
            heard.stop = COHERE_STOPS.get(event.delta.finish_reason, event.delta.finish_reason)
            _use_cohere(heard, event.delta.usage)


def _use_cohere(heard: Heard, usage: Any) -> None:
    if usage is not None and usage.tokens is not None:
        told = (usage.tokens.input_tokens, usage.tokens.output_tokens)
        heard.use(*(None if count is None else int(count) for count in told))


BEDROCK_STOPS = {
    "end_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tool",
    "stop_sequence": "stop_sequence",
    "guardrail_intervened": "filter",
    "content_filtered": "filter",
}


async def ask_bedrock(client: Any, model: str, stream: bool) -> Heard:
    """Its SDK blocks, so threads ask: not the loop's own, which the gateway in this process needs for connecting."""
    sdk, threads = client
    return await asyncio.get_running_loop().run_in_executor(threads, _converse, sdk, model, stream)


def _converse(client: Any, model: str, stream: bool) -> Heard:
    heard, calls = Heard(), Arguments()
    request = {"modelId": model, "messages": [{"role": "user", "content": [{"text": PROMPT}]}]}
    if not stream:
        answer = client.converse(**request)
        for place, block in enumerate(answer["output"]["message"]["content"]):
            _hear_block(heard, block)
            if "toolUse" in block and block["toolUse"].get("type") != "server_tool_use":
                calls.add(place, block["toolUse"]["name"], json.dumps(block["toolUse"]["input"]))
        heard.stop = BEDROCK_STOPS.get(answer["stopReason"], answer["stopReason"])
        _use_bedrock(heard, answer.get("usage"))
    else:
        for event in client.converse_stream(**request)["stream"]:
            _hear_bedrock(heard, calls, event)
    heard.calls = calls.all()
    return heard


def _hear_block(heard: Heard, block: dict[str, Any]) -> None:
    heard.text += block.get("text", "")
    heard.text += "".join(each.get("text", "") for each in block.get("citationsContent", {}).get("content", ()))
    heard.reasoning += block.get("reasoningContent", {}).get("reasoningText", {}).get("text", "")


def _hear_bedrock(heard: Heard, calls: Arguments, event: dict[str, Any]) -> None:
    if "contentBlockStart" in event:
        start = event["contentBlockStart"]
        if "toolUse" in start["start"] and start["start"]["toolUse"].get("type") != "server_tool_use":
            calls.add(start["contentBlockIndex"], start["start"]["toolUse"]["name"], "")
    elif "contentBlockDelta" in event:
        delta = event["contentBlockDelta"]["delta"]
        heard.text += delta.get("text", "")
        heard.reasoning += delta.get("reasoningContent", {}).get("text", "")
        if "toolUse" in delta and calls.has(event["contentBlockDelta"]["contentBlockIndex"]):
            calls.add(event["contentBlockDelta"]["contentBlockIndex"], None, delta["toolUse"]["input"])
    elif "messageStop" in event:
        heard.stop = BEDROCK_STOPS.get(event["messageStop"]["stopReason"], event["messageStop"]["stopReason"])
    elif "metadata" in event:
        _use_bedrock(heard, event["metadata"].get("usage"))


def _use_bedrock(heard: Heard, usage: dict[str, int] | None) -> None:
    if usage is not None:
        cached = (usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens"))
        heard.use(summed(usage.get("inputTokens"), *cached), usage.get("outputTokens"))


Ask = Callable[[Any, str, bool], Awaitable[Heard]]

# By the dialect that the SDK speaks.
ASK: dict[str, Ask] = {
    "openai_chat": ask_openai_chat,
    "openai_responses": ask_openai_responses,
    "anthropic": ask_anthropic,
    "gemini": ask_gemini,
    "cohere": ask_cohere,
    "bedrock": ask_bedrock,
}


@asynccontextmanager
async def clients(base: str) -> AsyncIterator[dict[str, Any]]:
    """One client a dialect, pointed at a gateway that asks for no keys; none of them retries."""
    import boto3
    from anthropic import AsyncAnthropic
    from botocore.config import Config
    from cohere import AsyncClientV2
    from google import genai
    from openai import AsyncOpenAI

    async with AsyncExitStack() as stack:
        openai = AsyncOpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0)
        anthropic = AsyncAnthropic(base_url=base, api_key="none", max_retries=0)
        cohere = AsyncClientV2(base_url=base, api_key="none")
        for each in (openai, anthropic, cohere):
            await stack.enter_async_context(each)
        gemini = genai.Client(api_key="none", http_options={"base_url": base})
        stack.push_async_callback(gemini.aio.aclose)
        stack.callback(gemini.close)
        bedrock = boto3.client(
            "bedrock-runtime",
            endpoint_url=base,
            region_name="us-east-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=AT_ONCE),
        )
        stack.callback(bedrock.close)
        threads = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
        yield {
            "openai_chat": openai,
            "openai_responses": openai,
            "anthropic": anthropic,
            "gemini": gemini,
            "cohere": cohere,
            "bedrock": (bedrock, threads),
        }
