"""A neutral request → a GenerateContentRequest. What can't be carried is reported by the caller's name for it, once.

Choices made for callers of other protocols:
- Leading system and developer turns become `systemInstruction`. Later ones stay in their place as the user's words. A
  conversation of system turns alone is said by the user.
- Neighbouring turns of one role are one turn here, tool results first; an assistant's opening gets "." said before it.
- Schemas go where JSON schema is taken (`parametersJsonSchema`, `responseJsonSchema`), as they are.
- One strict tool makes all of them so: that is a mode here, and holds for them together.
- Effort becomes a thinking level, or for 2.5 the budget that Google's own OpenAI endpoint makes of it.
- A call of the current turn that another model made has no signature: newer models take Google's word for that.
"""

from collections.abc import Sequence
from functools import partial
from itertools import compress
from operator import is_not
from typing import NamedTuple

import msgspec
from msgspec import Raw

from waypost.conversation.blocks import Block, Role, ToolCall, ToolResult
from waypost.conversation.request import HostedTool, Reasoning, Request, Tool, ToolChoice, ToolChoiceMode, Turn
from waypost.dialects.dialect import Shape, Written
from waypost.dialects.gemini.models import Abilities, abilities
from waypost.dialects.gemini.parts_out import Lose, Members, PartsOut
from waypost.dialects.gemini.words import NAME
from waypost.dialects.losses import lose_own
from waypost.dialects.plain import Form, in_turns, said_plainly

_encode = msgspec.json.Encoder().encode
_FORM = Form("model", "parts", {}, {"role": "user", "parts": [{"text": "."}]})
_SYSTEM = (Role.SYSTEM, Role.DEVELOPER)
_UNSIGNED = "skip_thought_signature_validator"  # Google's word for a call that no model of theirs made
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}
_MOST_STOPS = 5
_TIERS = {"default": "standard", "standard_only": "standard", "standard": "standard", "flex": "flex"}
_TIERS |= {"priority": "priority"}
_CONFIG = "generationConfig."
_THINKING = "generationConfig.thinkingConfig."
_TOOL_CONFIG = "toolConfig."
_GIVEN = (
    "topK",
    "frequencyPenalty",
    "presencePenalty",
    "seed",
    "stopSequences",
    "candidateCount",
    "responseLogprobs",
    "logprobs",
)
_is_given = partial(is_not, None)
_CALLING = "functionCallingConfig"


class _Message(NamedTuple):
    role: Role
    blocks: list[Block]


def write_request(request: Request, shape: Shape) -> Written:
    """Never fails: what Google would refuse for its own reasons is left for it to refuse."""
    said = said_plainly(request)
    if said is not None and request.dialect != NAME:
        return _written_plainly(said, _frame(request, shape))
    dropped: list[str] = []
    lose = dropped.append
    home = request.dialect == NAME
    able = abilities(shape.model)
    body = _turns(request, home, able, lose)
    if request.tools or request.tool_choice is not None:
        body.update(_tools(request, home, able, lose))
    config = _config(request, shape, home, able, lose)
    if request.service_tier is not None:
        tier = request.service_tier if home else _TIERS.get(request.service_tier)
        if tier is not None:
            body["serviceTier"] = tier
        elif request.service_tier != "auto":
            lose("service_tier")
    _rest(request, home, body, config, lose)
    if config:
        body["generationConfig"] = config
    return Written(_encode(body), tuple(dict.fromkeys(dropped)) if dropped else ())


def _written_plainly(said: list[tuple[Role, str]], config: Members) -> Written:
    system, contents = in_turns(said, _FORM)
    body: Members = {"systemInstruction": {"parts": system}} if system else {}
    body["contents"] = contents
    if config:
        body["generationConfig"] = config
    return Written(_encode(body))


def _turns(request: Request, home: bool, able: Abilities, lose: Lose) -> Members:
    turns = request.turns
    names = {block.id: block.name for turn in turns for block in turn.blocks if isinstance(block, ToolCall)}
    parts_out = PartsOut(home, able.media_in_results, names, lose)
    count = _leading_system(turns, home)
    members: Members = {}
    if count:
        parts = parts_out.write([block for turn in turns[:count] for block in turn.blocks])
        if parts:
            members["systemInstruction"] = {"parts": parts}
    messages = (
        [_Message(turn.role, list(turn.blocks)) for turn in turns[count:]] if home else _merged(turns[count:], lose)
    )
    contents: list[Members] = []
    for message in messages:
        written = parts_out.write(message.blocks)
        if not written and not home:
            continue
        role = "model" if message.role is Role.ASSISTANT else "user"
        if not home and contents and contents[-1]["role"] == role and isinstance(before := contents[-1]["parts"], list):
            before.extend(written)
        else:
            contents.append({"role": role, "parts": written})
    if not home:
        if not contents or contents[0]["role"] != "user":
            contents.insert(0, {"role": "user", "parts": [{"text": "."}]})
        if able.checks_signatures:
            _vouch(contents)
    members["contents"] = contents
    return members


