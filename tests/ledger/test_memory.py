"""The journal for tests behaves as the real one does where a caller can tell."""

import pytest
from msgspec import Raw

from ledger.entries import START_NS, accepted, ended
from waypost.ledger.errors import JournalUnavailable
from waypost.ledger.memory import MemoryJournal
from waypost.ledger.records import Ended, Planned, line


def test_it_keeps_what_it_is_told() -> None:
    journal = MemoryJournal()
    journal.accept(accepted("c1"))
    journal.accept(accepted("c2"))
    journal.end(ended("c1"))
    for _ in range(2):
        journal.plan(Planned("p1", "r1", Raw(b"{}")))
    assert [entry.id for entry in journal.accepted] == ["c1", "c2"]
    assert [entry.id for entry in journal.ended] == ["c1"]
    assert [entry.id for entry in journal.open] == ["c2"]
    assert len(journal.planned) == 1


def test_full_it_refuses_calls_and_takes_ends() -> None:
    journal = MemoryJournal()
    journal.full = True
    with pytest.raises(JournalUnavailable):
        journal.accept(accepted())
    journal.end(ended())
    assert len(journal.ended) == 1


@pytest.mark.parametrize("entry", [Ended("c1", START_NS), ended("c1", dropped=("logit_bias",), bodies=("q", None))])
def test_a_line_is_the_entry_it_was_made_of(entry: Ended) -> None:
    journal = MemoryJournal()
    journal.accept_line("c1", line(accepted("c1")))
    assert journal.open == [accepted("c1")]
    journal.end_line("c1", line(entry))
    assert journal.open == []
    assert line(journal.ended[0]) == line(entry)
    assert (journal.ended[0].tags, journal.ended[0].kind.outcome) == (entry.tags, entry.kind.outcome)
