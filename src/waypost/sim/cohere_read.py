"""Reads and judges a Cohere v2 chat request as the provider does: what is asked, or a 400 in its words.

Follows https://docs.cohere.com/reference/chat and the messages that the live service gives.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from waypost.sim.exchange import Choose, Media, Question, Rejected, Tool
from waypost.sim.faults import read_markers, words_wanted
from waypost.sim.openai_messages import data_size, find_last_user, find_results
from waypost.sim.shape import Flaw, FlawKind, Kind, Many, find_flaw, record
from waypost.sim.tally import Tally

_CALL = record(
    "",
    "id",
    "type",
    "function",
    id=Kind.TEXT,
    type=Kind.TEXT,
    function=record("", "name", "arguments", name=Kind.TEXT, arguments=Kind.TEXT),
)
_MESSAGES = {
    "system": record("content", "role", "content", role=Kind.TEXT),
    "user": record("content", "role", "content", role=Kind.TEXT),
    "assistant": record(
        "content", "role", role=Kind.TEXT, tool_calls=Many(_CALL), tool_plan=Kind.TEXT, citations=Many(Kind.OBJECT)
    ),
    "tool": record("content", "role", "content", "tool_call_id", role=Kind.TEXT, tool_call_id=Kind.TEXT),
}
_PARTS = {
    "text": record("type", "text", text=Kind.TEXT),
    "thinking": record("type", "thinking", thinking=Kind.TEXT),
    "image_url": record("type", "image_url", image_url=record("", "url", url=Kind.TEXT, detail=Kind.TEXT)),
    "document": record("type", "document", document=record("data", "data", id=Kind.TEXT)),
}
_ALLOWED = {
    "system": ("text",),
    "user": ("text", "image_url"),
    "assistant": ("text", "thinking"),
    "tool": ("text", "document"),
}
_TOOL = record(
    "",
    "type",
    "function",
    type=Kind.TEXT,
    function=record("", "name", "parameters", name=Kind.TEXT, description=Kind.TEXT, parameters=Kind.OBJECT),
)
_BODY = record(
    "documents temperature p",
    "messages",
    model=Kind.TEXT,
    stream=Kind.FLAG,
    messages=Many(Kind.OBJECT),
    tools=Many(_TOOL),
    strict_tools=Kind.FLAG,
    citation_options=record("", mode=Kind.TEXT),
    response_format=record("", "type", type=Kind.TEXT, json_schema=Kind.OBJECT, schema=Kind.OBJECT),
    safety_mode=Kind.TEXT,
    max_tokens=Kind.WHOLE,
    stop_sequences=Many(Kind.TEXT),
    seed=Kind.WHOLE,
    frequency_penalty=Kind.NUMBER,
    presence_penalty=Kind.NUMBER,
    k=Kind.WHOLE,
    logprobs=Kind.FLAG,
    tool_choice=Kind.TEXT,
    thinking=record("", "type", type=Kind.TEXT, token_budget=Kind.WHOLE),
    priority=Kind.WHOLE,
    raw_prompting=Kind.FLAG,
)
_RANGES = {
    "temperature": (0, 1),
    "p": (0, 0.99),
    "k": (0, 500),
    "frequency_penalty": (0, 1),
    "presence_penalty": (0, 1),
    "max_tokens": (1, 1 << 31),
    "seed": (0, (1 << 64) - 1),
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_MOST_STOPS = 5


def read_cohere(body: Mapping[str, Any], model: str, *, strict: bool, size: int) -> Question:
    """`model`: the name without faults; `size`: bytes of the body, the most tokens that can be in it."""
    refuse(find_flaw(body, _BODY, strict=strict))
    messages = body["messages"]
    if not messages:
        raise Rejected(400, "invalid request: at least one message must be specified in the messages field.")
    _check_ranges(body)
    tally = Tally()
    _check_messages(messages, strict)
    tools = _read_tools(body, tally)
    choose = _read_choice(body, tools)
    for document in body.get("documents") or ():
        tally.add_json(document)
    last = find_last_user(messages)
    results = [id(message) for message in find_results(messages)]
    text, media, told = "", list[Media](), list[str]()
    for index, message in enumerate(messages):
        said, seen = _read_content(message, f"messages[{index}]", tally, strict)
        if index == last:
            text, media = said, seen
        if id(message) in results:
            told.append(said)
    _, settings = read_markers(text)
    tokens = min(tally.tokens, size)
    history = any(message["role"] == "assistant" for message in messages)
    schema, json = _read_format(body)
    return Question(
        model=model,
        text=text if not told else "",
        results=tuple(told),
        media=tuple(media),
        tools=tools,
        choose=choose,
        schema=schema,
        json=json,
        max_output=body.get("max_tokens"),
        stops=tuple(body.get("stop_sequences") or ()),
        reasoning=_read_thinking(body, model),
        stream=body.get("stream") is True,
        include_usage=True,
        refuse="refuse" in settings,
        words=words_wanted(settings),
        input_tokens=tokens,
        # What the service caches by itself.
        cache_read=tokens * 3 // 4 // 128 * 128 if history and tokens >= 1024 else 0,
    )


def refuse(flaw: Flaw | None) -> None:
    """Raises what Cohere says of a flaw."""
    if flaw is None:
        return
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in flaw.path).removeprefix(".")
    name = f"{place}.{flaw.name}".strip(".")
    match flaw.kind:
        case FlawKind.UNKNOWN:
            raise Rejected(422, f"unknown field: parameter '{name}' is not a valid field")
        case FlawKind.MISSING:
            raise Rejected(400, f"invalid request: {name} is a required field.")
        case _:
            raise Rejected(
                400, f"invalid type: parameter '{name}' is of the wrong type, should be of type {flaw.expected}."
            )


def _check_ranges(body: Mapping[str, Any]) -> None:
    for name, (least, most) in _RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Rejected(
                400, f"invalid type: parameter '{name}' is of type {type(value).__name__} but should be of type number."
            )
        if not least <= value <= most:
            raise Rejected(400, f"invalid request: {name} must be between {least} and {most} inclusive.")
    if len(body.get("stop_sequences") or ()) > _MOST_STOPS:
        raise Rejected(400, f"invalid request: stop_sequences must have at most {_MOST_STOPS} elements.")
    mode = body.get("safety_mode")
    if mode is not None and mode not in ("CONTEXTUAL", "STRICT", "OFF", "NONE"):
        raise Rejected(400, f"invalid request: safety_mode '{mode}' is not one of CONTEXTUAL, STRICT, OFF.")


def _check_messages(messages: Sequence[Mapping[str, Any]], strict: bool) -> None:
    """Every tool call is answered at once, and nothing else is."""
    pending: list[str] = []
    for index, message in enumerate(messages):
        role = message.get("role")
        shape = _MESSAGES.get(role) if isinstance(role, str) else None
        if shape is None:
            raise Rejected(
                400, f"invalid request: messages[{index}].role must be one of: user, assistant, system, tool."
            )
        refuse(find_flaw(message, shape, strict=strict, path=("messages", index)))
        if role == "tool":
            if message["tool_call_id"] not in pending:
                raise Rejected(
                    400,
                    f"invalid request: tool_call_id {message['tool_call_id']} at messages[{index}] was not found in "
                    "the tool calls of the previous message.",
                )
            pending.remove(message["tool_call_id"])
            continue
        _check_answered(pending)
        if role == "assistant":
            calls = message.get("tool_calls") or ()
            if not calls and not message.get("content"):
                raise Rejected(400, f"invalid request: messages[{index}] must have content or tool_calls.")
            pending = [call["id"] for call in calls]
    _check_answered(pending)


def _check_answered(pending: Sequence[str]) -> None:
    if pending:
        raise Rejected(
            400, f"invalid request: tool calls must be followed by tool messages; missing: {', '.join(pending)}."
        )


def _read_content(message: Mapping[str, Any], path: str, tally: Tally, strict: bool) -> tuple[str, list[Media]]:
    tally.add_text(message.get("tool_plan") or "")
    for call in message.get("tool_calls") or ():
        tally.add_json(call["function"])
    content = message.get("content")
    if content is None:
        return "", []
    if isinstance(content, str):
        tally.add_text(content)
        return content, []
    if not isinstance(content, list):
        raise Rejected(400, f"invalid type: parameter '{path}.content' should be a string or an array.")
    said: list[str] = []
    media: list[Media] = []
    for index, part in enumerate(content):
        place = f"{path}.content[{index}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in _ALLOWED[message["role"]]:
            raise Rejected(400, f"invalid request: {place}.type '{kind}' is not valid for role {message['role']}.")
        refuse(find_flaw(part, _PARTS[kind], strict=strict, path=(place,)))
        _read_part(part, place, tally, said, media)
    return "\n".join(said), media


def _read_part(part: Mapping[str, Any], path: str, tally: Tally, said: list[str], media: list[Media]) -> None:
    match part["type"]:
        case "text":
            said.append(part["text"])
            tally.add_text(part["text"])
        case "thinking":
            tally.add_text(part["thinking"])
        case "image_url":
            url = part["image_url"]["url"]
            try:
                size = data_size(url, path)
            except Rejected as rejected:
                raise Rejected(400, f"invalid request: {path}.image_url.url is not a valid image.") from rejected
            media.append(Media("image", size))
            tally.add_media(len(url) if size is None else size)
        case _:
            data = part["document"]["data"]
            said.append(data if isinstance(data, str) else str(data))
            tally.add_json(data)


def _read_tools(body: Mapping[str, Any], tally: Tally) -> tuple[Tool, ...]:
    read: list[Tool] = []
    for index, tool in enumerate(body.get("tools") or ()):
        tally.add_json(tool)
        name = tool["function"]["name"]
        if tool["type"] != "function":
            raise Rejected(400, f"invalid request: tools[{index}].type must be 'function'.")
        if not _NAME.match(name):
            raise Rejected(400, f"invalid request: tools[{index}].function.name '{name}' is not a valid name.")
        if any(one.name == name for one in read):
            raise Rejected(400, f"invalid request: duplicate tool name '{name}'.")
        read.append(Tool(name, tool["function"]["parameters"]))
    return tuple(read)


def _read_choice(body: Mapping[str, Any], tools: Sequence[Tool]) -> Choose:
    match body.get("tool_choice"):
        case None:
            return Choose.AUTO
        case "REQUIRED" | "NONE" if not tools:
            raise Rejected(400, "invalid request: tool_choice may only be specified with tools.")
        case "REQUIRED":
            return Choose.ANY
        case "NONE":
            return Choose.NONE
        case other:
            raise Rejected(400, f"invalid request: tool_choice '{other}' is not one of REQUIRED, NONE.")


def _read_format(body: Mapping[str, Any]) -> tuple[Any, bool]:
    wanted = body.get("response_format") or {"type": "text"}
    schema = wanted.get("json_schema") or wanted.get("schema")
    match wanted["type"]:
        case "text" if schema is None:
            return None, False
        case "json_object":
            if body.get("tools") or body.get("documents"):
                raise Rejected(400, "invalid request: response_format is not supported with tools or documents.")
            return schema, True
        case other:
            raise Rejected(400, f"invalid request: response_format.type '{other}' is not one of text, json_object.")


def _read_thinking(body: Mapping[str, Any], model: str) -> bool:
    thinking = body.get("thinking")
    if thinking is None:
        return model.endswith("reasoner")
    if thinking["type"] not in ("enabled", "disabled"):
        raise Rejected(400, f"invalid request: thinking.type '{thinking['type']}' is not one of enabled, disabled.")
    budget = thinking.get("token_budget")
    if budget is not None and budget < 0:
        raise Rejected(400, "invalid request: thinking.token_budget must be at least 0.")
    return bool(thinking["type"] == "enabled")
