"""What can be scripted to go wrong, how a call names it, and when it is due. What it does is in `perform`."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from waypost.sim.dice import fraction


class FaultKind(StrEnum):
    """Everything a simulated provider can do wrong. `docs/simulator.md` tells what each sends."""

    STATUS_400 = "status_400"
    STATUS_401 = "status_401"
    STATUS_403 = "status_403"
    STATUS_404 = "status_404"
    STATUS_429 = "status_429"
    STATUS_500 = "status_500"
    STATUS_502 = "status_502"
    STATUS_503 = "status_503"
    STATUS_529 = "status_529"
    CONTEXT_OVERFLOW = "context_overflow"
    CONNECT_REFUSED = "connect_refused"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    CLOSE_BEFORE = "close_before"
    STALL_BEFORE = "stall_before"
    STALL_MID = "stall_mid"
    TRUNCATED = "truncated"
    TRUNCATED_CHUNK = "truncated_chunk"
    MALFORMED_JSON = "malformed_json"
    WRONG_CONTENT_TYPE = "wrong_content_type"
    ERROR_EVENT = "error_event"
    EMPTY_BODY = "empty_body"
    EMPTY_STREAM = "empty_stream"
    SLOW_TRICKLE = "slow_trickle"
    BAD_CHUNK = "bad_chunk"
    HUGE_HEADER = "huge_header"
    GARBAGE = "garbage"
    SSE_SPLIT = "sse_split"
    NO_DONE = "no_done"
    DUPLICATE_USAGE = "duplicate_usage"
    NO_USAGE = "no_usage"


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that goes wrong, and when.

    `after`: content events of a stream that go out first (None: the kind's own default). `retry_after`: seconds, sent
    as a header with any status. `size`: bytes, of the huge header or of each piece of a trickle. `pause_ms`: between
    pieces. Due on every call unless narrowed, and all that is set must agree: the `first` N calls of the model, exactly
    the `calls` numbered (from 1), each `every` Nth, calls `beyond` the Nth, or with a `probability`.
    """

    kind: FaultKind
    after: int | None = None
    retry_after: float | None = None
    message: str | None = None
    size: int | None = None
    pause_ms: float = 1.0
    first: int | None = None
    beyond: int = 0
    every: int = 1
    calls: tuple[int, ...] | None = None
    probability: float = 1.0


class UnknownFault(ValueError):
    """A model's name or a marker asks for a fault that does not exist, or with arguments it does not take."""


_CALL = re.compile(r"([a-z0-9_]+)(?:\(([^()]*)\))?\Z")
_SETTINGS = frozenset({"words", "refuse"})
_MARKER = re.compile(r"\[\[sim:([^\[\]]{1,200})\]\]")


def split_model(model: str) -> tuple[str, list[Fault]]:
    """`gpt-sim~429(retry_after=2)` → `gpt-sim` and its faults: the syntax that passes any gateway as a model's name."""
    name, *calls = model.split("~")
    return name, [parse_fault(call) for call in calls]


def read_markers(text: str) -> tuple[list[Fault], dict[str, str]]:
    """Faults and settings (`[[sim:words=500]]`) that a prompt asks for."""
    if "[[sim:" not in text:
        return [], {}
    faults: list[Fault] = []
    settings: dict[str, str] = {}
    for marker in _MARKER.findall(text):
        name, equals, value = marker.partition("=")
        if name in _SETTINGS and (equals or name == "refuse"):
            settings[name] = value
        else:
            faults.append(parse_fault(marker))
    return faults, settings


def words_wanted(settings: Mapping[str, str]) -> int | None:
    words = settings.get("words", "")
    return int(words) if words.isascii() and words.isdigit() else None


def parse_fault(call: str) -> Fault:
    """`kind` or `kind(name=value; name=value)`, commas also; three digits stand for that status."""
    matched = _CALL.match(call.strip())
    if matched is None:
        raise UnknownFault(f"sim: {call!r} is not a fault: write kind or kind(name=value; name=value)")
    name, arguments = matched.groups()
    fields: dict[str, Any] = {"kind": f"status_{name}" if name.isdigit() else name}
    for argument in re.split(r"[;,]", arguments or ""):
        if argument.strip():
            key, _, value = argument.partition("=")
            fields[key.strip()] = value.strip()
    try:
        fault = msgspec.convert(fields, Fault, strict=False)
    except msgspec.ValidationError as error:
        raise UnknownFault(f"sim: {call!r} is not a fault: {error}") from None
    if fault.kind is FaultKind.CONNECT_REFUSED:
        raise UnknownFault("sim: connect_refused is a property of an address: call the refusing address instead")
    return fault


def is_due(fault: Fault, number: int, drawn: bytes) -> bool:
    """Whether a fault happens in the `number`th call (from 1) of its model. `drawn` is that call's chance."""
    return (
        number > fault.beyond
        and (fault.first is None or number <= fault.beyond + fault.first)
        and (number - fault.beyond) % fault.every == 0
        and (fault.calls is None or number in fault.calls)
        and (fault.probability >= 1 or fraction(drawn) < fault.probability)
    )
