"""What a dialect is: a frozen record of pure functions. Quirks live inside them, never in this record.

Two ways through the house use it. `relay` (caller and provider speak the same dialect) uses `glance`, `edit`,
`glance_reply` and `watcher`: bytes pass, a copy is looked at. `translate` uses the readers and writers.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from waypost.conversation.events import Event
from waypost.conversation.faults import CallerError, Fault
from waypost.conversation.limits import Limit
from waypost.conversation.options import CallOptions
from waypost.conversation.reply import Reply, Stop, Usage
from waypost.conversation.request import Request
from waypost.wire.frames import Frame, Framing

Headers = tuple[tuple[str, str], ...]


class Glance(Struct, frozen=True):
    """The few fields of a request that a decision needs; the rest of the body stays unread.

    `max_output` is the caller's own limit on output tokens (per choice), if any. `unbounded_input` says that the input
    can hold more tokens than the body has bytes: media by URL or file id, hosted tools, server-side state.
    `unpriced` names what was asked for at a price that is not known (a faster tier): the cost is not known either.
    `needs` are capabilities that a target must have: "tools", "images", "documents", "audio", "structured",
    "reasoning". `options` is the decoded `waypost` member; `task`, `combination_id` come from `metadata` where that has
    them. `previous`: the id of an earlier answer that the call goes on from.
    """

    model: str
    stream: bool = False
    max_output: int | None = None
    choices: int = 1
    asked_usage: bool = False
    unbounded_input: bool = False
    unpriced: str | None = None
    needs: frozenset[str] = frozenset()
    options: CallOptions | None = None
    task: str | None = None
    combination_id: str | None = None
    previous: str | None = None


class Edits(Struct, frozen=True, kw_only=True):
    """Surgical changes to a request's bytes; everything not named here stays as it was, byte for byte.

    `want_usage` asks a stream for its usage on the caller's behalf. `max_output` sets (or lowers) the output limit in
    the field named by `max_output_field` or, where None, the one the caller used, else the dialect's own default field.
    `quirks` are the provider's. `counting`: the body asks for a count of its tokens.
    """

    model: str
    want_usage: bool = False
    max_output: int | None = None
    max_output_field: str | None = None
    remove_options: bool = False
    quirks: frozenset[str] = frozenset()
    counting: bool = False


class Shape(Struct, frozen=True, kw_only=True):
    """What a writer must know of the provider it writes for: `quirks` are names from the provider's TOML."""

    model: str
    quirks: frozenset[str] = frozenset()
    max_output: int | None = None  # clamp, as in Edits
    max_output_field: str | None = None
    default_max_output: int = 4096  # for dialects in which a limit is mandatory

    def limited(self, asked: int | None) -> int | None:
        """The limit on output tokens to write; None: none."""
        return self.max_output if asked is None else self.demanded(asked)

    def demanded(self, asked: int | None) -> int:
        """The same, where there must be one."""
        limit = self.default_max_output if asked is None else asked
        return limit if self.max_output is None else min(limit, self.max_output)


class Written(Struct, frozen=True):
    """A request as bytes, and the caller's parameters that it could not carry, by the caller's own names."""

    body: bytes
    dropped: tuple[str, ...] = ()


class Seen(Struct, frozen=True):
    """What one frame of a relayed stream was.

    `content`: carries part of the answer (text, reasoning, a tool call, a refusal), so the call is committed once it
    goes out; a role-only delta, a ping or a `message_start` is not content. `fault`: an error event. `usage`: told in
    this frame (merge member by member). `finished`: the provider's end mark (`[DONE]`, `message_stop`). `hide`: this
    frame exists only because usage was asked for on the caller's behalf.
    """

    content: bool = False
    fault: Fault | None = None
    usage: Usage | None = None
    stop: Stop | None = None
    finished: bool = False
    hide: bool = False


class Watcher(Protocol):
    """Looks at a copy of each relayed frame; cheap for frames in which nothing needs decoding. Has state."""

    def see(self, frame: Frame) -> Seen: ...


class Reader(Protocol):
    """Frames of a provider's stream → events. A frame gives any number of them. Raises UpstreamFault(MALFORMED)."""

    def feed(self, frame: Frame) -> list[Event]: ...

    def end(self) -> list[Event]:
        """The stream closed. Closes nothing that the provider did not close: a cut stream yields Failed(TRUNCATED)."""
        ...


class Writer(Protocol):
    """Events → bytes of a caller's stream. Has state; ids and indices it gives out are consistent within the stream."""

    def write(self, event: Event) -> bytes: ...

    def fail(self, error: CallerError) -> bytes:
        """A well-formed error event, legal at any point of the stream. Nothing may follow it."""
        ...


