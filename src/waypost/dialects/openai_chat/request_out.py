"""A neutral request → Chat Completions bytes. What can't be carried is reported by the caller's name for it, once each.

Servers of this protocol differ in what they take beyond OpenAI's oldest parameters, so a provider's quirks say it:
"top_k", "max_completion_tokens" (instead of `max_tokens`), "reasoning_effort", "reasoning" (OpenRouter's), "thinking"
(DeepSeek's and Z.ai's), "reasoning_content" (takes an earlier turn's thinking back), "cache_control", "developer_role",
"document_url" (Mistral's), "no_stream_options".
"""

from collections.abc import Callable

import msgspec
from msgspec import Raw

from waypost.conversation.blocks import Role, ToolCall, ToolResult
from waypost.conversation.request import HostedTool, OutputFormat, Reasoning, Request, Tool, ToolChoice, ToolChoiceMode
from waypost.dialects.cache_marks import marked_kinds
from waypost.dialects.dialect import Shape, Written
from waypost.dialects.losses import lose_own
from waypost.dialects.openai_chat.messages_out import MessagesOut, cache_control
from waypost.dialects.openai_chat.words import NAME
from waypost.dialects.plain import said_plainly

Lose = Callable[[str], None]
Members = dict[str, object]

# Budgets below these many tokens are low and medium effort; the vendors' own mappings lie near them.
_LOW_BELOW = 4096
_MEDIUM_BELOW = 16384
_EFFORTS = {"max": "high", "xhigh": "high"}
_TIERS = {
    **{tier: tier for tier in ("auto", "default", "flex", "priority", "scale", "on_demand", "performance")},
    "standard_only": "default",  # Anthropic's word for it
}
_encode = msgspec.json.Encoder().encode
_NEVER_MARKED = (ToolCall, ToolResult)  # even where marks are taken
_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')


def write_request(request: Request, shape: Shape) -> Written:
    """Never fails: what a provider would refuse for its own reasons is left for it to refuse."""
    said = said_plainly(request)
    if said is not None:
        known = request.dialect == NAME or "developer_role" in shape.quirks
        developer = Role.DEVELOPER if known else Role.SYSTEM
        messages: list[Members] = [
            {"role": developer if role is Role.DEVELOPER else role, "content": text} for role, text in said
        ]
        return Written(_encode(_frame(request, shape, messages)), ())
    dropped: list[str] = []
    lose = dropped.append
    quirks = shape.quirks
    home = request.dialect == NAME
    body = _frame(request, shape, MessagesOut(home, quirks, lose).write(request.turns))
    _sample(body, request, quirks, lose)
    if request.tools:
        body.update(_tools(request, shape, lose))
    if request.output is not None:
        body["response_format"] = _format(request.output)
    if request.reasoning is not None:
        body.update(_reasoning(request.reasoning, quirks, home, lose))
    if request.user:
        body["user"] = request.user
    if request.service_tier is not None:
        tier = request.service_tier if home else _TIERS.get(request.service_tier)
        if tier is None:
            lose("service_tier")
        else:
            body["service_tier"] = tier
    if not home:
        marked = marked_kinds(request)
        if marked and ("cache_control" not in quirks or not marked.isdisjoint(_NEVER_MARKED)):
            lose("cache_control")
        lose_own(request, lose)
    else:
        body.update(request.extra)
    return Written(_encode(body), tuple(dict.fromkeys(dropped)) if dropped else ())


def _frame(request: Request, shape: Shape, messages: list[Members]) -> Members:
    """What every request says, and what most leave open."""
    body: Members = {"model": shape.model, "messages": messages}
    if request.stream:
        body["stream"] = True
        if "no_stream_options" not in shape.quirks:
            body["stream_options"] = {"include_usage": True}
    limit = shape.limited(request.max_tokens)
    if limit is not None:
        default = "max_completion_tokens" if "max_completion_tokens" in shape.quirks else "max_tokens"
        body[shape.max_output_field or default] = limit
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.store is not None and request.dialect == NAME:
        body["store"] = request.store
    return body


