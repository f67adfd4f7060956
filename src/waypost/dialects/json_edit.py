"""Surgery on a JSON object's top-level members: only the named spans change, every other byte stays.

Knows JSON's grammar (RFC 8259) and nothing of any dialect. What it is given to edit has been decoded once already
(`decode`), so it is well-formed; spans are found without building a value, in time linear in the bytes.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, NoReturn, TypeVar

import msgspec
from msgspec import Raw

from waypost.conversation.faults import ErrorKind, Refused
from waypost.dialects.places import HALF_SURROGATE, OUTERMOST, deepest, half_surrogate, place_of

T = TypeVar("T")

MOST_ASKED = 2**53  # of anything that is counted: beyond it JSON's numbers are not exact, and products can't be written
MOST_MEMBERS = 4096  # of one object: finding their spans takes a microsecond each, in which nobody else is served

LONG = 64 * 1024  # bytes of a conversation, from which on it pays not to walk it
_STAND_IN = b'"waypost: the conversation"'
_LARGE = 4096  # bytes, from which on it pays not to search the messages for names
_MOST_REPRINTED = 256 * 1024  # bytes: they may be nothing but members, each of which takes some hundred bytes of memory

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL)
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SPACE = re.compile(rb"[ \t\n\r]*")
_BARE = re.compile(rb"[^ \t\n\r,\]}]+")
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode
quote: Callable[[str], bytes] = _encode  # a text as a JSON string
_OPENING = b"{["
_COLONS = (b":", b": ")
_AFTER_VALUE = frozenset((b",", b"}", b" ", b"\n", b"\r", b"\t"))


class Member(NamedTuple):
    """One top-level member: `body[begin:end]` is `"name": value`, `body[value:end]` its value."""

    name: str
    begin: int
    value: int
    end: int


def refuse(message: str) -> NoReturn:
    raise Refused(ErrorKind.BAD_REQUEST, message)


def decode(decoder: "msgspec.json.Decoder[T]", body: bytes, *, is_text: bool = False) -> T:
    """Decodes a caller's bytes; whatever is wrong with them becomes Refused(BAD_REQUEST) that names the field.

    `is_text`: they are known to be UTF-8, which costs more to find out than all else.
    """
    try:
        if not is_text and not body.isascii():
            body.decode()  # msgspec does not look into what it skips
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        refuse(_named(str(error)))
    except msgspec.DecodeError as error:
        half = half_surrogate(body)
        if half is None:
            refuse(f"the body is not valid JSON: {error}")
        refuse(f"{_quoted(place_of(body, half))}: {HALF_SURROGATE}")
    except UnicodeDecodeError as error:
        refuse(f"{_quoted(place_of(body, error.start))}: not valid UTF-8 (byte {error.start})")
    except RecursionError:
        refuse(f"{_quoted(place_of(body, deepest(body)))}: nested too deeply")


def _quoted(place: str) -> str:
    return place if place == OUTERMOST else f"`{place}`"


def _named(message: str) -> str:
    """msgspec's "Expected `str`, got `int` - at `$.model`" → "`model`: Expected `str`, got `int`"."""
    what, _, where = message.partition(" - at `$")
    where = where.rstrip("`").lstrip(".")
    return f"`{where}`: {what}" if where else f"the body: {what}"


def members(body: bytes) -> list[Member]:
    """Every top-level member in order, duplicates included. Exact, and Refused(BAD_REQUEST) if this is no object."""
    found: list[Member] = []
    place = _skip_space(body, 0)
    if body[place : place + 1] != b"{":
        refuse("the body is not a JSON object")
    place = _skip_space(body, place + 1)
    if body[place : place + 1] == b"}":
        return found
    while True:
        key = _STRING.match(body, place)
        if key is None:
            refuse(f"the body is not valid JSON (byte {place})")
        colon = _skip_space(body, key.end())
        if body[colon : colon + 1] != b":":
            refuse(f"the body is not valid JSON (byte {colon})")
        value = _skip_space(body, colon + 1)
        end = value_end(body, value)
        if len(found) == MOST_MEMBERS:
            refuse(f"the body has an object of more than {MOST_MEMBERS} members where parameters are")
        found.append(Member(_spelt(key.group()), place, value, end))
        place = _skip_space(body, end)
        if body[place : place + 1] == b"}":
            return found
        if body[place : place + 1] != b",":
            refuse(f"the body is not valid JSON (byte {place})")
        place = _skip_space(body, place + 1)


