"""Decoding one place of a body, so that what is wrong there is named. Knows nothing of who is to blame.

Google takes each member by its name in camelCase and in snake_case, and one value where a list of them belongs.
"""

from collections.abc import Collection
from typing import TypeVar

import msgspec
from msgspec import Raw

T = TypeVar("T")
Members = dict[str, Raw]

ABSENT = Raw()  # msgspec knows no optional Raw: the default of a member that may be missing

_NULL = Raw(b"null")
_MEMBERS = msgspec.json.Decoder(Members)
_LIST = msgspec.json.Decoder(list[Raw])


class ShapeError(ValueError):
    """Not the protocol's shape. Its text names the place: "contents[0].parts[1].text: Expected `str`, got `int`"."""


def decode(decoder: "msgspec.json.Decoder[T]", raw: bytes | Raw, where: str) -> T:
    """Raises ShapeError. `where` is the path of `raw` in the whole body, "" for the body itself."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        place = (where + path.rstrip("`")).lstrip(".") or "the body"
        raise ShapeError(f"{place}: {what}") from error
    except msgspec.DecodeError as error:
        raise ShapeError(f"{where or 'the body'}: not valid JSON: {error}") from error
    except UnicodeDecodeError as error:
        raise ShapeError(f"{where or 'the body'}: not valid UTF-8") from error
    except RecursionError as error:
        raise ShapeError(f"{where or 'the body'}: nested too deeply") from error


def check_text(body: bytes) -> None:
    """msgspec does not look into what it skips: a Raw could hold bytes that are no text. Raises ShapeError."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise ShapeError(f"not valid UTF-8 (byte {error.start})") from error


def told(raw: Raw) -> bool:
    """Whether a member that may be missing is there, and not null."""
    return len(raw) > 4 or (len(raw) > 0 and bytes(raw) != b"null")


def text_of(raw: Raw) -> str:
    """JSON text as it was received; of a body that passed `check_text`."""
    return bytes(raw).decode()


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
