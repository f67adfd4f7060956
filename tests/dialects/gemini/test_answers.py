"""Answers, streams and errors: what Gemini's own peculiarities become, and what other protocols' become here."""

import json
from base64 import b64decode
from typing import Any

import pytest
from msgspec import Raw

from corpus.meaning import events_of
from corpus.test_streams import check_order
from waypost.conversation.blocks import Block, Opaque, RedactedThinking, Refusal, Text, Thinking, ToolCall
from waypost.conversation.events import (
    BlockEnded,
    BlockStarted,
    Delta,
    Event,
    Failed,
    Finished,
    Reported,
    Started,
    Stopped,
)
from waypost.conversation.faults import CallerError, ErrorKind, FaultKind, UpstreamFault
from waypost.conversation.fold import fold
from waypost.conversation.reply import Choice, Reply, Stop, StopKind, Usage
from waypost.dialects.gemini import ARRAY, DIALECT


def answer(*parts: Any, reason: Any = "STOP", **members: Any) -> bytes:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": reason, "index": 0}
    return json.dumps({"candidates": [candidate], "responseId": "r", "modelVersion": "g", **members}).encode()


def read(body: bytes) -> Choice:
    """Whole and as a stream of one piece: both must say the same."""
    reply = DIALECT.read_reply(body)
    events = events_of(DIALECT, b"data: " + body + b"\n\n")
    check_order(events)
    assert fold(events, DIALECT.name).choices == reply.choices
    return reply.choices[0]


CALL = {"functionCall": {"name": "f", "args": {"n": 1}}}


@pytest.mark.parametrize(
    ("reason", "part", "kind"),
    [
        ("STOP", {"text": "x"}, StopKind.END),
        (1, {"text": "x"}, StopKind.END),
        ("STOP", CALL, StopKind.TOOL),
        ("MAX_TOKENS", CALL, StopKind.LENGTH),
        ("SAFETY", {"text": "x"}, StopKind.REFUSAL),
        ("RECITATION", {"text": "x"}, StopKind.REFUSAL),
        ("MALFORMED_FUNCTION_CALL", {"text": "x"}, StopKind.OTHER),
        ("NEVER_HEARD_OF", {"text": "x"}, StopKind.OTHER),
    ],
)
def test_why_it_finished(reason: Any, part: Any, kind: StopKind) -> None:
    stop = read(answer(part, reason=reason)).stop
    assert stop is not None
    assert stop.kind is kind


def test_signatures_come_before_what_they_stand_on() -> None:
    choice = read(
        answer(
            {"text": "hm", "thought": True},
            {"text": "m", "thought": True, "thoughtSignature": "AA=="},
            {"text": "x"},
            {**CALL, "thoughtSignature": "BB=="},
            {"text": "", "thoughtSignature": "CC=="},
        )
    )
    first, text, second, call, third = choice.blocks
    assert (first, text) == (Thinking("hmm", "AA==", "gemini"), Text("x"))
    assert (second, third) == (Thinking("", "BB==", "gemini"), Thinking("", "CC==", "gemini"))
    assert isinstance(call, ToolCall)
    parts = json.loads(DIALECT.write_reply(Reply("gemini", "r", "g", (choice,), None), "m"))["candidates"][0]["content"]
    assert [part.get("thoughtSignature") for part in parts["parts"]] == ["AA==", None, "BB==", "CC=="]


def test_a_blocked_prompt_is_a_refusal_without_words() -> None:
    body = json.dumps({"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": []}, "modelVersion": "g"}).encode()
    choice = read(body)
    assert (choice.blocks, choice.stop) == ((), Stop(StopKind.REFUSAL, "prompt:SAFETY"))
    again = json.loads(DIALECT.write_reply(DIALECT.read_reply(body), "m"))
    assert again["promptFeedback"] == {"blockReason": "SAFETY", "safetyRatings": []}
    assert "candidates" not in again
    streamed = json.loads(write(events_of(DIALECT, b"data: " + body + b"\n\n")).removeprefix(b"data: "))
    assert streamed["promptFeedback"] == {"blockReason": "SAFETY"}


