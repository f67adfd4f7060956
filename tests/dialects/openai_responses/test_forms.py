"""Tools that only this protocol has: as functions for the others, and back as their caller knows them."""

import json
from typing import Any

import pytest

from waypost.conversation.blocks import Text, ToolCall, ToolResult
from waypost.conversation.events import BlockEnded, BlockStarted, Delta, Finished, Started, Stopped
from waypost.conversation.faults import UpstreamFault
from waypost.conversation.reply import Choice, Reply, Stop, StopKind
from waypost.conversation.request import HostedTool, Request, Tool
from waypost.dialects.dialect import Shape
from waypost.dialects.openai_responses import DIALECT, form_writer
from waypost.dialects.openai_responses.forms import function_name

PLACE = {"type": "object", "properties": {"place": {"type": "string"}}}
LOOK = {"type": "function", "name": "look", "description": "Looks.", "parameters": PLACE, "strict": False}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}
PATCH = {"type": "custom", "name": "patch", "description": "Edits files.", "format": GRAMMAR}
SPACE: dict[str, Any] = {
    "type": "namespace",
    "name": "mcp__maps",
    "description": "Maps.",
    "tools": [LOOK, {**PATCH, "name": "draw"}],
}
PLAIN = {"type": "function", "name": "plain"}
TOOLS: list[dict[str, Any]] = [PLAIN, SPACE, PATCH]


def read(*input: dict[str, Any], tools: list[dict[str, Any]] = TOOLS) -> Request:
    told = [{"role": "user", "content": "Hello"}, *input]
    return DIALECT.read_request(json.dumps({"model": "m", "input": told, "tools": tools}).encode())


def write(request: Request) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(DIALECT.write_request(request, Shape(model="m")).body)
    return body


def shown(request: Request) -> Any:
    assert DIALECT.for_request is not None
    return DIALECT.for_request(DIALECT, request)


def test_others_see_functions() -> None:
    plain, look, draw, patch = read().tools
    assert [tool.name for tool in (plain, look, draw, patch) if isinstance(tool, Tool)] == [
        "plain",
        "mcp__maps__look",
        "mcp__maps__draw",
        "patch",
    ]
    assert isinstance(look, Tool)
    assert isinstance(patch, Tool)
    assert look.description == "Looks."
    assert json.loads(bytes(look.parameters or b"")) == PLACE
    taken = json.loads(bytes(patch.parameters or b""))
    assert taken["required"] == ["input"]
    assert "lark):\nstart: WORD" in taken["properties"]["input"]["description"]


def test_at_home_they_are_what_they_were() -> None:
    request = read()
    assert write(request)["tools"] == TOOLS
    assert DIALECT.read_request(DIALECT.write_request(request, Shape(model="m")).body).tools == request.tools


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "namespace", "name": "n", "tools": [LOOK, {"type": "web_search"}]},
        {"type": "namespace", "name": "n", "tools": []},
        {"type": "namespace", "tools": [LOOK]},
        {"type": "web_search"},
    ],
)
def test_what_holds_more_than_functions_stays_whole(tool: dict[str, Any]) -> None:
    (only,) = read(tools=[tool]).tools
    assert isinstance(only, HostedTool)
    assert write(read(tools=[tool]))["tools"] == [tool]


def test_long_names_are_as_short_as_others_take_them_and_stay_apart() -> None:
    names = {function_name("n" * 60, f"tool_{place}") for place in range(9)}
    assert len(names) == 9
    assert {len(name) for name in names} == {64}
    assert function_name(None, "t" * 99) == "t" * 99


HISTORY = [
    {"type": "function_call", "call_id": "1", "namespace": "mcp__maps", "name": "look", "arguments": "{}"},
    {"type": "custom_tool_call", "call_id": "2", "name": "patch", "input": 'say "hi"'},
    {"type": "function_call_output", "call_id": "1", "output": "a"},
    {"type": "custom_tool_call_output", "call_id": "2", "output": "b"},
]


def test_earlier_calls_are_calls_of_the_same_functions() -> None:
    request = read(*HISTORY)
    assert [block for turn in request.turns[1:] for block in turn.blocks] == [
        ToolCall("1", "mcp__maps__look", "{}"),
        ToolCall("2", "patch", '{"input":"say \\"hi\\""}'),
        ToolResult("1", (Text("a"),)),
        ToolResult("2", (Text("b"),)),
    ]
    assert write(request)["input"][1:] == HISTORY


def test_a_namespace_that_no_tool_is_in_says_nothing() -> None:
    told = {**HISTORY[0], "namespace": "look"}
    assert read(told).turns[1].blocks == (ToolCall("1", "look", "{}"),)


CALLS = [
    ("plain", '{"a":1}', {"type": "function_call", "name": "plain", "arguments": '{"a":1}'}),
    (
        "mcp__maps__look",
        "",
        {"type": "function_call", "namespace": "mcp__maps", "name": "look", "arguments": "{}"},
    ),
    ("patch", '{"input": "*** go"}', {"type": "custom_tool_call", "name": "patch", "input": "*** go"}),
    ("patch", "*** go", {"type": "custom_tool_call", "name": "patch", "input": "*** go"}),
    (
        "mcp__maps__draw",
        '{"input":""}',
        {"type": "custom_tool_call", "namespace": "mcp__maps", "name": "draw", "input": ""},
    ),
]


@pytest.mark.parametrize(("name", "arguments", "item"), CALLS)
def test_the_caller_gets_calls_as_it_knows_them(name: str, arguments: str, item: dict[str, Any]) -> None:
    dialect, stop = shown(read()), Stop(StopKind.TOOL, "tool_use")
    call = ToolCall("call_1", name, arguments)
    reply = Reply("anthropic", "msg_1", "m", (Choice((Text("So:"), call), stop),), None)
    whole = json.loads(dialect.write_reply(reply, "m"))["output"]
    assert {key: whole[1][key] for key in item} == item
    assert whole[1]["call_id"] == "call_1"
    writer = dialect.writer("m", True)
    half = len(arguments) // 2
    events = [
        Started("msg_1", "m"),
        BlockStarted(0, Text("")),
        Delta(0, text="So:"),
        BlockEnded(0),
        BlockStarted(1, ToolCall("call_1", name, "")),
        Delta(1, arguments=arguments[:half]),
        Delta(1, arguments=arguments[half:]),
        BlockEnded(1),
        Stopped(stop),
        Finished(),
    ]
    written = b"".join([writer.write(event) for event in events])
    told = [json.loads(line[6:]) for line in written.split(b"\n") if line.startswith(b"data: ")]
    (done,) = [one["item"] for one in told if one["type"] == "response.output_item.done" and one["output_index"] == 1]
    assert {key: done[key] for key in item} == item
    assert told[-1]["response"]["output"][1] == done
    assert [one["sequence_number"] for one in told] == list(range(len(told)))


def test_a_call_that_is_cut_short_is_not_told() -> None:
    writer = shown(read()).writer("m", True)
    for event in (Started("r", "m"), BlockStarted(0, ToolCall("c", "patch", "")), Delta(0, arguments='{"inp')):
        assert b"custom_tool_call" not in writer.write(event)


def test_what_a_call_holds_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form_writer, "MOST_HELD", 8)
    writer = shown(read()).writer("m", True)
    writer.write(BlockStarted(0, ToolCall("c", "patch", "")))
    with pytest.raises(UpstreamFault):
        writer.write(Delta(0, arguments="123456789"))


def test_where_all_tools_are_functions_nothing_is_wrapped() -> None:
    assert shown(read(tools=[PLAIN, LOOK])) is DIALECT
