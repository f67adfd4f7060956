"""What each provider is asked, and what its answers are read to. Bodies and answers as data."""

import json
from typing import Any

import pytest

from waypost.conversation.blocks import Json
from waypost.conversation.faults import FaultKind, Refused, UpstreamFault
from waypost.conversation.reply import Usage
from waypost.dialects.embeddings import EMBEDDERS, openai
from waypost.dialects.embeddings.embedder import (
    Batch,
    Embedder,
    EmbeddingRequest,
    Encoding,
    InputType,
    Outgoing,
    joined,
)

TITAN, COHERE_THERE = "amazon.titan-embed-text-v2:0", "us.cohere.embed-v4:0"
PLAIN = EmbeddingRequest("route", ("a", "b"))
FULL = EmbeddingRequest(
    "route",
    ("a",),
    256,
    Encoding.BASE64,
    InputType.QUERY,
    "u",
    (("truncate", Json(b'"END"')),),
)
LOST = ("user", "truncate")

WRITTEN: list[tuple[str, str, EmbeddingRequest, list[dict[str, Any]], tuple[str, ...]]] = [
    ("openai_chat", "small", PLAIN, [{"model": "small", "input": ["a", "b"]}], ()),
    (
        "openai_chat",
        "small",
        EmbeddingRequest("route", ((1, 2), (3,))),
        [{"model": "small", "input": [[1, 2], [3]]}],
        (),
    ),
    (
        "openai_chat",
        "small",
        FULL,
        [
            {
                "model": "small",
                "input": ["a"],
                "dimensions": 256,
                "encoding_format": "base64",
                "input_type": "search_query",
                "user": "u",
                "truncate": "END",
            }
        ],
        (),
    ),
    (
        "gemini",
        "gemini-embedding-001",
        PLAIN,
        [
            {
                "requests": [
                    {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]}},
                    {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "b"}]}},
                ]
            }
        ],
        (),
    ),
    (
        "gemini",
        "models/g",
        FULL,
        [
            {
                "requests": [
                    {
                        "model": "models/g",
                        "content": {"parts": [{"text": "a"}]},
                        "taskType": "RETRIEVAL_QUERY",
                        "outputDimensionality": 256,
                    }
                ]
            }
        ],
        LOST,
    ),
    (
        "cohere",
        "embed-v4.0",
        PLAIN,
        [
            {
                "model": "embed-v4.0",
                "texts": ["a", "b"],
                "input_type": "search_document",
                "embedding_types": ["float"],
            }
        ],
        (),
    ),
    (
        "cohere",
        "embed-v4.0",
        FULL,
        [
            {
                "model": "embed-v4.0",
                "texts": ["a"],
                "input_type": "search_query",
                "embedding_types": ["float"],
                "output_dimension": 256,
            }
        ],
        LOST,
    ),
    ("bedrock", TITAN, PLAIN, [{"inputText": "a"}, {"inputText": "b"}], ()),
    ("bedrock", TITAN, FULL, [{"inputText": "a", "dimensions": 256}], (*LOST, "input_type")),
    ("bedrock", "amazon.titan-embed-text-v1", FULL, [{"inputText": "a"}], (*LOST, "input_type", "dimensions")),
    (
        "bedrock",
        COHERE_THERE,
        PLAIN,
        [{"texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"]}],
        (),
    ),
]


@pytest.mark.parametrize(("dialect", "model", "request_", "bodies", "dropped"), WRITTEN, ids=str)
def test_what_is_asked(
    dialect: str, model: str, request_: EmbeddingRequest, bodies: list[dict[str, Any]], dropped: tuple[str, ...]
) -> None:
    embedder = EMBEDDERS[dialect]
    written = embedder.write(request_, model, embedder.largest_batch(model))
    assert [json.loads(call.body) for call in written.calls] == bodies
    assert written.dropped == dropped
    assert {call.path for call in written.calls} == {embedder.path}
    assert sum(call.count for call in written.calls) == len(request_.inputs)


LARGEST = [
    ("openai_chat", "small", 2048),
    ("openai_responses", "small", 2048),
    ("gemini", "g", 100),
    ("cohere", "c", 96),
    ("bedrock", TITAN, 1),
    ("bedrock", COHERE_THERE, 96),
]


@pytest.mark.parametrize(("dialect", "model", "largest"), LARGEST)
def test_batches_are_as_large_as_may_be_and_in_order(dialect: str, model: str, largest: int) -> None:
    embedder = EMBEDDERS[dialect]
    assert embedder.largest_batch(model) == largest
    texts = tuple(f"text {i}" for i in range(2 * largest + 1))
    calls = embedder.write(EmbeddingRequest("r", texts), model, largest).calls
    assert [call.count for call in calls] == [largest, largest, 1]
    said = b"".join(call.body for call in calls)
    places = [said.index(f'"{text}"'.encode()) for text in texts]
    assert places == sorted(places)


def test_a_provider_may_take_less() -> None:
    calls = EMBEDDERS["cohere"].write(EmbeddingRequest("r", ("a", "b", "c")), "m", 2).calls
    assert [call.count for call in calls] == [2, 1]
    assert len(EMBEDDERS["cohere"].write(PLAIN, "m", 0).calls) == 2


