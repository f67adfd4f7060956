"""What a glance sees, what it refuses, and what an edit does to the bytes."""

import pytest

from waypost.conversation.faults import ErrorKind, Refused
from waypost.conversation.options import CallOptions, Constraints
from waypost.dialects.dialect import Edits
from waypost.dialects.openai_chat import DIALECT

HELLO = '"messages":[{"role":"user","content":"hi"}]'


def glanced(members: str, messages: str = HELLO) -> object:
    return DIALECT.glance(f'{{"model":"m",{messages}{"," if members else ""}{members}}}'.encode())


@pytest.mark.parametrize(
    ("members", "field", "value"),
    [
        ("", "model", "m"),
        ('"stream":true', "stream", True),
        ('"stream":null', "stream", False),
        ('"max_tokens":5', "max_output", 5),
        ('"max_completion_tokens":5', "max_output", 5),
        ('"max_completion_tokens":5,"max_tokens":7', "max_output", 7),
        ('"max_tokens":null', "max_output", None),
        ('"n":3', "choices", 3),
        ('"n":null', "choices", 1),
        ('"stream_options":{"include_usage":true}', "asked_usage", True),
        ('"stream_options":{"x":1}', "asked_usage", False),
        ('"stream_options":null', "asked_usage", False),
        ('"tools":[{"type":"function","function":{"name":"f"}}]', "needs", {"tools"}),
        ('"tools":[]', "needs", set()),
        ('"functions":[{"name":"f"}]', "needs", {"tools"}),
        ('"response_format":{"type":"json_object"}', "needs", {"structured"}),
        ('"response_format":{"type":"text"}', "needs", set()),
        ('"response_format":null', "needs", set()),
        ('"reasoning_effort":"low"', "needs", {"reasoning"}),
        ('"reasoning_effort":"none"', "needs", set()),
        ('"reasoning":{"effort":"high"}', "needs", {"reasoning"}),
        ('"reasoning":{"enabled":false}', "needs", set()),
        ('"thinking":{"type":"enabled"}', "needs", {"reasoning"}),
        ('"thinking":{"type":"disabled"}', "needs", set()),
        ('"modalities":["text","audio"]', "needs", {"audio"}),
        ('"tools":[{"type":"web_search"}]', "unbounded_input", True),
        ('"web_search_options":{}', "unbounded_input", True),
        ('"search_parameters":{"mode":"on"}', "unbounded_input", True),
        ('"enable_search":true', "unbounded_input", True),
        ('"data_sources":[{"type":"azure_search"}]', "unbounded_input", True),
        ('"tools":[{"type":"function","function":{"name":"f"}}]', "unbounded_input", False),
        ('"metadata":{"task":"qa","x":"y"}', "task", "qa"),
        ('"metadata":{"combination_id":"c"}', "combination_id", "c"),
        ('"metadata":"task"', "task", None),
        ('"waypost":{"task":"code","dry_run":true}', "options", CallOptions(task="code", dry_run=True)),
        (
            '"waypost":{"constraints":{"regions":["eu"]}}',
            "options",
            CallOptions(constraints=Constraints(regions=("eu",))),
        ),
        ('"waypost":null', "options", None),
    ],
)
def test_a_glance(members: str, field: str, value: object) -> None:
    assert getattr(glanced(members), field) == value


@pytest.mark.parametrize(
    ("part", "needs", "unbounded"),
    [
        ('{"type":"text","text":"image_url"}', set(), False),
        ('{"type":"image_url","image_url":{"url":"https://x/y.png"}}', {"images"}, True),
        ('{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}', {"images"}, True),
        ('{"type":"image_u\\u0072l","image_url":"https://x/y.png"}', {"images"}, True),
        ('{"type":"file","file":{"file_id":"f"}}', {"documents"}, True),
        ('{"type":"input_audio","input_audio":{"data":"","format":"wav"}}', {"audio"}, False),
    ],
)
def test_a_glance_at_parts(part: str, needs: set[str], unbounded: bool) -> None:
    glance = DIALECT.glance(f'{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}'.encode())
    assert glance.needs == needs
    assert glance.unbounded_input is unbounded


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (f"{{{HELLO}}}", "`model`"),
        (f'{{"model":"",{HELLO}}}', "`model`"),
        (f'{{"model":7,{HELLO}}}', "`model`"),
        (f'{{"model":"m",{HELLO},"stream":"yes"}}', "`stream`"),
        (f'{{"model":"m",{HELLO},"max_tokens":0}}', "`max_tokens`"),
        (f'{{"model":"m",{HELLO},"max_tokens":1.5}}', "`max_tokens`"),
        (f'{{"model":"m",{HELLO},"max_completion_tokens":"9"}}', "`max_completion_tokens`"),
        (f'{{"model":"m",{HELLO},"n":0}}', "`n`"),
        (f'{{"model":"m",{HELLO},"waypost":{{"tusk":"qa"}}}}', "`tusk`"),
        (f'{{"model":"m",{HELLO},"waypost":{{"timeout_s":"soon"}}}}', "`waypost.timeout_s`"),
        (f'{{"model":"m",{HELLO},"model":"n"}}', "`model` is given twice"),
        (f'{{"model":"m",{HELLO},"\\u006dodel":"n"}}', "`model` is given twice"),
        (f'{{"model":"m",{HELLO},"max_tokens":5,"max_tokens":5000}}', "`max_tokens` is given twice"),
        (f'{{"model":"m",{HELLO},"stream":true,"stre\\u0061m":false}}', "`stream` is given twice"),
        (f'{{"model":"m",{HELLO},{HELLO}}}', "`messages` is given twice"),
        (f'{{"model":"m",{HELLO},"waypost":{{}},"waypost":{{}}}}', "`waypost` is given twice"),
        ("[]", "object"),
        ("", "JSON"),
    ],
)
def test_a_glance_refuses_and_names(body: str, named: str) -> None:
    with pytest.raises(Refused) as caught:
        DIALECT.glance(body.encode())
    assert caught.value.error.kind is ErrorKind.BAD_REQUEST
    assert named in caught.value.error.message


