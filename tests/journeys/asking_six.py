"""The same questions put by the SDKs of the other four protocols, whole and streamed, calmly and blocking.

Knows the SDKs' shapes, nothing of the gateway. `Answer` is what each says was answered, in words that all have.
"""

import base64
import json
from collections.abc import Iterable
from contextlib import AsyncExitStack, closing
from typing import Any, NamedTuple, Protocol

import boto3
import cohere
import openai
from botocore.config import Config
from google import genai

from journeys.asking import NAMES, PLACE
from journeys.harness import PATIENCE_S

IMAGE = b"twelve bytes"
DATA_URL = f"data:image/png;base64,{base64.b64encode(IMAGE).decode()}"


class Case(NamedTuple):
    """A question. `choice`: whether tools are there, and must be called. `results` answers the calls of `answered`."""

    text: str
    system: str | None = None
    tools: bool = False
    must_call: bool = False
    image: bool = False
    limit: int | None = None


class Answer(NamedTuple):
    """`stop`: end, length or tools; `raw` is what the SDK's user sends back for the next turn."""

    text: str
    calls: tuple[tuple[str, Any], ...]
    stop: str
    tokens: tuple[int | None, int | None]
    ids: tuple[str | None, ...] = ()
    raw: Any = None


class Speaker(Protocol):
    """One SDK. `with_results` continues a request by an answer and one result for each of its calls."""

    can_wait: bool  # whether it has an asynchronous client

    def client(self, base: str, name: str, key: str, *, blocking: bool) -> Any: ...
    def request(self, case: Case, model: str) -> dict[str, Any]: ...
    def with_results(self, request: dict[str, Any], answer: Answer, result: str) -> dict[str, Any]: ...
    def ask(self, client: Any, request: dict[str, Any], *, streamed: bool) -> Answer: ...
    async def ask_calmly(self, client: Any, request: dict[str, Any], *, streamed: bool) -> Answer: ...
    async def close(self, client: Any, stack: AsyncExitStack, *, blocking: bool) -> None: ...


