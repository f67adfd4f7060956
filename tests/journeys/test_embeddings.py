"""`/v1/embeddings`: OpenAI's SDK as it is, in front of providers of four protocols; batches, budgets, faults, policy.

What is expected are the simulator's own vectors. A token costs a millionth of a dollar times the price.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import openai
import pytest
import pytest_asyncio

from journeys.harness import CALL_ID, OPENAI, SEED, House, open_house
from waypost.sim import Simulator
from waypost.sim.embedding import Input, size_of, vector

pytestmark = pytest.mark.asyncio(loop_scope="module")
TITAN, COHERE_AT_AMAZON = "amazon.titan-embed-text-v2:0", "eu.cohere.embed-v4:0"
CONFIG = """
providers:
  plain: {kind: openai, base_url: 'http://{address}/v1', class: local, prices: {'*': {input: 2, output: 0}}}
  other: {kind: openai, base_url: 'http://{address}/v1', class: local, prices: {'*': {input: 4, output: 9}}}
  responses:
    {kind: openai, dialect: openai_responses, base_url: 'http://{address}/v1', class: local,
     prices: {'*': {input: 2, output: 0}}}
  google: {kind: gemini, base_url: 'http://{address}', class: local, prices: {'*': {input: 3, output: 0}}}
  cohere: {kind: cohere, base_url: 'http://{address}', class: local, prices: {'*': {input: 5, output: 0}}}
  amazon:
    {kind: bedrock, base_url: 'http://{address}', class: local, region: eu-west-1, access_key_id: id,
     secret_access_key: secret, prices: {'*': {input: 7, output: 0}}}
  claude: {kind: anthropic, base_url: 'http://{address}', class: local}
  nowhere: {kind: openai, base_url: 'http://{refusing}/v1', class: local, prices: {'*': {input: 1, output: 0}}}
  metered: {kind: gemini, base_url: 'http://{address}', class: local, rate_limit: 2/day}
routes:
  mixed: {targets: [claude/sim-haiku], fallbacks: [nowhere/embed, google/embed, other/embed]}
  chat: {targets: [claude/sim-haiku]}
  strict: {targets: [google/embed], dropped_parameters: reject}
  silent: {targets: [google/embed], dropped_parameters: drop}
  late: {targets: [google/embed~503(beyond=1)], fallbacks: [other/embed]}
  kept: {targets: [plain/embed], store_bodies: true}
