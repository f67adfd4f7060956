"""Other providers' reasoning passes through callers of this protocol, and never reaches Anthropic."""

import json
from typing import Any

import pytest

from waypost.conversation.blocks import RedactedThinking, Text, Thinking
from waypost.conversation.events import BlockEnded, BlockStarted, Delta, Event, Finished, Started, Stopped
from waypost.conversation.reply import Choice, Reply, Stop, StopKind
from waypost.dialects.anthropic import DIALECT
from waypost.dialects.anthropic.foreign import without_foreign
from waypost.dialects.dialect import Edits

OWN = {"type": "thinking", "thinking": "mine", "signature": "abc"}
FOREIGN = {"type": "thinking", "thinking": "its", "signature": "waypost.gemini.xyz"}
EMPTY = {"type": "thinking", "thinking": "nobody's", "signature": ""}
SEALED = {"type": "redacted_thinking", "data": "waypost.openai_responses.zzz"}
TEXT = {"type": "text", "text": "4"}
ASKED = {"role": "user", "content": "2+2?"}


def body(*blocks: dict[str, Any], after: tuple[dict[str, Any], ...] = (ASKED,)) -> bytes:
    messages = [ASKED, {"role": "assistant", "content": list(blocks)}, *after]
    return json.dumps({"model": "m", "max_tokens": 9, "messages": messages, "other": 2**70}).encode()


@pytest.mark.parametrize(
    ("blocks", "left"),
    [
        ((FOREIGN, TEXT), [TEXT]),
        ((EMPTY, TEXT), [TEXT]),
        ((SEALED, OWN, TEXT), [OWN, TEXT]),
        ((OWN, FOREIGN, TEXT, SEALED), [OWN, TEXT]),
    ],
)
def test_it_is_taken_out_of_what_is_relayed(blocks: tuple[dict[str, Any], ...], left: list[dict[str, Any]]) -> None:
    glance = DIALECT.glance(body(*blocks))
    for written in (
        DIALECT.edit(body(*blocks), glance, Edits(model="m")),
        DIALECT.rename(body(*blocks), b'"m"', b'"m"'),
    ):
        assert json.loads(written) == json.loads(body(*left))


def test_a_turn_of_which_nothing_is_left_goes_too() -> None:
    assert [each["role"] for each in json.loads(without_foreign(body(FOREIGN)))["messages"]] == ["user", "user"]


@pytest.mark.parametrize(
    "untouched",
    [
        body(OWN, TEXT),
        body({"type": "text", "text": 'say "waypost.gemini" and "signature":""'}),
        body(TEXT, after=({"role": "user", "content": [{"type": "text", "text": "waypost."}]},)),
        b'{"messages": 7, "x": "waypost."}',
        b'{"messages": [{"role": "assistant", "content": [{"type": 3, "signature":""}]}]}',
        b'not json "waypost.',
    ],
)
def test_whatever_else_stays_as_it_is(untouched: bytes) -> None:
    assert without_foreign(untouched) == untouched


def test_a_signature_goes_out_marked_and_comes_back_as_it_was() -> None:
    said = (
        Thinking("hm", "s1", "gemini"),
        RedactedThinking("d1", "openai_responses"),
        Thinking("x", "s2", "anthropic"),
    )
    reply = Reply("gemini", "id", "m", (Choice((*said, Text("4")), Stop(StopKind.END)),), None)
    content = json.loads(DIALECT.write_reply(reply, "m"))["content"]
    assert [each.get("signature", each.get("data")) for each in content] == [
        "waypost.gemini.s1", "waypost.openai_responses.d1", "s2", None
    ]  # fmt: skip
    assert DIALECT.read_request(body(*content)).turns[1].blocks[:3] == said


def test_in_a_stream_the_mark_stands_before_the_whole_signature() -> None:
    writer = DIALECT.writer("m", False)
    events: tuple[Event, ...] = (
        Started("id", "m"), BlockStarted(0, Thinking("", None, "gemini")), Delta(0, text="hm"),
        Delta(0, signature="s"), Delta(0, signature="1"), BlockEnded(0),
        BlockStarted(1, Thinking("", "s2", "gemini")), BlockEnded(1),
        BlockStarted(2, Text("")), Delta(2, text="4"), BlockEnded(2), Stopped(Stop(StopKind.END)), Finished(),
    )  # fmt: skip
    written = b"".join(map(writer.write, events))
    told = [json.loads(line[6:]) for line in written.split(b"\n") if line.startswith(b"data: ")]
    assert [each["delta"]["signature"] for each in told if each.get("delta", {}).get("type") == "signature_delta"] == [
        "waypost.gemini.s1", "waypost.gemini.s2"
    ]  # fmt: skip
    assert [each["index"] for each in told if each["type"] == "content_block_stop"] == [0, 1, 2]
