"""What of a request is missing in another that was made of it, in the names by which writers report a loss.

Both are compared in the neutral form, as far as protocols can differ in nothing but form: turns of one speaker in a row
are one, a tool's results come first among what a user says, ids are each protocol's own, blank words say nothing.
"""

import base64
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from waypost.conversation.blocks import (
    Audio,
    Block,
    Document,
    Image,
    Opaque,
    RedactedThinking,
    Refusal,
    Role,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from waypost.conversation.request import HostedTool, OutputFormat, Reasoning, Request, Tool, ToolChoiceMode

# By what a caller knows a member of the neutral form; a loss is told by one of these.
NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "choices": ("n",),
        "reasoning": ("reasoning_effort", "thinking"),
        "output": ("response_format",),
        "output.description": ("response_format.description",),
        "tools": ("tools",),
        "tools.parameters": ("tools.parameters",),
        "tools.strict": ("tools.strict", "tools"),
        "tool_choice": ("tool_choice", "tools"),
        "image": ("image", "image_url", "messages.content"),
        "image.detail": ("image_url.detail", "image", "image_url"),
        "document": ("document", "file", "messages.content"),
        "document.name": ("filename", "document.name", "document", "file"),
        "document.context": ("context", "document.context", "document", "file"),
        "document.citations": ("citations", "document.citations", "document", "file"),
        "audio": ("audio", "input_audio"),
        "thinking": ("thinking", "reasoning_content"),
        "redacted_thinking": ("redacted_thinking", "reasoning_content"),
        "is_error": ("is_error", "tool_result.is_error"),
        "arguments": ("tool_calls.function.arguments",),
        "cache": ("cache_control", "cache_control.ttl", "image", "document", "file", "image_url", "tools"),
    }
)
OWN = "own "  # before what only the caller's protocol has a name for
# Protocols in which only the beginning of a conversation is the system's: later words of its are the user's there.
SYSTEM_FIRST = frozenset(("anthropic", "gemini", "bedrock"))
THINKS_WHEN_TOLD = frozenset(("bedrock", "gemini"))  # models that don't think unless told to need no word for it
WORDS_FIRST = frozenset(("openai_chat", "cohere"))
MODEL_IN_PATH = frozenset(("gemini", "bedrock"))
MARKS_IN_TIERS = MappingProxyType({"standard_only": "default", "standard": "default", "auto": None})
NUMBERS: tuple[str, ...] = (
    *("max_tokens", "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty"),
    *("seed", "choices", "top_logprobs"),
)
# Values that say what is so anyway.
CHANGES_NOTHING: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "temperature": (1,),
        "top_p": (1,),
        "frequency_penalty": (0,),
        "presence_penalty": (0,),
        "choices": (1,),
        "top_logprobs": (0,),
        "user": ("",),
        "logprobs": (False,),
    }
)
LESS_THINKING = MappingProxyType(
    {
        "minimal": ("minimal", "low"),
        "xhigh": ("xhigh", "high", "max"),
        "max": ("max", "xhigh", "high"),
    }
)


def unreported(request: Request, again: Request, there: str, dropped: Collection[str]) -> list[str]:
    """What was said in `request`, is not in `again` and was not told: each as the neutral name and what it was."""
    silent = []
    for name, what in missing(request, again, there):
        if not any(told in dropped for told in NAMES.get(name, (name.removeprefix(OWN),))):
            silent.append(f"{name}: {str(what)[:200]}")
    return silent


def missing(request: Request, again: Request, there: str) -> Iterator[tuple[str, object]]:
    """`there` is the dialect in which `again` was said."""
    yield from _parameters(request, again, there)
    yield from _tools(request, again, there)
    if request.output is not None:
        yield from _output(request.output, again.output)
    if request.reasoning is not None:
        yield from _reasoning(request.reasoning, again.reasoning, there)
    yield from _media(request, again, there)
    yield from _asides(request, again)
    yield from _speech(request, again, there)
    if request.dialect != there:
        yield from ((f"{OWN}{name}", bytes(raw)) for name, raw in request.extra)
    else:
        yield from _lost(Counter(_members(request.extra)), Counter(_members(again.extra)), "extra")


