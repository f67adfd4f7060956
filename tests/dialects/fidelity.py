"""What survives each crossing: every feature of a request and of an answer, written and read by every pair of dialects.

`page` prints docs/fidelity.md of what it finds. Nothing here knows what should be found: a feature counts as carried if
the other dialect's own reader finds in what was written what the caller said.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from waypost.config import catalogue
from waypost.conversation.blocks import (
    Audio,
    CacheMark,
    Document,
    Image,
    RedactedThinking,
    Refusal,
    Role,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from waypost.conversation.faults import CallerError, ErrorKind, WaypostError
from waypost.conversation.limits import Limit
from waypost.conversation.reply import Choice, Reply, Stop, StopKind, Usage
from waypost.conversation.request import (
    OutputFormat,
    Reasoning,
    Request,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    Turn,
)
from waypost.dialects.dialect import Dialect, Shape
from waypost.dialects.registry import DIALECTS
from waypost.gateway.headers import limit_headers, passed_headers

CARRIED, CHANGED, DROPPED, UNSAID, RELAYED = "yes", "changed", "dropped", "–", "bytes"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjEKJSVFT0YK"
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
SCHEMA = Raw(
    b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}'
)
TOOL = Tool("weather", "tells the weather", SCHEMA)
CALLS = (ToolCall("call_1", "weather", '{"city":"Rome"}'), ToolCall("call_2", "weather", '{"city":"Oslo"}'))
# A provider of each protocol, with a model of today: what can be carried may hang on both.
MODELS = {
    "openai_chat": ("openai", "gpt-5"),
    "openai_responses": ("openai", "gpt-5"),
    "anthropic": ("anthropic", "claude-sonnet-4-5"),
    "gemini": ("gemini", "gemini-2.5-pro"),
    "cohere": ("cohere", "command-a-reasoning"),
    "bedrock": ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
}


class Feature(NamedTuple):
    """`change` puts it into a plain request (or answer); `found` is what of it is in one, falsy where it is not."""

    name: str
    change: Callable[[Any], Any]
    found: Callable[[Any], object]


def shape(dialect: str) -> Shape:
    kind, model = MODELS[dialect]
    entry = catalogue.find(kind)
    assert entry is not None
    return Shape(model=model, quirks=entry.quirks, max_output_field=entry.max_output_field)


def plain(dialect: str) -> Request:
    return Request(dialect, "m", (Turn(Role.USER, (Text("Hello"),)),), max_tokens=100)


def _asked(*blocks: Any) -> Callable[[Request], Request]:
    return lambda request: replace(request, turns=(Turn(Role.USER, (Text("Look:"), *blocks)),))


def _before(role: Role) -> Callable[[Request], Request]:
    return lambda request: replace(request, turns=(Turn(role, (Text("Be brief."),)), *request.turns))


def _history(*turns: Turn) -> Callable[[Request], Request]:
    return lambda request: replace(request, turns=(*request.turns, *turns), tools=(TOOL,))


def _set(**members: Any) -> Callable[[Request], Request]:
    return lambda request: replace(request, **members)


def _all(request: Request, kind: type) -> list[Any]:
    blocks = [block for turn in request.turns for block in turn.blocks]
    inner = [each for block in blocks if isinstance(block, ToolResult) for each in block.blocks]
    return [block for block in (*blocks, *inner) if isinstance(block, kind)]


def _sources(kind: type, member: str) -> Callable[[Request], object]:
    return lambda request: [getattr(each.source, member) for each in _all(request, kind) if each.source]


def _told(request: Request, role: Role) -> object:
    return ["".join(b.text for b in turn.blocks if isinstance(b, Text)) for turn in request.turns if turn.role is role]


def _schema(raw: Raw | None) -> object:
    return None if raw is None else msgspec.json.decode(raw)


def _results(request: Request) -> list[tuple[Any, ...]]:
    """By the place of the call that they answer: ids are each protocol's own."""
    places = {call.id: place for place, call in enumerate(_all(request, ToolCall))}
    told = _all(request, ToolResult)
    return sorted((places.get(each.call_id), _words(each), each.is_error or False) for each in told)


def _words(result: ToolResult) -> str:
    return "".join(block.text for block in result.blocks if isinstance(block, Text))


def _member(name: str) -> Callable[[Request], object]:
    return lambda request: getattr(request, name)


def _marks(request: Request) -> int:
    return sum(getattr(block, "cache", None) is not None for turn in request.turns for block in turn.blocks)


