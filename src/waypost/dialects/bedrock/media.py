"""The formats that Bedrock names for pictures, papers and sounds, and the media types that they stand for. Tables."""

import base64
import binascii
import re

# ImageFormat, DocumentFormat and AudioFormat of the service's model.
IMAGES = {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
DOCUMENTS = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}
SOUNDS = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "wav": "audio/wav",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "mp4": "audio/mp4",
    "ogg": "audio/ogg",
    "mkv": "audio/x-matroska",
    "mka": "audio/x-matroska",
    "x-aac": "audio/x-aac",
    "m4a": "audio/x-m4a",
    "mpeg": "audio/mpeg",
    "mpga": "audio/mpeg",
    "pcm": "audio/pcm",
    "webm": "audio/webm",
}
_ALIASES = {"image/jpg": "jpeg", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mp3": "mp3", "text/x-markdown": "md"}
# The first bytes of each format, as base64 spells them.
_MAGIC = {"/9j/": "jpeg", "iVBOR": "png", "R0lG": "gif", "UklG": "webp", "JVBER": "pdf"}

_ILLEGAL = re.compile(r"[^A-Za-z0-9\s()\[\]-]+")
_SPACE = re.compile(r"\s+")
_LONGEST_NAME = 200  # characters


def format_of(media_type: str | None, formats: dict[str, str], data: str | None = None) -> str | None:
    """Bedrock's word for a media type, or for what `data` (base64) begins with; None if it has none."""
    if media_type is not None:
        plain = media_type.partition(";")[0].strip().lower()
        for word, standing in formats.items():
            if standing == plain:
                return word
        word = _ALIASES.get(plain, "")
        if word in formats:
            return word
    for magic, word in _MAGIC.items():
        if data is not None and word in formats and data.startswith(magic):
            return word
    return "txt" if formats is DOCUMENTS and media_type is not None and media_type.startswith("text/") else None


def document_name(name: str | None, taken: set[str]) -> str:
    """A name of characters that Bedrock takes, unlike those in `taken`, to which it is added.

    Letters, digits, single spaces, hyphens, parentheses and brackets are legal; two documents may not share a name.
    """
    legal = _SPACE.sub(" ", _ILLEGAL.sub("-", name or "")).strip()[:_LONGEST_NAME].strip("- ") or "document"
    unique, count = legal, 1
    while unique in taken:
        count += 1
        unique = f"{legal[: _LONGEST_NAME - 8]} {count}"
    taken.add(unique)
    return unique


def joined_base64(pieces: list[str]) -> str:
    """Bytes that came in pieces, each of them base64 of its own. Raises ValueError if one is not."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join([base64.b64decode(piece, validate=True) for piece in pieces])).decode()
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
