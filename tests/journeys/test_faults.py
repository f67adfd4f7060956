"""Every fault of the simulator, as first candidate: the fallback's answer or the typed error, and never a hang.

The calls are made once (fault_table.find_all); what should have come of each is written down here, by hand.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import openai
import pytest
import pytest_asyncio

from journeys.fault_table import (
    ASKS,
    FAULTS,
    SAID,
    Ask,
    Finding,
    asked_of,
    events_of,
    find_all,
    page,
    well,
)
from journeys.harness import ANTHROPIC, OPENAI, open_house
from waypost.conversation.faults import FaultKind as Error
from waypost.sim import FaultKind, Simulator

pytestmark = pytest.mark.asyncio(loop_scope="module")
DOCS = Path(__file__).parents[2] / "docs"


class Expected(NamedTuple):
    """The error of a failed attempt (None: no fault to the caller), and who is blamed for it."""

    error: Error | None
    blamed: str = "target"


class Line(NamedTuple):
    """`late`: some of a stream had gone out when it failed. `callers`: the caller's to mend; with `larger`, only if
    nobody else has a larger window."""

    whole: Expected
    streamed: Expected
    late: bool = False
    callers: bool = False
    larger: bool = False


HARMLESS = Expected(None, "nobody")


def line(error: Error | None, blamed: str = "target", *, streamed: Error | None = None, **more: bool) -> Line:
    expected = HARMLESS if error is None else Expected(error, blamed)
    return Line(expected, expected if streamed is None else Expected(streamed), **more)


EXPECTED: dict[str, Line] = {
    "status_400": line(Error.BAD_REQUEST, "nobody", callers=True),
    "status_401": line(Error.UNAUTHORIZED, "credential"),
    "status_403": line(Error.FORBIDDEN, "credential"),
    "status_404": line(Error.MODEL_NOT_FOUND),
    "status_429": line(Error.RATE_LIMITED, "nobody"),
    "status_500": line(Error.SERVER_ERROR),
    "status_502": line(Error.SERVER_ERROR),
    "status_503": line(Error.OVERLOADED),
    "status_529": line(Error.OVERLOADED),
    "context_overflow": line(Error.CONTEXT_OVERFLOW, "nobody", callers=True, larger=True),
    "connect_refused": line(Error.CONNECT),
    "reset_before": line(Error.RESET),
    "reset_after": line(Error.RESET, late=True),
    "reset_after(after=0)": line(Error.RESET),
    "close_before": line(Error.RESET),
    "stall_before": line(Error.FIRST_BYTE_TIMEOUT),
    "stall_mid": line(Error.STALL, late=True),
    "stall_mid(after=0)": line(Error.STALL, streamed=Error.FIRST_BYTE_TIMEOUT),
    "truncated": line(Error.TRUNCATED, late=True),
    "truncated(after=0)": line(Error.TRUNCATED),
    "truncated_chunk": line(Error.TRUNCATED, late=True),
    "truncated_chunk(after=0)": line(Error.TRUNCATED),
    "malformed_json": line(Error.MALFORMED, late=True),
    "malformed_json(after=0)": line(Error.MALFORMED),
    "wrong_content_type": line(Error.MALFORMED),
    "error_event": line(Error.SERVER_ERROR),
    "error_event(after=2)": line(Error.SERVER_ERROR, late=True),
    "empty_body": line(Error.MALFORMED),
    "empty_stream": line(Error.MALFORMED, streamed=Error.TRUNCATED),
    "slow_trickle": line(None),
    "bad_chunk": line(Error.MALFORMED),
    "huge_header": line(Error.MALFORMED),
    "garbage": line(Error.MALFORMED),
    "sse_split": line(None),
    "no_done": line(None),
    "duplicate_usage": line(None),
    "no_usage": line(None),
}
# Where the two protocols differ: Anthropic's error event has a type for it, and its streams have one end, message_stop.
OTHERWISE: dict[tuple[str, str], Line] = {
    ("error_event", ANTHROPIC): line(Error.OVERLOADED),
    ("error_event(after=2)", ANTHROPIC): line(Error.OVERLOADED, late=True),
    ("no_done", ANTHROPIC): Line(HARMLESS, Expected(Error.TRUNCATED), late=True),
}
ENDS = {OPENAI: ("stop", "length"), ANTHROPIC: ("end_turn", "max_tokens")}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[Ask, Finding]:
    found = await find_all(tmp_path_factory.mktemp("faults"))
    return {finding.ask: finding for finding in found}


async def test_every_kind_of_fault_has_a_line() -> None:
    assert {asked_of(fault) for fault in FAULTS} == set(FaultKind)
    assert list(EXPECTED) == list(FAULTS)


@pytest.mark.parametrize("ask", ASKS, ids=lambda ask: f"{ask.fault}-{ask.name.partition('-')[2]}")
async def test_what_comes_of_it(findings: dict[Ask, Finding], ask: Ask) -> None:
    finding = findings[ask]
    expected = OTHERWISE.get((ask.fault, ask.provider), EXPECTED[ask.fault])
    attempt = expected.streamed if ask.streamed else expected.whole
    assert len(finding.rows) == 1, "one call, one row"
    row = finding.rows[0]
    assert row["id"] == finding.headers["x-waypost-call-id"]
    assert finding.blamed == attempt.blamed
    if attempt.error is None:
        check_answer(finding, by=ask.name)
        assert row["estimated"] is (ask.fault == "no_usage")
        return
    assert finding.kind == attempt.error
    if ask.streamed and expected.late:
        check_error_event(finding)
    elif expected.callers and not (expected.larger and ask.fallback):
        check_typed_error(finding, 400, "bad_request", attempts=1)
    elif ask.fallback:
        check_answer(finding, by=well(ask), attempts=2)
        assert row["attempts"][0]["outcome"] == "failed"
        assert row["estimated"] is False
    else:
        check_typed_error(finding, 502, "upstream_failed", attempts=1)


def check_answer(finding: Finding, by: str, attempts: int = 1) -> None:
    row = finding.rows[0]
    assert finding.error is None
    assert finding.status == 200
    assert finding.text.startswith(SAID)
    assert finding.stop in ENDS[finding.ask.speaks]
    assert finding.headers["x-waypost-provider"] == row["provider"] == by
    assert finding.headers["x-waypost-attempts"] == str(attempts)
    assert (row["outcome"], row["error"], len(row["attempts"])) == ("ok", None, attempts)
    assert [attempt["provider"] for attempt in row["attempts"]][-1] == by
    assert row["attempts"][-1]["outcome"] == "ok"
    assert row["tokens"]["input"]
    assert row["tokens"]["output"]


def check_typed_error(finding: Finding, status: int, kind: str, attempts: int) -> None:
    row, sdk = finding.rows[0], openai if finding.ask.speaks == OPENAI else anthropic
    assert isinstance(finding.error, sdk.APIStatusError)
    assert finding.status == status
    assert finding.headers["x-waypost-error"] == kind
    assert finding.headers["x-waypost-attempts"] == str(attempts)
    assert finding.text == ""
    assert finding.stop is None
    assert (row["outcome"], row["error"]) == ("failed", kind)
    assert [(one["provider"], one["outcome"]) for one in row["attempts"]] == [(finding.ask.name, "failed")] * attempts
    assert row["cost_usd"] is None
    if kind == "upstream_failed":
        body: Any = finding.error.response.json()
        told = body["error"]["waypost"] if finding.ask.speaks == OPENAI else body["waypost"]
        assert [(one["provider"], one["error"]) for one in told["attempts"]] == [(finding.ask.name, finding.kind)]


def check_error_event(finding: Finding) -> None:
    """Part of the answer is out: it ends with an error, and with nothing that makes it look whole."""
    row, sdk = finding.rows[0], openai if finding.ask.speaks == OPENAI else anthropic
    assert isinstance(finding.error, sdk.APIError)
    assert finding.status == 200
    assert finding.text
    assert SAID.startswith(finding.text) or finding.text.startswith(SAID)
    events = events_of(finding.raw)
    assert events[-1].get("error"), "the last event is the error"
    assert not any(event.get("error") for event in events[:-1])
    assert "[DONE]" not in events
    assert not any(event.get("type") == "message_stop" for event in events)
    # A stop reason may be there only where the provider sent one: all that is missing then is its end mark.
    assert (finding.stop is None) is (finding.ask.fault != "no_done")
    assert (row["outcome"], row["error"], row["estimated"]) == ("truncated", "upstream_failed", True)
    assert [(one["provider"], one["outcome"]) for one in row["attempts"]] == [(finding.ask.name, "truncated")]
    assert row["tokens"]["output"] > 0


async def test_the_page_is_current(findings: dict[Ask, Finding]) -> None:
    """`python tools/docs.py` writes it."""
    committed = (DOCS / "faults.md").read_text(encoding="utf-8")
    assert page([findings[ask] for ask in ASKS]) == committed


ONE = """
providers:
  refused: {{kind: openai, base_url: 'http://{refusing}/v1', class: local}}
  sick: {{kind: openai, base_url: 'http://{address}/v1', class: local}}
  well: {{kind: anthropic, base_url: 'http://{address}', class: local}}
