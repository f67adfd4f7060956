"""A neutral request → Responses bytes. What can't be carried is reported by the caller's name for it, once each.

A request of another dialect is never stored at the provider: its caller sends the whole conversation anyway. That it
can be gone on with, reasoning is asked for in its encrypted form; models that do not reason refuse the question, so the
model's name, or a provider's quirks "encrypted_content" and "no_encrypted_content", decide. Further quirks:
"cache_breakpoint" (takes marks of what to cache), "no_store" (refuses `store`).
"""

import re
from collections.abc import Callable

import msgspec
from msgspec import Raw

from waypost.conversation.blocks import Role, Text, ToolCall, ToolResult
from waypost.conversation.request import (
    HostedTool,
    OutputFormat,
    Reasoning,
    Request,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    ToolForm,
    Turn,
)
from waypost.dialects.cache_marks import marked_kinds
from waypost.dialects.dialect import Shape, Written
from waypost.dialects.losses import lose_own
from waypost.dialects.openai_responses.forms import NO_FORMS, forms_of, grouped
from waypost.dialects.openai_responses.input_out import InputOut
from waypost.dialects.openai_responses.request import ENCRYPTED, LOGPROBS
from waypost.dialects.openai_responses.words import NAME
from waypost.dialects.plain import said_plainly

Lose = Callable[[str], None]
Members = dict[str, object]

# Budgets below these many tokens are low and medium effort; the vendors' own mappings lie near them.
_LOW_BELOW = 4096
_MEDIUM_BELOW = 16384
_SUMMARIES = frozenset(("auto", "concise", "detailed"))
_TIERS = {
    **{tier: tier for tier in ("auto", "default", "flex", "priority", "scale")},
    "standard_only": "default",  # Anthropic's word for it
}
_REASONING_MODEL = re.compile(
    r"(?:^|[/.])(?:o[1-9]|gpt-(?:[5-9]|oss)|codex|grok-(?:[4-9]|code))(?!.*(?:chat|non-reasoning))", re.IGNORECASE
)
_encode = msgspec.json.Encoder().encode
_members_decoder = msgspec.json.Decoder(dict[str, Raw])
_names_decoder = msgspec.json.Decoder(list[str])
_NEVER_MARKED = (Tool, ToolCall, ToolResult)  # even where marks are taken
_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')


def write_request(request: Request, shape: Shape) -> Written:
    """Never fails: what a provider would refuse for its own reasons is left for it to refuse."""
    home = request.dialect == NAME
    said = said_plainly(request)
    if said is not None:
        return Written(_encode(_plain(request, said, shape, home)), ())
    dropped: list[str] = []
    lose = dropped.append
    extra = dict(request.extra)
    instructions, turns = _instructions(request.turns)
    forms = forms_of(request) if home else NO_FORMS
    body = _frame(request, shape, instructions, InputOut(home, shape.quirks, lose, forms).write(turns))
    _sample(body, request, lose)
    if request.tools or home:
        body.update(_tools(request, home, lose))
    included = _names_decoder.decode(extra.pop("include")) if home and "include" in extra else []
    if request.logprobs:
        included.append(LOGPROBS)
    if not home:
        if _reasons(shape):
            included.append(ENCRYPTED)
        marked = marked_kinds(request)
        if marked and ("cache_breakpoint" not in shape.quirks or not marked.isdisjoint(_NEVER_MARKED)):
            lose("cache_control")
    if included:
        body["include"] = included
    _form(body, request, home, extra, lose)
    if home:
        body.update(extra)
    else:
        lose_own(request, lose)
    return Written(_encode(body), tuple(dict.fromkeys(dropped)) if dropped else ())


def _plain(request: Request, said: list[tuple[Role, str]], shape: Shape, home: bool) -> Members:
    instructions = None
    if len(said) > 1 and said[0][0] is Role.SYSTEM and said[0][1]:
        instructions = said.pop(0)[1]
    body = _frame(request, shape, instructions, [{"role": role, "content": text} for role, text in said])
    if not home and _reasons(shape):
        body["include"] = [ENCRYPTED]
    return body


def _frame(request: Request, shape: Shape, instructions: str | None, items: list[object]) -> Members:
    """What every request says, and what most leave open."""
    body: Members = {"model": shape.model}
    if instructions is not None:
        body["instructions"] = instructions
    body["input"] = items
    if request.stream:
        body["stream"] = True
    limit = shape.limited(request.max_tokens)
    if limit is not None:
        body["max_output_tokens"] = limit
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.dialect != NAME:
        if "no_store" not in shape.quirks:
            body["store"] = False
    elif request.store is not None:
        body["store"] = request.store
    return body


def _instructions(turns: tuple[Turn, ...]) -> tuple[str | None, tuple[Turn, ...]]:
    """What the first turn of the system says, if it is nothing but text and something follows."""
    if len(turns) < 2:
        return None, turns
    first = turns[0]
    if first.role is not Role.SYSTEM or first.extra or first.name is not None or len(first.blocks) != 1:
        return None, turns
    only = first.blocks[0]
    if not isinstance(only, Text) or only.cache is not None or not only.text:
        return None, turns
    return only.text, turns[1:]


