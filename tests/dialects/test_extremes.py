"""What JSON can hold and few expect: every reader of requests keeps it exactly or refuses it by the field's name.

The same for every writer: what was read is written as exactly, or told to be dropped. No other error, no silent change.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from waypost.conversation.blocks import Text, ToolCall, ToolResult
from waypost.conversation.faults import ErrorKind, Refused
from waypost.conversation.request import Request, Tool
from waypost.dialects.dialect import Dialect, Edits, Shape
from waypost.dialects.registry import DIALECTS

CHAT = """{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":<text>}]},
{"role":"assistant","tool_calls":[{"id":<id>,"type":"function","function":{"name":<name>,"arguments":<arguments>}}]},
{"role":"tool","tool_call_id":<id>,"content":<result>}],
"tools":[{"type":"function","function":{"name":<name>,"parameters":<schema>}}],"odd":<odd>,"max_tokens":9}"""
# A conversation with a call and its result, in each protocol's words.
BODIES = {
    "openai_chat": CHAT,
    "openai_responses": """{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":<text>}]},
{"type":"function_call","call_id":<id>,"name":<name>,"arguments":<arguments>},
{"type":"function_call_output","call_id":<id>,"output":<result>}],
"tools":[{"type":"function","name":<name>,"parameters":<schema>}],"odd":<odd>,"max_output_tokens":9}""",
    "anthropic": """{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":<text>}]},
{"role":"assistant","content":[{"type":"tool_use","id":<id>,"name":<name>,"input":<arguments>}]},
{"role":"user","content":[{"type":"tool_result","tool_use_id":<id>,"content":<result>}]}],
"tools":[{"name":<name>,"input_schema":<schema>}],"odd":<odd>}""",
    "gemini": """{"contents":[{"role":"user","parts":[{"text":<text>}]},
{"role":"model","parts":[{"functionCall":{"id":<id>,"name":<name>,"args":<arguments>}}]},
{"role":"user","parts":[{"functionResponse":{"id":<id>,"name":<name>,"response":{"output":<result>}}}]}],
"tools":[{"functionDeclarations":[{"name":<name>,"parametersJsonSchema":<schema>}]}],"odd":<odd>,
"generationConfig":{"maxOutputTokens":9}}""",
    "cohere": CHAT,
    "bedrock": """{"messages":[{"role":"user","content":[{"text":<text>}]},
{"role":"assistant","content":[{"toolUse":{"toolUseId":<id>,"name":<name>,"input":<arguments>}}]},
{"role":"user","content":[{"toolResult":{"toolUseId":<id>,"content":[{"text":<result>}]}}]}],
"toolConfig":{"tools":[{"toolSpec":{"name":<name>,"inputSchema":{"json":<schema>}}}]},"odd":<odd>,
"inferenceConfig":{"maxTokens":9}}""",
}
PLAIN = {
    "text": '"Hi."',
    "id": '"c1"',
    "name": '"look"',
    "arguments": "{}",
    "result": '"ok"',
    "schema": "{}",
    "odd": "1",
}
CHAT_FIELDS = {
    "text": "messages[0].content[0].text",
    "id": "messages[1].tool_calls[0].id",
    "name": "messages[1].tool_calls[0].function",
    "result": "messages[2].content",
    "schema": "tools[0].function.parameters",
    "odd": "odd",
}
# Where each of them stands; long paths are told cut.
FIELDS: dict[str, dict[str, str]] = {
    "openai_chat": CHAT_FIELDS,
    "openai_responses": {
        "text": "input[0].content[0].text",
        "id": "input[1].call_id",
        "name": "input[1].name",
        "result": "input[2].output",
        "schema": "tools[0].parameters",
        "odd": "odd",
    },
    "anthropic": {
        "text": "messages[0].content[0].text",
        "id": "messages[1].content[0].id",
        "name": "messages[1].content[0].name",
        "arguments": "messages[1].content[0].input",
        "result": "messages[2].content[0].content",
        "schema": "tools[0].input_schema",
        "odd": "odd",
    },
    "gemini": {
        "text": "contents[0].parts[0].text",
        "id": "contents[1].parts[0].functionCall.id",
        "name": "contents[1].parts[0].functionCall.name",
        "arguments": "contents[1].parts[0].functionCall.args",
        "result": "contents[2].parts[0].functionResponse.response",
        "schema": "tools[0].functionDeclarations[0].parametersJsonSchema",
        "odd": "odd",
    },
    "cohere": CHAT_FIELDS,
    "bedrock": {
        "text": "messages[0].content[0].text",
        "id": "messages[1].content[0].toolUse.toolUseId",
        "name": "messages[1].content[0].toolUse.name",
        "arguments": "messages[1].content[0].toolUse.input",
        "result": "messages[2].content[0].toolResult.content",
        "schema": "toolConfig.tools[0].toolSpec.inputSchema.json",
        "odd": "odd",
    },
}
NAMES = tuple(DIALECTS)
ARGUMENTS_AS_TEXT = frozenset(("openai_chat", "openai_responses", "cohere"))
SHAPE = Shape(model="m")


def body(name: str, /, **slots: str) -> bytes:
    """`arguments` are JSON; where a protocol has them as text, they are put there as text."""
    filled = {**PLAIN, **slots}
    if name in ARGUMENTS_AS_TEXT:
        filled["arguments"] = json.dumps(filled["arguments"])
    whole = BODIES[name]
    for slot, value in filled.items():
        whole = whole.replace(f"<{slot}>", value)
    return whole.encode("utf-8", "surrogateescape")


def attempt(read: Callable[[bytes], Any], raw: bytes) -> tuple[Any, str]:
    """What was read, or why it was refused: nothing else may happen."""
    try:
        return read(raw), ""
    except Refused as refused:
        assert refused.error.kind is ErrorKind.BAD_REQUEST
        assert refused.error.status == 400
        return None, refused.error.message


def both(dialect: Dialect) -> tuple[Callable[[bytes], Any], ...]:
    return dialect.glance, dialect.read_request


def call_of(request: Request) -> ToolCall:
    return next(block for turn in request.turns for block in turn.blocks if isinstance(block, ToolCall))


def result_of(request: Request) -> ToolResult:
    return next(block for turn in request.turns for block in turn.blocks if isinstance(block, ToolResult))


def tool_of(request: Request) -> Tool:
    (tool,) = request.tools
    assert isinstance(tool, Tool)
    return tool


# Beyond 2^53, beyond 64 bits, beyond and beneath every float, with digits and forms that a float would lose.
NUMBERS = (
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551617",
    "-9223372036854775809",
    "1" + "0" * 400,
    "1e400",
    "-1e400",
    "1e-400",
    "0.1000000000000000055511151231257827",
    "123456789.123456789123456789",
    "1.0",
    "-0.0",
    "1E+2",
)
AS_RECEIVED = (*NUMBERS, '{"a":1,"a":2}', '"\\u0000"', '"\\u00e9"', '"\\/"', "[ 1 , 2 ]")


@pytest.mark.parametrize("value", AS_RECEIVED, ids=lambda value: value[:24])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_matter_of_the_protocol_is_carried_as_received(name: str, value: str) -> None:
    """In arguments and in schemas to every provider, in unknown members to those of the same protocol."""
    within = f'{{"x":{value}}}'
    request = DIALECTS[name].read_request(body(name, arguments=within, schema=within))
    assert call_of(request).arguments == within
    assert bytes(tool_of(request).parameters or b"") == within.encode()
    for there in DIALECTS.values():
        written = there.write_request(request, SHAPE)
        again = there.read_request(written.body)
        assert call_of(again).arguments == within
        assert bytes(tool_of(again).parameters or b"") == within.encode()
    unknown, _ = attempt(DIALECTS[name].read_request, body(name, odd=value))
    if unknown is None:
        assert value.startswith("{")
        return
    for there in DIALECTS.values():
        written = there.write_request(unknown, SHAPE)
        home = there.name == name
        assert (b'"odd":' + value.encode() in written.body) is home
        assert ("odd" in written.dropped) is not home


@pytest.mark.parametrize("value", AS_RECEIVED, ids=lambda value: value[:24])
@pytest.mark.parametrize("name", NAMES)
def test_an_edit_leaves_it_as_received(name: str, value: str) -> None:
    dialect = DIALECTS[name]
    within = f'{{"x":{value}}}'
    raw = body(name, arguments=within, schema=within, odd=value)
    edited = dialect.edit(raw, dialect.glance(raw), Edits(model="other", max_output=7, remove_options=True))
    expected = raw.replace(b'"model":"m"', b'"model":"other"', 1)
    for limit in (b'"max_tokens":', b'"max_output_tokens":', b'"maxOutputTokens":', b'"maxTokens":'):
        expected = expected.replace(limit + b"9", limit + b"7")
    assert edited == expected


@pytest.mark.parametrize("value", NUMBERS)
def test_numbers_in_googles_own_schemas_are_exact_or_refused(value: str) -> None:
    """These are made into JSON schema, so what they hold must be understood."""
    raw = body("gemini", schema=f'{{"type":"OBJECT","properties":{{"x":{{"type":"NUMBER","maximum":{value}}}}}}}')
    raw = raw.replace(b'"parametersJsonSchema"', b'"parameters"')
    request, why = attempt(DIALECTS["gemini"].read_request, raw)
    if request is None:
        assert "tools[0].functionDeclarations[0].parameters" in why
        return
    schema = bytes(tool_of(request).parameters or b"").decode()
    found = json.loads(schema, parse_float=str, parse_int=str)["properties"]["x"]["maximum"]
    exact = json.loads(value) if value.lstrip("-").isdigit() else None
    assert (int(found) if exact is not None else float(found)) == (float(value) if exact is None else exact)


# Each protocol's numbers that it acts on or translates: where they stand, and the neutral member they become.
CHAT_COUNTS = {"seed": "seed", "top_k": "top_k", "top_logprobs": "top_logprobs", "n": "choices"}
CHAT_REALS = {"temperature": "temperature", "top_p": "top_p", "frequency_penalty": "frequency_penalty"}
CONFIG = "generationConfig"
PARAMETERS: dict[str, tuple[str, dict[str, str]]] = {
    "openai_chat": ("", {**CHAT_COUNTS, **CHAT_REALS, "max_tokens": "max_tokens"}),
    "openai_responses": (
        "",
        {
            "temperature": "temperature",
            "top_p": "top_p",
            "top_logprobs": "top_logprobs",
            "max_output_tokens": "max_tokens",
        },
    ),
    "anthropic": ("", {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "max_tokens": "max_tokens"}),
    "gemini": (
        CONFIG,
        {
            "temperature": "temperature",
            "topP": "top_p",
            "topK": "top_k",
            "seed": "seed",
            "candidateCount": "choices",
            "logprobs": "top_logprobs",
            "maxOutputTokens": "max_tokens",
        },
    ),
    "cohere": (
        "",
        {"temperature": "temperature", "p": "top_p", "k": "top_k", "seed": "seed", "max_tokens": "max_tokens"},
    ),
    "bedrock": ("inferenceConfig", {"temperature": "temperature", "topP": "top_p", "maxTokens": "max_tokens"}),
}
MINIMAL = {
    "openai_chat": '{"model":"m","messages":[{"role":"user","content":"a"}]<more>}',
    "openai_responses": '{"model":"m","input":"a"<more>}',
    "anthropic": '{"model":"m","messages":[{"role":"user","content":"a"}]<limit><more>}',
    "gemini": '{"contents":[{"role":"user","parts":[{"text":"a"}]}]<more>}',
    "cohere": '{"model":"m","messages":[{"role":"user","content":"a"}]<more>}',
    "bedrock": '{"messages":[{"role":"user","content":[{"text":"a"}]}]<more>}',
}
REALS = frozenset(("temperature", "top_p", "frequency_penalty"))


def asking(name: str, parameter: str, value: str) -> bytes:
    within, _ = PARAMETERS[name]
    more = f'"{parameter}":{value}'
    more = f',"{within}":{{{more}}}' if within else f",{more}"
    limit = "" if parameter == "max_tokens" else ',"max_tokens":9'
    return MINIMAL[name].replace("<more>", more).replace("<limit>", limit).encode()


NO_JSON = ("NaN", "Infinity", "01")


@pytest.mark.parametrize("value", (*NUMBERS, *NO_JSON, "0.5", "-1", "true", '"1"', "[]"), ids=lambda value: value[:24])
@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_is_exact_or_refused_by_its_name(name: str, value: str) -> None:
    """Counts are exact. What a provider takes as a float is as near as a float can be: no provider hears more."""
    dialect = DIALECTS[name]
    for parameter, member in PARAMETERS[name][1].items():
        raw = asking(name, parameter, value)
        attempt(dialect.glance, raw)
        request, why = attempt(dialect.read_request, raw)
        if request is None:
            assert (parameter if value not in NO_JSON else "not valid JSON") in why
            continue
        found = getattr(request, member)
        said = json.loads(json.loads(value) if value == '"1"' else value)
        assert found == (float(said) if member in REALS else said), parameter
        for there in DIALECTS.values():
            written = there.write_request(request, SHAPE)
            json.loads(written.body)
            if there is dialect:
                again = there.read_request(written.body)
                assert getattr(again, member) == found, parameter


LAYOUTS: tuple[dict[str, Any], ...] = ({}, {"separators": (",", ":")}, {"indent": 1})


@pytest.mark.parametrize("name", NAMES)
def test_a_member_twice_is_refused_by_its_name(name: str) -> None:
    """At the top, however it is spelt and laid out, and within what is understood."""
    dialect = DIALECTS[name]
    raw = body(name)
    for member in json.loads(raw):
        whole = json.loads(raw)
        spelt = f"\\u{ord(member[0]):04x}{member[1:]}"
        for twice in (member, spelt):
            for layout in LAYOUTS:
                text = json.dumps(whole, **layout)[:-1] + f',"{twice}":{json.dumps(whole[member])}}}'
                request, why = attempt(dialect.read_request, text.encode())
                assert request is None
                assert f"{member}` is given twice" in why or f"{member}: is given twice" in why
    for slot in ("text", "name", "result"):
        key = FIELDS[name][slot].rpartition(".")[2]
        changed = raw.replace(f'"{key}":{PLAIN[slot]}'.encode(), f'"{key}":"x","{key}":{PLAIN[slot]}'.encode(), 1)
        if changed == raw:
            continue
        request, why = attempt(dialect.read_request, changed)
        assert request is None
        assert f"{key}` is given twice" in why


ACTED_ON = {
    "openai_chat": ("model", "messages", "max_tokens", "tools"),
    "openai_responses": ("model", "input", "max_output_tokens", "tools"),
    "anthropic": ("model", "messages", "max_tokens", "tools"),
    "gemini": ("contents", "generationConfig", "tools"),
    "cohere": ("model", "messages", "max_tokens", "tools"),
    "bedrock": ("messages", "inferenceConfig", "toolConfig"),
}


@pytest.mark.parametrize("name", NAMES)
def test_what_decisions_hang_on_is_refused_twice_even_where_bytes_are_passed_on(name: str) -> None:
    for member in (*ACTED_ON[name], "waypost"):
        whole = {**json.loads(body(name)), "waypost": {}}
        for layout in LAYOUTS:
            text = json.dumps(whole, **layout)[:-1] + f',"{member}":{json.dumps(whole[member])}}}'
            _, why = attempt(DIALECTS[name].glance, text.encode())
            assert f"{member}` is given twice" in why or f"{member}: is given twice" in why, member


DEEP = "[" * 10_000 + "]" * 10_000
OBJECTS = '{"a":' * 10_000 + "1" + "}" * 10_000


@pytest.mark.parametrize("value", [DEEP, OBJECTS, DEEP[:10_000]], ids=["lists", "objects", "unended"])
@pytest.mark.parametrize("slot", PLAIN)
@pytest.mark.parametrize("name", NAMES)
def test_deep_nesting_is_carried_or_refused_by_the_fields_name(name: str, slot: str, value: str) -> None:
    dialect = DIALECTS[name]
    within = f'{{"x":{value}}}' if slot in ("arguments", "schema") else value
    raw = body(name, **{slot: within})
    request = None
    for read in both(dialect):
        request, why = attempt(read, raw)
        if request is None:
            unended = "not valid JSON" in why and value.count("[") > value.count("]")
            assert unended or FIELDS[name].get(slot, slot) in why
    if request is not None:
        assert slot == "arguments"
        assert call_of(request).arguments == within
        for there in DIALECTS.values():
            written = there.write_request(request, SHAPE)
            again = there.read_request(written.body)
            whole = call_of(again).arguments
            assert within in (whole, json.loads(whole).get("arguments") if len(whole) != len(within) else whole)
            assert whole == within or "tool_calls.function.arguments" in written.dropped


HALVES = ('"\\ud800"', '"a\\udc00"', '"\\ud83dx"', '"\\ud800\\ud800"')


@pytest.mark.parametrize("value", HALVES)
@pytest.mark.parametrize("slot", PLAIN)
@pytest.mark.parametrize("name", NAMES)
def test_half_a_surrogate_pair_is_refused_by_the_fields_name(name: str, slot: str, value: str) -> None:
    dialect = DIALECTS[name]
    if slot == "arguments" and name in ARGUMENTS_AS_TEXT:
        within = f'{{"x":{value}}}'  # an escape within a text is a text as any other
        request = dialect.read_request(body(name, arguments=within))
        assert call_of(request).arguments == within
        for there in DIALECTS.values():
            written = there.write_request(request, SHAPE)
            again, why = attempt(there.read_request, written.body)
            assert again is None or json.loads(call_of(again).arguments) in (json.loads(within), {"arguments": within})
            assert again is not None or why
        return
    for form in (value, f"{{{value}:1}}") if slot in ("arguments", "schema", "odd") else (value,):
        within = f'{{"x":{form}}}' if slot in ("arguments", "schema") else form
        for read in both(dialect):
            request, why = attempt(read, body(name, **{slot: within}))
            assert request is None
            assert "half of a surrogate pair" in why
            assert FIELDS[name][slot] in why


WORDS = ("", "\0", "a\0b", "\u2028\u2029\u0085", "\U0001f600\U0010ffff", "\ufeff", "\r\n\t", "\\ud800", "a" * 100_000)


@pytest.mark.parametrize("words", WORDS, ids=lambda words: ascii(words)[:24])
@pytest.mark.parametrize("plain", [True, False], ids=["utf-8", "escaped"])
@pytest.mark.parametrize("name", NAMES)
def test_words_reach_every_provider_as_they_were(name: str, words: str, plain: bool) -> None:
    """Words without a character say nothing, and may be left out."""
    quoted = json.dumps(words, ensure_ascii=not plain)
    request = DIALECTS[name].read_request(body(name, text=quoted, result=quoted))
    for there in DIALECTS.values():
        written = there.write_request(request, SHAPE)
        again = there.read_request(written.body)
        texts = [block.text for turn in again.turns for block in turn.blocks if isinstance(block, Text)]
        assert [text for text in texts if text != "."] == ([words] if words.strip() else texts[:0]) or words in texts
        shown = "".join(block.text for block in result_of(again).blocks if isinstance(block, Text))
        assert shown == words or not words.strip()


@pytest.mark.parametrize("slot", [*PLAIN, "key"])
@pytest.mark.parametrize("name", NAMES)
def test_bytes_that_are_no_text_are_refused(name: str, slot: str) -> None:
    for wrong in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\x80"):
        raw = body(name, **({"odd": '{"<<<":1}'} if slot == "key" else {slot: '{"x":"<<<"}'}))
        if slot not in ("arguments", "schema", "odd", "key"):
            raw = body(name, **{slot: '"<<<"'})
        for read in both(DIALECTS[name]):
            _, why = attempt(read, raw.replace(b"<<<", wrong))
            assert "not valid UTF-8" in why
            assert FIELDS[name].get("odd" if slot == "key" else slot, "arguments") in why


@pytest.mark.parametrize("slot", PLAIN)
@pytest.mark.parametrize("name", NAMES)
def test_an_empty_text_is_read_or_refused_by_the_fields_name(name: str, slot: str) -> None:
    dialect = DIALECTS[name]
    for read in both(dialect):
        request, why = attempt(read, body(name, **{slot: '""'}))
        if isinstance(request, Request):
            for there in DIALECTS.values():
                json.loads(there.write_request(request, SHAPE).body)
        assert request is not None or FIELDS[name].get(slot, slot).rpartition(".")[2] in why


@pytest.mark.parametrize(
    "raw", [b"", b" ", b"null", b"[]", b'"a"', b"\xef\xbb\xbf{}", b"{", b"{}x", b"\0", b"[" * 10_000]
)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_object_is_refused(name: str, raw: bytes) -> None:
    for read in both(DIALECTS[name]):
        request, why = attempt(read, raw)
        assert request is None
        assert why
