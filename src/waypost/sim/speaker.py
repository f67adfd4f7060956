"""What a protocol is to the rest of the simulator: its words for what all protocols have."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from waypost.sim.connection import Received
from waypost.sim.embedding import Embedded, Inputs
from waypost.sim.exchange import JSON, SERVER_SENT_EVENTS, Answer, Question, Rejected, StreamEvent, break_off


class Told(Struct, frozen=True):
    """An answer, and what is said of it. `model`: as sent, faults included."""

    question: Question
    answer: Answer
    model: str
    usage: bool = True
    request_id: str = ""


class Speaker(Struct, frozen=True, kw_only=True):
    """One protocol. What it says of errors are values of Rejected; `error` writes them.

    `read`: body, model without faults, whether unknown parameters are refused, bytes of the body. `head`: lines for a
    request id and the requests that remain. `error_event`: an error inside a stream, after so many events. `key`: what
    a caller showed, None for nothing.
    """

    name: str
    read: Callable[[dict[str, Any], str, bool, int], Question]
    whole: Callable[[Told], bytes]
    stream: Callable[[Told], list[StreamEvent]]
    error: Callable[[Rejected, str], bytes]
    error_event: Callable[[Told, int, str], Callable[[int], bytes]]
    head: Callable[[str, int], bytes]
    key: Callable[[Received], str | None]
    no_key: Callable[[], Rejected]
    wrong_key: Callable[[], Rejected]
    no_model: str
    bad_json: str
    unknown_model: Callable[[str], Rejected]
    too_long: Callable[[int, int], str]
    models: Callable[[list[str]], bytes]
    model: Callable[[str], bytes]
    count: Callable[[dict[str, Any], str, bool, int], Question] | None = None  # reads a request to count tokens
    counted: Callable[[Question], bytes] = lambda _: b""
    read_inputs: Callable[[dict[str, Any], str, bool], Inputs] | None = None  # what is to be embedded
    embedded: Callable[[Embedded], tuple[bytes, bytes]] = lambda _: (b"", b"")  # header lines, body
    error_head: Callable[[Rejected], bytes] = lambda _: b""
    content_type: bytes = JSON
    stream_type: bytes = SERVER_SENT_EVENTS
    malform: Callable[[bytes], bytes] = break_off


def bearer(received: Received) -> str | None:
    scheme, _, key = (received.header("authorization") or "").partition(" ")
    return key if scheme.lower() == "bearer" else None