"""
PRICES = {"plain": 2, "other": 4, "responses": 2, "google": 3, "cohere": 5, "amazon": 7}
TARGETS = [
    "plain/embed",
    "responses/embed",
    "google/embed",
    "cohere/embed",
    f"amazon/{TITAN}",
    f"amazon/{COHERE_AT_AMAZON}",
]
WIDTH = 256  # the least that all of them take
FEW = ["Hello there", "what is the weather in Paris?", "日本語"]


def configured(text: str) -> Callable[[Simulator], str]:
    return lambda sim: text.replace("{address}", sim.address).replace("{refusing}", sim.refusing_address)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder: Path = tmp_path_factory.mktemp("embeddings")
    async with open_house(configured(CONFIG), folder) as house:
        yield house


@asynccontextmanager
async def asking(house: House) -> AsyncIterator[Any]:
    async with house.client(OPENAI) as client:
        yield client.embeddings.with_raw_response


async def post(house: House, body: Any, path: str = "/v1/embeddings", **headers: str) -> httpx2.Response:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    async with httpx2.AsyncClient(base_url=house.base, timeout=20) as http:
        return await http.post(path, content=content, headers=headers)


def expected(inputs: Sequence[Input], target: str, width: int = WIDTH) -> list[list[float]]:
    model = target.partition("/")[2].partition("~")[0]
    return [list(vector(each, width, model, SEED)) for each in inputs]


def tokens_of(inputs: Sequence[Input]) -> int:
    return sum(map(size_of, inputs))


def told(answer: Any) -> list[list[float]]:
    assert [each.index for each in answer.data] == list(range(len(answer.data)))
    return [each.embedding for each in answer.data]


def close_to(found: list[list[float]], wanted: list[list[float]]) -> bool:
    return len(found) == len(wanted) and all(
        one == pytest.approx(other, abs=1e-7) for one, other in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("encoding", [None, "float", "base64"])
async def test_every_provider(house: House, target: str, encoding: str | None) -> None:
    """`None` is the SDK's own default: it asks for base64 and decodes it."""
    more = {} if encoding is None else {"encoding_format": encoding}
    async with asking(house) as embeddings:
        raw = await embeddings.create(model=target, input=FEW, dimensions=WIDTH, **more)
    answer = raw.parse()
    vectors = told(answer)
    if encoding == "base64":  # asked for by the caller itself, it stays what it is
        assert all(isinstance(each, str) for each in vectors)
        assert len(vectors) == len(FEW)
    else:
        assert close_to(vectors, expected(FEW, target))
    tokens = tokens_of(FEW)
    assert (answer.object, answer.usage.prompt_tokens, answer.usage.total_tokens) == ("list", tokens, tokens)
    provider, _, model = target.partition("/")
    assert (raw.headers["x-waypost-provider"], raw.headers["x-waypost-model"]) == (provider, model)
    assert raw.headers["x-waypost-attempts"] == "1"
    assert "x-waypost-dropped" not in raw.headers
    row = await house.row(raw.headers[CALL_ID])
    assert (row["outcome"], row["provider"], row["model"], row["estimated"]) == ("ok", provider, model, False)
    assert (row["tokens"]["input"], row["tokens"]["output"]) == (tokens, 0)
    cost = Decimal(tokens * PRICES[provider]) / 1_000_000
    assert Decimal(row["cost_usd"]) == Decimal(raw.headers["x-waypost-cost-usd"]) == cost
    assert [each["outcome"] for each in row["attempts"]] == ["ok"]
    assert row["first_byte_ms"] is not None


@pytest.mark.parametrize("target", TARGETS)
async def test_one_text(house: House, target: str) -> None:
    async with asking(house) as embeddings:
        answer = (await embeddings.create(model=target, input="Hello there", dimensions=WIDTH)).parse()
    assert close_to(told(answer), expected(["Hello there"], target))


@pytest.mark.parametrize("given", [[1, 2, 3], [[1, 2, 3], [40_000]]])
async def test_token_ids_go_where_they_mean_something(house: House, given: Any) -> None:
    inputs = [tuple(each) for each in (given if isinstance(given[0], list) else [given])]
    async with asking(house) as embeddings:
        raw = await embeddings.create(model="mixed", input=given, dimensions=8)
        assert close_to(told(raw.parse()), expected(inputs, "other/embed", 8))
        row = await house.row(raw.headers[CALL_ID])
        assert [(each["provider"], each["error"]) for each in row["attempts"]] == [
            ("nowhere", "connect"),
            ("other", None),
        ]
        assert row["tokens"]["input"] == tokens_of(inputs)
        with pytest.raises(openai.BadRequestError, match="takes token ids") as refused:
            await embeddings.create(model="strict", input=given)
    assert refused.value.response.headers["x-waypost-error"] == "bad_request"


async def test_bytes_are_passed_on(house: House) -> None:
    """Members that are not known here, and how it is written."""
    body = b'{ "input" :["a","b"],\n"model": "plain/embed" ,"user":"u","dimensions":2, "waypost":{"tags":["n=1"]}}'
    answer = await post(house, body, "/v1/embeddings?api-version=1&key=secret", **{"openai-beta": "b=1"})
    assert answer.status_code == 200, answer.text
    received = house.received
    assert received.body == b'{ "input" :["a","b"],\n"model": "embed" ,"user":"u","dimensions":2}'
    assert (received.path, received.header("openai-beta")) == ("/v1/embeddings?api-version=1", "b=1")
    assert answer.content.startswith(b'{"object":"list","data":[')
    assert answer.headers["x-request-id"]
    assert (await house.row(answer.headers[CALL_ID]))["tags"] == {"n": "1"}


