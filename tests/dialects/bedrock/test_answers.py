"""Answers, streams and errors: what is read of them, and what Amazon's own client makes of those that are written."""

import base64
import json
from typing import Any

import pytest

from corpus.meaning import events_of
from dialects.bedrock.service import model
from waypost.conversation.blocks import (
    Block,
    Image,
    Json,
    Opaque,
    RedactedThinking,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
)
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
from waypost.conversation.faults import CallerError, ErrorKind, Fault, FaultKind, UpstreamFault
from waypost.conversation.fold import fold
from waypost.conversation.reply import Choice, Reply, Stop, StopKind, Usage
from waypost.dialects.bedrock import DIALECT
from waypost.wire.eventstream import event as message
from waypost.wire.eventstream import exception
from waypost.wire.frames import Frame

BLOCKS: tuple[Block, ...] = (
    Thinking("hm", "sig", "anthropic"),
    RedactedThinking("enc", "anthropic"),
    Text("a", citations=(Json(b'{"type":"url_citation"}'), Json(b'{"location":{"web":{"url":"u"}},"title":"t"}'))),
    Refusal("no"),
    ToolCall("call 1", "f", '{"a":1}'),
    Image(Source("image/png", data="iVBORw==")),
    Opaque("anthropic", "server_tool_use", Json(b"{}")),
)
REPLY = Reply("anthropic", "msg_1", "m", (Choice(BLOCKS, Stop(StopKind.TOOL, "tool_calls")),), Usage(1, 2, 3, 4, 5))


def their_reply(status: int, headers: dict[str, str], body: bytes) -> Any:
    parsers = pytest.importorskip("botocore.parsers")
    shape = model().operation_model("Converse").output_shape
    told = {"status_code": status, "headers": headers, "body": body}
    return parsers.create_parser("rest-json").parse(told, shape)


class Raw:
    def __init__(self, stream: bytes) -> None:
        self._stream = stream

    def stream(self) -> Any:
        return iter([self._stream])


def their_events(stream: bytes) -> list[dict[str, Any]]:
    eventstream = pytest.importorskip("botocore.eventstream")
    parsers = pytest.importorskip("botocore.parsers")
    operation = model().operation_model("ConverseStream")
    shape = operation.output_shape.members["stream"]
    parser = parsers.create_parser("rest-json")
    return list(eventstream.EventStream(Raw(stream), shape, parser._event_stream_parser, "ConverseStream"))


def test_amazons_client_reads_a_written_answer() -> None:
    read = their_reply(200, {}, DIALECT.write_reply(REPLY, "m"))
    assert read["output"]["message"]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "waypost.anthropic.sig"}}},
        {"reasoningContent": {"redactedContent": b"waypost.anthropic.enc"}},
        {
            "citationsContent": {
                "content": [{"text": "a"}],
                "citations": [{"location": {"web": {"url": "u"}}, "title": "t"}],
            }
        },
        {"text": "no"},
        {"toolUse": {"toolUseId": read_id(read), "name": "f", "input": {"a": 1}}},
        {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}},
    ]
    assert read["stopReason"] == "tool_use"
    assert read["usage"] == {
        "inputTokens": 1,
        "outputTokens": 9,
        "totalTokens": 15,
        "cacheReadInputTokens": 2,
        "cacheWriteInputTokens": 3,
    }


def read_id(read: Any) -> str:
    return str(
        next(block["toolUse"]["toolUseId"] for block in read["output"]["message"]["content"] if "toolUse" in block)
    )


def events() -> list[Event]:
    told: list[Event] = [Started("msg_1", "m"), BlockStarted(0, Thinking("", None, "anthropic")), Delta(0, text="hm")]
    told += [Delta(0, signature="sig"), BlockEnded(0), BlockStarted(1, RedactedThinking("enc", "anthropic"))]
    told += [BlockEnded(1), BlockStarted(2, Text("")), BlockEnded(2), BlockStarted(3, Text("")), Delta(3, text="a")]
    told += [Delta(3, citation=Json(b'{"sourceContent":[{"text":"x"}]}')), Delta(3, citation=Json(b'{"type":"u"}'))]
    told += [
        BlockEnded(3),
        BlockStarted(4, ToolCall("t", "f", "")),
        Delta(4, arguments='{"a":'),
        Delta(4, arguments="1}"),
    ]
    told += [BlockEnded(4), Stopped(Stop(StopKind.TOOL, "tool_use")), Reported(Usage(1, output=2))]
    return told


