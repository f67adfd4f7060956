"""A v2 chat request read into the neutral form. Parameters nobody here knows are carried in `extra`.

`documents` become documents of the user's last turn, so that a model elsewhere can read them too.
"""

from typing import Annotated

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import Block, Json, Text
from waypost.conversation.options import CallOptions
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
from waypost.dialects.cohere.content import read_document
from waypost.dialects.cohere.messages import ROLES, read_messages, with_documents
from waypost.dialects.cohere.words import NAME
from waypost.dialects.duplicates import check_no_duplicates
from waypost.dialects.json_edit import refuse
from waypost.dialects.plain import PlainMessage, plainly_asked
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told

OWN_METADATA = frozenset(("task", "combination_id"))  # said to us alone

Extra = list[tuple[str, Json]]


class _PlainBody(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    model: Annotated[str, Meta(min_length=1)]
    messages: tuple[PlainMessage, ...]
    stream: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    p: float | None = None


class _Thinking(Struct, gc=False):
    type: str | None = None
    token_budget: int | None = None


class _Format(Struct, gc=False):
    type: str | None = None
    json_schema: Raw = ABSENT
    schema: Raw = ABSENT


class _Body(Struct, gc=False):
    """What always has a neutral name; null says no more than absence does."""

    model: str | None = None
    messages: list[Raw] | None = None
    stream: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    p: float | None = None
    k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop_sequences: list[str] | None = None
    logprobs: bool | None = None
    tools: list[Raw] | None = None
    tool_choice: str | None = None
    waypost: CallOptions | None = None


class _Tool(Struct, gc=False):
    type: str | None = None
    function: Raw = ABSENT


class _Function(Struct, gc=False):
    name: str | None = None
    description: str | None = None
    parameters: Raw = ABSENT


_plain_decoder = Decoder(_PlainBody)
_body_decoder = Decoder(_Body)
_members_decoder = Decoder(dict[str, Raw])
_list_decoder = Decoder(list[Raw])
_boolean = Decoder(bool)
_thinking_decoder = Decoder(_Thinking)
_format_decoder = Decoder(_Format)
_tool_decoder = Decoder(_Tool)
_function_decoder = Decoder(_Function)

_MODES = {"REQUIRED": ToolChoiceMode.ANY, "NONE": ToolChoiceMode.NONE, "AUTO": ToolChoiceMode.AUTO}
_NAMED = frozenset(_Body.__struct_fields__)

# Members whose values are carried as received, whatever they hold.
_VERBATIM = frozenset((b'"arguments"', b'"parameters"', b'"json_schema"'))


def read_request(body: bytes) -> Request:
    """Refused(BAD_REQUEST) names the member that is malformed."""
    plain = plainly_asked(_plain_decoder, body)
    if plain is not None:
        return _read_plain(plain)
    try:
        return _read(body)
    except ShapeError as error:
        place, _, what = str(error).partition(": ")
        refuse(f"`{place}`: {what}" if what and place != "the body" else str(error))


def _read_plain(plain: _PlainBody) -> Request:
    turns: list[Turn] = []
    blocks: tuple[Block, ...]
    for message in plain.messages:
        content = message.content
        if isinstance(content, str):
            blocks = (Text(content),) if content else ()
        else:
            blocks = tuple([Text(part.text) for part in content if part.text])
        turns.append(Turn(ROLES[message.role], blocks))
    return Request(
        NAME,
        plain.model,
        tuple(turns),
        plain.stream is True,
        True,  # this protocol always tells usage in a stream
        plain.max_tokens,
        plain.temperature,
        plain.p,
    )


def _read(body: bytes) -> Request:
    if not body.isascii():
        check_text(body)
    seen = decode(_body_decoder, body, "")
    check_no_duplicates(body, _VERBATIM)
    if not seen.model:
        raise ShapeError("model: is missing")
    if seen.messages is None:
        raise ShapeError("messages: is missing")
    left = {name: raw for name, raw in decode(_members_decoder, body, "").items() if name not in _NAMED and told(raw)}
    turns = _take_documents(left, read_messages(seen.messages))
    _take_metadata(left)
    strict = decode(_boolean, left.pop("strict_tools"), "strict_tools") if "strict_tools" in left else None
    return Request(
        dialect=NAME,
        model=seen.model,
        turns=turns,
        stream=seen.stream is True,
        usage_in_stream=True,
        max_tokens=seen.max_tokens,
        temperature=seen.temperature,
        top_p=seen.p,
        top_k=seen.k,
        frequency_penalty=seen.frequency_penalty,
        presence_penalty=seen.presence_penalty,
        seed=seen.seed,
        stop=tuple(seen.stop_sequences or ()),
        logprobs=seen.logprobs,
        tools=tuple([_read_tool(raw, strict, f"tools[{i}]") for i, raw in enumerate(seen.tools or ())]),
        tool_choice=None if seen.tool_choice is None else _read_choice(seen.tool_choice),
        reasoning=_take_thinking(left),
        output=_take_format(left),
        extra=tuple([(name, Json(bytes(raw))) for name, raw in left.items()]),
    )


def _take_documents(left: dict[str, Raw], turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """They stay in `left` if there is no user to show them."""
    raw = left.get("documents")
    if raw is None:
        return turns
    documents = decode(_list_decoder, raw, "documents")
    blocks: list[Block] = [read_document(each, f"documents[{i}]") for i, each in enumerate(documents)]
    shown = with_documents(turns, tuple(blocks)) if blocks else turns
    if shown is None:
        return turns
    del left["documents"]
    return shown


def _take_metadata(left: dict[str, Raw]) -> None:
    """Metadata that only speaks to Waypost is for nobody else."""
    raw = left.get("metadata")
    if raw is not None and bytes(raw).startswith(b"{"):
        members = decode(_members_decoder, raw, "metadata")
        if OWN_METADATA.issuperset(members):
            del left["metadata"]


def _take_thinking(left: dict[str, Raw]) -> Reasoning | None:
    raw = left.get("thinking")
    if raw is None:
        return None
    thinking = decode(_thinking_decoder, raw, "thinking")
    if thinking.type not in ("enabled", "disabled", None):
        return None
    del left["thinking"]
    return Reasoning(enabled=thinking.type != "disabled", budget_tokens=thinking.token_budget)


def _take_format(left: dict[str, Raw]) -> OutputFormat | None:
    raw = left.get("response_format")
    if raw is None:
        return None
    form = decode(_format_decoder, raw, "response_format")
    if form.type not in ("text", "json_object"):
        return None
    del left["response_format"]
    if form.type == "text":
        return None
    for schema in (form.json_schema, form.schema):
        if told(schema):
            return OutputFormat(schema=Json(bytes(schema)))
    return OutputFormat()


def _read_tool(raw: Raw, strict: bool | None, where: str) -> Tool | HostedTool:
    tool = decode(_tool_decoder, raw, where)
    if tool.type not in (None, "function"):
        return HostedTool(NAME, tool.type, Json(bytes(raw)))
    if not told(tool.function):
        raise ShapeError(f"{where}.function: is missing")
    function = decode(_function_decoder, tool.function, f"{where}.function")
    if not function.name:
        raise ShapeError(f"{where}.function.name: is missing")
    parameters = Json(bytes(function.parameters)) if told(function.parameters) else None
    members = decode(_members_decoder, tool.function, f"{where}.function")
    extra: Extra = []
    if len(members) > 1:
        known = _Function.__struct_fields__
        extra = [(name, Json(bytes(value))) for name, value in members.items() if name not in known]
    return Tool(function.name, function.description, parameters, strict, extra=tuple(extra))


def _read_choice(word: str) -> ToolChoice:
    mode = _MODES.get(word.upper())
    if mode is None:
        raise ShapeError(f"tool_choice: {word!r} is not a choice")
    return ToolChoice(mode)
