"""A caller's Converse request → the neutral form. What has no neutral name stays in `extra`, as received.

Follows `ConverseRequest` of the service's model (bedrock-runtime 2023-09-30); model and stream are told by the path.
Of `additionalModelRequestFields`, which are the model's own, the common ones are understood: Claude's thinking and
`top_k`, Nova's `reasoningConfig` and `topK`, `reasoning_effort`. Writing is in `request_out.py`.
"""

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from waypost.conversation.blocks import CacheMark, Role, Text
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
from waypost.dialects.bedrock.blocks import WireCache, read_blocks
from waypost.dialects.bedrock.words import NAME
from waypost.dialects.duplicates import check_no_duplicates
from waypost.dialects.plain import plainly_asked
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told

T = TypeVar("T")
Members = dict[str, Raw]


class _Message(Struct, frozen=True):
    role: str
    content: list[Raw]


class _Inference(Struct, frozen=True, rename="camel"):
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = None


class _ToolSpec(Struct, frozen=True, rename="camel"):
    name: str
    description: str | None = None
    input_schema: Members | None = None
    strict: bool | None = None


class _Tool(Struct, frozen=True, rename="camel"):
    tool_spec: _ToolSpec | None = None
    cache_point: WireCache | None = None


class _Named(Struct, frozen=True):
    name: str


class _ToolChoice(Struct, frozen=True):
    auto: Members | None = None
    any: Members | None = None
    tool: _Named | None = None


class _ToolConfig(Struct, frozen=True, rename="camel"):
    tools: list[Raw] | None = None
    tool_choice: _ToolChoice | None = None


class _Schema(Struct, frozen=True):
    schema: str
    name: str | None = None
    description: str | None = None


class _Structure(Struct, frozen=True, rename="camel"):
    json_schema: _Schema


class _Format(Struct, frozen=True):
    type: str
    structure: _Structure


class _Output(Struct, frozen=True, rename="camel"):
    text_format: _Format | None = None
    effort: str | None = None


class _Tier(Struct, frozen=True):
    type: str


class _Body(Struct, frozen=True, rename="camel"):
    """What has a neutral name; null says no more than absence does."""

    messages: list[_Message] | None = None
    system: list[Raw] | None = None
    inference_config: _Inference | None = None
    tool_config: _ToolConfig | None = None
    additional_model_request_fields: Members | None = None
    output_config: _Output | None = None
    service_tier: _Tier | None = None


