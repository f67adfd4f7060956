"""What passes between the simulator's protocols and the part that makes up answers. Values only.

Independent of the gateway's own neutral form on purpose: a witness must not share the accused's eyes.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

JSON = b"application/json"
SERVER_SENT_EVENTS = b"text/event-stream; charset=utf-8"


class Rejected(Exception):
    """A request that the provider would refuse. `param` and `code` are OpenAI's; `kind` the provider's error type.

    `retry_after`: seconds until it may be tried again, for providers that say so in the body.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str | None = None,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after = retry_after


class Tool(Struct, frozen=True):
    name: str
    schema: Any  # a JSON schema


class Choose(StrEnum):
    """Whether tools may, must or must not be called."""

    AUTO = "auto"
    ANY = "any"
    NONE = "none"


class Media(Struct, frozen=True):
    """`size` None: named by URL or file id, so its bytes are unknown."""

    kind: str  # "image", "document", "recording"
    size: int | None


class Question(Struct, frozen=True, kw_only=True):
    """What an answer depends on. Token counts are of the whole input; the cached ones are part of `input_tokens`."""

    model: str
    text: str = ""  # of the last user message
    results: tuple[str, ...] = ()  # of tools, when they are what was said last
    media: tuple[Media, ...] = ()  # in the last user message
    tools: tuple[Tool, ...] = ()
    choose: Choose = Choose.AUTO
    chosen: str | None = None  # the one tool that must be called
    parallel: bool = True
    schema: Any = None  # a JSON schema that the answer's text must satisfy
    json: bool = False  # any JSON object
    max_output: int | None = None
    stops: tuple[str, ...] = ()
    reasoning: bool = False
    show_reasoning: bool = True
    seal_reasoning: bool = False  # the answer's reasoning is to come encrypted, too
    choices: int = 1
    stream: bool = False
    include_usage: bool = False
    refuse: bool = False
    words: int | None = None
    input_tokens: int = 0
    cache_read: int = 0
    cache_write: int = 0
    repeated: Mapping[str, Any] = {}  # what an answer repeats of its request, in the protocol's own members


class Stop(StrEnum):
    END = "end"
    LENGTH = "length"
    SEQUENCE = "sequence"
    TOOLS = "tools"
    REFUSAL = "refusal"


class ToolCall(Struct, frozen=True):
    token: str  # hexadecimal; each protocol makes its own id from it
    name: str
    arguments: Mapping[str, Any]


class Choice(Struct, frozen=True, kw_only=True):
    reasoning: str = ""
    text: str = ""
    refusal: str | None = None
    calls: tuple[ToolCall, ...] = ()
    stop: Stop = Stop.END
    stop_sequence: str | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """`output_tokens` includes `reasoning_tokens`. `token`: hexadecimal, the answer's identity."""

    token: str
    choices: tuple[Choice, ...]
    output_tokens: int
    reasoning_tokens: int


class Part(StrEnum):
    """What one event of a stream is for."""

    FRAME = "frame"  # opens or closes something, or nothing (a ping)
    CONTENT = "content"
    FINISH = "finish"  # tells why it stopped
    USAGE = "usage"  # tells usage and nothing else
    DONE = "done"  # the protocol's end mark


class StreamEvent(Struct, frozen=True):
    data: bytes  # one whole event, framed
    part: Part
    tells_usage: bool = False


class Whole(Struct, frozen=True):
    """`headers` are lines with their ends, without length and type."""

    status: int
    headers: bytes
    content_type: bytes
    body: bytes


def break_off(data: bytes) -> bytes:
    """A server-sent event whose data ends inside its JSON."""
    return data[: len(data) * 2 // 3].rstrip(b"\n") + b"\n\n"


class Streamed(Struct, frozen=True):
    """`error`: how this protocol tells an error inside a stream, after so many events. `malform`: breaks an event's
    JSON and leaves its framing sound."""

    headers: bytes
    events: list[StreamEvent]
    error: Callable[[int], bytes]
    content_type: bytes = SERVER_SENT_EVENTS
    malform: Callable[[bytes], bytes] = break_off


Reply = Whole | Streamed