ASKED = Turn(Role.ASSISTANT, CALLS)
ANSWERED = Turn(Role.USER, (ToolResult("call_1", (Text("sun"),)), ToolResult("call_2", (Text("snow"),))))
FAILED = Turn(Role.USER, (ToolResult("call_1", (Text("no"),), True), ToolResult("call_2", (Text("snow"),))))
SEEN = Turn(
    Role.USER,
    (
        ToolResult("call_1", (Text("sun"), Image(Source("image/png", data=PNG)))),
        ToolResult("call_2", (Text("snow"),)),
    ),
)
THOUGHT = Turn(Role.ASSISTANT, (Thinking("hm"), Text("So.")))
MORE = Turn(Role.USER, (Text("Go on."),))

REQUEST: tuple[Feature, ...] = (
    Feature("system prompt", _before(Role.SYSTEM), lambda r: _told(r, Role.SYSTEM) or _told(r, Role.DEVELOPER)),
    Feature("history", _history(Turn(Role.ASSISTANT, (Text("Hi."),)), MORE), lambda r: _told(r, Role.ASSISTANT)),
    Feature("image, inline", _asked(Image(Source("image/png", data=PNG))), _sources(Image, "data")),
    Feature("image, by URL", _asked(Image(Source(url="https://x.test/a.png"))), _sources(Image, "url")),
    Feature(
        "document, inline",
        _asked(Document(Source("application/pdf", data=PDF), name="a")),
        _sources(Document, "data"),
    ),
    Feature(
        "document, by URL",
        _asked(Document(Source("application/pdf", url="https://x.test/a.pdf"), name="a")),
        _sources(Document, "url"),
    ),
    Feature("audio, inline", _asked(Audio(Source("audio/wav", data=WAV), format="wav")), _sources(Audio, "data")),
    Feature(
        "tools",
        _set(tools=(TOOL,)),
        lambda r: [(each.name, each.description, _schema(each.parameters)) for each in r.tools],
    ),
    Feature(
        "strict tools", _set(tools=(replace(TOOL, strict=True),)), lambda r: [each.strict for each in r.tools] == [True]
    ),
    *(
        Feature(
            f"tool choice: {mode}",
            _set(tools=(TOOL,), tool_choice=ToolChoice(mode, "weather" if mode is ToolChoiceMode.NAMED else None)),
            lambda r: r.tool_choice and (r.tool_choice.mode, r.tool_choice.name),
        )
        for mode in (ToolChoiceMode.NONE, ToolChoiceMode.ANY, ToolChoiceMode.NAMED)
    ),
    Feature(
        "no parallel calls", _set(tools=(TOOL,), parallel_tool_calls=False), lambda r: r.parallel_tool_calls is False
    ),
    Feature(
        "parallel calls",
        _history(ASKED, ANSWERED),
        lambda r: [(call.name, _schema(Raw(call.arguments.encode()))) for call in _all(r, ToolCall)],
    ),
    Feature("tool results", _history(ASKED, ANSWERED), _results),
    Feature(
        "failed tool results", _history(ASKED, FAILED), lambda r: any(each[2] for each in _results(r)) and _results(r)
    ),
    Feature("images in tool results", _history(ASKED, SEEN), _sources(Image, "data")),
    Feature(
        "unsigned reasoning in history", _history(THOUGHT, MORE), lambda r: [each.text for each in _all(r, Thinking)]
    ),
    Feature(
        "reasoning: effort",
        _set(reasoning=Reasoning(effort="high"), max_tokens=4096),
        lambda r: r.reasoning and r.reasoning.effort,
    ),
    Feature(
        "reasoning: budget",
        _set(reasoning=Reasoning(enabled=True, budget_tokens=2048), max_tokens=4096),
        lambda r: r.reasoning and r.reasoning.budget_tokens,
    ),
    Feature("output: any JSON", _set(output=OutputFormat()), lambda r: r.output is not None),
    Feature(
        "output: a schema",
        _set(output=OutputFormat("answer", SCHEMA, True)),
        lambda r: r.output and _schema(r.output.schema),
    ),
    Feature("output limit", _set(max_tokens=77), _member("max_tokens")),
    Feature("temperature", _set(temperature=0.5), _member("temperature")),
    Feature("top_p", _set(top_p=0.5), _member("top_p")),
    Feature("top_k", _set(top_k=5), _member("top_k")),
    Feature("frequency penalty", _set(frequency_penalty=0.5), _member("frequency_penalty")),
    Feature("presence penalty", _set(presence_penalty=0.5), _member("presence_penalty")),
    Feature("seed", _set(seed=7), _member("seed")),
    Feature("stop sequences", _set(stop=("END", "STOP")), _member("stop")),
    Feature("several answers", _set(choices=2), lambda r: (r.choices or 1) > 1 and r.choices),
    Feature("log-probs", _set(logprobs=True, top_logprobs=3), lambda r: r.logprobs and r.top_logprobs),
    Feature("user", _set(user="u-1"), _member("user")),
    Feature("answers kept by the provider", _set(store=True), _member("store")),
    Feature(
        "cache marks",
        lambda r: replace(r, turns=(Turn(Role.USER, (Text("Hello", CacheMark()), Text("there"))),)),
        _marks,
    ),
)


