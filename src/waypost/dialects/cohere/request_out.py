"""A neutral request → a v2 chat request. What can't be carried is reported by the caller's name for it, once each.

Choices made for callers of other protocols:
- A tool named as the one to call is sent alone, with `tool_choice` REQUIRED: there is no word for it, but no other can
  be called then.
- `p`, `k` and the penalties have narrower ranges here; the nearest value is sent, and reported unless it is the same.
- Effort becomes a budget of tokens, the highest none at all.
- Text documents of the user's turns stand in `documents`, which the model cites.
"""

import msgspec
from msgspec import Raw

from waypost.conversation.request import HostedTool, Reasoning, Request, Tool, ToolChoiceMode
from waypost.dialects.cache_marks import marked_kinds
from waypost.dialects.cohere.content import Members
from waypost.dialects.cohere.messages_out import ROLES, Lose, MessagesOut
from waypost.dialects.cohere.words import NAME
from waypost.dialects.dialect import Shape, Written
from waypost.dialects.losses import lose_own
from waypost.dialects.plain import said_plainly

_encode = msgspec.json.Encoder().encode
_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
_LEAST_P, _MOST_P = 0.01, 0.99
_MOST_K = 500
_MOST_STOPS = 5
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192}  # tokens


def write_request(request: Request, shape: Shape) -> Written:
    """Never fails: what Cohere would refuse for its own reasons is left for it to refuse."""
    said = said_plainly(request)
    if said is not None and request.top_p is None:
        messages: list[Members] = []
        for role, text in said:
            messages.append({"role": ROLES[role], "content": text})
        return Written(_encode(_frame(request, shape, messages, None)))
    dropped: list[str] = []
    lose = dropped.append
    home = request.dialect == NAME
    out = MessagesOut(home, lose)
    messages = out.write(request.turns)
    body = _frame(request, shape, messages, out.documents)
    _sample(body, request, home, lose)
    if request.tools or (home and request.tool_choice is not None):
        body.update(_tools(request, home, lose))
    if request.output is not None:
        body["response_format"] = {"type": "json_object"}
        if request.output.schema is not None:
            body["response_format"] = {"type": "json_object", "json_schema": request.output.schema}
    if request.reasoning is not None:
        body.update(_thinking(request.reasoning, lose))
    if not home:
        _lose_the_rest(request, lose)
    if home:
        body.update(request.extra)
    else:
        lose_own(request, lose)
    return Written(_encode(body), tuple(dict.fromkeys(dropped)) if dropped else ())


def _frame(request: Request, shape: Shape, messages: list[Members], documents: list[Members] | None) -> Members:
    body: Members = {"model": shape.model, "messages": messages}
    if documents:
        body["documents"] = documents
    if request.stream:
        body["stream"] = True
    limit = shape.limited(request.max_tokens)
    if limit is not None:
        body[shape.max_output_field or "max_tokens"] = limit
    if request.temperature is not None:
        body["temperature"] = request.temperature
    return body


def _sample(body: Members, request: Request, home: bool, lose: Lose) -> None:
    if request.top_p is not None:
        body["p"] = request.top_p if home else _within(request.top_p, _LEAST_P, _MOST_P, "top_p", lose)
    if request.top_k is not None:
        body["k"] = request.top_k if home else _within(request.top_k, 0, _MOST_K, "top_k", lose)
    for name in ("frequency_penalty", "presence_penalty"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value if home else _within(value, 0.0, 1.0, name, lose)
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop:
        stops = request.stop
        if not home and len(stops) > _MOST_STOPS:
            lose("stop")
            stops = stops[:_MOST_STOPS]
        body["stop_sequences"] = stops
    if request.logprobs is not None:
        body["logprobs"] = request.logprobs


def _within(value: float, least: float, most: float, name: str, lose: Lose) -> float:
    """The nearest that is allowed. A `top_p` of 1 asks for nothing, so that is as near as can be."""
    nearest = min(max(value, least), most)
    if nearest != value and not (name == "top_p" and value == 1):
        lose(name)
    return nearest


def _tools(request: Request, home: bool, lose: Lose) -> Members:
    tools: list[Members | Raw] = []
    choice = request.tool_choice
    named = choice.name if choice is not None and choice.mode is ToolChoiceMode.NAMED else None
    only = named is not None and any(isinstance(tool, Tool) and tool.name == named for tool in request.tools)
    if named is not None and not only:
        lose("tool_choice")
    strict = False
    for tool in request.tools:
        if isinstance(tool, HostedTool):
            if tool.dialect == NAME:
                tools.append(tool.raw)
            else:
                lose(f"tools.{tool.kind}")
        elif not only or tool.name == named:
            tools.append(_tool(tool, home, lose))
            strict = strict or tool.strict is True
    members: Members = {}
    if tools:
        members["tools"] = tools
    if strict or (home and any(isinstance(tool, Tool) and tool.strict is False for tool in request.tools)):
        members["strict_tools"] = strict
    if choice is not None and (tools or home):
        match choice.mode:
            case ToolChoiceMode.ANY | ToolChoiceMode.NAMED:
                members["tool_choice"] = "REQUIRED"
            case ToolChoiceMode.NONE:
                members["tool_choice"] = "NONE"
            case ToolChoiceMode.AUTO:
                pass  # by its absence
    return members


def _tool(tool: Tool, home: bool, lose: Lose) -> Members:
    function: Members = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None or not home:
        function["parameters"] = _parameters(tool, home, lose)
    for name, raw in tool.extra:
        if home:
            function[name] = raw
        else:
            lose(f"tools.{name}")
    return {"type": "function", "function": function}


def _parameters(tool: Tool, home: bool, lose: Lose) -> Raw:
    """A schema that is no object (`true`, say) has no place here."""
    schema = tool.parameters
    if schema is None:
        return _NO_PARAMETERS
    if not home and not bytes(schema).startswith(b"{"):
        lose("tools.parameters")
        return _NO_PARAMETERS
    return schema


def _thinking(reasoning: Reasoning, lose: Lose) -> Members:
    if reasoning.display == "omitted":
        lose("thinking.display")
    if reasoning.enabled is False or reasoning.effort == "none":
        return {"thinking": {"type": "disabled"}}
    if not reasoning.enabled and reasoning.budget_tokens is None and reasoning.effort is None:
        return {}
    thinking: Members = {"type": "enabled"}
    budget = reasoning.budget_tokens
    if budget is None and reasoning.effort is not None:
        budget = _BUDGETS.get(reasoning.effort)
    if budget is not None:
        thinking["token_budget"] = budget
    return {"thinking": thinking}


def _lose_the_rest(request: Request, lose: Lose) -> None:
    """Parameters that nothing here stands for. A neutral value changes nothing and is no loss."""
    if request.choices is not None and request.choices > 1:
        lose("n")
    if marked_kinds(request):
        lose("cache_control")
    if request.output is not None and request.output.description:
        lose("response_format.description")
    if request.top_logprobs:
        lose("top_logprobs")
    if request.parallel_tool_calls is False:
        lose("parallel_tool_calls")
    if request.user:
        lose("user")
    if request.service_tier is not None:
        lose("service_tier")
