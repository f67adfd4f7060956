"""What passes between the simulator's two protocols and the part that makes up answers. Values only.

Independent of the gateway's own neutral form on purpose: a witness must not share the accused's eyes.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct


class Rejected(Exception):
    """A request that the provider would refuse. `param` and `code` are OpenAI's; `kind` the provider's error type."""

    def __init__(
        self, status: int, message: str, *, kind: str | None = None, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code


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
    choices: int = 1
    stream: bool = False
    include_usage: bool = False
    refuse: bool = False
    words: int | None = None
    input_tokens: int = 0
    cache_read: int = 0
    cache_write: int = 0


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
    data: bytes  # one whole server-sent event
    part: Part
    tells_usage: bool = False


class Whole(Struct, frozen=True):
    """`headers` are lines with their ends, without length and type."""

    status: int
    headers: bytes
    content_type: bytes
    body: bytes


class Streamed(Struct, frozen=True):
    headers: bytes
    events: list[StreamEvent]
    error: bytes  # the event with which this protocol tells an error inside a stream


Reply = Whole | Streamed
