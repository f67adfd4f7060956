"""Decoding one place of a body, so that what is wrong there is named. Knows no protocol, and not who is to blame."""

from typing import TypeVar

import msgspec
from msgspec import Raw

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
    if body.isascii():
        return
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
