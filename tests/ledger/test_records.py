"""One entry, one line; what is written is what is read back."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis.strategies import lists, text
from msgspec import Raw
from msgspec.json import decode, encode

from ledger.entries import accepted, ended
from waypost.ledger.kinds import read_kind
from waypost.ledger.records import Ended, Entry, Planned, line, window_start
from waypost.ledger.rows import Own, read_batch

PLAN = Planned("p1", "r1", Raw(b'{\n "candidates": []\n}'))


@pytest.mark.parametrize("entry", [accepted(), ended(), PLAN, Ended("refused", 1)], ids=lambda e: type(e).__name__)
def test_an_entry_is_one_line(entry: Entry) -> None:
    written = line(entry)
    assert written.count(b"\n") == 1
    assert written.endswith(b"\n")
    msgspec.json.decode(written)


def test_rows_read_the_members_that_entries_write() -> None:
    assert Own.__struct_fields__ == Ended.__struct_fields__


AWKWARD = ("c,1", ",true,", "a,false,b", '","x",true,', "\\", '"', "]]", "\n", "\\n", "é\u2028")


@pytest.mark.parametrize("word", ["plain", *AWKWARD])
def test_an_end_reads_back_as_written(word: str) -> None:
    """Whatever its strings hold."""
    places: list[dict[str, Any]] = [{"tags": {word: word}}, {"route": word}, {"error": word}, {"bodies": (word, "\n")}]
    entries = [ended(word), *(ended(dropped=("logit_bias",), **place) for place in places)]
    batch = read_batch(b"".join(map(line, entries)))
    assert batch.damaged == 0
    assert [encode(own) + b"\n" for own in batch.ended] == [line(entry) for entry in entries]
    assert [read_kind(kind) for kind in batch.kinds] == [entry.kind for entry in entries]


@given(words=lists(text(alphabet='",\\n[]{}1\né', max_size=12), min_size=4, max_size=4))
def test_no_text_can_part_a_line(words: list[str]) -> None:
    entry = ended(words[0], tags={words[1]: words[2]}, route=words[3])
    batch = read_batch(line(accepted(words[0])) + line(entry) * 2)
    assert (batch.damaged, len(batch.ended), batch.accepted) == (0, 2, [])
    for own, kind in zip(batch.ended, batch.kinds, strict=True):
        assert (own.id, own.input, own.output) == (words[0], 12, 34)
        assert (decode(own.tags), read_kind(kind).route) == ({words[1]: words[2]}, words[3])


def test_text_that_no_encoding_can_hold_costs_no_entry() -> None:
    batch = read_batch(line(ended(route="r\udc80", tags={"\udc80": "v"})))
    assert batch.damaged == 0
    assert [read_kind(kind).route for kind in batch.kinds] == ["r?"]


@pytest.mark.parametrize(
    "broken",
    [
        *(b"\0" * 40, b"{}", b'["e"]', b'["e","x"', b'["x",1]', b'["a",1]', b'["e","\xff",1]', b'["p","x"]'),
        line(ended())[:-1].replace(b'"app"', b"7"),
        line(ended())[:-1].replace(b"200,false", b"200,0"),
        line(ended())[:-1].replace(b'"ok"', b'"well"'),
        line(ended())[:-1].replace(b"quoted", b"quot\xff"),
    ],
)
def test_damaged_lines_are_counted_and_skipped(broken: bytes) -> None:
    assert broken != line(ended())[:-1]
    good = line(ended("good"))
    batch = read_batch(good + broken + b"\n" + good, recovering=True)
    assert (batch.damaged, [own.id for own in batch.ended], batch.accepted) == (1, ["good"] * 2, [])
    assert len(batch.kinds) == 2


def test_an_empty_line_is_no_entry() -> None:
    batch = read_batch(b"\n" + line(ended()) + b"\n")
    assert (batch.damaged, len(batch.ended)) == (0, 1)


@pytest.mark.parametrize(("starts", "named"), [(float("-inf"), 0), (1_767_225_600.0, 1_767_225_600)])
def test_a_window_without_end_starts_at_zero(starts: float, named: int) -> None:
    assert window_start(starts) == named