def streamed(told: list[Event]) -> bytes:
    writer = DIALECT.writer("m", False)
    return b"".join([writer.write(event) for event in told])


def test_amazons_client_reads_a_written_stream() -> None:
    assert their_events(streamed([*events(), Finished()])) == [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}},
        {
            "contentBlockDelta": {
                "contentBlockIndex": 0,
                "delta": {"reasoningContent": {"signature": "waypost.anthropic.sig"}},
            }
        },
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {
            "contentBlockDelta": {
                "contentBlockIndex": 1,
                "delta": {"reasoningContent": {"redactedContent": b"waypost.anthropic.enc"}},
            }
        },
        {"contentBlockStop": {"contentBlockIndex": 1}},
        {"contentBlockDelta": {"contentBlockIndex": 2, "delta": {"text": "a"}}},
        {"contentBlockDelta": {"contentBlockIndex": 2, "delta": {"citation": {"sourceContent": [{"text": "x"}]}}}},
        {"contentBlockStop": {"contentBlockIndex": 2}},
        {"contentBlockStart": {"contentBlockIndex": 3, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}},
        {"contentBlockDelta": {"contentBlockIndex": 3, "delta": {"toolUse": {"input": '{"a":'}}}},
        {"contentBlockDelta": {"contentBlockIndex": 3, "delta": {"toolUse": {"input": "1}"}}}},
        {"contentBlockStop": {"contentBlockIndex": 3}},
        {"messageStop": {"stopReason": "tool_use"}},
        {"metadata": {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}}},
    ]


def test_no_end_is_invented() -> None:
    cut = DIALECT.framing().feed(streamed(events()))
    assert {frame.event for frame in cut}.isdisjoint({"messageStop", "metadata"})
    unstopped = DIALECT.framing().feed(streamed([Started(None, None), Finished()]))
    assert [frame.event for frame in unstopped] == ["messageStart"]


def test_amazons_client_raises_for_a_stream_that_fails() -> None:
    fault = Fault(kind=FaultKind.OVERLOADED, message="busy", type="overloaded_error")
    exceptions = pytest.importorskip("botocore.exceptions")
    stream = streamed([*events(), Failed(fault), Finished()])
    with pytest.raises(exceptions.EventStreamError) as caught:
        their_events(stream)
    assert caught.value.response["Error"] == {"Code": "modelStreamErrorException", "Message": "busy"}


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (ErrorKind.BAD_REQUEST, 400, "ValidationException"),
        (ErrorKind.UNAUTHORIZED, 401, "UnrecognizedClientException"),
        (ErrorKind.OVER_BUDGET, 402, "ServiceQuotaExceededException"),
        (ErrorKind.POLICY_DENIED, 403, "AccessDeniedException"),
        (ErrorKind.UNKNOWN_MODEL, 404, "ResourceNotFoundException"),
        (ErrorKind.TOO_LARGE, 413, "ValidationException"),
        (ErrorKind.RATE_LIMITED, 429, "ThrottlingException"),
        (ErrorKind.UPSTREAM_FAILED, 502, "InternalServerException"),
        (ErrorKind.UNAVAILABLE, 503, "ServiceUnavailableException"),
        (ErrorKind.DEADLINE, 504, "ModelTimeoutException"),
    ],
)
def test_amazons_client_reads_a_written_error(kind: ErrorKind, status: int, code: str) -> None:
    error = CallerError(kind=kind, message="why", status=status, detail={"attempts": []})
    read = their_reply(status, {}, DIALECT.write_fault(error))
    assert read["Error"] == {"Code": code, "Message": "why"}
    own = CallerError(kind=kind, message="why", status=status, cause=fault_of("ModelErrorException"))
    assert their_reply(status, {}, DIALECT.write_fault(own))["Error"]["Code"] == "ModelErrorException"


def fault_of(type_: str) -> Fault:
    return Fault(kind=FaultKind.SERVER_ERROR, message="m", type=type_)