def told(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def added(*counts: int | float | None) -> int | None:
    return None if all(count is None for count in counts) else int(sum(count or 0 for count in counts))


class Responses:
    can_wait = True

    def client(self, base: str, name: str, key: str, *, blocking: bool) -> Any:
        kind = openai.OpenAI if blocking else openai.AsyncOpenAI
        return kind(base_url=f"{base}/v1", api_key=key, max_retries=0, timeout=PATIENCE_S)

    async def close(self, client: Any, stack: AsyncExitStack, *, blocking: bool) -> None:
        if blocking:
            stack.callback(client.close)
        else:
            stack.push_async_callback(client.close)

    def request(self, case: Case, model: str) -> dict[str, Any]:
        content: list[Any] = [{"type": "input_text", "text": case.text}]
        if case.image:
            content.append({"type": "input_image", "image_url": DATA_URL, "detail": "auto"})
        tools = [
            {"type": "function", "name": name, "description": "A tool.", "parameters": PLACE, "strict": False}
            for name in NAMES
        ]
        return told(
            model=model,
            input=[{"role": "user", "content": content}],
            instructions=case.system,
            tools=tools if case.tools else None,
            tool_choice="required" if case.must_call else None,
            max_output_tokens=case.limit,
        )

    def with_results(self, request: dict[str, Any], answer: Answer, result: str) -> dict[str, Any]:
        said = [item.to_dict() for item in answer.raw.output]
        results = [{"type": "function_call_output", "call_id": call, "output": result} for call in answer.ids]
        return {**request, "input": [*request["input"], *said, *results]}

    def ask(self, client: Any, request: dict[str, Any], *, streamed: bool) -> Answer:
        if not streamed:
            return self._read(client.responses.create(**request))
        with client.responses.create(**request, stream=True) as events:
            return self._fold(list(events))

    async def ask_calmly(self, client: Any, request: dict[str, Any], *, streamed: bool) -> Answer:
        if not streamed:
            return self._read(await client.responses.create(**request))
        async with await client.responses.create(**request, stream=True) as events:
            return self._fold([event async for event in events])

    def _fold(self, events: list[Any]) -> Answer:
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert events[0].type == "response.created"
        assert events[-1].type in ("response.completed", "response.incomplete")
        answer = self._read(events[-1].response)
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == answer.text
        return answer

    def _read(self, response: Any) -> Answer:
        calls = [item for item in response.output if item.type == "function_call"]
        stop = "length" if response.status == "incomplete" else "tools" if calls else "end"
        assert response.status in ("completed", "incomplete")
        return Answer(
            response.output_text,
            tuple((call.name, json.loads(call.arguments)) for call in calls),
            stop,
            (response.usage.input_tokens, response.usage.output_tokens),
            tuple(call.call_id for call in calls),
            response,
        )


class Gemini:
    can_wait = True

    def client(self, base: str, name: str, key: str, *, blocking: bool) -> Any:
        return genai.Client(api_key=key, http_options={"base_url": base, "timeout": int(PATIENCE_S * 1000)})

    async def close(self, client: Any, stack: AsyncExitStack, *, blocking: bool) -> None:
        stack.push_async_callback(client.aio.aclose)
        stack.callback(client.close)

    def request(self, case: Case, model: str) -> dict[str, Any]:
        parts: list[Any] = [{"text": case.text}]
        if case.image:
            parts.append({"inline_data": {"mime_type": "image/png", "data": IMAGE}})
        tools = [
            {
                "function_declarations": [
                    {"name": name, "description": "A tool.", "parameters_json_schema": PLACE} for name in NAMES
                ]
            }
        ]
        config = told(
            system_instruction=case.system,
            tools=tools if case.tools else None,
            tool_config={"function_calling_config": {"mode": "ANY"}} if case.must_call else None,
            max_output_tokens=case.limit,
        )
        return {"model": model, "contents": [{"role": "user", "parts": parts}], "config": config}

    def with_results(self, request: dict[str, Any], answer: Answer, result: str) -> dict[str, Any]:
        results = [
            {"function_response": told(id=call, name=name, response={"result": result})}
            for call, (name, _) in zip(answer.ids, answer.calls, strict=True)
        ]
        turns = [{"role": "model", "parts": answer.raw}, {"role": "user", "parts": results}]
        return {**request, "contents": [*request["contents"], *turns]}

    def ask(self, client: Any, request: dict[str, Any], *, streamed: bool) -> Answer:
        models = client.models
        return self._read(
            models.generate_content_stream(**request) if streamed else [models.generate_content(**request)]
        )

    async def ask_calmly(self, client: Any, request: dict[str, Any], *, streamed: bool) -> Answer:
        models = client.aio.models
        if not streamed:
            return self._read([await models.generate_content(**request)])
        return self._read([answer async for answer in await models.generate_content_stream(**request)])

    def _read(self, answers: Iterable[Any]) -> Answer:
        parts: list[Any] = []
        reason, usage = None, None
        for answer in answers:
            candidate = answer.candidates[0] if answer.candidates else None
            if candidate is not None:
                parts += (candidate.content.parts if candidate.content else None) or []
                reason = candidate.finish_reason or reason
            usage = answer.usage_metadata or usage
        calls = [part.function_call for part in parts if part.function_call is not None]
        assert reason is not None
        assert usage is not None
        return Answer(
            "".join(part.text for part in parts if part.text and not part.thought),
            tuple((call.name, call.args) for call in calls),
            {"STOP": "tools" if calls else "end", "MAX_TOKENS": "length"}[reason.value],
            (usage.prompt_token_count, added(usage.candidates_token_count, usage.thoughts_token_count)),
            tuple(call.id for call in calls),
            parts,
        )


class Cohere:
    can_wait = True

    def client(self, base: str, name: str, key: str, *, blocking: bool) -> Any:
        kind = cohere.ClientV2 if blocking else cohere.AsyncClientV2
        return kind(base_url=base, api_key=key, timeout=PATIENCE_S)

    async def close(self, client: Any, stack: AsyncExitStack, *, blocking: bool) -> None:
        if blocking:
            stack.enter_context(client)
        else:
            await stack.enter_async_context(client)

    def request(self, case: Case, model: str) -> dict[str, Any]:
        content: list[Any] = [{"type": "text", "text": case.text}]
        if case.image:
            content.append({"type": "image_url", "image_url": {"url": DATA_URL}})
        system = [] if case.system is None else [{"role": "system", "content": case.system}]
        tools = [
            {"type": "function", "function": {"name": name, "description": "A tool.", "parameters": PLACE}}
            for name in NAMES
        ]
        return told(
            model=model,
            messages=[*system, {"role": "user", "content": content}],
            tools=tools if case.tools else None,
            tool_choice="REQUIRED" if case.must_call else None,
            max_tokens=case.limit,
            request_options={"max_retries": 0},
        )

    def with_results(self, request: dict[str, Any], answer: Answer, result: str) -> dict[str, Any]:
        calls = [
            {"id": call, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for call, (name, arguments) in zip(answer.ids, answer.calls, strict=True)
        ]
        said = {"role": "assistant", "tool_calls": calls}
        results = [{"role": "tool", "tool_call_id": call, "content": result} for call in answer.ids]
        return {**request, "messages": [*request["messages"], said, *results]}

    def ask(self, client: Any, request: dict[str, Any], *, streamed: bool) -> Answer:
        return self._fold(list(client.chat_stream(**request))) if streamed else self._read(client.chat(**request))

    async def ask_calmly(self, client: Any, request: dict[str, Any], *, streamed: bool) -> Answer:
        if not streamed:
            return self._read(await client.chat(**request))
        return self._fold([event async for event in client.chat_stream(**request)])

    def _read(self, answer: Any) -> Answer:
        parts = answer.message.content or ()
        calls = answer.message.tool_calls or ()
        return self._answer(
            "".join(part.text for part in parts if part.type == "text"),
            [(call.id, call.function.name, call.function.arguments) for call in calls],
            answer.finish_reason,
            answer.usage,
        )

    def _fold(self, events: list[Any]) -> Answer:
        assert events[0].type == "message-start"
        text, calls = "", list[list[str]]()
        for event in events:
            if event.type == "content-delta":
                text += event.delta.message.content.text or ""
            elif event.type == "tool-call-start":
                call = event.delta.message.tool_calls
                calls.append([call.id, call.function.name, call.function.arguments or ""])
            elif event.type == "tool-call-delta":
                calls[-1][2] += event.delta.message.tool_calls.function.arguments
        assert events[-1].type == "message-end"
        end = events[-1].delta
        return self._answer(text, [(each[0], each[1], each[2]) for each in calls], end.finish_reason, end.usage)

    def _answer(self, text: str, calls: list[tuple[str, str, str]], reason: str, usage: Any) -> Answer:
        return Answer(
            text,
            tuple((name, json.loads(arguments)) for _, name, arguments in calls),
            {"COMPLETE": "end", "MAX_TOKENS": "length", "TOOL_CALL": "tools"}[reason],
            (added(usage.tokens.input_tokens), added(usage.tokens.output_tokens)),
            tuple(call for call, _, _ in calls),
        )


class Bedrock:
    can_wait = False

    def client(self, base: str, name: str, key: str, *, blocking: bool) -> Any:
        return boto3.client(
            "bedrock-runtime",
            "eu-west-1",
            endpoint_url=base,
            aws_access_key_id=name,
            aws_secret_access_key=key,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE_S),
        )

    async def close(self, client: Any, stack: AsyncExitStack, *, blocking: bool) -> None:
        stack.callback(client.close)

    def request(self, case: Case, model: str) -> dict[str, Any]:
        content: list[Any] = [{"text": case.text}]
        if case.image:
            content.append({"image": {"format": "png", "source": {"bytes": IMAGE}}})
        tools: dict[str, Any] = {
            "tools": [
                {"toolSpec": {"name": name, "description": "A tool.", "inputSchema": {"json": PLACE}}} for name in NAMES
            ]
        }
        if case.must_call:
            tools["toolChoice"] = {"any": {}}
        return told(
            modelId=model,
            messages=[{"role": "user", "content": content}],
            system=None if case.system is None else [{"text": case.system}],
            toolConfig=tools if case.tools else None,
            inferenceConfig=None if case.limit is None else {"maxTokens": case.limit},
        )

    def with_results(self, request: dict[str, Any], answer: Answer, result: str) -> dict[str, Any]:
        said = [
            {"toolUse": {"toolUseId": call, "name": name, "input": arguments}}
            for call, (name, arguments) in zip(answer.ids, answer.calls, strict=True)
        ]
        results = [{"toolResult": {"toolUseId": call, "content": [{"text": result}]}} for call in answer.ids]
        turns = [{"role": "assistant", "content": said}, {"role": "user", "content": results}]
        return {**request, "messages": [*request["messages"], *turns]}

    def ask(self, client: Any, request: dict[str, Any], *, streamed: bool) -> Answer:
        if streamed:
            with closing(client.converse_stream(**request)["stream"]) as events:
                return self._fold(list(events))
        answer = client.converse(**request)
        blocks = answer["output"]["message"]["content"]
        calls = [block["toolUse"] for block in blocks if "toolUse" in block]
        return self._answer(
            "".join(block.get("text", "") for block in blocks),
            [(call["toolUseId"], call["name"], call["input"]) for call in calls],
            answer["stopReason"],
            answer["usage"],
        )

    async def ask_calmly(self, client: Any, request: dict[str, Any], *, streamed: bool) -> Answer:
        raise NotImplementedError("boto3 blocks")

    def _fold(self, events: list[dict[str, Any]]) -> Answer:
        assert "messageStart" in events[0]
        assert "metadata" in events[-1]
        text, calls, stop = "", dict[int, list[str]](), ""
        for event in events:
            if "contentBlockStart" in event:
                start = event["contentBlockStart"]
                if "toolUse" in start["start"]:
                    use = start["start"]["toolUse"]
                    calls[start["contentBlockIndex"]] = [use["toolUseId"], use["name"], ""]
            elif "contentBlockDelta" in event:
                delta = event["contentBlockDelta"]["delta"]
                text += delta.get("text", "")
                if "toolUse" in delta:
                    calls[event["contentBlockDelta"]["contentBlockIndex"]][2] += delta["toolUse"]["input"]
            elif "messageStop" in event:
                stop = event["messageStop"]["stopReason"]
        made = [(call, name, json.loads(arguments)) for call, name, arguments in calls.values()]
        return self._answer(text, made, stop, events[-1]["metadata"]["usage"])

    def _answer(self, text: str, calls: list[tuple[str, str, Any]], stop: str, usage: dict[str, int]) -> Answer:
        cached = (usage.get("cacheReadInputTokens"), usage.get("cacheWriteInputTokens"))
        return Answer(
            text,
            tuple((name, arguments) for _, name, arguments in calls),
            {"end_turn": "end", "max_tokens": "length", "tool_use": "tools"}[stop],
            (added(usage["inputTokens"], *cached), usage["outputTokens"]),
            tuple(call for call, _, _ in calls),
        )


SPEAKERS: dict[str, Speaker] = {
    "openai_responses": Responses(),
    "gemini": Gemini(),
    "cohere": Cohere(),
    "bedrock": Bedrock(),
}
CASES = {
    "text": Case("Hello there"),
    "other alphabets": Case("Grüße, 日本 \u2028 🎉"),
    "system prompt": Case("Hello there", system="Be brief and kind."),
    "one tool": Case("What is the weather in Paris?", tools=True),
    "parallel tools": Case("First find_hotel in Rome and then get_weather in Paris", tools=True),
    "a tool must be called": Case("Hello there", tools=True, must_call=True),
    "tools unused": Case("Hello there", tools=True),
    "an image": Case("What is this?", image=True),
    "output limit": Case("a b c d e f g h i j k l m n o p q r s t", limit=16),
}