def _reasons(shape: Shape) -> bool:
    if "encrypted_content" in shape.quirks:
        return True
    if "no_encrypted_content" in shape.quirks:
        return False
    return _REASONING_MODEL.search(shape.model) is not None


def _sample(body: Members, request: Request, lose: Lose) -> None:
    """A neutral value of a parameter that is not here changes nothing and is no loss."""
    if request.top_logprobs is not None:
        body["top_logprobs"] = request.top_logprobs
    if request.user:
        body["user"] = request.user
    if request.top_k is not None:
        lose("top_k")
    if request.frequency_penalty:
        lose("frequency_penalty")
    if request.presence_penalty:
        lose("presence_penalty")
    if request.seed is not None:
        lose("seed")
    if request.stop:
        lose("stop")
    if request.choices is not None and request.choices > 1:
        lose("n")


def _tools(request: Request, home: bool, lose: Lose) -> Members:
    written: list[tuple[ToolForm | None, object]] = []
    for tool in request.tools:
        if not isinstance(tool, HostedTool):
            written.append((tool.form if home else None, _tool(tool, home, lose)))
        elif tool.dialect == NAME:
            written.append((None, tool.raw))
        else:
            lose(f"tools.{tool.kind}")
    tools = grouped(written)
    if not tools and not home:
        return {}  # a choice without tools is refused
    members: Members = {"tools": tools} if tools else {}
    if request.tool_choice is not None:
        members["tool_choice"] = _choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        members["parallel_tool_calls"] = request.parallel_tool_calls
    return members


def _tool(tool: Tool, home: bool, lose: Lose) -> Members | Raw:
    """Tools are strict here unless it is said that they are not; elsewhere it is the other way round."""
    form = tool.form if home else None
    if form is not None and form.custom is not None:
        return form.custom
    members: Members = {"type": "function", "name": tool.name if form is None else form.name}
    if tool.description is not None:
        members["description"] = tool.description
    if tool.parameters is not None or not home:
        members["parameters"] = tool.parameters if home else _parameters(tool, lose)
    if tool.strict is not None or not home:
        members["strict"] = tool.strict is True
    for name, raw in tool.extra:
        if home:
            members[name] = raw
        else:
            lose(f"tools.{name}")
    return members


def _parameters(tool: Tool, lose: Lose) -> Raw:
    """A schema that is no object (`true`, say) is refused."""
    schema = tool.parameters
    if schema is None:
        return _NO_PARAMETERS
    if not bytes(schema).startswith(b"{"):
        lose("tools.parameters")
        return _NO_PARAMETERS
    return schema


def _choice(choice: ToolChoice) -> object:
    match choice.mode:
        case ToolChoiceMode.AUTO:
            return "auto"
        case ToolChoiceMode.NONE:
            return "none"
        case ToolChoiceMode.ANY:
            return "required"
        case ToolChoiceMode.NAMED:
            return {"type": "function", "name": choice.name}


def _form(body: Members, request: Request, home: bool, extra: dict[str, Raw], lose: Lose) -> None:
    """How to think and how to answer, beside what the caller said of it that has no neutral name."""
    text: Members = _members_of(extra, "text") if home else {}
    if request.output is not None:
        text["format"] = _format(request.output)
    if text:
        body["text"] = text
    reasoning: Members = _members_of(extra, "reasoning") if home else {}
    if request.reasoning is not None:
        reasoning.update(_reasoning(request.reasoning, home, lose))
    if reasoning:
        body["reasoning"] = reasoning
    if request.service_tier is not None:
        tier = request.service_tier if home else _TIERS.get(request.service_tier)
        if tier is None:
            lose("service_tier")
        else:
            body["service_tier"] = tier


def _members_of(extra: dict[str, Raw], name: str) -> Members:
    raw = extra.pop(name, None)
    return {} if raw is None else dict(_members_decoder.decode(raw))


def _format(output: OutputFormat) -> Members:
    if output.schema is None:
        return {"type": "json_object"}
    members: Members = {"type": "json_schema", "name": output.name or "answer", "schema": output.schema}
    if output.strict is not None:
        members["strict"] = output.strict
    if output.description is not None:
        members["description"] = output.description
    return members


def _reasoning(reasoning: Reasoning, home: bool, lose: Lose) -> Members:
    """A summary is asked for on behalf of a caller who switched thinking on: in its protocol that shows it."""
    members: Members = {}
    if home:
        if reasoning.effort is not None:
            members["effort"] = reasoning.effort
        if reasoning.display is not None:
            members["summary"] = reasoning.display
        return members
    effort = _effort(reasoning)
    if effort is not None:
        members["effort"] = effort
    elif reasoning.enabled is False:
        lose("thinking")  # which effort is the least differs from model to model
    if reasoning.display in _SUMMARIES:
        members["summary"] = reasoning.display
    elif reasoning.enabled and reasoning.display != "omitted":
        members["summary"] = "auto"
    return members


def _effort(reasoning: Reasoning) -> str | None:
    if reasoning.effort is not None:
        return reasoning.effort
    budget = reasoning.budget_tokens
    if budget is None or reasoning.enabled is False:
        return None
    if budget < _LOW_BELOW:
        return "low"
    return "medium" if budget < _MEDIUM_BELOW else "high"
