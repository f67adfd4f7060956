"""The same questions put by two SDKs, and what each says was answered. Knows the SDKs' shapes, nothing of the gateway.

`read_upstream` reads the simulator's own JSON, so that what an SDK shows can be held against what a provider sent.
"""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

from journeys.harness import ANTHROPIC, OPENAI

DATA = base64.b64encode(b"twelve bytes").decode()
URL = "https://example.com/cat.png"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 18}, "name": {"type": "string"}},
    "required": ["age", "name"],
    "additionalProperties": False,
}
PLACE = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
NAMES = ("get_weather", "find_hotel", "send_mail")
OPENAI_TOOLS = [
    {"type": "function", "function": {"name": name, "description": "A tool.", "parameters": PLACE}} for name in NAMES
]
ANTHROPIC_TOOLS = [{"name": name, "description": "A tool.", "input_schema": PLACE} for name in NAMES]


class Tokens(NamedTuple):
    """All of the input, how much of it the provider read from and wrote to its cache, all of the output."""

    input: int
    cache_read: int
    cache_write: int
    output: int


class Said(NamedTuple):
    """One answer, in words that both protocols have. `stop`: end, length, tools, refusal or sequence."""

    text: str
    calls: tuple[tuple[str, str], ...]  # name, arguments as canonical JSON
    stop: str
    tokens: Tokens | None
    thoughts: str = ""
    call_ids: tuple[str, ...] = ()


