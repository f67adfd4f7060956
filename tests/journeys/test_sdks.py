"""The official SDKs, as they are, through the gateway to both kinds of provider: four pairs, one meaning.

What is expected is taken from two witnesses: the simulator asked directly by the same SDK (what should be said), and
the simulator's own answer to the request that the gateway sent it (what was said, with its tokens).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from journeys.asking import (
    MARKED,
    QUESTIONS,
    SCHEMA,
    SPEAKERS,
    Said,
    ask_streamed,
    ask_streamed_synchronously,
    ask_whole,
    ask_whole_synchronously,
    check_event_order,
    fold_chunks,
    raw_events,
    read_answer,
    read_upstream,
    user,
    with_results,
)
from journeys.harness import ANTHROPIC, OPENAI, SEED, House, answer_of, new_client, open_house
from waypost.sim import Simulator

pytestmark = pytest.mark.asyncio(loop_scope="module")
pairs = pytest.mark.parametrize("provider", SPEAKERS), pytest.mark.parametrize("speaks", SPEAKERS)
CONFIG = """
providers:
  openai: {kind: openai, base_url: 'http://{address}/v1', class: local, prices: {'*': {input: 1, output: 2}}}
  anthropic: {kind: anthropic, base_url: 'http://{address}', class: local, prices: {'*': {input: 3, output: 4}}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(CONFIG, Path(tmp_path_factory.mktemp("house"))) as house:
        yield house


class Clients:
    """One of each SDK, asynchronous and synchronous, at the gateway and (asynchronous) at the simulator itself."""

    def __init__(self, base: str, simulator: str) -> None:
        self.calm = {speaks: new_client(speaks, base) for speaks in SPEAKERS}
        self.blocking = {speaks: new_client(speaks, base, synchronous=True) for speaks in SPEAKERS}
        self.direct = {speaks: new_client(speaks, simulator) for speaks in SPEAKERS}

    async def close(self) -> None:
        for client in (*self.calm.values(), *self.direct.values()):
            await client.close()
        for client in self.blocking.values():
            client.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def direct_simulator() -> AsyncIterator[str]:
    """A second one, alike in everything: what it receives is not taken for the gateway's."""
    async with Simulator(seed=SEED).serve() as address:
        yield f"http://{address}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clients(house: House, direct_simulator: str) -> AsyncIterator[Clients]:
    clients = Clients(house.base, direct_simulator)
    yield clients
    await clients.close()


Way = Callable[[Clients, str, dict[str, Any]], Awaitable[Said]]
WAYS: dict[str, Way] = {
    "whole": lambda clients, speaks, request: ask_whole(clients.calm[speaks], speaks, request),
    "streamed": lambda clients, speaks, request: ask_streamed(clients.calm[speaks], speaks, request),
    "whole, synchronously": lambda clients, speaks, request: asyncio.to_thread(
        ask_whole_synchronously, clients.blocking[speaks], speaks, request
    ),
    "streamed, synchronously": lambda clients, speaks, request: asyncio.to_thread(
        ask_streamed_synchronously, clients.blocking[speaks], speaks, request
    ),
}


def common(stop: str, *protocols: str) -> str:
    """OpenAI's protocol has no word for a stop sequence that was met: it is an end like any other."""
    return "end" if stop == "sequence" and OPENAI in protocols else stop


@pairs[0]
@pairs[1]
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("way", WAYS)
async def test_the_same_is_said(
    house: House, clients: Clients, speaks: str, provider: str, question: str, way: str
) -> None:
    asked = QUESTIONS[question]
    request = asked.of(speaks)
    said = await WAYS[way](clients, speaks, {**request, "model": f"{provider}/{asked.model}"})
    sent = read_upstream(provider, answer_of(house.simulator, house.received))
    wanted = await ask_whole(clients.direct[speaks], speaks, {**request, "model": asked.model})

    assert said.text == sent.text == wanted.text
    assert said.calls == sent.calls == wanted.calls
    assert said.thoughts == sent.thoughts
    assert said.tokens == sent.tokens
    assert said.stop == common(sent.stop, speaks, provider)
    assert common(said.stop, OPENAI) == common(wanted.stop, OPENAI)
    assert len(set(said.call_ids)) == len(said.calls)
    if speaks == provider:
        assert said == wanted


@pairs[0]
@pairs[1]
async def test_thinking_is_shown(clients: Clients, speaks: str, provider: str) -> None:
    asked = QUESTIONS["thinking"]
    said = await ask_whole(clients.calm[speaks], speaks, {**asked.of(speaks), "model": f"{provider}/{asked.model}"})
    assert said.thoughts.startswith("The question is Why?.")


@pairs[0]
@pairs[1]
@pytest.mark.parametrize("question", ["one tool", "parallel tools", "thinking and tools"])
async def test_tool_results_are_taken_up(clients: Clients, speaks: str, provider: str, question: str) -> None:
    asked = QUESTIONS[question]
    client = clients.calm[speaks]
    request = {**asked.of(speaks), "model": f"{provider}/{asked.model}"}
    create = client.chat.completions.create if speaks == OPENAI else client.messages.create
    answer = await create(**request)
    calls = read_answer(speaks, answer).calls
    assert calls
    again = with_results(speaks, request, answer, "18 degrees")
    told = " ".join(["18 degrees"] * len(calls))
    for ask in (ask_whole, ask_streamed):
        assert (await ask(client, speaks, again)).text.startswith(f"The tools said {told}.")


@pairs[0]
@pairs[1]
async def test_a_wrong_conversation_is_the_providers_own_error(clients: Clients, speaks: str, provider: str) -> None:
    """A tool result that answers nothing: the provider's refusal reaches the SDK as its own kind of error."""
    client = clients.calm[speaks]
    if speaks == OPENAI:
        stray: Any = [*user("Hello"), {"role": "tool", "tool_call_id": "call_x", "content": "18"}]
    else:
        stray = user([{"type": "tool_result", "tool_use_id": "toolu_x", "content": "18"}])
    with pytest.raises(Exception, match="tool") as refused:
        await ask_whole(
            client,
            speaks,
            {"model": f"{provider}/sim-small", "messages": stray, **QUESTIONS["text"].of(speaks)} | {"messages": stray},
        )
    assert type(refused.value).__name__ == "BadRequestError"
    assert type(refused.value).__module__.partition(".")[0] == speaks


@pytest.mark.parametrize("provider", SPEAKERS)
async def test_openai_usage_is_shown_only_if_asked(house: House, clients: Clients, provider: str) -> None:
    """Usage is asked of the provider all the same: the row has it, and its frame is not shown."""
    create = clients.calm[OPENAI].chat.completions.create
    raw = await clients.calm[OPENAI].chat.completions.with_raw_response.create(
        model=f"{provider}/sim-small", messages=user("Hello"), stream=True
    )
    chunks = [chunk async for chunk in raw.parse()]
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    received = house.received
    if provider == OPENAI:
        assert json.loads(received.body)["stream_options"] == {"include_usage": True}
    sent = read_upstream(provider, answer_of(house.simulator, received))
    row = await house.row(raw.headers["x-waypost-call-id"])
    assert sent.tokens is not None
    assert row["tokens"]["output"] == sent.tokens.output
    assert row["estimated"] is False
    assert fold_chunks(chunks).text == sent.text

    shown = [
        chunk
        async for chunk in await create(
            model=f"{provider}/sim-small",
            messages=user("Hello"),
            stream=True,
            stream_options={"include_usage": True},
        )
    ]
    assert shown[-1].usage is not None
    assert fold_chunks(shown).tokens == sent.tokens


@pytest.mark.parametrize("provider", SPEAKERS)
async def test_openai_stream_helper(clients: Clients, provider: str) -> None:
    """The SDK's own accumulator, which is stricter than adding up by hand."""
    asked = QUESTIONS["parallel tools"]
    async with clients.calm[OPENAI].chat.completions.stream(
        **asked.openai, model=f"{provider}/{asked.model}", stream_options={"include_usage": True}
    ) as stream:
        folded = await stream.get_final_completion()
    whole = await ask_whole(clients.direct[OPENAI], OPENAI, {**asked.openai, "model": asked.model})
    assert read_answer(OPENAI, folded).calls == whole.calls
    assert folded.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("provider", SPEAKERS)
@pytest.mark.parametrize("question", ["text", "parallel tools", "thinking", "thinking and tools", "refusal"])
async def test_anthropic_events_come_in_order(clients: Clients, provider: str, question: str) -> None:
    asked = QUESTIONS[question]
    request = {**asked.of(ANTHROPIC), "model": f"{provider}/{asked.model}"}
    check_event_order(await raw_events(clients.calm[ANTHROPIC], request))


@pytest.mark.parametrize("provider", SPEAKERS)
async def test_structured_output_is_parsed_by_the_sdk(clients: Clients, provider: str) -> None:
    completion = await clients.calm[OPENAI].chat.completions.create(
        **QUESTIONS["structured output"].openai, model=f"{provider}/sim-small"
    )
    parsed = json.loads(completion.choices[0].message.content)
    assert set(parsed) == set(SCHEMA["required"])
    assert parsed["age"] >= 18


@pytest.mark.parametrize("way", WAYS)
async def test_cache_marks_are_kept_and_what_they_cost_is_told(house: House, clients: Clients, way: str) -> None:
    said = await WAYS[way](clients, ANTHROPIC, {**MARKED, "max_tokens": 99, "model": "anthropic/sim-small"})
    assert said.tokens is not None
    assert (said.tokens.input, said.tokens.cache_write) == (4, 3)
    again = {**MARKED, "messages": [*user("four"), {"role": "assistant", "content": "five"}, *user("six")]}
    said = await WAYS[way](clients, ANTHROPIC, {**again, "max_tokens": 99, "model": "anthropic/sim-small"})
    assert said.tokens is not None
    assert (said.tokens.input, said.tokens.cache_read) == (6, 3)


async def test_several_choices(clients: Clients) -> None:
    request: dict[str, Any] = {"model": "openai/sim-small", "messages": user("Hello"), "n": 3}
    whole = await clients.calm[OPENAI].chat.completions.create(**request)
    assert len({choice.message.content for choice in whole.choices}) == 3
    texts = ["", "", ""]
    async for chunk in await clients.calm[OPENAI].chat.completions.create(**request, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == [choice.message.content for choice in whole.choices]


async def test_tokens_are_counted_by_the_provider(clients: Clients) -> None:
    request: dict[str, Any] = {"messages": user("one two three"), "system": "Be brief."}
    counted = await clients.calm[ANTHROPIC].messages.count_tokens(model="anthropic/sim-small", **request)
    wanted = await clients.direct[ANTHROPIC].messages.count_tokens(model="sim-small", **request)
    assert counted.input_tokens == wanted.input_tokens == 5
    blocking = clients.blocking[ANTHROPIC].messages.count_tokens
    assert (await asyncio.to_thread(blocking, model="anthropic/sim-small", **request)).input_tokens == 5
