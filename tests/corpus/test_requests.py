"""Every recorded request: glanced at, edited in place, read, written in both protocols and read again."""

import json
from typing import Any

import pytest

from corpus.records import DIALECTS, Record, all_records, other
from waypost.conversation.blocks import (
    Audio,
    Block,
    Document,
    Image,
    Opaque,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from waypost.conversation.faults import Refused
from waypost.conversation.request import Request, Tool
from waypost.dialects.dialect import Edits, Shape

OPENAI, ANTHROPIC = DIALECTS["openai-chat"], DIALECTS["anthropic-messages"]
# Bodies that their provider refused, or whose model is named elsewhere (in the path): there is nothing to read.
RECORDS = [
    record
    for record in all_records()
    if isinstance(record.request.get("model"), str)
    and record.request["messages"]
    and all(isinstance(message, dict) for message in record.request["messages"])
]


def body_of(record: Record) -> bytes:
    return json.dumps(record.request, ensure_ascii=False).encode()


@pytest.mark.parametrize("record", RECORDS, ids=str)
def test_a_glance_sees_what_decisions_need(record: Record) -> None:
    told = record.request
    glance = record.dialect.glance(body_of(record))
    assert glance.model == told["model"]
    assert glance.stream is bool(told.get("stream"))
    assert glance.max_output == (told.get("max_completion_tokens") or told.get("max_tokens"))
    assert glance.choices == (told.get("n") or 1)
    assert ("tools" in glance.needs) is bool(told.get("tools") or told.get("functions"))
    text = json.dumps(told["messages"])
    assert ("images" in glance.needs) is ('"image_url"' in text or '"type": "image"' in text or '"video_url"' in text)


LAYOUTS: list[dict[str, Any]] = [
    {"ensure_ascii": False},
    {"ensure_ascii": False, "separators": (",", ":")},
    {"indent": 2},
    {},
]


@pytest.mark.parametrize("record", RECORDS, ids=str)
def test_an_edit_changes_only_what_it_names(record: Record) -> None:
    for layout in LAYOUTS:
        check_edit(record, json.dumps({**record.request, "waypost": {"task": "qa"}}, **layout).encode())


def check_edit(record: Record, body: bytes) -> None:
    told, dialect = record.request, record.dialect
    glance = dialect.glance(body)
    labels = {"task", "combination_id"}  # in `metadata` they are for Waypost alone, and leave with every edit
    if labels.isdisjoint(told.get("metadata") or ()):
        assert dialect.edit(body, glance, Edits(model=told["model"])) is body
    edits = Edits(model="an/other", want_usage=True, max_output=7, remove_options=True)
    edited = json.loads(dialect.edit(body, glance, edits))
    limits = ("max_tokens", "max_completion_tokens")
    used = [name for name in limits if told.get(name) is not None] or ["max_tokens"]
    expected = {**told, "model": "an/other"}
    if not labels.isdisjoint(told.get("metadata") or ()):
        kept = {name: text for name, text in told["metadata"].items() if name not in labels}
        expected = {name: value for name, value in expected.items() if name != "metadata"}
        expected |= {"metadata": kept} if kept else {}
    for name in limits:
        if name in told:
            expected[name] = 7
    for name in used:
        expected[name] = min(7, told.get(name) or 7)
    if dialect is OPENAI and told.get("stream"):
        expected["stream_options"] = {**(told.get("stream_options") or {}), "include_usage": True}
    assert edited == expected
    again = dialect.glance(json.dumps(edited).encode())
    assert (again.model, again.max_output) == ("an/other", min([7, *[told.get(name) or 7 for name in used]]))


def said(request: Request) -> list[tuple[str, list[object]]]:
    """What is said, speaker by speaker; tool results, which each protocol places differently, speak for themselves."""
    speakers: list[tuple[str, list[object]]] = []
    for turn in request.turns:
        blocks = sorted(turn.blocks, key=lambda block: not isinstance(block, ToolResult))
        for block in blocks:
            speaker = "tool" if isinstance(block, ToolResult) else turn.role.value
            if speaker == Role.DEVELOPER:
                speaker = Role.SYSTEM.value
            for shown in values(block):
                if speakers and speakers[-1][0] == speaker:
                    speakers[-1][1].append(shown)
                else:
                    speakers.append((speaker, [shown]))
    return speakers


def values(block: Block) -> list[object]:
    match block:
        case Text(text=text) | Refusal(text=text):
            return [text] if text.strip() else []
        case Image(source=source):
            return [("image", source.url, source.data)]
        case Document(source=source, text=text):
            return [text] if text else [("document", source.url, source.data)]
        case ToolCall():
            try:
                arguments = json.loads(block.arguments or "{}")
            except ValueError:
                arguments = None
            return [("call", block.id, block.name, arguments)]
        case ToolResult():
            return [("result", block.call_id, [shown for inner in block.blocks for shown in values(inner)])]
        case Audio(source=source):
            return [("audio", source.data)]
        case Thinking(text=text):
            return [("thinking", text)]
        case Opaque(kind=kind):
            return [("opaque", kind)]
        case _:
            return []


PARAMETERS = (
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "choices",
    "logprobs",
    "top_logprobs",
    "parallel_tool_calls",
    "user",
    "service_tier",
    "max_tokens",
)
SAME_TIER = {"standard_only": "default"}
# Values that say what is so anyway.
CHANGES_NOTHING = {"choices": 1, "top_p": 1.0, "parallel_tool_calls": True, "temperature": 1.0}


def tools_of(request: Request) -> list[tuple[Any, ...]]:
    return [
        (
            tool.name,
            tool.description,
            tool.strict,
            json.loads(bytes(tool.parameters or b"null")),
        )
        for tool in request.tools
        if isinstance(tool, Tool)
    ]


def calls_of(request: Request) -> list[str]:
    return [block.name for turn in request.turns for block in turn.blocks if isinstance(block, ToolCall)]


def texts_of(request: Request) -> list[str]:
    """Without the "." that stands for words which a protocol insists on."""
    return [text for _, shown in said(request) for text in shown if isinstance(text, str) and text != "."]


@pytest.mark.parametrize("record", RECORDS, ids=str)
def test_written_in_its_own_protocol_it_says_the_same(record: Record) -> None:
    dialect = record.dialect
    request = dialect.read_request(body_of(record))
    written = dialect.write_request(request, Shape(model=request.model))
    assert written.dropped == ()
    again = dialect.read_request(written.body)
    assert said(again) == said(request)
    assert tools_of(again) == tools_of(request)
    for name in (*PARAMETERS, "tool_choice", "reasoning"):
        if not (name == "max_tokens" and dialect is ANTHROPIC) and not (name == "tool_choice" and not request.tools):
            assert getattr(again, name) == getattr(request, name), name
    assert {name: json.loads(bytes(raw)) for name, raw in again.extra} == {
        name: json.loads(bytes(raw)) for name, raw in request.extra
    }


@pytest.mark.parametrize("record", RECORDS, ids=str)
def test_written_in_the_other_protocol_it_says_what_was_not_reported(record: Record) -> None:
    here, there = record.dialect, other(record.dialect)
    request = here.read_request(body_of(record))
    written = there.write_request(request, Shape(model="m"))
    again = there.read_request(written.body)
    assert again.model == "m"
    assert len(set(written.dropped)) == len(written.dropped)
    for name in PARAMETERS:
        before, after = getattr(request, name), getattr(again, name)
        if name == "service_tier":
            before, after = SAME_TIER.get(before, before), SAME_TIER.get(after, after)
        carried = before in (None, (), False, CHANGES_NOTHING.get(name)) or before == after
        assert carried or reported(name, written.dropped), (name, before, after, written.dropped)
    assert [tool[0] for tool in tools_of(again)] == [tool[0] for tool in tools_of(request)]
    assert texts_of(again) == texts_of(request)
    assert calls_of(again) == calls_of(request)


def reported(name: str, dropped: tuple[str, ...]) -> bool:
    by_caller = {"choices": "n", "max_tokens": "max_tokens", "stop": "stop_sequences"}
    return name in dropped or by_caller.get(name, name) in dropped


@pytest.mark.parametrize("record", all_records(), ids=str)
def test_whatever_was_sent_is_read_or_refused(record: Record) -> None:
    dialect = record.dialect
    for read in (dialect.glance, dialect.read_request):
        try:
            read(body_of(record))
        except Refused as refused:
            assert refused.error.status == 400
