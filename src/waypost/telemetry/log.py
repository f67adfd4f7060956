"""The log: one line an event on standard error, JSON or plain. What is logged are names, kinds and numbers."""

import sys
import traceback
from datetime import UTC, datetime
from typing import TextIO

import msgspec


class Log:
    """Satisfies the gateway's Log. `as_json` is for machines that read it."""

    def __init__(self, stream: TextIO | None = None, *, as_json: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._as_json = as_json

    def __call__(self, event: str, **values: object) -> None:
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._as_json:
            line = msgspec.json.encode({"at": moment, "event": event, **values}).decode()
        else:
            told = " ".join(f"{name}={value}" for name, value in values.items() if value is not None)
            line = one_line(f"{moment} {event} {told}".rstrip())
        try:
            print(line, file=self._stream, flush=True)
        except (OSError, ValueError):
            return  # a log that can't be written is no reason to fail a call


def place_of(error: BaseException) -> str:
    """Where it happened, innermost first, as file:line:function and without values, which may be secrets."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return " < ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}:{frame.name}" for frame in frames)


def one_line(text: str) -> str:
    """`text` with what could start a line of its own, or steer a terminal, written as an escape: callers name tasks."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
