"""What callers may say about a call, and what every answer carries: by the SDKs, and byte by byte where that counts."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from journeys.asking import SPEAKERS, all_of, user
from journeys.harness import ANTHROPIC, CALL_ID, OPENAI, SEED, House, new_client, open_house
from waypost.sim import Script, Simulator

pytestmark = pytest.mark.asyncio(loop_scope="module")
by_both = pytest.mark.parametrize("speaks", SPEAKERS)
at_both = pytest.mark.parametrize("provider", SPEAKERS)
PROVIDERS = """
providers:
  openai:
    {kind: openai, base_url: 'http://{address}/v1', class: local, api_key: sk-of-the-house,
     models: [sim-small, sim-echo, 'm~401', 'm~403', 'm~404', 'm~429(retry_after=60)'],
     prices: {'*': {input: 1, output: 2}}}
  anthropic:
    {kind: anthropic, base_url: 'http://{address}', class: local, api_key: sk-of-the-house,
     prices: {'*': {input: 3, output: 4}}}
  any-openai: {kind: openai, base_url: 'http://{address}/v1', class: local}
  any-anthropic: {kind: anthropic, base_url: 'http://{address}', class: local}
  slow: {kind: openai, base_url: 'http://{address}/v1', class: local, rate_limit: 1/day}
"""
OPEN = (
    PROVIDERS
    + """
routes:
  fast: {targets: [openai/sim-small], fallbacks: [anthropic/sim-small]}
  code: {targets: [openai/sim-echo]}
  warn-anthropic: {targets: [anthropic/sim-small]}
  drop-anthropic: {targets: [anthropic/sim-small], dropped_parameters: drop}
  reject-anthropic: {targets: [anthropic/sim-small], dropped_parameters: reject}
  warn-openai: {targets: [openai/sim-small]}
  drop-openai: {targets: [openai/sim-small], dropped_parameters: drop}
  reject-openai: {targets: [openai/sim-small], dropped_parameters: reject}
  kept: {targets: [openai/sim-small], store_bodies: true}
tasks: {code: code, default: fast}
"""
)


def digest_of(key: str) -> str:
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


KEY = "wp-journey-key"
POOR = "wp-poor-key"
KEYED = (
    PROVIDERS
    + f"""
routes:
  fast: {{targets: [openai/sim-small]}}
  other: {{targets: [anthropic/sim-small]}}
keys:
  - {{name: app, hash: '{digest_of(KEY)}', team: a, tags: {{project: search}}, routes: [fast]}}
  - {{name: poor, hash: '{digest_of(POOR)}', team: b}}
budgets: [{{name: small, limit_usd: 0.000001, window: none, match: {{team: b}}}}]
"""
)
ALWAYS = (
    "x-waypost-call-id",
    "x-waypost-route",
    "x-waypost-provider",
    "x-waypost-model",
    "x-waypost-attempts",
    "x-waypost-cache",
    "x-waypost-overhead-us",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(OPEN, tmp_path_factory.mktemp("open"), script=Script(strict=False)) as house:
        yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keyed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(KEYED, tmp_path_factory.mktemp("keyed")) as house:
        yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clients(house: House) -> AsyncIterator[dict[str, Any]]:
    clients = {speaks: house.client(speaks) for speaks in SPEAKERS}
    yield clients
    for client in clients.values():
        await client.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=house.base) as client:
        yield client


def create(client: Any, speaks: str, *, raw: bool = False) -> Any:
    resource = client.chat.completions if speaks == OPENAI else client.messages
    return (resource.with_raw_response if raw else resource).create


def request(speaks: str, model: str, text: Any = "Hello there", **more: Any) -> dict[str, Any]:
    limit = {} if speaks == OPENAI else {"max_tokens": 500}
    return {"model": model, "messages": user(text), **limit, **more}


async def failure(client: Any, speaks: str, model: str, **more: Any) -> Any:
    """The SDK's exception."""
    with pytest.raises(Exception) as failed:
        await create(client, speaks)(**request(speaks, model, **more))
    return failed.value


