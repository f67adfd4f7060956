"""Vectors between their two forms, numbers and base64 of 32-bit floats; and what every protocol's reader needs."""

import base64
import binascii
import sys
from array import array
from collections.abc import Iterator
from typing import NoReturn, TypeVar

import msgspec
from msgspec import Raw
from msgspec.json import Decoder

from waypost.conversation.blocks import Json
from waypost.conversation.faults import ErrorKind, Fault, FaultKind, Refused, UpstreamFault
from waypost.conversation.reply import MOST_TOKENS
from waypost.dialects.embeddings.embedder import EmbeddingRequest, Encoding
from waypost.dialects.fault_text import clean

T = TypeVar("T")

_numbers_decoder = Decoder(list[float])
_text_decoder = Decoder(str)
_encode = msgspec.json.Encoder().encode


def malformed(reason: str) -> NoReturn:
    message = clean(f"the answer is not one of embeddings: {reason}")
    raise UpstreamFault(Fault(kind=FaultKind.MALFORMED, message=message))


def decoded(decoder: "Decoder[T]", body: bytes | Raw) -> T:
    """Raises UpstreamFault(MALFORMED)."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        malformed(str(error))


def checked(vectors: list[Raw], count: int) -> tuple[Json, ...]:
    """One for each input, each of numbers or a text."""
    if len(vectors) != count:
        malformed(f"{len(vectors)} vectors for {count} inputs")
    for vector in vectors:
        if bytes(vector)[:1] not in (b"[", b'"'):
            malformed("a vector is neither numbers nor base64")
    return tuple([Json(bytes(vector)) for vector in vectors])


def encoded(vector: Json, encoding: Encoding) -> Json:
    """In the form asked for; numbers that are in it already stay as they were written. UpstreamFault(MALFORMED)."""
    packed = bytes(vector).startswith(b'"')
    if encoding is Encoding.BASE64:
        return vector if packed else Json(_encode(_packed(vector)))
    return Json(_encode(_unpacked(vector))) if packed else vector


def _packed(vector: Json) -> str:
    floats = array("f", decoded(_numbers_decoder, vector))
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()


def _unpacked(vector: Json) -> list[float]:
    floats = array("f")
    try:
        floats.frombytes(base64.b64decode(decoded(_text_decoder, vector), validate=True))
    except (binascii.Error, ValueError) as error:
        malformed(f"a vector is not base64 of 32-bit floats ({error})")
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()


def token_count(value: float | None) -> int | None:
    """A count that can't be one is unknown."""
    return int(value) if value is not None and 0 <= value <= MOST_TOKENS else None


def texts_of(request: EmbeddingRequest) -> tuple[str, ...]:
    """Refused(BAD_REQUEST) for token ids: they mean something to their own model alone."""
    texts = tuple([each for each in request.inputs if isinstance(each, str)])
    if len(texts) < len(request.inputs):
        raise Refused(ErrorKind.BAD_REQUEST, "`input`: this model takes texts, not token ids")
    return texts


def batches_of(inputs: tuple[T, ...], batch: int) -> Iterator[tuple[T, ...]]:
    """At least one input a batch, whatever `batch` is."""
    size = max(1, batch)
    for begin in range(0, len(inputs), size):
        yield inputs[begin : begin + size]


def dropped_of(request: EmbeddingRequest) -> list[str]:
    """What only the callers' own form has a place for."""
    return [*(["user"] if request.user else []), *[name for name, _ in request.extra]]


def always(model: str) -> bool:
    return True
