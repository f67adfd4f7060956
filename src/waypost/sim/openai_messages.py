"""Reads and judges the messages of an OpenAI request: roles, parts, tool calls and their answers."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from waypost.sim.exchange import Media, Rejected
from waypost.sim.tally import Tally

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")


def check_order(messages: Sequence[Any]) -> None:
    """Every tool call is answered at once, and nothing else is."""
    pending: list[str] = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise wrong_type(f"messages[{index}]", "an object", message)
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


def read_message(message: Mapping[str, Any], path: str, tally: Tally) -> tuple[str, list[Media]]:
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
        raise wrong_type(f"{path}.content", "one of a string or array of objects", content)
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
            size = data_size(url, f"{path}.image_url")
            media.append(Media("image", size))
            tally.add_media(len(url) if size is None else size)
        case {"type": "input_audio", "input_audio": {"data": str(data)}}:
            media.append(Media("recording", _decoded_size(data, f"{path}.input_audio.data")))
            tally.add_media(len(data))
        case {"type": "file", "file": dict(file)}:
            held = file.get("file_data")
            media.append(Media("document", data_size(held, f"{path}.file") if isinstance(held, str) else None))
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


def data_size(url: str, path: str) -> int | None:
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


def find_last_user(messages: Sequence[Mapping[str, Any]]) -> int:
    return next((index for index in range(len(messages) - 1, -1, -1) if messages[index]["role"] == "user"), -1)


def find_results(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    first = len(messages)
    while first > 0 and messages[first - 1]["role"] == "tool":
        first -= 1
    return list(messages[first:])


def plain_text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "\n".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def wrong_type(path: str, expected: str, value: Any) -> Rejected:
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