def test_what_the_provider_found_stands_beside_the_words() -> None:
    grounding = {"webSearchQueries": ["q"]}
    body = json.loads(answer({"text": "x"}))
    body["candidates"][0] |= {"groundingMetadata": grounding, "citationMetadata": {"citations": [{"uri": "u"}]}}
    choice = read(json.dumps(body).encode())
    text, found = choice.blocks
    assert isinstance(text, Text)
    assert len(text.citations) == 1
    assert isinstance(found, Opaque)
    assert (found.kind, json.loads(bytes(found.raw))) == ("grounding", grounding)
    told = json.loads(DIALECT.write_reply(Reply("gemini", "r", "g", (choice,), None), "m"))["candidates"][0]
    assert told["groundingMetadata"] == grounding
    assert told["citationMetadata"] == {"citationSources": [{"uri": "u"}]}


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 2}, Usage(6, 4, None, 2)),
        (
            {"promptTokenCount": 5, "toolUsePromptTokenCount": 7, "candidatesTokenCount": 1, "thoughtsTokenCount": 3},
            Usage(12, None, None, 1, 3),
        ),
        ({"promptTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 8}, Usage(5, None, None, 0, 3)),
        ({"promptTokenCount": "5", "candidatesTokenCount": -1}, Usage(5)),
        ({"promptTokenCount": 10**30}, Usage()),
        ({"promptTokenCount": 10**15, "candidatesTokenCount": 1}, Usage(None, None, None, 1)),
        ({"promptTokenCount": {}}, None),
    ],
)
def test_usage(counts: dict[str, Any], usage: Usage | None) -> None:
    body = answer({"text": "x"}, usageMetadata=counts)
    assert DIALECT.read_reply(body).usage == usage
    assert DIALECT.glance_reply(body) == usage


def test_output_that_is_not_counted_yet_is_unknown() -> None:
    counts = {"promptTokenCount": 5, "totalTokenCount": 5}
    piece = b"data: " + answer({"text": "x"}, reason=None, usageMetadata=counts) + b"\n\n"
    (reported,) = [event for event in events_of(DIALECT, piece) if isinstance(event, Reported)]
    assert reported.usage == Usage(5)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"<html>",
        b'{"candidates":[]}',
        b'{"candidates":7}',
        b'{"candidates":[{"content":7}]}',
        *(b'{"candidates":[{"content":{"parts":[{"text":7}]}}]}', b'{"candidates":' + b"[" * 100_000, b'{"a":"\xff"}'),
    ],
)
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(UpstreamFault) as caught:
        DIALECT.read_reply(body)
    assert caught.value.fault.kind is FaultKind.MALFORMED
    reader = DIALECT.reader()
    framing = DIALECT.framing()
    try:
        frames = framing.feed(b"data: " + body + b"\n\n") + framing.end()
        events = [event for frame in frames for event in reader.feed(frame)] + reader.end()
        assert isinstance(events[-1], Failed)
    except UpstreamFault as failure:
        assert failure.fault.kind is FaultKind.MALFORMED


ERROR = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}


@pytest.mark.parametrize("body", [json.dumps(ERROR).encode(), json.dumps([ERROR], indent=2).encode()])
def test_an_error_under_a_status_of_success(body: bytes) -> None:
    for read_whole in (DIALECT.read_reply, DIALECT.glance_reply):
        with pytest.raises(UpstreamFault) as caught:
            read_whole(body)
        assert (caught.value.fault.kind, caught.value.fault.status) == (FaultKind.OVERLOADED, 503)
    piece = b"data: " + answer({"text": "x"}, reason=None) + b"\n\n"
    for stream in (body, piece + b"data: " + json.dumps(ERROR).encode() + b"\n\n", piece + json.dumps(ERROR).encode()):
        last = events_of(DIALECT, stream)[-1]
        assert isinstance(last, Failed)
        assert last.fault.kind is FaultKind.OVERLOADED
        watcher = DIALECT.watcher(False)
        framing = DIALECT.framing()
        faults = [seen.fault for seen in map(watcher.see, framing.feed(stream) + framing.end()) if seen.fault]
        assert faults[0] == last.fault


RETRY = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}]
BAD_KEY = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]


