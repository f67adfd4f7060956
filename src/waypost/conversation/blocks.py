"""The parts of a turn. Every dialect reads into these and writes from these; none knows a dialect's field names.

`Json` is JSON text kept as it was received: numbers beyond 2^53 and key order survive.
"""

from enum import StrEnum

from msgspec import Raw, Struct

Json = Raw


class Role(StrEnum):
    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"  # tool results are blocks of a user turn
    ASSISTANT = "assistant"


class Source(Struct, frozen=True):
    """Where media lives: exactly one of `url`, `data` (base64 text) or `file_id` (a provider's own upload) is set."""

    media_type: str | None = None
    url: str | None = None
    data: str | None = None
    file_id: str | None = None


class CacheMark(Struct, frozen=True):
    """Asks the provider to cache the prompt up to and including the block that carries it."""

    ttl: str | None = None  # "5m" or "1h"; None is the provider's default


class Text(Struct, frozen=True):
    text: str
    cache: CacheMark | None = None
    citations: tuple[Json, ...] = ()  # the dialect's own citation objects


class Image(Struct, frozen=True):
    source: Source
    detail: str | None = None
    cache: CacheMark | None = None


class Document(Struct, frozen=True):
    source: Source
    name: str | None = None
    context: str | None = None
    text: str | None = None  # a plain-text document given in the request itself
    citations: bool | None = None  # whether citations of it were asked for
    cache: CacheMark | None = None


class Audio(Struct, frozen=True):
    source: Source
    format: str | None = None
    transcript: str | None = None
    id: str | None = None


class ToolCall(Struct, frozen=True):
    """`arguments` is the text the model wrote: normally a JSON object, but models err and it is carried as it is."""

    id: str
    name: str
    arguments: str
    cache: CacheMark | None = None


class ToolResult(Struct, frozen=True):
    call_id: str
    blocks: tuple["Block", ...]
    is_error: bool | None = None
    name: str | None = None
    cache: CacheMark | None = None


class Thinking(Struct, frozen=True):
    """Reasoning that may be shown. `signature` and `origin` let the provider that made it have it back, and only it."""

    text: str
    signature: str | None = None
    origin: str | None = None  # name of the dialect whose signature this is


class RedactedThinking(Struct, frozen=True):
    """Encrypted reasoning: replayed to its own dialect, never shown, never sent to another."""

    data: str
    origin: str | None = None


class Refusal(Struct, frozen=True):
    text: str


class Opaque(Struct, frozen=True):
    """A part that only its own dialect knows (a server tool's call or result, say), as received."""

    dialect: str
    kind: str
    raw: Json


Block = Text | Image | Document | Audio | ToolCall | ToolResult | Thinking | RedactedThinking | Refusal | Opaque
