"""A protocol that says in its path which model is meant and whether to stream, from the door to the provider.

It is made up of OpenAI's: a seventh dialect needs nothing beyond its record.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import httpx2
import msgspec
import pytest
import pytest_asyncio

from journeys.asking import user
from journeys.harness import CALL_ID, House, open_house
from waypost.conversation.faults import CallerError
from waypost.conversation.request import Request
from waypost.dialects.dialect import Dialect, Door, Glance
from waypost.dialects.registry import DIALECTS

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = "wp-a/key+in=queries"
QUOTED = "wp-a%2Fkey%2Bin%3Dqueries"
CONFIG = f"""
providers:
  openai: {{kind: openai, base_url: 'http://{{address}}/v1', class: local, prices: {{'*': {{input: 1, output: 2}}}}}}
  anthropic: {{kind: anthropic, base_url: 'http://{{address}}', class: local, prices: {{'*': {{input: 3, output: 4}}}}}}
routes:
  warn: {{targets: [anthropic/sim-small]}}
  reject: {{targets: [anthropic/sim-small], dropped_parameters: reject}}
  drop: {{targets: [anthropic/sim-small], dropped_parameters: drop}}
keys: [{{name: app, key: '{KEY}'}}]
"""
OPENAI = DIALECTS["openai_chat"]


def glance(body: bytes) -> Glance:
    return msgspec.structs.replace(OPENAI.glance(body), model="", stream=False)


def read_request(body: bytes) -> Request:
    return msgspec.structs.replace(
        OPENAI.read_request(body), dialect="seventh", model="", stream=False, usage_in_stream=True
    )


def fault_headers(error: CallerError) -> tuple[tuple[str, str], ...]:
    return (("x-seventh-error", error.kind.value.title()),)


SEVENTH: Dialect = msgspec.structs.replace(
    OPENAI,
    name="seventh",
    doors=(Door("/seventh/{model}:say", stream=False), Door("/seventh/{model}:tell", stream=True)),
    glance=glance,
    read_request=read_request,
    fault_headers=fault_headers,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder: Path = tmp_path_factory.mktemp("addressed")
    with patch("waypost.app.DIALECTS", MappingProxyType({**DIALECTS, "seventh": SEVENTH})):
        async with open_house(CONFIG, folder) as house:
            yield house


async def post(house: House, path: str, body: dict[str, Any] | bytes, **headers: str) -> httpx2.Response:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    async with httpx2.AsyncClient(base_url=house.base, timeout=20) as http:
        return await http.post(path, content=content, headers=headers)


SAID = {"model": "nowhere", "messages": user("Hello there"), "max_tokens": 50}


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("quoted", [False, True])
async def test_the_path_says_model_and_stream(house: House, provider: str, streamed: bool, quoted: bool) -> None:
    model = f"{provider}{'%2F' if quoted else '/'}sim-small"
    path = f"/seventh/{model}:{'tell' if streamed else 'say'}"
    answer = await post(house, f"{path}?key={QUOTED}&page=1", SAID | {"stream": not streamed})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == ("text/event-stream" if streamed else "application/json")
    assert ("data: [DONE]" in answer.text) is streamed
    told = msgspec.json.decode(house.received.body)
    assert (told["model"], told.get("stream", False)) == ("sim-small", streamed)
    row = await house.row(answer.headers[CALL_ID])
    assert (row["key"], row["provider"], row["model"], row["outcome"]) == ("app", provider, "sim-small", "ok")
    assert row["tokens"]["output"]


async def test_a_key_in_the_query_stays_here(house: House) -> None:
    for path in (f"/v1/chat/completions?key={QUOTED}&api-version=1", f"/v1/messages?beta=true&key={QUOTED}"):
        provider = "openai" if "chat" in path else "anthropic"
        for streamed in (False, True):
            answer = await post(house, path, SAID | {"model": f"{provider}/sim-small", "stream": streamed})
            assert answer.status_code == 200, answer.text
            assert house.received.path.partition("?")[2] == ("api-version=1" if provider == "openai" else "beta=true")
            assert KEY not in str(house.received)
            assert QUOTED not in str(house.received)
    assert KEY not in str(house.logged)


async def test_a_strangers_key_is_not_repeated(house: House) -> None:
    for path in ("/seventh/openai/sim-small:say", "/v1/models", "/v1/chat/completions", "/nowhere"):
        answer = await post(house, f"{path}?key=wp-unknown-secret", SAID)
        assert answer.status_code in (401, 404, 405)
        assert "wp-unknown-secret" not in answer.text + str(answer.headers)


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/seventh/nowhere:say", 404, "Unknown_Model"),
        ("/seventh/openai/sim-small:say", 400, "Bad_Request"),
        ("/seventh/openai/sim-small:sing", 404, "Unknown_Model"),
    ],
)
async def test_errors_are_in_the_dialect_of_the_path(house: House, path: str, status: int, kind: str) -> None:
    body = SAID if status == 404 else b"{"
    answer = await post(house, path, body, authorization=f"Bearer {KEY}")
    assert (answer.status_code, answer.headers["x-seventh-error"]) == (status, kind)


async def test_a_wrong_method_is_told_as_such(house: House) -> None:
    async with httpx2.AsyncClient(base_url=house.base) as http:
        answer = await http.get("/seventh/fast:say")
    assert (answer.status_code, answer.headers["x-seventh-error"]) == (405, "Bad_Request")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/seventh/{route}:say", "/seventh/{route}:tell"])
async def test_more_choices_than_a_provider_gives(house: House, path: str) -> None:
    """`n` above 1 is never lost in silence where the route says so."""
    headers = {"authorization": f"Bearer {KEY}"}
    answers = {}
    for route in ("warn", "reject", "drop"):
        body = SAID | {"model": route, "n": 2}
        answers[route] = await post(house, path.replace("{route}", route), body, **headers)
    assert answers["warn"].status_code == answers["drop"].status_code == 200
    assert answers["warn"].headers["x-waypost-dropped"] == "n"
    assert "x-waypost-dropped" not in answers["drop"].headers
    assert answers["reject"].status_code == 400
    assert "can't carry: n" in answers["reject"].text
