"""A Chat Completions request read into the neutral form. Parameters nobody here knows are carried in `extra`.

Beside OpenAI's own parameters it reads what its many followers added for thinking: OpenRouter's `reasoning`, DeepSeek's
and Z.ai's `thinking`.
"""

from collections.abc import Callable
from typing import TypeVar

from msgspec import Raw, Struct, ValidationError
from msgspec.json import Decoder

from waypost.conversation.blocks import CacheMark, Json, Role, Text
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
from waypost.dialects.duplicates import check_no_duplicates
from waypost.dialects.json_edit import decode, refuse
from waypost.dialects.openai_chat.messages import decoded, read_messages
from waypost.dialects.openai_chat.words import NAME, NULL, NULL_TEXT
from waypost.dialects.plain import plainly_asked

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


class _PlainOptions(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    include_usage: bool | None = None


class _PlainMessage(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    role: Role
    content: str


class _PlainBody(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    model: str
    messages: list[_PlainMessage]
    stream: bool | None = None
    stream_options: _PlainOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    store: bool | None = None


class _Body(Struct, gc=False):
    """What always has a neutral name; null says no more than absence does."""

    model: str | None = None
    messages: Raw = NULL
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[Raw] | None = None
    functions: list[Raw] | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    user: str | None = None
    service_tier: str | None = None
    store: bool | None = None


_plain_decoder = Decoder(_PlainBody)
_body_decoder = Decoder(_Body)
_members_decoder = Decoder(dict[str, Raw])
_string = Decoder(str)
_boolean = Decoder(bool)
_tool_decoder = Decoder(dict[str, Raw])
_choice_decoder = Decoder(str | _Choice)
_cache_decoder = Decoder(_Cache)
_format_decoder = Decoder(_Format)
_reasoning_decoder = Decoder(_Reasoning)
_thinking_decoder = Decoder(_Thinking)

_MODES = {
    "auto": ToolChoiceMode.AUTO,
    "none": ToolChoiceMode.NONE,
    "required": ToolChoiceMode.ANY,
    "any": ToolChoiceMode.ANY,
}
_NAMED = frozenset((*_Body.__struct_fields__, "waypost"))
# Members whose values are carried as received, whatever they hold.
_VERBATIM = frozenset((b'"arguments"', b'"parameters"', b'"schema"'))
_OUR_LABELS = frozenset(("task", "combination_id"))


class _Rest:
    """Members that only some forms of have a neutral name: what is not taken is `extra`. null says nothing."""

    __slots__ = ("_left",)

    def __init__(self, members: dict[str, Raw]) -> None:
        self._left = {name: raw for name, raw in members.items() if name not in _NAMED and bytes(raw) != NULL_TEXT}

    def take_if(self, name: str, read: Callable[[Raw], T | None]) -> T | None:
        """Leaves the member if `read` can't say it all."""
        raw = self._left.get(name)
        value = None if raw is None else read(raw)
        if value is not None:
            del self._left[name]
        return value

    def rest(self) -> tuple[tuple[str, Json], ...]:
        return tuple(self._left.items())


def read_request(body: bytes) -> Request:
    """Refused(BAD_REQUEST) names the member that is malformed."""
    plain = plainly_asked(_plain_decoder, body)
    if plain is not None and plain.model:
        return _read_plain(plain)
    seen = decode(_body_decoder, body)
    check_no_duplicates(body, _VERBATIM)
    if not seen.model:
        refuse("`model` is missing")
    if seen.messages is NULL or bytes(seen.messages) == NULL_TEXT:
        refuse("`messages` is missing")
    members = decode(_members_decoder, body)
    effort, options = seen.reasoning_effort, seen.stream_options
    reasoning = None if effort is None else Reasoning(enabled=False if effort == "none" else None, effort=effort)
    choice = output = None
    extra: tuple[tuple[str, Json], ...] = ()
    if not _NAMED.issuperset(members):
        rest = _Rest(members)
        rest.take_if("metadata", _read_our_metadata)
        choice, legacy = rest.take_if("tool_choice", _read_choice), rest.take_if("function_call", _read_choice)
        choice = choice or legacy
        reasoning = reasoning or rest.take_if("reasoning", _read_openrouter) or rest.take_if("thinking", _read_thinking)
        output = rest.take_if("response_format", _read_format)
        extra = rest.rest()
    return Request(
        NAME,
        seen.model,
        read_messages(seen.messages),
        seen.stream is True,
        options is not None and options.include_usage is True,
        seen.max_tokens if seen.max_completion_tokens is None else seen.max_completion_tokens,
        seen.temperature,
        seen.top_p,
        seen.top_k,
        seen.frequency_penalty,
        seen.presence_penalty,
        seen.seed,
        (seen.stop,) if isinstance(seen.stop, str) else tuple(seen.stop or ()),
        seen.n,
        seen.logprobs,
        seen.top_logprobs,
        _read_tools(seen) if seen.tools or seen.functions else (),
        choice,
        seen.parallel_tool_calls,
        reasoning,
        output,
        seen.user,
        seen.service_tier,
        extra,
        seen.store,
    )


def _read_plain(plain: _PlainBody) -> Request:
    options = plain.stream_options
    return Request(
        NAME,
        plain.model,
        tuple([Turn(said.role, (Text(said.content),) if said.content else ()) for said in plain.messages]),
        plain.stream is True,
        options is not None and options.include_usage is True,
        plain.max_tokens if plain.max_completion_tokens is None else plain.max_completion_tokens,
        plain.temperature,
        plain.top_p,
        store=plain.store,
    )


def _read_our_metadata(raw: Raw) -> bool | None:
    """Metadata that only speaks to Waypost is for nobody else."""
    try:
        value = _tool_decoder.decode(raw)
    except ValidationError:
        return None
    return True if value and _OUR_LABELS.issuperset(value) else None


def _read_tools(seen: _Body) -> tuple[Tool | HostedTool, ...]:
    """`tools`, and the `functions` that they replaced."""
    tools = [_read_tool(raw, f"tools[{i}]") for i, raw in enumerate(seen.tools or ())]
    tools += [_read_function(raw, f"functions[{i}]", {}) for i, raw in enumerate(seen.functions or ())]
    return tuple(tools)


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