def _leading_system(turns: Sequence[Turn], home: bool) -> int:
    """How many turns are `systemInstruction`: of a conversation of nothing else the last one is said by the user."""
    count = 0
    for turn in turns:
        if turn.role not in _SYSTEM:
            return count
        count += 1
    return count if home else max(0, count - 1)


def _merged(turns: Sequence[Turn], lose: Lose) -> list[_Message]:
    """Turns as this protocol has them: two roles in turns, a user's tool results before all else it says."""
    merged: list[_Message] = []
    for turn in turns:
        role = turn.role if turn.role is Role.ASSISTANT else Role.USER
        for name, _ in turn.extra:
            lose(f"messages.{name}")
        if turn.name is not None:
            lose("messages.name")
        if merged and merged[-1].role is role:
            merged[-1].blocks.extend(turn.blocks)
        else:
            merged.append(_Message(role, list(turn.blocks)))
    for message in merged:
        if message.role is Role.USER and len(message.blocks) > 1:
            message.blocks.sort(key=lambda block: not isinstance(block, ToolResult))
    return merged


def _vouch(contents: list[Members]) -> None:
    """The first call of each step since the user last spoke must have a signature."""
    for content in reversed(contents):
        parts = content["parts"]
        if not isinstance(parts, list):
            continue
        if content["role"] == "user":
            if not any(isinstance(part, dict) and "functionResponse" in part for part in parts):
                return
            continue
        calls: list[Members] = [part for part in parts if isinstance(part, dict) and "functionCall" in part]
        if calls and "thoughtSignature" not in calls[0]:
            calls[0]["thoughtSignature"] = _UNSIGNED


def _tools(request: Request, home: bool, able: Abilities, lose: Lose) -> Members:
    functions: list[Members] = []
    strict = False
    tools: list[Members | Raw] = []
    for tool in request.tools:
        if isinstance(tool, Tool):
            functions.append(_function(tool, home, lose))
            strict = strict or tool.strict is True
        elif tool.dialect == NAME:
            tools.append(tool.raw)
        else:
            lose(f"tools.{tool.kind}")
    if functions:
        tools.insert(_place_of_functions(request), {"functionDeclarations": functions})
    members: Members = {}
    if tools:
        members["tools"] = tools
    choice = request.tool_choice
    if strict and (choice is None or choice.mode is ToolChoiceMode.AUTO):
        # Calls that must be made are held to their schemas anyway.
        if able.validates:
            members["toolConfig"] = {_CALLING: {"mode": "VALIDATED"}}
            return members
        lose("tools.strict")
    if choice is not None and (tools or home):
        members["toolConfig"] = {_CALLING: _choice(choice)}
    return members


def _place_of_functions(request: Request) -> int:
    """Among the provider's own tools: before those that the first function came before."""
    first = next((place for place, tool in enumerate(request.tools) if isinstance(tool, Tool)), 0)
    return sum(isinstance(tool, HostedTool) and tool.dialect == NAME for tool in request.tools[:first])


def _function(tool: Tool, home: bool, lose: Lose) -> Members:
    function: Members = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parametersJsonSchema"] = tool.parameters
    if tool.cache is not None:
        lose("cache_control")
    for name, raw in tool.extra:
        if home:
            function[name] = raw
        else:
            lose(f"tools.{name}")
    return function


def _choice(choice: ToolChoice) -> Members:
    match choice.mode:
        case ToolChoiceMode.AUTO:
            return {"mode": "AUTO"}
        case ToolChoiceMode.NONE:
            return {"mode": "NONE"}
        case ToolChoiceMode.ANY:
            return {"mode": "ANY"}
        case ToolChoiceMode.NAMED:
            return {"mode": "ANY", "allowedFunctionNames": [choice.name]}


