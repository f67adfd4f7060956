"""Requests put together with what was said before them, and answers written under an id of ours."""

import json
from typing import Any

import pytest

from waypost.conversation.blocks import Text
from waypost.conversation.events import BlockEnded, BlockStarted, Delta, Event, Finished, Started, Stopped
from waypost.conversation.faults import CallerError, ErrorKind, Refused
from waypost.conversation.reply import Choice, Reply, Stop, StopKind, Usage
from waypost.conversation.signatures import carried
from waypost.dialects.openai_responses import DIALECT
from waypost.dialects.openai_responses.memory import MEMORY, continued, keeping, said, wanted

ID = "resp_waypost_1"
ADA = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "I am Ada."}]}
HELLO = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello, Ada."}]}
STOPPED = Stop(StopKind.END, "stop")


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", **members}).encode()


@pytest.mark.parametrize(
    ("store", "kept"), [({}, True), ({"store": None}, True), ({"store": True}, True), ({"store": False}, False)]
)
def test_kept_unless_the_caller_says_no(store: dict[str, Any], kept: bool) -> None:
    assert wanted(body(input="Hello", **store)) is kept


@pytest.mark.parametrize(
    ("given", "items"),
    [
        ({"input": "I am Ada."}, [ADA]),
        ({"input": [ADA, HELLO]}, [ADA, HELLO]),
        ({"input": []}, []),
        ({"input": None, "instructions": "Be brief."}, []),
        ({"instructions": "Be brief."}, []),
    ],
)
def test_what_is_said(given: dict[str, Any], items: list[Any]) -> None:
    assert json.loads(said(body(**given))) == items


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (b'{"input": 1}', "input"),
        (b'{"input": {"role": "user"}}', "input"),
        (b'{"input": "a", "store": "yes"}', "store"),
        (b'{"input": "\xff"}', "UTF-8"),
        (b'{"input": "a"', "JSON"),
    ],
)
def test_what_can_not_be_read_is_refused(request_: bytes, names: str) -> None:
    with pytest.raises(Refused, match=names):
        said(request_)


@pytest.mark.parametrize("at_home", [False, True])
class TestContinued:
    @pytest.mark.parametrize(
        "given",
        [
            b'{"model":"m","previous_response_id":"resp_1","input":"I am Ada.","top_p":0.5}',
            b'{"input" : "I am Ada." , "model":"m", "previous_response_id" : "resp_1", "top_p":0.5}',
            b'{"model":"m","top_p":0.5,"input":[' + json.dumps(ADA).encode() + b'],"previous_response_id":"resp_1"}',
        ],
    )
    def test_what_was_said_comes_first(self, given: bytes, at_home: bool) -> None:
        whole = continued(given, json.dumps([ADA]).encode(), json.dumps({"output": [HELLO]}).encode(), at_home)
        assert json.loads(whole) == {"model": "m", "top_p": 0.5, "input": [ADA, HELLO, ADA]}

    @pytest.mark.parametrize(
        ("before", "output", "now", "items"),
        [
            (b"[]", b'{"output":[]}', b'{"input":[]}', []),
            (b" [ ] ", b'{"output": [ ] }', b'{"input": [ ] }', []),
            (b"[]", b"{}", b"{}", []),
            (b"[1]", b'{"output":[]}', b'{"input":null}', [1]),
            (b"[]", b'{"output":[2]}', b'{"input": [ ]}', [2]),
            (b"[ ]", b'{"output":[ ]}', b'{"input":[3, 4]}', [3, 4]),
            (b"[1]", b'{"output":[2]}', b'{"input":[3]}', [1, 2, 3]),
        ],
    )
    def test_nothing_is_no_item(
        self, before: bytes, output: bytes, now: bytes, items: list[int], at_home: bool
    ) -> None:
        assert json.loads(continued(now, before, output, at_home)) == {"input": items}

    def test_big_numbers_and_odd_text_stay(self, at_home: bool) -> None:
        odd = b'[{"a":12345678901234567890123,"b":"\\ud83d\\ude00\\u0000","c":1.0}]'
        assert odd[1:-1] in continued(b'{"input":[]}', odd, b"{}", at_home)