def _sample(body: Members, request: Request, quirks: frozenset[str], lose: Lose) -> None:
    if request.frequency_penalty is not None:
        body["frequency_penalty"] = request.frequency_penalty
    if request.presence_penalty is not None:
        body["presence_penalty"] = request.presence_penalty
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop:
        body["stop"] = request.stop
    if request.choices is not None:
        body["n"] = request.choices
    if request.logprobs is not None:
        body["logprobs"] = request.logprobs
    if request.top_logprobs is not None:
        body["top_logprobs"] = request.top_logprobs
    if request.top_k is not None:
        if request.dialect == NAME or "top_k" in quirks:
            body["top_k"] = request.top_k
        else:
            lose("top_k")


def _tools(request: Request, shape: Shape, lose: Lose) -> Members:
    tools: list[Members | Raw] = []
    for tool in request.tools:
        if not isinstance(tool, HostedTool):
            tools.append(_tool(tool, request.dialect == NAME, shape.quirks, lose))
        elif tool.dialect == NAME:
            tools.append(tool.raw)
        else:
            lose(f"tools.{tool.kind}")
    if not tools:
        return {}  # a choice without tools is refused
    members: Members = {"tools": tools}
    if request.tool_choice is not None:
        members["tool_choice"] = _choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        members["parallel_tool_calls"] = request.parallel_tool_calls
    return members


def _tool(tool: Tool, home: bool, quirks: frozenset[str], lose: Lose) -> Members:
    function: Members = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None or not home:
        function["parameters"] = tool.parameters if home else _parameters(tool, lose)
    if tool.strict is not None:
        function["strict"] = tool.strict
    for name, raw in tool.extra:
        if home:
            function[name] = raw
        else:
            lose(f"tools.{name}")
    members: Members = {"type": "function", "function": function}
    if tool.cache is not None and (home or "cache_control" in quirks):
        members["cache_control"] = cache_control(tool.cache)
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
            return {"type": "function", "function": {"name": choice.name}}


def _format(output: OutputFormat) -> Members:
    if output.schema is None:
        return {"type": "json_object"}
    schema: Members = {"name": output.name or "answer", "schema": output.schema}
    if output.strict is not None:
        schema["strict"] = output.strict
    if output.description is not None:
        schema["description"] = output.description
    return {"type": "json_schema", "json_schema": schema}


def _reasoning(reasoning: Reasoning, quirks: frozenset[str], home: bool, lose: Lose) -> Members:
    """By the richest of the forms that the provider takes. Only OpenRouter's can say how thinking is to be shown."""
    if home:
        return _home_reasoning(reasoning)
    if "reasoning" in quirks:
        return _openrouter(reasoning)
    if "thinking" in quirks and reasoning.enabled is not None:
        return {"thinking": {"type": "enabled" if reasoning.enabled else "disabled"}}
    if "reasoning_effort" in quirks:
        effort = _effort(reasoning)
        if effort is not None:
            return {"reasoning_effort": effort}
        if reasoning.adaptive:
            return {}  # how much to think is the model's own choice here anyway
    lose("thinking")
    return {}


def _home_reasoning(reasoning: Reasoning) -> Members:
    """In the form that can say it: which one the caller used is not kept."""
    enabled, effort = reasoning.enabled, reasoning.effort
    if effort is not None and reasoning.display is None and (enabled is None or effort == "none"):
        return {"reasoning_effort": effort}
    if effort is None and reasoning.display is None and enabled is not None:
        kind = "adaptive" if reasoning.adaptive else "enabled" if enabled else "disabled"
        budget = {} if reasoning.budget_tokens is None else {"budget_tokens": reasoning.budget_tokens}
        return {"thinking": {"type": kind, **budget}}
    return _openrouter(reasoning)


def _openrouter(reasoning: Reasoning) -> Members:
    members: Members = {}
    if reasoning.effort is not None:
        members["effort"] = reasoning.effort
    elif reasoning.budget_tokens is not None:
        members["max_tokens"] = reasoning.budget_tokens
    if reasoning.enabled is not None and reasoning.effort != "none":
        members["enabled"] = reasoning.enabled
    if reasoning.display == "omitted":
        members["exclude"] = True
    return {"reasoning": members}


def _effort(reasoning: Reasoning) -> str | None:
    if reasoning.effort is not None:
        return _EFFORTS.get(reasoning.effort, reasoning.effort)
    budget = reasoning.budget_tokens
    if budget is None:
        return None
    if budget < _LOW_BELOW:
        return "low"
    return "medium" if budget < _MEDIUM_BELOW else "high"
