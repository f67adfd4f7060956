"""Going on from an earlier answer with OpenAI's own SDK, at targets that keep no answers.

What a provider was told is what reached the simulator; what it said is the simulator's own answer to that.
"""

import json
import sqlite3
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import openai
import pytest
import pytest_asyncio

from journeys.asking import read_upstream
from journeys.harness import ANTHROPIC, OPENAI, House, answer_of, open_house
from waypost.ledger.responses import ResponseStore
from waypost.sim import Script
from waypost.sim.faults import Fault, FaultKind
from waypost.sim.script import Model

pytestmark = pytest.mark.asyncio(loop_scope="module")
PREFIX = "resp_waypost_"
OWN_KEY = "sk-the-callers-own-key"
CONFIG = """
providers:
  chat:
    {kind: openai, dialect: openai_chat, base_url: 'http://{address}/v1', class: local,
     prices: {'*': {input: 1, output: 2}}}
  anthropic: {kind: anthropic, base_url: 'http://{address}', class: local, prices: {'*': {input: 3, output: 4}}}
  native:
    {kind: openai, dialect: openai_responses, base_url: 'http://{address}/v1', class: local,
     prices: {'*': {input: 5, output: 6}}}
  gemini: {kind: gemini, base_url: 'http://{address}', class: local, prices: {'*': {input: 5, output: 6}}}
  cohere: {kind: cohere, base_url: 'http://{address}', class: local, prices: {'*': {input: 5, output: 6}}}
  bedrock:
    {kind: bedrock, base_url: 'http://{address}', class: local, api_key: sk-bearer,
     prices: {'*': {input: 5, output: 6}}}
routes:
  openai: {targets: [chat/sim-small], store_responses: {expire_s: 100, max_bytes: 64KiB}}
  anthropic: {targets: [anthropic/sim-small], store_responses: {expire_s: 100}}
  thinking: {targets: [anthropic/sim-reasoner], store_responses: true}
  native: {targets: [native/sim-small], store_responses: true}
  fails-over: {targets: [native/down], fallbacks: [anthropic/sim-small], store_responses: true}
  breaks: {targets: [chat/breaks], store_responses: true}
  gemini: {targets: [gemini/sim-small], store_responses: true}
  cohere: {targets: [cohere/sim-small], store_responses: true}
  bedrock: {targets: [bedrock/sim-small], store_responses: true}
  off: {targets: [chat/sim-small]}
  off-native: {targets: [native/sim-small]}
  small: {targets: [chat/sim-small], store_responses: {max_bytes: 1KiB}}
budgets: [{name: all, limit_usd: 1000, window: none}]
keys:
  - {name: app, key: wp-app, team: a}
  - {name: other, key: wp-other, team: a}
"""
TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Clock:
    """Of the store: how long answers are kept."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


class Stored:
    """A house, two of its callers, and the time at its store."""

    def __init__(self, house: House, clock: Clock, app: Any, other: Any) -> None:
        self.house = house
        self.clock = clock
        self.app = app
        self.other = other

    async def ask(self, *, streamed: bool = False, client: Any = None, **request: Any) -> Any:
        client = client or self.app
        if not streamed:
            return await client.responses.create(**request)
        async with client.responses.stream(**request) as stream:
            ids = [event.response.id async for event in stream if hasattr(event, "response")]
            final = await stream.get_final_response()
        assert set(ids) == {final.id}
        return final

    def said(self, speaks: str) -> str | None:
        """What the provider said last."""
        return read_upstream(speaks, answer_of(self.house.simulator, self.house.received)).text

    def heard(self) -> Any:
        """What the provider was told last."""
        return json.loads(self.house.received.body)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Stored]:
    clock = Clock()

    def config(simulator: Any) -> str:
        return CONFIG.replace("{address}", simulator.address)

    script = Script(
        models={
            "down": Model(faults=(Fault(kind=FaultKind.STATUS_500),)),
            "breaks": Model(faults=(Fault(kind=FaultKind.TRUNCATED),)),
        }
    )
    with patch("waypost.app.ResponseStore", partial(ResponseStore, clock=clock)):
        async with open_house(config, folder, script=script) as house, AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(house.client(OPENAI, api_key=key)) for key in ("wp-app", "wp-other")
            ]
            yield Stored(house, clock, *clients)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stored(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stored]:
    async with opened(tmp_path_factory.mktemp("stored")) as found:
        yield found


def texts(speaks: str, heard: Any) -> list[tuple[str, str]]:
    """Who said what, in the provider's own request."""
    told = []
    for message in heard["messages"]:
        content = message["content"]
        parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content or ()]
        told += [(message["role"], part) for part in parts if part]
    return told


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("speaks", [OPENAI, ANTHROPIC])
class TestGoingOn:
    async def test_two_turns(self, stored: Stored, speaks: str, streamed: bool) -> None:
        first = await stored.ask(streamed=streamed, model=speaks, input="I am Ada.", instructions="Be brief.")
        assert first.id.startswith(PREFIX)
        assert first.store is True
        assert first.previous_response_id is None
        assert first.output_text == stored.said(speaks)

        second = await stored.ask(streamed=streamed, model=speaks, input="Who am I?", previous_response_id=first.id)
        assert texts(speaks, stored.heard()) == [
            ("user", "I am Ada."),
            ("assistant", first.output_text),
            ("user", "Who am I?"),
        ]
        assert b"Be brief." not in stored.house.received.body  # instructions hold for one answer
        assert second.output_text == stored.said(speaks)
        assert second.previous_response_id == first.id
        assert second.id not in ("", first.id)

        third = await stored.ask(
            streamed=streamed,
            model=speaks,
            input=[{"role": "user", "content": "Again."}],
            instructions="Shout.",
            previous_response_id=second.id,
        )
        told = [pair for pair in texts(speaks, stored.heard()) if pair[0] in ("user", "assistant")]
        assert [text for _, text in told] == [
            "I am Ada.",
            first.output_text,
            "Who am I?",
            second.output_text,
            "Again.",
        ]
        assert b"Shout." in stored.house.received.body
        assert third.output_text == stored.said(speaks)
        row = stored.house.rows()[-1]
        assert (row["outcome"], row["key"], row["estimated"]) == ("ok", "app", False)

    async def test_one_answer_may_be_gone_on_from_twice(self, stored: Stored, speaks: str, streamed: bool) -> None:
        first = await stored.ask(streamed=streamed, model=speaks, input="I am Ada.")
        for question in ("Who am I?", "And who are you?"):
            await stored.ask(streamed=streamed, model=speaks, input=question, previous_response_id=first.id)
            assert texts(speaks, stored.heard())[1:] == [("assistant", first.output_text), ("user", question)]

    async def test_a_tool_call_between(self, stored: Stored, speaks: str, streamed: bool) -> None:
        first = await stored.ask(
            streamed=streamed, model=speaks, input="What is the weather in Oslo?", tools=[TOOL], tool_choice="required"
        )
        call = next(item for item in first.output if item.type == "function_call")
        second = await stored.ask(
            streamed=streamed,
            model=speaks,
            previous_response_id=first.id,
            tools=[TOOL],
            input=[{"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"}],
        )
        assert second.output_text == stored.said(speaks)
        assert "18 degrees" in second.output_text
        body = stored.house.received.body
        assert body.count(call.call_id.encode()) == 2  # the call, and its result
        third = await stored.ask(
            streamed=streamed, model=speaks, previous_response_id=second.id, tools=[TOOL], input="Thank you."
        )
        assert third.output_text == stored.said(speaks)
        assert texts(speaks, stored.heard())[-2:] == [("assistant", second.output_text), ("user", "Thank you.")]

    async def test_another_key_is_refused(self, stored: Stored, speaks: str, streamed: bool) -> None:
        first = await stored.ask(streamed=streamed, model=speaks, input="I am Ada.")
        before = len(stored.house.simulator.requests)
        with pytest.raises(openai.BadRequestError) as caught:
            await stored.ask(
                streamed=streamed,
                client=stored.other,
                model=speaks,
                input="Who am I?",
                previous_response_id=first.id,
            )
        assert_not_found(caught.value, first.id)
        assert len(stored.house.simulator.requests) == before

    async def test_an_expired_one_is_refused(self, stored: Stored, speaks: str, streamed: bool) -> None:
        first = await stored.ask(streamed=streamed, model=speaks, input="I am Ada.")
        stored.clock.ahead_s = 100.0
        try:
            with pytest.raises(openai.BadRequestError) as caught:
                await stored.ask(streamed=streamed, model=speaks, input="Who am I?", previous_response_id=first.id)
        finally:
            stored.clock.ahead_s = 0.0
        assert_not_found(caught.value, first.id)

    async def test_store_false_is_obeyed(self, stored: Stored, speaks: str, streamed: bool) -> None:
        first = await stored.ask(streamed=streamed, model=speaks, input="I am Ada.", store=False)
        assert not first.id.startswith(PREFIX)
        assert first.store is False
        with pytest.raises(openai.BadRequestError) as caught:
            await stored.ask(streamed=streamed, model=speaks, input="Who?", previous_response_id=first.id)
        assert_not_found(caught.value, first.id)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("provider", ["gemini", "cohere", "bedrock"])
