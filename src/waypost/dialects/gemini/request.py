"""A caller's GenerateContentRequest → the neutral form. What has no neutral name stays in `extra`, as received.

Follows the Gemini API's v1beta reference and Vertex's, in both spellings of each name. The model and whether to stream
stand in the path: both stay unsaid here. Writing is in `request_out.py`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from waypost.conversation.blocks import Block, Json, Role, Text, ToolCall
from waypost.conversation.faults import ErrorKind, Refused
from waypost.conversation.request import Request, ToolChoice, Turn
from waypost.dialects.duplicates import check_no_duplicates
from waypost.dialects.gemini.config import Config, read_config
from waypost.dialects.gemini.parts import PartReader
from waypost.dialects.gemini.tools import read_tool_config, read_tools
from waypost.dialects.gemini.wire_json import Members, listed, members_of, take
from waypost.dialects.gemini.words import NAME, call_id
from waypost.dialects.plain import plainly_asked
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode


class _Content(Struct, gc=False):
    role: str | None = None
    parts: Raw = ABSENT


class _PlainPart(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    text: str


class _PlainContent(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    parts: tuple[_PlainPart, ...]
    role: Literal["user", "model"] | None = None


class _PlainConfig(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: float | None = None
    top_p: float | None = None


class _PlainBody(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    contents: Annotated[list[_PlainContent], Meta(min_length=1)]
    system_instruction: _PlainContent | None = None
    generation_config: _PlainConfig | None = None
    safety_settings: None = None
    tools: None = None
    tool_config: None = None
    model: str | None = None


_PLAIN = msgspec.json.Decoder(_PlainBody)
_CONTENT = msgspec.json.Decoder(_Content)
_STRING = msgspec.json.Decoder(str)
KNOWN = frozenset(
    (
        *(
            "contents",
            "systemInstruction",
            "generationConfig",
            "tools",
            "toolConfig",
            "safetySettings",
            "cachedContent",
        ),
        *("cachedContent", "serviceTier", "labels", "modelArmorConfig", "waypost"),
    )
)
_ROLES = {
    None: Role.USER,
    "": Role.USER,
    "user": Role.USER,
    "model": Role.ASSISTANT,
    "function": Role.USER,  # older clients' role for results
    "tool": Role.USER,
}

# Members whose values are carried as received, whatever they hold.
_VERBATIM = frozenset((b'"args"', b'"parametersJsonSchema"', b'"responseJsonSchema"'))


def read_request(body: bytes) -> Request:
    """Raises Refused(BAD_REQUEST) that names the field."""
    plain = plainly_asked(_PLAIN, body)
    if plain is not None:
        return _read_plain(plain)
    try:
        if not body.isascii():
            check_text(body)
        members = members_of(body, "", KNOWN)
        check_no_duplicates(body, _VERBATIM)
        return _read(members)
    except ShapeError as error:
        # That null is as good as absence helps nobody who meant to say something.
        raise Refused(ErrorKind.BAD_REQUEST, str(error).replace(" | null`", "`")) from error


def _read_plain(plain: _PlainBody) -> Request:
    turns: list[Turn] = []
    system, config = plain.system_instruction, plain.generation_config
    if system is not None and (blocks := _texts(system.parts)):
        turns.append(Turn(Role.SYSTEM, blocks))
    for content in plain.contents:
        blocks = _texts(content.parts)
        turns.append(Turn(_ROLES[content.role], blocks))
    if config is None:
        return Request(NAME, "", tuple(turns), False, True)
    return Request(NAME, "", tuple(turns), False, True, config.max_output_tokens, config.temperature, config.top_p)


def _texts(parts: tuple[_PlainPart, ...]) -> tuple[Text, ...]:
    if len(parts) == 1 and (text := parts[0].text):  # as most have
        return (Text(text),)
    return tuple([Text(part.text) for part in parts if part.text])


def _read(members: Members) -> Request:
    members.pop("waypost", None)
    members.pop("model", None)  # Google's own clients repeat it, as "models/…"; the path decides
    system = _system(members.pop("systemInstruction", ABSENT))
    contents = listed(members.pop("contents", ABSENT), "contents")
    if not contents:
        raise ShapeError("contents: at least one content is required")
    raw_config = members.pop("generationConfig", None)
    config = read_config(raw_config) if raw_config is not None else Config()
    tools = read_tools(members.pop("tools", ABSENT))
    choice: ToolChoice | None = None
    left: list[tuple[str, Json]] = []
    raw_choice = members.pop("toolConfig", None)
    if raw_choice is not None:
        choice, left = read_tool_config(raw_choice)
    tier = take(members, "serviceTier", _STRING)
    extra = [(name, raw) for name, raw in members.items() if bytes(raw) not in (b"[]", b"{}")]
    return Request(
        NAME,
        "",
        (*system, *_Turns().read(contents)),
        False,
        True,  # this protocol always tells usage in a stream
        config.max_tokens,
        config.temperature,
        config.top_p,
        config.top_k,
        config.frequency_penalty,
        config.presence_penalty,
        config.seed,
        config.stop,
        config.choices,
        config.logprobs,
        config.top_logprobs,
        tools,
        choice,
        None,
        config.reasoning,
        config.output,
        None,
        tier,
        (*extra, *config.extra, *left),
    )


def _system(raw: Raw) -> tuple[Turn, ...]:
    if not raw:
        return ()
    if bytes(raw).startswith(b'"'):
        text = decode(_STRING, raw, "systemInstruction")
        return (Turn(Role.SYSTEM, (Text(text),)),) if text else ()
    content = decode(_CONTENT, raw, "systemInstruction")
    reader = PartReader(lambda name, _: name, lambda name: name)
    where = "systemInstruction.parts"
    blocks = reader.read(listed(content.parts, where), where)
    return (Turn(Role.SYSTEM, tuple(blocks)),) if blocks else ()


class _Turns:
    """Reads turn after turn, and remembers the calls that wait for their results: these are told by name and order."""

    __slots__ = ("_calls", "_turn", "_waiting")

    def __init__(self) -> None:
        self._turn = 0
        self._calls = 0  # of the turn
        self._waiting: list[ToolCall] = []

    def read(self, contents: list[Raw]) -> list[Turn]:
        reader = PartReader(self._call_id, self._result_id, returned=True)
        turns: list[Turn] = []
        for place, raw in enumerate(contents):
            where = f"contents[{place}]"
            content = decode(_CONTENT, raw, where)
            if content.role not in _ROLES:
                raise ShapeError(f"{where}.role: must be user or model")
            role = _ROLES[content.role]
            self._turn, self._calls = place, 0
            at = f"{where}.parts"
            blocks: list[Block] = reader.read(listed(content.parts, at), at)
            if role is Role.ASSISTANT:
                self._waiting = [block for block in blocks if isinstance(block, ToolCall)]
            turns.append(Turn(role, tuple(blocks)))
        return turns

    def _call_id(self, name: str, arguments: str) -> str:
        self._calls += 1
        return call_id("turn", self._turn, self._calls, name)

    def _result_id(self, name: str) -> str:
        """The first of the waiting calls of that name, once each."""
        for place, call in enumerate(self._waiting):
            if call.name == name:
                return self._waiting.pop(place).id
        return call_id("result", self._turn, name)
