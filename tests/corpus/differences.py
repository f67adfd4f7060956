"""What a caller of one protocol is told of an answer in another: where the two can't say the same, and why."""

from corpus.records import Record
from corpus.sdks import Heard
from corpus.test_reading import DIFFERENCES

# Members in which two readers may differ without a caller's hearing it.
NOT_HEARD = frozenset({"server_tools", "stop_word", "reasoning_tokens"})


def left_out(record: Record) -> str:
    """Why nobody is asked about this recording; empty if somebody is."""
    expect = record.expect
    reason, names = DIFFERENCES.get(record.id, ("", frozenset()))
    if names - NOT_HEARD:
        return f"the reader differs from the recording's: {reason}"
    if expect["mid_error"] or not expect["complete"] or expect["stop"] is None:
        return "it was cut or failed in the recording itself: a caller is told so, in words of ours"
    if expect["refusal"]:
        return "a refusal is text of its own in two protocols, and plain text with a stop reason in the others"
    if any("__raw__" in str(call["args"]) for call in expect["tool_calls"]):
        return "arguments that are no JSON have no place in protocols whose arguments are objects"
    return ""


def expected_stop(record: Record, speaks: str) -> str | None:
    stop: str | None = record.expect["stop"]
    if stop == "stop_sequence" and speaks in ("openai_chat", "openai_responses", "gemini"):
        return "stop"  # these protocols have one word for both
    if stop == "stop" and record.expect["tool_calls"] and speaks in ("openai_responses", "gemini"):
        return "tool"  # these have no word for it: the calls themselves say so
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
    told = {name: usage[name] for name in ("input", "output") if usage.get(name)}
    if record.dialect.name == speaks:
        told = {}  # relayed, they are the provider's own: some count reasoning beside the output
    elif len(told) < 2 and speaks in ("openai_chat", "openai_responses"):
        told = {}  # these can't tell the one without the other
    wanted |= told
    wrong = [
        f"{name} is {str(getattr(heard, name))[:150]!r}, recorded {str(value)[:150]!r}"
        for name, value in wanted.items()
        if getattr(heard, name) != value
    ]
    return "; ".join(wrong)
