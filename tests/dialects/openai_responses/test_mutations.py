"""Whatever arrives, only typed faults leave: bodies and streams with parts replaced, dropped, doubled or cut."""

import json
import random
from contextlib import suppress
from typing import Any

import pytest

from waypost.conversation.faults import Refused, UpstreamFault
from waypost.dialects.dialect import Edits, Shape
from waypost.dialects.openai_responses import DIALECT
from waypost.wire.frames import Frame

REQUEST: dict[str, Any] = {
    "model": "gpt-5",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": "Hello"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "Look"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "4"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "4", "annotations": []}]},
    ],
    "tools": [{"type": "function", "name": "look", "parameters": {}, "strict": False}, {"type": "web_search"}],
    "tool_choice": {"type": "function", "name": "look"},
    "text": {"format": {"type": "json_schema", "name": "a", "schema": {}}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "metadata": {"task": "qa", "mine": "1"},
    "max_output_tokens": 100,
    "stream": True,
}  # fmt: skip
OUTPUT: list[dict[str, Any]] = [
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}], "encrypted_content": "x"},
    {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
        {"type": "output_text", "text": "4", "annotations": [{"type": "url_citation", "url": "u"}], "logprobs": []}
    ]},
    {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": "{}"},
]  # fmt: skip
REPLY: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1.5,
    "status": "completed",
    "model": "gpt-5",
    "output": OUTPUT,
    "usage": {"input_tokens": 3, "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 1}},
}
STREAM: list[dict[str, Any]] = [
    {"type": "response.created", "response": {**REPLY, "status": "in_progress", "output": [], "usage": None}},
    {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"type": "reasoning", "id": "rs_1", "summary": []},
    },
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "Hm"},
    {"type": "response.output_item.done", "output_index": 0, "item": OUTPUT[0]},
    {"type": "response.output_item.added", "output_index": 1, "item": {**OUTPUT[1], "content": []}},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "4", "logprobs": []},
    {"type": "response.output_text.done", "output_index": 1, "content_index": 0, "text": "4"},
    {"type": "response.output_item.done", "output_index": 1, "item": OUTPUT[1]},
    {"type": "response.output_item.added", "output_index": 2, "item": {**OUTPUT[2], "arguments": ""}},
    {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "{}"},
    {"type": "response.output_item.done", "output_index": 2, "item": OUTPUT[2]},
    {"type": "response.completed", "response": REPLY},
]
ODD: list[Any] = [
    None,
    True,
    -1,
    10**30,
    1e308,
    "",
    "\ud800",
    "x" * 100,
    [],
    {},
    [[]],
    [None],
    {"type": None},
    {"type": "x"},
]
DEEP = b"[" * 5000 + b"]" * 5000


def mutated(value: Any, chance: random.Random) -> Any:
    """The value with one place of it changed."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        name = chance.choice(list(value))
        changed = dict(value)
        if chance.random() < 0.15:
            del changed[name]
        else:
            changed[name] = mutated(value[name], chance)
        return changed
    if isinstance(value, list) and value and chance.random() < 0.85:
        place = chance.randrange(len(value))
        return [*value[:place], mutated(value[place], chance), *value[place + 1 :]]
    return chance.choice(ODD)


def encoded(value: Any, chance: random.Random) -> bytes:
    body = json.dumps(value).encode()
    if chance.random() < 0.1:
        place = chance.randrange(len(body))
        body = body[:place] + chance.choice([b"", b"\xff", b'"', b"}", DEEP]) + body[place + chance.randrange(3) :]
    return body


@pytest.mark.parametrize("seed", range(60))
def test_a_request_is_read_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(40):
        body = encoded(mutated(REQUEST, chance), chance)
        try:
            glance = DIALECT.glance(body)
            DIALECT.edit(body, glance, Edits(model="other", max_output=5, remove_options=True))
        except Refused as refused:
            assert refused.error.status == 400
        try:
            request = DIALECT.read_request(body)
        except Refused as refused:
            assert refused.error.status == 400
        else:
            DIALECT.write_request(request, Shape(model="m"))


@pytest.mark.parametrize("seed", range(60))
def test_an_answer_is_read_or_at_fault(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(40):
        body = encoded(mutated(REPLY, chance), chance)
        DIALECT.read_fault(500, {}, body)
        with suppress(UpstreamFault):
            DIALECT.glance_reply(body)
        try:
            reply = DIALECT.read_reply(body)
        except UpstreamFault:
            continue
        DIALECT.write_reply(reply, "m")


@pytest.mark.parametrize("seed", range(60))
def test_a_stream_is_read_or_at_fault(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(30):
        told = list(STREAM)
        for _ in range(chance.randrange(1, 3)):
            place = chance.randrange(len(told))
            match chance.randrange(4):
                case 0:
                    del told[place]
                case 1:
                    told.insert(chance.randrange(len(told)), told[place])
                case _:
                    told[place] = mutated(told[place], chance)
        reader, watcher, writer = DIALECT.reader(), DIALECT.watcher(False), DIALECT.writer("m", True)
        with suppress(UpstreamFault):
            for one in told:
                data = encoded(one, chance)
                frame = Frame(b"data: " + data + b"\n\n", data)
                watcher.see(frame)
                for event in reader.feed(frame):
                    writer.write(event)
            for event in reader.end():
                writer.write(event)
