"""One entry, one line; what is written is what is read back."""

import msgspec
import pytest
from msgspec import Raw
from msgspec.structs import asdict

from ledger.entries import DECISION, accepted, ended
from waypost.ledger.records import Ended, Entry, Planned, line, window_start
from waypost.ledger.rows import COLUMNS, EndedRow, read_batch

PLAN = Planned("p1", "r1", Raw(b'{\n "candidates": []\n}'))


@pytest.mark.parametrize("entry", [accepted(), ended(), PLAN, Ended("refused", 1)], ids=lambda e: type(e).__name__)
def test_an_entry_is_one_line(entry: Entry) -> None:
    text = line(entry)
    assert text.count(b"\n") == 1
    assert text.endswith(b"\n")
    msgspec.json.decode(text)


def test_rows_read_the_members_that_entries_write() -> None:
    assert EndedRow.__struct_fields__ == Ended.__struct_fields__
    assert COLUMNS[-1] == "dropped"


def test_an_end_reads_back_as_written() -> None:
    batch = read_batch([line(ended(dropped=("logit_bias",), bodies=("q\n", None)))[:-1]])
    row = asdict(batch.ended[0])
    assert bytes(row.pop("decision")) == bytes(DECISION)
    assert bytes(row.pop("tags")) == b'{"env":"test"}'
    assert bytes(row.pop("dropped")) == b'["logit_bias"]'
    assert bytes(row.pop("price")) == b'{"input":"0.15","output":"0.6"}'
    written = asdict(ended(bodies=("q\n", None)))
    assert row == {name: written[name] for name in row}


def test_text_that_no_encoding_can_hold_costs_no_entry() -> None:
    batch = read_batch([line(ended(route="r\udc80", tags={"\udc80": "v"}))[:-1]])
    assert batch.damaged == 0
    assert batch.ended[0].route == "r?"


@pytest.mark.parametrize(
    "text", [b"", b"\0" * 40, b"{}", b'["e"]', b'["e","x"', b'["x",1]', b'["a",1]', b'["e","\xff",1]', b'["p","x"]']
)
def test_damaged_lines_are_counted_and_skipped(text: bytes) -> None:
    good = line(ended())[:-1]
    batch = read_batch([text, good], recovering=True)
    assert (batch.damaged, len(batch.ended), batch.accepted) == (1, 1, [])


@pytest.mark.parametrize(("starts", "named"), [(float("-inf"), 0), (1_767_225_600.0, 1_767_225_600)])
def test_a_window_without_end_starts_at_zero(starts: float, named: int) -> None:
    assert window_start(starts) == named
