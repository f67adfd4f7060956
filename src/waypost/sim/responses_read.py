"""Reads and judges an OpenAI Responses request as the provider does: what is asked, or a 400 in its words.

Follows https://platform.openai.com/docs/api-reference/responses/create and the messages that the live service gives.
Keeps nothing between calls: `previous_response_id` and conversations name what this provider never has.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from waypost.sim.exchange import Choose, Media, Question, Rejected, Tool
from waypost.sim.faults import read_markers, words_wanted
from waypost.sim.openai_messages import wrong_type
from waypost.sim.openai_read import check_range
from waypost.sim.responses_items import check_items, kind_of, read_item, refuse
from waypost.sim.shape import Kind, Many, find_flaw, record
from waypost.sim.tally import Tally

_BODY = record(
    """
    conversation input moderation prompt tool_choice truncation context_management prompt_cache_options
    temperature top_p max_output_tokens top_logprobs max_tool_calls
    """,
    model=Kind.TEXT,
    background=Kind.FLAG,
    client_metadata=Kind.OBJECT,
    include=Many(Kind.TEXT),
    instructions=Kind.TEXT,
    metadata=Kind.OBJECT,
    parallel_tool_calls=Kind.FLAG,
    previous_response_id=Kind.TEXT,
    prompt_cache_key=Kind.TEXT,
    prompt_cache_retention=Kind.TEXT,
    reasoning=record(
        "", effort=Kind.TEXT, summary=Kind.TEXT, generate_summary=Kind.TEXT, mode=Kind.TEXT, context=Kind.TEXT
    ),
    safety_identifier=Kind.TEXT,
    service_tier=Kind.TEXT,
    store=Kind.FLAG,
    stream=Kind.FLAG,
    stream_options=record("", include_obfuscation=Kind.FLAG),
    text=record("", format=Kind.OBJECT, verbosity=Kind.TEXT),
    tools=Many(Kind.OBJECT),
    user=Kind.TEXT,
)
_FUNCTION = record(
    "type allowed_callers",
    "name",
    name=Kind.TEXT,
    description=Kind.TEXT,
    parameters=Kind.OBJECT,
    strict=Kind.FLAG,
    defer_loading=Kind.FLAG,
    output_schema=Kind.OBJECT,
)
_FORMAT = record("type", "name", "schema", name=Kind.TEXT, schema=Kind.OBJECT, description=Kind.TEXT, strict=Kind.FLAG)
# What the provider runs itself. Any other type of tool is nonsense.
_HOSTED_TEXT = """
    file_search web_search web_search_2025_08_26 web_search_preview web_search_preview_2025_03_11 computer
    computer_use_preview code_interpreter image_generation mcp local_shell shell apply_patch custom namespace
    tool_search
"""
_HOSTED = frozenset(_HOSTED_TEXT.split())
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "max_output_tokens": (16, 1 << 62),
    "top_logprobs": (0, 20),
    "max_tool_calls": (1, 1 << 62),
}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_REPEATED_TEXT = """
    instructions max_output_tokens metadata parallel_tool_calls previous_response_id temperature text tool_choice tools
    top_p truncation user store