def check_kind(error: Any, speaks: str, name: str, status: int, kind: str) -> None:
    assert [each.__name__ for each in type(error).__mro__ if each.__name__ == name], type(error).__mro__
    assert type(error).__module__.partition(".")[0] == speaks
    assert (error.status_code, error.response.headers["x-waypost-error"]) == (status, kind)


# What every answer carries.


@by_both
@at_both
async def test_headers_of_a_whole_answer(house: House, clients: dict[str, Any], speaks: str, provider: str) -> None:
    raw = await create(clients[speaks], speaks, raw=True)(**request(speaks, f"warn-{provider}"))
    headers = raw.headers
    row = await house.row(headers[CALL_ID])
    told = {name: headers[name] for name in ALWAYS[1:6]}
    assert list(told.values()) == [f"warn-{provider}", provider, "sim-small", "1", "off"]
    assert 0 < int(headers["x-waypost-overhead-us"]) <= row["overhead_us"] < 1_000_000
    assert Decimal(headers["x-waypost-cost-usd"]) == Decimal(row["cost_usd"]) > 0
    assert (row["route"], row["provider"], row["model"]) == (f"warn-{provider}", provider, "sim-small")
    prices = {OPENAI: (1, 2), ANTHROPIC: (3, 4)}[provider]
    tokens = row["tokens"]
    output = tokens["output"] + (tokens["reasoning"] or 0)
    assert Decimal(row["cost_usd"]) * 1_000_000 == tokens["input"] * prices[0] + output * prices[1]


@by_both
@at_both
async def test_headers_of_a_stream(house: House, clients: dict[str, Any], speaks: str, provider: str) -> None:
    resource = clients[speaks].chat.completions if speaks == OPENAI else clients[speaks].messages
    asked = request(speaks, f"warn-{provider}", stream=True)
    async with resource.with_streaming_response.create(**asked) as response:
        assert all(name in response.headers for name in ALWAYS)
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "x-waypost-cost-usd" not in response.headers
        await all_of(response.iter_lines())
    row = await house.row(response.headers[CALL_ID])
    assert (row["outcome"], row["provider"]) == ("ok", provider)
    assert Decimal(row["cost_usd"]) > 0


LIMITS = {OPENAI: "x-ratelimit-remaining-requests", ANTHROPIC: "anthropic-ratelimit-requests-remaining"}


@by_both
@at_both
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("bounded", [False, True])  # the first takes the walk, the second what way it can
async def test_limits_are_told_as_the_callers_sdk_looks_for_them(
    clients: dict[str, Any], speaks: str, provider: str, streamed: bool, bounded: bool
) -> None:
    more = {"stream": True} if streamed else {"max_tokens": 16} if bounded else {}
    for _ in range(2):  # a fast path needs a connection that is open
        raw = await create(clients[speaks], speaks, raw=True)(**request(speaks, f"warn-{provider}", **more))
        assert int(raw.headers[LIMITS[speaks]]) > 0
        assert int(raw.headers[LIMITS[provider]]) > 0


@by_both
@pytest.mark.parametrize("model", ["nowhere", "any-openai/sim-small~400", "any-openai/sim-small~500"])
async def test_headers_of_an_error(house: House, clients: dict[str, Any], speaks: str, model: str) -> None:
    error = await failure(clients[speaks], speaks, model)
    headers = error.response.headers
    assert all(name in headers for name in ALWAYS)
    assert headers["x-waypost-cost-usd"] == ""
    row = await house.row(headers[CALL_ID])
    assert row["error"] == headers["x-waypost-error"]
    assert row["cost_usd"] is None


# Errors are the SDK's own.


@by_both
@pytest.mark.parametrize(
    ("model", "name", "status", "kind"),
    [
        ("any-anthropic/sim-small~400", "BadRequestError", 400, "bad_request"),
        ("nowhere", "NotFoundError", 404, "unknown_model"),
        ("any-anthropic/sim-small~401", "InternalServerError", 502, "upstream_failed"),
        ("any-anthropic/sim-small~503", "InternalServerError", 502, "upstream_failed"),
    ],
)
async def test_errors(clients: dict[str, Any], speaks: str, model: str, name: str, status: int, kind: str) -> None:
    check_kind(await failure(clients[speaks], speaks, model), speaks, name, status, kind)