async def test_any_target_will_do(stored: Stored, provider: str, streamed: bool) -> None:
    first = await stored.ask(
        streamed=streamed, model=provider, input="What is the weather in Oslo?", tools=[TOOL], tool_choice="required"
    )
    call = next(item for item in first.output if item.type == "function_call")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees"}
    second = await stored.ask(
        streamed=streamed, model=provider, previous_response_id=first.id, tools=[TOOL], input=[result]
    )
    assert "18 degrees" in second.output_text
    await stored.ask(
        streamed=streamed, model=provider, previous_response_id=second.id, tools=[TOOL], input="Thank you."
    )
    heard = json.dumps(stored.heard(), ensure_ascii=False)
    told = ["What is the weather in Oslo?", "18 degrees", second.output_text, "Thank you."]
    places = [heard.find(json.dumps(text, ensure_ascii=False)[1:-1]) for text in told]
    assert -1 not in places
    assert places == sorted(places)


def assert_not_found(error: openai.BadRequestError, id_: str) -> None:
    assert error.code == "previous_response_not_found"
    assert error.type == "invalid_request_error"
    assert f"'{id_}' not found" in error.message
    assert "Send the whole conversation" in error.message
    assert error.response.headers["x-waypost-error"] == "bad_request"


async def test_one_that_never_was_is_refused_and_leaves_a_row(stored: Stored) -> None:
    for id_ in (f"{PREFIX}{'0' * 32}", "resp_of_somebody_else"):
        with pytest.raises(openai.BadRequestError) as caught:
            await stored.ask(model="openai", input="Who am I?", previous_response_id=id_)
        assert_not_found(caught.value, id_)
        row = stored.house.rows()[-1]
        assert (row["outcome"], row["error"], row["attempts"]) == ("refused", "bad_request", [])