"""
_REPEATED = _REPEATED_TEXT.split()


def read_responses(body: Mapping[str, Any], model: str, *, strict: bool, size: int) -> Question:
    """`model`: the name without faults; `size`: bytes of the body, the most tokens that can be in it."""
    _check_members(body, strict)
    items = _items_of(body["input"])
    check_items(items, strict)
    tools = _read_tools(body, strict)
    choose, chosen = _read_choice(body, tools)
    tally = Tally()
    for tool in body.get("tools") or ():
        tally.add_json(tool)
    tally.add_text(body.get("instructions") or "")
    text, media, results = _read_items(items, tally, strict)
    _, settings = read_markers(text)
    history = any(item.get("role") == "assistant" or kind_of(item) == "function_call" for item in items)
    read, written = tally.split_cache(history)
    tokens = min(tally.tokens, size)
    if not tally.marks and history and tokens >= 1024:  # what the service caches by itself, in steps of 128
        read = tokens * 3 // 4 // 128 * 128
    schema, json = _read_format(body, strict)
    reasoning = body.get("reasoning") or {}
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
        max_output=body.get("max_output_tokens"),
        reasoning=model.endswith("reasoner") or reasoning.get("effort") not in (None, "none"),
        show_reasoning=bool(reasoning.get("summary") or reasoning.get("generate_summary")),
        seal_reasoning="reasoning.encrypted_content" in (body.get("include") or ()),
        stream=body.get("stream") is True,
        include_usage=True,
        refuse="refuse" in settings,
        words=words_wanted(settings),
        input_tokens=tokens,
        cache_read=read,
        cache_write=written,
        repeated={name: body[name] for name in _REPEATED if body.get(name) is not None},
    )


def _check_members(body: Mapping[str, Any], strict: bool) -> None:
    if body.get("input") is None:
        code = "missing_required_parameter"
        raise Rejected(400, "Missing required parameter: 'input'.", param="input", code=code)
    refuse(find_flaw(body, _BODY, strict=strict))
    for name, (least, most) in _RANGES.items():
        if body.get(name) is not None:
            check_range(name, body[name], least, most)
    if body.get("stream_options") is not None and body.get("stream") is not True:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Rejected(400, message, param="stream_options")
    if body.get("previous_response_id") is not None:
        identity = body["previous_response_id"]
        raise Rejected(
            400,
            f"Previous response with id '{identity}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    if body.get("conversation") is not None:
        raise Rejected(404, "Conversation not found.", param="conversation")
    effort = (body.get("reasoning") or {}).get("effort")
    if effort is not None and effort not in _EFFORTS:
        shown = ", ".join(f"'{one}'" for one in _EFFORTS)
        message = f"Invalid value: '{effort}'. Supported values are: {shown}."
        raise Rejected(400, message, param="reasoning.effort", code="invalid_value")


def _items_of(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}]
    if not isinstance(value, list):
        raise wrong_type("input", "one of a string or array of input items", value)
    if not value:
        message = (
            "Invalid 'input': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        raise Rejected(400, message, param="input", code="empty_array")
    return value


def _read_items(
    items: Sequence[Mapping[str, Any]], tally: Tally, strict: bool
) -> tuple[str, tuple[Media, ...], tuple[str, ...]]:
    """Text and media of the last user message; what tools answered, if that came last."""
    text = ""
    media: tuple[Media, ...] = ()
    results: list[str] = []
    for index, item in enumerate(items):
        said, seen = read_item(item, f"input[{index}]", tally, strict)
        if kind_of(item).endswith("_call_output"):
            results.append(said)
            continue
        results = []
        if kind_of(item) == "message" and item["role"] == "user":
            text, media = said, tuple(seen)
    return text, media, tuple(results)


def _read_tools(body: Mapping[str, Any], strict: bool) -> tuple[Tool, ...]:
    read = []
    for index, tool in enumerate(body.get("tools") or ()):
        path = f"tools[{index}]"
        kind = tool.get("type")
        if kind != "function":
            if kind not in _HOSTED:
                message = f"Invalid value: '{kind}'. Supported values are: 'function', {', '.join(sorted(_HOSTED))}."
                raise Rejected(400, message, param=f"{path}.type", code="invalid_value")
            continue
        refuse(find_flaw(tool, _FUNCTION, strict=strict, path=("tools", index)))
        if not _NAME.match(tool["name"]):
            raise Rejected(
                400,
                f"Invalid '{path}.name': string does not match pattern. Expected a string that matches the pattern "
                "'^[a-zA-Z0-9_-]+$'.",
                param=f"{path}.name",
                code="invalid_value",
            )
        read.append(Tool(tool["name"], tool.get("parameters") or {"type": "object"}))
    return tuple(read)


def _read_choice(body: Mapping[str, Any], tools: Sequence[Tool]) -> tuple[Choose, str | None]:
    match body.get("tool_choice"):
        case None | "auto":
            return Choose.AUTO, None
        case "none":
            return Choose.NONE, None
        case "required" if body.get("tools"):
            return Choose.ANY, None
        case {"type": "function", "name": str(name)} if any(tool.name == name for tool in tools):
            return Choose.ANY, name
        case {"type": "allowed_tools", "mode": "auto" | "required" as mode, "tools": list()}:
            return (Choose.ANY if mode == "required" else Choose.AUTO), None
        case {"type": str(kind)} if kind in _HOSTED:
            return Choose.AUTO, None
        case "required" | {"type": "function", "name": str()}:
            message = "Tool choice must be one of the tools in the 'tools' parameter."
            raise Rejected(400, message, param="tool_choice", code="invalid_value")
        case other:
            raise Rejected(
                400, f"Invalid value for 'tool_choice': {other!r}.", param="tool_choice", code="invalid_value"
            )


def _read_format(body: Mapping[str, Any], strict: bool) -> tuple[Any, bool]:
    wanted = (body.get("text") or {}).get("format")
    match wanted:
        case None | {"type": "text"}:
            return None, False
        case {"type": "json_object"}:
            return None, True
        case {"type": "json_schema"}:
            refuse(find_flaw(wanted, _FORMAT, strict=strict, path=("text", "format")))
            return wanted["schema"], True
        case other:
            raise Rejected(
                400, f"Invalid value for 'text.format': {other!r}.", param="text.format", code="invalid_value"
            )
