"""One answer in the neutral form: what was said, why it stopped, what it used."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from waypost.conversation.blocks import Block, Json


class StopKind(StrEnum):
    END = "stop"
    LENGTH = "length"
    TOOL = "tool"
    STOP_SEQUENCE = "stop_sequence"
    REFUSAL = "refusal"  # the model or a safety filter refused
    PAUSE = "pause"  # the provider paused a long turn; send it back to go on
    OTHER = "other"


class Stop(Struct, frozen=True):
    """`raw` is the provider's own word; `sequence` the stop sequence that was met, where the provider tells."""

    kind: StopKind
    raw: str | None = None
    sequence: str | None = None


MOST_TOKENS = 10**12  # no call holds as many: what a provider counts beyond, or below 0, is not known


Count = Annotated[int, Meta(ge=0, le=MOST_TOKENS)]


class Usage(Struct, frozen=True):
    """Tokens by kind, disjoint: their sum is what was processed. None is unknown, never 0.

    `cache_write_1h` is the part of `cache_write` with a lifetime of an hour (it costs more): a part, not a sixth kind.
    """

    input: int | None = None  # uncached
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None  # without reasoning, where the provider tells them apart
    reasoning: int | None = None
    cache_write_1h: int | None = None


class Choice(Struct, frozen=True):
    blocks: tuple[Block, ...]
    stop: Stop | None
    logprobs: Json | None = None


class Reply(Struct, frozen=True):
    """`created` is Unix seconds. `extra` are members without a name here; only `dialect` can carry them."""

    dialect: str
    id: str | None
    model: str | None
    choices: tuple[Choice, ...]
    usage: Usage | None
    created: int | None = None
    extra: tuple[tuple[str, Json], ...] = ()