def _parameters(request: Request, again: Request, there: str) -> Iterator[tuple[str, object]]:
    names = (*NUMBERS, "user", "logprobs")
    for name in names:
        before, after = getattr(request, name), getattr(again, name)
        if before is not None and before != after and before not in CHANGES_NOTHING.get(name, ()):
            yield name, (before, after)
    if request.stop != again.stop:
        yield "stop", (request.stop, again.stop)
    if there not in MODEL_IN_PATH and request.stream != again.stream:
        yield "stream", request.stream
    before, after = (MARKS_IN_TIERS.get(r.service_tier or "auto", r.service_tier) for r in (request, again))
    if before is not None and before != after:
        yield "service_tier", (before, after)
    if request.parallel_tool_calls is False and again.parallel_tool_calls is not False and _functions(request):
        yield "parallel_tool_calls", False


def _functions(request: Request) -> list[Tool]:
    return [tool for tool in request.tools if isinstance(tool, Tool)]


def _schema(raw: Any) -> Any:
    schema = json.loads(bytes(raw)) if raw else {}
    return schema if schema not in ({"type": "object"}, {"type": "object", "properties": {}}, {}) else None


def _tools(request: Request, again: Request, there: str) -> Iterator[tuple[str, object]]:
    choice, functions = request.tool_choice, _functions(request)
    if choice is not None and choice.mode is ToolChoiceMode.NAMED and there == "cohere":
        functions = [tool for tool in functions if tool.name == choice.name] or functions
    after = {tool.name: tool for tool in _functions(again)}
    for tool in functions:
        found = after.get(tool.name)
        if found is None:
            yield "tools", tool.name
            continue
        if (found.description or "") != (tool.description or ""):
            yield "tools.description", (tool.description, found.description)
        if _schema(tool.parameters) != _schema(found.parameters):
            yield "tools.parameters", (tool.parameters, found.parameters)
        if tool.strict and not found.strict and not (there == "gemini" and _validated(again)):
            yield "tools.strict", tool.name
        if tool.cache is not None and found.cache is None and there != "bedrock":
            yield "cache", tool.name
        if request.dialect != there:
            yield from ((f"tools.{name}", bytes(raw)) for name, raw in tool.extra)
    hosted = Counter(tool.kind for tool in again.tools if isinstance(tool, HostedTool))
    for kind in Counter(tool.kind for tool in request.tools if isinstance(tool, HostedTool)) - hosted:
        yield f"tools.{kind}", kind
    if choice is not None and choice.mode is not ToolChoiceMode.AUTO and functions:
        yield from _choice(request, again)


def _validated(request: Request) -> bool:
    """Gemini holds calls to their schemas where they must be made, or in a mode of its own."""
    choice = request.tool_choice
    if choice is not None and choice.mode is not ToolChoiceMode.AUTO:
        return True
    return any(b"VALIDATED" in bytes(raw) for _, raw in request.extra)


def _choice(request: Request, again: Request) -> Iterator[tuple[str, object]]:
    wanted, found = request.tool_choice, again.tool_choice
    assert wanted is not None
    if found == wanted:
        return
    only = [tool.name for tool in _functions(again)] == [wanted.name]
    if wanted.mode is ToolChoiceMode.NAMED and only and found is not None and found.mode is ToolChoiceMode.ANY:
        return
    yield "tool_choice", (wanted, found)


def _output(before: OutputFormat, after: OutputFormat | None) -> Iterator[tuple[str, object]]:
    """A schema's name is a label for nobody; that one which need not be kept to is kept to is no loss."""
    if after is None or (before.schema is None) != (after.schema is None):
        yield "output", before
        return
    if before.schema is not None and json.loads(bytes(before.schema)) != json.loads(bytes(after.schema or b"")):
        yield "output", (before.schema, after.schema)
    if before.description and after.description != before.description:
        yield "output.description", before.description


def _forbids(reasoning: Reasoning) -> bool:
    return reasoning.enabled is False or reasoning.effort == "none"


