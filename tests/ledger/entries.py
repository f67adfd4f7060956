"""Entries for tests: one call's two ends, every member filled unless a test says otherwise."""

from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from waypost.ledger.records import Accepted, Attempt, Ended, Kind, Outcome

START_NS = 1_769_860_800_000_000_000  # 2026-01-31T12:00:00Z
MONTH = 1_767_225_600
DECISION = Raw(b'{"plan":"p1","order":[0,1],"text":"a \\"quoted\\" \xe2\x80\xa8 word"}')

ACCEPTED = Accepted(
    id="c1",
    started_ns=START_NS,
    key="app",
    team="a",
    tags={"env": "test"},
    route="fast",
    revision="r1",
    dialect="openai_chat",
    reserved=(("team-a", MONTH, 500),),
)
ATTEMPT = Attempt(
    provider="openai",
    model="gpt-5-mini",
    profile="default",
    outcome=Outcome.OK,
    error=None,
    status=200,
    first_byte_us=1234,
    total_us=2345,
)
KIND = Kind(
    key="app",
    team="a",
    task="qa",
    route="fast",
    revision="r1",
    dialect="openai_chat",
    provider="openai",
    model="gpt-5-mini",
    profile="default",
    outcome=Outcome.OK,
    status=200,
    price=Raw(b'{"input":"0.15","output":"0.6"}'),
)
ENDED = Ended(
    id="c1",
    started_ns=START_NS,
    tags={"env": "test"},
    input=12,
    cache_read=3,
    cache_write=0,
    output=34,
    cost_nano=22_200,
    first_byte_us=1234,
    total_us=2345,
    overhead_us=123,
    decision=DECISION,
    attempts=(ATTEMPT,),
    charges=(("team-a", MONTH, 300),),
    kind=KIND,
)


def accepted(call: str = "c1", **members: Any) -> Accepted:
    return replace(ACCEPTED, id=call, **members)


def attempt(**members: Any) -> Attempt:
    return replace(ATTEMPT, **members)


def ended(call: str = "c1", **members: Any) -> Ended:
    """`members` of its kind among them."""
    shared = {name: members.pop(name) for name in Kind.__struct_fields__ if name in members}
    return replace(ENDED, id=call, kind=replace(KIND, **shared), **members)
