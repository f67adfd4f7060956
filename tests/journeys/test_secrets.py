"""Secrets planted wherever a configuration or a caller can put one are in nothing that Waypost says or keeps.

The provider quotes all that it was sent in every way of failing (`parrot.py`), which is the hardest that an upstream
can make it. Every planted value holds one word, so that half a secret is found too, and in base64 as well.
"""

import asyncio
import base64
import hashlib
import itertools
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from journeys.parrot import WAYS, Parrot
from journeys.process import PATIENCE_S, SOURCE, Caller, Gateway, run_command

WORD = b"planted"
APP_KEY, HASHED_KEY, STATS_KEY = "planted-app-key-01", "planted-hashed-key-02", "planted-stats-key-03"
OWN_KEY, WRONG_KEY = "planted-own-key-04", "planted-wrong-key-05"
ENVIRON = {
    "APP_KEY": APP_KEY,
    "STATS_KEY": STATS_KEY,
    "VARIABLE_KEY": 'planted"variable\\key/06',  # a value that JSON writes differently
    "HEADER_KEY": "planted-header-key-07",
    "PROXY_PASSWORD": "planted-proxy-08",
    "HTTPS_PROXY": "http://user:planted-environment-proxy-09@127.0.0.1:9",
    "OPENAI_API_KEY": "sk-planted-usual-10",
    "WAYPOST_KEY": APP_KEY,
}
IN_FILE = "planted-file-key-11"
LITERAL, QUERY, PROFILE, IN_HEADER = (
    "planted-literal-12",
    "planted query&13",  # a value that a URL writes differently
    "planted-profile-14",
    "planted-header-15",
)
CONFIGURATION = f"""
server: {{ listen: '127.0.0.1:0', admin: '127.0.0.1:0' }}
store: {{ ledger: 'sqlite:///waypost.db', fsync_s: 0.1 }}
providers:
  literal: {{ kind: openai, base_url: 'http://ADDRESS/v1', class: local, api_key: {LITERAL} }}
  variable: {{ kind: openai, base_url: 'http://ADDRESS/v1', class: local, api_key: ${{VARIABLE_KEY}} }}
  file: {{ kind: anthropic, base_url: 'http://ADDRESS', class: local, api_key: file:key.txt }}
  profiles:
    kind: anthropic
    base_url: http://ADDRESS
    class: local
    profiles: {{ work: {{ api_key: {PROFILE} }} }}
  headers:
    kind: openai
    base_url: http://ADDRESS/v1
    class: local
    headers: {{ authorization: 'Bearer {IN_HEADER}', x-organisation: '${{HEADER_KEY}}' }}
    query: {{ token: '{QUERY}' }}
  proxied:
    kind: openai
    base_url: http://provider.invalid/v1
    class: local
    api_key: {LITERAL}
    proxy: http://user:${{PROXY_PASSWORD}}@ADDRESS
  nowhere: {{ kind: openai, base_url: 'https://provider.invalid/v1', class: local, api_key: {LITERAL} }}
routes:
  kept: {{ targets: [literal/kept_fine], store_bodies: true }}
  broken: {{ targets: [literal/broken_late], store_bodies: true }}
budgets:
  - {{ name: poor, limit_usd: 0.000001, match: {{ tag: poor=yes }} }}
keys:
  - {{ name: app, key: '${{APP_KEY}}' }}
  - {{ name: hashed, hash: 'sha256:{hashlib.sha256(HASHED_KEY.encode()).hexdigest()}', team: a }}
  - {{ name: stats, key: '${{STATS_KEY}}', scopes: [stats] }}
breaker: {{ minimum: 100000, consecutive: 100000, cooldown_s: 0.001, max_cooldown_s: 0.001 }}
"""
PROVIDERS = ("literal", "variable", "file", "profiles", "headers", "proxied")
# A bug that quotes what it worked on, in the middle of a call.
BUG = """
import waypost.gateway.attempt as attempt
right = attempt.request_for
def request_for(call, course, lane):
    if lane.candidate.model == "bug":
        raise RuntimeError(f"{call.exchange.headers} {lane.line._headers} {call.exchange.body}")
    return right(call, course, lane)
attempt.request_for = request_for
"""
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


