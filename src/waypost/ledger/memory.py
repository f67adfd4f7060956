"""A journal that forgets when the process ends: for tests, and for the library when nothing shall be kept."""

from collections.abc import Sequence

from msgspec.json import Decoder

from waypost.ledger.errors import JournalUnavailable
from waypost.ledger.records import Accepted, Ended, Planned

_decode_accepted = Decoder(Accepted).decode
_decode_ended = Decoder(Ended).decode


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
        self.end(_decode_ended(text))

    def write_lines(self, accepted: Sequence[tuple[str, bytes]], ended: Sequence[tuple[str, bytes]]) -> None:
        for call, text in ended:
            self.end_line(call, text)
        for call, text in accepted:
            self.accept_line(call, text)

    def plan(self, entry: Planned) -> None:
        if all(known.id != entry.id for known in self.planned):
            self.planned.append(entry)
