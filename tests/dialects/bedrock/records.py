"""The shared recordings of this protocol, where they are present."""

import base64
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("WAYPOST_SHARED") or Path(__file__).parents[4] / "shared") / "corpus"


@dataclass(frozen=True)
class Record:
    id: str
    path: str
    stream: bool
    request: dict[str, Any] | None  # None where what was sent was no JSON object
    sent: bytes
    status: int
    headers: dict[str, str]
    body: bytes
    expect: dict[str, Any]

    def __str__(self) -> str:
        return self.id


@cache
def records(name: str) -> tuple[Record, ...]:
    """Of one file, "bedrock-converse" or "bedrock-invoke"; none without the recordings."""
    path = SHARED / f"{name}.jsonl"
    return tuple(map(_record, path.read_text(encoding="utf-8").splitlines())) if path.exists() else ()


def _record(line: str) -> Record:
    told = json.loads(line)
    request, response = told["request"], told["response"]
    body = response["body"].encode()
    if response.get("body_encoding") == "base64":
        body = base64.b64decode(body)
    sent = request["body"] if isinstance(request["body"], str) else json.dumps(request["body"], ensure_ascii=False)
    return Record(
        told["id"],
        request["path"],
        told["stream"],
        request["body"] if isinstance(request["body"], dict) else None,
        sent.encode(),
        response["status"],
        response["headers"],
        body,
        told["expect"],
    )