routes:
  refused: {{targets: [refused/m]}}
  two: {{targets: [refused/m], fallbacks: ['sick/m~503']}}
  few: {{targets: ['sick/a~500', 'sick/b~500', 'sick/c~500', 'well/d'], max_attempts: 2}}
  slow:
    targets: ['sick/m~stall_before']
    fallbacks: ['well/m~stall_before']
    timeouts: {{first_byte_s: 0.4, total_s: 0.6}}
"""


def one(simulator: Simulator) -> str:
    return ONE.format(refusing=simulator.refusing_address, address=simulator.address)


async def asked(folder: Path, route: str) -> tuple[openai.APIStatusError, Sequence[tuple[str, str, str | None]]]:
    async with open_house(one, folder) as house, house.client(OPENAI) as client:
        with pytest.raises(openai.APIStatusError) as failed:
            await client.chat.completions.create(model=route, messages=[{"role": "user", "content": "Hello"}])
        row = await house.row(failed.value.response.headers["x-waypost-call-id"])
        return failed.value, [(each["provider"], each["outcome"], each["error"]) for each in row["attempts"]]


async def test_a_refused_connection_is_tried_once_more_if_nobody_else_is_left(tmp_path: Path) -> None:
    _, attempts = await asked(tmp_path / "alone", "refused")
    assert attempts == [("refused", "failed", "connect")] * 2
    _, attempts = await asked(tmp_path / "two", "two")
    assert attempts == [("refused", "failed", "connect"), ("sick", "failed", "overloaded")]


async def test_attempts_are_bounded(tmp_path: Path) -> None:
    error, attempts = await asked(tmp_path, "few")
    assert error.status_code == 502
    assert attempts == [("sick", "failed", "server_error")] * 2


async def test_one_deadline_holds_for_all_attempts(tmp_path: Path) -> None:
    error, attempts = await asked(tmp_path, "slow")
    assert (error.status_code, error.code) == (504, "deadline")
    assert [provider for provider, _, _ in attempts] == ["sick", "well"]
