"""A neutral request → a Messages request. What can't be carried is reported by the caller's name for it, once each.

Choices made for callers of other protocols:
- Leading system and developer turns become `system`. Later ones stay in their place as the user's words: only newer
  models take the role `system` within `messages`. A conversation of system turns alone is said by the user.
- Neighbouring turns of one role are one turn here, tool results first; an assistant's opening gets "." said before it.
- Effort becomes adaptive thinking, or for models without it a budget that is a share of `max_tokens` (low a fifth,
  medium half, high four fifths), where the rules of thinking allow one: no forced tool, no tool loop begun without it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import Raw

from waypost.conversation.blocks import Block, Document, Image, Refusal, Role, Text, ToolCall, ToolResult
from waypost.conversation.request import HostedTool, Reasoning, Request, Tool, ToolChoice, ToolChoiceMode, Turn
from waypost.dialects.anthropic.blocks_out import Lose, block_out, text_out, with_cache
from waypost.dialects.anthropic.blocks_out import Written as WrittenBlock
from waypost.dialects.anthropic.models import Abilities, abilities
from waypost.dialects.anthropic.words import NAME
from waypost.dialects.claude import EFFORTS, in_unthought_tool_loop, thinking_budget
from waypost.dialects.dialect import Shape, Written
from waypost.dialects.losses import lose_own, lose_sampling
from waypost.dialects.plain import Form, in_turns, said_plainly

Members = dict[str, object]

_encode = msgspec.json.Encoder().encode
_SYSTEM = (Role.SYSTEM, Role.DEVELOPER)
_OPENING = Raw(b'{"role":"user","content":"."}')
_FORM = Form("assistant", "content", {"type": "text"}, _OPENING)
_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}


class _Message(NamedTuple):
    role: Role
    blocks: list[Block]


def write_request(request: Request, shape: Shape) -> Written:
    """Never fails: what Anthropic would refuse for its own reasons is left for it to refuse."""
    home = request.dialect == NAME
    body, limit = _frame(request, shape)
    said = None if home else said_plainly(request)
    if said is not None:
        system, messages = in_turns(said, _FORM)
        if system:
            body["system"] = system
        body["messages"] = messages
        if request.temperature is None and request.top_p is None:
            return Written(_encode(body))
    dropped: list[str] = []
    lose = dropped.append
    if said is None:
        body.update(_home_turns(request, lose) if home else _foreign_turns(request.turns, lose))
    if request.tools or request.tool_choice is not None or request.parallel_tool_calls is not None:
        body.update(_tools(request, lose))
    if home:
        body.update(_home_parameters(request))
    else:
        body.update(_foreign_parameters(request, shape, limit, lose))
        _lose_the_rest(request, lose)
    return Written(_encode(body), tuple(dict.fromkeys(dropped)) if dropped else ())


def _frame(request: Request, shape: Shape) -> tuple[Members, int]:
    """What stands before the turns, and the limit in it."""
    limit = shape.demanded(request.max_tokens)
    body: Members
    if "vertex" in shape.quirks:
        body = {"anthropic_version": "vertex-2023-10-16", "max_tokens": limit}
    else:
        body = {"model": shape.model, "max_tokens": limit}
    if request.stream:
        body["stream"] = True
    return body, limit


def _home_turns(request: Request, lose: Lose) -> Members:
    turns = request.turns
    members: Members = {}
    if turns and turns[0].role is Role.SYSTEM:
        members["system"] = _content(turns[0].blocks, lose)
        turns = turns[1:]
    members["messages"] = [{"role": turn.role.value, "content": _content(turn.blocks, lose)} for turn in turns]
    return members


def _foreign_turns(turns: tuple[Turn, ...], lose: Lose) -> Members:
    count = _leading_system(turns)
    members: Members = {}
    if count:
        texts = [written for turn in turns[:count] for written in _system_content(turn, lose)]
        if texts:
            members["system"] = texts
    said: list[tuple[Role, list[WrittenBlock]]] = []
    for message in _merged(turns[count:], lose):
        content = _content(message.blocks, lose)
        if not content:
            continue
        if said and said[-1][0] is message.role:
            said[-1][1].extend(content)
        else:
            said.append((message.role, content))
    messages: list[Members | Raw] = [{"role": role, "content": content} for role, content in said]
    if not said or said[0][0] is not Role.USER:
        messages.insert(0, _OPENING)
    members["messages"] = messages
    return members


def _leading_system(turns: tuple[Turn, ...]) -> int:
    """How many turns are `system`: of a conversation of nothing else the last one is said by the user."""
    count = 0
    for turn in turns:
        if turn.role not in _SYSTEM:
            return count
        count += 1
    return max(0, count - 1)


def _system_content(turn: Turn, lose: Lose) -> Iterator[WrittenBlock]:
    for block in turn.blocks:
        if not isinstance(block, Text):
            lose("messages.content")
        elif block.text.strip():
            written = text_out(block.text, block.cache)
            if written is not None:
                yield written


def _merged(turns: tuple[Turn, ...], lose: Lose) -> list[_Message]:
    """Turns as this protocol has them: two roles in turns, a user's tool results before all else it says."""
    merged: list[_Message] = []
    for turn in turns:
        role = turn.role if turn.role is Role.ASSISTANT else Role.USER
        blocks = _kept(turn.blocks, role, lose)
        for name, _ in turn.extra:
            lose(f"messages.{name}")
        if turn.name is not None:
            lose("messages.name")
        if merged and merged[-1].role is role:
            merged[-1].blocks.extend(blocks)
        else:
            merged.append(_Message(role, blocks))
    for message in merged:
        if message.role is Role.USER and len(message.blocks) > 1:
            message.blocks.sort(key=lambda block: not isinstance(block, ToolResult))
    return merged


