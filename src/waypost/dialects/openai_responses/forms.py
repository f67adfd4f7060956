"""Tools that are no plain functions, said as functions: those of a namespace, and custom ones, which take a text.

No other protocol knows either. A tool of a namespace is called by both names, a custom tool's text is the one member of
its arguments. Each keeps its `ToolForm`, so that its caller gets calls as it knows them (`form_writer.py`).
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.request import Request, Tool, ToolForm
from waypost.dialects.openai_responses.words import NAME

Forms = Mapping[str, ToolForm]  # by the names that the functions have
Members = dict[str, object]

NO_FORMS: Forms = MappingProxyType({})
_LONGEST_NAME = 64  # of a function, with the strictest of the other protocols
_INPUT = "The tool's input, as plain text."


class _Input(Struct, gc=False):
    input: str


class _Grammar(Struct, gc=False):
    type: str | None = None
    syntax: str | None = None
    definition: str | None = None


class _Custom(Struct, gc=False):
    format: _Grammar | None = None


_input_decoder = Decoder(_Input)
_custom_decoder = Decoder(_Custom)


def function_name(namespace: str | None, name: str) -> str:
    """The same for a tool and for all calls to it; as long as others take."""
    if not namespace:
        return name
    joined = f"{namespace}__{name}"
    if len(joined) <= _LONGEST_NAME:
        return joined
    digest = blake2b(joined.encode("utf-8", "replace"), digest_size=6).hexdigest()
    return f"{joined[: _LONGEST_NAME - 13]}_{digest}"


def parameters_of(custom: Raw) -> Raw:
    """The schema of a function that takes a custom tool's text. A grammar that it must follow is told in words."""
    described = _INPUT
    try:
        grammar = _custom_decoder.decode(custom).format
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        grammar = None
    if grammar is not None and grammar.definition:
        described += f" It must follow this grammar ({grammar.syntax or grammar.type}):\n{grammar.definition}"
    text = {"type": "string", "description": described}
    schema = {"type": "object", "properties": {"input": text}, "required": ["input"], "additionalProperties": False}
    return Raw(msgspec.json.encode(schema))


def arguments_of(text: str) -> str:
    """The arguments of a call to a custom tool."""
    return msgspec.json.encode({"input": text}).decode()


def text_of(arguments: str) -> str:
    """What a custom tool is given. Models err: what is no such arguments is the text itself."""
    try:
        return _input_decoder.decode(arguments.encode("utf-8", "replace")).input
    except msgspec.MsgspecError:
        return arguments


def forms_of(request: Request) -> Forms:
    found = {
        tool.name: tool.form
        for tool in request.tools
        if isinstance(tool, Tool) and tool.form is not None and tool.form.dialect == NAME
    }
    return found or NO_FORMS


def named(call: Members, form: ToolForm | None) -> Members:
    """The members of a call that say what is called."""
    if form is not None:
        call["name"] = form.name
        if form.namespace is not None:
            call["namespace"] = form.namespace
    return call


def grouped(tools: Sequence[tuple[ToolForm | None, object]]) -> list[object]:
    """Tools as they were: those of a namespace within it, in the order in which they came."""
    written: list[object] = []
    within: list[object] = []
    space: Raw | None = None
    for form, tool in tools:
        if form is None or form.space is None:
            space = None
            written.append(tool)
            continue
        if space != form.space:
            space, within = form.space, []
            written.append({**msgspec.json.decode(space, type=dict[str, Raw]), "tools": within})
        within.append(tool)
    return written