@pytest.mark.parametrize(
    ("dialect", "model"), [("gemini", "g"), ("cohere", "c"), ("bedrock", TITAN), ("bedrock", COHERE_THERE)]
)
def test_token_ids_are_refused_where_they_mean_nothing(dialect: str, model: str) -> None:
    embedder = EMBEDDERS[dialect]
    assert not embedder.takes_tokens
    with pytest.raises(Refused, match="token ids"):
        embedder.write(EmbeddingRequest("r", ((1, 2),)), model, 9)


def test_bedrock_serves_the_models_whose_bodies_it_knows() -> None:
    embedder = EMBEDDERS["bedrock"]
    assert embedder.serves(f"arn:aws:bedrock:us-east-1::foundation-model/{TITAN}")
    assert embedder.serves(COHERE_THERE)
    assert not embedder.serves("twelvelabs.marengo-embed-2-7-v1:0")
    with pytest.raises(Refused):
        embedder.write(PLAIN, "twelvelabs.marengo-embed-2-7-v1:0", 1)


def test_who_embeds() -> None:
    assert [name for name, embedder in EMBEDDERS.items() if embedder.relays] == ["openai_chat", "openai_responses"]
    assert "anthropic" not in EMBEDDERS


ONE, TWO = Json(b"[1.0,2]"), Json(b"[3,4e-1]")
HEADER = {"x-amzn-bedrock-input-token-count": "7"}
READ: list[tuple[str, bytes, dict[str, str], Batch]] = [
    (
        "openai_chat",
        b'{"data":[{"index":1,"embedding":[3,4e-1]},{"index":0,"embedding":[1.0,2]}],"usage":{"prompt_tokens":5}}',
        {},
        Batch((ONE, TWO), 5),
    ),
    ("openai_chat", b'{"data":[{"embedding":"AAA="}],"usage":{"total_tokens":5}}', {}, Batch((Json(b'"AAA="'),), 5)),
    ("openai_chat", b'{"data":[{"embedding":[1.0,2]}],"usage":"odd"}', {}, Batch((ONE,))),
    ("gemini", b'{"embeddings":[{"values":[1.0,2]},{"values":[3,4e-1]}]}', {}, Batch((ONE, TWO))),
    ("gemini", b'{"embeddings":[{"values":[1.0,2]}],"usageMetadata":{"promptTokenCount":3}}', {}, Batch((ONE,), 3)),
    (
        "cohere",
        b'{"id":"x","embeddings":{"float":[[1.0,2],[3,4e-1]]},"meta":{"billed_units":{"input_tokens":4.0}}}',
        {},
        Batch((ONE, TWO), 4),
    ),
    ("bedrock", b'{"embedding":[1.0,2],"inputTextTokenCount":3}', HEADER, Batch((ONE,), 3)),
    ("bedrock", b'{"embedding":[1.0,2]}', HEADER, Batch((ONE,), 7)),
    ("bedrock", b'{"embeddings":[[1.0,2],[3,4e-1]],"response_type":"embeddings_floats"}', HEADER, Batch((ONE, TWO), 7)),
    ("bedrock", b'{"embeddings":{"float":[[1.0,2]]}}', {"x-amzn-bedrock-input-token-count": "-1"}, Batch((ONE,))),
]


def called(embedder: Embedder, count: int) -> Outgoing:
    return Outgoing(embedder.path, b"", count)


@pytest.mark.parametrize(("dialect", "body", "headers", "batch"), READ, ids=range(len(READ)))
def test_what_is_answered(dialect: str, body: bytes, headers: dict[str, str], batch: Batch) -> None:
    embedder = EMBEDDERS[dialect]
    assert embedder.read(called(embedder, len(batch.vectors)), headers, body) == batch
    with pytest.raises(UpstreamFault) as caught:
        embedder.read(called(embedder, len(batch.vectors) + 1), headers, body)
    assert caught.value.fault.kind is FaultKind.MALFORMED


BROKEN = [b"", b"[]", b"{}", b"<html>", b'{"data":[{"embedding":{}}],"embeddings":[{}],"embedding":{}}', b"[" * 100_000]


@pytest.mark.parametrize("body", BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("dialect", sorted(EMBEDDERS))
def test_what_is_no_answer_is_malformed(dialect: str, body: bytes) -> None:
    embedder = EMBEDDERS[dialect]
    with pytest.raises(UpstreamFault) as caught:
        embedder.read(called(embedder, 1), {}, body)
    assert caught.value.fault.kind is FaultKind.MALFORMED


def test_a_glance_at_a_relayed_answer() -> None:
    told = b'{"object":"list","data":[{"embedding":"AAAA"}],"usage":{"prompt_tokens":5,"total_tokens":5}}'
    assert openai.glance_reply(told) == Usage(input=5, output=0)
    assert openai.glance_reply(b'{"data":[]}') is None
    with pytest.raises(UpstreamFault):
        openai.glance_reply(b'{"error":{}}')


def test_batches_are_joined_and_an_untold_count_leaves_the_sum_unknown() -> None:
    assert joined([Batch((ONE,), 3), Batch((TWO,), 4)]) == ((ONE, TWO), Usage(input=7, output=0))
    assert joined([Batch((ONE,), 3), Batch((TWO,))]) == ((ONE, TWO), None)
    assert joined([]) == ((), None)