async def test_a_providers_refusal_is_passed_on_as_it_came(house: House) -> None:
    answer = await post(house, {"model": "plain/embed", "input": "a", "colour": "blue"})
    assert (answer.status_code, answer.headers["x-waypost-error"]) == (400, "bad_request")
    assert answer.json()["error"]["code"] == "unknown_parameter"
    row = await house.row(answer.headers[CALL_ID])
    assert (row["outcome"], row["cost_usd"], row["attempts"][0]["error"]) == ("failed", None, "bad_request")


@pytest.mark.parametrize("model", ["cohere/embed~429", "google/embed~500", f"amazon/{TITAN}~503"])
async def test_where_every_candidate_fails_each_is_told(house: House, model: str) -> None:
    async with asking(house) as embeddings:
        with pytest.raises(openai.InternalServerError) as failed:
            await embeddings.create(model=model, input=FEW)
    response = failed.value.response
    assert (response.status_code, response.headers["x-waypost-error"]) == (502, "upstream_failed")
    assert isinstance(failed.value.body, dict)
    assert failed.value.body["type"]
    row = await house.row(response.headers[CALL_ID])
    assert (row["outcome"], row["cost_usd"], len(row["attempts"])) == ("failed", None, 1)


async def test_the_path_and_the_task_of_a_protocol(house: House) -> None:
    async with asking(house) as embeddings:
        request: dict[str, Any] = {"input": "Hello", "dimensions": WIDTH, "extra_body": {"input_type": "query"}}
        seen = []
        for target in ("google/a b", "cohere/embed", f"amazon/{TITAN}"):
            assert (await embeddings.create(model=target, **request)).http_response.status_code == 200
            seen.append((house.received.path, msgspec.json.decode(house.received.body)))
    (google, asked), (cohere, texts), (amazon, text) = seen
    assert google == "/v1beta/models/a%20b:batchEmbedContents"
    assert asked["requests"][0]["taskType"] == "RETRIEVAL_QUERY"
    assert (cohere, texts["input_type"], texts["model"]) == ("/v2/embed", "search_query", "embed")
    assert amazon == "/model/amazon.titan-embed-text-v2%3A0/invoke"
    assert text == {"inputText": "Hello", "dimensions": WIDTH}
    assert (house.received.header("authorization") or "").startswith("AWS4-HMAC-SHA256 Credential=id/")


async def test_who_cannot_embed_is_no_candidate(house: House) -> None:
    """The route's first target is Anthropic's; the second is down."""
    async with asking(house) as embeddings:
        raw = await embeddings.create(model="mixed", input=FEW, dimensions=8)
        assert close_to(told(raw.parse()), expected(FEW, "google/embed", 8))
        assert raw.headers["x-waypost-route"] == "mixed"
        row = await house.row(raw.headers[CALL_ID])
        assert [each["provider"] for each in row["attempts"]] == ["nowhere", "google"]
        for model in ("chat", "claude/sim-haiku", "amazon/some-other-model", "unheard-of"):
            with pytest.raises(openai.NotFoundError) as refused:
                await embeddings.create(model=model, input="Hello")
            assert refused.value.response.headers["x-waypost-error"] == "unknown_model"
            row = await house.row(refused.value.response.headers[CALL_ID])
            assert (row["outcome"], row["attempts"]) == ("refused", [])


