"""Recorded answers as upstream: each reaches both SDKs, through sockets and a whole gateway, saying the same."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from corpus.records import Record, answers
from corpus.test_reading import DIFFERENCES
from journeys.asking import user
from journeys.harness import ANTHROPIC, OPENAI, House, open_house

CONFIG = """
providers:
  openai-chat: {{kind: openai, base_url: 'http://{address}/v1', class: local}}
  anthropic-messages: {{kind: anthropic, base_url: 'http://{address}', class: local}}
breaker: {{consecutive: 1000000, minimum: 1000000}}
"""
RECORDS = {record.id: record for record in answers()}
# What one SDK's caller can't be told as the other protocol said it, or what was cut or broken in the recording itself.
LEFT_OUT = {
    record.id
    for record in RECORDS.values()
    if record.id in DIFFERENCES
    or record.expect["mid_error"]
    or record.expect["refusal"]
    or record.expect["choices"] != 1
    or record.expect["stop"] is None
    or not record.expect["complete"]
    or any("__raw__" in str(call["args"]) for call in record.expect["tool_calls"])  # arguments that are no JSON
}


@asynccontextmanager
async def replaying() -> AsyncIterator[str]:
    """A provider that answers each model's name with the recording of that id, byte for byte, and closes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            record = RECORDS[json.loads(await reader.readexactly(length))["model"]]
            kind = "text/event-stream" if record.stream else "application/json"
            lines = (
                "HTTP/1.1 200 OK",
                f"content-type: {kind}",
                f"content-length: {len(record.body)}",
                "connection: close",
            )
            writer.write("\r\n".join((*lines, "", "")).encode() + record.body)
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"{host}:{port}"
    finally:
        server.close()
        await server.wait_closed()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with replaying() as address:
        folder = Path(tmp_path_factory.mktemp("replay"))
        async with open_house(CONFIG.format(address=address), folder) as house:
            yield house


STOPS = {
    OPENAI: {"stop": "stop", "length": "length", "tool": "tool_calls", "stop_sequence": "stop"},
    ANTHROPIC: {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use", "stop_sequence": "stop_sequence"},
}
OWN: dict[str | None, str | None] = {"eos": "stop"}
Calls = dict[int, list[str]]
Heard = tuple[str, list[tuple[str, Any]], str | None]


def said_of(record: Record, speaks: str) -> Heard:
    calls = [(call["name"], call["args"]) for call in record.expect["tool_calls"]]
    return record.expect["text"], calls, STOPS[speaks][record.expect["stop"]]


def heard_of(text: str, calls: Calls, stop: str | None) -> Heard:
    # A relayed word of a provider's own for a natural end is the provider's, and stays.
    return text, [(name, json.loads(arguments or "{}")) for name, arguments in calls.values()], OWN.get(stop, stop)


def text_of(content: Any) -> str:
    """Mistral's models say it in parts; in their own protocol they reach the caller as they came."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content or ""


async def ask_openai(client: Any, record: Record, request: dict[str, Any]) -> Heard:
    answer = await client.chat.completions.create(**request, stream=record.stream)
    if not record.stream:
        choice = answer.choices[0]
        asked = [each.function for each in choice.message.tool_calls or ()]
        calls = {place: [each.name, each.arguments] for place, each in enumerate(asked)}
        return heard_of(text_of(choice.message.content), calls, choice.finish_reason)
    text, stop, calls = "", None, {}
    async for chunk in answer:
        for choice in chunk.choices:
            text += text_of(choice.delta.content)
            stop = choice.finish_reason or stop
            for each in choice.delta.tool_calls or ():
                call = calls.setdefault(each.index, ["", ""])
                call[0] = call[0] or each.function.name or ""
                call[1] += each.function.arguments or ""
    return heard_of(text, calls, stop)


async def ask_anthropic(client: Any, record: Record, request: dict[str, Any]) -> Heard:
    answer = await client.messages.create(**request, max_tokens=4096, stream=record.stream)
    if not record.stream:
        text = "".join(block.text for block in answer.content if block.type == "text")
        used = [block for block in answer.content if block.type == "tool_use"]
        return heard_of(
            text, {at: [each.name, json.dumps(each.input)] for at, each in enumerate(used)}, answer.stop_reason
        )
    text, stop, calls = "", None, {}
    async for event in answer:
        if event.type == "content_block_start" and event.content_block.type == "tool_use":
            whole = event.content_block.input
            calls[event.index] = [event.content_block.name, json.dumps(whole) if whole else ""]
        elif event.type == "content_block_start" and event.content_block.type == "text":
            text += event.content_block.text
        elif event.type == "content_block_delta" and event.delta.type == "text_delta":
            text += event.delta.text
        elif event.type == "content_block_delta" and event.delta.type == "input_json_delta" and event.index in calls:
            calls[event.index][1] += event.delta.partial_json
        elif event.type == "message_delta":
            stop = event.delta.stop_reason
    return heard_of(text, calls, stop)


ASK = {OPENAI: ask_openai, ANTHROPIC: ask_anthropic}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("speaks", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("protocol", ["openai-chat", "anthropic-messages"])
async def test_every_recorded_answer_reaches_both_sdks(house: House, protocol: str, speaks: str) -> None:
    wrong, asked = [], 0
    async with house.client(speaks) as client:
        for record in RECORDS.values():
            if record.protocol != protocol or record.id in LEFT_OUT:
                continue
            asked += 1
            request = {"model": f"{protocol}/{record.id}", "messages": user("Say it again.")}
            heard: object
            try:
                heard = await ASK[speaks](client, record, request)
            except Exception as error:  # noqa: BLE001 - collected, so that one case does not hide the others
                heard = repr(error)[:300]
            if heard != said_of(record, speaks):
                wrong.append((record.id, heard, said_of(record, speaks)))
    assert asked >= 4
    assert not wrong, f"{len(wrong)} differ: {[each[0] for each in wrong]}, the first: {wrong[:2]}"
