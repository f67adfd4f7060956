"""Reads and judges an OpenAI chat completion request as the provider does: what is asked, or a 400 in its words.

Follows https://platform.openai.com/docs/api-reference/chat and the messages that the live service gives.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from waypost.sim.exchange import Choose, Media, Question, Rejected, Tool
from waypost.sim.faults import read_markers, words_wanted
from waypost.sim.openai_messages import check_order, find_last_user, find_results, plain_text, read_message, wrong_type
from waypost.sim.tally import Tally

_KNOWN_TEXT = """
    audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages
    metadata modalities model moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key
    prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier
    stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity
    web_search_options
"""
_KNOWN = frozenset(_KNOWN_TEXT.split())
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "n": (1, 128),
    "max_tokens": (1, 1 << 62),
    "max_completion_tokens": (1, 1 << 62),
}


def read_openai(body: Mapping[str, Any], model: str, *, strict: bool, size: int) -> Question:
    """`model`: the name without faults; `size`: bytes of the body, the most tokens that can be in it."""
    _check_members(body, strict)
    messages = body["messages"]
    check_order(messages)
    tools = _read_tools(body)
    choose, chosen = _read_choice(body, tools)
    tally = Tally()
    for tool in body.get("tools") or ():
        tally.add_json(tool)
    last = find_last_user(messages)
    text = ""
    media: tuple[Media, ...] = ()
    for index, message in enumerate(messages):
        said, seen = read_message(message, f"messages[{index}]", tally)
        if index == last:
            text, media = said, tuple(seen)
    results = tuple(plain_text(message) for message in find_results(messages))
    _, settings = read_markers(text)
    history = any(message["role"] == "assistant" for message in messages)
    read, written = tally.split_cache(history)
    schema, json = _read_format(body, messages)
    tokens = min(tally.tokens, size)
    if not tally.marks and history and tokens >= 1024:  # what the service caches by itself, in steps of 128
        read = tokens * 3 // 4 // 128 * 128
    return Question(
        model=model,
        text=text if not results else "",
        results=results,
        media=media,
        tools=tools,
        choose=choose,
        chosen=chosen,
        parallel=body.get("parallel_tool_calls") is not False,
        schema=schema,
        json=json,
        max_output=body.get("max_completion_tokens") or body.get("max_tokens"),
        stops=_read_stops(body.get("stop")),
        reasoning=model.endswith("reasoner") or body.get("reasoning_effort") not in (None, "none"),
        show_reasoning=model.endswith("reasoner"),
        choices=body.get("n") or 1,
        stream=body.get("stream") is True,
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        refuse="refuse" in settings,
        words=words_wanted(settings),
        input_tokens=tokens,
        cache_read=read,
        cache_write=written,
    )


def _check_members(body: Mapping[str, Any], strict: bool) -> None:
    if "messages" not in body:
        raise Rejected(
            400, "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter"
        )
    messages = body["messages"]
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array of objects", messages)
    if not messages:
        raise Rejected(
            400,
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param="messages",
            code="empty_array",
        )
    if strict and not _KNOWN.issuperset(body):
        name = next(name for name in body if name not in _KNOWN)
        raise Rejected(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    for name, (least, most) in _RANGES.items():
        value = body.get(name)
        if value is not None:
            check_range(name, value, least, most)
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise Rejected(
            400,
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )
    if body.get("stream_options") is not None and body.get("stream") is not True:
        raise Rejected(
            400,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )


def check_range(name: str, value: Any, least: float, most: float) -> None:
    whole = name not in ("temperature", "top_p", "presence_penalty", "frequency_penalty")
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise wrong_type(name, "an integer" if whole else "a decimal", value)
    if value < least:
        raise Rejected(
            400,
            f"Invalid '{name}': {'integer' if whole else 'decimal'} below minimum value. "
            f"Expected a value >= {least}, but got {value} instead.",
            param=name,
            code=f"{'integer' if whole else 'decimal'}_below_min_value",
        )
    if value > most:
        raise Rejected(
            400,
            f"Invalid '{name}': {'integer' if whole else 'decimal'} above maximum value. "
            f"Expected a value <= {most}, but got {value} instead.",
            param=name,
            code=f"{'integer' if whole else 'decimal'}_above_max_value",
        )


def _read_tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    tools = body.get("tools")
    if tools is None:
        if body.get("tool_choice") not in (None, "none", "auto"):
            raise Rejected(
                400,
                "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
                param="tool_choice",
            )
        return ()
    if not isinstance(tools, list) or not tools:
        raise Rejected(
            400,
            "Invalid 'tools': empty array. Expected an array with minimum length 1.",
            param="tools",
            code="empty_array",
        )
    read = []
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(name, str):
            raise Rejected(
                400,
                f"Missing required parameter: 'tools[{index}].function'.",
                param=f"tools[{index}].function",
                code="missing_required_parameter",
            )
        if not _NAME.match(name):
            raise Rejected(
                400,
                f"Invalid 'tools[{index}].function.name': string does not match pattern. Expected a string that "
                "matches the pattern '^[a-zA-Z0-9_-]+$'.",
                param=f"tools[{index}].function.name",
                code="invalid_value",
            )
        read.append(Tool(name, function.get("parameters") or {"type": "object"}))
    return tuple(read)


def _read_choice(body: Mapping[str, Any], tools: Sequence[Tool]) -> tuple[Choose, str | None]:
    match body.get("tool_choice"):
        case None | "auto":
            return Choose.AUTO, None
        case "none":
            return Choose.NONE, None
        case "required":
            return Choose.ANY, None
        case {"function": {"name": str(name)}}:
            if all(tool.name != name for tool in tools):
                raise Rejected(400, f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")
            return Choose.ANY, name
        case other:
            raise Rejected(
                400, f"Invalid value for 'tool_choice': {other!r}.", param="tool_choice", code="invalid_value"
            )


def _read_format(body: Mapping[str, Any], messages: Sequence[Any]) -> tuple[Any, bool]:
    match body.get("response_format"):
        case None | {"type": "text"}:
            return None, False
        case {"type": "json_object"}:
            if not any("json" in plain_text(message).lower() for message in messages):
                raise Rejected(
                    400,
                    "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
                    "'json_object'.",
                    param="messages",
                )
            return None, True
        case {"type": "json_schema", "json_schema": {"name": str(), "schema": dict(schema)}}:
            return schema, True
        case {"type": "json_schema"}:
            raise Rejected(
                400,
                "Missing required parameter: 'response_format.json_schema'.",
                param="response_format.json_schema",
                code="missing_required_parameter",
            )
        case other:
            raise Rejected(
                400, f"Invalid value for 'response_format': {other!r}.", param="response_format", code="invalid_value"
            )


def _read_stops(stop: Any) -> tuple[str, ...]:
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > 4:
        raise Rejected(
            400,
            f"Invalid 'stop': array too long. Expected an array with maximum length 4, "
            f"but got an array with length {len(stops)} instead.",
            param="stop",
            code="array_above_max_length",
        )
    return tuple(one for one in stops if isinstance(one, str) and one)
