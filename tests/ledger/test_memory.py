"""The journal for tests behaves as the real one does where a caller can tell."""

import pytest
from msgspec import Raw

from ledger.entries import accepted, ended
from waypost.ledger.errors import JournalUnavailable
from waypost.ledger.memory import MemoryJournal
from waypost.ledger.records import Planned


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
