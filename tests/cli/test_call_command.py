"""`waypost call`: through a gateway that runs, over TLS too, and through one of its own where none does."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from journeys.harness import House, open_house
from waypost.cli import main
from waypost.cli.call import print_stream
from waypost.ledger.questions import list_calls
from waypost.ledger.sqlite import open_ledger
from waypost.sim import Simulator

CONFIG = """
providers: {sim: {kind: openai, base_url: 'http://{address}/v1', class: local}}
routes: {fast: {targets: [sim/sim-echo]}, strong: {targets: [sim/sim-large]}}
tasks: {code: strong, default: fast}
"""
KEYED = "keys: [{name: app, key: letmein}]\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("WAYPOST_CONFIG", "WAYPOST_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def call(*words: str) -> int:
    return await asyncio.to_thread(main, ["call", *words])


def at(house: House) -> tuple[str, str]:
    return "--address", house.base.removeprefix("http://")


async def test_an_answer_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_house(CONFIG, tmp_path) as house:
        assert await call("How are you?", *at(house)) == 0
        assert capsys.readouterr().out == "How are you?\n", "the default task's route, which echoes"
        assert await call("How are you?", *at(house), "--stream", "--model", "fast") == 0
        assert capsys.readouterr().out == "How are you?\n"
        assert (
            await call("Hello", *at(house), "--task", "code", "--system", "Be brief.", "--max-tokens", "3", "--json")
            == 0
        )
        answer = json.loads(capsys.readouterr().out)
        assert answer["usage"]["completion_tokens"] == 3
        roles = [message["role"] for message in json.loads(house.received.body)["messages"]]
        assert roles == ["system", "user"]
        assert await call("Hello", *at(house), "--dry-run") == 0
        assert json.loads(capsys.readouterr().out)["order"] == ["sim/sim-echo"]
        assert [row["route"] for row in house.rows()] == ["fast", "fast", "strong"]


async def test_what_goes_wrong_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_house(CONFIG, tmp_path) as house:
        assert await call("Hello", *at(house), "--model", "nothing") == 1
        told = capsys.readouterr()
        assert (told.out, told.err[:33]) == ("", "waypost call: 404 unknown_model: ")


async def test_without_a_key_it_is_told_where_the_command_takes_one_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_house(CONFIG + KEYED, tmp_path) as house:
        assert await call("Hello", *at(house)) == 1
        assert "$WAYPOST_KEY" in capsys.readouterr().err


@pytest.mark.parametrize("as_json", [False, True])
def test_a_stream_that_breaks_off_is_a_failure(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    events = b"""data: {"choices":[{"delta":{"content":"Hel"}}]}\n\ndata: {"error":{"message":"it broke off"}}\n\n"""
    answer: Any = io.BytesIO(events)  # all of an answer that is read here
    assert print_stream(answer, as_json=as_json) == 1
    told = capsys.readouterr()
    assert "it broke off" in told.err
    assert told.out.startswith('{"choices"' if as_json else "Hel")


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (b"", 1),
        (b'data: {"choices":[{"delta":{},"finish_reason":null}]}\n\n', 1),
        (b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n', 0),
        (b"data: [DONE]\n\n", 0),
    ],
)
def test_a_stream_that_just_ends_is_a_failure(capsys: pytest.CaptureFixture[str], last: bytes, code: int) -> None:
    """As it does where the gateway itself is killed: nobody is left to say so."""
    answer: Any = io.BytesIO(b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n' + last)
    assert print_stream(answer, as_json=False) == code
    told = capsys.readouterr()
    assert (told.out, "broke off" in told.err) == ("Hel\n", code == 1)


async def test_a_key_that_no_header_can_carry_is_not_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    assert await call("Hello", "--address", "127.0.0.1:1", "--key", "wp-my-key\n") == 2
    told = capsys.readouterr()
    assert "line break" in told.err
    assert "wp-my-key" not in told.out + told.err


async def test_without_a_gateway_one_is_started_for_the_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator = Simulator()
    async with simulator.serve() as address:
        refusing = simulator.refusing_address
        file = CONFIG.replace("{address}", address) + f"server: {{listen: '{refusing}'}}\n"
        (tmp_path / "waypost.yaml").write_text(file, "utf-8")
        assert await call("Hello") == 0
        assert capsys.readouterr().out == "Hello\n"
        assert await call("Hello", "--address", refusing) == 1, "an address that is named is the one that is meant"
        assert "no gateway listens" in capsys.readouterr().err
    ledger = open_ledger(tmp_path / "var" / "waypost.db", readonly=True)
    assert [row["outcome"] for row in list_calls(ledger)] == ["ok"]
    ledger.close()


@asynccontextmanager
async def served_over_tls(folder: Path) -> AsyncIterator[str]:
    """The text of the configuration of a gateway that serves TLS, with the port that it got."""
    certificate = trustme.CA().issue_cert("gateway.example")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for index, part in enumerate(certificate.cert_chain_pems):
        part.write_to_path(folder / "cert.pem", append=index > 0)
    tls = f"{{certificate: '{folder}/cert.pem', key: '{folder}/key.pem'}}"
    async with open_house(CONFIG + KEYED, folder, tls=tls) as house:
        listen = house.base.removeprefix("http://")
        yield CONFIG.replace("{address}", house.simulator.address) + f"server: {{listen: '{listen}', tls: {tls}}}\n"


async def test_a_configured_gateway_is_reached_over_tls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYPOST_KEY", "letmein")
    async with served_over_tls(tmp_path) as text:
        (tmp_path / "waypost.yaml").write_text(text, "utf-8")
        assert await call("Hello") == 0
        assert capsys.readouterr().out == "Hello\n"
        other = trustme.CA().issue_cert("gateway.example")
        other.cert_chain_pems[0].write_to_path(tmp_path / "other.pem")
        (tmp_path / "waypost.yaml").write_text(text.replace("cert.pem", "other.pem"), "utf-8")
        assert await call("Hello") == 1
        assert "certificate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "file", "said"),
    [((" ",), "", "nothing to ask"), (("Hello",), "routs: {}\nstor: {}\n", "waypost.yaml:2: stor")],
)
def test_usage_and_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], file: str, said: str
) -> None:
    if file:
        (tmp_path / "waypost.yaml").write_text(file, "utf-8")
    assert main(["call", *words]) == 2
    assert said in capsys.readouterr().err