@by_both
async def test_a_stranger(keyed: House, speaks: str) -> None:
    async with keyed.client(speaks, api_key="wp-nobody") as client:
        error = await failure(client, speaks, "fast")
        check_kind(error, speaks, "AuthenticationError", 401, "unauthorized")
        assert "wp-nobody" not in str(error)
        with pytest.raises(Exception, match="401"):
            await client.models.list()


@by_both
async def test_over_budget(keyed: House, speaks: str) -> None:
    before = keyed.simulator.received_count
    async with keyed.client(speaks, api_key=POOR) as client:
        error = await failure(client, speaks, "fast")
    check_kind(error, speaks, "APIStatusError", 402, "over_budget")
    assert "small" in str(error)
    assert keyed.simulator.received_count == before
    row = await keyed.row(error.response.headers[CALL_ID])
    assert (row["outcome"], row["error"], row["attempts"], row["key"]) == ("refused", "over_budget", [], "poor")


@by_both
async def test_policy(keyed: House, speaks: str) -> None:
    async with keyed.client(speaks, api_key=KEY) as client:
        error = await failure(client, speaks, "other")
    check_kind(error, speaks, "PermissionDeniedError", 403, "policy_denied")


@by_both
async def test_rate_limit(tmp_path: Path, speaks: str) -> None:
    async with open_house(PROVIDERS, tmp_path) as house, house.client(speaks) as client:
        await create(client, speaks)(**request(speaks, "slow/sim-small"))
        error = await failure(client, speaks, "slow/sim-small")
    check_kind(error, speaks, "RateLimitError", 429, "rate_limited")
    assert int(error.response.headers["retry-after"]) >= 1


@by_both
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("as_header", [False, True])
async def test_a_deadline(house: House, clients: dict[str, Any], speaks: str, streamed: bool, as_header: bool) -> None:
    more: dict[str, Any] = (
        {"extra_headers": {"x-waypost-timeout": "0.15"}}
        if as_header
        else {"extra_body": {"waypost": {"timeout_s": 0.15}}}
    )
    error = await failure(clients[speaks], speaks, "any-anthropic/sim-small~stall_before", stream=streamed, **more)
    check_kind(error, speaks, "InternalServerError", 504, "deadline")
    row = await house.row(error.response.headers[CALL_ID])
    assert (row["outcome"], row["error"], len(row["attempts"])) == ("failed", "deadline", 1)
    assert 100 < row["total_ms"] < 2000


@by_both
@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"[]", 400), (b'{"messages":[]}', 400), (b'{"model":7,"messages":[]}', 400), (b"\xff", 400)],
)
async def test_what_is_no_request(http: httpx2.AsyncClient, speaks: str, body: bytes, status: int) -> None:
    path = "/v1/chat/completions" if speaks == OPENAI else "/v1/messages"
    answer = await http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert (answer.json().get("type") == "error") is (speaks == ANTHROPIC)


# What can't be carried.


UNCARRIED: dict[str, tuple[dict[str, Any], str]] = {
    OPENAI: ({"seed": 7, "logit_bias": {"1": 2}}, "seed, logit_bias"),
    ANTHROPIC: ({"extra_body": {"top_k": 5}}, "top_k"),
}
OTHER = {OPENAI: ANTHROPIC, ANTHROPIC: OPENAI}