def value_end(body: bytes, begin: int) -> int:
    """Where the value that begins at `begin` ends. No recursion: depth costs nothing."""
    first = body[begin : begin + 1]
    if first == b'"':
        string = _STRING.match(body, begin)
        if string is not None:
            return string.end()
    elif first and first in _OPENING:
        depth = 0
        for token in _TOKEN.finditer(body, begin):
            mark = body[token.start()]
            if mark == 0x7B or mark == 0x5B:
                depth += 1
            elif mark == 0x7D or mark == 0x5D:
                depth -= 1
                if depth == 0:
                    return token.end()
    else:
        bare = _BARE.match(body, begin)
        if bare is not None:
            return bare.end()
    refuse(f"the body is not valid JSON (byte {begin})")


class UniqueMembers(NamedTuple):
    """Members of which there may be only one; `spelt` finds their quoted names followed by a colon."""

    names: frozenset[str]
    spelt: "re.Pattern[bytes]"


def unique_members(*names: str) -> UniqueMembers:
    return UniqueMembers(frozenset(names), re.compile(rb'"(' + "|".join(names).encode() + rb')"[ \t\n\r]*:'))


def check_unique(body: bytes, unique: UniqueMembers, messages: Raw, called: bytes = b'"messages"') -> Collection[str]:
    """Refuses a body in which one of `unique` is a top-level member more than once. Gives those that may be there.

    `messages` is the value of the member that holds the conversation, empty if there is none; `called` is its name.
    """
    try:
        there = _decode_members(body) if len(body) <= _MOST_REPRINTED else None
    except (msgspec.DecodeError, UnicodeDecodeError):  # a name that can't be decoded; such are left to the provider
        there = None
    # Printed without space and each name once, it is shorter if it had any of these: then there is a doubt.
    if there is None or len(_encode(there)) != len(body):
        _search_twice(body, unique, messages, called)
    return unique.names if there is None else there


def _search_twice(body: bytes, unique: UniqueMembers, messages: Raw, called: bytes) -> None:
    """The names are searched without the messages if these are long; the whole is only walked if that finds a doubt."""
    rest = without(body, bytes(messages), called) if messages and len(body) > _LARGE else body
    found = unique.spelt.findall(rest)
    if len(found) == len(set(found)) and not _has_spelling_escape(rest):
        return
    seen: set[str] = set()
    for member in members(body):
        if member.name in seen and member.name in unique.names:
            refuse(f"`{member.name}` is given twice")
        seen.add(member.name)


def without(body: bytes, big: bytes, name: bytes) -> bytes:
    """`body` without its member `name` (quoted) of value `big`, if that is plainly where it seems; else all of it.

    The first spelling of the name might be a nested one with the same value; then the true one is still in the rest.
    """
    begin = body.find(name)
    if begin < 0:
        return body
    value = _skip_space(body, body.find(b":", begin + len(name)) + 1)
    if not body.startswith(big, value):
        return body
    rest = body[:begin] + body[value + len(big) :]
    return body if name in rest else rest


def edit_beside(body: bytes, big: Raw, name: bytes, edit: Callable[[bytes], bytes]) -> bytes:
    """`edit(body)`, which must leave the member `name` (quoted) alone, without a walk through its value `big`.

    A conversation of a megabyte takes ten milliseconds to be walked, and its place is known.
    """
    if len(big) <= LONG or _STAND_IN in body:
        return edit(body)
    whole = bytes(big)
    value = _skip_space(body, body.find(b":", body.find(name) + len(name)) + 1)
    if body.count(name) != 1 or not body.startswith(whole, value):  # it is not plainly where it seems
        return edit(body)
    return edit(body[:value] + _STAND_IN + body[value + len(whole) :]).replace(_STAND_IN, whole, 1)


def member_of(body: bytes, name: str) -> Member | None:
    """The top-level member `name`, exactly; Refused(BAD_REQUEST) if it is there twice."""
    if not may_hold(body, name):
        return None
    found = [member for member in members(body) if member.name == name]
    if len(found) > 1:
        refuse(f"`{name}` is given twice")
    return found[0] if found else None


