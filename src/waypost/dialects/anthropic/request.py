"""A caller's Messages request → the neutral form. What has no neutral name stays in `extra`, as received.

Follows the Messages API as of the SDK's `MessageCreateParams`, betas included. Writing is in `request_out.py`.
"""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from waypost.conversation.blocks import Block, Json, Role, Text
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
from waypost.dialects.anthropic.blocks import WireCache, read_blocks, read_cache, read_content
from waypost.dialects.anthropic.words import NAME
from waypost.dialects.duplicates import check_no_duplicates
from waypost.dialects.plain import PlainMessage, PlainPart, plainly_asked
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told

T = TypeVar("T")
Members = dict[str, Raw]


class _PlainBody(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    model: Annotated[str, Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1)]
    messages: Annotated[tuple[PlainMessage, ...], Meta(min_length=1)]
    system: str | tuple[PlainPart, ...] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None


class _Message(Struct, frozen=True):
    role: str
    content: str | list[Raw]


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


class _Body(Struct, frozen=True):
    """What has a neutral name; null says no more than absence does."""

    model: str | None = None
    messages: list[_Message] | None = None
    max_tokens: int | None = None
    system: str | list[Raw] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[Raw] | None = None
    tool_choice: _Choice | None = None
    thinking: Raw = ABSENT
    output_config: Members | None = None
    output_format: _Format | None = None
    metadata: Members | None = None
    service_tier: str | None = None


_PLAIN = msgspec.json.Decoder(_PlainBody)
_BODY = msgspec.json.Decoder(_Body)
_MEMBERS = msgspec.json.Decoder(Members)
_STRING = msgspec.json.Decoder(str)
_FLAG = msgspec.json.Decoder(bool)
_CACHE = msgspec.json.Decoder(WireCache)
_THINKING = msgspec.json.Decoder(_Thinking)
_FORMAT = msgspec.json.Decoder(_Format)

_NAMED = frozenset((*_Body.__struct_fields__, "waypost"))

_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
_MODES = {
    "auto": ToolChoiceMode.AUTO,
    "any": ToolChoiceMode.ANY,
    "tool": ToolChoiceMode.NAMED,
    "none": ToolChoiceMode.NONE,
}
# These two are Waypost's own (the contract lists them); the rest of `metadata` is Anthropic's.
OWN_METADATA = ("task", "combination_id")

# Members whose values are carried as received, whatever they hold.
_VERBATIM = frozenset((b'"input"', b'"input_schema"', b'"schema"'))


def read_request(body: bytes) -> Request:
    """Raises Refused(BAD_REQUEST) that names the field."""
    plain = plainly_asked(_PLAIN, body)
    if plain is not None:
        return _read_plain(plain)
    try:
        if not body.isascii():
            check_text(body)
        seen = decode(_BODY, body, "")
        check_no_duplicates(body, _VERBATIM)
        return _read(seen, body)
    except ShapeError as error:
        # That null is as good as absence helps nobody who meant to say something.
        raise Refused(ErrorKind.BAD_REQUEST, str(error).replace(" | null`", "`")) from error


def _read_plain(plain: _PlainBody) -> Request:
    turns: list[Turn] = []
    blocks: tuple[Block, ...]
    if plain.system:
        turns.append(Turn(Role.SYSTEM, _said(plain.system)))
    for message in plain.messages:
        content = message.content
        if isinstance(content, str):  # no call for what most say
            blocks = (Text(content),) if content else ()
        elif len(content) == 1:
            blocks = (Text(content[0].text),)
        else:
            blocks = _said(content)
        turns.append(Turn(_ROLES[message.role], blocks))
    stream = plain.stream is True
    return Request(
        NAME,
        plain.model,
        tuple(turns),
        stream,
        stream,  # this protocol always tells usage in a stream
        plain.max_tokens,
        plain.temperature,
        plain.top_p,
    )


