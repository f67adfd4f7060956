"""Counts what a request holds: tokens, media, and how much of it was marked as cached. Fed in reading order."""

from typing import Any

import msgspec

from waypost.sim.tokens import count_tokens

_BYTES_AN_IMAGE_TOKEN = 750
_MOST_IMAGE_TOKENS = 1568


class Tally:
    """Grows as a request is walked through. Never counts more tokens than the request has bytes."""

    __slots__ = ("marks", "tokens")

    def __init__(self) -> None:
        self.tokens = 0
        self.marks: list[int] = []  # tokens so far, at each mark

    def add_text(self, text: str) -> None:
        self.tokens += count_tokens(text)

    def add_json(self, value: Any) -> None:
        self.tokens += max(1, len(msgspec.json.encode(value)) // 8)

    def add_media(self, size: int) -> None:
        """`size`: bytes of the medium, or of the text that refers to it."""
        self.tokens += min(_MOST_IMAGE_TOKENS, max(1, size // _BYTES_AN_IMAGE_TOKEN))

    def mark(self) -> None:
        self.marks.append(self.tokens)

    def split_cache(self, has_history: bool) -> tuple[int, int]:
        """(read, written) tokens. What lies between the last two marks is new; a lone one is in a first turn only."""
        if not self.marks:
            return 0, 0
        last = self.marks[-1]
        before = self.marks[-2] if len(self.marks) > 1 else 0
        read = before or (last if has_history else 0)
        return read, last - read