def _reasoning(before: Reasoning, after: Reasoning | None, there: str) -> Iterator[tuple[str, object]]:
    """How hard to think, in words or in tokens: the writers have their own measures from one to the other."""
    asked = before.enabled or before.effort is not None or before.budget_tokens is not None
    if _forbids(before):
        if (after is None and there not in THINKS_WHEN_TOLD) or (after is not None and not _forbids(after)):
            yield "reasoning", (before, after)
    elif asked and (after is None or _forbids(after)):
        # A model that decides by itself how much to think needs no word for it.
        if not (before.adaptive and before.effort is None):
            yield "reasoning", (before, after)
    elif before.effort is not None and after is not None and after.effort is not None:
        near = LESS_THINKING.get(before.effort, (before.effort,))
        if after.effort not in near:
            yield "reasoning", (before, after)


def _all(request: Request) -> Iterator[Block]:
    for turn in request.turns:
        for block in turn.blocks:
            yield block
            if isinstance(block, ToolResult):
                yield from block.blocks


def _place(source: Source) -> str:
    """Media by what they are: base64 in either alphabet, a data URL as its data."""
    if source.url is not None and source.url.startswith("data:"):
        return source.url.partition(",")[2]
    return source.data or source.url or source.file_id or ""


def _paper(document: Document) -> str:
    source = document.source
    if document.text is not None:
        return document.text
    if source.data is not None and (source.media_type or "").startswith("text/"):
        try:
            return base64.b64decode(source.data).decode()
        except ValueError:
            return source.data
    return _place(source)


def _media(request: Request, again: Request, there: str) -> Iterator[tuple[str, object]]:
    before, after = list(_all(request)), list(_all(again))
    pictures = Counter(_place(each.source) for each in after if isinstance(each, Image))
    yield from _lost(Counter(_place(each.source) for each in before if isinstance(each, Image)), pictures, "image")
    yield from _lost(Counter(_details(before)), Counter(_details(after)), "image.detail")
    sounds = Counter(_place(each.source) for each in after if isinstance(each, Audio))
    yield from _lost(Counter(_place(each.source) for each in before if isinstance(each, Audio)), sounds, "audio")
    papers = Counter(_paper(each) for each in after if isinstance(each, Document))
    papers += pictures + sounds  # whose type says what they are, whatever they were called
    texts = Counter(each.text for each in after if isinstance(each, Text))
    asked = Counter(_paper(each) for each in before if isinstance(each, Document))
    yield from _lost(asked, papers + texts, "document")
    for name in ("name", "context", "citations"):
        if name == "citations" and there == "cohere":
            continue  # which cites what it is given anyway
        told = Counter(getattr(each, name) for each in before if isinstance(each, Document) and getattr(each, name))
        found = Counter(getattr(each, name) for each in after if isinstance(each, Document) and getattr(each, name))
        if name == "name":  # which of them have one: what it may be made of differs
            told, found = Counter({name: told.total()}), Counter({name: found.total()})
        yield from _lost(told, found, f"document.{name}")


def _details(blocks: Iterable[Block]) -> Iterator[str]:
    for each in blocks:
        if isinstance(each, Image) and each.detail not in (None, "auto"):
            yield each.detail


def _lost(before: Counter[Any], after: Counter[Any], name: str) -> Iterator[tuple[str, object]]:
    for each in before - after:
        yield name, each


def _members(extra: Iterable[tuple[str, Any]]) -> Iterator[str]:
    for name, raw in extra:
        yield f"{name}: {json.dumps(json.loads(bytes(raw)), sort_keys=True)}"


def _asides(request: Request, again: Request) -> Iterator[tuple[str, object]]:
    """What stands beside the words: names, reasoning, marks, parts of one protocol alone."""
    home = request.dialect == again.dialect
    for turn in request.turns:
        if turn.name is not None and all(other.name != turn.name for other in again.turns):
            yield "messages.name", turn.name
        if not home:
            yield from ((f"messages.{name}", bytes(raw)) for name, raw in turn.extra)
    before, after = list(_all(request)), list(_all(again))
    thoughts = "".join(each.text for each in after if isinstance(each, Thinking))
    for each in before:
        match each:
            case Thinking(text=text, signature=signature):
                if text not in thoughts or (signature and not any(_signed(other, signature) for other in after)):
                    yield "thinking", text or signature
            case RedactedThinking() if each not in after:
                yield "redacted_thinking", each.data
            case Opaque(kind=kind) if not home:
                yield kind, bytes(each.raw)
    marks = [sum(_is_marked(each) for each in blocks) for blocks in (before, after)]
    if marks[0] > marks[1]:
        yield "cache", marks