REASONING: list[tuple[dict[str, Any], bool]] = [
    ({"type": "reasoning", "summary": []}, False),
    ({"type": "reasoning", "summary": [], "encrypted_content": None}, False),
    ({"type": "reasoning", "summary": [], "encrypted_content": carried("s", "anthropic", "openai_responses")}, False),
    ({"type": "reasoning", "summary": [], "encrypted_content": "its-own"}, True),
    ({"type": "message", "role": "user", "content": "a"}, True),
    ({"role": "user", "content": "a"}, True),
    ({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, True),
]


@pytest.mark.parametrize(("item", "stays"), REASONING)
def test_at_home_others_reasoning_is_left_out(item: dict[str, Any], stays: bool) -> None:
    for before, output in (([item], []), ([], [item])):
        kept = json.dumps(before).encode(), json.dumps({"output": output}).encode()
        assert json.loads(continued(b'{"input":[]}', *kept, True))["input"] == ([item] if stays else [])
        assert json.loads(continued(b'{"input":[]}', *kept, False))["input"] == [item]


class Kept:
    def __init__(self, *, takes: bool = True) -> None:
        self.answers: list[dict[str, Any]] = []
        self._takes = takes

    def __call__(self, answer: bytes) -> bool:
        self.answers.append(json.loads(answer))
        return self._takes


def reply(told: str | None) -> Reply:
    return Reply("anthropic", told, "m", (Choice((Text("Hello."),), STOPPED),), Usage(input=1, output=2), 1)


@pytest.mark.parametrize("previous", [None, "resp_waypost_0"])
@pytest.mark.parametrize("takes", [True, False])
@pytest.mark.parametrize("told", [None, "msg_1", "resp_theirs"])
class TestWritten:
    def test_whole(self, told: str | None, takes: bool, previous: str | None) -> None:
        kept = Kept(takes=takes)
        written = json.loads(keeping(DIALECT, ID, previous, kept).write_reply(reply(told), "m"))
        assert (written["id"], written["store"], written["previous_response_id"]) == (ID, takes, previous)
        assert [answer | {"store": takes} for answer in kept.answers] == [written]

    def test_streamed(self, told: str | None, takes: bool, previous: str | None) -> None:
        kept = Kept(takes=takes)
        writer = keeping(DIALECT, ID, previous, kept).writer("m", True)
        events: list[Event] = [
            *([Started(told, "m", 1)] if told else []),
            BlockStarted(0, Text("")),
            Delta(0, text="Hello."),
            BlockEnded(0),
            Stopped(STOPPED),
        ]
        written = b"".join([writer.write(event) for event in events])
        assert not kept.answers
        written += writer.write(Finished())
        shown = [
            json.loads(line[6:])["response"]
            for line in written.split(b"\n")
            if line.startswith(b"data: ") and b'"response":' in line
        ]
        assert {response["id"] for response in shown} == {ID}
        assert {response["previous_response_id"] for response in shown} == {previous}
        assert [response["store"] for response in shown] == [True, True, takes]
        assert [answer | {"store": takes} for answer in kept.answers] == [shown[-1]]


def test_a_stream_that_fails_is_not_kept() -> None:
    kept = Kept()
    writer = keeping(DIALECT, ID, None, kept).writer("m", True)
    writer.write(Started("a", "m", 1))
    writer.write(BlockStarted(0, Text("Hello")))
    writer.fail(CallerError(kind=ErrorKind.UPSTREAM_FAILED, message="broke off", status=502))
    assert writer.write(Finished()) == b""
    assert not kept.answers


@pytest.mark.parametrize(
    ("given", "previous"),
    [
        (b'{"model":"m","input":"a"}', None),
        (b'{"model":"m","input":"a","previous_response_id":null}', None),
        (b'{"model":"m","input":"a","previous_response_id":1}', None),
        (b'{"model":"m","input":"a","previous_response_id":"resp_1"}', "resp_1"),
        (b'{"model":"m","input":"a","previous\\u005fresponse_id":"resp_1"}', "resp_1"),
    ],
)
def test_the_id_is_seen_at_a_glance(given: bytes, previous: str | None) -> None:
    assert DIALECT.glance(given).previous == previous


def test_ours_look_like_ids_of_the_protocol() -> None:
    assert MEMORY.prefix.startswith("resp_")
