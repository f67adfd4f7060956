"""A caller's Messages request → the neutral form. What has no neutral name stays in `extra`, as received.

Follows the Messages API as of the SDK's `MessageCreateParams`, betas included. Writing is in `request_out.py`.
"""

from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.blocks import Json, Role
from waypost.conversation.faults import ErrorKind, Refused
from waypost.conversation.request import (
    HostedTool,
    OutputFormat,
    Reasoning,
    Request,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    Turn,
)
from waypost.dialects.anthropic.blocks import WireCache, read_cache, read_content
from waypost.dialects.anthropic.wire_json import ABSENT, ShapeError, check_text, decode, told
from waypost.dialects.anthropic.words import NAME

T = TypeVar("T")
Members = dict[str, Raw]


class _Message(Struct, frozen=True):
    role: str
    content: Raw


class _Thinking(Struct, frozen=True):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _Format(Struct, frozen=True):
    type: str
    schema: Raw = ABSENT


class _Choice(Struct, frozen=True):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


_MEMBERS = msgspec.json.Decoder(Members)
_RAWS = msgspec.json.Decoder(list[Raw])
_MESSAGE = msgspec.json.Decoder(_Message)
_STRING = msgspec.json.Decoder(str)
_STRINGS = msgspec.json.Decoder(list[str])
_INTEGER = msgspec.json.Decoder(int)
_NUMBER = msgspec.json.Decoder(float)
_FLAG = msgspec.json.Decoder(bool)
_CACHE = msgspec.json.Decoder(WireCache)
_THINKING = msgspec.json.Decoder(_Thinking)
_FORMAT = msgspec.json.Decoder(_Format)
_CHOICE = msgspec.json.Decoder(_Choice)

_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
_MODES = {
    "auto": ToolChoiceMode.AUTO,
    "any": ToolChoiceMode.ANY,
    "tool": ToolChoiceMode.NAMED,
    "none": ToolChoiceMode.NONE,
}
# These two are Waypost's own (the contract lists them); the rest of `metadata` is Anthropic's.
OWN_METADATA = ("task", "combination_id")


def read_request(body: bytes) -> Request:
    """Raises Refused(BAD_REQUEST) that names the field."""
    try:
        check_text(body)
        return _read(decode(_MEMBERS, body, ""))
    except ShapeError as error:
        raise Refused(ErrorKind.BAD_REQUEST, str(error)) from error


def _read(members: Members) -> Request:
    members.pop("waypost", None)
    model = _take(members, "model", _STRING)
    if not model:
        raise ShapeError("model: is missing")
    max_tokens = _take(members, "max_tokens", _INTEGER)
    if max_tokens is None:
        raise ShapeError("max_tokens: is missing")
    if max_tokens < 1:
        raise ShapeError("max_tokens: must be at least 1")
    stream = _take(members, "stream", _FLAG) or False
    choice, parallel = _tool_choice(_take(members, "tool_choice", _CHOICE))
    effort, output = _output(members)
    stops = _take(members, "stop_sequences", _STRINGS)
    return Request(
        dialect=NAME,
        model=model,
        turns=_turns(members),
        stream=stream,
        usage_in_stream=stream,  # this protocol always tells it
        max_tokens=max_tokens,
        temperature=_take(members, "temperature", _NUMBER),
        top_p=_take(members, "top_p", _NUMBER),
        top_k=_take(members, "top_k", _INTEGER),
        stop=tuple(stops or ()),
        tools=_tools(members),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        reasoning=_reasoning(members, effort),
        output=output,
        user=_user(members),
        service_tier=_take(members, "service_tier", _STRING),
        extra=_rest(members),
    )


def _take(members: Members, name: str, decoder: "msgspec.json.Decoder[T]") -> T | None:
    """Removes and decodes a member; null says no more than absence does."""
    raw = members.pop(name, None)
    if raw is None or not told(raw):
        return None
    return decode(decoder, raw, name)


def _rest(members: Members) -> tuple[tuple[str, Json], ...]:
    return tuple([(name, raw) for name, raw in members.items() if told(raw)])