def _said(content: str | tuple[PlainPart, ...]) -> tuple[Block, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple([Text(part.text) for part in content])


def _read(body: _Body, raw: bytes) -> Request:
    if not body.model:
        raise ShapeError("model: is missing")
    if body.max_tokens is None:
        raise ShapeError("max_tokens: is missing")
    if body.max_tokens < 1:
        raise ShapeError("max_tokens: must be at least 1")
    members = _MEMBERS.decode(raw)
    rest = {} if _NAMED.issuperset(members) else {name: members[name] for name in members if name not in _NAMED}
    stream = body.stream is True
    choice, parallel = (None, None) if body.tool_choice is None else _tool_choice(body.tool_choice)
    effort = output = None
    if body.output_config is not None or body.output_format is not None:
        effort, output = _output(body, rest)
    return Request(
        NAME,
        body.model,
        _turns(body),
        stream,
        stream,  # this protocol always tells usage in a stream
        body.max_tokens,
        body.temperature,
        body.top_p,
        body.top_k,
        stop=tuple(body.stop_sequences) if body.stop_sequences else (),
        tools=_tools(body.tools) if body.tools else (),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        reasoning=_reasoning(body.thinking, effort, rest) if effort is not None or body.thinking else None,
        output=output,
        user=None if body.metadata is None else _user(body.metadata, rest),
        service_tier=body.service_tier,
        extra=_told_members(rest) if rest else (),
    )


def _take(members: Members, name: str, decoder: "msgspec.json.Decoder[T]") -> T | None:
    """Removes and decodes a member; null says no more than absence does."""
    raw = members.pop(name, None)
    if raw is None or not told(raw):
        return None
    return decode(decoder, raw, name)


def _told_members(members: Members) -> tuple[tuple[str, Json], ...]:
    return tuple([(name, raw) for name, raw in members.items() if told(raw)])


def _turns(body: _Body) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    if body.system:
        turns.append(Turn(Role.SYSTEM, read_content(body.system, "system")))
    if not body.messages:
        raise ShapeError("messages: at least one message is required")
    for place, message in enumerate(body.messages):
        role = _ROLES.get(message.role)
        if role is None:
            raise ShapeError(f"messages[{place}].role: must be user, assistant or system")
        content = message.content
        if isinstance(content, str):  # most are: no place to name, no call
            turns.append(Turn(role, (Text(content),) if content else ()))
        else:
            turns.append(Turn(role, read_blocks(content, f"messages[{place}].content")))
    return tuple(turns)


def _tools(raws: list[Raw]) -> tuple[Tool | HostedTool, ...]:
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
    return Tool(name, description, schema, strict, read_cache(cache), _told_members(members))


def _tool_choice(choice: _Choice) -> tuple[ToolChoice, bool | None]:
    """The choice, and whether calls may come in parallel."""
    mode = _MODES.get(choice.type)
    if mode is None:
        raise ShapeError("tool_choice.type: must be auto, any, tool or none")
    if mode is ToolChoiceMode.NAMED and not choice.name:
        raise ShapeError("tool_choice.name: is missing")
    disabled = choice.disable_parallel_tool_use
    name = choice.name if mode is ToolChoiceMode.NAMED else None
    return ToolChoice(mode, name), None if disabled is None else not disabled


def _reasoning(raw: Raw, effort: str | None, rest: Members) -> Reasoning | None:
    """Thinking of another type than these stays in `rest`, as received."""
    thinking = decode(_THINKING, raw, "thinking") if told(raw) else None
    match thinking:
        case _Thinking(type="enabled"):
            return Reasoning(True, None, thinking.budget_tokens, effort, thinking.display)
        case _Thinking(type="adaptive"):
            return Reasoning(True, True, None, effort, thinking.display)
        case _Thinking(type="disabled"):
            return Reasoning(False, effort=effort)
        case _Thinking():
            rest["thinking"] = raw
    return None if effort is None else Reasoning(effort=effort)


def _output(body: _Body, rest: Members) -> tuple[str | None, OutputFormat | None]:
    """Effort and format. The format may also stand in the older beta's `output_format`."""
    config = body.output_config
    if config is None:
        return None, _format(body.output_format)
    try:
        effort = _take(config, "effort", _STRING)
        new_format = _take(config, "format", _FORMAT)
    except ShapeError as error:
        raise ShapeError(f"output_config.{error}") from error
    _keep("output_config", config, rest)
    return effort, _format(new_format or body.output_format)


def _format(wire: _Format | None) -> OutputFormat | None:
    if wire is None:
        return None
    if wire.type != "json_schema":
        raise ShapeError("output_config.format.type: must be json_schema")
    if not told(wire.schema):
        raise ShapeError("output_config.format.schema: is missing")
    return OutputFormat(schema=wire.schema)


def _user(metadata: Members, rest: Members) -> str | None:
    for name in OWN_METADATA:
        metadata.pop(name, None)
    try:
        user = _take(metadata, "user_id", _STRING)
    except ShapeError as error:
        raise ShapeError(f"metadata.{error}") from error
    _keep("metadata", metadata, rest)
    return user


def _keep(name: str, left: Members, rest: Members) -> None:
    """What is left of a member of which something was taken."""
    told_members = dict(_told_members(left))
    if told_members:
        rest[name] = Raw(msgspec.json.encode(told_members))