@pytest.mark.parametrize(
    ("status", "error", "kind", "retry_after_s"),
    [
        (429, {"status": "RESOURCE_EXHAUSTED", "details": RETRY}, FaultKind.RATE_LIMITED, 3.5),
        (429, {"status": "RESOURCE_EXHAUSTED", "message": "Please retry in 250ms."}, FaultKind.RATE_LIMITED, 0.25),
        (
            429,
            {"status": "RESOURCE_EXHAUSTED", "details": [{"violations": [{"quotaId": "RequestsPerDayPerModel"}]}]},
            FaultKind.QUOTA_EXHAUSTED,
            None,
        ),
        (400, {"status": "INVALID_ARGUMENT", "details": BAD_KEY}, FaultKind.UNAUTHORIZED, None),
        (400, {"status": "INVALID_ARGUMENT", "details": [7, {"@type": 1}]}, FaultKind.BAD_REQUEST, None),
        (400, {"message": "The input token count (9) exceeds the maximum"}, FaultKind.CONTEXT_OVERFLOW, None),
        (403, {"status": "PERMISSION_DENIED"}, FaultKind.FORBIDDEN, None),
        (404, {"status": "NOT_FOUND"}, FaultKind.MODEL_NOT_FOUND, None),
        (500, {"status": "INTERNAL"}, FaultKind.SERVER_ERROR, None),
        (503, {"status": "UNAVAILABLE"}, FaultKind.OVERLOADED, None),
        (504, {"status": "DEADLINE_EXCEEDED"}, FaultKind.UPSTREAM_TIMEOUT, None),
        (418, "short", FaultKind.BAD_REQUEST, None),
    ],
)
def test_faults(status: int, error: Any, kind: FaultKind, retry_after_s: float | None) -> None:
    body: Any = {"error": error}
    for told in (body, [body]):
        fault = DIALECT.read_fault(status, {}, json.dumps(told).encode())
        assert (fault.kind, fault.retry_after_s, fault.status) == (kind, retry_after_s, status)


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"[[[", b"[1]", b'{"error":7}', b"\xff"])
def test_a_fault_is_read_of_anything(body: bytes) -> None:
    assert DIALECT.read_fault(502, {"retry-after": "2"}, body).kind is FaultKind.SERVER_ERROR


def test_an_error_as_google_writes_them() -> None:
    error = CallerError(
        kind=ErrorKind.RATE_LIMITED, message="slow down", status=429, retry_after_s=1.5, detail={"a": 1}
    )
    assert json.loads(DIALECT.write_fault(error)) == {
        "error": {
            "code": 429,
            "message": "slow down",
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}],
            "waypost": {"a": 1},
        }
    }


END = Stop(StopKind.END, "end_turn")


def write(events: list[Event], array: bool = False) -> bytes:
    writer = (ARRAY if array else DIALECT).writer("m", True)
    return b"".join([writer.write(event) for event in events])


def streamed(*blocks: Block) -> list[Event]:
    events: list[Event] = [Started("msg_1", "claude", 0)]
    for index, block in enumerate(blocks):
        match block:
            case Thinking(text=text, signature=signature):
                events += [BlockStarted(index, Thinking("", None, block.origin))]
                events += [Delta(index, text=text)] if text else []
                events += [Delta(index, signature=signature)] if signature else []
            case ToolCall():
                events += [BlockStarted(index, ToolCall(block.id, block.name, ""))]
                events += [Delta(index, arguments=character) for character in block.arguments]
            case _:
                events += [BlockStarted(index, block)]
        events.append(BlockEnded(index))
    return [*events, Stopped(END), Reported(Usage(3, 4, 5, 6, 7)), Finished()]


BLOCKS = (
    Thinking("hm", "sig", "anthropic"),
    Text("x"),
    RedactedThinking("enc", "anthropic"),
    Thinking("", "own", "gemini"),
    ToolCall("t1", "f", '{"n": 12345678901234567890123}'),
    Opaque("anthropic", "server_tool_use", Raw(b"{}")),
    ToolCall("t2", "g", "not json"),
    Thinking("", "more", "openai_responses"),
)