class TestOff:
    async def test_nothing_is_kept(self, stored: Stored) -> None:
        first = await stored.ask(model="off", input="I am Ada.")
        assert not first.id.startswith(PREFIX)
        assert first.store is False
        with pytest.raises(openai.BadRequestError, match=r"let the route keep responses \(`store_responses`\)"):
            await stored.ask(model="off", input="Who am I?", previous_response_id=first.id)

    @pytest.mark.parametrize("route", ["off", "off-native", "chat/sim-small"])
    async def test_one_of_ours_is_refused_elsewhere(self, stored: Stored, route: str) -> None:
        first = await stored.ask(model="openai", input="I am Ada.")
        before = len(stored.house.simulator.requests)
        with pytest.raises(openai.BadRequestError, match="`store_responses`") as caught:
            await stored.ask(model=route, input="Who am I?", previous_response_id=first.id)
        assert caught.value.code == "previous_response_not_found"
        assert len(stored.house.simulator.requests) == before

    async def test_a_provider_is_asked_for_what_is_its_own(self, stored: Stored) -> None:
        with pytest.raises(openai.BadRequestError, match="'resp_its_own' not found"):
            await stored.ask(model="off-native", input="Who am I?", previous_response_id="resp_its_own")
        assert stored.heard()["previous_response_id"] == "resp_its_own"


