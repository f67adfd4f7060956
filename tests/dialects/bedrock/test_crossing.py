"""What callers of other protocols said, written for Bedrock: its own model accepts it, and it says the same."""

import json
from typing import Any

import pytest

from corpus import records as others
from dialects.bedrock.service import check_reply, check_request
from waypost.conversation.blocks import Block, Document, Refusal, Role, Text, ToolCall, ToolResult
from waypost.conversation.faults import Refused
from waypost.conversation.request import Request, Tool, ToolChoiceMode
from waypost.dialects.bedrock import DIALECT
from waypost.dialects.dialect import Shape
from waypost.dialects.registry import DIALECTS

MODELS = (
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "meta.llama3-1-8b-instruct-v1:0",
)
RECORDS = [record for record in others.all_records() if record.protocol in ("openai-chat", "anthropic-messages")]
ANSWERS = [record for record in RECORDS if record.expect["kind"] == "ok"]
PARAMETERS = (
    *("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed", "stop", "choices", "logprobs"),
    *("top_logprobs", "parallel_tool_calls", "user", "service_tier", "max_tokens"),
)
# Values that say what is so anyway.
CHANGES_NOTHING: dict[str, object] = {"choices": 1, "top_p": 1.0, "parallel_tool_calls": True, "temperature": 1.0}
SAME_TIER = {"standard_only": "default"}
NAMED = {"choices": "n", "user": "user"}


def read(record: others.Record) -> Request | None:
    try:
        return DIALECTS[record.dialect.name].read_request(json.dumps(record.request).encode())
    except Refused:
        return None


def calls_of(request: Request) -> list[str]:
    return [block.name for turn in request.turns for block in turn.blocks if isinstance(block, ToolCall)]


def texts_of(request: Request) -> list[str]:
    """All words, whoever says them, without the "." that stands for words that are insisted on."""
    texts = [text for turn in request.turns for block in turn.blocks for text in words(block)]
    return sorted(text for text in texts if text.strip() and text != ".")


def words(block: Block) -> list[str]:
    match block:
        case Text(text=text) | Refusal(text=text):
            return [text]
        case Document(text=text) if text is not None:
            return [text]
        case ToolResult():
            return [text for inner in block.blocks for text in words(inner)]
        case _:
            return []


def legal_names(request: Request) -> bool:
    """Names of other protocols may be longer than 64 characters; the service refuses them, and says so."""
    names = [tool.name for tool in request.tools if isinstance(tool, Tool)] + calls_of(request)
    return all(len(name) <= 64 and name.replace("-", "_").isidentifier() for name in names)


@pytest.mark.parametrize("record", RECORDS, ids=str)
def test_a_request_is_accepted_and_says_what_was_not_reported(record: others.Record) -> None:
    request = read(record)
    if request is None:
        return
    for model in MODELS:
        written = DIALECT.write_request(request, Shape(model=model))
        assert len(set(written.dropped)) == len(written.dropped)
        body = json.loads(written.body)
        if legal_names(request):
            check_request(body)
        check_turns(body["messages"])
        again = DIALECT.read_request(written.body)
        for name in PARAMETERS:
            before, after = getattr(request, name), getattr(again, name)
            if name == "service_tier":
                before = SAME_TIER.get(before, before)
            same = before in (None, (), False, CHANGES_NOTHING.get(name)) or before == after
            assert same or NAMED.get(name, name) in written.dropped, (name, before, after, written.dropped)
        assert texts_of(again) == texts_of(request)
        assert calls_of(again) == calls_of(request)
        forbidden = request.tool_choice is not None and request.tool_choice.mode is ToolChoiceMode.NONE
        if not forbidden and request.tools:
            assert names_of(again) == names_of(request)


def names_of(request: Request) -> list[str]:
    return [tool.name for tool in request.tools if isinstance(tool, Tool)]


def check_turns(messages: list[dict[str, Any]]) -> None:
    """The roles take turns, the user begins, nothing is empty or blank, and results come first."""
    assert [message["role"] for message in messages] == [("user", "assistant")[i % 2] for i in range(len(messages))]
    for message in messages:
        assert message["content"]
        assert all(block["text"].strip() for block in message["content"] if "text" in block)
        kinds = ["toolResult" in block for block in message["content"]]
        assert kinds == sorted(kinds, reverse=True) or any("cachePoint" in block for block in message["content"])


@pytest.mark.parametrize("record", ANSWERS, ids=str)
def test_an_answer_is_one_that_the_service_could_have_given(record: others.Record) -> None:
    from corpus.meaning import reply_of

    reply = reply_of(record)
    body = json.loads(DIALECT.write_reply(reply, "m"))
    for block in body["output"]["message"]["content"]:
        call = block.get("toolUse")
        if call and not call["name"].replace("-", "_").isidentifier():
            return  # the recording's tool has a name that Bedrock would not have taken
    check_reply(body)


def test_the_history_of_a_request_keeps_its_results_with_their_calls() -> None:
    """Over all recordings: every result answers a call of the turn before it."""
    seen = 0
    for record in RECORDS:
        request = read(record)
        if request is None:
            continue
        again = DIALECT.read_request(DIALECT.write_request(request, Shape(model=MODELS[0])).body)
        calls: set[str] = set()
        given = {block.id for turn in request.turns for block in turn.blocks if isinstance(block, ToolCall)}
        for turn in again.turns:
            for block in turn.blocks:
                if isinstance(block, ToolCall):
                    calls.add(block.id)
                elif isinstance(block, ToolResult) and given:
                    assert turn.role is Role.USER
                    seen += block.call_id in calls
    assert seen or not RECORDS