def disguises(word: bytes) -> Iterator[bytes]:
    """The word as it is, and what is always the same of it in base64, at each of the three places it can begin."""
    yield word
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + word)
        yield coded[-(-before * 8 // 6) : (before + len(word)) * 8 // 6].lower()


def check_clean(content: bytes, where: object) -> None:
    lowered = content.lower()
    for disguise in disguises(WORD):
        place = lowered.find(disguise)
        assert place < 0, f"{where} holds a secret: …{content[max(0, place - 300) : place + 60]!r}"


def check_folder(folder: Path) -> int:
    """Every file that the gateway wrote. Returns how many."""
    own = {"waypost.yaml", "key.txt", "broken.yaml"}
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in own]
    for path in files:
        check_clean(path.read_bytes(), path.name)
    return len(files)


def check_processes(root: int) -> None:
    """The command lines of a process and of all below it: what `ps` shows to everyone."""
    below = [root]
    for process in below:
        check_clean(Path(f"/proc/{process}/cmdline").read_bytes(), "a command line")
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        below.extend(int(child) for child in children)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "key.txt").write_text(f"{IN_FILE}\n")
    return tmp_path


def environ_with_a_bug(folder: Path) -> dict[str, str]:
    (folder / "bugs").mkdir(exist_ok=True)
    (folder / "bugs" / "sitecustomize.py").write_text(BUG)
    return {**ENVIRON, "PYTHONPATH": f"{folder / 'bugs'}:{SOURCE}"}