def _signed(block: Block, signature: str) -> bool:
    return isinstance(block, Thinking) and block.signature == signature


def _is_marked(block: Block) -> bool:
    return getattr(block, "cache", None) is not None


Said = list[tuple[str, list[object]]]


def _speech(request: Request, again: Request, there: str) -> Iterator[tuple[str, object]]:
    """Who says what: texts, calls and results, speaker by speaker."""
    papers = {each.text for each in _all(request) if isinstance(each, Document) and each.text}
    before, after = (_said(each, there, request.dialect, papers) for each in (request, again))
    if before == after:
        return
    for place, (speaker, shown) in enumerate(before):
        found = after[place] if place < len(after) else ("nobody", [])
        if found == (speaker, shown):
            continue
        broken = [each for each in shown if isinstance(each, tuple) and each[-1] is None]
        failed = [each for each in shown if isinstance(each, tuple) and each[0] == "result" and each[-1]]
        plain = [_plain(each) for each in shown]
        if broken:
            yield "arguments", broken
        if failed:
            yield "is_error", failed
        if found[0] != speaker or [_plain(each) for each in found[1]] != plain:
            yield f"words of turn {place}", ((speaker, shown), found)
            return
        if not broken and not failed:
            yield f"words of turn {place}", ((speaker, shown), found)


def _plain(shown: object) -> object:
    """Without what may be lost by report: whether a result is an error, and arguments that are no object."""
    return shown[:3] if isinstance(shown, tuple) else shown


def _said(request: Request, there: str, asked_in: str, papers: Collection[str]) -> Said:
    speakers: Said = []
    calls: list[str] = []
    for speaker, blocks in _merged(request, there, asked_in):
        shown = [each for block in blocks for each in _shown(block, calls, papers)]
        if shown:
            speakers.append((speaker, shown))
    joined: Said = []
    for speaker, shown in speakers:
        if joined and joined[-1][0] == speaker:
            joined[-1][1].extend(shown)
        else:
            joined.append((speaker, shown))
    return joined


def _merged(request: Request, there: str, asked_in: str) -> Iterator[tuple[str, list[Block]]]:
    """Of one message's words and calls two protocols say the words first."""
    turns = request.turns
    leading = next((i for i, turn in enumerate(turns) if not _is_system(turn.role)), max(0, len(turns) - 1))
    merged: list[tuple[str, list[Block]]] = []
    for place, turn in enumerate(turns):
        speaker = "system" if _is_system(turn.role) else turn.role.value
        if speaker == "system" and place >= leading and there in SYSTEM_FIRST and asked_in != there:
            speaker = "user"
        if merged and merged[-1][0] == speaker:
            merged[-1][1].extend(turn.blocks)
        else:
            merged.append((speaker, list(turn.blocks)))
    for speaker, blocks in merged:
        if there in WORDS_FIRST:
            blocks.sort(key=lambda block: isinstance(block, ToolCall))
        yield speaker, sorted(blocks, key=lambda block: not isinstance(block, ToolResult))


def _is_system(role: Role) -> bool:
    return role in (Role.SYSTEM, Role.DEVELOPER)


def _shown(block: Block, calls: list[str], papers: Collection[str]) -> Iterator[object]:
    """A call as its name and arguments, a result as the place of its call, what it says and whether it failed."""
    match block:
        case Text(text=text) | Refusal(text=text):
            if text.strip() and text != "." and text not in papers:
                yield text
        case ToolCall():
            calls.append(block.id)
            yield ("call", len(calls) - 1, block.name, _arguments(block.arguments))
        case ToolResult():
            place = len(calls) - 1 - calls[::-1].index(block.call_id) if block.call_id in calls else -1
            texts = [e.text for e in block.blocks if isinstance(e, Text | Refusal) and e.text not in papers]
            yield ("result", place, "\n".join(texts), bool(block.is_error))


def _arguments(text: str) -> str | None:
    """None for what is no object."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return None
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else None