async def test_a_dry_run_tells_who_could(house: House) -> None:
    count = house.simulator.received_count
    answer = await post(house, {"model": "mixed", "input": "a"}, **{"x-waypost-dry-run": "true"})
    assert answer.json()["order"] == ["nowhere/embed", "google/embed", "other/embed"]
    assert house.simulator.received_count == count
    assert answer.headers[CALL_ID] not in [row["id"] for row in house.rows()]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"model": "google/embed"}, "`input`"),
        ({"model": "google/embed", "input": []}, "`input`"),
        ({"model": "google/embed", "input": ["a", ""]}, "`input[1]`"),
        ({"model": "google/embed", "input": ["a", 1]}, "`input`"),
        ({"model": "google/embed", "input": "a", "dimensions": 0}, "`dimensions`"),
        ({"model": "google/embed", "input": "a", "encoding_format": "hex"}, "`encoding_format`"),
        ({"model": "plain/embed", "input": 3}, "`input`"),
        ({"input": "a"}, "`model`"),
        (b'{"model": "plain/embed", "model": "other/embed", "input": "a"}', "`model` is given twice"),
        (b"{", "not valid JSON"),
    ],
)
async def test_what_is_no_request_is_refused_here(house: House, body: Any, named: str) -> None:
    count = house.simulator.received_count
    answer = await post(house, body)
    if "model` is given" not in named:
        named = named.replace("`model`", "model")
    assert (answer.status_code, answer.headers["x-waypost-error"]) == (400, "bad_request")
    assert named in answer.json()["error"]["message"]
    assert house.simulator.received_count == count
    assert (await house.row(answer.headers[CALL_ID]))["outcome"] in ("refused", "failed")


async def test_what_cannot_be_carried(house: House) -> None:
    body = {"input": "a", "user": "u", "dimensions": 8, "service_tier": "flex"}
    dropped = {}
    for route in ("google/embed", "silent", "strict"):
        answer = await post(house, body | {"model": route})
        dropped[route] = (answer.status_code, answer.headers.get("x-waypost-dropped"))
    assert dropped == {"google/embed": (200, "user, service_tier"), "silent": (200, None), "strict": (400, None)}
    assert "can't carry: user, service_tier" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("target", "count", "batches"),
    [
        ("plain/embed", 2048, [2048]),
        ("google/embed", 250, [100, 100, 50]),
        ("cohere/embed", 200, [96, 96, 8]),
        (f"amazon/{COHERE_AT_AMAZON}", 97, [96, 1]),
        (f"amazon/{TITAN}", 20, [1] * 20),
    ],
)
async def test_more_inputs_than_a_provider_takes_at_once(
    house: House, target: str, count: int, batches: list[int]
) -> None:
    texts = [f"text number {number}" for number in range(count)]
    before = house.simulator.received_count
    width = 4 if target.startswith(("plain", "google")) else WIDTH
    async with asking(house) as embeddings:
        raw = await embeddings.create(model=target, input=texts, dimensions=width)
    assert house.simulator.received_count - before == len(batches)
    asked = [msgspec.json.decode(each.body) for each in house.simulator.requests[-len(batches) :]]
    sizes = [
        len(body.get("input") or body.get("requests") or body.get("texts") or [body.get("inputText")]) for body in asked
    ]
    assert sorted(sizes) == sorted(batches)
    answer = raw.parse()
    assert close_to(told(answer), expected(texts, target, width))
    assert answer.usage.prompt_tokens == tokens_of(texts)
    row = await house.row(raw.headers[CALL_ID])
    assert (row["tokens"]["input"], len(row["attempts"])) == (tokens_of(texts), 1)
    assert Decimal(row["cost_usd"]) == Decimal(tokens_of(texts) * PRICES[target.partition("/")[0]]) / 1_000_000


async def test_inputs_beyond_what_openai_takes(house: House) -> None:
    async with asking(house) as embeddings:
        with pytest.raises(openai.BadRequestError, match="2049 inputs"):
            await embeddings.create(model="plain/embed", input=["a"] * 2049)


async def test_a_batch_that_fails_fails_the_attempt(house: House) -> None:
    """The first of three batches was answered, the rest are refused: all inputs go to the other, and both are paid."""
    texts = [f"text {number}" for number in range(250)]
    async with asking(house) as embeddings:
        raw = await embeddings.create(model="late", input=texts, dimensions=4)
    assert close_to(told(raw.parse()), expected(texts, "other/embed", 4))
    assert raw.parse().usage.prompt_tokens == tokens_of(texts)
    lost, rest = tokens_of(texts[:100]), tokens_of(texts)
    row = await house.row(raw.headers[CALL_ID])
    assert [(each["provider"], each["outcome"], each["error"]) for each in row["attempts"]] == [
        ("google", "failed", "overloaded"),
        ("other", "ok", None),
    ]
    assert row["tokens"]["input"] == lost + rest
    assert Decimal(row["cost_usd"]) == Decimal(lost * 3 + rest * 4) / 1_000_000
    assert raw.headers["x-waypost-attempts"] == "2"


