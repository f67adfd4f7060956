"""Embeddings as Bedrock gives them: `InvokeModel`, whose body is that of the model's maker: Amazon Titan or Cohere.

Ids may carry a region's prefix or be an ARN, so the maker is looked for anywhere in them.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.faults import ErrorKind, Refused
from waypost.dialects.embeddings import cohere
from waypost.dialects.embeddings.embedder import Batch, Calls, Embedder, EmbeddingRequest, Outgoing
from waypost.dialects.embeddings.vectors import checked, decoded, dropped_of, texts_of, token_count

PATH = "/model/{model}/invoke"

_TITAN, _OLDEST_TITAN, _COHERE = "titan-embed-text", "titan-embed-text-v1", "cohere.embed"
_COUNT_HEADER = "x-amzn-bedrock-input-token-count"
_encode = msgspec.json.Encoder().encode


class _Titan(Struct, gc=False, rename="camel"):
    embedding: Raw
    input_text_token_count: int | float | None = None


_titan_decoder = Decoder(_Titan)
_any_titan = Decoder(dict[str, Raw])


def serves(model: str) -> bool:
    return _TITAN in model or _COHERE in model


def largest_batch(model: str) -> int:
    """Titan embeds one text a call."""
    return cohere.LARGEST_BATCH if _COHERE in model else 1


def write(request: EmbeddingRequest, model: str, batch: int) -> Calls:
    """Refused(BAD_REQUEST) also for a model whose body is not known here."""
    dropped = dropped_of(request)
    if _COHERE in model:
        return Calls(cohere.bodies(request, batch, PATH, {}), tuple(dropped))
    if _TITAN not in model:
        raise Refused(ErrorKind.BAD_REQUEST, f"`model`: {model} is not one that embeds at Bedrock")
    if request.input_type is not None:
        dropped.append("input_type")
    rest: dict[str, object] = {}
    if request.dimensions is not None:
        if _OLDEST_TITAN in model:
            dropped.append("dimensions")
        else:
            rest["dimensions"] = request.dimensions
    calls = [Outgoing(PATH, _encode({"inputText": text, **rest}), 1) for text in texts_of(request)]
    return Calls(tuple(calls), tuple(dropped))


def read(call: Outgoing, headers: Mapping[str, str], body: bytes) -> Batch:
    """Cohere's answers do not tell their tokens here; Bedrock does, in a header."""
    told = _header_count(headers)
    if "embedding" in decoded(_any_titan, body):
        answer = decoded(_titan_decoder, body)
        counted = token_count(answer.input_text_token_count)
        return Batch(checked([answer.embedding], call.count), told if counted is None else counted)
    batch = cohere.read(call, headers, body)
    return Batch(batch.vectors, told if batch.tokens is None else batch.tokens)


def _header_count(headers: Mapping[str, str]) -> int | None:
    value = headers.get(_COUNT_HEADER, "")
    return token_count(int(value)) if value.isascii() and value.isdigit() and len(value) < 16 else None


EMBEDDER = Embedder(path=PATH, serves=serves, largest_batch=largest_batch, write=write, read=read)