@by_both
@pytest.mark.parametrize("streamed", [False, True])
async def test_dropped_parameters(house: House, clients: dict[str, Any], speaks: str, streamed: bool) -> None:
    options, names = UNCARRIED[speaks]
    other, ask = OTHER[speaks], create(clients[speaks], speaks, raw=True)

    raw = await ask(**request(speaks, f"warn-{other}", **options, stream=streamed))
    assert raw.headers["x-waypost-dropped"] == names
    raw = await ask(**request(speaks, f"drop-{other}", **options, stream=streamed))
    assert "x-waypost-dropped" not in raw.headers
    assert not set(json.loads(house.received.body)) & {"seed", "logit_bias", "top_k"}

    before = house.simulator.received_count
    error = await failure(clients[speaks], speaks, f"reject-{other}", **options, stream=streamed)
    check_kind(error, speaks, "BadRequestError", 400, "bad_request")
    assert names in str(error)
    assert house.simulator.received_count == before

    raw = await ask(**request(speaks, f"reject-{speaks}", **options, stream=streamed))
    assert "x-waypost-dropped" not in raw.headers


# What a caller says about a call.


@by_both
@pytest.mark.parametrize("as_header", [False, True])
async def test_dry_run(
    house: House, clients: dict[str, Any], http: httpx2.AsyncClient, speaks: str, as_header: bool
) -> None:
    path = "/v1/chat/completions" if speaks == OPENAI else "/v1/messages"
    body = request(speaks, "fast")
    headers = {"x-waypost-dry-run": "true"} if as_header else {}
    if not as_header:
        body["waypost"] = {"dry_run": True}
    before, rows = house.simulator.received_count, len(house.rows())
    answer = await http.post(path, json=body, headers=headers)
    told = answer.json()
    assert answer.status_code == 200
    assert told["dry_run"] is True
    assert told["order"] == ["openai/sim-small", "anthropic/sim-small"]
    assert told["decision"]["propensities"][0] == 1.0
    assert (house.simulator.received_count, len(house.rows())) == (before, rows)


@by_both
@pytest.mark.parametrize("how", ["header", "body", "metadata"])
async def test_labels_are_kept(house: House, clients: dict[str, Any], speaks: str, how: str) -> None:
    more: dict[str, Any]
    if how == "header":
        more = {
            "extra_headers": {
                "x-waypost-task": "code",
                "x-waypost-tags": "team=blue, urgent",
                "x-waypost-session": "s1",
            }
        }
    elif how == "body":
        more = {"extra_body": {"waypost": {"task": "code", "tags": {"team": "blue", "urgent": ""}, "session": "s1"}}}
    else:
        more = {"extra_body": {"metadata": {"task": "code"}}}
    raw = await create(clients[speaks], speaks, raw=True)(**request(speaks, "fast", **more))
    row = await house.row(raw.headers[CALL_ID])
    assert (row["task"], row["route"], row["model"]) == ("code", "code", "sim-echo")
    assert row["tags"] == ({} if how == "metadata" else {"team": "blue", "urgent": ""})
    sent = json.loads(house.received.body)
    assert "waypost" not in sent
    assert "task" not in sent.get("metadata", {})
    assert not any(name.startswith("x-waypost") for name, _ in house.received.headers)


async def test_an_unknown_task_takes_the_default_and_is_logged(house: House, clients: dict[str, Any]) -> None:
    raw = await create(clients[OPENAI], OPENAI, raw=True)(
        **request(OPENAI, "code", extra_headers={"x-waypost-task": "poetry"})
    )
    assert raw.headers["x-waypost-route"] == "fast"
    misfits = [values for event, values in house.logged if event == "task_misfit"]
    assert misfits[-1] == {"task": "poetry", "route": "fast", "call": raw.headers[CALL_ID]}


async def test_the_keys_labels_can_not_be_overwritten(keyed: House) -> None:
    async with keyed.client(OPENAI, api_key=KEY) as client:
        raw = await create(client, OPENAI, raw=True)(
            **request(OPENAI, "fast", extra_headers={"x-waypost-tags": "project=mine,other=1"})
        )
    row = await keyed.row(raw.headers[CALL_ID])
    assert (row["key"], row["team"], row["tags"]) == ("app", "a", {"project": "search", "other": "1"})
    assert KEY not in str(keyed.received)


