"""Each recorded exchange is read to what an independent reader says that it means."""

from collections import Counter
from typing import Any
from unittest.mock import ANY

import pytest

from corpus.meaning import meaning, read_events, reply_of, tokens
from corpus.records import DIALECTS, INVOKE, SHARED, Record, answers, check_each, failures, records_of
from waypost.conversation.blocks import RedactedThinking, Thinking
from waypost.conversation.events import Failed, Finished
from waypost.conversation.reply import Reply, StopKind
from waypost.dialects.fault_text import clean
from waypost.dialects.openai_responses.words import unpack

PROTOCOLS = (*DIALECTS, INVOKE)
STOPS = {
    "stop": StopKind.END,
    "length": StopKind.LENGTH,
    "tool": StopKind.TOOL,
    "stop_sequence": StopKind.STOP_SEQUENCE,
    "refusal": StopKind.REFUSAL,
    "filter": StopKind.REFUSAL,
    "pause": StopKind.PAUSE,
}

# Where the two readers differ, and why this one is right to.
OVERFULL_CACHE = "tells more cached tokens than prompt tokens: the part is cut down to the whole"
OVERFULL_REASONING = "tells more reasoning tokens than completion tokens: the part is cut down to the whole"
OBJECT_CONTENT = "content is an object: it is carried as its JSON, the other reader joins its keys"
EMPTY_MEMBERS = "an empty function_call and an empty audio object are neither a call nor sound"
OWN_CALLS = (
    "the model's calls of Google's own tools are parts like those of the code that it runs; the other skips them"
)
UNCOUNTED = "the other reader does not look for Cohere's reasoning tokens"
NOT_BEGUN = "was queued, to be answered later: that is no reason why it stopped"
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
    "8d7ba00687991626508c": (OWN_CALLS, frozenset({"server_tools"})),
    "f76d1366263d587487ca": (OWN_CALLS, frozenset({"server_tools"})),
    "0f079d54999b6b797095": (UNCOUNTED, frozenset({"reasoning_tokens"})),
    "451ac0c84bab982e5392": (UNCOUNTED, frozenset({"reasoning_tokens"})),
    "57cb02b2ca3a5264132b": (UNCOUNTED, frozenset({"reasoning_tokens"})),
    "5cb665de91371ef366d8": (UNCOUNTED, frozenset({"reasoning_tokens"})),
    "35145a20615fd8697057": (NOT_BEGUN, frozenset({"stop_word"})),
    "44b95b6caba49b25e83d": (NOT_BEGUN, frozenset({"stop_word"})),
    "b6f53b18e2862e78e8fa": (NOT_BEGUN, frozenset({"stop_word"})),
}


@pytest.mark.parametrize(
    ("protocol", "count"),
    [
        ("openai-chat", 498),
        ("anthropic-messages", 418),
        ("openai-responses", 389),
        ("gemini", 395),
        ("bedrock-converse", 177),
        ("cohere-v2", 49),
        (INVOKE, 19),
    ],
)
def test_the_shared_corpus_is_present(protocol: str, count: int) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"only the repository's own fixtures are read: no {SHARED}")
    assert len(records_of(protocol)) > count  # the shared ones, and our own


def wanted(record: Record) -> dict[str, Any]:
    expect = record.expect
    usage = expect["usage"] or {}
    return {
        "text": expect["text"],
        "refusal": expect["refusal"],
        "reasoning": expect["reasoning"],
        "redacted": expect["redacted"],
        # Gemini mostly tells no ids: then any will do.
        "tool_calls": [(call["id"] or ANY, call["name"], call["args"]) for call in expect["tool_calls"]],
        "server_tools": Counter(expect["server_tools"]),
        "audio": expect["audio"],
        "images": expect["images"],
        "citations": expect["citations"],
        "logprobs": expect["logprobs"],
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
        "redacted": encrypted(reply) if reply.dialect == "openai_responses" else said.redacted,
        "tool_calls": list(said.tool_calls),
        "server_tools": Counter(said.server_tools),
        "audio": said.audio,
        "images": said.images,
        "citations": said.citations,
        "logprobs": first.logprobs is not None,
        "choices": len(reply.choices),
        "stop": said.stop,
        "stop_word": first.stop.raw if first.stop else None,
        "id": reply.id,
        "model": reply.model,
        "usage": counts is not None,
        **{name: usage.get(name) for name in ("input", "cached", "cache_write", "output")},
        "reasoning_tokens": (reply.usage.reasoning or 0) if reply.usage is not None else None,
    }


def encrypted(reply: Reply) -> int:
    """Responses' reasoning may be shown and come encrypted too; in the neutral form that is a signature."""
    thoughts = [block for block in reply.choices[0].blocks if isinstance(block, Thinking | RedactedThinking)]
    secrets = [block.data if isinstance(block, RedactedThinking) else block.signature for block in thoughts]
    return sum(1 for secret in secrets if secret and unpack(secret).encrypted)


def check_meaning(record: Record) -> None:
    _, names = DIFFERENCES.get(record.id, ("", frozenset()))
    got, want = told(record), wanted(record)
    differing = {name for name in want if got[name] != want[name]}
    shown = {name: (got[name], want[name]) for name in differing ^ names}
    assert differing == names, shown
    ids = [id_ for id_, _, _ in got["tool_calls"]]
    assert all(ids)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_answer_means_what_it_means(protocol: str) -> None:
    check_each(answers(protocol), check_meaning)


def check_end(record: Record) -> None:
    events = read_events(record)
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


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_ends_as_the_provider_ended_it(protocol: str) -> None:
    check_each(answers(protocol, stream=True), check_end)


def check_error(record: Record) -> None:
    fault = record.dialect.read_fault(record.status, record.headers, record.body)
    error = record.expect["error"]
    # Amazon names an error in a header, of which the other reader takes no notice.
    named = record.headers.get("x-amzn-errortype", "").partition(":")[0]
    assert fault.status == record.status
    assert fault.type == (error["type"] or named or None)
    assert fault.code == (None if error["code"] is None else str(error["code"]))
    assert fault.message == clean(error["message"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_error_is_read(protocol: str) -> None:
    check_each(failures(protocol), check_error)
