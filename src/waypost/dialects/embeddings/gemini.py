"""Embeddings as Gemini gives them: `models.batchEmbedContents`."""

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
    texts_of,
    token_count,
)

PATH = "/v1beta/models/{model}:batchEmbedContents"
LARGEST_BATCH = 100

_TASKS = {
    InputType.DOCUMENT: "RETRIEVAL_DOCUMENT",
    InputType.QUERY: "RETRIEVAL_QUERY",
    InputType.CLASSIFICATION: "CLASSIFICATION",
    InputType.CLUSTERING: "CLUSTERING",
}
_ABSENT = Raw()
_encode = msgspec.json.Encoder().encode


class _Embedding(Struct, gc=False):
    values: Raw = _ABSENT


class _UsageMetadata(Struct, gc=False, rename="camel"):
    prompt_token_count: int | float | None = None


class _Answer(Struct, gc=False, rename="camel"):
    embeddings: list[_Embedding]
    usage_metadata: _UsageMetadata | None = None


_answer_decoder = Decoder(_Answer)


def write(request: EmbeddingRequest, model: str, batch: int) -> Calls:
    texts = texts_of(request)
    rest: dict[str, object] = {}
    if request.input_type is not None:
        rest["taskType"] = _TASKS[request.input_type]
    if request.dimensions is not None:
        rest["outputDimensionality"] = request.dimensions
    name = model if model.startswith("models/") else f"models/{model}"
    calls = []
    for some in batches_of(texts, batch):
        asked = [{"model": name, "content": {"parts": [{"text": text}]}, **rest} for text in some]
        calls.append(Outgoing(PATH, _encode({"requests": asked}), len(some)))
    return Calls(tuple(calls), tuple(dropped_of(request)))


def read(call: Outgoing, headers: Mapping[str, str], body: bytes) -> Batch:
    answer = decoded(_answer_decoder, body)
    told = answer.usage_metadata
    tokens = None if told is None else token_count(told.prompt_token_count)
    return Batch(checked([each.values for each in answer.embeddings], call.count), tokens)


def largest_batch(model: str) -> int:
    return LARGEST_BATCH


EMBEDDER = Embedder(path=PATH, serves=always, largest_batch=largest_batch, write=write, read=read)
