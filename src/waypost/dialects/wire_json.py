"""Decoding one place of a body, so that what is wrong there is named. Knows no protocol, and not who is to blame."""

from typing import TypeVar

import msgspec
from msgspec import Raw

from waypost.dialects.places import HALF_SURROGATE, OUTERMOST, deepest, half_surrogate, place_of

T = TypeVar("T")

ABSENT = Raw()  # msgspec knows no optional Raw: the default of a member that may be missing


class ShapeError(ValueError):
    """Not the protocol's shape. Its text names the place: "messages[0].content: Expected `str`, got `int`"."""


def decode(decoder: "msgspec.json.Decoder[T]", raw: bytes | Raw, where: str) -> T:
    """Raises ShapeError. `where` is the path of `raw` in the whole body, "" for the body itself."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        place = (where + path.rstrip("`")).lstrip(".") or OUTERMOST
        raise ShapeError(f"{place}: {what}") from error
    except msgspec.DecodeError as error:
        raise ShapeError(_malformed(bytes(raw), where, str(error))) from error
    except UnicodeDecodeError as error:
        raise ShapeError(f"{where or OUTERMOST}: not valid UTF-8") from error
    except RecursionError as error:
        raise ShapeError(f"{_within(where, bytes(raw), deepest(bytes(raw)))}: nested too deeply") from error


def _malformed(raw: bytes, where: str, problem: str) -> str:
    half = half_surrogate(raw)
    if half is None:
        return f"{where or OUTERMOST}: not valid JSON: {problem}"
    return f"{_within(where, raw, half)}: {HALF_SURROGATE}"


def _within(where: str, raw: bytes, byte: int) -> str:
    place = place_of(raw, byte)
    if not where:
        return place
    if place == OUTERMOST:
        return where
    return where + place if place.startswith("[") else f"{where}.{place}"


def check_text(body: bytes) -> None:
    """msgspec does not look into what it skips: a Raw could hold bytes that are no text. Raises ShapeError."""
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        place = place_of(body, error.start)
        raise ShapeError(f"{place}: not valid UTF-8 (byte {error.start})") from error


def told(raw: Raw) -> bool:
    """Whether a member that may be missing is there, and not null."""
    return len(raw) > 4 or (len(raw) > 0 and bytes(raw) != b"null")


def text_of(raw: Raw) -> str:
    """JSON text as it was received; of a body that passed `check_text`."""
    return bytes(raw).decode()
