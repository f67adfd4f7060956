"""OpenAI's embeddings form: what callers send, and what the official SDK makes of what they get."""

import base64
import json
import struct
from typing import Any

import httpx2
import msgspec
import openai
import pytest

from waypost.conversation.blocks import Json
from waypost.conversation.faults import FaultKind, Refused, UpstreamFault
from waypost.conversation.options import CallOptions
from waypost.conversation.reply import Usage
from waypost.dialects.dialect import Edits
from waypost.dialects.embeddings import form
from waypost.dialects.embeddings.embedder import EmbeddingRequest, Encoding, InputType


def body(**members: Any) -> bytes:
    return json.dumps({"model": "small", "input": "hi", **members}).encode()


INPUTS: list[tuple[Any, tuple[Any, ...], bool]] = [
    ("hi", ("hi",), False),
    (["a", "b"], ("a", "b"), False),
    ([1, 2, 3], ((1, 2, 3),), True),
    ([[1], [2, 3]], ((1,), (2, 3)), True),
]


@pytest.mark.parametrize(("given", "inputs", "tokens"), INPUTS, ids=str)
def test_inputs(given: Any, inputs: tuple[Any, ...], tokens: bool) -> None:
    assert form.read_request(body(input=given)).inputs == inputs
    glance = form.glance(body(input=given))
    assert (glance.call.model, glance.inputs, glance.tokens) == ("small", len(inputs), tokens)
    assert glance.call.max_output == 0


def test_parameters() -> None:
    read = form.read_request(
        body(
            dimensions=256,
            encoding_format="base64",
            user="u",
            input_type="query",
            truncate="END",
            waypost={"task": "qa"},
            metadata={"task": "qa", "mine": 1},
        )
    )
    assert read == EmbeddingRequest(
        "small",
        ("hi",),
        256,
        Encoding.BASE64,
        InputType.QUERY,
        "u",
        (("truncate", Json(b'"END"')), ("metadata", Json(b'{"mine":1}'))),
    )
    unknown = form.read_request(body(input_type="poetry", metadata={"task": "qa"}))
    assert (unknown.input_type, unknown.encoding) == (None, Encoding.FLOAT)
    assert unknown.extra == (("input_type", Json(b'"poetry"')),)


REFUSED = [
    ({"model": ""}, "model"),
    ({"input": None}, "input"),
    ({"input": {}}, "input"),
    ({"input": ["a", 1]}, "input"),
    ({"input": [[1], "a"]}, "input"),
    ({"input": [1.5]}, "input"),
    ({"input": [-1]}, "input"),
    ({"input": []}, "input"),
    ({"input": ""}, "input"),
    ({"input": ["a", ""]}, "input[1]"),
    ({"input": [[1], []]}, "input[1]"),
    ({"input": ["a"] * 2049}, "input"),
    ({"dimensions": 0}, "dimensions"),
    ({"encoding_format": "int8"}, "encoding_format"),
    ({"user": 1}, "user"),
]


@pytest.mark.parametrize(("members", "place"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_is_malformed_is_named(members: dict[str, Any], place: str) -> None:
    with pytest.raises(Refused) as caught:
        form.read_request(body(**members))
    assert f"`{place}`" in caught.value.error.message


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"[]",
        b'{"model":"m"}',
        b'{"model":"m","input":"\xff"}',
        b'{"model":"m","input":"\\ud800"}',
        b'{"model":"m","input":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=range(6),
)
def test_what_is_no_request_is_refused(broken: bytes) -> None:
    with pytest.raises(Refused):
        form.read_request(broken)


def test_a_glance_sees_options_and_refuses_twins() -> None:
    glance = form.glance(body(waypost={"task": "qa"}, metadata={"task": "code", "combination_id": "c"})).call
    assert (glance.options, glance.task, glance.combination_id) == (CallOptions(task="qa"), "code", "c")
    for broken in (b'{"model":"a","input":"x","model":"b"}', b'{"model":"a"}', body(input=5), body(waypost={"x": 1})):
        with pytest.raises(Refused):
            form.glance(broken)


def test_an_edit_changes_only_what_it_names() -> None:
    plain = b'{ "input": ["a"],  "model":"small", "encoding_format":"base64"}'
    seen = form.glance(plain).call
    assert form.edit(plain, seen, Edits(model="small", remove_options=True)) is plain
    assert form.edit(plain, seen, Edits(model="large")) == plain.replace(b"small", b"large")
    given = body(waypost={"task": "qa"}, metadata={"task": "qa", "mine": 1})
    edited = form.edit(given, form.glance(given).call, Edits(model="large", remove_options=True))
    assert json.loads(edited) == {"model": "large", "input": "hi", "metadata": {"mine": 1}}
    given = body(metadata={"task": "qa"})
    assert json.loads(form.edit(given, form.glance(given).call, Edits(model="small"))) == {
        "model": "small",
        "input": "hi",
    }


NUMBERS = [0.5, -1.25, 3.0]
PACKED = base64.b64encode(struct.pack("<3f", *NUMBERS)).decode()
FORMS = [Json(json.dumps(NUMBERS).encode()), Json(json.dumps(PACKED).encode())]


@pytest.mark.parametrize("vector", FORMS, ids=["numbers", "base64"])
def test_either_form_is_told_in_the_form_asked_for(vector: Json) -> None:
    usage = Usage(input=4, output=0)
    told = json.loads(form.write_reply([vector], usage, Encoding.FLOAT, "m"))
    assert told == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": NUMBERS}],
        "model": "m",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    openai.types.CreateEmbeddingResponse.model_validate(told)
    packed = json.loads(form.write_reply([vector], None, Encoding.BASE64, "m"))
    assert packed["data"][0]["embedding"] == PACKED
    assert "usage" not in packed


def test_numbers_stay_as_they_were_written() -> None:
    exact = Json(b"[0.10000000000000000555,1e-7]")
    assert bytes(exact) in form.write_reply([exact], None, Encoding.FLOAT, "m")


@pytest.mark.parametrize(
    ("vector", "encoding"),
    [
        (b'["x"]', Encoding.BASE64),
        (b"[null]", Encoding.BASE64),
        (b'"???"', Encoding.FLOAT),
        (b'"AAA="', Encoding.FLOAT),
    ],
)
def test_a_vector_that_is_none_is_malformed(vector: bytes, encoding: Encoding) -> None:
    with pytest.raises(UpstreamFault) as caught:
        form.write_reply([Json(vector)], None, encoding, "m")
    assert caught.value.fault.kind is FaultKind.MALFORMED


@pytest.mark.parametrize("asked", ["float", None], ids=["float", "the SDK's default"])
def test_the_official_sdk(asked: str | None) -> None:
    """It asks for base64 unless told otherwise, and unpacks it."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        read = form.read_request(request.content)
        assert read.inputs == ("a", "b")
        assert read.encoding is (Encoding.FLOAT if asked else Encoding.BASE64)
        vectors = [Json(msgspec.json.encode([float(i), 0.5])) for i in range(len(read.inputs))]
        return httpx2.Response(200, content=form.write_reply(vectors, Usage(2, output=0), read.encoding, read.model))

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as transport:
        client = openai.OpenAI(api_key="k", base_url="http://waypost/v1", http_client=transport)
        options: dict[str, Any] = {"encoding_format": asked} if asked else {}
        told = client.embeddings.create(model="small", input=["a", "b"], dimensions=2, user="u", **options)
    assert [list(datum.embedding) for datum in told.data] == [[0.0, 0.5], [1.0, 0.5]]
    assert [datum.index for datum in told.data] == [0, 1]
    assert told.usage.prompt_tokens == 2