@by_both
@at_both
@pytest.mark.parametrize("as_header", [False, True])
async def test_a_callers_own_key(
    house: House, clients: dict[str, Any], speaks: str, provider: str, as_header: bool
) -> None:
    own = "sk-my-very-own-7"
    more: dict[str, Any] = (
        {"extra_headers": {"x-waypost-provider-key": own}}
        if as_header
        else {"extra_body": {"waypost": {"api_key": own}}}
    )
    header, prefix = ("authorization", "Bearer ") if provider == OPENAI else ("x-api-key", "")
    raw = await create(clients[speaks], speaks, raw=True)(**request(speaks, f"warn-{provider}", **more))
    assert house.received.header(header) == prefix + own
    assert own not in house.received.body.decode()
    assert "sk-journey" not in str(house.received)
    row = await house.row(raw.headers[CALL_ID])
    assert own not in str(row)
    assert own not in str(house.logged)

    await create(clients[speaks], speaks)(**request(speaks, f"warn-{provider}"))
    assert house.received.header(header) == prefix + "sk-of-the-house"


@at_both
@pytest.mark.parametrize("fault", ["401", "403", "429(retry_after=60)", "404"])
async def test_a_callers_own_key_benches_nobody_elses(tmp_path: Path, provider: str, fault: str) -> None:
    """However often a bad key is tried: with the house's own, all is as before."""
    house_key = {OPENAI: "Bearer sk-of-the-house", ANTHROPIC: "sk-of-the-house"}[provider]
    own = {"x-waypost-provider-key": "sk-not-so-good-1"}
    async with open_house(PROVIDERS, tmp_path) as house, house.client(OPENAI) as client:
        for _ in range(6):
            error = await failure(client, OPENAI, f"{provider}/m~{fault}", extra_headers=own)
            assert error.status_code == 502
        gateway = house.waypost.gateway
        (lane,) = gateway.lanes(gateway.tables.find(f"{provider}/m~{fault}", None).plan)
        assert lane.health.is_well
        raw = await create(client, OPENAI, raw=True)(**request(OPENAI, f"{provider}/sim-small"))
        assert raw.headers["x-waypost-provider"] == provider
        assert house_key in (house.received.header("authorization"), house.received.header("x-api-key"))


async def test_a_callers_own_key_is_not_held_back_by_ours(tmp_path: Path) -> None:
    """The house's credential rests after a refusal; that says nothing about anybody else's, and neither heals it."""
    own = {"x-waypost-provider-key": "sk-not-so-good-1"}
    async with open_house(PROVIDERS, tmp_path) as house, house.client(OPENAI) as client:
        await failure(client, OPENAI, "openai/m~401")
        gateway = house.waypost.gateway
        (lane,) = gateway.lanes(gateway.tables.find("openai/sim-small", None).plan)
        assert not lane.health.is_well
        raw = await create(client, OPENAI, raw=True)(**request(OPENAI, "openai/sim-small"), extra_headers=own)
        assert raw.headers["x-waypost-attempts"] == "1"
        assert house.received.header("authorization") == "Bearer sk-not-so-good-1"
        assert not lane.health.is_well


async def test_a_key_of_ones_own_goes_to_one_provider(house: House, clients: dict[str, Any]) -> None:
    before = house.simulator.received_count
    error = await failure(clients[OPENAI], OPENAI, "fast", extra_headers={"x-waypost-provider-key": "sk-mine-1234"})
    check_kind(error, OPENAI, "BadRequestError", 400, "bad_request")
    assert house.simulator.received_count == before


# Same protocol, same bytes.

ODD = (
    b'{ "x_unknown" : [1, 2.50, 1E5, "\\u00e9\\ud83d\\ude00", {"model":"openai/sim-small"}],\n\t"model":"%s" ,'
    b'"messages":[{"role":"user","content":"Say \\"model\\": \\u2028 caf\xc3\xa9","x":null}]%s,"max_tokens": 50 }'
)
PATHS = {OPENAI: "/v1/chat/completions", ANTHROPIC: "/v1/messages"}