FAULTS = [
    (400, "ValidationException", "Input is too long for requested model.", FaultKind.CONTEXT_OVERFLOW),
    (400, "ValidationException", "The provided model identifier is invalid.", FaultKind.MODEL_NOT_FOUND),
    (400, "ValidationException", "x is required", FaultKind.BAD_REQUEST),
    (403, "AccessDeniedException", "no access", FaultKind.FORBIDDEN),
    (403, "ExpiredTokenException", "expired", FaultKind.UNAUTHORIZED),
    (404, "ResourceNotFoundException", "none", FaultKind.MODEL_NOT_FOUND),
    (408, "ModelTimeoutException", "late", FaultKind.UPSTREAM_TIMEOUT),
    (424, "ModelErrorException", "oh", FaultKind.SERVER_ERROR),
    (429, "ThrottlingException", "Too many requests", FaultKind.RATE_LIMITED),
    (429, "ThrottlingException", "Too many tokens per day, please wait", FaultKind.QUOTA_EXHAUSTED),
    (429, "ModelNotReadyException", "soon", FaultKind.OVERLOADED),
    (500, "InternalServerException", "oh", FaultKind.SERVER_ERROR),
    (503, "ServiceUnavailableException", "busy", FaultKind.OVERLOADED),
    (418, "NewException", "tea", FaultKind.BAD_REQUEST),
]


@pytest.mark.parametrize(("status", "type_", "text", "kind"), FAULTS)
def test_an_error_is_known_by_its_exception(status: int, type_: str, text: str, kind: FaultKind) -> None:
    told = json.dumps({"message": text}).encode()
    inside = json.dumps({"__type": f"com.amazon.bedrock#{type_}", "Message": text}).encode()
    named = {"x-amzn-errortype": f"{type_}:http://internal.amazon.com/", "retry-after": "3"}
    fault = DIALECT.read_fault(status, named, told)
    assert fault == Fault(kind=kind, message=text, status=status, type=type_, retry_after_s=3.0)
    assert DIALECT.read_fault(status, {}, inside) == Fault(kind=kind, message=text, status=status, type=type_)
    assert their_reply(status, named, told)["Error"]["Code"] == type_


@pytest.mark.parametrize(
    ("raw", "kind", "status", "type_"),
    [
        (exception("throttlingException", b'{"message":"m"}'), FaultKind.RATE_LIMITED, 429, "ThrottlingException"),
        (exception("validationException", b'{"message":"m"}'), FaultKind.BAD_REQUEST, 400, "ValidationException"),
        (
            exception("internalServerException", b'{"message":"m"}'),
            FaultKind.SERVER_ERROR,
            500,
            "InternalServerException",
        ),
        (
            exception("modelStreamErrorException", b'{"originalMessage":"m","originalStatusCode":500}'),
            FaultKind.SERVER_ERROR,
            424,
            "ModelStreamErrorException",
        ),
        (
            exception("serviceUnavailableException", b'{"message":"m"}'),
            FaultKind.OVERLOADED,
            503,
            "ServiceUnavailableException",
        ),
    ],
)
def test_an_exception_ends_a_stream(raw: bytes, kind: FaultKind, status: int, type_: str) -> None:
    fault = Fault(kind=kind, message="m", status=status, type=type_)
    told = events_of(DIALECT, message("messageStart", b"{}") + raw + message("messageStop", b"{}"))
    assert told == [Started(None, None), Failed(fault)]
    (frame,) = DIALECT.framing().feed(raw)
    assert DIALECT.watcher(False).see(frame).fault == fault


def test_an_error_under_a_status_of_success_is_one() -> None:
    for read in (DIALECT.read_reply, DIALECT.glance_reply):
        with pytest.raises(UpstreamFault) as caught:
            read(b'{"__type":"ThrottlingException","message":"m"}')
        assert caught.value.fault.kind is FaultKind.RATE_LIMITED
    with pytest.raises(UpstreamFault) as caught:
        DIALECT.read_reply(b'{"usage":{}}')
    assert caught.value.fault.kind is FaultKind.MALFORMED


def stream_of(*told: tuple[str, Any]) -> bytes:
    whole = [("messageStart", {"role": "assistant"}), *told, ("messageStop", {"stopReason": "end_turn"})]
    return b"".join([message(name, json.dumps(data).encode()) for name, data in whole])


def blocks_of(stream: bytes) -> tuple[Block, ...]:
    return fold(events_of(DIALECT, stream), "bedrock").choices[0].blocks


def delta(index: int, **told: Any) -> tuple[str, Any]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": told}


def start(index: int, **told: Any) -> tuple[str, Any]:
    return "contentBlockStart", {"contentBlockIndex": index, "start": told}