class Door(Struct, frozen=True):
    """A path that is served, `{model}` in it standing for a name. `stream` None: the body says whether to stream.

    `counts`: tokens are counted there, and no model is asked. `embeds`: inputs are turned into vectors.
    """

    path: str
    stream: bool | None = None
    counts: bool = False
    embeds: bool = False


class Memory(Struct, frozen=True, kw_only=True):
    """For a protocol in which a call may go on from an earlier answer: what it takes to keep answers for providers that
    don't. All of it works on bytes of this protocol.

    `prefix`: how the ids of what is kept here begin. `not_found`: the protocol's code for an id that nobody knows.
    `wanted(request)`: whether the caller lets the answer be kept. `said(request)`: the JSON array of what it says, to
    be kept with the answer. `continued(request, said, answer, at_home)`: the request with what was said before in it,
    in place of the id; `at_home`: for a provider of this protocol, who takes no reasoning of others. These three raise
    Refused(BAD_REQUEST).
    `keeping(dialect, id, previous, keep)`: the dialect, writing its answers under that id, each of which is given to
    `keep` when it is whole and before its end is written. `keep` says whether it was kept.
    """

    prefix: str
    not_found: str
    wanted: Callable[[bytes], bool]
    said: Callable[[bytes], bytes]
    continued: Callable[[bytes, bytes, bytes, bool], bytes]
    keeping: "Callable[[Dialect, str, str | None, Callable[[bytes], bool]], Dialect]"


class LimitHeaders(Struct, frozen=True):
    """Names are lower-case; both are also told the time, in Unix seconds. What is not a limit's is not looked at."""

    read: Callable[[Mapping[str, str], float], tuple[Limit, ...]]
    write: Callable[[tuple[Limit, ...], float], Headers]


class Dialect(Struct, frozen=True, kw_only=True):
    """`glance` and `read_request` raise Refused(BAD_REQUEST) that names the field; `read_reply` raises UpstreamFault.

    `writer(request_model, include_usage)`: the model name to show when the provider tells none, and whether the caller
    asked for usage in its stream. `read_fault(status, headers, body)`: header names are lower-case.
    `doors` are the paths at which callers speak it, `path` what is appended to a provider's base URL; in both `{model}`
    is where the name goes if the path holds it. `stream_path` and `stream_query`: for streams, where these differ.
    `count_path` is where a provider that counts tokens does so.
    Where the path says which model and whether to stream, `glance` and `read_request` leave both at "" and False, and
    `edit` has no name to change. `for_query`: the form of this dialect that a caller's query asks for, where that
    decides how a stream looks; of the same name. `passes`: whether a parameter of that query, by its name, is for a
    provider to see; None where all are. `for_request`: a dialect as a translated request wants its answers,
    where these say of its tools what the neutral form does not; of the same name, and the same where there is nothing
    to say. `stream_type` is the content type of a stream. `ends_without_mark`: a stream that closes after its stop
    reasons is whole even if the end mark did not come (many OpenAI-like servers).
    `fault_headers`: what an error says in headers, where SDKs look for it there. `memory`: where a call may go on from
    an earlier answer. `limits`: how headers tell what a provider still lets its caller ask.
    """

    name: str
    doors: tuple[Door, ...]
    path: str
    stream_path: str | None = None
    stream_query: str = ""
    count_path: str | None = None
    for_query: "Callable[[str], Dialect] | None" = None
    passes: Callable[[str], bool] | None = None
    for_request: "Callable[[Dialect, Request], Dialect] | None" = None
    stream_type: str
    ends_without_mark: bool = False
    framing: Callable[[], Framing]
    glance: Callable[[bytes], Glance]
    edit: Callable[[bytes, Glance, Edits], bytes]
    rename: Callable[[bytes, bytes, bytes], bytes]  # `edit` of the model alone: from and to, as JSON
    glance_reply: Callable[[bytes], Usage | None]  # raises as `read_reply` does
    watcher: Callable[[bool], Watcher]  # argument: hide usage frames (it was asked for on the caller's behalf)
    read_request: Callable[[bytes], Request]
    write_request: Callable[[Request, Shape], Written]
    read_reply: Callable[[bytes], Reply]
    write_reply: Callable[[Reply, str], bytes]  # second argument: the model name to show if the reply has none
    reader: Callable[[], Reader]
    writer: Callable[[str, bool], Writer]
    read_fault: Callable[[int, Mapping[str, str], bytes], Fault]
    write_fault: Callable[[CallerError], bytes]
    fault_headers: Callable[[CallerError], Headers] | None = None
    limits: LimitHeaders | None = None
    memory: Memory | None = None