class TestAtHome:
    """Targets that speak Responses keep their own answers, and are told what is kept here."""

    async def test_its_own_id_passes(self, stored: Stored) -> None:
        first = await stored.ask(model="native", input="I am Ada.")
        assert not first.id.startswith(PREFIX)
        with pytest.raises(openai.BadRequestError, match=f"'{first.id}' not found"):  # the simulator keeps none
            await stored.ask(model="native", input="Who am I?", previous_response_id=first.id)
        assert stored.heard()["previous_response_id"] == first.id

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    async def test_what_is_kept_here_is_told(self, stored: Stored, streamed: bool) -> None:
        first = await stored.ask(streamed=streamed, model="thinking", input="I am Ada.", reasoning={"effort": "medium"})
        assert [item.type for item in first.output] == ["reasoning", "message"]
        second = await stored.ask(streamed=streamed, model="native", input="Who am I?", previous_response_id=first.id)
        heard = stored.heard()
        assert "previous_response_id" not in heard
        assert [(item["type"], item["role"]) for item in heard["input"][:2]] == [
            ("message", "user"),
            ("message", "assistant"),
        ]
        assert heard["input"][1]["content"][0]["text"] == first.output_text
        assert heard["input"][2] == {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Who am I?"}],
        }
        assert second.status == "completed"

    async def test_its_own_reasoning_comes_back_to_who_signed_it(self, stored: Stored) -> None:
        first = await stored.ask(model="thinking", input="I am Ada.", reasoning={"effort": "medium"})
        await stored.ask(
            model="thinking", input="Who am I?", reasoning={"effort": "medium"}, previous_response_id=first.id
        )
        kinds = [part["type"] for part in stored.heard()["messages"][1]["content"]]
        assert kinds == ["thinking", "text"]

    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    async def test_a_fallback_goes_on(self, stored: Stored, streamed: bool) -> None:
        first = await stored.ask(streamed=streamed, model="fails-over", input="I am Ada.", max_output_tokens=500)
        assert first.id.startswith(PREFIX)
        assert first.output_text == stored.said(ANTHROPIC)
        await stored.ask(streamed=streamed, model="fails-over", input="Who am I?", previous_response_id=first.id)
        *_, at_home, elsewhere = [json.loads(received.body) for received in stored.house.simulator.requests]
        assert at_home["model"] == "down"
        assert [item["role"] for item in at_home["input"]] == ["user", "assistant", "user"]
        assert [role for role, _ in texts(ANTHROPIC, elsewhere)] == ["user", "assistant", "user"]
        assert [attempt["outcome"] for attempt in stored.house.rows()[-1]["attempts"]] == ["failed", "ok"]


async def test_plain_calls_are_kept_too(stored: Stored) -> None:
    """Those that could be answered without a task."""
    for _ in range(2):
        first = await stored.ask(model="openai", input="I am Ada.", max_output_tokens=500)
        assert first.id.startswith(PREFIX)
        await stored.ask(model="openai", input="Who?", max_output_tokens=500, previous_response_id=first.id)
        assert texts(OPENAI, stored.heard())[0] == ("user", "I am Ada.")