def stop(index: int) -> tuple[str, Any]:
    return "contentBlockStop", {"contentBlockIndex": index}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_what_comes_in_pieces_that_mean_nothing_alone_is_given_whole() -> None:
    blocks = blocks_of(
        stream_of(
            delta(0, reasoningContent={"redactedContent": b64(b"a")}),
            delta(0, reasoningContent={"redactedContent": b64(b"bc")}),
            stop(0),
            start(1, toolUse={"toolUseId": "u", "name": "g", "type": "server_tool_use"}),
            delta(1, toolUse={"input": '{"q":'}),
            delta(1, toolUse={"input": "1}"}),
            stop(1),
            start(2, toolResult={"toolUseId": "u", "type": "r", "status": "success"}),
            delta(2, toolResult=[{"text": "x"}]),
            delta(2, toolResult=[{"json": {"a": 1}}]),
            stop(2),
            start(3, image={"format": "png"}),
            delta(3, image={"source": {"bytes": b64(b"\x89P")}}),
            delta(3, image={"source": {"bytes": b64(b"NG")}}),
            stop(3),
        )
    )
    hidden, call, result, image = blocks
    assert hidden == RedactedThinking(b64(b"abc"), "bedrock")
    assert isinstance(call, Opaque)
    assert isinstance(result, Opaque)
    assert (call.kind, json.loads(bytes(call.raw))) == (
        "server_tool_use",
        {"toolUse": {"toolUseId": "u", "name": "g", "type": "server_tool_use", "input": {"q": 1}}},
    )
    assert json.loads(bytes(result.raw))["toolResult"]["content"] == [{"text": "x"}, {"json": {"a": 1}}]
    assert image == Image(Source("image/png", data=b64(b"\x89PNG")))


def test_blocks_need_neither_start_nor_stop_to_be_told_apart() -> None:
    blocks = blocks_of(
        stream_of(
            stop(0),
            delta(0, text="a"),
            delta(1, text="b"),
            start(2, toolUse={"toolUseId": "t", "name": "f"}),
            stop(2),
            delta(3, reasoningContent={"text": "hm"}),
            delta(3, reasoningContent={"signature": "s"}),
        )
    )
    assert blocks == (Text("a"), Text("b"), ToolCall("t", "f", "{}"), Thinking("hm", "s", "bedrock"))


@pytest.mark.parametrize(
    "told",
    [
        [delta(0, toolUse={"input": "{}"})],
        [start(0, toolUse={"name": "f"})],
        [delta(0, toolResult=[{"text": "x"}])],
        [
            start(0, image={"format": "png"}),
            delta(0, image={"source": {"bytes": "*"}}),
            delta(0, image={"source": {"bytes": "*"}}),
        ],
        [("messageStop", {"stopReason": "end_turn"}), delta(0, text="late")],
        [("contentBlockDelta", {"delta": {"text": 1}})],
    ],
)
def test_what_is_no_stream_of_this_protocol_is_malformed(told: list[tuple[str, Any]]) -> None:
    with pytest.raises(UpstreamFault) as caught:
        events_of(DIALECT, stream_of(*told))
    assert caught.value.fault.kind is FaultKind.MALFORMED


def test_a_block_that_is_held_is_bounded() -> None:
    reader = DIALECT.reader()
    reader.feed(Frame(b"", json.dumps(start(0, image={"format": "png"})[1]).encode(), "contentBlockStart"))
    piece = json.dumps(delta(0, image={"source": {"bytes": "A" * 2**20}})[1]).encode()
    with pytest.raises(UpstreamFault):
        for _ in range(17):
            reader.feed(Frame(b"", piece, "contentBlockDelta"))


def test_the_watcher_takes_broken_frames_for_faults() -> None:
    for event, data in (("contentBlockDelta", b'{"delta"'), ("metadata", b"no"), ("messageStop", b"{}")):
        fault = DIALECT.watcher(False).see(Frame(b"", data, event)).fault
        assert fault is not None
        assert fault.kind is FaultKind.MALFORMED


def test_an_answer_s_signatures_are_its_own_whatever_they_look_like() -> None:
    """Of an upstream that is a gateway itself: only it knows what it carried."""
    content = DIALECT.read_reply(DIALECT.write_reply(REPLY, "m")).choices[0].blocks
    assert content[:2] == (
        Thinking("hm", "waypost.anthropic.sig", "bedrock"),
        RedactedThinking(b64(b"waypost.anthropic.enc"), "bedrock"),
    )
