"""The official SDKs of OpenAI's Responses, Google, Cohere and AWS, as they are, at the gateway. Each signs in its own
way, asks a provider of another protocol, and hears what that provider said.

What is expected is the simulator's own answer to the request that the gateway sent it.
"""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from journeys.asking import read_upstream
from journeys.asking_six import CASES, IMAGE, SPEAKERS, Answer
from journeys.harness import ANTHROPIC, OPENAI, SEED, House, answer_of, open_house
from waypost.dialects.registry import DIALECTS
from waypost.sim import Simulator
from waypost.wire.sigv4 import Scope, canonical_request, payload_digest, signature

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY, HASHED = "wp-six/secret+key", "wp-hashed-key"
CONFIG = f"""
providers:
  openai: {{kind: openai, base_url: 'http://{{address}}/v1', class: local, prices: {{'*': {{input: 1, output: 2}}}}}}
  anthropic: {{kind: anthropic, base_url: 'http://{{address}}', class: local, prices: {{'*': {{input: 3, output: 4}}}}}}
  responses:
    {{kind: openai, dialect: openai_responses, base_url: 'http://{{address}}/v1', class: local,
     prices: {{'*': {{input: 5, output: 6}}}}}}
  gemini: {{kind: gemini, base_url: 'http://{{address}}', class: local, prices: {{'*': {{input: 5, output: 6}}}}}}
  cohere: {{kind: cohere, base_url: 'http://{{address}}', class: local, prices: {{'*': {{input: 5, output: 6}}}}}}
  bedrock:
    {{kind: bedrock, base_url: 'http://{{address}}', class: local, api_key: sk-bearer,
     prices: {{'*': {{input: 5, output: 6}}}}}}
routes: {{fast: {{targets: [openai/sim-small]}}}}
keys:
  - {{name: app, key: '{KEY}'}}
  - {{name: hashed, hash: 'sha256:{{hashed}}'}}
"""
WAYS = {
    "whole": (False, False),
    "streamed": (True, False),
    "whole, blocking": (False, True),
    "streamed, blocking": (True, True),
}
ASKED = [
    pytest.param(speaks, way, id=f"{speaks}, {way}")
    for speaks in SPEAKERS
    for way, (_, blocking) in WAYS.items()
    if speaks in DIALECTS and (blocking or SPEAKERS[speaks].can_wait)
]
KNOWN = [speaks for speaks in SPEAKERS if speaks in DIALECTS]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder: Path = tmp_path_factory.mktemp("six")
    config = CONFIG.replace("{hashed}", hashlib.sha256(HASHED.encode()).hexdigest())
    async with open_house(config, folder) as house:
        yield house


class Clients:
    """One of each SDK and kind, made when it is first asked for. None of them tries again."""

    def __init__(self, base: str, stack: AsyncExitStack) -> None:
        self._base = base
        self._stack = stack
        self._made: dict[tuple[str, bool, str, str], Any] = {}

    async def ask(
        self,
        speaks: str,
        way: str,
        request: dict[str, Any],
        name: str = "app",
        key: str = KEY,
    ) -> Answer:
        streamed, blocking = WAYS[way]
        client = await self._client(speaks, blocking, name, key)
        if blocking:
            return await asyncio.to_thread(SPEAKERS[speaks].ask, client, request, streamed=streamed)
        return await SPEAKERS[speaks].ask_calmly(client, request, streamed=streamed)

    async def _client(self, speaks: str, blocking: bool, name: str, key: str) -> Any:
        made = self._made.get((speaks, blocking, name, key))
        if made is None:
            made = SPEAKERS[speaks].client(self._base, name, key, blocking=blocking)
            await SPEAKERS[speaks].close(made, self._stack, blocking=blocking)
            self._made[speaks, blocking, name, key] = made
        return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clients(house: House) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as stack:
        yield Clients(house.base, stack)


@pytest.mark.parametrize("provider", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("speaks", "way"), ASKED)
async def test_the_same_is_said(
    house: House, clients: Clients, speaks: str, way: str, case: str, provider: str
) -> None:
    asked = CASES[case]
    model = f"{provider}/sim-echo" if case == "output limit" else f"{provider}/sim-small"
    answer = await clients.ask(speaks, way, SPEAKERS[speaks].request(asked, model))
    sent = read_upstream(provider, answer_of(house.simulator, house.received))

    assert answer.text == sent.text
    assert [(name, arguments) for name, arguments in answer.calls] == [
        (name, json.loads(arguments)) for name, arguments in sent.calls
    ]
    assert answer.stop == sent.stop
    assert sent.tokens is not None
    assert answer.tokens == (sent.tokens.input, sent.tokens.output)
    assert bool(answer.calls) == (asked.tools and case != "tools unused")
    if asked.image:
        assert base64.b64encode(IMAGE) in house.received.body
    if asked.system:
        assert asked.system.encode() in house.received.body
    row = house.rows()[-1]
    assert (row["key"], row["provider"], row["outcome"], row["tokens"]["output"]) == (
        "app",
        provider,
        "ok",
        sent.tokens.output,
    )


