"""Each recorded exchange is read to what an independent reader says that it means."""

from typing import Any

import pytest

from corpus.meaning import events_of, meaning, reply_of, tokens
from corpus.records import SHARED, Record, answers, failures
from waypost.conversation.events import Failed, Finished
from waypost.conversation.reply import StopKind
from waypost.dialects.fault_text import clean

STOPS = {
    "stop": StopKind.END,
    "length": StopKind.LENGTH,
    "tool": StopKind.TOOL,
    "stop_sequence": StopKind.STOP_SEQUENCE,
    "refusal": StopKind.REFUSAL,
    "pause": StopKind.PAUSE,
}

# Where the two readers differ, and why this one is right to.
OVERFULL_CACHE = "tells more cached tokens than prompt tokens: the part is cut down to the whole"
OVERFULL_REASONING = "tells more reasoning tokens than completion tokens: the part is cut down to the whole"
OBJECT_CONTENT = "content is an object: it is carried as its JSON, the other reader joins its keys"
EMPTY_MEMBERS = "an empty function_call and an empty audio object are neither a call nor sound"
DIFFERENCES: dict[str, tuple[str, frozenset[str]]] = {
    "1a610f0be0a35efad595": (OVERFULL_CACHE, frozenset({"cached"})),
    "25a339025b97060aca39": (OVERFULL_CACHE, frozenset({"cached"})),
    "4cd680fa62fb71546176": (OVERFULL_CACHE, frozenset({"cached"})),
    "6914b7393ff6285e3923": (OVERFULL_CACHE, frozenset({"cached"})),
    "db18ad06851244cc8307": (OVERFULL_CACHE, frozenset({"cached"})),
    "f95def262070576795b3": (OVERFULL_CACHE, frozenset({"cached"})),
    "904eff42eab233abf958": (OVERFULL_REASONING, frozenset({"reasoning_tokens"})),
    "f53b06daf8c7999de4aa": (OVERFULL_REASONING, frozenset({"reasoning_tokens"})),
    "39c2b7aa4602e035aea6": (OBJECT_CONTENT, frozenset({"text"})),
    "742745de2e8fa5d8e6db": (OBJECT_CONTENT, frozenset({"text"})),
    "94639fa4771eeb91194b": (OBJECT_CONTENT, frozenset({"text"})),
    "b2b09c057a34fba127fd": (EMPTY_MEMBERS, frozenset({"tool_calls", "audio"})),
    "ed3e743e689a9e922a96": (EMPTY_MEMBERS, frozenset({"tool_calls", "audio"})),
}


def test_the_shared_corpus_is_present() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"only the repository's own fixtures are read: no {SHARED}")
    assert len(answers()) + len(failures()) > 916  # the shared ones, and our own


def wanted(record: Record) -> dict[str, Any]:
    expect = record.expect
    usage = expect["usage"] or {}
    return {
        "text": expect["text"],
        "refusal": expect["refusal"],
        "reasoning": expect["reasoning"],
        "redacted": expect["redacted"],
        "tool_calls": [(call["id"], call["name"], call["args"]) for call in expect["tool_calls"]],
        "server_tools": expect["server_tools"],
        "audio": expect["audio"],
        "choices": expect["choices"],
        "stop": STOPS.get(expect["stop"]),
        "stop_word": expect["stop_raw"] or None,
        "id": expect["id"] or None,
        "model": expect["model"] or None,
        "usage": bool(usage),
        **{name: usage.get(name) for name in ("input", "cached", "cache_write", "output")},
        "reasoning_tokens": usage.get("reasoning"),
    }


def told(record: Record) -> dict[str, Any]:
    reply = reply_of(record)
    first = reply.choices[0]
    said = meaning(first)
    counts = tokens(reply.usage)
    usage = counts or {}
    return {
        "text": said.text,
        "refusal": said.refusal,
        "reasoning": said.reasoning,
        "redacted": said.redacted,
        "tool_calls": list(said.tool_calls),
        "server_tools": list(said.server_tools),
        "audio": said.audio,
        "choices": len(reply.choices),
        "stop": said.stop,
        "stop_word": first.stop.raw if first.stop else None,
        "id": reply.id,
        "model": reply.model,
        "usage": counts is not None,
        **{name: usage.get(name) for name in ("input", "cached", "cache_write", "output")},
        "reasoning_tokens": (reply.usage.reasoning or 0) if reply.usage is not None else None,
    }


@pytest.mark.parametrize("record", answers(), ids=str)
def test_an_answer_means_what_it_means(record: Record) -> None:
    _, names = DIFFERENCES.get(record.id, ("", frozenset()))
    got, want = told(record), wanted(record)
    differing = {name for name in want if got[name] != want[name]}
    shown = {name: (got[name], want[name]) for name in differing ^ names}
    assert differing == names, shown


@pytest.mark.parametrize("record", answers(stream=True), ids=str)
def test_a_stream_ends_as_the_provider_ended_it(record: Record) -> None:
    events = events_of(record.dialect, record.body)
    failed = [event.fault for event in events if isinstance(event, Failed)]
    if record.expect["mid_error"]:
        error = record.expect["error"]
        assert [(fault.message, fault.type, fault.code) for fault in failed] == [
            (error["message"], error["type"], None if error["code"] is None else str(error["code"]))
        ]
        assert isinstance(events[-1], Failed)
    else:
        assert failed == []
        assert isinstance(events[-1], Finished) is record.expect["complete"]


@pytest.mark.parametrize("record", failures(), ids=str)
def test_an_error_is_read(record: Record) -> None:
    fault = record.dialect.read_fault(record.status, record.headers, record.body)
    error = record.expect["error"]
    assert fault.status == record.status
    assert fault.type == error["type"]
    assert fault.code == (None if error["code"] is None else str(error["code"]))
    assert fault.message == clean(error["message"])