@by_both
@pytest.mark.parametrize("streamed", [False, True])
async def test_bytes_are_the_callers_and_the_providers(
    house: House, http: httpx2.AsyncClient, speaks: str, streamed: bool
) -> None:
    usage = b',"stream_options":{"include_usage":true}' if speaks == OPENAI else b""
    more = b',"stream" : true' + usage if streamed else b""
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    answer = await http.post(PATHS[speaks], content=ODD % (f"{speaks}/sim-small".encode(), more), headers=headers)
    assert answer.status_code == 200, answer.text
    sent = ODD % (b"sim-small", more)
    assert house.received.body == sent
    async with Simulator(Script(strict=False), seed=SEED).serve() as address, httpx2.AsyncClient() as direct:
        wanted = await direct.post(f"http://{address}{PATHS[speaks]}", content=sent, headers=headers)
    assert answer.content == wanted.content


def squeezed(body: bytes) -> bytes:
    """Without white space: how much of it a member takes along when it goes is not promised."""
    return b"".join(body.split())


async def test_only_our_own_members_are_taken_out(house: House, http: httpx2.AsyncClient) -> None:
    for given, left in (
        (b',"waypost":{"tags":["a"]}', b""),
        (b', "waypost" : {"session":"s"} ', b" "),
        (b',"metadata":{"kept":"1"}', b',"metadata":{"kept":"1"}'),
        (b',"metadata":{"kept" : "1"},"waypost":{}', b',"metadata":{"kept" : "1"}'),
        (b',"metadata":{"task":"qa", "kept" : "1"}', b',"metadata":{"kept" : "1"}'),
        (b',"metadata":{"task":"qa"}', b""),
    ):
        body = ODD % (b"openai/sim-small", given)
        answer = await http.post(PATHS[OPENAI], content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 200, answer.text
        assert squeezed(house.received.body) == squeezed(ODD % (b"sim-small", left))


async def test_headers_for_the_provider_are_passed_on(house: House, clients: dict[str, Any]) -> None:
    beta = {"anthropic-beta": "feature-2026", "x-private": "secret"}
    await create(clients[ANTHROPIC], ANTHROPIC)(**request(ANTHROPIC, "anthropic/sim-small", extra_headers=beta))
    assert house.received.header("anthropic-beta") == "feature-2026"
    assert [value for name, value in house.received.headers if name == "anthropic-version"] == ["2023-06-01"]
    assert house.received.header("x-private") is None
    raw = await create(clients[OPENAI], OPENAI, raw=True)(**request(OPENAI, "anthropic/sim-small", extra_headers=beta))
    assert [value for name, value in house.received.headers if name == "anthropic-version"] == ["2023-06-01"]
    assert house.received.header("anthropic-beta") is None
    assert raw.headers["x-waypost-provider"] == ANTHROPIC


@pytest.mark.parametrize("own", [False, True])
async def test_whose_account_pays_is_said_with_a_key_of_ones_own_only(
    house: House, clients: dict[str, Any], own: bool
) -> None:
    headers = {"openai-organization": "org-1", "openai-project": "proj-1", "openai-beta": "b=1"}
    if own:
        headers["x-waypost-provider-key"] = "sk-my-very-own-8"
    await create(clients[OPENAI], OPENAI)(**request(OPENAI, "openai/sim-small", extra_headers=headers))
    told = [house.received.header(name) for name in ("openai-organization", "openai-project", "openai-beta")]
    assert told == ["org-1" if own else None, "proj-1" if own else None, "b=1"]
    assert not any(name.startswith("x-stainless") for name, _ in house.received.headers)


async def test_bodies_are_kept_only_where_the_route_says_so(house: House, clients: dict[str, Any]) -> None:
    raw = await create(clients[OPENAI], OPENAI, raw=True)(**request(OPENAI, "kept"))
    await house.row(raw.headers[CALL_ID])
    kept = house.bodies(raw.headers[CALL_ID])
    assert kept is not None
    assert json.loads(kept[0] or "")["model"] == "kept"
    assert kept[1] == raw.text
    raw = await create(clients[OPENAI], OPENAI, raw=True)(**request(OPENAI, "fast"))
    await house.row(raw.headers[CALL_ID])
    assert house.bodies(raw.headers[CALL_ID]) is None


# A caller who leaves.


@by_both
@at_both
async def test_hanging_up_in_a_stream_cancels_the_provider(
    house: House, clients: dict[str, Any], speaks: str, provider: str
) -> None:
    raw = await create(clients[speaks], speaks, raw=True)(
        **request(speaks, f"any-{provider}/sim-small~stall_mid", stream=True)
    )
    await hang_up(house, raw)


async def hang_up(house: House, raw: Any) -> None:
    loop = asyncio.get_running_loop()
    before = house.simulator.abandoned_count
    left = loop.time()
    await raw.http_response.aclose()
    await asyncio.wait_for(house.simulator.until(lambda: house.simulator.abandoned_count > before), 5)
    assert loop.time() - left < 0.1
    row = await house.row(raw.headers[CALL_ID])
    assert (row["outcome"], [each["outcome"] for each in row["attempts"]]) == ("cancelled", ["cancelled"])
    assert row["estimated"] is True
    assert row["tokens"]["output"] > 0


@by_both
@pytest.mark.parametrize("streamed", [False, True])
async def test_hanging_up_before_the_answer_cancels_the_provider(house: House, speaks: str, streamed: bool) -> None:
    loop = asyncio.get_running_loop()
    simulator = house.simulator
    received, abandoned, known = simulator.received_count, simulator.abandoned_count, set(house.journal.ended)
    async with house.client(speaks) as client:
        asking = asyncio.create_task(
            create(client, speaks)(**request(speaks, "any-anthropic/sim-small~stall_before", stream=streamed))
        )
        await asyncio.wait_for(simulator.until(lambda: simulator.received_count > received), 5)
        left = loop.time()
        asking.cancel()
        await asyncio.wait_for(simulator.until(lambda: simulator.abandoned_count > abandoned), 5)
        assert loop.time() - left < 0.1
        with pytest.raises(asyncio.CancelledError):
            await asking
    await house.journal.until(lambda: bool(set(house.journal.ended) - known))
    (call,) = set(house.journal.ended) - known
    row = await house.row(call)
    assert (row["outcome"], row["cost_usd"]) == ("cancelled", None)
    assert [(each["provider"], each["outcome"]) for each in row["attempts"]] == [("any-anthropic", "cancelled")]


# What there is.


async def test_models(house: House, keyed: House, clients: dict[str, Any]) -> None:
    names = [model.id async for model in clients[OPENAI].models.list()]
    assert names[:2] == ["fast", "code"]
    assert {"openai/sim-small", "openai/sim-echo"} <= set(names)
    assert [model.id async for model in clients[ANTHROPIC].models.list()] == names
    assert (await clients[OPENAI].models.retrieve("fast")).id == "fast"
    assert (await clients[ANTHROPIC].models.retrieve("fast")).display_name == "fast"
    with pytest.raises(Exception, match="nowhere") as unknown:
        await clients[OPENAI].models.retrieve("nowhere")
    assert type(unknown.value).__name__ == "NotFoundError"
    async with keyed.client(OPENAI, api_key=KEY) as client:
        assert [model.id async for model in client.models.list()] == ["fast"]


async def test_tokens_are_not_counted_where_nobody_can(house: House, clients: dict[str, Any]) -> None:
    before = house.simulator.received_count
    with pytest.raises(Exception) as failed:
        await clients[ANTHROPIC].messages.count_tokens(model="openai/sim-small", messages=user("Hello"))
    assert 400 <= failed.value.status_code < 500  # type: ignore[attr-defined]
    assert house.simulator.received_count == before


async def test_a_synchronous_callers_errors(house: House) -> None:
    def ask(speaks: str) -> Any:
        with new_client(speaks, house.base, synchronous=True) as client:
            with pytest.raises(Exception) as failed:
                create(client, speaks)(**request(speaks, "nowhere"))
            return failed.value

    for speaks in SPEAKERS:
        check_kind(await asyncio.to_thread(ask, speaks), speaks, "NotFoundError", 404, "unknown_model")
