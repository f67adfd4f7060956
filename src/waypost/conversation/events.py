"""A streamed answer in the neutral form. Folding the events of a stream gives the reply it stands for.

Order: `Started` once and first; then per block `BlockStarted`, its deltas, `BlockEnded`; per choice `Stopped`;
`Reported` whenever usage is told (the last one told wins, member by member); `Finished` once and last when the
provider said that it was done. A stream without `Finished` was cut. `Failed` ends a stream too.
Blocks of one choice do not overlap.
"""

from msgspec import Struct

from waypost.conversation.blocks import Block, Json
from waypost.conversation.faults import Fault
from waypost.conversation.reply import Stop, Usage


class Started(Struct, frozen=True):
    id: str | None
    model: str | None
    created: int | None = None


class BlockStarted(Struct, frozen=True):
    """`block` is the empty or first form: `Text("")`, `ToolCall(id, name, "")`, `Thinking("")`, or a whole `Opaque`."""

    index: int  # the block's place within its choice, counted from 0 over all kinds
    block: Block
    choice: int = 0


class Delta(Struct, frozen=True):
    """More of an open block. Exactly one member is set."""

    index: int
    choice: int = 0
    text: str | None = None  # of Text, Thinking or Refusal
    arguments: str | None = None  # of ToolCall
    signature: str | None = None  # of Thinking
    citation: Json | None = None  # of Text
    opaque: Json | None = None  # of Opaque: the dialect's own delta
    logprobs: Json | None = None


class BlockEnded(Struct, frozen=True):
    index: int
    choice: int = 0


class Stopped(Struct, frozen=True):
    stop: Stop
    choice: int = 0


class Reported(Struct, frozen=True):
    usage: Usage


class Finished(Struct, frozen=True):
    pass


class Failed(Struct, frozen=True):
    fault: Fault


Event = Started | BlockStarted | Delta | BlockEnded | Stopped | Reported | Finished | Failed
