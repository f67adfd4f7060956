"""What goes wrong with keeping records. Knows the words; the callers know what follows from each."""

from waypost.conversation.faults import WaypostError


class JournalUnavailable(WaypostError):
    """The journal can't be written now, so no call may be accepted: a caller is told `unavailable` (503)."""


class JournalOwned(WaypostError):
    """Another process writes this journal. The message names the folder and the remedy."""


class LedgerError(WaypostError):
    """The ledger can't be opened or read. The message names the file and the remedy."""