@pytest.mark.parametrize("array", [False, True])
def test_others_answers_are_streamed_as_they_are_written_whole(array: bool) -> None:
    whole = DIALECT.write_reply(
        Reply("anthropic", "msg_1", "claude", (Choice(BLOCKS, END),), Usage(3, 4, 5, 6, 7), 0), "m"
    )
    told = json.loads(whole)
    stream = write(streamed(*BLOCKS), array)
    reply = fold(events_of(DIALECT, stream), "gemini")
    assert reply == DIALECT.read_reply(whole)
    assert reply.usage == Usage(8, 4, None, 6, 7)
    assert (told["responseId"], told["modelVersion"], told["createTime"]) == ("1", "claude", "1970-01-01T00:00:00Z")
    assert b"12345678901234567890123" in stream
    assert stream.count(b"finishReason") == 1
    for foreign in (b"msg_1", b"end_turn", b"server_tool_use", b"enc"):
        assert foreign not in stream
    signature = told["candidates"][0]["content"]["parts"][0]["thoughtSignature"]
    assert b64decode(signature) == b"waypost.anthropic.sig"


def test_line_breaks_of_received_json_do_not_break_events() -> None:
    call = ToolCall("t", "f", '{\n "n":\r\n 12345678901234567890123.0\n}')
    reply = fold(events_of(DIALECT, write(streamed(call))), "gemini")
    assert reply.choices[0].blocks == (ToolCall("t", "f", '{"n":12345678901234567890123.0}'),)


def test_a_caller_gives_others_signatures_back() -> None:
    body = json.loads(DIALECT.write_reply(Reply("anthropic", "1", "c", (Choice(BLOCKS, END),), None), "m"))
    content = body["candidates"][0]["content"]
    content["parts"][0]["thoughtSignature"] = content["parts"][0]["thoughtSignature"].replace("+", "-").rstrip("=")
    request = DIALECT.read_request(json.dumps({"contents": [{"parts": [{"text": "hi"}]}, content]}).encode())
    thinking = [block for block in request.turns[1].blocks if isinstance(block, Thinking)]
    assert thinking == [
        Thinking("hm", "sig", "anthropic"),
        Thinking("", "own", "gemini"),
        Thinking("", "more", "openai_responses"),
    ]


def test_a_refusal_is_told_by_its_reason() -> None:
    choice = Choice((Refusal("no"),), END)
    told = json.loads(DIALECT.write_reply(Reply("openai_chat", "1", "c", (choice,), None), "m"))["candidates"][0]
    assert (told["finishReason"], told["content"]["parts"]) == ("SAFETY", [{"text": "no"}])
    assert b'"SAFETY"' in write(
        [Started(None, None), BlockStarted(0, Refusal("no")), BlockEnded(0), Stopped(END), Finished()]
    )


def test_a_stream_without_a_reason_gets_none() -> None:
    written = write([Started(None, None), BlockStarted(0, Text("")), Delta(0, text="x"), BlockEnded(0), Finished()])
    assert b"finishReason" not in written
    assert isinstance(events_of(DIALECT, written)[-1], Failed)


def test_nothing_follows_an_error() -> None:
    writer = ARRAY.writer("m", True)
    told = writer.fail(CallerError(kind=ErrorKind.INTERNAL, message="x", status=500))
    assert json.loads(told)[0]["error"]["status"] == "INTERNAL"
    assert writer.write(Finished()) == writer.fail(CallerError(kind=ErrorKind.INTERNAL, message="x", status=500)) == b""


def test_the_query_decides_the_form_of_a_stream() -> None:
    assert DIALECT.for_query is not None
    for query, form in (("alt=sse", DIALECT), ("key=a&alt=sse", DIALECT), ("", ARRAY), ("alt=json", ARRAY)):
        assert DIALECT.for_query(query) is form
    assert (ARRAY.name, ARRAY.stream_type) == ("gemini", "application/json")


def test_an_array_without_its_end_is_cut() -> None:
    piece = answer({"text": "x"})
    watcher, framing = ARRAY.watcher(False), ARRAY.framing()
    assert [watcher.see(frame).finished for frame in framing.feed(b"[" + piece + b"]")] == [False, True]
    assert isinstance(events_of(ARRAY, b"[" + piece)[-1], Failed)
    assert isinstance(events_of(ARRAY, b"[" + piece + b"]")[-1], Finished)
    unfinished = b"[" + answer({"text": "x"}, reason=None) + b"]"
    assert isinstance(events_of(ARRAY, unfinished)[-1], Failed)
    frames = ARRAY.framing().feed(unfinished)
    watcher = ARRAY.watcher(False)
    assert [watcher.see(frame).fault is not None for frame in frames] == [False, True]
