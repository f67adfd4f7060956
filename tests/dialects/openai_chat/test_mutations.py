"""Broken and random bytes: refused or told as a fault, never anything else."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.conversation.events import Failed, Finished
from waypost.conversation.faults import Refused, UpstreamFault
from waypost.dialects.dialect import Edits
from waypost.dialects.openai_chat import DIALECT

REQUEST = json.dumps(
    {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUI="}}]},
            {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "é"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "max_tokens": 5,
        "stream": True,
        "stream_options": {"include_usage": False},
        "waypost": {"task": "qa"},
    }
).encode()
REPLY = json.dumps(
    {
        "id": "chatcmpl-1",
        "model": "m",
        "created": 1,
        "choices": [
            {
                "message": {"content": "x", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}},
    }
).encode()
STREAM = b"".join(
    b"data: " + json.dumps(value).encode() + b"\n\n"
    for value in (
        {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "x"}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]}}]},
        {"choices": [{"index": 0, "delta": {"reasoning_details": [{"type": "reasoning.text", "text": "t"}]}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": {"prompt_tokens": 1}},
    )
)
JSONS = [
    b"null",
    b"[]",
    b"{}",
    b"1",
    b"-1",
    b'"x"',
    b"true",
    b"1e999",
    b'"\\ud800"',
    b"[" * 3000,
    b"\xff",
    b'"\\u0000"',
]


def mutated(body: bytes, chance: random.Random) -> bytes:
    """One or two changes: a byte, a cut, a doubled piece, or a value put where another was."""
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.randrange(len(body) + 1)
        match chance.randrange(4):
            case 0:
                body = body[:at] + bytes([chance.randrange(256)]) + body[at + 1 :]
            case 1:
                body = body[:at] + body[at + chance.randrange(20) :]
            case 2:
                body = body[:at] + body[chance.randrange(at + 1) : at] + body[at:]
            case _:
                colon = body.find(b":", at)
                end = min((i for i in (body.find(b",", colon), body.find(b"}", colon)) if i > 0), default=-1)
                if 0 < colon < end:
                    body = body[: colon + 1] + chance.choice(JSONS) + body[end:]
    return body


def check_request(body: bytes) -> None:
    try:
        glance = DIALECT.glance(body)
        edits = Edits(model="n", want_usage=True, max_output=3, remove_options=True)
        again = DIALECT.glance(DIALECT.edit(body, glance, edits))
        assert (again.model, again.options) == ("n", None)
        assert again.max_output is not None
        assert again.max_output <= 3
        DIALECT.read_request(body)
    except Refused as refused:
        assert refused.error.status == 400


def check_answer(body: bytes) -> None:
    for read in (DIALECT.read_reply, DIALECT.glance_reply):
        try:
            read(body)
        except UpstreamFault:
            continue
    assert DIALECT.read_fault(500, {}, body).message


def check_stream(body: bytes) -> None:
    framing, reader, watcher = DIALECT.framing(), DIALECT.reader(), DIALECT.watcher(True)
    frames = framing.feed(body) + framing.end()
    for frame in frames:
        watcher.see(frame)
    try:
        events = [event for frame in frames for event in reader.feed(frame)] + reader.end()
    except UpstreamFault:
        return
    assert isinstance(events[-1], Finished | Failed)


@pytest.mark.parametrize("seed", range(40))
def test_mutations(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(50):
        check_request(mutated(REQUEST, chance))
        check_answer(mutated(REPLY, chance))
        check_stream(mutated(STREAM, chance))


@given(st.binary(max_size=60))
def test_random_bytes(body: bytes) -> None:
    check_request(body)
    check_answer(body)
    check_stream(b"data: " + body + b"\n\n")
