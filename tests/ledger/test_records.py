"""One entry, one line; what is written is what is read back."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis.strategies import booleans, lists, text, tuples
from msgspec import Raw
from msgspec.json import decode, encode

from ledger.entries import accepted, ended
from waypost.ledger.kinds import Head, read_head
from waypost.ledger.records import Ended, Entry, Planned, line, window_start
from waypost.ledger.rows import Own, read_batch, read_ended

PLAN = Planned("p1", "r1", Raw(b'{\n "candidates": []\n}'))


@pytest.mark.parametrize("entry", [accepted(), ended(), PLAN, Ended("refused", 1)], ids=lambda e: type(e).__name__)
def test_an_entry_is_one_line(entry: Entry) -> None:
    written = line(entry)
    assert written.count(b"\n") == 1
    assert written.endswith(b"\n")
    msgspec.json.decode(written)


def test_rows_read_the_members_that_entries_write() -> None:
    members = Ended.__struct_fields__
    own = Own.__struct_fields__
    assert members == (*own[:2], *Head.__struct_fields__, *own[2:])


AWKWARD = ("c,1", ",true,", "a,false,b", '","x",true,', "\\", '"', "\\,false,", '\\",true,')


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.parametrize("word", ["plain", *AWKWARD])
def test_an_end_reads_back_as_written(stream: bool, estimated: bool, word: str) -> None:
    """Whatever its strings hold: a line is cut in two at the first true or false that is not inside one."""
    members: dict[str, Any] = {"stream": stream, "estimated": estimated, "dropped": ("logit_bias",)}
    places: list[dict[str, Any]] = [{"tags": {word: word}}, {"route": word}, {"error": word}, {"bodies": (word, "\n")}]
    for entry in [ended(word, **members), *(ended(**members, **place) for place in places)]:
        batch = read_batch([line(entry)[:-1]])
        assert batch.damaged == 0
        (own,), (shared,) = batch.ended, batch.heads
        assert encode(own)[:-1] + b"," + encode(shared.head)[1:] == encode(
            ["e", *(getattr(entry, name) for name in (*Own.__struct_fields__, *Head.__struct_fields__))]
        )


@given(
    words=lists(text(alphabet='",\\truefalsn: []{}1', max_size=12), min_size=4, max_size=4),
    flags=tuples(booleans(), booleans()),
)
def test_no_text_can_move_the_cut(words: list[str], flags: tuple[bool, bool]) -> None:
    entry = ended(words[0], tags={words[1]: words[2]}, route=words[3], stream=flags[0], estimated=flags[1])
    own, shared = read_ended(line(entry)[:-1])
    head = read_head(shared).head
    assert (own.id, own.estimated, own.input, own.output) == (words[0], flags[1], 12, 34)
    assert (decode(head.tags), head.route, head.stream) == ({words[1]: words[2]}, words[3], flags[0])


def test_text_that_no_encoding_can_hold_costs_no_entry() -> None:
    batch = read_batch([line(ended(route="r\udc80", tags={"\udc80": "v"}))[:-1]])
    assert batch.damaged == 0
    assert [shared.head.route for shared in batch.heads] == ["r?"]


@pytest.mark.parametrize(
    "broken",
    [
        *(b"", b"\0" * 40, b"{}", b'["e"]', b'["e","x"', b'["x",1]', b'["a",1]', b'["e","\xff",1]', b'["p","x"]'),
        line(ended())[:-1].replace(b'"app"', b"7"),
        line(ended())[:-1].replace(b"200,false", b"200,0"),
    ],
)
def test_damaged_lines_are_counted_and_skipped(broken: bytes) -> None:
    good = line(ended())[:-1]
    batch = read_batch([broken, good], recovering=True)
    assert (batch.damaged, len(batch.ended), batch.accepted) == (1, 1, [])


@pytest.mark.parametrize(("starts", "named"), [(float("-inf"), 0), (1_767_225_600.0, 1_767_225_600)])
def test_a_window_without_end_starts_at_zero(starts: float, named: int) -> None:
    assert window_start(starts) == named