async def test_a_batch_that_fails_where_nobody_else_is(house: House) -> None:
    texts = [f"text {number}" for number in range(150)]
    async with asking(house) as embeddings:
        with pytest.raises(openai.InternalServerError) as failed:
            await embeddings.create(model="google/embed~500(beyond=1)", input=texts, dimensions=4)
    row = await house.row(failed.value.response.headers[CALL_ID])
    assert (row["outcome"], row["error"], row["tokens"]["input"]) == (
        "failed",
        "upstream_failed",
        tokens_of(texts[:100]),
    )
    assert Decimal(row["cost_usd"]) == Decimal(tokens_of(texts[:100]) * 3) / 1_000_000


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("truncated", "truncated"),
        ("malformed_json", "malformed"),
        ("wrong_content_type", "malformed"),
        ("error_event", None),
        ("empty_body", "malformed"),
        ("reset_after", "reset"),
        ("garbage", None),
        ("429", "rate_limited"),
        ("502", None),
    ],
)
@pytest.mark.parametrize("target", ["plain/embed", "google/embed", "cohere/embed", f"amazon/{TITAN}"])
async def test_a_fault_moves_the_call_on(tmp_path: Path, target: str, fault: str, kind: str | None) -> None:
    text = CONFIG + f"  spoilt: {{targets: ['{target}~{fault}'], fallbacks: [other/embed]}}\n"
    async with open_house(configured(text), tmp_path) as house:
        async with asking(house) as embeddings:
            raw = await embeddings.create(model="spoilt", input=FEW, dimensions=WIDTH)
        assert close_to(told(raw.parse()), expected(FEW, "other/embed"))
        row = await house.row(raw.headers[CALL_ID])
        assert [each["outcome"] for each in row["attempts"]] == ["failed", "ok"]
        assert row["attempts"][0]["error"] is not None
        if kind == "truncated":
            assert row["attempts"][0]["error"] in ("truncated", "reset")
        elif kind is not None:
            assert row["attempts"][0]["error"] == kind
        assert row["tokens"]["input"] == tokens_of(FEW)


@pytest.mark.parametrize("target", ["plain/embed", "google/embed", f"amazon/{TITAN}"])
async def test_usage_that_is_not_told_is_estimated(house: House, target: str) -> None:
    async with asking(house) as embeddings:
        raw = await embeddings.create(model=f"{target}~no_usage", input=FEW, dimensions=WIDTH)
    assert b'"usage"' not in raw.http_response.content
    row = await house.row(raw.headers[CALL_ID])
    assert (row["estimated"], row["tokens"]["output"]) == (True, 0)
    assert tokens_of(FEW) <= row["tokens"]["input"] < 200
    assert Decimal(row["cost_usd"]) == Decimal(row["tokens"]["input"] * PRICES[target.partition("/")[0]]) / 1_000_000


async def test_one_deadline_for_all_batches(house: House) -> None:
    async with asking(house) as embeddings:
        with pytest.raises(openai.InternalServerError) as failed:
            await embeddings.create(
                model="google/embed~stall_before(beyond=1)",
                input=["a"] * 300,
                dimensions=4,
                extra_headers={"x-waypost-timeout": "0.3"},
            )
    assert failed.value.response.headers["x-waypost-error"] == "deadline"
    row = await house.row(failed.value.response.headers[CALL_ID])
    assert (row["outcome"], row["tokens"]["input"], row["cost_usd"]) == ("failed", 100, "0.0003")


