"""Mutated bodies give typed faults and nothing else."""

import json
import random
from contextlib import suppress

import pytest

from waypost.conversation.events import Failed, Finished
from waypost.conversation.faults import Refused, UpstreamFault
from waypost.dialects.dialect import Edits, Shape
from waypost.dialects.gemini import DIALECT

REQUEST = json.dumps(
    {
        "systemInstruction": {"parts": [{"text": "be kind"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "é"}, {"inlineData": {"mimeType": "image/png", "data": "aa=="}}]},
            {
                "role": "model",
                "parts": [{"functionCall": {"name": "f", "args": {"a": [1]}}, "thoughtSignature": "c2ln"}],
            },
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}, "parts": []}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "nullable": True}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "maxOutputTokens": 5,
            "topK": 4.0,
            "stopSequences": ["x"],
            "thinkingConfig": {"thinkingBudget": 1},
            "responseSchema": {"type": "STRING", "maxLength": "3"},
            "responseMimeType": "application/json",
        },
        "waypost": {"task": "qa"},
    }
).encode()
ANSWER = json.dumps(
    {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": "é"}]},
                "finishReason": "STOP",
                "index": 0,
                "citationMetadata": {"citations": [{"uri": "u"}]},
                "groundingMetadata": {"webSearchQueries": ["q"]},
                "logprobsResult": {"chosenCandidates": [{"token": "a", "logProbability": -1}], "topCandidates": []},
            },
            {"content": {"parts": [{"functionCall": {"name": "f", "args": {}}}]}, "finishReason": 1, "index": 1},
        ],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3},
        "promptFeedback": {"blockReason": "SAFETY"},
        "createTime": "2026-05-27T16:53:45.443719Z",
        "modelVersion": "g",
        "responseId": "r",
    }
).encode()
PIECES = (
    b"null",
    b"7",
    b'"x"',
    b"[]",
    b"{}",
    b"-1",
    b"1e400",
    b"\xff",
    b'"\\ud800"',
    b"99999999999999999999",
    b"[" * 2000,
)


def mutated(body: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randrange(1, 4)):
        begin = chance.randrange(len(body))
        match chance.randrange(4):
            case 0:
                body = body[:begin] + body[begin + chance.randrange(1, 30) :]
            case 1:
                body = body[:begin] + chance.choice(PIECES) + body[begin:]
            case 2:
                body = body[:begin]
            case _:  # another value for a member, which leaves it JSON
                colon = body.find(b": ", begin)
                end = min(
                    [place for place in (body.find(b",", colon), body.find(b"}", colon)) if place > 0], default=-1
                )
                if colon > 0 and end > 0:
                    body = body[: colon + 2] + chance.choice(PIECES) + body[end:]
        body = body or b"{"
    return body


@pytest.mark.parametrize("seed", range(8))
def test_a_mutated_request_is_read_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(250):
        body = mutated(REQUEST, chance)
        try:
            request = DIALECT.read_request(body)
        except Refused as refused:
            assert refused.error.status == 400
        else:
            DIALECT.read_request(DIALECT.write_request(request, Shape(model="gemini-3-pro")).body)
        try:
            glance = DIALECT.glance(body)
            edited = DIALECT.edit(body, glance, Edits(model="m", max_output=3, remove_options=True))
            assert DIALECT.glance(edited).max_output in (1, 2, 3)
        except Refused as refused:
            assert refused.error.status == 400


@pytest.mark.parametrize("seed", range(8))
def test_a_mutated_answer_is_read_or_malformed(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(250):
        body = mutated(ANSWER, chance)
        DIALECT.read_fault(chance.choice((400, 429, 500)), {}, body)
        for read in (DIALECT.read_reply, DIALECT.glance_reply):
            try:
                read(body)
            except UpstreamFault:
                continue
        with suppress(UpstreamFault):
            DIALECT.read_reply(DIALECT.write_reply(DIALECT.read_reply(body), "m"))


@pytest.mark.parametrize("seed", range(8))
def test_a_mutated_stream_ends_or_is_malformed(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(150):
        body = chance.choice((b"data: %b\n\ndata: %b\n\n", b"[%b\n,%b]")) % (ANSWER, mutated(ANSWER, chance))
        framing, reader, watcher = DIALECT.framing(), DIALECT.reader(), DIALECT.watcher(True)
        try:
            frames = framing.feed(body) + framing.end()
        except ValueError:
            continue
        for frame in frames:
            watcher.see(frame)
        try:
            events = [event for frame in frames for event in reader.feed(frame)] + reader.end()
        except UpstreamFault:
            continue
        assert isinstance(events[-1], Finished | Failed)
