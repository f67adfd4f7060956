"""A journal that forgets when the process ends: for tests, and for the library when nothing shall be kept."""

from msgspec.json import Decoder
from msgspec.structs import astuple, replace

from waypost.ledger.errors import JournalUnavailable
from waypost.ledger.records import Accepted, Ended, Outcome, Planned
from waypost.ledger.rows import EndedRow

_decode_accepted = Decoder(Accepted).decode
_decode_ended = Decoder(EndedRow).decode
_decode_tags = Decoder(dict[str, str]).decode
_decode_names = Decoder(tuple[str, ...]).decode


class MemoryJournal:
    """Keeps every entry in lists. Set `full` to make it refuse calls as a journal on a full disk does."""

    def __init__(self) -> None:
        self.accepted: list[Accepted] = []
        self.ended: list[Ended] = []
        self.planned: list[Planned] = []
        self.full = False

    @property
    def open(self) -> list[Accepted]:
        """The accepted calls without an end."""
        ids = {entry.id for entry in self.ended}
        return [entry for entry in self.accepted if entry.id not in ids]

    def accept(self, entry: Accepted) -> None:
        if self.full:
            raise JournalUnavailable("the journal in memory is set to be full")
        self.accepted.append(entry)

    def end(self, entry: Ended) -> None:
        self.ended.append(entry)

    def accept_line(self, call: str, text: bytes) -> None:
        self.accept(_decode_accepted(text))

    def end_line(self, call: str, text: bytes) -> None:
        self.end(_ended(_decode_ended(text)))

    def plan(self, entry: Planned) -> None:
        if all(known.id != entry.id for known in self.planned):
            self.planned.append(entry)


def _ended(row: EndedRow) -> Ended:
    """The entry that a line was made of; a price stays JSON."""
    return replace(
        Ended(*astuple(row)),
        tags=_decode_tags(row.tags),
        outcome=Outcome(row.outcome),
        price=None if bytes(row.price) == b"null" else row.price,
        decision=None if bytes(row.decision) == b"null" else row.decision,
        dropped=_decode_names(row.dropped),
    )
