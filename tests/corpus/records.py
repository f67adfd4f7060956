"""Recorded exchanges: the repository's own small ones, and the shared corpus where it is present."""

import json
import os
import re
from base64 import b64decode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from msgspec.structs import replace

from waypost.dialects.bedrock.invoke import InvokeFraming
from waypost.dialects.dialect import Dialect
from waypost.dialects.registry import DIALECTS as SPOKEN

HERE = Path(__file__).parent
SHARED = Path(os.environ.get("WAYPOST_SHARED") or HERE.parents[2] / "shared") / "corpus"

# One line a protocol: what a file of exchanges is read with.
NAMES = {
    "openai-chat": "openai_chat",
    "openai-responses": "openai_responses",
    "anthropic-messages": "anthropic",
    "gemini": "gemini",
    "cohere-v2": "cohere",
    "bedrock-converse": "bedrock",
}
DIALECTS: dict[str, Dialect] = {protocol: SPOKEN[name] for protocol, name in NAMES.items()}
# Anthropic's own answers by way of Amazon: nobody asks in it, so it is read only.
INVOKE = "bedrock-invoke"
INVOKED = replace(SPOKEN["anthropic"], framing=InvokeFraming, read_fault=SPOKEN["bedrock"].read_fault)
_MODEL = re.compile(r"/models?/([^/:]+)")
MOST_SHOWN = 20  # failing records of one law


@dataclass(frozen=True, eq=False)
class Record:
    id: str
    protocol: str
    stream: bool
    path: str
    request: Any  # its body as JSON; text where it was none
    status: int
    headers: dict[str, str]
    body: bytes
    expect: dict[str, Any]
    primary: str = ""

    @property
    def content_type(self) -> str:
        told = self.headers.get("content-type", "")
        return told if "/" in told else (self.dialect.stream_type if self.stream else "application/json")

    @property
    def dialect(self) -> Dialect:
        return INVOKED if self.protocol == INVOKE else DIALECTS[self.protocol]

    @property
    def sent(self) -> bytes:
        if isinstance(self.request, str):
            return self.request.encode()
        return json.dumps(self.request, ensure_ascii=False).encode()

    @property
    def model(self) -> str:
        """As it was asked for, in the body or in the path; empty where nobody named one."""
        if isinstance(self.request, dict) and "model" in self.request:
            return str(self.request["model"])
        named = _MODEL.search(self.path)
        return unquote(named[1]) if named else ""

    def __str__(self) -> str:
        return f"{self.protocol}-{self.id}"


def _read(path: Path) -> list[Record]:
    records = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if not line:
            continue
        told = json.loads(line)
        response = told["response"]
        records.append(
            Record(
                told["id"],
                told["protocol"],
                told["stream"],
                told["request"]["path"],
                told["request"]["body"],
                response["status"],
                {name.lower(): value for name, value in response["headers"].items()},
                b64decode(response["body"]) if response.get("body_encoding") == "base64" else response["body"].encode(),
                told["expect"],
                told.get("primary") or "",
            )
        )
    return records


@cache
def records_of(protocol: str) -> tuple[Record, ...]:
    paths = [folder / f"{protocol}.jsonl" for folder in (HERE / "fixtures", SHARED)]
    return tuple(record for path in paths if path.exists() for record in _read(path))


@cache
def all_records() -> tuple[Record, ...]:
    """Of the six protocols in which callers ask."""
    return tuple(record for protocol in DIALECTS for record in records_of(protocol))


def answers(protocol: str | None = None, *, stream: bool | None = None) -> list[Record]:
    records = all_records() if protocol is None else records_of(protocol)
    return [r for r in records if r.expect["kind"] == "ok" and stream in (None, r.stream)]


def failures(protocol: str) -> list[Record]:
    return [r for r in records_of(protocol) if r.expect["kind"] == "error"]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:400]


def check_each(records: Iterable[Record], check: Callable[[Record], object]) -> None:
    """One law over many recordings: all are tried, and those that fail are named."""
    tried = 0
    failed: list[tuple[Record, Exception]] = []
    for record in records:
        tried += 1
        try:
            check(record)
        except Exception as error:  # noqa: BLE001 - collected, so that one case does not hide the others
            failed.append((record, error))
    assert tried, "there is nothing to check"
    if failed:
        shown = [f"{record}: {type(error).__name__}: {_first_line(error)}" for record, error in failed[:MOST_SHOWN]]
        raise AssertionError("\n".join([f"{len(failed)} of {tried} fail:", *shown])) from failed[0][1]
