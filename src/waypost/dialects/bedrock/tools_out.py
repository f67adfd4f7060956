"""A neutral request's tools → `toolConfig`.

Bedrock refuses calls in the history without a `toolConfig`, so tools that were only called once are declared, with no
parameters. It can't forbid tools: where none may be called none are declared, unless the history has calls.
"""

from msgspec import Raw

from waypost.conversation.blocks import ToolCall, ToolResult
from waypost.conversation.request import HostedTool, Request, Tool, ToolChoice, ToolChoiceMode
from waypost.dialects.bedrock.blocks_out import Lose, cache_out
from waypost.dialects.bedrock.models import Abilities
from waypost.dialects.bedrock.words import NAME

Members = dict[str, object]

_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')


def write_tools(request: Request, able: Abilities, lose: Lose) -> Members:
    home = request.dialect == NAME
    choice = request.tool_choice
    forbidden = choice is not None and choice.mode is ToolChoiceMode.NONE
    called = () if home else _called(request)
    if forbidden and not home:
        lose("tool_choice" if called else "tools")
    tools: list[Members | Raw] = []
    if not forbidden or called or home:
        tools = _declared(request, able, lose)
    if not tools:
        tools = [_tool(Tool(name), home, lose) for name in called]
    if not tools:
        return {}
    config: Members = {"tools": tools}
    chosen = None if choice is None or (not home and _says_one_call(request, able)) else _choice(choice)
    if chosen is not None:
        config["toolChoice"] = chosen
    return {"toolConfig": config}


def write_one_call(request: Request, able: Abilities, lose: Lose) -> Members:
    """How Claude is told to make one call at a time: within its own `tool_choice`, so only a free choice has it."""
    parallel = request.parallel_tool_calls
    if parallel is None:
        return {}
    if request.dialect == NAME or _says_one_call(request, able):
        return {"tool_choice": {"type": "auto", "disable_parallel_tool_use": not parallel}}
    if not parallel and request.tools:
        lose("parallel_tool_calls")
    return {}


def _says_one_call(request: Request, able: Abilities) -> bool:
    choice = request.tool_choice
    free = choice is None or choice.mode is ToolChoiceMode.AUTO
    return request.parallel_tool_calls is False and able.one_call and free and bool(request.tools)


def _declared(request: Request, able: Abilities, lose: Lose) -> list[Members | Raw]:
    home = request.dialect == NAME
    tools: list[Members | Raw] = []
    for tool in request.tools:
        if isinstance(tool, HostedTool):
            if tool.dialect == NAME:
                tools.append(tool.raw)
            else:
                lose(f"tools.{tool.kind}")
            continue
        tools.append(_tool(tool, home, lose))
        if tool.cache is not None:
            if home or able.caches_tools:
                mark = tool.cache
                if mark.ttl is not None and not (home or able.cache_lifetimes):
                    lose("cache_control.ttl")
                    mark = type(mark)()
                tools.append(cache_out(mark))
            else:
                lose("cache_control")
    return tools


def _tool(tool: Tool, home: bool, lose: Lose) -> Members:
    spec: Members = {"name": tool.name}
    if tool.description:
        spec["description"] = tool.description
    spec["inputSchema"] = {"json": tool.parameters or _NO_PARAMETERS}
    if tool.strict or (home and tool.strict is not None):
        spec["strict"] = tool.strict
    for name, _ in tool.extra:
        lose(f"tools.{name}")
    return {"toolSpec": spec}


def _choice(choice: ToolChoice) -> Members | None:
    match choice.mode:
        case ToolChoiceMode.AUTO:
            return {"auto": {}}
        case ToolChoiceMode.ANY:
            return {"any": {}}
        case ToolChoiceMode.NAMED:
            return {"tool": {"name": choice.name}}
        case ToolChoiceMode.NONE:
            return None


def _called(request: Request) -> tuple[str, ...]:
    """The names of the tools that the history calls or has results of."""
    names: dict[str, None] = {}
    for turn in request.turns:
        for block in turn.blocks:
            if isinstance(block, ToolCall | ToolResult) and block.name is not None:
                names[block.name] = None
    return tuple(names)