class Asking:
    """Makes calls, and looks at each answer, head and body."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.calls: list[str] = []
        self.statuses: set[int] = set()

    async def ask(self, path: str, body: Any, headers: dict[str, str], key: str = APP_KEY) -> int:
        caller = Caller(self.gateway.address)
        given = {"authorization": f"Bearer {key}", **headers} if path == CHAT else {"x-api-key": key, **headers}
        try:
            answer = await caller.ask(path, body, given)
        finally:
            caller.hang_up()
        where = f"{path} {body} {answer.status}"
        check_clean(answer.body, f"the body of {where}")
        check_clean(repr(answer.headers).encode(), f"the head of {where}")
        self.statuses.add(answer.status)
        if "x-waypost-call-id" in answer.headers and answer.status != 401:
            self.calls.append(answer.call)
        return answer.status

    async def every_way(self) -> None:
        """Each provider, each way to fail, in both protocols, whole and streamed."""
        await asyncio.gather(*(self.every_way_of(provider) for provider in PROVIDERS))

    async def every_way_of(self, provider: str) -> None:
        """One after the other: of a provider that failed, the breaker lets only one call at a time through."""
        for way, path, streamed in itertools.product(WAYS, (CHAT, MESSAGES), (False, True)):
            headers = {"x-waypost-timeout": "0.3" if way == "silent" else "8"}
            await self.ask(path, question(f"{provider}/{provider}_{way}", stream=streamed), headers)


def in_batches(values: list[Any], size: int) -> list[list[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def question(model: str, **members: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20, **members}


async def make_calls(asking: Asking) -> None:
    """Calls that end in every way a call can end."""
    await asking.every_way()
    ask = asking.ask
    for way in ("fine", "401", "400", "late"):
        # The caller's own key, by header and in the body; the bodies of these routes are kept.
        for path, streamed in itertools.product((CHAT, MESSAGES), (False, True)):
            told = question(f"literal/own_{way}", stream=streamed)
            await ask(path, told, {"x-waypost-provider-key": OWN_KEY})
            await ask(path, {**told, "waypost": {"api_key": OWN_KEY}}, {})
    for model in ("kept", "broken"):
        told = question(model, stream=model == "broken")
        assert await ask(CHAT, {**told, "waypost": {"api_key": OWN_KEY, "tags": {"kept": "yes"}}}, {}) == 200, model
    statuses = [
        await ask(CHAT, question("literal/any_fine"), {}, key=WRONG_KEY),
        await ask(MESSAGES, question("literal/any_fine"), {}, key=HASHED_KEY),
        await ask(CHAT, question("literal/any_fine"), {"x-waypost-tags": "poor=yes"}),
        await ask(CHAT, question("nobody/any"), {}),
        await ask(CHAT, question("nowhere/any"), {"x-waypost-timeout": "2"}),
        await ask(CHAT, b'{"model": "literal/any_fine", ' + OWN_KEY.encode(), {}),
        await ask(CHAT, {**question("literal/any_fine"), "waypost": {"api_key": [OWN_KEY]}}, {}),
        await ask(CHAT, {**question("literal/any_fine"), "waypost": {"api_key": f"{OWN_KEY}\r\nx: y"}}, {}),
        await ask(CHAT, {**question("literal/any_fine"), "waypost": {"apikey": OWN_KEY}}, {}),
        await ask(CHAT, question("literal/bug"), {"x-waypost-provider-key": OWN_KEY}),
        await ask(CHAT, question("literal/any_fine"), {"x-waypost-dry-run": "true", "x-waypost-provider-key": OWN_KEY}),
    ]
    assert statuses == [401, 200, 402, 404, 502, 400, 400, 400, 400, 500, 200]


async def look_at_read_outs(gateway: Gateway, stats: dict[str, str]) -> None:
    for path in ("/status", "/metrics", "/nothing"):
        caller = Caller(gateway.admin)
        answer = await caller.ask(path)
        caller.hang_up()
        assert answer.body
        check_clean(answer.body + repr(answer.headers).encode(), path)
    caller = Caller(gateway.address)
    for path in ("/status", "/v1/models", "/v1/models/literal", "/nothing", f"/nothing?key={WRONG_KEY}"):
        answer = await caller.ask(path, headers=stats)
        assert answer.body
        check_clean(answer.body + repr(answer.headers).encode(), path)
    caller.hang_up()


async def run_commands(folder: Path, gateway: Gateway, calls: list[str]) -> None:
    """Every command, as people and as programs read it. `call` goes to the running gateway."""
    commands = [
        ["check"],
        ["doctor"],
        ["calls", "--limit", "1000"],
        ["calls", "--outcome", "failed"],
        *(["stats", "--by", by] for by in ("model", "tag")),
        ["budgets"],
        *(["explain", call] for call in calls),
        ["call", "--address", gateway.address, "--model", "literal/any_401", "Hello"],
        ["call", "--address", gateway.address, "--model", "headers/any_400", "--stream", "Hello"],
        ["call", "--help"],
        ["serve"],  # its journal is in use
    ]
    for some in in_batches([[*words, *more] for words in commands for more in ([], ["--json"])], 4):
        for words, (_, said) in zip(
            some, await asyncio.gather(*(run_command(folder, words, ENVIRON) for words in some)), strict=True
        ):
            assert said, words
            check_clean(said, words)


# Ways to get a line with a secret in it wrong. Each is put into a whole file, as a typing mistake would be.
MISTAKES = {
    "twice": lambda line: f"{line}\n{line}",
    "no end": lambda line: line.rstrip("'} "),
    "no colon": lambda line: line.replace("api_key: ", "api_key ").replace("key: ", "key "),
    "a list": lambda line: line.replace(LITERAL, f"[{LITERAL}]"),
    "a mapping": lambda line: line.replace("planted", "{ planted: x, y: planted").replace("}", "}}"),
    "another key": lambda line: line.replace("api_key", "apikey"),
    "no hash": lambda line: line.replace("key: '${", "hash: '${"),
    "bad characters": lambda line: line.replace("planted", "plantedé"),
    "a tag": lambda line: line.replace("planted", "!planted planted"),
    "another scheme": lambda line: line.replace("http://user", "socks5://user"),
    "in the address": lambda line: line.replace("http://ADDRESS", f"http://user:{LITERAL}@ADDRESS"),
    "in the wrong place": lambda line: line.replace("api_key", "class"),
}


def broken_files() -> Iterator[tuple[str, str]]:
    lines = CONFIGURATION.splitlines()
    for (name, mistake), (index, line) in itertools.product(MISTAKES.items(), enumerate(lines)):
        changed = mistake(line)
        if changed != line and (WORD.decode() in changed or "${" in changed):
            yield f"{name}: line {index}", "\n".join([*lines[:index], changed, *lines[index + 1 :]])


async def try_broken_files(folder: Path, gateway: Gateway, address: str) -> None:
    """As reloads of the running gateway, whose log is looked at later, and some of them as starts."""
    good = (folder / "waypost.yaml").read_text()
    for index, (_, text) in enumerate(broken_files()):
        (folder / "waypost.yaml").write_text(text.replace("ADDRESS", address))
        seen = len(gateway.events)
        gateway.signal(signal.SIGHUP)
        told = await gateway.heard("reload_refused", "reloaded", after=seen)
        if told["event"] == "reload_refused" and index % 20 == 0:
            for words in (["check"], ["serve", "--json"]):
                code, said = await run_command(folder, words, ENVIRON)
                assert code == 2
                check_clean(said, words)
    (folder / "waypost.yaml").write_text(good)
    seen = len(gateway.events)
    gateway.signal(signal.SIGHUP)
    await gateway.heard("reloaded", after=seen)


async def test_no_secret_is_said_or_kept(folder: Path) -> None:
    parrot = Parrot()
    async with parrot.serve() as address:
        (folder / "waypost.yaml").write_text(CONFIGURATION.replace("ADDRESS", address))
        gateway = await Gateway.serve(folder, environ=environ_with_a_bug(folder))
        try:
            asking = Asking(gateway)
            await make_calls(asking)
            check_processes(gateway.process.pid)
            await look_at_read_outs(gateway, {"authorization": f"Bearer {STATS_KEY}"})
            await run_commands(folder, gateway, asking.calls[:: len(asking.calls) // 3])
            await try_broken_files(folder, gateway, address)
            assert check_folder(folder) >= 4, "database, its log, and a journal"
            await cut_short(asking, gateway)
            check_clean(bytes(gateway.said), "the log of the killed one")
            check_folder(folder)
            again = gateway = await Gateway.serve(folder, environ=ENVIRON)
            assert await again.stop() == 0
            check_clean(bytes(again.said), "the log of the stopped one")
            check_folder(folder)
        finally:
            await gateway.kill()
    assert asking.statuses >= {200, 400, 401, 402, 404, 500, 502, 504}
    check_that_all_was_tried(parrot)


async def cut_short(asking: Asking, gateway: Gateway) -> None:
    """Killed in the middle of calls, so that their beginnings stay in the journal."""
    callers = [Caller(gateway.address) for _ in PROVIDERS]
    for provider, caller in zip(PROVIDERS, callers, strict=True):
        told = {**question(f"{provider}/{provider}_silent"), "waypost": {"api_key": OWN_KEY}}
        await caller.send(CHAT, told, {"authorization": f"Bearer {APP_KEY}"})
    async with asyncio.timeout(PATIENCE_S):
        while (await gateway.status())["in_flight"] < len(callers) // 2:
            pass
    await gateway.kill()
    for caller in callers:
        caller.hang_up()


def check_that_all_was_tried(parrot: Parrot) -> None:
    """The secrets did go out, and every way to fail was met: else nothing was shown."""
    for secret in (LITERAL, ENVIRON["VARIABLE_KEY"], IN_FILE, PROFILE, IN_HEADER, ENVIRON["HEADER_KEY"], OWN_KEY):
        assert secret in parrot.sent, secret
    assert "token=planted+query%2613" in parrot.sent
    assert base64.b64encode(f"user:{ENVIRON['PROXY_PASSWORD']}".encode()).decode() in parrot.sent
    tried = {name.split(" ")[1] for name in parrot.quoted}
    missing = {f"{provider}_{way}" for provider, way in itertools.product(PROVIDERS, WAYS)} - tried
    assert not missing, missing


async def test_init_writes_references_only(tmp_path: Path) -> None:
    code, said = await run_command(tmp_path, ["init"], ENVIRON)
    assert code == 0, said
    check_clean(said, "init")
    assert "${OPENAI_API_KEY}" in (tmp_path / "waypost.yaml").read_text()
    check_clean((tmp_path / "waypost.yaml").read_bytes(), "waypost.yaml")


def test_the_search_finds_what_it_should() -> None:
    for text in (b"a planted b", base64.b64encode(b"user:planted-x"), base64.b64encode(b"u:planted"), b"PLANTED"):
        with pytest.raises(AssertionError):
            check_clean(text, "a text")
    check_clean(b"plant plan ted", "a text")


async def test_a_start_that_fails_tells_no_secret(folder: Path) -> None:
    (folder / "waypost.yaml").write_text(CONFIGURATION.replace("ADDRESS", "127.0.0.1:9"))
    (folder / "waypost.db").write_bytes(b"this is no database " * 100)
    for words in (["serve"], ["serve", "--json"], ["calls"], ["stats"], ["budgets"], ["doctor", "--offline"]):
        code, said = await run_command(folder, words, ENVIRON)
        assert code in {1, 2}, words
        assert said
        check_clean(said, words)
    (folder / "key.txt").unlink()
    for words in (["serve"], ["check"], ["doctor", "--offline"]):
        code, said = await run_command(folder, words, ENVIRON)
        assert code in {1, 2}, words
        assert b"key.txt" in said
        check_clean(said, words)