def _kept(blocks: tuple[Block, ...], role: Role, lose: Lose) -> list[Block]:
    """Those that can be said. What asks to be cached up to a blank text asks for all that came before it."""
    kept: list[Block] = []
    for block in blocks:
        if _sayable(block, role, lose):
            kept.append(block)
        elif isinstance(block, Text) and block.cache is not None:
            last = kept[-1] if kept else None
            if isinstance(last, Text | Image | Document | ToolCall | ToolResult):
                kept[-1] = msgspec.structs.replace(last, cache=last.cache or block.cache)
            else:
                lose("cache_control")
    return kept


def _sayable(block: Block, role: Role, lose: Lose) -> bool:
    """False for blank texts, which are refused, an assistant's media, and another provider's uploads."""
    match block:
        case Text() | Refusal():
            return bool(block.text.strip())
        case Image() | Document() if role is Role.ASSISTANT or block.source.file_id is not None:
            lose("image_url" if isinstance(block, Image) else "file")
            return False
        case _:
            return True


def _content(blocks: tuple[Block, ...] | list[Block], lose: Lose) -> list[WrittenBlock]:
    return [written for written in [block_out(block, lose) for block in blocks] if written is not None]


def _tools(request: Request, lose: Lose) -> Members:
    home = request.dialect == NAME
    tools: list[Members | Raw] = []
    for tool in request.tools:
        if isinstance(tool, HostedTool):
            if tool.dialect == NAME:
                tools.append(tool.raw)
            else:
                lose(f"tools.{tool.kind}")
        else:
            tools.append(_tool(tool, home, lose))
    members: Members = {}
    if tools:
        members["tools"] = tools
    if tools or home:
        choice = _tool_choice(request.tool_choice, request.parallel_tool_calls)
        if choice is not None:
            members["tool_choice"] = choice
    return members


def _tool(tool: Tool, home: bool, lose: Lose) -> Members:
    members: Members = {"name": tool.name}
    if tool.description is not None:
        members["description"] = tool.description
    if tool.parameters is not None or not home:
        members["input_schema"] = tool.parameters or _NO_PARAMETERS
    if tool.strict or (home and tool.strict is not None):
        members["strict"] = tool.strict
    for name, raw in tool.extra:
        if home:
            members[name] = raw
        else:
            lose(f"tools.{name}")
    return with_cache(members, tool.cache)


def _tool_choice(choice: ToolChoice | None, parallel: bool | None) -> Members | None:
    if choice is None:
        return None if parallel is not False else {"type": "auto", "disable_parallel_tool_use": True}
    match choice.mode:
        case ToolChoiceMode.AUTO:
            members: Members = {"type": "auto"}
        case ToolChoiceMode.ANY:
            members = {"type": "any"}
        case ToolChoiceMode.NAMED:
            members = {"type": "tool", "name": choice.name}
        case ToolChoiceMode.NONE:
            return {"type": "none"}
    if parallel is not None:
        members["disable_parallel_tool_use"] = not parallel
    return members


