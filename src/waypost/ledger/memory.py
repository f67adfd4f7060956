"""A journal that forgets when the process ends: for tests, and for the library when nothing shall be kept."""

from collections.abc import Sequence

from msgspec.json import Decoder

from waypost.ledger.errors import JournalUnavailable
from waypost.ledger.kinds import read_head
from waypost.ledger.records import Accepted, Attempt, Ended, Outcome, Planned
from waypost.ledger.rows import read_ended

_decode_accepted = Decoder(Accepted).decode
_decode_tags = Decoder(dict[str, str]).decode
_decode_attempts = Decoder(tuple[Attempt, ...]).decode
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
        self.end(_ended(text))

    def write_lines(self, accepted: Sequence[tuple[str, bytes]], ended: Sequence[tuple[str, bytes]]) -> None:
        for call, text in ended:
            self.end_line(call, text)
        for call, text in accepted:
            self.accept_line(call, text)

    def plan(self, entry: Planned) -> None:
        if all(known.id != entry.id for known in self.planned):
            self.planned.append(entry)


def _ended(text: bytes) -> Ended:
    """The entry that a line was made of; a price stays JSON."""
    own, shared = read_ended(text)
    head = read_head(shared).head
    price, decision = (None if bytes(raw) == b"null" else raw for raw in (own.price, own.decision))
    tags, outcome = _decode_tags(head.tags), Outcome(head.outcome)
    return Ended(
        own.id, own.started_ns, head.key, head.team, tags, head.task, head.route, head.revision, head.dialect,
        head.provider, head.model, head.profile, outcome, head.error, head.status, head.stream,
        own.input, own.cache_read, own.cache_write, own.output, own.reasoning, own.estimated, price, own.cost_nano,
        own.first_byte_us, own.total_us, own.overhead_us, own.cache, decision, _decode_names(own.dropped),
        _decode_attempts(own.attempts), own.charges, own.bodies,
    )  # fmt: skip
