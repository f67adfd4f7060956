"""Embeddings of the simulated providers: the official SDKs hear the same vectors, and what is refused is refused."""

import asyncio
import json
from math import sqrt
from typing import Any

import boto3
import cohere
import openai
import pytest
from google import genai
from google.genai import types

from waypost.sim import Model, Script, Simulator

from .conftest import Ask

TITAN = "amazon.titan-embed-text-v2:0"
TEXTS = ["Hello there", "b"]
GEMINI = "/v1beta/models/m:batchEmbedContents"


async def test_four_sdks_hear_them(simulator: Simulator) -> None:
    address = f"http://{simulator.address}"
    async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="k", max_retries=0) as client:
        packed = await client.embeddings.create(model=TITAN, input=TEXTS, dimensions=256)
        plain = await client.embeddings.create(model=TITAN, input=TEXTS, dimensions=256, encoding_format="float")
        tokens = await client.embeddings.create(model="m", input=[[1, 2], [3]], dimensions=4)
    vectors = [each.embedding for each in plain.data]
    assert [each.embedding for each in packed.data] == vectors
    assert [sqrt(sum(each * each for each in vector)) for vector in vectors] == pytest.approx([1, 1])
    assert vectors[0] != vectors[1]
    assert (plain.usage.prompt_tokens, tokens.usage.prompt_tokens) == (3, 3)

    google = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=address))
    listed: Any = TEXTS
    answer = await google.aio.models.embed_content(
        model=TITAN, contents=listed, config=types.EmbedContentConfig(output_dimensionality=256)
    )
    await google.aio.aclose()
    google.close()
    assert answer.embeddings is not None
    assert [each.values for each in answer.embeddings] == vectors

    async with cohere.AsyncClientV2(api_key="k", base_url=address) as asking:
        told = await asking.embed(
            model=TITAN, texts=TEXTS, input_type="search_query", embedding_types=["float"], output_dimension=256
        )
    assert told.embeddings.float_ == vectors
    assert told.meta is not None
    assert told.meta.billed_units is not None
    assert told.meta.billed_units.input_tokens == 3

    def invoke(model: str, body: dict[str, Any]) -> tuple[Any, str]:
        amazon = boto3.client(
            "bedrock-runtime",
            "us-east-1",
            endpoint_url=address,
            aws_access_key_id="k",
            aws_secret_access_key="s",
        )
        heard = amazon.invoke_model(modelId=model, body=json.dumps(body))
        amazon.close()
        counted = heard["ResponseMetadata"]["HTTPHeaders"]["x-amzn-bedrock-input-token-count"]
        return json.loads(heard["body"].read()), counted

    body, counted = await asyncio.to_thread(invoke, TITAN, {"inputText": TEXTS[0], "dimensions": 256})
    assert (body["embedding"], body["inputTextTokenCount"], counted) == (vectors[0], 2, "2")
    asked = {"texts": TEXTS, "input_type": "search_document", "output_dimension": 256}
    body, counted = await asyncio.to_thread(invoke, "cohere.embed-v4:0", asked)
    assert ([len(each) for each in body["embeddings"]["float"]], counted) == ([256, 256], "3")


async def test_they_depend_on_seed_model_and_text(send: Ask, simulator: Simulator) -> None:
    async def hear(model: str, text: str) -> Any:
        heard = await send("/v1/embeddings", {"model": model, "input": text, "dimensions": 4})
        return heard.json["data"][0]["embedding"]

    first = await hear("m", "a")
    assert await hear("m", "a") == first == await hear("m~429(beyond=9)", "a")
    assert first not in (await hear("n", "a"), await hear("m", "b"))
    simulator.seed = 8
    assert await hear("m", "a") != first


def _google(**members: Any) -> dict[str, Any]:
    return {"requests": [{"model": "models/m", "content": {"parts": [{"text": "a"}]}, **members}]}


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/embeddings", {"model": "m"}, "Missing required parameter: 'input'."),
        ("/v1/embeddings", {"model": "m", "input": []}, "'$.input' is invalid"),
        ("/v1/embeddings", {"model": "m", "input": ""}, "'$.input' is invalid"),
        ("/v1/embeddings", {"model": "m", "input": ["a", [1]]}, "'$.input' is invalid"),
        ("/v1/embeddings", {"model": "m", "input": {}}, "Invalid type for 'input'"),
        ("/v1/embeddings", {"model": "m", "input": ["a"] * 2049}, "maximum length 2048"),
        ("/v1/embeddings", {"model": "m", "input": "a", "dimensions": 0}, "below minimum value"),
        ("/v1/embeddings", {"model": "m", "input": "a", "encoding_format": "hex"}, "'float' and 'base64'"),
        ("/v1/embeddings", {"model": "m", "input": "a", "colour": 1}, "Unknown parameter: 'colour'."),
        (GEMINI, {"requests": []}, "requests is not specified"),
        (GEMINI, {"requests": _google()["requests"] * 101}, "at most 100 requests"),
        (GEMINI, _google(model="models/n"), "mismatch with the path"),
        (GEMINI, _google(taskType="SING"), "task_type"),
        (GEMINI, _google(content={"parts": []}), "contents is not specified"),
        (GEMINI, _google(outputDimensionality=-1), "out of range"),
        (GEMINI, _google(colour=1), "colour"),
        ("/v2/embed", {"model": "m", "texts": [], "input_type": "clustering"}, "at least one text"),
        ("/v2/embed", {"model": "m", "texts": ["a"] * 97, "input_type": "clustering"}, "at most 96"),
        ("/v2/embed", {"model": "m", "texts": ["a"]}, "valid input_type"),
        ("/v2/embed", {"model": "m", "texts": ["a"], "input_type": "clustering", "output_dimension": 3}, "one of 256"),
        (f"/model/{TITAN}/invoke", {"inputText": ""}, "expected minLength: 1"),
        (f"/model/{TITAN}/invoke", {}, "inputText"),
        (f"/model/{TITAN}/invoke", {"inputText": "a", "dimensions": 300}, "300 is not a valid enum value"),
        ("/model/amazon.nova/invoke", {"inputText": "a"}, "Malformed input request"),
    ],
)
async def test_what_providers_refuse(send: Ask, path: str, body: Any, said: str) -> None:
    heard = await send(path, body)
    assert heard.status in (400, 422)
    assert said in heard.body.decode()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"model": "m", "input": "one two three"}),
        (GEMINI, _google(content={"parts": [{"text": "one two three"}]})),
        ("/v2/embed", {"model": "m", "texts": ["one two three"], "input_type": "clustering"}),
    ],
)
async def test_faults_and_limits_are_as_for_chat(send: Ask, simulator: Simulator, path: str, body: Any) -> None:
    simulator.script = Script(models={"m": Model(context_tokens=2)})
    assert (await send(path, body)).status == 400
    simulator.script = Script()
    assert (await send(path, body)).status == 200
    marked = json.loads(json.dumps(body).replace("three", "[[sim:503]]"))
    assert (await send(path, marked)).status == 503
    silent = (await send(path, json.loads(json.dumps(body).replace("three", "[[sim:no_usage]]")))).json
    assert "usage" not in silent
    assert "usageMetadata" not in silent
    assert "billed_units" not in silent.get("meta", {})
