"""Writes vectors as each provider does: header lines of its own, and the body.

Follows the pages that `embedding_read` names.
"""

from typing import Any

import msgspec

from waypost.sim.embedding import Embedded, pack

_encode = msgspec.json.encode


def write_openai(told: Embedded) -> tuple[bytes, bytes]:
    vectors: list[Any] = [pack(each) if told.inputs.packed else list(each) for each in told.vectors]
    data = [{"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(vectors)]
    body: dict[str, Any] = {"object": "list", "data": data, "model": told.model}
    if told.usage:
        body["usage"] = {"prompt_tokens": told.inputs.tokens, "total_tokens": told.inputs.tokens}
    return b"", _encode(body)


def write_gemini(told: Embedded) -> tuple[bytes, bytes]:
    body: dict[str, Any] = {"embeddings": [{"values": list(each)} for each in told.vectors]}
    if told.usage:
        tokens = told.inputs.tokens
        details = [{"modality": "TEXT", "tokenCount": tokens}]
        body["usageMetadata"] = {"promptTokenCount": tokens, "promptTokenDetails": details}
    return b"", _encode(body)


def write_cohere(told: Embedded) -> tuple[bytes, bytes]:
    body = _by_type(told)
    meta: dict[str, Any] = {"api_version": {"version": "2"}}
    if told.usage:
        meta["billed_units"] = {"input_tokens": told.inputs.tokens}
    return b"", _encode({**body, "meta": meta})


def write_bedrock(told: Embedded) -> tuple[bytes, bytes]:
    tokens = told.inputs.tokens
    counted = b"x-amzn-bedrock-input-token-count: %d\r\n" % tokens if told.usage else b""
    if "cohere.embed" in told.model:
        return counted, _encode(_by_type(told))
    values = list(told.vectors[0])
    body: dict[str, Any] = {"embedding": values, "embeddingsByType": {"float": values}}
    if told.usage:
        body["inputTextTokenCount"] = tokens
    return counted, _encode(body)


def _by_type(told: Embedded) -> dict[str, Any]:
    return {
        "id": told.request_id,
        "texts": [str(each).lower() for each in told.inputs.inputs],
        "embeddings": {"float": [list(each) for each in told.vectors]},
        "response_type": "embeddings_by_type",
    }
