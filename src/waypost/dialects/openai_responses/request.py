"""A Responses request read into the neutral form. Parameters nobody here knows are carried in `extra`.

What only the provider that keeps it could look up (an earlier response, a conversation, a prompt of the dashboard, an
answer to be fetched later) is refused: a request is only read to be written for somebody else.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import Json
from waypost.conversation.faults import ErrorKind, Refused
from waypost.conversation.request import (
    HostedTool,
    OutputFormat,
    Reasoning,
    Request,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    ToolForm,
)
from waypost.dialects.duplicates import check_no_duplicates
from waypost.dialects.openai_responses.forms import function_name, parameters_of
from waypost.dialects.openai_responses.input import PlainMessage, read_input, read_plain_input
from waypost.dialects.openai_responses.items import NO_SPACES, Spaces
from waypost.dialects.openai_responses.words import NAME
from waypost.dialects.plain import plainly_asked
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told

T = TypeVar("T")
Members = dict[str, Raw]

LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"


class _Choice(Struct, gc=False):
    type: str | None = None
    name: str | None = None


class _Format(Struct, gc=False):
    type: str | None = None
    name: str | None = None
    schema: Raw = ABSENT
    strict: bool | None = None
    description: str | None = None


class _PlainBody(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    model: str
    input: str | list[PlainMessage]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    store: bool | None = None


class _Body(Struct, gc=False):
    """What always has a neutral name, or none at all; null says no more than absence does."""

    model: str | None = None
    input: Raw = ABSENT
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    tools: list[Raw] | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    previous_response_id: Raw = ABSENT
    conversation: Raw = ABSENT
    prompt: Raw = ABSENT
    background: bool | None = None


_plain_decoder = Decoder(_PlainBody)
_body_decoder = Decoder(_Body)
_members_decoder = Decoder(Members)
_string = Decoder(str)
_boolean = Decoder(bool)
_strings = Decoder(list[str])
_raws = Decoder(list[Raw])
_choice_decoder = Decoder(str | _Choice)
_format_decoder = Decoder(_Format)

_MODES = {"auto": ToolChoiceMode.AUTO, "none": ToolChoiceMode.NONE, "required": ToolChoiceMode.ANY}
_NAMED = frozenset((*_Body.__struct_fields__, "waypost"))
_TAKEN = frozenset(("tool_choice", "reasoning", "text", "metadata", "include", "safety_identifier"))
_OUR_LABELS = frozenset(("task", "combination_id"))
_REMEDIES = {
    "previous_response_id": "send the whole conversation in `input`, let the route keep responses (`store_responses`)",
    "conversation": "send the whole conversation in `input`",
    "prompt": "send the prompt's text in `instructions` and `input`",
}

# Members whose values are carried as received, whatever they hold.
_VERBATIM = frozenset((b'"parameters"', b'"schema"'))


def read_request(body: bytes) -> Request:
    """Refused(BAD_REQUEST) names the member that is malformed, or that only the provider itself could serve."""
    plain = plainly_asked(_plain_decoder, body)
    if plain is not None and plain.model:
        return _read_plain(plain)
    try:
        check_text(body)
        seen = decode(_body_decoder, body, "")
        check_no_duplicates(body, _VERBATIM)
        return _read(seen, decode(_members_decoder, body, ""))
    except ShapeError as error:
        # That null is as good as absence helps nobody who meant to say something.
        raise Refused(ErrorKind.BAD_REQUEST, str(error).replace(" | null`", "`")) from error


def _read_plain(plain: _PlainBody) -> Request:
    return Request(
        NAME,
        plain.model,
        read_plain_input(plain.input, plain.instructions),
        plain.stream is True,
        True,
        plain.max_output_tokens,
        plain.temperature,
        plain.top_p,
        store=plain.store,
    )


def _read(seen: _Body, members: Members) -> Request:
    if not seen.model:
        raise ShapeError("model: is missing")
    _check_state(seen)
    if not told(seen.input) and not seen.instructions:
        raise ShapeError("input: is missing")
    rest = _Rest(members)
    if _TAKEN.isdisjoint(members):  # as of most plain calls
        return _request(seen, rest.rest())
    choice = rest.take("tool_choice", _read_choice)
    reasoning = rest.take_part("reasoning", _read_reasoning)
    output = rest.take_part("text", _read_text)
    rest.take_part("metadata", _read_our_metadata)
    included = rest.take("include", _read_include) or []
    asked = LOGPROBS in included
    user = seen.user or rest.take("safety_identifier", _read_string)
    others = [name for name in included if name not in (LOGPROBS, ENCRYPTED)]
    if others or ENCRYPTED in included:
        rest.put("include", [name for name in included if name != LOGPROBS])
    return msgspec.structs.replace(
        _request(seen, rest.rest()),
        logprobs=True if asked else None,
        tool_choice=choice,
        reasoning=reasoning,
        output=output,
        user=user,
    )


def _request(seen: _Body, extra: tuple[tuple[str, Json], ...]) -> Request:
    """What the members with a name of their own say, and `extra`."""
    tools: tuple[Tool | HostedTool, ...] = ()
    if seen.tools:
        tools = tuple([tool for i, raw in enumerate(seen.tools) for tool in _read_tools(raw, f"tools[{i}]")])
    return Request(
        dialect=NAME,
        model=seen.model or "",
        turns=read_input(seen.input, seen.instructions, _spaces(tools) if tools else NO_SPACES),
        stream=seen.stream is True,
        usage_in_stream=True,
        max_tokens=seen.max_output_tokens,
        temperature=seen.temperature,
        top_p=seen.top_p,
        top_logprobs=seen.top_logprobs,
        tools=tools,
        parallel_tool_calls=seen.parallel_tool_calls,
        user=seen.user or None,
        service_tier=seen.service_tier,
        extra=extra,
        store=seen.store,
    )


def _check_state(seen: _Body) -> None:
    if not (seen.previous_response_id or seen.conversation or seen.prompt or seen.background):
        return
    for name, remedy in _REMEDIES.items():
        if told(getattr(seen, name)):
            raise ShapeError(
                f"{name}: the provider chosen for this call has no access to it; {remedy}, or name a target that "
                "speaks this protocol"
            )
    if seen.background:
        raise ShapeError(
            "background: the provider chosen for this call answers at once; leave it out, or name a target that "
            "speaks this protocol"
        )


class _Rest:
    """Members that only some forms of have a neutral name: what is not taken is `extra`. null says nothing."""

    __slots__ = ("_left",)

    def __init__(self, members: Members) -> None:
        self._left = {name: raw for name, raw in members.items() if name not in _NAMED and told(raw)}

    def take(self, name: str, read: Callable[[Raw, str], T | None]) -> T | None:
        """Leaves the member if `read` can't say it."""
        raw = self._left.get(name)
        value = None if raw is None else read(raw, name)
        if value is not None:
            del self._left[name]
        return value

    def take_part(self, name: str, read: Callable[[Members], T | None]) -> T | None:
        """`read` takes of an object's members what it can say; the others stay."""
        raw = self._left.pop(name, None)
        if raw is None:
            return None
        members = decode(_members_decoder, raw, name)
        try:
            value = read(members)
        except ShapeError as error:
            raise ShapeError(f"{name}.{error}") from error
        if left := {key: held for key, held in members.items() if told(held)}:
            self.put(name, left)
        return value

    def put(self, name: str, value: object) -> None:
        self._left[name] = Raw(msgspec.json.encode(value))

    def rest(self) -> tuple[tuple[str, Json], ...]:
        return tuple(self._left.items())


