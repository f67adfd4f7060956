"""`waypost calls`, `stats` and `budgets`: for people, for programs, and where there is nothing to read."""

import io
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.entries import ATTEMPT, START_NS, ended
from waypost.cli import budgets, calls, main
from waypost.cli.table import Table
from waypost.config.model import Address, Budget, Config, Window
from waypost.ledger.records import NULL, Ended, Outcome, line
from waypost.ledger.rows import charge, read_batch, write_batch
from waypost.ledger.sqlite import open_ledger

MEMBERS = [
    "id",
    "started_at",
    "key",
    "team",
    "tags",
    "task",
    "route",
    "revision",
    "provider",
    "model",
    "profile",
    "outcome",
    "error",
    "tokens",
    "estimated",
    "price",
    "cost_usd",
    "first_byte_ms",
    "total_ms",
    "overhead_us",
    "cache",
    "attempts",
]
CONFIG = """
server: {admin: 127.0.0.1:1}
store: {ledger: sqlite:///calls.db}
providers: {home: {kind: ollama, models: [qwen3]}}
budgets: [{name: team-a, limit_usd: 50, window: none, match: {team: a}}, {name: all, limit_usd: 1.5, window: day}]
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("WAYPOST_CONFIG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(ledger: sqlite3.Connection, *entries: Ended) -> None:
    write_batch(ledger, read_batch(b"".join(map(line, entries))))


@pytest.fixture
def ledger(folder: Path) -> Iterator[sqlite3.Connection]:
    (folder / "waypost.yaml").write_text(CONFIG, encoding="utf-8")
    with closing(open_ledger(folder / "calls.db")) as ledger:
        write(
            ledger,
            ended("c1"),
            ended("c2", started_ns=START_NS + 10**9, provider=None, outcome=Outcome.FAILED, error="upstream_failed"),
            ended("c3", started_ns=START_NS + 2 * 10**9, route="a\x1b[31mb", cost_nano=None),
        )
        yield ledger


def test_calls_as_json_lines(ledger: sqlite3.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calls", "--json", "--limit", "2"]) == 0
    told = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [call["id"] for call in told] == ["c2", "c3"]
    assert list(told[0]) == MEMBERS
    assert list(told[0]["attempts"][0]) == [
        "provider",
        "model",
        "profile",
        "outcome",
        "error",
        "first_byte_ms",
        "total_ms",
    ]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--outcome", "failed"], ["c2"]),
        (["--error", "upstream_failed"], ["c2"]),
        (["--since", "2026-01-31T12:00:01Z"], ["c2", "c3"]),
        (["--until", "2026-01-31T12:00:01Z"], ["c1"]),
        (["--since", "1s"], []),
        (["--route", "fast", "--model", "gpt-5-mini", "--provider", "openai"], ["c1"]),
        (["--key", "app", "--team", "a", "--task", "qa", "--tag", "env=test"], ["c1", "c2", "c3"]),
        (["--tag", "none"], []),
    ],
    ids=str,
)
def test_filters(
    ledger: sqlite3.Connection, capsys: pytest.CaptureFixture[str], options: list[str], found: list[str]
) -> None:
    assert main(["calls", "--json", *options]) == 0
    assert [json.loads(text)["id"] for text in capsys.readouterr().out.splitlines()] == found


def test_calls_off_a_terminal_are_tab_separated(ledger: sqlite3.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calls"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split("\t")[:4] == ["TIME", "ID", "KEY", "ROUTE"]
    assert rows[1].split("\t") == [
        "2026-01-31 12:00:01", "c2", "app", "fast", "-", "failed", "upstream_failed", "1", "49",
        "0.0000222", "1.2", "2.3",
    ]  # fmt: skip
    assert "a?[31mb" in rows[2], "a name from outside must not reach the terminal as a command"


def test_following_shows_what_comes_and_nothing_twice(
    ledger: sqlite3.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    naps = iter(range(3))

    def sleep(seconds: float) -> None:
        nap = next(naps)
        if nap == 2:
            raise KeyboardInterrupt
        write(ledger, ended(f"new-{nap}"), ended(f"other-{nap}", route="strong"))

    from waypost.cli import build_parser

    arguments = build_parser("calls").parse_args(["calls", "--follow", "--json", "--limit", "1", "--team", "a"])
    assert calls.show(arguments, sleep) == 0
    told = [json.loads(text)["id"] for text in capsys.readouterr().out.splitlines()]
    assert told == ["c3", "new-0", "other-0", "new-1", "other-1"]


def test_stats_for_programs_and_people(ledger: sqlite3.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--by", "provider", "--json"]) == 0
    told = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [(group["group"], group["calls"], group["errors"]) for group in told] == [("openai", 2, 0), (None, 1, 1)]
    assert main(["stats", "--by", "day"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert dict(zip(header.split("\t"), row.split("\t"), strict=True)) == {
        "DAY": "2026-01-31", "CALLS": "3", "OK": "2", "ERRORS": "1", "ERROR %": "33.3", "TOKENS IN": "45",
        "TOKENS OUT": "102", "COST $": "0.0000444", "UNPRICED": "1", "FIRST P50": "1.2", "FIRST P95": "1.2",
        "TOTAL P50": "2.3", "TOTAL P95": "2.3", "TOTAL MEAN": "2.3",
    }  # fmt: skip


def test_budgets_without_a_gateway(ledger: sqlite3.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    charge(ledger, [("team-a", 0, 1_234_567_890), ("all", 0, 99)])
    assert main(["budgets", "--json"]) == 0
    first, second = (json.loads(text) for text in capsys.readouterr().out.splitlines())
    assert first == {
        "name": "team-a",
        "limit_usd": "50",
        "window": "none",
        "spent_usd": "1.23456789",
        "reserved_usd": None,
        "resets_at": None,
    }
    assert (second["limit_usd"], second["spent_usd"]) == ("1.5", "0"), "another window's spend is not today's"
    assert main(["budgets"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "team-a\tnone\t50\t1.23456789\t-\t-"


def test_without_a_file_the_running_gateway_says_which_budgets_there_are(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ledger(folder / "var" / "waypost.db").close()
    told = {"name": "demo", "window": "day", "limit_usd": "5", "spent_usd": "0.1", "reserved_usd": "0.2"}
    status = msgspec.convert({"budgets": [{**told, "resets_at": None}]}, budgets._Status)
    monkeypatch.setattr(budgets, "running", lambda admin: status.budgets)
    assert main(["budgets", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {**told, "resets_at": None}


def test_a_window_is_the_one_of_now(ledger: sqlite3.Connection) -> None:
    charge(ledger, [("b", 1_767_225_600, 5)])
    config = Config(revision="", budgets=(Budget(name="b", limit=10, window=Window.MONTH),))
    (told,) = budgets.told_budgets(config, ledger, {"b": "0.25"}, START_NS / 1e9)
    assert (told["spent_usd"], told["reserved_usd"]) == ("0.000000005", "0.25")
    assert told["resets_at"] == "2026-02-01T00:00:00Z"
    (later,) = budgets.told_budgets(config, ledger, {}, START_NS / 1e9 + 86_400)
    assert (later["spent_usd"], later["reserved_usd"]) == ("0", None)


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        (b'{"revision":"r","budgets":[{"name":"b","reserved_usd":"0.5","limit_usd":"9"}]}', {"b": "0.5"}),
        (b'{"budgets":[]}', {}),
        (b"{}", {}),
        (b"<html>", {}),
        (b'{"budgets":"none"}', {}),
    ],
)
def test_what_is_held_comes_from_the_running_gateway(answer: bytes, held: dict[str, str]) -> None:
    class Admin(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/status" else 404)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Admin) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        live = budgets.running(Address("0.0.0.0", server.server_port))
        assert budgets.reserved(live) == held
        thread.join()
    assert budgets.running(Address("127.0.0.1", server.server_port)) == (), "nobody listens there any more"


@pytest.mark.parametrize("command", ["calls", "stats", "budgets"])
def test_a_missing_ledger_is_told_with_its_path(folder: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    (folder / "waypost.yaml").write_text(CONFIG, encoding="utf-8")
    assert main([command]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"waypost {command}: there is no ledger at calls.db")
    assert not (folder / "calls.db").exists()


@pytest.mark.parametrize("command", ["calls", "stats", "budgets"])
def test_a_broken_configuration_is_a_usage_error(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (folder / "waypost.yaml").write_text("budgts: []\nstor: {}\n", encoding="utf-8")
    assert main([command]) == 2
    assert len(capsys.readouterr().err.splitlines()) >= 2


SECRETS = """
providers:
  hosted: {kind: openai, api_key: "${NOBODY_SET_THIS}"}
  usual: {kind: anthropic}
  filed: {kind: groq, api_key: "file:/no/such"}