async def test_an_answer_that_breaks_off_is_not_kept(stored: Stored) -> None:
    ids = []
    with pytest.raises(openai.APIError):
        async with await stored.app.responses.create(model="breaks", input="I am Ada.", stream=True) as stream:
            async for event in stream:
                ids += [event.response.id] if event.type == "response.created" else []
    assert ids[0].startswith(PREFIX)
    with pytest.raises(openai.BadRequestError) as caught:
        await stored.ask(model="openai", input="Who am I?", previous_response_id=ids[0])
    assert_not_found(caught.value, ids[0])


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
class TestReadOut:
    async def test_the_answer(self, stored: Stored, streamed: bool) -> None:
        answer = await stored.ask(streamed=streamed, model="openai", input="I am Ada.")
        again = await stored.app.responses.retrieve(answer.id)
        assert again.id == answer.id
        assert again.output_text == answer.output_text
        assert again.usage == answer.usage
        assert (again.status, again.store) == ("completed", True)

    async def test_what_was_said_before(self, stored: Stored, streamed: bool) -> None:
        first = await stored.ask(streamed=streamed, model="openai", input="I am Ada.")
        second = await stored.ask(
            streamed=streamed,
            model="openai",
            input=[{"role": "user", "content": "Who am I?"}],
            previous_response_id=first.id,
        )
        page = await stored.app.responses.input_items.list(second.id, order="asc")
        assert [(item.type, item.role) for item in page.data] == [
            ("message", "user"),
            ("message", "assistant"),
            ("message", "user"),
        ]
        assert page.data[1].content[0].text == first.output_text
        everything = [item async for item in stored.app.responses.input_items.list(second.id, limit=1)]
        assert [item.id for item in everything] == [item.id for item in reversed(page.data)]

    async def test_it_is_deleted(self, stored: Stored, streamed: bool) -> None:
        answer = await stored.ask(streamed=streamed, model="openai", input="I am Ada.")
        await stored.app.responses.delete(answer.id)
        with pytest.raises(openai.NotFoundError):
            await stored.app.responses.retrieve(answer.id)
        with pytest.raises(openai.NotFoundError):
            await stored.app.responses.delete(answer.id)
        with pytest.raises(openai.BadRequestError) as caught:
            await stored.ask(model="openai", input="Who?", previous_response_id=answer.id)
        assert_not_found(caught.value, answer.id)

    async def test_by_its_owner_only(self, stored: Stored, streamed: bool) -> None:
        answer = await stored.ask(streamed=streamed, model="openai", input="I am Ada.")
        for reading in (stored.other.responses.retrieve, stored.other.responses.delete):
            with pytest.raises(openai.NotFoundError, match="not found"):
                await reading(answer.id)
        with pytest.raises(openai.NotFoundError, match="not found"):
            await stored.other.responses.input_items.list(answer.id)
        await stored.app.responses.retrieve(answer.id)


class TestReadOutRefused:
    async def test_a_stranger(self, stored: Stored) -> None:
        answer = await stored.ask(model="openai", input="I am Ada.")
        with pytest.raises(openai.AuthenticationError):
            await stored.app.with_options(api_key="wp-nobody").responses.retrieve(answer.id)

    @pytest.mark.parametrize(
        ("parameters", "names"),
        [
            ({"limit": 0}, "limit"),
            ({"limit": 101}, "limit"),
            ({"order": "up"}, "order"),
            ({"after": "item_nobody"}, "after"),
        ],
    )
    async def test_a_page_that_is_none(self, stored: Stored, parameters: dict[str, Any], names: str) -> None:
        answer = await stored.ask(model="openai", input="I am Ada.")
        with pytest.raises(openai.BadRequestError, match=names):
            await stored.app.responses.input_items.list(answer.id, **parameters)

    async def test_a_stream(self, stored: Stored) -> None:
        answer = await stored.ask(model="openai", input="I am Ada.")
        with pytest.raises(openai.BadRequestError, match="stream"):
            await stored.app.responses.retrieve(answer.id, stream=True)

    async def test_what_is_not_there(self, stored: Stored) -> None:
        for id_ in ("resp_of_a_provider", f"{PREFIX}0"):
            with pytest.raises(openai.NotFoundError, match=f"'{id_}' not found"):
                await stored.app.responses.retrieve(id_)
        with pytest.raises(openai.NotFoundError, match="There is nothing at"):
            await stored.app.responses.cancel(f"{PREFIX}0")


