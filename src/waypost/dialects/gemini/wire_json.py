"""Members as Google spells them.

It takes each member by its name in camelCase and in snake_case, and one value where a list of them belongs.
"""

from collections.abc import Collection
from typing import TypeVar

import msgspec
from msgspec import Raw

from waypost.dialects.wire_json import ShapeError, decode, told

T = TypeVar("T")
Members = dict[str, Raw]

_NULL = Raw(b"null")
_MEMBERS = msgspec.json.Decoder(Members)
_LIST = msgspec.json.Decoder(list[Raw])


def camel(name: str) -> str:
    """`max_output_tokens` → `maxOutputTokens`; a name without underscores is itself."""
    if "_" not in name:
        return name
    first, *rest = name.split("_")
    return first + "".join([word[:1].upper() + word[1:] for word in rest])


def members_of(raw: bytes | Raw, where: str, known: Collection[str] = ()) -> Members:
    """An object's members that say something. Those of `known` are under their names in camelCase.

    Raises ShapeError, also where such a one is there under both names.
    """
    given = decode(_MEMBERS, raw, where)
    if "_" not in "".join(given) and _NULL not in given.values():  # as most are
        return given
    members: Members = {}
    for name, value in given.items():
        spelt = camel(name) if "_" in name and camel(name) in known else name
        if not told(value):
            continue
        if spelt in members:
            raise ShapeError(f"{where}.{spelt}: is given twice".lstrip("."))
        members[spelt] = value
    return members


def take(members: Members, name: str, decoder: "msgspec.json.Decoder[T]", where: str = "") -> T | None:
    """Removes and decodes a member."""
    raw = members.pop(name, None)
    if raw is None:
        return None
    return decode(decoder, raw, f"{where}.{name}".lstrip("."))


def listed(raw: Raw, where: str) -> list[Raw]:
    """The elements of a list; anything else is the one element of one."""
    if not told(raw):
        return []
    return decode(_LIST, raw, where) if bytes(raw).startswith(b"[") else [raw]
