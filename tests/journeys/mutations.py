"""What hypothesis makes of valid bodies and streams: the wrong type, the wrong bytes, too much, twice, cut short."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
_TOOL = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}}}
_OPTIONS = {
    "constraints": {"max_cost_usd": "1000", "max_latency_ms": 60000, "classes": ["local"]},
    "timeout_s": 4,
    "tags": {"a": "b"},
    "session": "s",
    "cache": "off",
    "profile": "default",
}
OPENAI_REQUEST: dict[str, Any] = {
    "model": "o0",
    "max_completion_tokens": 50,
    "temperature": 0.5,
    "top_p": 1,
    "stop": ["x", "y"],
    "seed": 1,
    "stream_options": {"include_usage": True},
    "reasoning_effort": "low",
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    "metadata": {"a": "b"},
    "waypost": _OPTIONS,
    "tools": [{"type": "function", "function": _TOOL}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "parallel_tool_calls": False,
    "messages": [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "MARK"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PIXEL}"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
        {"role": "user", "content": "and?"},
    ],
}
ANTHROPIC_REQUEST: dict[str, Any] = {
    "model": "a0",
    "max_tokens": 2000,
    "temperature": 1,
    "top_k": 5,
    "stop_sequences": ["x"],
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "metadata": {"user_id": "u"},
    "waypost": _OPTIONS,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "tools": [{"name": "f", "description": "d", "input_schema": _TOOL["parameters"]}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "MARK"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PIXEL}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "2"}]}],
        },
    ],
}

# Legal JSON that no printer would write, and then what is none. In values as `RAW` and its place here.
LEGAL = [
    b"1e999", b"-1e999", b"-0", b"-0.0", b"0.1e-999", b"9" * 400, b"1" + b"0" * 5000, b"1.0", b"1e2", b"1E+2",
    b"18446744073709551616", b"9223372036854775808", b"-9223372036854775809", b'"\\ud83d\\ude00"', b'"\\u0000"',
    b'""', b'"\\\\\\""', b'"\xe2\x80\xa8\xe2\x80\xa9"', b'{"":{"":{"":""}}}', b"[[],[],{}]", b" \t\r\n null \n",
    b"[" * 100 + b"]" * 100, b"[" * 900 + b"]" * 900, b"[" * 3000 + b"]" * 3000, b'{"a":' * 100 + b"1" + b"}" * 100,
    b'{"a":' * 3000 + b"1" + b"}" * 3000, b'"' + b"x" * 30_000 + b'"', b'"' + b"\\u2028" * 500 + b'"',
    b"[" + b"null," * 3000 + b"null]", b'"data: [DONE]\\n\\n"', b'"\\r\\nx-injected: 1"', b'"Infinity"', b'"1e5"',
    b'{"type":"text","text":null}', b'{"type":"text","type":"image"}', b'{"type":"tool_use"}', b'"\\u00e9\\u8def"',
]  # fmt: skip
BROKEN = [
    b"NaN", b"Infinity", b"-Infinity", b"01", b"+1", b".5", b"1.", b"0x10", b"'x'", b"tru", b"nul", b"", b"undefined",
    b"//", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\x"', b'"\x00"', b'"\xff\xfe"', b'"\xed\xa0\x80"', b'"\xc0\x80"',
    b'"\xf5\x80\x80\x80"', b"[" * 50_000, b'{"a":' * 20_000, b"[1,]", b'{"a":1,}', b'{"a"}', b'"\n"',
]  # fmt: skip
RAW = [*LEGAL, *BROKEN]
# Put between any two bytes of a body or a stream.
TOKENS = [
    b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b"\\u", b"\\ud800", b"\n", b"\r", b"\r\n", b"\n\n", b"\x00",
    b"\xff", b"\xc3", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"data:", b"data: ", b"event: ", b": c\n\n", b"id: \x00\n",
    b"retry: 0\n", b"[DONE]", b"data: [DONE]\n\n", b"null", b"-1", b"1e999", b"NaN", b"event: error\n", b"  ",
    b'"error":{"message":"m"},', b'"type":"error",', b'"usage":null,', b'"usage":{"prompt_tokens":-1},',
    b'"stop_reason":"end_turn",', b'"finish_reason":"stop",', b'"index":-1,', b'"index":1000000000000,', b'"stream":',
]  # fmt: skip

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from([-1, 0, 1, 2**31, 2**63, 10**30, 1e308, "", "auto", "user", "text", "tool_use", "function"])
)
_anything = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def one_in(draw: st.DrawFn, shares: Sequence[tuple[int, st.SearchStrategy[Any]]]) -> Any:
    """One of several strategies, each as often as its share says (`one_of` counts what is given twice once)."""
    return draw(draw(st.sampled_from([strategy for share, strategy in shares for _ in range(share)])))


_legal = st.integers(0, len(LEGAL) - 1).map(lambda place: f"\x00RAW{place}\x00")
_broken = st.integers(len(LEGAL), len(RAW) - 1).map(lambda place: f"\x00RAW{place}\x00")
new_values = one_in(((4, _anything), (3, _legal), (1, _broken)))
Path = tuple[str | int, ...]


def paths(value: object, path: Path = ()) -> list[Path]:
    found = [path] if path else []
    if isinstance(value, dict):
        for name, inner in value.items():
            found += paths(inner, (*path, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            found += paths(inner, (*path, place))
    return found


def at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def with_at(value: Any, path: Path, new: Any) -> Any:
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_at(value[path[0]], path[1:], new)
    return copy


def without(value: Any, path: Path) -> Any:
    parent = at(value, path[:-1])
    kept: Any = (
        {name: inner for name, inner in parent.items() if name != path[-1]}
        if isinstance(parent, dict)
        else [inner for place, inner in enumerate(parent) if place != path[-1]]
    )
    return with_at(value, path[:-1], kept)


def twice(value: Any, path: Path, new: Any) -> Any:
    """The last step of the path once more: a duplicate key, a repeated element."""
    parent = at(value, path[:-1])
    if isinstance(parent, dict):
        return with_at(value, path[:-1], {**parent, f"{path[-1]}\x00": new})
    return with_at(value, path[:-1], [*parent, *parent, new])


def to_bytes(value: Any) -> bytes:
    text = json.dumps(value).encode()
    for place, raw in enumerate(RAW):
        text = text.replace(b'"\\u0000RAW%d\\u0000"' % place, raw)
    return text.replace(b'\\u0000":', b'":')


@st.composite
def changed_values(draw: st.DrawFn, value: Any) -> Any:
    """`value` with one to three of its parts replaced, removed, doubled, wrapped or swapped."""
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        places = paths(value)
        if not places:
            break
        path = draw(st.sampled_from(places))
        match draw(st.integers(0, 7)):
            case 0 | 1 | 2:
                value = with_at(value, path, draw(new_values))
            case 3:
                value = without(value, path)
            case 4:
                value = twice(value, path, draw(new_values))
            case 5:
                value = with_at(value, path, [at(value, path)] * draw(st.sampled_from([1, 2, 50])))
            case 6:
                value = with_at(value, path, {draw(st.text(max_size=5)): at(value, path)})
            case _:
                value = with_at(value, path, at(value, draw(st.sampled_from(places))))
    return value


@st.composite
def changed_bytes(draw: st.DrawFn, whole: bytes, most: int = 3) -> bytes:
    """`whole` with some bytes put in, replaced, removed or doubled, now and then cut."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, most))):
        start = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from([0, 0, 1, 2, 9, 60]))
        content[start : start + length] = draw(
            st.one_of(st.sampled_from(TOKENS), st.binary(max_size=4), st.just(bytes(content[start : start + 80])))
        )
    if draw(st.integers(0, 7)) == 0:
        del content[draw(st.integers(0, len(content))) :]
    return bytes(content)


