"""What `waypost doctor` finds: one thing looked at, how it is, what to do."""

from enum import StrEnum

from msgspec import Struct


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"
    FAILED = "failed"


class Finding(Struct, frozen=True):
    """One thing looked at. `remedy` says what to do, where something is to be done."""

    level: Level
    subject: str
    message: str
    remedy: str = ""
