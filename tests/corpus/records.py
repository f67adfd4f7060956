"""Recorded exchanges: the repository's own small ones, and the shared corpus where it is present."""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from waypost.dialects import anthropic, openai_chat
from waypost.dialects.dialect import Dialect

HERE = Path(__file__).parent
SHARED = Path(os.environ.get("WAYPOST_SHARED") or HERE.parents[2] / "shared") / "corpus"

# One line a protocol: what a file of exchanges is read with.
DIALECTS: dict[str, Dialect] = {
    "openai-chat": openai_chat.DIALECT,
    "anthropic-messages": anthropic.DIALECT,
}


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
                response["headers"],
                response["body"].encode(),
                told["expect"],
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