def _turns(members: Members) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    system = members.pop("system", None)
    if system is not None and told(system):
        blocks = read_content(system, "system")
        if blocks:
            turns.append(Turn(Role.SYSTEM, blocks))
    messages = _take(members, "messages", _RAWS)
    if not messages:
        raise ShapeError("messages: at least one message is required")
    for place, raw in enumerate(messages):
        where = f"messages[{place}]"
        message = decode(_MESSAGE, raw, where)
        role = _ROLES.get(message.role)
        if role is None:
            raise ShapeError(f"{where}.role: must be user, assistant or system")
        turns.append(Turn(role, read_content(message.content, f"{where}.content")))
    return tuple(turns)


def _tools(members: Members) -> tuple[Tool | HostedTool, ...]:
    raws = _take(members, "tools", _RAWS) or []
    return tuple([_tool(raw, f"tools[{place}]") for place, raw in enumerate(raws)])


def _tool(raw: Raw, where: str) -> Tool | HostedTool:
    try:
        members = decode(_MEMBERS, raw, where)
        kind = _take(members, "type", _STRING) or "custom"
        if kind != "custom":
            return HostedTool(NAME, kind, raw)
        name = _take(members, "name", _STRING)
        cache = _take(members, "cache_control", _CACHE)
        description = _take(members, "description", _STRING)
        strict = _take(members, "strict", _FLAG)
    except ShapeError as error:
        message = str(error)
        raise ShapeError(message if message.startswith(where) else f"{where}.{message}") from error
    if not name:
        raise ShapeError(f"{where}.name: is missing")
    schema = members.pop("input_schema", None)
    return Tool(name, description, schema, strict, read_cache(cache), _rest(members))


def _tool_choice(choice: _Choice | None) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether calls may come in parallel."""
    if choice is None:
        return None, None
    mode = _MODES.get(choice.type)
    if mode is None:
        raise ShapeError("tool_choice.type: must be auto, any, tool or none")
    if mode is ToolChoiceMode.NAMED and not choice.name:
        raise ShapeError("tool_choice.name: is missing")
    disabled = choice.disable_parallel_tool_use
    name = choice.name if mode is ToolChoiceMode.NAMED else None
    return ToolChoice(mode, name), None if disabled is None else not disabled


def _reasoning(members: Members, effort: str | None) -> Reasoning | None:
    raw = members.get("thinking")
    thinking = _take(members, "thinking", _THINKING)
    if thinking is None:
        return None if effort is None else Reasoning(effort=effort)
    match thinking.type:
        case "enabled":
            return Reasoning(True, None, thinking.budget_tokens, effort, thinking.display)
        case "adaptive":
            return Reasoning(True, True, None, effort, thinking.display)
        case "disabled":
            return Reasoning(False, effort=effort)
        case _:
            if raw is not None:
                members["thinking"] = raw
            return None if effort is None else Reasoning(effort=effort)


def _output(members: Members) -> tuple[str | None, OutputFormat | None]:
    """Effort and format. The format may also stand in the older beta's `output_format`."""
    old_format = _take(members, "output_format", _FORMAT)
    config = _take(members, "output_config", _MEMBERS)
    if config is None:
        return None, _format(old_format)
    try:
        effort = _take(config, "effort", _STRING)
        new_format = _take(config, "format", _FORMAT)
    except ShapeError as error:
        raise ShapeError(f"output_config.{error}") from error
    rest = dict(_rest(config))
    if rest:
        members["output_config"] = Raw(msgspec.json.encode(rest))
    return effort, _format(new_format or old_format)


def _format(wire: _Format | None) -> OutputFormat | None:
    if wire is None:
        return None
    if wire.type != "json_schema":
        raise ShapeError("output_config.format.type: must be json_schema")
    if not told(wire.schema):
        raise ShapeError("output_config.format.schema: is missing")
    return OutputFormat(schema=wire.schema)


def _user(members: Members) -> str | None:
    metadata = _take(members, "metadata", _MEMBERS)
    if metadata is None:
        return None
    for name in OWN_METADATA:
        metadata.pop(name, None)
    try:
        user = _take(metadata, "user_id", _STRING)
    except ShapeError as error:
        raise ShapeError(f"metadata.{error}") from error
    rest = dict(_rest(metadata))
    if rest:
        members["metadata"] = Raw(msgspec.json.encode(rest))
    return user