def _take(members: Members, name: str, decoder: "Decoder[T]") -> T | None:
    """Removes and decodes a member; null says no more than absence does."""
    raw = members.pop(name, None)
    return None if raw is None or not told(raw) else decode(decoder, raw, name)


def _read_string(raw: Raw, name: str) -> str:
    return decode(_string, raw, name)


def _read_include(raw: Raw, name: str) -> list[str]:
    return decode(_strings, raw, name)


def _read_our_metadata(members: Members) -> None:
    """What is said to Waypost alone is for nobody else."""
    for label in _OUR_LABELS:
        members.pop(label, None)


def _read_tools(raw: Raw, where: str) -> "list[Tool] | list[HostedTool] | list[Tool | HostedTool]":
    """The tool itself, or those of the namespace that it is. One with hosted tools in it stays what it is."""
    tool = _read_tool(raw, where)
    if not isinstance(tool, HostedTool) or tool.kind != "namespace":
        return [tool]
    members = decode(_members_decoder, raw, where)
    try:
        namespace = _take(members, "name", _string)
        held = _take(members, "tools", _raws) or []
    except ShapeError as error:
        raise ShapeError(f"{where}.{error}") from error
    inner = [_read_tool(each, f"{where}.tools[{i}]") for i, each in enumerate(held)]
    functions = [each for each in inner if isinstance(each, Tool)]
    if not namespace or not functions or len(functions) != len(inner):
        return [tool]
    space = Raw(msgspec.json.encode({"type": "namespace", "name": namespace, **members}))
    return [_spaced(each, namespace, space) for each in functions]