def answer() -> Reply:
    stop = Stop(StopKind.END)
    return Reply("", "id-1", "m", (Choice((Text("Hello"),), stop),), Usage(10, None, None, 5), created=1)


def _said(*blocks: Any, stop: StopKind = StopKind.END) -> Callable[[Reply], Reply]:
    return lambda reply: replace(reply, choices=(Choice(blocks, Stop(stop)),))


def _blocks(reply: Reply, kind: type) -> list[Any]:
    return [block for block in reply.choices[0].blocks if isinstance(block, kind)]


def _stopped(reply: Reply) -> StopKind | None:
    stop = reply.choices[0].stop
    return None if stop is None else stop.kind


def _using(kind: str) -> Callable[[Reply], Reply]:
    return lambda reply: replace(reply, usage=replace(Usage(10, None, None, 5), **{kind: 3}))


def _used(kind: str) -> Callable[[Reply], object]:
    return lambda reply: reply.usage and getattr(reply.usage, kind)


LOGPROBS = Raw(b'{"content":[{"token":"Hello","logprob":-0.5,"bytes":null,"top_logprobs":[]}]}')
REPLY: tuple[Feature, ...] = (
    Feature("text", _said(Text("Hello")), lambda r: "".join(each.text for each in _blocks(r, Text))),
    Feature("reasoning", _said(Thinking("hm"), Text("So.")), lambda r: "".join(b.text for b in _blocks(r, Thinking))),
    Feature(
        "signature of reasoning",
        lambda r: replace(r, choices=(Choice((Thinking("hm", "c2ln", r.dialect), Text("So.")), Stop(StopKind.END)),)),
        lambda r: [bool(each.signature) for each in _blocks(r, Thinking)] == [True],
    ),
    Feature(
        "encrypted reasoning",
        lambda r: replace(r, choices=(Choice((RedactedThinking("c2ln", r.dialect), Text("So.")), Stop(StopKind.END)),)),
        lambda r: len(_blocks(r, RedactedThinking)) + sum(bool(each.signature) for each in _blocks(r, Thinking)),
    ),
    Feature(
        "parallel tool calls",
        _said(*CALLS, stop=StopKind.TOOL),
        lambda r: [(each.name, _schema(Raw(each.arguments.encode()))) for each in _blocks(r, ToolCall)],
    ),
    Feature("refusal", _said(Refusal("No."), stop=StopKind.REFUSAL), lambda r: [b.text for b in _blocks(r, Refusal)]),
    Feature(
        "several answers",
        lambda r: replace(r, choices=(*r.choices, Choice((Text("Hi"),), Stop(StopKind.END)))),
        lambda r: len(r.choices) > 1,
    ),
    Feature(
        "log-probs",
        lambda r: replace(r, choices=(replace(r.choices[0], logprobs=LOGPROBS),)),
        lambda r: r.choices[0].logprobs is not None,
    ),
    *(
        Feature(f"stop: {kind}", _said(Text("Hello"), stop=kind), _stopped)
        for kind in (StopKind.END, StopKind.LENGTH, StopKind.STOP_SEQUENCE, StopKind.REFUSAL)
    ),
    *(
        Feature(
            f"usage: {name.replace('_', ' ')}",
            _using(name),
            _used(name),
        )
        for name in ("input", "cache_read", "cache_write", "output", "reasoning")
    ),
)


