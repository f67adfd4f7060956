"""Recorded exchanges: the repository's own small ones, and the shared corpus where it is present."""

import json
import os
from base64 import b64decode
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

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
DIALECTS: dict[str, Dialect] = {protocol: SPOKEN[name] for protocol, name in NAMES.items() if name in SPOKEN}


@dataclass(frozen=True)
class Record:
    id: str
    protocol: str
    stream: bool
    request: dict[str, Any]
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
        return DIALECTS[self.protocol]

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
def all_records() -> tuple[Record, ...]:
    records = []
    for folder in (HERE / "fixtures", SHARED):
        for protocol in DIALECTS:
            path = folder / f"{protocol}.jsonl"
            if path.exists():
                records += _read(path)
    return tuple(records)


def answers(*, stream: bool | None = None) -> list[Record]:
    return [r for r in all_records() if r.expect["kind"] == "ok" and stream in (None, r.stream)]


def failures() -> list[Record]:
    return [r for r in all_records() if r.expect["kind"] == "error"]


def other(dialect: Dialect) -> Dialect:
    return next(there for there in DIALECTS.values() if there.name != dialect.name)
