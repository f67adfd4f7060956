"""One request in the neutral form."""

from enum import StrEnum

from msgspec import Struct

from waypost.conversation.blocks import Block, CacheMark, Json, Role


class Turn(Struct, frozen=True):
    role: Role
    blocks: tuple[Block, ...]
    name: str | None = None
    extra: tuple[tuple[str, Json], ...] = ()  # members the neutral form has no name for; same dialect only


class ToolForm(Struct, frozen=True):
    """How its own dialect has a tool that is no plain function there. All others see the function alone.

    `name` is its name within `namespace`; `space` is that namespace as received, without its tools; `custom` a tool
    that takes text instead of JSON, as received.
    """

    dialect: str
    name: str
    namespace: str | None = None
    space: Json | None = None
    custom: Json | None = None


class Tool(Struct, frozen=True):
    """A function the model may call. `parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None
    cache: CacheMark | None = None
    extra: tuple[tuple[str, Json], ...] = ()
    form: ToolForm | None = None


class HostedTool(Struct, frozen=True):
    """A tool that the provider runs itself (web search, code execution): only its own dialect can carry it."""

    dialect: str
    kind: str
    raw: Json


class ToolChoiceMode(StrEnum):
    AUTO = "auto"
    NONE = "none"
    ANY = "any"  # some tool must be called
    NAMED = "named"  # the tool called `name` must be called


class ToolChoice(Struct, frozen=True):
    mode: ToolChoiceMode
    name: str | None = None


class Reasoning(Struct, frozen=True):
    """How hard to think. Unset members were not said. `enabled` False forbids thinking."""

    enabled: bool | None = None
    adaptive: bool | None = None
    budget_tokens: int | None = None
    effort: str | None = None  # "minimal", "low", "medium", "high", …
    display: str | None = None


class OutputFormat(Struct, frozen=True):
    """`schema` None asks for any JSON object, else for JSON that fits the schema."""

    name: str | None = None
    schema: Json | None = None
    strict: bool | None = None
    description: str | None = None


class Request(Struct, frozen=True):
    """What a caller asks of a model.

    `dialect` is the one it was read from: `extra` (top-level parameters without a name here, as received) can be
    carried to that dialect only; a writer of another dialect reports each of them as dropped.
    """

    dialect: str
    model: str
    turns: tuple[Turn, ...]
    stream: bool = False
    usage_in_stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    choices: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: tuple[Tool | HostedTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    output: OutputFormat | None = None
    user: str | None = None
    service_tier: str | None = None
    extra: tuple[tuple[str, Json], ...] = ()
    store: bool | None = (
        None  # whether the provider is to keep the answer; most can't, so that False asks them for nothing
    )