def _spaces(tools: tuple[Tool | HostedTool, ...]) -> Spaces:
    forms = [tool.form for tool in tools if isinstance(tool, Tool) and tool.form is not None]
    return {form.namespace for form in forms if form.namespace is not None}


def _spaced(tool: Tool, namespace: str, space: Raw) -> Tool:
    custom = None if tool.form is None else tool.form.custom
    form = ToolForm(NAME, tool.name, namespace, space, custom)
    return msgspec.structs.replace(tool, name=function_name(namespace, tool.name), form=form)


def _read_tool(raw: Raw, where: str) -> Tool | HostedTool:
    members = decode(_members_decoder, raw, where)
    try:
        kind = _take(members, "type", _string) or "function"
        if kind not in ("function", "custom"):
            return HostedTool(NAME, kind, Json(bytes(raw)))
        name = _take(members, "name", _string)
        description = _take(members, "description", _string)
        strict = _take(members, "strict", _boolean)
    except ShapeError as error:
        raise ShapeError(f"{where}.{error}") from error
    if not name:
        raise ShapeError(f"{where}.name: is missing")
    if kind == "custom":
        custom = Json(bytes(raw))
        return Tool(name, description, parameters_of(custom), form=ToolForm(NAME, name, custom=custom))
    parameters = members.pop("parameters", ABSENT)
    return Tool(
        name,
        description,
        parameters if told(parameters) else None,
        strict,
        extra=tuple([(key, value) for key, value in members.items() if told(value)]),
    )


def _read_choice(raw: Raw, where: str) -> ToolChoice | None:
    """None for forms that the neutral one has no word for (`allowed_tools`, a hosted or custom tool)."""
    choice = decode(_choice_decoder, raw, where)
    if isinstance(choice, str):
        if choice not in _MODES:
            raise ShapeError(f"{where}: {choice!r} is not a choice")
        return ToolChoice(_MODES[choice])
    return ToolChoice(ToolChoiceMode.NAMED, choice.name) if choice.type == "function" and choice.name else None


def _read_reasoning(members: Members) -> Reasoning | None:
    effort, summary = _take(members, "effort", _string), _take(members, "summary", _string)
    if effort is None and summary is None:
        return None
    return Reasoning(enabled=False if effort == "none" else None, effort=effort, display=summary)


def _read_text(members: Members) -> OutputFormat | None:
    """The format; how many words to make stays. A plain text is what there is anyway."""
    raw = members.get("format", ABSENT)
    if not told(raw):
        return None
    form = decode(_format_decoder, raw, "format")
    match form.type:
        case "text":
            output = None
        case "json_object":
            output = OutputFormat()
        case "json_schema" if told(form.schema):
            output = OutputFormat(form.name, form.schema, form.strict, form.description)
        case "json_schema":
            raise ShapeError("format.schema: is missing")
        case _:
            return None
    del members["format"]
    return output
