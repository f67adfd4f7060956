"""Providers and callers that mean harm at the doors of the protocols with a name in the path, and in their streams."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from journeys.harness import CALL_ID, House, open_house

CONFIG = """
providers:
  openai: {kind: openai, base_url: 'http://ADDRESS/v1', api_key: sk-of-the-house}
  gemini: {kind: gemini, base_url: 'http://ADDRESS', api_key: sk-of-the-house}
  bedrock: {kind: bedrock, base_url: 'http://ADDRESS', region: us-east-1, access_key_id: AKIA, secret_access_key: sk-x}
"""
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
SAID = {"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}
STOPPED = {"index": 0, "delta": {}, "finish_reason": "stop"}
GEMINI = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}]}
PATIENCE_S = 5.0  # far less than the minute for which a stream may be silent


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


class Hostile:
    """Ends its streams for the callers, and never for HTTP; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.behind = b""  # what stands behind the end mark

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                size = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                await reader.readexactly(size)
                target = head.split(" ")[1]
                self.asked.append(target)
                if target.startswith("/v1/"):
                    said, stopped = ({**CHUNK, "choices": [one]} for one in (SAID, STOPPED))
                    end = b"data: [DONE]\n\n" + self.behind
                    writer.write(HEAD + chunk(event(said)) + chunk(event(stopped) + end))
                elif "stream" in target:
                    body = event(GEMINI) if "alt=sse" in target else json.dumps([GEMINI]).encode()
                    writer.write(HEAD + chunk(body) + b"0\r\n\r\n")
                else:
                    body = json.dumps(GEMINI).encode()
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def hostile_house(folder: Path) -> AsyncIterator[tuple[House, Hostile]]:
    provider = Hostile()
    async with provider.serve() as address, open_house(CONFIG.replace("ADDRESS", address), folder) as house:
        yield house, provider


async def post(house: House, path: str, body: dict[str, Any]) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=house.base, timeout=PATIENCE_S) as client:
        return await client.post(path, json=body)


@pytest.mark.parametrize("behind", [b"", b"data: {\n\n", b": a comment\n\n", b"\xff\n\n"])
@pytest.mark.parametrize(
    ("path", "limits", "end"),
    [("/v1/chat/completions", {}, "data: [DONE]\n\n"), ("/v1/messages", {"max_tokens": 9}, '{"type":"message_stop"}')],
)
async def test_a_stream_that_is_whole_waits_for_nothing_and_fails_at_nothing(
    path: str, limits: dict[str, int], end: str, behind: bytes, tmp_path: Path
) -> None:
    """Once its end mark is out, no error can follow, and its caller need not know what the connection does."""
    body = {"model": "openai/m", "stream": True, "messages": [{"role": "user", "content": "Hello"}], **limits}
    async with hostile_house(tmp_path) as (house, provider):
        provider.behind = behind
        answer = await post(house, path, body)
        assert answer.text.count(end) == 1
        assert '"error"' not in answer.text
        row = await house.row(answer.headers[CALL_ID])
        assert (row["outcome"], row["attempts"][0]["outcome"]) == ("ok", "ok")


@pytest.mark.parametrize(
    ("asked", "passed"),
    [
        ("generateContent?fields=candidates&x=1", "generateContent?x=1"),
        ("generateContent?alt=proto&%24alt=proto&%66ields=a", "generateContent"),
        ("generateContent?alt=sse", "generateContent"),
        ("generateContent?$httpHeaders=authorization%3Aa&$key=b&callback=c&userProject=d", "generateContent"),
        ("streamGenerateContent?alt=sse&x=1", "streamGenerateContent?x=1&alt=sse"),
        ("streamGenerateContent?alt=sse&alt=json&fields=a", "streamGenerateContent?alt=sse"),
        ("streamGenerateContent?alt=json&x=%0D%0A", "streamGenerateContent?x=%0D%0A"),
        ("streamGenerateContent", "streamGenerateContent"),
    ],
)
async def test_no_caller_can_make_an_answer_unreadable_or_free(asked: str, passed: str, tmp_path: Path) -> None:
    """A provider would be blamed for the one, and a budget would not see the other."""
    body = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
    async with hostile_house(tmp_path) as (house, provider):
        answer = await post(house, f"/v1beta/models/gemini/m:{asked}", body)
        assert answer.status_code == 200
        assert provider.asked == [f"/v1beta/models/m:{passed}"]


@pytest.mark.parametrize("name", ["..", ".", "a/../../b", "../b"])
async def test_no_name_leads_out_of_a_provider_s_path(name: str, tmp_path: Path) -> None:
    body = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
    async with hostile_house(tmp_path) as (house, provider):
        answer = await post(house, f"/model/bedrock%2F{name.replace('/', '%2F')}/converse", body)
        assert answer.headers["x-waypost-error"] == "unknown_model"
        assert not provider.asked