def _home_parameters(request: Request) -> Members:
    given = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "stop_sequences": list(request.stop) or None,
        "service_tier": request.service_tier,
        "thinking": _home_thinking(request.reasoning) if request.reasoning else None,
    }
    members: Members = {name: value for name, value in given.items() if value is not None}
    extra = dict(request.extra)
    config: Members = _members_of(extra.pop("output_config", None))
    if request.reasoning is not None and request.reasoning.effort is not None:
        config["effort"] = request.reasoning.effort
    if request.output is not None and request.output.schema is not None:
        config["format"] = {"type": "json_schema", "schema": request.output.schema}
    metadata: Members = _members_of(extra.pop("metadata", None))
    if request.user is not None:
        metadata["user_id"] = request.user
    if config:
        members["output_config"] = config
    if metadata:
        members["metadata"] = metadata
    members.update(extra)
    return members


def _members_of(raw: Raw | None) -> Members:
    return {} if raw is None else dict(msgspec.json.decode(raw, type=dict[str, Raw]))


def _home_thinking(reasoning: Reasoning) -> Members | None:
    if reasoning.enabled is None:
        return None
    if not reasoning.enabled:
        return {"type": "disabled"}
    members: Members = {"type": "adaptive" if reasoning.adaptive else "enabled"}
    if reasoning.budget_tokens is not None:
        members["budget_tokens"] = reasoning.budget_tokens
    if reasoning.display is not None:
        members["display"] = reasoning.display
    return members


def _foreign_parameters(request: Request, shape: Shape, limit: int, lose: Lose) -> Members:
    members: Members = {}
    samples = request.temperature is not None or request.top_p is not None or request.top_k is not None
    if samples or request.reasoning is not None:
        able = abilities(shape.model, shape.quirks)
        members = _foreign_thinking(request, able, limit, lose)
        thinking = members.get("thinking", {"type": "disabled"}) != {"type": "disabled"}
        members.update(_sampling(request, able, thinking, lose))
    if request.output is not None:
        if request.output.schema is None:
            lose("response_format")
        else:
            if request.output.description:
                lose("response_format.description")
            config = members.setdefault("output_config", {})
            if isinstance(config, dict):
                config["format"] = {"type": "json_schema", "schema": request.output.schema}
    if request.stop:
        stops = [stop for stop in request.stop if stop.strip()]
        if len(stops) < len(request.stop):
            lose("stop")  # a stop sequence of white space alone is refused
        if stops:
            members["stop_sequences"] = stops
    if request.user:
        members["metadata"] = {"user_id": request.user}
    if request.service_tier is not None:
        tier = _TIERS.get(request.service_tier)
        if tier is None:
            lose("service_tier")
        else:
            members["service_tier"] = tier
    return members


def _sampling(request: Request, able: Abilities, thinking: bool, lose: Lose) -> Members:
    """The samplers, as far as the model takes them; 1 is every model's default and changes nothing by absence."""
    members: Members = {}
    temperature, top_p, top_k = request.temperature, request.top_p, request.top_k
    if temperature is not None:
        if not able.sampling or thinking:
            if temperature != 1:
                lose("temperature")
        else:
            if temperature > 1:
                lose("temperature")
            members["temperature"] = min(temperature, 1.0)
    if top_p is not None and top_p != 1:
        if not able.sampling or thinking or (temperature is not None and not able.both_samplers):
            lose("top_p")
        else:
            members["top_p"] = top_p
    if top_k is not None:
        if not able.sampling or thinking:
            lose("top_k")
        else:
            members["top_k"] = top_k
    return members


def _foreign_thinking(request: Request, able: Abilities, limit: int, lose: Lose) -> Members:
    reasoning = request.reasoning
    if reasoning is None:
        return {}
    if reasoning.enabled is False or reasoning.effort == "none":
        if able.can_disable:
            return {"thinking": {"type": "disabled"}}
        lose("reasoning_effort")
        return {}
    effort = None if reasoning.effort is None else EFFORTS.get(reasoning.effort)
    if reasoning.effort is not None and effort is None:
        lose("reasoning_effort")
        return {}
    forced = request.tool_choice is not None and request.tool_choice.mode in (ToolChoiceMode.ANY, ToolChoiceMode.NAMED)
    if able.adaptive:
        members: Members = {} if forced else {"thinking": {"type": "adaptive"}}
        if effort is not None:
            members["output_config"] = {"effort": effort}
        return members
    budget = thinking_budget(reasoning, limit)
    if budget is None or forced or in_unthought_tool_loop(request.turns, NAME):
        lose("reasoning_effort")
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _lose_the_rest(request: Request, lose: Lose) -> None:
    """Parameters that nothing here stands for."""
    lose_sampling(request, lose)
    lose_own(request, lose)
