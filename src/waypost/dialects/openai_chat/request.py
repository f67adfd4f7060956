"""A Chat Completions request read into the neutral form. Parameters nobody here knows are carried in `extra`.

Beside OpenAI's own parameters it reads what its many followers added for thinking: OpenRouter's `reasoning`, DeepSeek's
and Z.ai's `thinking`.
"""

from collections.abc import Callable
from typing import TypeVar

from msgspec import Raw, Struct, ValidationError
from msgspec.json import Decoder

from waypost.conversation.blocks import CacheMark, Json
from waypost.conversation.request import (
    HostedTool,
    OutputFormat,
    Reasoning,
    Request,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from waypost.dialects.json_edit import decode, refuse
from waypost.dialects.openai_chat.messages import decoded, read_messages
from waypost.dialects.openai_chat.words import NAME, NULL, NULL_TEXT

T = TypeVar("T")


class _StreamOptions(Struct, gc=False):
    include_usage: bool | None = None


class _Cache(Struct, gc=False):
    ttl: str | None = None


class _Named(Struct, gc=False):
    name: str


class _Choice(Struct, gc=False):
    type: str | None = None
    function: _Named | None = None
    name: str | None = None


class _Schema(Struct, gc=False):
    name: str | None = None
    schema: Raw = NULL
    strict: bool | None = None
    description: str | None = None


class _Format(Struct, gc=False):
    type: str | None = None
    json_schema: _Schema | None = None


class _Reasoning(Struct, gc=False):
    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None
    exclude: bool | None = None


class _Thinking(Struct, gc=False):
    type: str | None = None
    budget_tokens: int | None = None


_members_decoder = Decoder(dict[str, Raw])
_string = Decoder(str)
_boolean = Decoder(bool)
_integer = Decoder(int)
_number = Decoder(float)
_tools_decoder = Decoder(list[Raw])
_tool_decoder = Decoder(dict[str, Raw])
_stops_decoder = Decoder(str | list[str])
_choice_decoder = Decoder(str | _Choice)
_cache_decoder = Decoder(_Cache)
_format_decoder = Decoder(_Format)
_stream_options_decoder = Decoder(_StreamOptions)
_reasoning_decoder = Decoder(_Reasoning)
_thinking_decoder = Decoder(_Thinking)

_MODES = {
    "auto": ToolChoiceMode.AUTO,
    "none": ToolChoiceMode.NONE,
    "required": ToolChoiceMode.ANY,
    "any": ToolChoiceMode.ANY,
}
_OUR_LABELS = frozenset(("task", "combination_id"))


class _Members:
    """A request's members, each taken once; what is left over is `extra`. null says nothing."""

    __slots__ = ("_left",)

    def __init__(self, members: dict[str, Raw]) -> None:
        self._left = {name: raw for name, raw in members.items() if bytes(raw) != NULL_TEXT}

    def take(self, name: str, decoder: "Decoder[T]") -> T | None:
        raw = self._left.pop(name, None)
        return None if raw is None else decoded(decoder, raw, name)

    def take_raw(self, name: str) -> Raw | None:
        return self._left.pop(name, None)

    def take_if(self, name: str, read: Callable[[Raw], T | None]) -> T | None:
        """Leaves the member in `extra` if `read` can't say it all."""
        raw = self._left.get(name)
        value = None if raw is None else read(raw)
        if value is not None:
            del self._left[name]
        return value

    def rest(self) -> tuple[tuple[str, Json], ...]:
        return tuple(self._left.items())


def read_request(body: bytes) -> Request:
    """Refused(BAD_REQUEST) names the member that is malformed."""
    members = _Members(decode(_members_decoder, body))
    model = members.take("model", _string)
    messages = members.take_raw("messages")
    if not model:
        refuse("`model` is missing")
    if messages is None:
        refuse("`messages` is missing")
    members.take_raw("waypost")
    members.take_if("metadata", _read_our_metadata)
    stream_options = members.take("stream_options", _stream_options_decoder)
    newer, older = members.take("max_completion_tokens", _integer), members.take("max_tokens", _integer)
    tools, choice = _read_tools(members)
    return Request(
        dialect=NAME,
        model=model,
        turns=read_messages(messages),
        stream=members.take("stream", _boolean) or False,
        usage_in_stream=bool(stream_options and stream_options.include_usage),
        max_tokens=older if newer is None else newer,
        temperature=members.take("temperature", _number),
        top_p=members.take("top_p", _number),
        top_k=members.take("top_k", _integer),
        frequency_penalty=members.take("frequency_penalty", _number),
        presence_penalty=members.take("presence_penalty", _number),
        seed=members.take("seed", _integer),
        stop=_read_stops(members.take("stop", _stops_decoder)),
        choices=members.take("n", _integer),
        logprobs=members.take("logprobs", _boolean),
        top_logprobs=members.take("top_logprobs", _integer),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=members.take("parallel_tool_calls", _boolean),
        reasoning=_read_reasoning(members),
        output=members.take_if("response_format", _read_format),
        user=members.take("user", _string),
        service_tier=members.take("service_tier", _string),
        extra=members.rest(),
    )


def _read_our_metadata(raw: Raw) -> bool | None:
    """Metadata that only speaks to Waypost is for nobody else."""
    try:
        value = _tool_decoder.decode(raw)
    except ValidationError:
        return None
    return True if value and _OUR_LABELS.issuperset(value) else None


def _read_stops(stops: str | list[str] | None) -> tuple[str, ...]:
    return (stops,) if isinstance(stops, str) else tuple(stops or ())


def _read_tools(members: _Members) -> tuple[tuple[Tool | HostedTool, ...], ToolChoice | None]:
    """`tools` and their choice, or the `functions` and `function_call` that they replaced."""
    given = members.take("tools", _tools_decoder) or []
    tools = [_read_tool(raw, f"tools[{i}]") for i, raw in enumerate(given)]
    given = members.take("functions", _tools_decoder) or []
    tools += [_read_function(raw, f"functions[{i}]", {}) for i, raw in enumerate(given)]
    choice = members.take_if("tool_choice", _read_choice)
    legacy = members.take_if("function_call", _read_choice)
    return tuple(tools), choice or legacy


def _read_tool(raw: Raw, where: str) -> Tool | HostedTool:
    tool = decoded(_tool_decoder, raw, where)
    kind = decoded(_string, tool["type"], f"{where}.type") if "type" in tool else "function"
    if kind != "function":
        return HostedTool(NAME, kind, Json(bytes(raw)))
    if "function" not in tool:
        refuse(f"`{where}.function` is missing")
    return _read_function(tool["function"], f"{where}.function", tool)


def _read_function(raw: Raw, where: str, tool: dict[str, Raw]) -> Tool:
    function = decoded(_tool_decoder, raw, where)
    function = {name: value for name, value in function.items() if bytes(value) != NULL_TEXT}
    if "name" not in function:
        refuse(f"`{where}.name` is missing")
    description, strict = function.get("description"), function.get("strict")
    cache = tool.get("cache_control")
    known = ("name", "description", "parameters", "strict")
    return Tool(
        name=decoded(_string, function["name"], f"{where}.name"),
        description=None if description is None else decoded(_string, description, f"{where}.description"),
        parameters=function.get("parameters"),
        strict=None if strict is None else decoded(_boolean, strict, f"{where}.strict"),
        cache=None if cache is None else CacheMark(decoded(_cache_decoder, cache, f"{where}.cache_control").ttl),
        extra=tuple([(name, value) for name, value in function.items() if name not in known]),
    )


def _read_choice(raw: Raw) -> ToolChoice | None:
    """None for forms that the neutral one has no word for (`allowed_tools`, `custom`)."""
    choice = decoded(_choice_decoder, raw, "tool_choice")
    if isinstance(choice, str):
        if choice not in _MODES:
            refuse(f"`tool_choice`: {choice!r} is not a choice")
        return ToolChoice(_MODES[choice])
    name = choice.function.name if choice.function is not None else choice.name
    if choice.type in (None, "function") and name:
        return ToolChoice(ToolChoiceMode.NAMED, name)
    mode = _MODES.get(choice.type or "")
    return ToolChoice(mode) if mode is not None else None


def _read_format(raw: Raw) -> OutputFormat | None:
    form = decoded(_format_decoder, raw, "response_format")
    match form.type:
        case "json_object":
            return OutputFormat()
        case "json_schema" if form.json_schema is not None:
            schema = form.json_schema
            if bytes(schema.schema) == NULL_TEXT:
                return None
            return OutputFormat(schema.name, schema.schema, schema.strict, schema.description)
        case _:
            return None


def _read_reasoning(members: _Members) -> Reasoning | None:
    effort = members.take("reasoning_effort", _string)
    if effort is not None:
        return Reasoning(enabled=False if effort == "none" else None, effort=effort)
    return members.take_if("reasoning", _read_openrouter) or members.take_if("thinking", _read_thinking)


def _read_openrouter(raw: Raw) -> Reasoning | None:
    if not bytes(raw).startswith(b"{"):
        return None
    told = decoded(_reasoning_decoder, raw, "reasoning")
    return Reasoning(
        enabled=False if told.effort == "none" else told.enabled,
        budget_tokens=told.max_tokens,
        effort=told.effort,
        display="omitted" if told.exclude else None,
    )


def _read_thinking(raw: Raw) -> Reasoning | None:
    if not bytes(raw).startswith(b"{"):
        return None
    told = decoded(_thinking_decoder, raw, "thinking")
    if told.type not in ("enabled", "disabled", "adaptive", "auto"):
        return None
    automatic = told.type in ("adaptive", "auto")
    return Reasoning(enabled=told.type != "disabled", adaptive=automatic or None, budget_tokens=told.budget_tokens)