def user(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


class Question(NamedTuple):
    """What each SDK is told beside the model. `model`: the simulated one that is asked."""

    openai: dict[str, Any]
    anthropic: dict[str, Any]
    model: str = "sim-small"

    def of(self, speaks: str) -> dict[str, Any]:
        return self.openai if speaks == OPENAI else {"max_tokens": 4096, **self.anthropic}


def alike(text: str, model: str = "sim-small", **options: Any) -> Question:
    """A question that both protocols put in the same words."""
    request = {"messages": user(text), **options}
    return Question(request, request, model)


def with_tools(text: str, openai_choice: Any = None, anthropic_choice: Any = None, **openai_options: Any) -> Question:
    first = {"messages": user(text), "tools": OPENAI_TOOLS, **openai_options}
    second = {"messages": user(text), "tools": ANTHROPIC_TOOLS}
    if openai_choice is not None:
        first["tool_choice"] = openai_choice
    if anthropic_choice is not None:
        second["tool_choice"] = anthropic_choice
    return Question(first, second)


HISTORY = [*user("word " * 2000), {"role": "assistant", "content": "Yes."}, *user("More?")]
MARK = {"cache_control": {"type": "ephemeral"}}
QUESTIONS: dict[str, Question] = {
    "text": alike("Hello there"),
    "other alphabets": alike("Grüße, 日本 \u2028 🎉"),
    "system prompt": Question(
        {"messages": [{"role": "system", "content": "Be brief and kind."}, *user("Hello there")]},
        {"system": "Be brief and kind.", "messages": user("Hello there")},
    ),
    "developer and system prompts": Question(
        {
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
                *user("Hello there"),
            ]
        },
        {
            "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
            "messages": user("Hello there"),
        },
    ),
    "history, partly cached": alike("")._replace(openai={"messages": HISTORY}, anthropic={"messages": HISTORY}),
    "sampling": Question(
        {"messages": user("Hello there"), "temperature": 0.5, "top_p": 0.9},
        {"messages": user("Hello there"), "extra_body": {"temperature": 0.5, "top_p": 0.9}},
    ),
    "one tool": with_tools("What is the weather in Paris?"),
    "parallel tools": with_tools("First find_hotel in Rome and then get_weather in Paris"),
    "tools one at a time": with_tools(
        "First find_hotel and then get_weather",
        anthropic_choice={"type": "auto", "disable_parallel_tool_use": True},
        parallel_tool_calls=False,
    ),
    "tools unused": with_tools("Hello there"),
    "no tool wanted": with_tools("Use get_weather", "none", {"type": "none"}),
    "any tool": with_tools("Hello there", "required", {"type": "any"}),
    "a named tool": with_tools(
        "Hello there",
        {"type": "function", "function": {"name": "send_mail"}},
        {"type": "tool", "name": "send_mail"},
    ),
    "images": Question(
        {
            "messages": user(
                [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
                    {"type": "image_url", "image_url": {"url": URL}},
                ]
            )
        },
        {
            "messages": user(
                [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}},
                    {"type": "image", "source": {"type": "url", "url": URL}},
                ]
            )
        },
    ),
    "structured output": Question(
        {
            "messages": user("Who?"),
            "response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}},
        },
        {"messages": user("Who?"), "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    ),
    "stop sequence": Question(
        {"messages": user("one two three"), "stop": ["three", "two"]},
        {"messages": user("one two three"), "stop_sequences": ["three", "two"]},
        "sim-echo",
    ),
    "output limit": Question(
        {"messages": user("a b c d e"), "max_completion_tokens": 3},
        {"messages": user("a b c d e"), "max_tokens": 3},
        "sim-echo",
    ),
    "refusal": alike("No [[sim:refuse]]"),
    "thinking": Question(
        {"messages": user("Why?"), "reasoning_effort": "medium", "max_completion_tokens": 4096},
        {"messages": user("Why?"), "thinking": {"type": "enabled", "budget_tokens": 2048}},
        "sim-reasoner",
    ),
    "thinking and tools": Question(
        {
            "messages": user("What is the weather in Paris?"),
            "tools": OPENAI_TOOLS,
            "reasoning_effort": "medium",
            "max_completion_tokens": 4096,
        },
        {
            "messages": user("What is the weather in Paris?"),
            "tools": ANTHROPIC_TOOLS,
            "thinking": {"type": "enabled", "budget_tokens": 2048},
        },
        "sim-reasoner",
    ),
}
MARKED = {
    "system": [{"type": "text", "text": "one two three", **MARK}],
    "messages": user("four"),
}


# What an SDK was given back, whole.


def read_answer(speaks: str, answer: Any) -> Said:
    """An SDK's own object for a whole answer (or for a stream that it folded)."""
    return read_upstream(speaks, answer.to_dict())


def read_upstream(speaks: str, answer: Any) -> Said:
    """An answer's JSON."""
    return _read_completion(answer) if speaks == OPENAI else _read_message(answer)


def _read_completion(answer: Any) -> Said:
    choice = answer["choices"][0]
    message = choice["message"]
    calls = list(message.get("tool_calls") or ())
    return Said(
        text=(message.get("content") or "") + (message.get("refusal") or ""),
        calls=tuple(_call(call["function"]["name"], call["function"]["arguments"]) for call in calls),
        stop="refusal" if message.get("refusal") else OPENAI_STOPS[choice["finish_reason"]],
        tokens=_openai_tokens(answer.get("usage")),
        thoughts=message.get("reasoning_content") or "",
        call_ids=tuple(call["id"] for call in calls),
    )


def _read_message(answer: Any) -> Said:
    blocks = answer["content"]
    calls = [block for block in blocks if block["type"] == "tool_use"]
    return Said(
        text="".join(block["text"] for block in blocks if block["type"] == "text"),
        calls=tuple(_call(block["name"], json.dumps(block["input"])) for block in calls),
        stop=ANTHROPIC_STOPS[answer["stop_reason"]],
        tokens=_anthropic_tokens(answer["usage"]),
        thoughts="".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        call_ids=tuple(block["id"] for block in calls),
    )


def _call(name: str, arguments: str) -> tuple[str, str]:
    return name, json.dumps(json.loads(arguments), sort_keys=True)


OPENAI_STOPS = {"stop": "end", "length": "length", "tool_calls": "tools", "content_filter": "refusal"}
ANTHROPIC_STOPS = {
    "end_turn": "end",
    "max_tokens": "length",
    "tool_use": "tools",
    "refusal": "refusal",
    "stop_sequence": "sequence",
}


def _openai_tokens(usage: Any) -> Tokens | None:
    if usage is None:
        return None
    details = usage.get("prompt_tokens_details") or {}
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return Tokens(
        usage["prompt_tokens"],
        details.get("cached_tokens") or 0,
        details.get("cache_write_tokens") or 0,
        usage["completion_tokens"],
    )


def _anthropic_tokens(usage: Any) -> Tokens:
    read, write = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    return Tokens(usage["input_tokens"] + read + write, read, write, usage["output_tokens"])


# The four ways to ask.


async def ask_whole(client: Any, speaks: str, request: dict[str, Any]) -> Said:
    create = client.chat.completions.create if speaks == OPENAI else client.messages.create
    return read_answer(speaks, await create(**request))


async def ask_streamed(client: Any, speaks: str, request: dict[str, Any]) -> Said:
    if speaks == OPENAI:
        return fold_chunks([chunk async for chunk in await client.chat.completions.create(**streamed(request))])
    async with client.messages.stream(**request) as stream:
        return read_answer(speaks, await stream.get_final_message())


def ask_whole_synchronously(client: Any, speaks: str, request: dict[str, Any]) -> Said:
    create = client.chat.completions.create if speaks == OPENAI else client.messages.create
    return read_answer(speaks, create(**request))


def ask_streamed_synchronously(client: Any, speaks: str, request: dict[str, Any]) -> Said:
    if speaks == OPENAI:
        return fold_chunks(list(client.chat.completions.create(**streamed(request))))
    with client.messages.stream(**request) as stream:
        return read_answer(speaks, stream.get_final_message())


def streamed(request: dict[str, Any]) -> dict[str, Any]:
    return {**request, "stream": True, "stream_options": {"include_usage": True}}


def fold_chunks(chunks: list[Any]) -> Said:
    """What the chunks of a completion add up to, as an application would add them."""
    text, refusal, thoughts, finish, usage = "", "", "", None, None
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            delta = choice.delta
            text += delta.content or ""
            refusal += delta.refusal or ""
            thoughts += getattr(delta, "reasoning_content", None) or ""
            finish = choice.finish_reason or finish
            for call in delta.tool_calls or ():
                if call.index not in calls:
                    calls[call.index] = [call.id, call.function.name, ""]
                calls[call.index][2] += call.function.arguments or ""
    assert finish is not None, "a stream without a finish reason"
    assert len({chunk.id for chunk in chunks}) == 1
    return Said(
        text + refusal,
        tuple(_call(name, arguments) for _, name, arguments in calls.values()),
        "refusal" if refusal else OPENAI_STOPS[finish],
        None if usage is None else _openai_tokens(usage.to_dict()),
        thoughts,
        tuple(call_id for call_id, _, _ in calls.values()),
    )


# The turn after a tool was called.


def with_results(speaks: str, request: dict[str, Any], answer: Any, result: str) -> dict[str, Any]:
    """The same conversation with the answer's calls, and the same result for each."""
    if speaks == OPENAI:
        message = answer.choices[0].message
        results: list[Any] = [
            {"role": "tool", "tool_call_id": call.id, "content": result} for call in message.tool_calls
        ]
        said = message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"})
        return {**request, "messages": [*request["messages"], said, *results]}
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": result}
        for block in answer.content
        if block.type == "tool_use"
    ]
    turn = {"role": "assistant", "content": [block.to_dict() for block in answer.content]}
    return {**request, "messages": [*request["messages"], turn, *user(results)]}


# Event orders.


async def raw_events(client: Any, request: dict[str, Any]) -> list[Any]:
    """Anthropic's events one by one, as `messages.create(stream=True)` gives them."""
    return [event async for event in await client.messages.create(**request, stream=True)]


def check_event_order(events: list[Any]) -> None:
    """A message starts, blocks follow one after the other, each started, continued and stopped; then it ends."""
    kinds = [event.type for event in events if event.type != "ping"]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    inner: Iterator[Any] = iter([event for event in events if event.type != "ping"][1:-2])
    for index, event in enumerate(inner):
        assert (event.type, event.index) == ("content_block_start", index)
        for each in inner:
            assert each.index == index
            if each.type == "content_block_stop":
                break
            assert each.type == "content_block_delta"
        else:
            raise AssertionError("a block was not stopped")


async def all_of(stream: AsyncIterator[Any]) -> list[Any]:
    return [each async for each in stream]


SPEAKERS = (OPENAI, ANTHROPIC)
