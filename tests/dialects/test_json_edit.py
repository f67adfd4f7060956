"""The JSON surgeon: exact spans, everything else byte for byte, duplicates and nonsense refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.conversation.faults import Refused
from waypost.dialects.json_edit import (
    LONG,
    MOST_MEMBERS,
    check_unique,
    decode,
    edit_beside,
    edit_members,
    member_of,
    members,
    replace_value,
    unique_members,
)

UNIQUE = unique_members("model", "messages")
LENGTHS = (0, 5000, 300_000)  # bodies are searched in another way from 4 KiB and from 256 KiB on

EDITS = [
    ('{"model":"a"}', {"model": b'"b"'}, '{"model":"b"}'),
    ('{"x":{"model":"n"},"model" : "a" }', {"model": b'"b"'}, '{"x":{"model":"n"},"model" : "b" }'),
    ('{"x":"\\"model\\":","model":"a"}', {"model": b"1"}, '{"x":"\\"model\\":","model":1}'),
    ('{"mod\\u0065l":"a","x":"é"}', {"model": b"1"}, '{"mod\\u0065l":1,"x":"é"}'),
    ('{"a":1}', {"b": b"2"}, '{"b":2,"a":1}'),
    (' { "a" : 1 }\n', {"b": b"2"}, ' {"b":2, "a" : 1 }\n'),
    ("{}", {"b": b"2", "c": b"3"}, '{"b":2,"c":3}'),
    ("{ }", {"b": b"2"}, '{"b":2 }'),
    ('{"a":1,"b":2,"c":3}', {"b": None}, '{"a":1,"c":3}'),
    ('{"a":1,"b":2}', {"b": None}, '{"a":1}'),
    ('{"a":1 , "b":2 }', {"b": None}, '{"a":1 }'),
    ('{"a":1,"b":2}', {"a": None}, '{"b":2}'),
    ('{ "a":1 }', {"a": None}, "{  }"),
    ('{"x":1,"a":1,"b":2}', {"a": None, "b": None}, '{"x":1}'),
    ('{"a":1,"b":2}', {"a": None, "b": None}, "{}"),
    ('{"a":1,"x":0,"b":2}', {"a": None, "b": None, "x": b"5"}, '{"x":5}'),
    ('{"x":0,"b":2}', {"b": None, "x": b"[1,2]"}, '{"x":[1,2]}'),
    ('{"a":"}],\\\\","b":[{"a":1},"]"]}', {"b": b"0"}, '{"a":"}],\\\\","b":0}'),
    ('{"a":1}', {"b": None}, '{"a":1}'),
    ('{"x":"b"}', {"b": None}, '{"x":"b"}'),
]


@pytest.mark.parametrize(("body", "changes", "edited"), EDITS)
def test_edits(body: str, changes: dict[str, bytes | None], edited: str) -> None:
    assert edit_members(body.encode(), changes) == edited.encode()


def test_nothing_to_change_gives_the_same_object() -> None:
    body = b'{"x":"b"}'
    assert edit_members(body, {"b": None}) is body
    assert edit_members(body, {"c": None}) is body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["model", "stream", "max_tokens", "x", 'a"model', "é", "\\"])
changed_names = st.sampled_from(["model", "stream", "max_tokens", "x", "absent"])
layouts: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}, {"separators": (" , ", "\n:\t")}]
)


@given(
    st.dictionaries(names, json_values), st.dictionaries(changed_names, st.none() | json_values, max_size=4), layouts
)
def test_an_edit_means_what_it_says(value: dict[str, Any], changes: dict[str, Any], layout: dict[str, Any]) -> None:
    try:
        body = json.dumps(value, **layout).encode()
    except UnicodeEncodeError:
        return
    told = {name: None if new is None else json.dumps(new).encode() for name, new in changes.items()}
    edited = json.loads(edit_members(body, told))
    expected = {**value, **{name: new for name, new in changes.items() if new is not None}}
    for name, new in changes.items():
        if new is None:
            expected.pop(name, None)
    assert edited == expected
    for member in members(body):
        assert json.loads(body[member.value : member.end]) == value[member.name]


@pytest.mark.parametrize(
    ("body", "edited"),
    [
        ('{"model":"a","x":1}', '{"model":"b","x":1}'),
        ('{"model": "a"}', '{"model": "b"}'),
        ('{"model":"a","x":"model"}', '{"model":"b","x":"model"}'),
        ('{"x":{"model":"a"},"model":"a"}', '{"x":{"model":"a"},"model":"b"}'),
        ('{"x":"model","mod\\u0065l":"a"}', '{"x":"model","mod\\u0065l":"b"}'),
        ('{"x":{"model":"a"},"mod\\u0065l":"a"}', '{"x":{"model":"a"},"mod\\u0065l":"b"}'),
        ('{"model":"\\u0061"}', '{"model":"b"}'),
        ('{"model" :\n"a"}', '{"model" :\n"b"}'),
    ],
)
def test_replace_value(body: str, edited: str) -> None:
    assert replace_value(body.encode(), "model", b'"a"', b'"b"') == edited.encode()


def test_replace_value_takes_whole_numbers_only() -> None:
    assert replace_value(b'{"n":12}', "n", b"1", b"5") == b'{"n":5}'
    assert replace_value(b'{"n":1}', "n", b"1", b"5") == b'{"n":5}'


@pytest.mark.parametrize(
    "body",
    [
        '{"model":"a","model":"b"}',
        '{"model":"a","mod\\u0065l":"b"}',
        '{"\\u006dodel":"a","m\\u006fdel":"b"}',
        '{"messages":[{"model":1}],"model":"a","x":{"model":2},"model":"b"}',
        '{"x":{"messages":[1]},"messages":[1],"model":"a","model":"b"}',
        '{"x":{"messages":[1],"y":1},"messag\\u0065s":[1],"model":"a","model":"b"}',
    ],
)
def test_duplicates_are_refused(body: str) -> None:
    for length in LENGTHS:
        with pytest.raises(Refused, match="`model` is given twice"):
            check_unique(longer(body, length), UNIQUE, messages_of(body))
    with pytest.raises(Refused, match="`model` is given twice"):
        edit_members(body.encode(), {"model": b"1"})
    with pytest.raises(Refused, match="`model` is given twice"):
        member_of(body.encode(), "model")


@pytest.mark.parametrize(
    "body",
    [
        '{"model":"a","messages":[{"model":"x"},{"model":"y"}]}',
        '{"model":"a","x":{"model":"model"},"y":1,"y":2}',
        '{"model":"a","x":"\\u0065"}',
        '{"model":"a","messages":["\\u0065"]}',
        '{ "model": "a", "messages" :["model"] }',
        '{"model":"a","\\ud800":"model"}',
    ],
)
def test_no_false_duplicates(body: str) -> None:
    for length in LENGTHS:
        names = check_unique(longer(body, length), UNIQUE, messages_of(body))
        assert set(names) >= json.loads(body).keys() & UNIQUE.names


def test_messages_given_twice() -> None:
    body = '{"messages":[1],"messages":[1]}'
    for length in LENGTHS:
        with pytest.raises(Refused, match="`messages` is given twice"):
            check_unique(longer(body, length), UNIQUE, msgspec.Raw(b"[1]"))


def test_a_second_member_does_not_hide_in_the_space_of_the_first() -> None:
    """As long as if it were given once: what is printed again is only ever shorter."""
    with pytest.raises(Refused, match="`model` is given twice"):
        check_unique(b'{"model":"a","model":"b"}' + b" " * 8, UNIQUE, msgspec.Raw())
    check_unique(b'{"a":"\\/","model":"x"}', UNIQUE, msgspec.Raw())


def longer(body: str, length: int) -> bytes:
    """The same body with a long member at its end."""
    return body.encode() if not length else body[:-1].encode() + b',"pad":"' + b"x" * length + b'"}'


def messages_of(body: str) -> msgspec.Raw:
    messages = json.loads(body).get("messages")
    return msgspec.Raw(b"" if messages is None else json.dumps(messages, separators=(",", ":")).encode())


class Named(msgspec.Struct):
    model: str


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not valid JSON"),
        (b"[]", "the body: Expected `object`"),
        (b'{"model":1}', "`model`: Expected `str`, got `int`"),
        (b'{"a":1}', "the body: Object missing required field `model`"),
        (b'{"model":"a","x":NaN}', "not valid JSON"),
        (b'{"model":"a","x":"\xff"}', "not valid UTF-8"),
        (b'{"model":"\xed\xa0\x80"}', "not valid UTF-8"),
        (b'{"model":"\\ud800"}', "`model`: holds half of a surrogate"),
        (b'{"model":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"model":"a"', "not valid JSON"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, message: str) -> None:
    with pytest.raises(Refused) as caught:
        decode(msgspec.json.Decoder(Named), body)
    assert message in caught.value.error.message
    assert caught.value.error.status == 400


@given(st.binary(max_size=40) | st.text(alphabet='{}[]",:\\u0 a1\n', max_size=30).map(str.encode))
def test_nonsense_never_breaks_the_surgeon(body: bytes) -> None:
    for act in (
        members,
        lambda text: edit_members(text, {"a": b"1"}),
        lambda text: replace_value(text, "a", b"1", b"2"),
    ):
        try:
            act(body)
        except Refused:
            continue


def test_depth_costs_nothing() -> None:
    body = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b',"b":1}'
    assert edit_members(body, {"b": b"2"}).endswith(b',"b":2}')


def test_more_members_than_any_protocol_has_are_refused_before_they_are_walked() -> None:
    """Spans are found one by one, and a caller could keep everybody else waiting with millions of them."""
    most = b",".join([b'"a":1'] * MOST_MEMBERS)
    assert len(members(b"{" + most + b"}")) == MOST_MEMBERS
    with pytest.raises(Refused, match="more than 4096 members"):
        members(b"{" + most + b',"a":1}')


TURNS = '[{"role":"user","content":"%s, \\"model\\": \\"x\\""}]' % ("long " * LONG)
BESIDE = [
    '{"model":"a","messages":%s}',
    '{ "messages" :\n%s , "model" : "a", "waypost": {"task": "x"} }',
    '{"x":{"messages":%s},"model":"a"}',
    '{"x":{"messages":1},"messages":%s,"model":"a"}',
    '{"mess\\u0061ges":%s,"model":"a"}',
    '{"mess\\u0061ges":%s,"x":{"messages":1},"model":"a"}',
    '{"x":"\\"messages\\":","messages":%s,"model":"a"}',
    '{"x":"waypost: the conversation","messages":%s,"model":"a"}',
]


@pytest.mark.parametrize("body", BESIDE)
def test_an_edit_beside_the_conversation_is_the_same_edit(body: str) -> None:
    whole = (body % TURNS).encode()
    big = msgspec.json.decode(whole, type=dict[str, msgspec.Raw]).get("messages", msgspec.Raw(b""))

    def edit(text: bytes) -> bytes:
        return edit_members(text, {"model": b'"b"', "waypost": None, "max_tokens": b"5"})

    edited = edit_beside(whole, big, b'"messages"', edit)
    assert edited == edit(whole)
    assert json.loads(edited)["model"] == "b"


def test_the_conversation_is_not_walked() -> None:
    seen: list[int] = []
    whole = (BESIDE[1] % TURNS).encode()

    def edit(text: bytes) -> bytes:
        seen.append(len(text))
        return text

    assert edit_beside(whole, msgspec.Raw(TURNS.encode()), b'"messages"', edit) == whole
    assert seen[0] < 200