@pytest.mark.parametrize("provider", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("case", ["one tool", "parallel tools"])
@pytest.mark.parametrize(("speaks", "way"), ASKED)
async def test_tool_results_are_taken_up(
    house: House, clients: Clients, speaks: str, way: str, case: str, provider: str
) -> None:
    speaker = SPEAKERS[speaks]
    request = speaker.request(CASES[case], f"{provider}/sim-small")
    answer = await clients.ask(speaks, way, request)
    assert len(set(answer.ids)) == len(answer.calls) > 0
    again = await clients.ask(speaks, way, speaker.with_results(request, answer, "18 degrees"))
    assert again.text == read_upstream(provider, answer_of(house.simulator, house.received)).text
    assert again.text.count("18 degrees") == len(answer.calls)


# Who they are, and how they are told what is wrong.


def told(speaks: str, error: Exception) -> tuple[str, int]:
    """The name of the SDK's own exception (or Amazon's code), and the status."""
    if speaks == "bedrock":
        answer: Any = getattr(error, "response")  # noqa: B009  made at run time
        return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    assert isinstance(status, int)
    return type(error).__name__, status


UNKNOWN = {
    "openai_responses": "NotFoundError",
    "gemini": "ClientError",
    "cohere": "NotFoundError",
    "bedrock": "ResourceNotFoundException",
}
STRANGER = {
    "openai_responses": "AuthenticationError",
    "gemini": "ClientError",
    "cohere": "UnauthorizedError",
}
BROKEN = {
    "openai_responses": "InternalServerError",
    "gemini": "ServerError",
    "cohere": "ApiError",
    "bedrock": "InternalServerException",
}


@pytest.mark.parametrize(("speaks", "way"), ASKED)
async def test_an_unknown_model(clients: Clients, speaks: str, way: str) -> None:
    with pytest.raises(Exception, match="nowhere") as failed:
        await clients.ask(speaks, way, SPEAKERS[speaks].request(CASES["text"], "nowhere"))
    assert told(speaks, failed.value) == (UNKNOWN[speaks], 404)


@pytest.mark.parametrize("speaks", KNOWN)
@pytest.mark.parametrize("way", ["whole, blocking", "streamed, blocking"])
async def test_a_stranger(house: House, clients: Clients, speaks: str, way: str) -> None:
    before = house.simulator.received_count
    request = SPEAKERS[speaks].request(CASES["text"], "fast")
    with pytest.raises(Exception) as failed:
        await clients.ask(speaks, way, request, key="wp-not-a-key")
    name, status = told(speaks, failed.value)
    assert status == 401
    assert name == STRANGER.get(speaks, name)
    assert "wp-not-a-key" not in str(failed.value)
    assert house.simulator.received_count == before


@pytest.mark.parametrize("speaks", [each for each in KNOWN if each != "bedrock"])
async def test_a_key_that_is_known_by_its_hash(clients: Clients, speaks: str) -> None:
    request = SPEAKERS[speaks].request(CASES["text"], "fast")
    assert (await clients.ask(speaks, "whole", request, "hashed", HASHED)).text


async def test_a_signature_needs_more_than_a_hash(clients: Clients) -> None:
    request = SPEAKERS["bedrock"].request(CASES["text"], "fast")
    with pytest.raises(Exception, match="configured by its hash") as failed:
        await clients.ask("bedrock", "whole, blocking", request, "hashed", HASHED)
    assert told("bedrock", failed.value)[1] == 401


@pytest.mark.parametrize("provider", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize(("speaks", "way"), ASKED)
async def test_a_provider_that_fails(clients: Clients, speaks: str, way: str, provider: str) -> None:
    request = SPEAKERS[speaks].request(CASES["text"], f"{provider}/m~503")
    with pytest.raises(Exception, match="Every candidate failed") as failed:
        await clients.ask(speaks, way, request)
    name, status = told(speaks, failed.value)
    assert status == 502
    assert name == BROKEN[speaks]


@pytest.mark.parametrize("provider", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("speaks", KNOWN)
@pytest.mark.parametrize("fault", ["truncated", "error_event"])
async def test_a_stream_that_breaks_off_does_not_look_whole(
    clients: Clients, speaks: str, provider: str, fault: str
) -> None:
    request = SPEAKERS[speaks].request(CASES["text"], f"{provider}/m~{fault}")
    with pytest.raises(Exception) as failed:
        await clients.ask(speaks, "streamed, blocking", request)
    assert not isinstance(failed.value, TimeoutError)


# At a provider of their own protocol.


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def direct() -> AsyncIterator[Clients]:
    """The same SDKs at a second simulator, alike in everything."""
    async with Simulator(seed=SEED).serve() as address, AsyncExitStack() as stack:
        yield Clients(f"http://{address}", stack)


OWN = {"openai_responses": "responses", "gemini": "gemini", "cohere": "cohere", "bedrock": "bedrock"}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("speaks", "way"), ASKED)
async def test_at_their_own_provider_nothing_changes(
    house: House, clients: Clients, direct: Clients, speaks: str, way: str, case: str
) -> None:
    name = "sim-echo" if case == "output limit" else "sim-small"
    speaker = SPEAKERS[speaks]
    answer = await clients.ask(speaks, way, speaker.request(CASES[case], f"{OWN[speaks]}/{name}"))
    wanted = await direct.ask(speaks, way, speaker.request(CASES[case], name))
    assert answer[:4] == wanted[:4]
    row = house.rows()[-1]
    assert (row["provider"], row["outcome"]) == (OWN[speaks], "ok")
    assert row["tokens"]["output"] == wanted.tokens[1]
    assert not row.get("dropped")
    path, _, query = house.received.path.partition("?")
    assert query == ("alt=sse" if speaks == "gemini" and way.startswith("streamed") else "")
    assert name in path or speaks in ("openai_responses", "cohere")
    assert KEY not in str(house.received)


@pytest.mark.parametrize(("provider", "code"), [("bedrock", None), (OPENAI, "ValidationException")])
async def test_amazons_callers_hear_what_they_must_mend(
    clients: Clients, direct: Clients, provider: str, code: str | None
) -> None:
    """Bedrock itself names an error in a header alone."""
    speaker = SPEAKERS["bedrock"]
    failed = []
    for asked, model in ((clients, f"{provider}/m~400"), (direct, "m~400")):
        with pytest.raises(Exception) as refused:
            await asked.ask("bedrock", "whole, blocking", speaker.request(CASES["text"], model))
        failed.append(getattr(refused.value, "response"))  # noqa: B009  made at run time
    assert failed[0]["Error"]["Code"] == (code or failed[1]["Error"]["Code"])
    assert failed[0]["ResponseMetadata"]["HTTPStatusCode"] == 400
    if provider == "bedrock":
        assert failed[0]["ResponseMetadata"]["RequestId"]


# What no SDK asks for, but other clients do.


async def post(house: House, path: str, body: dict[str, Any], **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=house.base, timeout=20) as http:
        return await http.post(path, json=body, headers={"x-goog-api-key": KEY, **headers})


def generate(text: str = "Hello there") -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}]}


