"""Reads and judges an OpenAI chat completion request as the provider does: what is asked, or a 400 in its words.

Follows https://platform.openai.com/docs/api-reference/chat and the messages that the live service gives.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from waypost.sim.exchange import Choose, Media, Question, Rejected, Tool
from waypost.sim.faults import read_markers
from waypost.sim.tally import Tally

_KNOWN_TEXT = """
    audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages
    metadata modalities model moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key
    prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier
    stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity
    web_search_options
"""
_KNOWN = frozenset(_KNOWN_TEXT.split())
_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
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
    _check_tool_messages(messages)
    tools = _read_tools(body)
    choose, chosen = _read_choice(body, tools)
    tally = Tally()
    for tool in body.get("tools") or ():
        tally.add_json(tool)
    last = _last_user(messages)
    text = ""
    media: tuple[Media, ...] = ()
    for index, message in enumerate(messages):
        said, seen = _read_message(message, f"messages[{index}]", tally)
        if index == last:
            text, media = said, tuple(seen)
    results = tuple(_plain(message) for message in _trailing_results(messages))
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
        words=_whole_number(settings.get("words")),
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
        raise _wrong_type("messages", "an array of objects", messages)
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
            _check_range(name, value, least, most)
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


def _check_range(name: str, value: Any, least: float, most: float) -> None:
    whole = name not in ("temperature", "top_p", "presence_penalty", "frequency_penalty")
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise _wrong_type(name, "an integer" if whole else "a decimal", value)
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


def _check_tool_messages(messages: Sequence[Any]) -> None:
    """Every tool call is answered at once, and nothing else is."""
    pending: list[str] = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise _wrong_type(f"messages[{index}]", "an object", message)
        role = message.get("role")
        if role not in _ROLES:
            if role is None:
                raise Rejected(
                    400,
                    f"Missing required parameter: 'messages[{index}].role'.",
                    param=f"messages[{index}].role",
                    code="missing_required_parameter",
                )
            shown = ", ".join(f"'{one}'" for one in _ROLES[:-1])
            raise Rejected(
                400,
                f"Invalid value: '{role}'. Supported values are: {shown}, and '{_ROLES[-1]}'.",
                param=f"messages[{index}].role",
                code="invalid_value",
            )
        if role == "tool":
            if message.get("tool_call_id") not in pending:
                raise Rejected(
                    400,
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                    "'tool_calls'.",
                    param=f"messages[{index}].role",
                )
            pending.remove(message["tool_call_id"])
            continue
        _check_answered(pending, index)
        if role == "assistant":
            pending = [_call_id(call, index) for call in message.get("tool_calls") or ()]
    _check_answered(pending, len(messages))


def _check_answered(pending: Sequence[str], index: int) -> None:
    if pending:
        raise Rejected(
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(pending)}",
            param=f"messages[{index - 1}].role",
        )


def _call_id(call: Any, index: int) -> str:
    identity = call.get("id") if isinstance(call, dict) else None
    function = call.get("function") if isinstance(call, dict) else None
    if (
        not isinstance(identity, str)
        or not isinstance(function, dict)
        or not isinstance(function.get("arguments"), str)
    ):
        raise Rejected(
            400,
            f"Invalid type for 'messages[{index}].tool_calls[0]'.",
            param=f"messages[{index}].tool_calls",
            code="invalid_type",
        )
    return identity


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
            if not any("json" in _plain(message).lower() for message in messages):
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


def _read_message(message: Mapping[str, Any], path: str, tally: Tally) -> tuple[str, list[Media]]:
    content = message.get("content")
    media: list[Media] = []
    said: list[str] = []
    for call in message.get("tool_calls") or ():
        tally.add_json(call["function"])
    if isinstance(content, str):
        tally.add_text(content)
        return content, media
    if content is None:
        if message["role"] != "assistant":
            raise Rejected(
                400,
                f"Invalid value for 'content': expected a string, got null. ({path}.content)",
                param=f"{path}.content",
                code="invalid_type",
            )
        return "", media
    if not isinstance(content, list):
        raise _wrong_type(f"{path}.content", "one of a string or array of objects", content)
    for index, part in enumerate(content):
        _read_part(part, f"{path}.content[{index}]", tally, said, media)
    return "\n".join(said), media


def _read_part(part: Any, path: str, tally: Tally, said: list[str], media: list[Media]) -> None:
    match part:
        case {"type": "text", "text": str(text)}:
            said.append(text)
            tally.add_text(text)
        case {"type": "refusal", "refusal": str(text)}:
            tally.add_text(text)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            size = _data_size(url, f"{path}.image_url")
            media.append(Media("image", size))
            tally.add_media(len(url) if size is None else size)
        case {"type": "input_audio", "input_audio": {"data": str(data)}}:
            media.append(Media("recording", _decoded_size(data, f"{path}.input_audio.data")))
            tally.add_media(len(data))
        case {"type": "file", "file": dict(file)}:
            held = file.get("file_data")
            media.append(Media("document", _data_size(held, f"{path}.file") if isinstance(held, str) else None))
            tally.add_media(len(held) if isinstance(held, str) else 1)
        case _:
            kind = part.get("type") if isinstance(part, dict) else None
            raise Rejected(
                400,
                f"Invalid value: '{kind}'. Supported values are: 'text', 'image_url', 'input_audio', 'refusal', "
                "and 'file'.",
                param=f"{path}.type",
                code="invalid_value",
            )
    if "cache_control" in part or "prompt_cache_breakpoint" in part:
        tally.mark()


def _data_size(url: str, path: str) -> int | None:
    """Bytes of a data URL; None for one that points elsewhere."""
    if url.startswith(("https://", "http://")):
        return None
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise Rejected(
            400,
            f"Invalid '{path}.url'. Expected a valid URL, but got a value with an invalid format.",
            param=f"{path}.url",
            code="invalid_value",
        )
    return _decoded_size(data, path)


def _decoded_size(data: str, path: str) -> int:
    try:
        return len(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        raise Rejected(400, f"Invalid base64 data in '{path}'.", param=path, code="invalid_base64") from None


def _last_user(messages: Sequence[Mapping[str, Any]]) -> int:
    return next((index for index in range(len(messages) - 1, -1, -1) if messages[index]["role"] == "user"), -1)


def _trailing_results(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    first = len(messages)
    while first > 0 and messages[first - 1]["role"] == "tool":
        first -= 1
    return list(messages[first:])


def _plain(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "\n".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _whole_number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def _wrong_type(path: str, expected: str, value: Any) -> Rejected:
    got = {
        str: "a string",
        int: "an integer",
        float: "a decimal",
        bool: "a boolean",
        list: "an array",
        dict: "an object",
    }
    return Rejected(
        400,
        f"Invalid type for '{path}': expected {expected}, but got {got.get(type(value), 'null')} instead.",
        param=path,
        code="invalid_type",
    )
