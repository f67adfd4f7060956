"""Every recorded request, written for each of the six providers: its own types accept it, and it says what was said.

What a protocol has no place for is told by its writer; `crossing` finds what is missing, and all of it must have been.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec.structs import replace

from corpus import crossing, schemas
from corpus.records import DIALECTS, Record, all_records
from waypost.conversation.blocks import Document, Image, Role, Source, Text, Thinking, ToolCall, ToolResult
from waypost.conversation.faults import Refused
from waypost.conversation.request import OutputFormat, Reasoning, Request, Tool, ToolChoice, ToolChoiceMode, Turn
from waypost.dialects.dialect import Dialect, Edits, Shape

BY_NAME: dict[str, Dialect] = {dialect.name: dialect for dialect in DIALECTS.values()}
NAMES = tuple(BY_NAME)
# Models of each provider that take different things. The first is also written for in its own protocol.
MODELS: dict[str, tuple[Shape, ...]] = {
    "openai_chat": (
        Shape(model="gpt-5-mini", quirks=frozenset(("reasoning_effort", "developer_role"))),
        Shape(model="gpt-4.1"),
    ),
    "openai_responses": (Shape(model="gpt-5-mini"), Shape(model="gpt-4.1")),
    "anthropic": tuple(Shape(model=f"claude-{name}") for name in ("sonnet-4-5", "opus-4-7", "3-5-haiku-20241022")),
    "gemini": tuple(Shape(model=f"gemini-{name}") for name in ("3-flash", "2.5-pro", "2.0-flash")),
    "cohere": (Shape(model="command-a-03-2025"),),
    "bedrock": (
        Shape(model="us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        Shape(model="us.amazon.nova-2-lite-v1:0"),
        Shape(model="meta.llama3-1-8b-instruct-v1:0"),
    ),
}
# What does not hold, by the recording's id and the provider, and why that is right.
EXCEPTIONS = {
    ("31c4f17b414ed9da811c", "bedrock"): "its temperature is below 0, which the provider it was for refused too",
    ("legacy-functions", "openai_chat"): "a function's result keeps its name, which OpenAI-like servers take and OpenAI"
    " has no type for",
}


class Asked(NamedTuple):
    record: Record
    request: Request


def body_of(record: Record, **layout: Any) -> bytes:
    return json.dumps(record.request, ensure_ascii=False, **layout).encode()


@cache
def asked_in(name: str) -> tuple[Asked, ...]:
    """Every recorded request of a dialect that is one; model and stream as the path says them where it does."""
    read = []
    for record in all_records():
        if record.dialect.name != name:
            continue
        try:
            request = record.dialect.read_request(body_of(record))
        except Refused:
            continue
        if name in crossing.MODEL_IN_PATH:
            request = replace(request, model="m", stream=record.stream)
        read.append(Asked(record, request))
    return tuple(read)


@pytest.mark.parametrize("there", NAMES)
@pytest.mark.parametrize("here", NAMES)
def test_what_is_written_is_accepted_and_says_what_was_said(here: str, there: str) -> None:
    wrong = [
        f"{asked.record} for {shape.model}: {what}"
        for shape in (MODELS[there][:1] if here == there else MODELS[there])
        for asked in asked_in(here)
        if (asked.record.id, there) not in EXCEPTIONS
        for what in wrongs(asked, there, shape)
    ]
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:10])


def wrongs(asked: Asked, there: str, shape: Shape) -> Iterator[str]:
    request, provider = asked.request, BY_NAME[there]
    written = provider.write_request(request, shape)
    if len(set(written.dropped)) != len(written.dropped):
        yield f"told twice: {written.dropped}"
    try:
        schemas.check(there, written.body)
    except AssertionError as error:
        # Followers of a protocol have members of their own; nobody is asked to speak them but in it.
        if request.dialect != there or schemas.accepts(there, body_of(asked.record)):
            yield f"refused: {error}"
    again = provider.read_request(written.body)
    if there not in crossing.MODEL_IN_PATH and again.model != shape.model:
        yield f"the model is {again.model}"
    yield from crossing.unreported(request, again, there, written.dropped)


@pytest.mark.parametrize("key", sorted(EXCEPTIONS), ids=str)
def test_an_exception_is_one(key: tuple[str, str]) -> None:
    found = [each for name in NAMES for each in asked_in(name) if each.record.id == key[0]]
    if not found:
        pytest.skip("the recording is not here")
    assert list(wrongs(found[0], key[1], MODELS[key[1]][0]))


def test_most_recordings_are_requests() -> None:
    read = sum(len(asked_in(name)) for name in NAMES)
    assert read >= len(all_records()) - 25  # the rest names no model, or was refused by its provider too


# A minimal request of each protocol into which something unknown is put, at the top and deep within.
CLOSED: dict[str, dict[str, Any]] = {
    "openai_chat": {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
    "openai_responses": {
        "model": "m",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}],
    },
    "anthropic": {
        "model": "m",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
    },
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "a"}]}]},
    "cohere": {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
    "bedrock": {"messages": [{"role": "user", "content": [{"text": "a"}]}]},
}


@pytest.mark.parametrize("name", NAMES)
def test_the_types_refuse_what_they_do_not_know(name: str) -> None:
    schemas.check(name, json.dumps(CLOSED[name]).encode())
    for path in list(objects(CLOSED[name])):
        changed = json.loads(json.dumps(CLOSED[name]))
        place: Any = changed
        for step in path:
            place = place[step]
        place["unheard_of"] = 1
        with pytest.raises(AssertionError):
            schemas.check(name, json.dumps(changed).encode())


def objects(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, each in inner:
        yield from objects(each, (*path, step))


SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"a":{"type":"string"}}}')
CALL = ToolCall("1", "look", '{"a":"b"}')
FULL = Request(
    "openai_chat",
    "m",
    (
        Turn(Role.SYSTEM, (Text("Be brief."),)),
        Turn(Role.USER, (Text("Look."), Image(Source(url="https://x.test/a.png"), "low")), name="Ann"),
        Turn(Role.ASSISTANT, (Thinking("hm"), Text("I do."), CALL)),
        Turn(Role.USER, (ToolResult("1", (Text("c"),), True), Document(Source("application/pdf", data="JVBERi0=")))),
    ),
    stream=True,
    max_tokens=9,
    temperature=0.5,
    top_p=0.5,
    top_k=5,
    frequency_penalty=0.5,
    presence_penalty=0.5,
    seed=7,
    stop=("END",),
    choices=2,
    logprobs=True,
    top_logprobs=3,
    tools=(Tool("look", "looks", SCHEMA, True),),
    tool_choice=ToolChoice(ToolChoiceMode.NAMED, "look"),
    parallel_tool_calls=False,
    reasoning=Reasoning(effort="high"),
    output=OutputFormat("answer", SCHEMA, True, "what it is"),
    user="u",
    service_tier="flex",
    extra=(("store", msgspec.Raw(b"true")),),
)
SPOILT: list[tuple[str, Request]] = [
    *((name, replace(FULL, **{name: None})) for name in (*crossing.NUMBERS, "logprobs", "user", "service_tier")),
    *((name, replace(FULL, **{name: None})) for name in ("tool_choice", "parallel_tool_calls", "reasoning", "output")),
    ("stream", replace(FULL, stream=False)),
    ("stop", replace(FULL, stop=())),
    ("extra", replace(FULL, extra=())),
    ("tools", replace(FULL, tools=())),
    ("tools.parameters", replace(FULL, tools=(Tool("look", "looks", None, True),))),
    ("tools.description", replace(FULL, tools=(Tool("look", "", SCHEMA, True),))),
    ("tools.strict", replace(FULL, tools=(Tool("look", "looks", SCHEMA),))),
    ("words of turn 0", replace(FULL, turns=FULL.turns[1:])),
    ("words of turn 3", replace(FULL, turns=(*FULL.turns[:3], Turn(Role.USER, FULL.turns[3].blocks[1:])))),
    ("words of turn 2", replace(FULL, turns=(*FULL.turns[:2], Turn(Role.ASSISTANT, (CALL,)), FULL.turns[3]))),
    ("is_error", replace(FULL, turns=(*FULL.turns[:3], Turn(Role.USER, (ToolResult("1", (Text("c"),)),))))),
    ("document", replace(FULL, turns=(*FULL.turns[:3], Turn(Role.USER, FULL.turns[3].blocks[:1])))),
    ("image", replace(FULL, turns=(FULL.turns[0], Turn(Role.USER, (Text("Look."),)), *FULL.turns[2:]))),
    ("messages.name", replace(FULL, turns=(FULL.turns[0], Turn(Role.USER, FULL.turns[1].blocks), *FULL.turns[2:]))),
    ("thinking", replace(FULL, turns=(*FULL.turns[:2], Turn(Role.ASSISTANT, (Text("I do."), CALL)), FULL.turns[3]))),
]


@pytest.mark.parametrize(("name", "spoilt"), SPOILT, ids=[name for name, _ in SPOILT])
def test_what_is_gone_is_missed(name: str, spoilt: Request) -> None:
    """Of the comparison itself: it would see each of the losses that it is there to see."""
    assert name in {told for told, _ in crossing.missing(FULL, spoilt, "openai_chat")}
    assert not list(crossing.missing(FULL, FULL, "openai_chat"))


LAYOUTS: tuple[dict[str, Any], ...] = ({"separators": (",", ":")}, {}, {"indent": 1})
LABELS = {"task", "combination_id"}
# Where the output limit stands, and its names in the order in which they count.
LIMITS: dict[str, tuple[tuple[str, ...], ...]] = {
    "openai_chat": (("max_completion_tokens",), ("max_tokens",)),
    "openai_responses": (("max_output_tokens",),),
    "anthropic": (("max_tokens",),),
    "gemini": (("generationConfig", "maxOutputTokens"), ("generation_config", "max_output_tokens")),
    "cohere": (("max_tokens",),),
    "bedrock": (("inferenceConfig", "maxTokens"),),
}
LEAST, MOST = 1, 2**40
"""Output limits below and above what anybody asked for."""


@pytest.mark.parametrize("name", NAMES)
def test_an_edit_leaves_every_other_byte_as_it_was(name: str) -> None:
    for record, request in asked_in(name):
        for layout in LAYOUTS:
            for limit in (None, LEAST, MOST):
                body = json.dumps({"waypost": {"task": "qa"}, **record.request}, ensure_ascii=False, **layout).encode()
                check_edit(record, request, body, limit)
            check_untouched(record, body_of(record, **layout))


def check_untouched(record: Record, body: bytes) -> None:
    glance = record.dialect.glance(body)
    if not LABELS & set(record.request.get("metadata") or ()):
        edits = Edits(model=glance.model, remove_options=True, max_output=MOST if glance.max_output else None)
        assert record.dialect.edit(body, glance, edits) == body


def check_edit(record: Record, request: Request, body: bytes, limit: int | None) -> None:
    dialect, told = record.dialect, record.request
    glance = dialect.glance(body)
    edits = Edits(model="an/other", max_output=limit, want_usage=True, remove_options=True)
    edited = dialect.edit(body, glance, edits)
    before, after = spans(body), spans(edited)
    touched = {"waypost", "metadata"} if LABELS & set(told.get("metadata") or ()) else {"waypost"}
    if dialect.name not in crossing.MODEL_IN_PATH:
        touched.add("model")
        assert json.loads(after["model"]) == "an/other"
    if dialect.name == "openai_chat" and record.stream and told.get("stream") and not request.usage_in_stream:
        touched.add("stream_options")
        assert json.loads(after["stream_options"])["include_usage"] is True
    if limit is not None and (glance.max_output is None or limit < glance.max_output):
        touched |= check_limit(dialect.name, before, after, limit)
    assert "waypost" not in after
    assert [each for each in after.items() if each[0] not in touched] == [
        each for each in before.items() if each[0] not in touched
    ], record


def check_limit(name: str, before: dict[str, str], after: dict[str, str], limit: int) -> set[str]:
    """The members in which the limit is; what stands beside it there is as it was."""
    changed: set[str] = set()
    for path in LIMITS[name]:
        if path[0] not in after or (path[0] not in before and changed):
            continue
        changed.add(path[0])
        if len(path) == 1:
            assert json.loads(after[path[0]]) == limit
        else:
            beside = [
                {inner: raw for inner, raw in within(members, path[0]).items() if inner != path[1]}
                for members in (before, after)
            ]
            assert beside[0] == beside[1]
            assert json.loads(after[path[0]])[path[1]] == limit
    assert changed
    return changed


def within(members: dict[str, str], name: str) -> dict[str, str]:
    """An object's members; none where null stands for it."""
    raw = members.get(name, "null")
    return {} if raw == "null" else spans(raw.encode())


_DECODER = json.JSONDecoder()


def spans(body: bytes) -> dict[str, str]:
    """The members of an object, each as its own text, in order."""
    text = body.decode()
    found = {}
    place = skip(text, text.index("{") + 1)
    while text[place] != "}":
        name, place = _DECODER.raw_decode(text, place)
        begin = skip(text, text.index(":", place) + 1)
        _, end = _DECODER.raw_decode(text, begin)
        assert name not in found
        found[name] = text[begin:end]
        place = skip(text, end)
        if text[place] == ",":
            place = skip(text, place + 1)
    assert not text[place + 1 :].strip()
    return found


def skip(text: str, place: int) -> int:
    while text[place] in " \n\r\t":
        place += 1
    return place