EDITED = [
    ("{}", Edits(model="n"), '{{"model":"n",{h}}}'),
    (
        ',"stream":true',
        Edits(model="m", want_usage=True),
        '{{"stream_options":{{"include_usage":true}},{m},"stream":true}}',
    ),
    (
        ',"stream":true,"stream_options":{"x":1}',
        Edits(model="m", want_usage=True),
        '{{{m},"stream":true,"stream_options":{{"include_usage":true,"x":1}}}}',
    ),
    (
        ',"stream":true,"stream_options":{"include_usage":false}',
        Edits(model="m", want_usage=True),
        '{{{m},"stream":true,"stream_options":{{"include_usage":true}}}}',
    ),
    (
        ',"stream":true,"stream_options":null',
        Edits(model="m", want_usage=True),
        '{{{m},"stream":true,"stream_options":{{"include_usage":true}}}}',
    ),
    (',"max_tokens":50', Edits(model="m", max_output=9), '{{{m},"max_tokens":9}}'),
    (',"max_tokens": 50', Edits(model="m", max_output=9), '{{{m},"max_tokens": 9}}'),
    (',"max_tokens":null', Edits(model="m", max_output=9), '{{{m},"max_tokens":9}}'),
    (
        ',"max_tokens":50,"max_completion_tokens":60',
        Edits(model="m", max_output=9),
        '{{{m},"max_tokens":9,"max_completion_tokens":9}}',
    ),
    ("{}", Edits(model="m", max_output=9), '{{"max_tokens":9,{m}}}'),
    (
        "{}",
        Edits(model="m", max_output=9, max_output_field="max_completion_tokens"),
        '{{"max_completion_tokens":9,{m}}}',
    ),
    (
        ',"max_tokens":5',
        Edits(model="m", max_output=9, max_output_field="max_completion_tokens"),
        '{{"max_completion_tokens":5,{m}}}',
    ),
    (
        ',"max_tokens":3,"max_completion_tokens":9',
        Edits(model="m", max_output=9, max_output_field="max_tokens"),
        '{{{m},"max_tokens":3,"max_completion_tokens":9}}',
    ),
    (
        ',"max_tokens":null,"max_completion_tokens":9',
        Edits(model="m", max_output=9, max_output_field="max_tokens"),
        '{{{m},"max_tokens":9}}',
    ),
    (',"waypost":{"task":"qa"}', Edits(model="m", remove_options=True), "{{{m}}}"),
    (',"x":{"waypost":1}', Edits(model="m", remove_options=True), '{{{m},"x":{{"waypost":1}}}}'),
]


@pytest.mark.parametrize(("members", "edits", "expected"), EDITED)
def test_an_edit(members: str, edits: Edits, expected: str) -> None:
    members = "" if members == "{}" else members
    body = f'{{"model":"m",{HELLO}{members}}}'.encode()
    edited = DIALECT.edit(body, DIALECT.glance(body), edits)
    assert edited.decode() == expected.format(h=HELLO, m=f'"model":"m",{HELLO}')


@pytest.mark.parametrize(
    ("members", "edits"),
    [
        ("", Edits(model="m")),
        ("", Edits(model="m", want_usage=True)),
        (',"stream":true,"stream_options":{"include_usage":true}', Edits(model="m", want_usage=True)),
        (',"max_tokens":5', Edits(model="m", max_output=9)),
        (',"max_tokens":5', Edits(model="m", max_output=5, max_output_field="max_tokens")),
        ("", Edits(model="m", remove_options=True)),
    ],
)
def test_nothing_to_edit_gives_the_same_bytes(members: str, edits: Edits) -> None:
    body = f'{{"model":"m",{HELLO}{members}}}'.encode()
    assert DIALECT.edit(body, DIALECT.glance(body), edits) is body