def _frame(request: Request, shape: Shape) -> Members:
    """What most requests say of the answer."""
    config: Members = {}
    limit = shape.limited(request.max_tokens)
    if limit is not None:
        config["maxOutputTokens"] = limit
    if request.temperature is not None:
        config["temperature"] = request.temperature
    if request.top_p is not None:
        config["topP"] = request.top_p
    return config


def _config(request: Request, shape: Shape, home: bool, able: Abilities, lose: Lose) -> Members:
    stops = [stop for stop in request.stop if stop]
    if len(stops) > _MOST_STOPS and not home:
        lose("stop")
        stops = stops[:_MOST_STOPS]
    given = (
        request.top_k,
        request.frequency_penalty,
        request.presence_penalty,
        request.seed,
        stops or None,
        request.choices,
        request.logprobs,
        request.top_logprobs,
    )
    config = _frame(request, shape)
    config.update(compress(zip(_GIVEN, given, strict=True), map(_is_given, given)))
    if request.output is not None:
        config["responseMimeType"] = "application/json"
        if request.output.schema is not None:
            config["responseJsonSchema"] = request.output.schema
    if request.reasoning is not None:
        thinking = _home_thinking(request.reasoning) if home else _foreign_thinking(request.reasoning, able, lose)
        if thinking:
            config["thinkingConfig"] = thinking
    return config


def _home_thinking(reasoning: Reasoning) -> Members:
    thinking: Members = {}
    if reasoning.display is not None:
        thinking["includeThoughts"] = reasoning.display != "omitted"
    if reasoning.effort is not None:
        thinking["thinkingLevel"] = reasoning.effort.upper()
    if reasoning.enabled is False:
        thinking["thinkingBudget"] = 0
    elif reasoning.adaptive:
        thinking["thinkingBudget"] = -1
    elif reasoning.budget_tokens is not None:
        thinking["thinkingBudget"] = reasoning.budget_tokens
    return thinking


def _foreign_thinking(reasoning: Reasoning, able: Abilities, lose: Lose) -> Members:
    """A level and a budget exclude each other. It is shown to those who did not say that it be left out."""
    if not able.thinks:
        if reasoning.enabled is not False and reasoning.effort != "none":
            lose("reasoning_effort")
        return {}
    if reasoning.enabled is False or reasoning.effort == "none":
        if able.levels:
            lose("reasoning_effort")  # as little as there is
            return {"thinkingLevel": "MINIMAL" if able.levels_below_low else "LOW"}
        if able.least_budget:
            lose("reasoning_effort")
        return {"thinkingBudget": able.least_budget}
    thinking: Members = {"includeThoughts": reasoning.display != "omitted"}
    effort, budget = reasoning.effort, reasoning.budget_tokens
    if budget is not None and (effort is None or not able.levels):
        thinking["thinkingBudget"] = max(able.least_budget, min(budget, able.most_budget))
    elif effort is None:
        if not able.levels:
            thinking["thinkingBudget"] = -1
    elif effort not in _LEVELS:
        lose("reasoning_effort")
    elif able.levels:
        level = _LEVELS[effort]
        thinking["thinkingLevel"] = "LOW" if level == "MINIMAL" and not able.levels_below_low else level
    else:
        thinking["thinkingBudget"] = min(_BUDGETS[effort], able.most_budget)
    return thinking


def _rest(request: Request, home: bool, body: Members, config: Members, lose: Lose) -> None:
    """What is left of a request of this protocol; of another's, what nothing here stands for."""
    if home:
        _home_rest(request, body, config)
        return
    if request.parallel_tool_calls is False:
        lose("parallel_tool_calls")
    if request.user:
        lose("user")
    if request.output is not None and request.output.strict is False:
        lose("response_format.strict")
    if request.output is not None and request.output.description:
        lose("response_format.description")
    lose_own(request, lose)


def _home_rest(request: Request, body: Members, config: Members) -> None:
    tool_config: Members = {}
    for name, raw in request.extra:
        if name.startswith(_THINKING):
            thinking = config.setdefault("thinkingConfig", {})
            if isinstance(thinking, dict):
                thinking[name[len(_THINKING) :]] = raw
        elif name.startswith(_CONFIG):
            config[name[len(_CONFIG) :]] = raw
        elif name.startswith(_TOOL_CONFIG):
            tool_config[name[len(_TOOL_CONFIG) :]] = raw
        else:
            body[name] = raw
    if tool_config:
        chosen = body.get("toolConfig")
        body["toolConfig"] = {**(chosen if isinstance(chosen, dict) else {}), **tool_config}