def may_hold(body: bytes, name: str) -> bool:
    """False only if no member of `body` at any depth is called `name`, however spelt."""
    return b'"' + name.encode() + b'"' in body or _has_spelling_escape(body)


def _has_spelling_escape(body: bytes) -> bool:
    """Whether an escape spells a character that names are of: letters and "_"."""
    return b"\\u00" in body and (b"\\u006" in body or b"\\u007" in body or b"\\u005" in body or b"\\u004" in body)


def replace_value(body: bytes, name: str, old: bytes, new: bytes) -> bytes:
    """Sets the member `name`, known to be at the top level and to decode to `old`, a string or number, to `new` (JSON).

    The short way: its quoted name is in the body only once, unescaped, and so is where the member is.
    """
    quoted = b'"%b"' % name.encode()
    if body.count(quoted) == 1 and (b"\\u00" not in body or not _has_spelling_escape(body)):
        for colon in _COLONS:
            before, member, after = body.partition(quoted + colon + old)
            if member and after[:1] in _AFTER_VALUE:
                return b"%b%b%b%b%b" % (before, quoted, colon, new, after)
    return edit_members(body, {name: new})


def rename_model(body: bytes, old: bytes, new: bytes) -> bytes:
    """`replace_value` of the model alone, which nearly every call needs, and most write it in the same way."""
    if body.count(b'"model"') == 1 and b"\\u00" not in body:
        before, member, after = body.partition(b'"model":' + old)
        if member and after[:1] in _AFTER_VALUE:
            return b'%b"model":%b%b' % (before, new, after)
    return replace_value(body, "model", old, new)


def edit_members(body: bytes, changes: Mapping[str, bytes | None]) -> bytes:
    """Sets each member of `changes` to the JSON given, adds it at the front if absent, removes it where None.

    Names are of letters and "_" only, as those of all parameters are.

    Refused(BAD_REQUEST) if a member to change is there twice. Returns `body` itself if nothing had to change.
    """
    for name in changes:
        if may_hold(body, name):
            break
    else:
        return _with_front(body, [(name, value) for name, value in changes.items() if value is not None])
    found = members(body)
    touched = [member.name for member in found if member.name in changes]
    for name in touched:
        if touched.count(name) > 1:
            refuse(f"`{name}` is given twice")
    edited = _spliced(body, found, changes) if touched else body
    return _with_front(edited, [(name, v) for name, v in changes.items() if v is not None and name not in touched])


def _spliced(body: bytes, found: list[Member], changes: Mapping[str, bytes | None]) -> bytes:
    """A removed member takes the comma after it along; those at the end take the one after the last that stays."""
    kept = [i for i, member in enumerate(found) if changes.get(member.name, b"") is not None]
    last_kept = kept[-1] if kept else -1
    pieces: list[bytes] = []
    copied = 0
    for i, member in enumerate(found[: last_kept + 1]):
        if member.name not in changes:
            continue
        value = changes[member.name]
        if value is not None:
            pieces += (body[copied : member.value], value)
            copied = member.end
        else:
            pieces.append(body[copied : member.begin])
            copied = found[i + 1].begin
    if last_kept + 1 < len(found):
        pieces.append(body[copied : found[last_kept].end if kept else found[0].begin])
        copied = found[-1].end
    return b"".join([*pieces, body[copied:]])


def _with_front(body: bytes, new: list[tuple[str, bytes]]) -> bytes:
    if not new:
        return body
    added = b",".join([b'"' + name.encode() + b'":' + value for name, value in new])
    if body.startswith(b'{"'):
        return b"{" + added + b"," + body[1:]
    place = body.find(b"{") + 1
    if not place:
        refuse("the body is not a JSON object")
    after = _skip_space(body, place)
    comma = b"" if body[after : after + 1] == b"}" else b","
    return body[:place] + added + comma + body[place:]


def _skip_space(body: bytes, place: int) -> int:
    space = _SPACE.match(body, place)
    return space.end() if space else place


def _spelt(quoted: bytes) -> str:
    if b"\\" not in quoted:
        return quoted[1:-1].decode("utf-8", "replace")
    try:
        return msgspec.json.decode(quoted, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return refuse("the body has a member whose name is not valid JSON text")