def crossed_request(caller: Dialect, provider: Dialect, feature: Feature) -> str:
    own = feature.change(plain(caller.name))
    said = caller.read_request(caller.write_request(own, shape(caller.name)).body)
    wanted = feature.found(own)
    if not feature.found(said) or feature.found(said) != wanted:
        return UNSAID
    if caller is provider:
        return RELAYED
    written = provider.write_request(replace(said, model="m"), shape(provider.name))
    if feature.found(provider.read_request(written.body)) == wanted:
        return CARRIED
    return f"{DROPPED}: {', '.join(written.dropped)}" if written.dropped else CHANGED


def crossed_reply(caller: Dialect, provider: Dialect, feature: Feature) -> str:
    own = feature.change(replace(answer(), dialect=provider.name))
    said = provider.read_reply(provider.write_reply(own, "m"))
    wanted = feature.found(own)
    if not feature.found(said) or feature.found(said) != wanted:
        return UNSAID
    if caller is provider:
        return RELAYED
    try:
        heard = feature.found(caller.read_reply(caller.write_reply(said, "m")))
    except WaypostError as error:
        return f"{CHANGED}: {error}"
    if heard == wanted:
        return CARRIED
    return CHANGED if heard else "no"


def crossed_error(caller: Dialect, provider: Dialect) -> str:
    """A provider's refusal of a request, as the caller's own reader of errors finds it."""
    refused = CallerError(kind=ErrorKind.BAD_REQUEST, message="so it is wrong", status=400)
    fault = provider.read_fault(400, {}, provider.write_fault(refused))
    told = CallerError(kind=ErrorKind.BAD_REQUEST, message=fault.message, status=400, cause=fault)
    headers = {} if caller.fault_headers is None else dict(caller.fault_headers(told))
    heard = caller.read_fault(400, headers, caller.write_fault(told))
    if heard.kind is not fault.kind or "so it is wrong" not in heard.message:
        return "no"
    return RELAYED if caller is provider else CARRIED


def crossed_limits(caller: Dialect, provider: Dialect) -> str:
    """What is left of a provider's limits, in headers."""
    if provider.limits is None:
        return UNSAID
    own = (Limit("requests", 10, 9, 60.0), Limit("tokens", 1000, 900, 1.0))
    headers = provider.limits.write(own, 0.0)
    if caller is provider:
        return RELAYED
    passed = dict([*passed_headers(dict(headers)), *limit_headers(provider, caller, dict(headers), 0.0)])
    return CARRIED if caller.limits is not None and caller.limits.read(passed, 0.0) == own else CHANGED


def page() -> str:
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# What survives a crossing"
    yield ""
    yield INTRODUCTION.format(models=", ".join([f"`{model}`" for _, model in MODELS.values()]))
    for caller in DIALECTS.values():
        yield f"\n## Callers of `{caller.name}`: what they ask\n"
        yield from _table(caller, REQUEST, crossed_request)
    for caller in DIALECTS.values():
        yield f"\n## Callers of `{caller.name}`: what they are answered\n"
        yield from _table(caller, REPLY, crossed_reply)
        for name, crossed in (("errors", crossed_error), ("limits, in headers", crossed_limits)):
            yield f"| {name} | {' | '.join(crossed(caller, provider) for provider in DIALECTS.values())} |"
    yield ""


def _table(
    caller: Dialect, features: tuple[Feature, ...], crossed: Callable[[Dialect, Dialect, Feature], str]
) -> Iterator[str]:
    yield f"| | {' | '.join(f'`{name}`' for name in DIALECTS)} |"
    yield f"|---{'|---' * len(DIALECTS)}|"
    for feature in features:
        cells = [crossed(caller, provider, feature) for provider in DIALECTS.values()]
        yield f"| {feature.name} | {' | '.join(cells)} |"


INTRODUCTION = """\
Made by `make docs` from the dialects themselves: each feature is written in the caller's protocol, read, written in the
provider's and read again (answers the other way round). Rows are features, columns the provider's protocol.

- `yes`: the provider's own reader finds what the caller said.
- `changed`: it is there in another form, the nearest that the protocol has.
- `dropped`: the protocol has no place for it. The caller is told in `x-waypost-dropped`, by the names given here, or
  the call is refused, as the route's `dropped_parameters` says.
- `no`: the caller's protocol has no place for what the provider said.
- `changed`, of limits: the provider's own headers are passed, since the caller's protocol has no names for them.
- A model can take less than its protocol, and a value be out of its range: `x-waypost-dropped` tells of each call. Here
  the models are {models}.
- `–`: the caller's (in answers: the provider's) own protocol can't say it.
- `bytes`: the same protocol; the bytes pass as they are."""
