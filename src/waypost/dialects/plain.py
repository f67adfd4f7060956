"""The short way for what most calls are: texts, a limit, and nothing else.

A plain body is decoded at once into a type into which nothing more fits; so what is not plain is found out by its not
fitting, and goes the long way. Both ways give the same (`tests/dialects/test_plain.py`).
"""

from typing import Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from waypost.conversation.blocks import Role, Text
from waypost.conversation.request import Request
from waypost.dialects.duplicates import check_no_duplicates

T = TypeVar("T")
S = TypeVar("S", bound=Struct)
Members = dict[str, object]

MOST_PLAIN = 16_384  # bytes: in longer bodies the steps around the decoding no longer count, and a miss would

_encode = msgspec.json.Encoder().encode
_NOTHING: frozenset[bytes] = frozenset()
_ALWAYS_SAID = Request.__struct_fields__.index("top_p") + 1  # the members that a short way has to write itself
_NO_MORE = astuple(Request("", "", ()))[_ALWAYS_SAID:-1]  # the last is `store`, which asks for nothing if False
_SYSTEM = (Role.SYSTEM, Role.DEVELOPER)


class PlainPart(Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["text"]
    text: str


class PlainMessage(Struct, gc=False, forbid_unknown_fields=True):
    """As Anthropic and Cohere have it."""

    role: Literal["system", "user", "assistant"]
    content: str | tuple[PlainPart, ...]


def plainly(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T | None:
    """None for what does not fit, whatever is wrong with it."""
    if len(body) > MOST_PLAIN:
        return None
    try:
        if not body.isascii():
            body.decode()  # msgspec does not look into what it skips
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def plainly_asked(decoder: "msgspec.json.Decoder[S]", body: bytes) -> S | None:
    """As `plainly`, for a type that forbids unknown members and omits defaults.

    Refused(BAD_REQUEST) for a member that is there twice.
    """
    plain = plainly(decoder, body)
    if plain is None:
        return None
    # Unless a character may be escaped, what was told once is written again with as many quotation marks.
    if b"\\u" in body or _encode(plain).count(b'"') != body.count(b'"'):
        check_no_duplicates(body, _NOTHING)
    return plain


def said_plainly(request: Request) -> list[tuple[Role, str]] | None:
    """Who said what, if that, a model, a limit, a temperature and a `top_p` are all there is to write.

    At home `store` as well.
    """
    if request.store or astuple(request)[_ALWAYS_SAID:-1] != _NO_MORE:
        return None
    said: list[tuple[Role, str]] = []
    for turn in request.turns:
        if len(turn.blocks) != 1 or turn.extra or turn.name is not None:
            return None
        only = turn.blocks[0]
        if type(only) is not Text or only.cache is not None or only.citations:
            return None
        said.append((turn.role, only.text))
    return said


class Form(NamedTuple):
    """How a protocol of two speakers in turns writes a text: who they are, and what stands around it."""

    assistant: str
    content: str  # the member that holds the parts
    part: Members  # what a part holds beside its text
    opening: object  # what the user says before an assistant who speaks first


def in_turns(said: list[tuple[Role, str]], form: Form) -> tuple[list[Members], list[object]]:
    """What leading system turns say, and then the two in turns.

    Of a conversation of system turns alone the last is said by the user. Blank texts, which are refused, are left out.
    """
    assistant, content, common, opening = form
    system: list[Members] = []
    if said and said[0][0] in _SYSTEM:
        count = next((place for place, (role, _) in enumerate(said) if role not in _SYSTEM), len(said) - 1)
        system = [{**common, "text": text} for _, text in said[:count] if text.strip()]
        said = said[count:]
    turns: list[object] = []
    parts: list[Members] = []
    last = None
    for role, text in said:
        if not text.strip():
            continue
        name = assistant if role is Role.ASSISTANT else "user"
        part = {**common, "text": text}
        if name == last:
            parts.append(part)
            continue
        if last is None and name != "user":
            turns.append(opening)
        last, parts = name, [part]
        turns.append({"role": name, content: parts})
    return system, turns or [opening]
