"""What a caller of one protocol is told of an answer in another: where the two can't say the same, and why."""

from corpus.records import Record
from corpus.sdks import Heard

# Reasons for which a recording has no one right reading, so that nobody is asked about it.
LEFT_OUT: dict[str, str] = {}


def expected_stop(record: Record, speaks: str) -> str | None:
    stop: str | None = record.expect["stop"]
    if stop == "stop_sequence" and speaks in ("openai_chat", "openai_responses", "gemini"):
        return "stop"  # these protocols have one word for both
    return stop


def differs(record: Record, speaks: str, heard: Heard) -> str:
    """What is not as recorded; empty if all is."""
    expect = record.expect
    usage = expect["usage"] or {}
    wanted: dict[str, object] = {
        "text": expect["text"],
        "reasoning": expect["reasoning"],
        "calls": [(call["name"], call["args"]) for call in expect["tool_calls"]],
        "stop": expected_stop(record, speaks),
    }
    for name in ("input", "output"):
        if usage.get(name) is not None:
            wanted[name] = usage[name]
    told = [
        f"{name} is {str(getattr(heard, name))[:150]!r}, recorded {str(value)[:150]!r}"
        for name, value in wanted.items()
        if getattr(heard, name) != value
    ]
    return "; ".join(told)