@pytest.mark.parametrize("version", ["v1beta", "v1"])
@pytest.mark.parametrize("provider", [OPENAI, ANTHROPIC, "gemini"])
async def test_googles_stream_is_an_array_unless_events_are_asked_for(
    house: House, version: str, provider: str
) -> None:
    path = f"/{version}/models/{provider}/sim-small:streamGenerateContent"
    array = await post(house, path, generate())
    events = await post(house, f"{path}?alt=sse", generate())
    assert array.headers["content-type"] == "application/json"
    assert events.headers["content-type"] == "text/event-stream"
    told = [json.loads(line.removeprefix("data: ")) for line in events.text.splitlines() if line.startswith("data: ")]
    texts = [
        "".join(part["text"] for each in answers for part in each["candidates"][0].get("content", {}).get("parts", ()))
        for answers in (array.json(), told)
    ]
    assert texts[0] == texts[1] != ""


@pytest.mark.parametrize("provider", [OPENAI, "gemini"])
async def test_an_array_that_breaks_off_ends_in_an_error(house: House, provider: str) -> None:
    answer = await post(house, f"/v1beta/models/{provider}/m~truncated:streamGenerateContent", generate())
    assert answer.status_code == 200
    *said, last = answer.json()
    assert said
    assert "error" in last
    assert not any("finishReason" in candidate for each in said for candidate in each.get("candidates", ()))


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/responses/resp_1", "error"),
        ("/v1beta/models/fast:countTokens", "error"),
        ("/v2/chat/more", "message"),
        ("/model/fast/invoke", "__type"),
    ],
)
async def test_what_is_near_a_door_is_refused_in_its_dialect(house: House, path: str, shown: str) -> None:
    answer = await post(house, path, {})
    assert (answer.status_code, answer.headers["x-waypost-error"]) == (404, "unknown_model")
    assert shown in answer.json()
    assert ("x-amzn-errortype" in answer.headers) == (shown == "__type")


async def test_a_signature_is_not_known_again_for_another_body(house: House) -> None:
    """The same head again and again is not read anew: a signature in it must be, as it is of one body."""
    path, host = "/v1/chat/completions", house.base.removeprefix("http://")
    body = b'{"model":"fast","max_tokens":9,"messages":[{"role":"user","content":"pay 10"}]}'
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = Scope(moment[:8], "eu-west-1", "bedrock")
    signed = {"host": host, "x-amz-date": moment}
    made = signature(
        KEY, moment, scope, canonical_request("POST", path, "", signed, tuple(signed), payload_digest(body))
    )
    told = f"AWS4-HMAC-SHA256 Credential=app/{scope}, SignedHeaders=host;x-amz-date, Signature={made}"
    headers = {"x-amz-date": moment, "authorization": told, "content-type": "application/json"}
    async with httpx2.AsyncClient(base_url=house.base, timeout=20) as http:
        answers = [(await http.post(path, content=body, headers=headers)).status_code for _ in range(4)]
        changed = await http.post(path, content=body.replace(b"10", b"99"), headers=headers)
    assert answers == [200] * 4
    assert (changed.status_code, changed.headers["x-waypost-error"]) == (401, "unauthorized")
