"""`waypost.asgi:application`, driven message by message as a server would, with simulated providers behind it."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from waypost.asgi import application
from waypost.ledger.questions import list_calls
from waypost.ledger.sqlite import open_ledger
from waypost.server.asgi import Message
from waypost.sim import Simulator

PATIENCE_S = 20.0
CONFIG = """
server: {{admin: '127.0.0.1:0'}}
store: {{ledger: 'sqlite:///{folder}/waypost.db'}}
providers:
  sim: {{kind: openai, base_url: 'http://{address}/v1', class: local}}
routes:
  fast: {{targets: [sim/sim-small]}}
  silent: {{targets: [sim/sim-small~stall_before]}}
"""
KEYS = "keys: [{name: app, key: letmein}]\n"
NEAR = ("127.0.0.1", 8000)
FAR = ("192.0.2.7", 8000)
Server = tuple[str, int | None] | None


class Outside:
    """An ASGI server: one lifespan whose state its requests share, as the specification has it."""

    def __init__(self, server: Server = NEAR) -> None:
        self.server = server
        self.state: dict[str, Any] = {}
        self.told: asyncio.Queue[Message] = asyncio.Queue()
        self.heard: asyncio.Queue[Message] = asyncio.Queue()

    async def start(self, **scope: Any) -> Message:
        """The gateway's answer to the startup."""
        living = application({"type": "lifespan", "state": self.state, **scope}, self.told.get, self.heard.put)
        self.life = asyncio.create_task(living)
        return await self.tell("lifespan.startup")

    async def tell(self, kind: str) -> Message:
        self.told.put_nowait({"type": kind})
        return await asyncio.wait_for(self.heard.get(), PATIENCE_S)

    def begin(self, body: dict[str, Any], *headers: tuple[bytes, bytes]) -> "Asked":
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "headers": [(b"host", b"h"), (b"content-type", b"application/json"), *headers],
            "client": ("127.0.0.1", 1),
            "server": self.server,
            "state": dict(self.state),  # a copy for each request, as servers make
        }
        return Asked(scope, msgspec.json.encode(body))


class Asked:
    def __init__(self, scope: dict[str, Any], body: bytes) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.incoming.put_nowait({"type": "http.request", "body": body, "more_body": False})
        self.messages: list[Message] = []
        self.task = asyncio.create_task(application(scope, self.incoming.get, self._take))

    async def _take(self, message: Message) -> None:
        self.messages.append(message)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        await asyncio.wait_for(self.task, PATIENCE_S)
        head, *rest = self.messages
        assert rest[-1]["more_body"] is False
        headers = {name.decode(): value.decode() for name, value in head["headers"]}
        return head["status"], headers, b"".join(message["body"] for message in rest)

    def hang_up(self) -> None:
        self.incoming.put_nowait({"type": "http.disconnect"})


@asynccontextmanager
async def opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, more: str = "", server: Server = NEAR
) -> AsyncIterator[tuple[Outside, Simulator]]:
    simulator = Simulator()
    async with simulator.serve() as address:
        file = folder / "waypost.yaml"
        file.write_text(CONFIG.format(folder=folder, address=address) + more, "utf-8")
        monkeypatch.setenv("WAYPOST_CONFIG", str(file))
        outside = Outside(server)
        assert (await outside.start())["type"] == "lifespan.startup.complete"
        yield outside, simulator
        assert (await outside.tell("lifespan.shutdown"))["type"] == "lifespan.shutdown.complete"
        await outside.life


def asked(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}


def rows(folder: Path) -> list[dict[str, Any]]:
    with closing(open_ledger(folder / "waypost.db", readonly=True)) as ledger:
        return list_calls(ledger)


async def test_whole_and_streamed_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch) as (outside, _):
        status, headers, body = await outside.begin(asked("fast")).answer()
        streamed, told, stream = await outside.begin(asked("fast", stream=True)).answer()
    assert (status, streamed) == (200, 200)
    assert headers["x-waypost-route"] == told["x-waypost-route"] == "fast"
    said = msgspec.json.decode(body)["choices"][0]["message"]["content"]
    chunks = [line[6:] for line in stream.split(b"\n") if line.startswith(b"data: {")]
    deltas = [choice["delta"] for chunk in chunks for choice in msgspec.json.decode(chunk)["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == said != ""
    assert stream.endswith(b"data: [DONE]\n\n")
    assert [row["outcome"] for row in rows(tmp_path)] == ["ok", "ok"]


async def test_a_caller_that_hangs_up_frees_its_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch) as (outside, simulator):
        call = outside.begin(asked("silent"))
        await asyncio.wait_for(simulator.until(lambda: simulator.received_count == 1), PATIENCE_S)
        call.hang_up()
        await asyncio.wait_for(simulator.until(lambda: simulator.abandoned_count == 1), PATIENCE_S)
        await asyncio.wait_for(call.task, PATIENCE_S)
        assert call.messages == []
    assert [row["outcome"] for row in rows(tmp_path)] == ["cancelled"]


@pytest.mark.parametrize(
    ("keys", "server", "sent", "status"),
    [
        ("", NEAR, "", 200),
        ("", ("/run/waypost.sock", None), "", 200),
        ("", FAR, "", 401),
        ("", None, "", 401),
        (KEYS, FAR, "", 401),
        (KEYS, FAR, "letmein", 200),
    ],
)
async def test_without_keys_only_this_machine_may_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: str, server: Server, sent: str, status: int
) -> None:
    async with opened(tmp_path, monkeypatch, more=keys, server=server) as (outside, simulator):
        credentials = [(b"authorization", f"Bearer {sent}".encode())] if sent else []
        answer = await outside.begin(asked("fast"), *credentials).answer()
        assert simulator.received_count == (status == 200)
    assert answer[0] == status
    if status == 401:
        assert answer[1]["x-waypost-error"] == "unauthorized"
        assert msgspec.json.decode(answer[2])["error"]["message"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("providers: {}\n", "no provider is configured"),
        ("routes: {fast: {targets: [nobody/model]}}\nprovider: 1\n", "waypost.yaml:2"),
    ],
)
async def test_a_start_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    file = tmp_path / "waypost.yaml"
    file.write_text(text, "utf-8")
    monkeypatch.setenv("WAYPOST_CONFIG", str(file))
    outside = Outside()
    answer = await outside.start()
    assert answer["type"] == "lifespan.startup.failed"
    assert said in answer["message"]
    with pytest.raises(Exception, match=said):
        await outside.life


async def test_a_server_without_lifespan_state_is_told_so() -> None:
    outside = Outside()
    outside.state = {}
    with pytest.raises(RuntimeError, match="lifespan state"):
        await outside.begin(asked("fast")).answer()
    answer = await outside.start(state=None)
    assert "lifespan state" in answer["message"]
    with pytest.raises(RuntimeError, match="lifespan state"):
        await outside.life


def test_importing_it_reads_no_configuration_and_opens_nothing(tmp_path: Path) -> None:
    code = "import waypost.asgi, os; print(sorted(os.listdir('.')))"
    environ = {"WAYPOST_CONFIG": "/nowhere.yaml", "PYTHONPATH": ":".join(sys.path)}
    answer = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert (answer.stdout, answer.stderr) == ("[]\n", "")
