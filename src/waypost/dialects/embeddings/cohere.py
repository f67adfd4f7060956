"""Embeddings as Cohere gives them: `/v2/embed`. Its body and answer are those of its models at Bedrock too."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.dialects.embeddings.embedder import Batch, Calls, Embedder, EmbeddingRequest, InputType, Outgoing
from waypost.dialects.embeddings.vectors import (
    always,
    batches_of,
    checked,
    decoded,
    dropped_of,
    malformed,
    texts_of,
    token_count,
)

PATH = "/v2/embed"
LARGEST_BATCH = 96

_ABSENT = Raw()
_encode = msgspec.json.Encoder().encode


class _BilledUnits(Struct, gc=False):
    input_tokens: int | float | None = None


class _Meta(Struct, gc=False):
    billed_units: _BilledUnits | None = None


class _ByType(Struct, gc=False):
    float: list[Raw] | None = None


class _Answer(Struct, gc=False):
    embeddings: Raw
    meta: _Meta | None = None


_answer_decoder = Decoder(_Answer)
_by_type_decoder = Decoder(_ByType)
_floats_decoder = Decoder(list[Raw])


def write(request: EmbeddingRequest, model: str, batch: int) -> Calls:
    return Calls(bodies(request, batch, PATH, {"model": model}), tuple(dropped_of(request)))


def bodies(request: EmbeddingRequest, batch: int, path: str, first: dict[str, object]) -> tuple[Outgoing, ...]:
    """What texts are for must be said: where the caller does not, they are what is searched."""
    rest: dict[str, object] = {
        "input_type": request.input_type or InputType.DOCUMENT,
        "embedding_types": ["float"],
    }
    if request.dimensions is not None:
        rest["output_dimension"] = request.dimensions
    return tuple(
        [
            Outgoing(path, _encode({**first, "texts": some, **rest}), len(some))
            for some in batches_of(texts_of(request), batch)
        ]
    )


def read(call: Outgoing, headers: Mapping[str, str], body: bytes) -> Batch:
    """By type as asked for; the oldest models know but one type and give a plain list."""
    answer = decoded(_answer_decoder, body)
    raw = bytes(answer.embeddings)
    vectors = decoded(_floats_decoder, raw) if raw.startswith(b"[") else decoded(_by_type_decoder, raw).float
    if vectors is None:
        malformed("no embeddings of type float")
    billed = answer.meta.billed_units if answer.meta is not None else None
    return Batch(checked(vectors, call.count), None if billed is None else token_count(billed.input_tokens))


def largest_batch(model: str) -> int:
    return LARGEST_BATCH


EMBEDDER = Embedder(path=PATH, serves=always, largest_batch=largest_batch, write=write, read=read)