keys: [{name: app, key: "${NOR_THIS}"}, {name: other, key: "${NOR_THAT}"}]
"""


@pytest.mark.parametrize("command", ["calls", "stats", "budgets"])
def test_who_only_reads_needs_no_secrets(
    ledger: sqlite3.Connection, folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    config = CONFIG.replace("providers: {home: {kind: ollama, models: [qwen3]}}\n", SECRETS)
    assert config != CONFIG
    (folder / "waypost.yaml").write_text(config, encoding="utf-8")
    assert main([command]) == 0
    assert capsys.readouterr().err == ""
    assert main(["call", "--model", "fast", "--address", "127.0.0.1:1", "Hello"]) == 1
    assert "no gateway listens" in capsys.readouterr().err
    assert main(["check"]) == 2
    told = capsys.readouterr()
    assert "NOR_THAT is not set" in told.out + told.err


@pytest.mark.parametrize("options", [["--since", "soon"], ["--limit", "0"], ["--limit", "x"], ["--outcome", "good"]])
def test_options_that_make_no_sense(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["calls", *options])
    assert stopped.value.code == 2
    assert "argument" in capsys.readouterr().err


def test_a_table_is_aligned_and_coloured_on_a_terminal_only() -> None:
    rows = [("a", "ok", 5), ("long name", "bad", None)]
    terminal, plain, file = Terminal(), Terminal(), io.StringIO()
    for stream, environ in ((terminal, {}), (plain, {"NO_COLOR": "1"}), (file, {})):
        table = Table(("name", "outcome", "n"), stream, environ, right=("n",), colours={"ok": "green"})
        table.print(rows)
        table.print([("later", "ok", 12345)])
    assert plain.getvalue() == (
        "NAME       OUTCOME  N\na          ok       5\nlong name  bad      -\nlater      ok       12345\n"
    )
    assert terminal.getvalue() == plain.getvalue().replace("ok     ", "\x1b[32mok     \x1b[0m")
    assert file.getvalue() == "NAME\tOUTCOME\tN\na\tok\t5\nlong name\tbad\t-\nlater\tok\t12345\n"


def test_attempts_are_counted(ledger: sqlite3.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    write(ledger, ended("c4", attempts=(ATTEMPT, ATTEMPT, ATTEMPT)))
    assert main(["calls", "--limit", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split("\t")[7] == "3"


@pytest.mark.parametrize(
    ("named", "said"), [("c", "the start of more than one call"), ("c9", "not in the ledger"), ("", "more than one")]
)
def test_a_name_of_no_one_call_explains_nothing(
    ledger: sqlite3.Connection, capsys: pytest.CaptureFixture[str], named: str, said: str
) -> None:
    assert main(["explain", named]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"outcome": Outcome.INTERRUPTED}, "was interrupted"),
        ({"outcome": Outcome.REFUSED, "error": "bad_request"}, "was not routed: it ended as refused (bad_request)"),
    ],
)
def test_a_call_without_a_decision_says_why(
    ledger: sqlite3.Connection, capsys: pytest.CaptureFixture[str], members: dict[str, Any], said: str
) -> None:
    write(ledger, ended("d1", decision=NULL, **members))
    assert main(["explain", "d1"]) == 0
    assert said in capsys.readouterr().out
    assert main(["explain", "d1", "--verify"]) == 1
