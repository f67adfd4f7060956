"""Every recorded answer, to every caller: replayed as upstream, it reaches each official SDK saying the same.

All pairs of protocols, each with all recordings, through sockets and a whole gateway.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote

import pytest
import pytest_asyncio

from corpus.differences import differs, left_out
from corpus.records import DIALECTS, Record, answers
from corpus.sdks import ASK, AT_ONCE, Heard, clients
from journeys.harness import House, open_house

MOST_CUTS = 24
PROVIDERS = {
    "openai-chat": "{{kind: openai, dialect: openai_chat, base_url: 'http://{address}/v1', class: local}}",
    "openai-responses": "{{kind: openai, dialect: openai_responses, base_url: 'http://{address}/v1', class: local}}",
    "anthropic-messages": "{{kind: anthropic, base_url: 'http://{address}', class: local}}",
    "gemini": "{{kind: gemini, dialect: gemini, base_url: 'http://{address}', class: local}}",
    "cohere-v2": "{{kind: cohere, base_url: 'http://{address}', class: local}}",
    "bedrock-converse": "{{kind: bedrock, base_url: 'http://{address}', class: local, api_key: bearer-of-nobody}}",
}
CONFIG = "\n".join(
    (
        "providers:",
        *(f"  {name}: {PROVIDERS[name]}" for name in DIALECTS),
        "breaker: {{consecutive: 1000000, minimum: 1000000}}",
        "",
    )
)
RECORDS = {record.id: record for record in answers()}
PROTOCOLS = sorted({record.protocol for record in RECORDS.values()})
_ID = re.compile(r"/models?/([^/:]+)")


def cut(record: Record) -> Iterator[bytes]:
    """A stream comes in pieces that end anywhere: inside characters, events and the headers of binary messages."""
    body, start = record.body, 0
    places = Random(record.id).sample(range(len(body)), min(len(body), MOST_CUTS)) if record.stream else ()
    for place in (*sorted(places), len(body)):
        yield body[start:place]
        start = place


@asynccontextmanager
async def replaying() -> AsyncIterator[str]:
    """A provider that answers each model's name with the recording of that id, byte for byte, and closes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            body = json.loads(await reader.readexactly(length))
            in_path = _ID.search(unquote(head.split(b" ")[1].decode()))
            record = RECORDS[in_path[1] if in_path else body["model"]]
            lines = (
                f"HTTP/1.1 {record.status} OK",
                f"content-type: {record.content_type}",
                f"content-length: {len(record.body)}",
                "connection: close",
            )
            writer.write("\r\n".join((*lines, "", "")).encode())
            for piece in cut(record):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
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
        folder = Path(tmp_path_factory.mktemp("pairs"))
        async with open_house(CONFIG.format(address=address), folder) as house:
            yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sdks(house: House) -> AsyncIterator[dict[str, Any]]:
    async with clients(house.base) as opened:
        yield opened


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("speaks", sorted(ASK))
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_every_recorded_answer_reaches_every_sdk(sdks: dict[str, Any], protocol: str, speaks: str) -> None:
    wrong: list[tuple[str, str]] = []
    turn = asyncio.Semaphore(AT_ONCE)

    async def ask(record: Record) -> None:
        async with turn:
            try:
                heard: Heard | str = await ASK[speaks](sdks[speaks], f"{protocol}/{record.id}", record.stream)
            except Exception as error:  # noqa: BLE001 - collected, so that one case does not hide the others
                heard = repr(error)[:400]
        if isinstance(heard, str):
            wrong.append((record.id, heard))
        elif difference := differs(record, speaks, heard):
            wrong.append((record.id, difference))

    asked = [record for record in RECORDS.values() if record.protocol == protocol and not left_out(record)]
    await asyncio.gather(*map(ask, asked))
    assert asked
    told = "\n".join(f"{record}: {difference}" for record, difference in sorted(wrong)[:40])
    assert not wrong, f"{len(wrong)} of {len(asked)} differ:\n{told}"