async def test_who_hangs_up_has_one_row(house: House) -> None:
    """The batch that was answered before is paid for."""
    answered = house.simulator.answered_count
    async with httpx2.AsyncClient(base_url=house.base, timeout=20) as http:
        call = asyncio.ensure_future(
            http.post(
                "/v1/embeddings",
                json={"model": "google/embed~stall_before(beyond=1) ", "input": ["a"] * 101, "dimensions": 4},
            )
        )
        count = house.simulator.received_count
        await house.simulator.until(lambda: house.simulator.received_count >= count + 2)
        assert house.simulator.answered_count == answered + 1
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    await house.journal.until(lambda: not house.waypost.gateway.calls)
    row = house.rows()[-1]
    assert (row["outcome"], row["tokens"]["input"], row["cost_usd"]) == ("cancelled", 100, "0.0003")


async def test_a_providers_rate_counts_batches(house: House) -> None:
    async with asking(house) as embeddings:
        with pytest.raises(openai.InternalServerError, match="rate limit") as refused:
            await embeddings.create(model="metered/embed", input=["a"] * 201, dimensions=4)
        assert refused.value.response.status_code == 502
        raw = await embeddings.create(model="metered/embed", input=["a"] * 200, dimensions=4)
        assert len(raw.parse().data) == 200
        with pytest.raises(openai.RateLimitError):
            await embeddings.create(model="metered/embed", input="a", dimensions=4)


async def test_bodies_are_kept_where_the_route_says_so(house: House) -> None:
    body = {"model": "kept", "input": "a", "dimensions": 2, "waypost": {"api_key": "sk-of-the-caller"}}
    answer = await post(house, body)
    kept = house.bodies(answer.headers[CALL_ID])
    assert kept is not None
    assert kept[1] == answer.text
    assert "sk-of-the-caller" not in str(kept)
    assert house.received.header("authorization") == "Bearer sk-of-the-caller"


BUDGETED = """
providers:
  google: {kind: gemini, base_url: 'http://{address}', class: local, prices: {'*': {input: 1, output: 0}}}
  plain: {kind: openai, base_url: 'http://{address}/v1', class: local, prices: {embed: {input: 1, output: 0}}}
routes:
  late: {targets: [google/embed~500(beyond=1)], fallbacks: [plain/embed]}
budgets: [{name: all, limit_usd: LIMIT}]
"""


@asynccontextmanager
async def budgeted(folder: Path, limit: str) -> AsyncIterator[tuple[House, Any]]:
    async with open_house(configured(BUDGETED.replace("LIMIT", limit)), folder) as house, asking(house) as embeddings:
        yield house, embeddings


def spent(house: House) -> tuple[int, int]:
    (budget,) = house.waypost.gateway.budgets.view(house.waypost.gateway.clock.wall_ns() / 1e9)
    return budget.spent, budget.reserved


async def test_a_budget_settles_on_what_was_used(tmp_path: Path) -> None:
    async with budgeted(tmp_path, "0.001") as (house, embeddings):
        for model in ("google/embed", "plain/embed"):
            raw = await embeddings.create(model=model, input=FEW, dimensions=4)
            assert Decimal(raw.headers["x-waypost-cost-usd"]) == Decimal(tokens_of(FEW)) / 1_000_000
        assert spent(house) == (2 * tokens_of(FEW) * 1000, 0)


async def test_a_budget_refuses_what_might_not_fit(tmp_path: Path) -> None:
    async with budgeted(tmp_path, "0.001") as (house, embeddings):
        with pytest.raises(openai.APIStatusError) as refused:
            await embeddings.create(model="plain/embed", input="a" * 1000)
        assert refused.value.response.headers["x-waypost-error"] == "over_budget"
        assert refused.value.status_code == 402
        with pytest.raises(openai.APIStatusError) as unpriced:
            await embeddings.create(model="plain/unpriced", input="a")
        assert unpriced.value.status_code == 402
        assert house.simulator.received_count == 0
        assert spent(house) == (0, 0)
        assert [row["outcome"] for row in house.rows()] == ["refused", "refused"]


