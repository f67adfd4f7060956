"""What may be called, asked by the official SDKs: only what the key may call, with what is known of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import boto3
import cohere
import httpx2
import pytest
import pytest_asyncio
from google import genai

from journeys.harness import ANTHROPIC, OPENAI, House, open_house

pytestmark = pytest.mark.asyncio(loop_scope="module")
ALL, NARROW, LOCAL = "wp-all", "wp-narrow", "wp-local"
CONFIG = f"""
providers:
  near:
    {{kind: openai, base_url: 'http://{{address}}/v1', class: local, models: [sim-small, sim-echo],
     prices: {{sim-small: {{input: 1, output: 2.5, cache_read: 0.1}}, sim-echo: {{input: 1, output: 3}}}},
     capabilities: [tools, images]}}
  far:
    {{kind: openai, base_url: 'http://{{address}}/v1', class: hosted, api_key: sk-far, capabilities: [tools],
     prices: {{'*': {{input: 1, output: 2.5, cache_read: 0.1}}}}}}
  gpt: {{kind: openai, base_url: 'http://{{address}}/v1', class: hosted, api_key: sk-gpt, models: [gpt-4o-mini]}}
routes:
  one: {{targets: [near/sim-small]}}
  both: {{targets: [near/sim-small], fallbacks: [far/sim-small]}}
  mixed: {{targets: [near/sim-small, near/sim-echo]}}
  away: {{targets: [far/sim-small]}}
keys:
  - {{name: all, key: {ALL}}}
  - {{name: narrow, key: {NARROW}, routes: [away, gpt/gpt-4o-mini]}}
  - {{name: local, key: {LOCAL}, policy: {{classes: [local]}}}}
"""
NAMES = ["one", "both", "mixed", "away", "near/sim-small", "far/sim-small", "near/sim-echo", "gpt/gpt-4o-mini"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder: Path = tmp_path_factory.mktemp("listings")
    async with open_house(CONFIG, folder) as house:
        yield house


async def get(house: House, path: str, **headers: str) -> Any:
    async with httpx2.AsyncClient(base_url=house.base) as http:
        answer = await http.get(path, headers={"x-api-key": ALL, **headers})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def by_openai(base: House, key: str) -> list[str]:
    async with base.client(OPENAI, api_key=key) as client:
        return [model.id async for model in client.models.list()]


async def by_anthropic(base: House, key: str) -> list[str]:
    async with base.client(ANTHROPIC, api_key=key) as client:
        return [model.id async for model in client.models.list()]


def google(house: House, key: str) -> genai.Client:
    return genai.Client(api_key=key, http_options={"base_url": house.base})


async def by_google(house: House, key: str) -> list[str]:
    client = google(house, key)
    try:
        return [str(model.name).removeprefix("models/") async for model in await client.aio.models.list()]
    finally:
        await client.aio.aclose()
        client.close()


def bedrock(house: House, key: str) -> Any:
    """The key's name is the access key id, the key itself the secret."""
    name = key.removeprefix("wp-")
    return boto3.client(
        "bedrock", "eu-west-1", endpoint_url=house.base, aws_access_key_id=name, aws_secret_access_key=key
    )


async def by_amazon(house: House, key: str) -> list[str]:
    def ask() -> list[str]:
        client = bedrock(house, key)
        try:
            return [model["modelId"] for model in client.list_foundation_models()["modelSummaries"]]
        finally:
            client.close()

    return await asyncio.to_thread(ask)


async def by_cohere(house: House, key: str) -> list[str]:
    async with cohere.AsyncClientV2(key, base_url=house.base) as client:
        return [str(model.name) for model in (await client.models.list()).models]


WAYS = {"cohere": by_cohere, "openai": by_openai, "anthropic": by_anthropic, "google": by_google, "amazon": by_amazon}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("key", "names"),
    [
        (ALL, NAMES),
        (NARROW, ["away", "gpt/gpt-4o-mini"]),
        (LOCAL, ["one", "both", "mixed", "near/sim-small", "near/sim-echo"]),
    ],
)
async def test_what_a_key_may_call(house: House, way: str, key: str, names: list[str]) -> None:
    assert await WAYS[way](house, key) == names


async def test_what_is_known_of_them(house: House) -> None:
    entries = {entry["id"]: entry for entry in (await get(house, "/v1/models"))["data"]}
    cheap = {"input": "1", "output": "2.5", "cache_read": "0.1"}
    assert entries["one"]["pricing"] == entries["both"]["pricing"] == cheap
    assert "pricing" not in entries["mixed"]
    assert entries["mixed"]["targets"] == ["near/sim-small", "near/sim-echo"]
    assert entries["one"]["capabilities"] == ["images", "tools"]
    assert entries["both"]["capabilities"] == ["tools"]
    assert "capabilities" not in entries["gpt/gpt-4o-mini"]
    assert "context_window" not in entries["one"]
    assert entries["gpt/gpt-4o-mini"]["context_window"] == 128_000
    assert set(entries["gpt/gpt-4o-mini"]["pricing"]) >= {"input", "output", "cache_read"}


async def test_the_other_protocols_tell_the_same(house: House) -> None:
    name = "gpt/gpt-4o-mini"
    wanted = await get(house, "/v1/models/gpt%2Fgpt-4o-mini")
    told = {
        "anthropic": await get(house, f"/v1/models/{name}", **{"anthropic-version": "2023-06-01"}),
        "gemini": await get(house, f"/v1beta/models/{name}"),
        "gemini, v1": await get(house, f"/v1/models/{name}", **{"x-goog-api-client": "google-genai-sdk"}),
        "cohere": await get(house, f"/v1/models/{name}", **{"x-fern-sdk-name": "cohere"}),
        "bedrock": (await get(house, f"/foundation-models/{name}"))["modelDetails"],
    }
    for entry in told.values():
        assert entry["waypost"]["pricing"] == wanted["pricing"]
        assert entry["waypost"]["context_window"] == wanted["context_window"]
    assert told["anthropic"]["max_input_tokens"] == told["gemini"]["inputTokenLimit"] == wanted["context_window"]
    assert told["cohere"]["context_length"] == wanted["context_window"]


async def test_one_by_name(house: House) -> None:
    async with house.client(OPENAI, api_key=ALL) as openai, house.client(ANTHROPIC, api_key=ALL) as anthropic:
        assert (await openai.models.retrieve("near/sim-small")).id == "near/sim-small"
        assert (await anthropic.models.retrieve("near/sim-small")).id == "near/sim-small"
    client = google(house, ALL)
    for name in ("one", "near/sim-small"):
        model = await client.aio.models.get(model=name)
        assert (model.name, model.supported_actions) == (
            f"models/{name}",
            ["generateContent", "streamGenerateContent"],
        )
    with pytest.raises(genai.errors.ClientError) as failed:
        await client.aio.models.get(model="nowhere")
    assert failed.value.code == 404
    await client.aio.aclose()
    client.close()


async def test_signed_listings(house: House) -> None:
    def ask() -> None:
        client = bedrock(house, ALL)
        assert client.get_foundation_model(modelIdentifier="one")["modelDetails"]["modelId"] == "one"
        with pytest.raises(client.exceptions.ClientError) as failed:
            client.get_foundation_model(modelIdentifier="nowhere")
        assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        client.close()
        stranger = boto3.client(
            "bedrock", "eu-west-1", endpoint_url=house.base, aws_access_key_id="all", aws_secret_access_key="wrong"
        )
        with pytest.raises(stranger.exceptions.ClientError) as failed:
            stranger.list_foundation_models()
        assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 401
        stranger.close()

    await asyncio.to_thread(ask)