def changed_json(value: Any) -> st.SearchStrategy[bytes]:
    structured = changed_values(value).map(to_bytes)
    return one_in(
        ((8, structured), (1, structured.flatmap(changed_bytes)), (1, changed_bytes(to_bytes(value), most=1)))
    )


@st.composite
def cut_up(draw: st.DrawFn, whole: bytes, most: int = 4) -> tuple[bytes, ...]:
    """The same bytes in a few pieces."""
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=most)))
    return tuple(whole[one:other] for one, other in zip([0, *cuts], [*cuts, len(whole)], strict=True) if one < other)


@st.composite
def changed_frames(draw: st.DrawFn, whole: Sequence[bytes]) -> list[bytes]:
    """The frames of a stream: some lost, doubled, out of order, changed."""
    told = list(whole)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(told) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                told[place] = draw(changed_bytes(told[place]))
            case 1:
                told[place] = draw(st.just(b"") | st.sampled_from(whole))
            case 2:
                told.insert(place, draw(st.sampled_from(whole)))
            case 3:
                other = draw(st.integers(0, len(told) - 1))
                told[place], told[other] = told[other], told[place]
            case _:
                told[place] = draw(_changed_data(told[place]))
    return told


@st.composite
def _changed_data(draw: st.DrawFn, frame: bytes) -> bytes:
    """One frame with its JSON changed."""
    head, _, data = frame.partition(b"data: ")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):  # it has been changed before
        return draw(changed_bytes(frame))
    return head + b"data: " + to_bytes(draw(changed_values(value))) + b"\n\n"
