"""What is Cohere's alone in its recorded exchanges; the laws that all protocols share are held in tests/corpus."""

import json
import random
import re
from typing import Any

from corpus.meaning import events_of, frames_of, reply_of
from corpus.records import Record, answers, check_each
from corpus.test_requests import requests
from corpus.test_streams import check_order
from waypost.conversation.blocks import Opaque
from waypost.conversation.faults import UpstreamFault
from waypost.dialects.cohere import DIALECT
from waypost.dialects.dialect import Shape

RECORDS = answers("cohere-v2")


def test_a_plan_is_neither_text_nor_reasoning() -> None:
    """The independent reader only notes that there is one, and does not look for the tokens of reasoning."""

    def check(record: Record) -> None:
        reply = reply_of(record)
        plans = [block for block in reply.choices[0].blocks if isinstance(block, Opaque) and block.kind == "tool_plan"]
        assert len(plans) == record.expect["notes"].count("tool_plan")
        counted = re.search(rb'"reasoning_tokens":(\d+)', record.body)
        assert reply.usage is not None
        assert reply.usage.reasoning == (None if counted is None else int(counted[1]))

    check_each(RECORDS, check)


def test_a_stream_is_finished_once() -> None:
    for record in answers("cohere-v2", stream=True):
        watcher = DIALECT.watcher(False)
        seen = [watcher.see(frame) for frame in frames_of(DIALECT, record.body)]
        assert [one.finished for one in seen].count(True) == 1, record
        assert len([one.stop for one in seen if one.stop]) == 1, record


def test_what_is_sent_is_what_was_asked() -> None:
    """Member by member, as the wire has it, but for what means the same: an empty list, null, a text in parts."""

    def check(record: Record) -> None:
        sent = json.loads(DIALECT.write_request(DIALECT.read_request(record.sent), Shape(model="m")).body)
        assert plain({**sent, "model": record.request["model"]}) == plain(record.request)

    check_each(requests("cohere-v2"), check)


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"type", "text"}:
            return value["text"]
        members = {name: plain(each) for name, each in value.items()}
        return {name: each for name, each in members.items() if each not in (None, [], "", False)}
    if isinstance(value, list):
        parts = [plain(each) for each in value]
        return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else parts
    return value


def mutated(body: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(body))
    return body[:place] + bytes([chance.randrange(256)]) + body[place + chance.randrange(3) :]


def test_a_spoilt_answer_is_a_typed_fault() -> None:
    def check(record: Record) -> None:
        chance = random.Random(record.id)
        for _ in range(40):
            body = mutated(record.body, chance)
            try:
                check_order(events_of(DIALECT, body)) if record.stream else DIALECT.read_reply(body)
            except UpstreamFault:
                continue

    check_each(RECORDS, check)