class _PlainBlock(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    text: str


class _PlainMessage(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    role: Literal["user", "assistant"]
    content: tuple[_PlainBlock, ...]


class _PlainInference(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: float | None = None
    top_p: float | None = None


class _PlainBody(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    messages: Annotated[list[_PlainMessage], Meta(min_length=1)]
    system: tuple[_PlainBlock, ...] | None = None
    inference_config: _PlainInference | None = None


class _Thinking(Struct, frozen=True):
    type: str
    budget_tokens: int | None = None
    display: str | None = None
    max_reasoning_effort: str | None = msgspec.field(default=None, name="maxReasoningEffort")


class _OneCall(Struct, frozen=True):
    type: str
    disable_parallel_tool_use: bool


_PLAIN = msgspec.json.Decoder(_PlainBody)
_BODY = msgspec.json.Decoder(_Body)
_MEMBERS: msgspec.json.Decoder[Members] = msgspec.json.Decoder(Members)
_TOOL = msgspec.json.Decoder(_Tool)
_THINKING = msgspec.json.Decoder(_Thinking)
_ONE_CALL = msgspec.json.Decoder(_OneCall)
_COUNT = msgspec.json.Decoder(int)
_STRING = msgspec.json.Decoder(str)

_NAMED = frozenset((*_Body.__struct_encode_fields__, "waypost"))
_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
_FIELDS = "additionalModelRequestFields"
# These two are Waypost's own (the contract lists them); the rest of `requestMetadata` is the caller's.
OWN_METADATA = ("task", "combination_id")

# Members whose values are carried as received, whatever they hold.
_VERBATIM = frozenset((b'"input"', b'"inputSchema"'))


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
    if plain.system:
        turns.append(Turn(Role.SYSTEM, _texts(plain.system)))
    for message in plain.messages:
        blocks = _texts(message.content)
        turns.append(Turn(_ROLES[message.role], blocks))
    inference = plain.inference_config
    if inference is None:
        return Request(NAME, "", tuple(turns), False, True)
    return Request(NAME, "", tuple(turns), False, True, inference.max_tokens, inference.temperature, inference.top_p)


def _texts(blocks: tuple[_PlainBlock, ...]) -> tuple[Text, ...]:
    if len(blocks) == 1:  # as most have
        return (Text(blocks[0].text),)
    return tuple([Text(block.text) for block in blocks])


def _read(body: _Body, raw: bytes) -> Request:
    members = _MEMBERS.decode(raw)
    rest = {name: value for name, value in members.items() if name not in _NAMED and told(value)}
    _take_own_metadata(rest)
    fields = dict(body.additional_model_request_fields or {})
    inference = body.inference_config or _Inference()
    if inference.max_tokens is not None and inference.max_tokens < 1:
        raise ShapeError("inferenceConfig.maxTokens: must be at least 1")
    output = body.output_config or _Output()
    request = Request(
        dialect=NAME,
        model="",
        turns=_turns(body),
        usage_in_stream=True,  # this protocol always tells usage in a stream
        max_tokens=inference.max_tokens,
        temperature=inference.temperature,
        top_p=inference.top_p,
        top_k=_take_top_k(fields),
        stop=tuple(inference.stop_sequences or ()),
        tools=_tools(body.tool_config.tools or []) if body.tool_config else (),
        tool_choice=_tool_choice(body.tool_config.tool_choice) if body.tool_config else None,
        parallel_tool_calls=_take_parallel(fields),
        reasoning=_take_reasoning(fields, output.effort),
        output=None if output.text_format is None else _format(output.text_format),
        service_tier=None if body.service_tier is None else body.service_tier.type,
    )
    if fields:
        rest[_FIELDS] = Raw(msgspec.json.encode(fields))
    return msgspec.structs.replace(request, extra=tuple(rest.items())) if rest else request


def _turns(body: _Body) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    if body.system:
        turns.append(Turn(Role.SYSTEM, read_blocks(body.system, "system")))
    if not body.messages:
        raise ShapeError("messages: at least one message is required")
    for place, message in enumerate(body.messages):
        role = _ROLES.get(message.role)
        if role is None:
            raise ShapeError(f"messages[{place}].role: must be user or assistant")
        answer = role is Role.ASSISTANT
        turns.append(
            Turn(role, read_blocks(message.content, f"messages[{place}].content", answer=answer, replayed=answer))
        )
    return tuple(turns)


def _tools(raws: list[Raw]) -> tuple[Tool | HostedTool, ...]:
    tools: list[Tool | HostedTool] = []
    for place, raw in enumerate(raws):
        where = f"toolConfig.tools[{place}]"
        wire = decode(_TOOL, raw, where)
        if wire.tool_spec is not None:
            tools.append(_tool(wire.tool_spec, where))
            continue
        mark = wire.cache_point
        before = tools[-1] if tools else None
        if mark is not None and isinstance(before, Tool) and before.cache is None:
            tools[-1] = msgspec.structs.replace(before, cache=CacheMark(mark.ttl))
            continue
        kinds = [name for name, value in decode(_MEMBERS, raw, where).items() if told(value)]
        if len(kinds) != 1:
            raise ShapeError(f"{where}: must have exactly one member")
        tools.append(HostedTool(NAME, kinds[0], raw))
    return tuple(tools)


def _tool(spec: _ToolSpec, where: str) -> Tool:
    if not spec.name:
        raise ShapeError(f"{where}.toolSpec.name: is empty")
    schema = (spec.input_schema or {}).get("json", ABSENT)
    return Tool(spec.name, spec.description, schema if told(schema) else None, spec.strict)


def _tool_choice(choice: _ToolChoice | None) -> ToolChoice | None:
    if choice is None:
        return None
    if choice.tool is not None:
        return ToolChoice(ToolChoiceMode.NAMED, choice.tool.name)
    if choice.any is not None:
        return ToolChoice(ToolChoiceMode.ANY)
    if choice.auto is not None:
        return ToolChoice(ToolChoiceMode.AUTO)
    raise ShapeError("toolConfig.toolChoice: must be auto, any or tool")


def _format(wire: _Format) -> OutputFormat:
    """The schema is JSON within a text."""
    schema = wire.structure.json_schema
    where = "outputConfig.textFormat.structure.jsonSchema.schema"
    if wire.type != "json_schema":
        raise ShapeError("outputConfig.textFormat.type: must be json_schema")
    raw = schema.schema.encode("utf-8", "surrogatepass")
    decode(_MEMBERS, raw, where)
    return OutputFormat(schema.name, Raw(raw), description=schema.description)


def _decoded(decoder: "msgspec.json.Decoder[T]", raw: Raw | None) -> T | None:
    """One of a model's own fields: what is not as it is known here may be right for a model that is not."""
    if raw is None:
        return None
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _members(raw: Raw | None) -> Members:
    found = _decoded(_MEMBERS, raw)
    return {} if found is None else found


def _take_top_k(fields: Members) -> int | None:
    top_k = _decoded(_COUNT, fields.get("top_k"))
    if top_k is not None:
        del fields["top_k"]
        return top_k
    inference = _members(fields.get("inferenceConfig"))
    top_k = _decoded(_COUNT, inference.pop("topK", None))
    if top_k is not None:
        _put_back(fields, "inferenceConfig", inference)
    return top_k


def _put_back(members: Members, name: str, left: Members) -> None:
    """What is left of a member of which something was taken."""
    if left:
        members[name] = Raw(msgspec.json.encode(left))
    else:
        members.pop(name, None)


def _take_parallel(fields: Members) -> bool | None:
    """How Claude is told to make one call at a time; with a choice of its own it stays as it is."""
    one = _decoded(_ONE_CALL, fields.get("tool_choice"))
    if one is None or one.type != "auto":
        return None
    del fields["tool_choice"]
    return not one.disable_parallel_tool_use


def _take_reasoning(fields: Members, effort: str | None) -> Reasoning | None:
    """Claude's `thinking` (`reasoning_config` is its older name here), Nova's `reasoningConfig`, an effort alone."""
    for name in ("thinking", "reasoning_config", "reasoningConfig"):
        thinking = _decoded(_THINKING, fields.get(name))
        if thinking is not None and thinking.type in ("enabled", "adaptive", "disabled"):
            del fields[name]
            break
    else:
        thinking = None
    effort = (thinking and thinking.max_reasoning_effort) or effort or _take_effort(fields)
    if thinking is None:
        return None if effort is None else Reasoning(effort=effort)
    if thinking.type == "disabled":
        return Reasoning(False, effort=effort)
    adaptive = True if thinking.type == "adaptive" else None
    return Reasoning(True, adaptive, thinking.budget_tokens, effort, thinking.display)


def _take_effort(fields: Members) -> str | None:
    effort = _decoded(_STRING, fields.get("reasoning_effort"))
    if effort is not None:
        del fields["reasoning_effort"]
        return effort
    config = _members(fields.get("output_config"))
    effort = _decoded(_STRING, config.pop("effort", None))
    if effort is not None:
        _put_back(fields, "output_config", config)
    return effort


def _take_own_metadata(rest: Members) -> None:
    metadata = _members(rest.get("requestMetadata"))
    own = [metadata.pop(name) for name in OWN_METADATA if name in metadata]
    if own:
        _put_back(rest, "requestMetadata", metadata)