class TestBounds:
    async def test_too_large_a_one_is_not_kept_and_says_so(self, stored: Stored) -> None:
        for streamed in (False, True):
            answer = await stored.ask(streamed=streamed, model="small", input="word " * 400)
            assert answer.store is False
            assert stored.house.logged[-1][0] == "response_not_stored"
            with pytest.raises(openai.BadRequestError) as caught:
                await stored.ask(model="small", input="Who am I?", previous_response_id=answer.id)
            assert_not_found(caught.value, answer.id)


async def test_a_budget_counts_all_that_is_sent(stored: Stored) -> None:
    first = await stored.ask(model="openai", input="word " * 2000)
    await stored.ask(model="openai", input="Go on.", previous_response_id=first.id)
    row = stored.house.rows()[-1]
    assert row["tokens"]["input"] > 500
    assert row["estimated"] is False
    assert not [event for event, _ in stored.house.logged if event == "budget_overshoot"]


async def test_a_dry_run_goes_on_too(stored: Stored) -> None:
    first = await stored.ask(model="openai", input="I am Ada.")
    answer = await stored.app.responses.with_raw_response.create(
        model="openai", input="Who?", previous_response_id=first.id, extra_body={"waypost": {"dry_run": True}}
    )
    assert json.loads(answer.content)["order"] == ["chat/sim-small"]


async def test_a_restart_keeps_them_and_nothing_secret(tmp_path: Path) -> None:
    options = {"waypost": {"api_key": OWN_KEY, "tags": ["secret-tag"]}}
    async with opened(tmp_path) as before:
        first = await before.ask(
            model="openai", input="I am Ada.", instructions="A secret instruction.", extra_body=options
        )
        streamed = await before.ask(streamed=True, model="anthropic", input="I am Bob.", extra_body=options)
    everything = b"".join(contents(tmp_path / "waypost.responses.db"))
    assert b"I am Ada." in everything
    assert b"I am Bob." in everything
    for secret in (OWN_KEY, "wp-app", "secret-tag", "A secret instruction."):
        assert secret.encode() not in everything
    async with opened(tmp_path) as after:
        for model, answer in (("openai", first), ("anthropic", streamed)):
            await after.ask(model=model, input="Who am I?", previous_response_id=answer.id)
            assert ("assistant", answer.output_text) in texts(model, after.heard())


async def test_a_store_that_can_not_be_read_costs_no_call(tmp_path: Path) -> None:
    (tmp_path / "waypost.responses.db").write_bytes(b"not a database " * 1000)
    async with opened(tmp_path) as broken:
        first = await broken.ask(model="openai", input="I am Ada.")
        await broken.ask(model="openai", input="Who am I?", previous_response_id=first.id)  # known from memory
        assert ("assistant", first.output_text) in texts(OPENAI, broken.heard())
        with pytest.raises(openai.InternalServerError, match="can't be read now") as caught:
            await broken.ask(model="openai", input="Who?", previous_response_id=f"{PREFIX}0")
        assert caught.value.status_code == 503
        assert caught.value.response.headers["retry-after"] == "1"


def contents(path: Path) -> list[bytes]:
    """Every value in every row, unpacked."""
    values = []
    with closing(sqlite3.connect(path)) as database:
        for row in database.execute("SELECT * FROM responses"):
            values += [zlib.decompress(each) if isinstance(each, bytes) else str(each).encode() for each in row]
    return values