async def test_what_a_failed_attempt_cost_is_held_beside_the_next(tmp_path: Path) -> None:
    """Room for one bound of 2000 bytes and some, and then for what was lost, too; or not."""
    texts = ["a b c d e f"] * 120
    bound = (
        len(msgspec.json.encode({"input": texts, "model": "late", "dimensions": 4, "encoding_format": "base64"})) + 256
    )
    lost = tokens_of(texts[:100])
    for room, status in ((lost, 200), (lost - 1, 402)):
        folder = tmp_path / str(room)
        folder.mkdir()
        limit = str(Decimal(bound + room) / 1_000_000)
        async with budgeted(folder, limit) as (house, embeddings):
            if status == 200:
                raw = await embeddings.create(model="late", input=texts, dimensions=4)
                assert close_to(told(raw.parse()), expected(texts, "plain/embed", 4))
                used = lost + tokens_of(texts)
            else:
                with pytest.raises(openai.APIStatusError) as refused:
                    await embeddings.create(model="late", input=texts, dimensions=4)
                assert (refused.value.status_code, used := lost) == (402, lost)
            (row,) = house.rows()
            assert (row["tokens"]["input"], Decimal(row["cost_usd"])) == (used, Decimal(used) / 1_000_000)
            assert spent(house) == (used * 1000, 0)


POLICED = """
providers:
  home: {kind: openai, base_url: 'http://{address}/v1', class: local}
  cloud: {kind: gemini, base_url: 'http://{address}', api_key: sk-cloud, class: hosted}
  claude: {kind: anthropic, base_url: 'http://{address}', class: local}
routes:
  any: {targets: [cloud/embed], fallbacks: [home/embed]}
  away: {targets: [cloud/embed], fallbacks: [claude/sim-haiku]}
policy: {classes: [local]}
keys:
  - {name: app, key: wp-app, team: a, tags: {project: search}}
  - {name: narrow, key: wp-narrow, routes: [away]}
"""


async def test_policy_keys_and_tags(tmp_path: Path) -> None:
    async with open_house(configured(POLICED), tmp_path) as house:
        async with house.client(OPENAI, api_key="wp-app") as client:
            raw = await client.embeddings.with_raw_response.create(model="any", input="a", dimensions=2)
            row = await house.row(raw.headers[CALL_ID])
            assert (row["provider"], row["key"], row["team"], row["tags"]) == (
                "home",
                "app",
                "a",
                {"project": "search"},
            )
            assert row["cost_usd"] is None
            for model in ("away", "cloud/embed"):
                with pytest.raises(openai.PermissionDeniedError, match="class is not allowed by the policy"):
                    await client.embeddings.create(model=model, input="a")
        count = house.simulator.received_count
        async with house.client(OPENAI, api_key="wp-narrow") as client:
            with pytest.raises(openai.PermissionDeniedError, match="may not call"):
                await client.embeddings.create(model="any", input="a")
        async with house.client(OPENAI, api_key="wp-stranger") as client:
            with pytest.raises(openai.AuthenticationError):
                await client.embeddings.create(model="any", input="a")
        assert house.simulator.received_count == count
        assert not [row for row in house.rows() if row["provider"] == "cloud"]


async def test_a_wrong_method_is_told_as_such(house: House) -> None:
    async with httpx2.AsyncClient(base_url=house.base) as http:
        answer = await http.get("/v1/embeddings")
    assert (answer.status_code, answer.json()["error"]["message"][:3]) == (405, "GET")


async def test_chat_of_the_same_names_is_not_touched(house: House) -> None:
    """The same caller, model and protocol: what is remembered of one is not taken for the other."""
    async with house.client(OPENAI) as client:
        for _ in range(2):
            await client.embeddings.create(model="mixed", input="a", dimensions=2)
            told = await client.chat.completions.with_raw_response.create(
                model="mixed", messages=[{"role": "user", "content": "Hello"}], max_tokens=9
            )
            assert told.headers["x-waypost-provider"] == "claude"
