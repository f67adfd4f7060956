"""What InvokeModel wraps around Anthropic's own events. The recorded answers are read in tests/corpus."""

import base64
import json

import pytest

from waypost.conversation.events import Event, Failed
from waypost.conversation.faults import FaultKind
from waypost.dialects.anthropic import DIALECT as ANTHROPIC
from waypost.dialects.bedrock.invoke import InvokeFraming
from waypost.wire.eventstream import event as message
from waypost.wire.eventstream import exception
from waypost.wire.frames import Frame


def events_of(frames: list[Frame]) -> list[Event]:
    reader = ANTHROPIC.reader()
    return [event for frame in frames for event in reader.feed(frame)] + reader.end()


def chunk(told: object) -> bytes:
    inner = base64.b64encode(json.dumps(told).encode()).decode()
    return message("chunk", json.dumps({"bytes": inner, "p": "ab"}).encode())


STARTED = chunk({"type": "message_start", "message": {"id": "msg_1", "model": "m"}})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttlingException", FaultKind.RATE_LIMITED),
        ("modelTimeoutException", FaultKind.UPSTREAM_TIMEOUT),
        ("serviceUnavailableException", FaultKind.OVERLOADED),
        ("internalServerException", FaultKind.SERVER_ERROR),
        ("validationException", FaultKind.BAD_REQUEST),
    ],
)
def test_an_exception_is_an_error_in_anthropics_words(name: str, kind: FaultKind) -> None:
    events = events_of(InvokeFraming().feed(STARTED + exception(name, b'{"message":"no"}')))
    assert isinstance(events[-1], Failed)
    assert (events[-1].fault.kind, events[-1].fault.message) == (kind, "no")


@pytest.mark.parametrize("payload", [b"{}", b'{"bytes":1}', b'{"bytes":"*"}', b"no", b'{"bytes":"\xff"}'])
def test_a_broken_chunk_is_damage(payload: bytes) -> None:
    with pytest.raises(ValueError, match="chunk"):
        InvokeFraming().feed(message("chunk", payload))


def test_what_is_no_chunk_has_no_data() -> None:
    assert InvokeFraming().feed(message("later", b"{}")) == [Frame(message("later", b"{}"))]
