"""The shared corpus's exchanges of this protocol, where the corpus is present."""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(os.environ.get("WAYPOST_SHARED") or Path(__file__).parents[4] / "shared")
CORPUS = SHARED / "corpus" / "openai-responses.jsonl"

needs_corpus = pytest.mark.skipif(not CORPUS.exists(), reason=f"there are no recorded exchanges at {CORPUS}")


@dataclass(frozen=True)
class Recording:
    id: str
    stream: bool
    request: dict[str, Any]
    status: int
    headers: dict[str, str]
    body: bytes
    expect: dict[str, Any]

    def __str__(self) -> str:
        return self.id

    @property
    def request_body(self) -> bytes:
        return json.dumps(self.request, ensure_ascii=False).encode()


@cache
def recordings() -> tuple[Recording, ...]:
    if not CORPUS.exists():
        return ()
    found = []
    for line in CORPUS.read_text(encoding="utf-8").split("\n"):
        if not line:
            continue
        told = json.loads(line)
        response = told["response"]
        found.append(
            Recording(
                told["id"],
                told["stream"],
                told["request"]["body"],
                response["status"],
                response["headers"],
                response["body"].encode(),
                told["expect"],
            )
        )
    return tuple(found)


def answers(*, stream: bool | None = None) -> list[Recording]:
    return [one for one in recordings() if one.expect["kind"] == "ok" and stream in (None, one.stream)]


def failures() -> list[Recording]:
    return [one for one in recordings() if one.expect["kind"] == "error"]
