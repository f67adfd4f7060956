"""What a request says of tools: JSON → the neutral form, and which of them must be called."""

import msgspec
from msgspec import Raw

from waypost.conversation.blocks import Json
from waypost.conversation.request import HostedTool, Tool, ToolChoice, ToolChoiceMode
from waypost.dialects.gemini.schema import read_schema
from waypost.dialects.gemini.wire_json import listed, members_of, take
from waypost.dialects.gemini.words import NAME
from waypost.dialects.wire_json import ShapeError

_STRING = msgspec.json.Decoder(str)
_NAMES = msgspec.json.Decoder(list[str])
_HOSTED = frozenset(
    (
        *("functionDeclarations", "googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext", "fileSearch"),
        *("googleMaps", "computerUse", "retrieval", "enterpriseWebSearch", "mcpServers", "parallelAiSearch"),
        *("exaAiSearch",),
    )
)
_FUNCTION = frozenset(
    ("name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema", "behavior")
)
_CONFIG = frozenset(("functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations"))
_CALLING = frozenset(("mode", "allowedFunctionNames", "streamFunctionCallArguments"))
_MODES = {
    "AUTO": ToolChoiceMode.AUTO,
    "NONE": ToolChoiceMode.NONE,
    "ANY": ToolChoiceMode.ANY,
}


def read_tools(raw: Raw) -> tuple[Tool | HostedTool, ...]:
    """Each of Google's tools may hold functions and the provider's own tools side by side. Raises ShapeError."""
    tools: list[Tool | HostedTool] = []
    for place, each in enumerate(listed(raw, "tools")):
        where = f"tools[{place}]"
        for kind, value in members_of(each, where, _HOSTED).items():
            if kind != "functionDeclarations":
                tools.append(HostedTool(NAME, kind, Raw(b'{"%b":%b}' % (kind.encode(), bytes(value)))))
                continue
            at = f"{where}.functionDeclarations"
            tools += [_function(told, f"{at}[{number}]") for number, told in enumerate(listed(value, at))]
    return tuple(tools)


def _function(raw: Raw, where: str) -> Tool:
    members = members_of(raw, where, _FUNCTION)
    name = take(members, "name", _STRING, where)
    if not name:
        raise ShapeError(f"{where}.name: is missing")
    description = take(members, "description", _STRING, where)
    parameters = members.pop("parametersJsonSchema", None)
    own = members.pop("parameters", None)
    if parameters is None and own is not None:
        parameters = read_schema(own, f"{where}.parameters")
    return Tool(name, description, parameters, None, None, tuple(members.items()))


def read_tool_config(raw: Raw) -> tuple[ToolChoice | None, list[tuple[str, Json]]]:
    """The choice, and what is left: members without a neutral name, as "toolConfig.…". Raises ShapeError."""
    members = members_of(raw, "toolConfig", _CONFIG)
    calling = members.pop("functionCallingConfig", None)
    choice: ToolChoice | None = None
    left: list[tuple[str, Json]] = []
    if calling is not None:
        choice, exact = _choice(calling)
        if not exact:
            left.append(("toolConfig.functionCallingConfig", calling))
    left += [(f"toolConfig.{name}", value) for name, value in members.items()]
    return choice, left


def _choice(raw: Raw) -> tuple[ToolChoice | None, bool]:
    """The choice, and whether it says all that was said."""
    where = "toolConfig.functionCallingConfig"
    members = members_of(raw, where, _CALLING)
    word = (take(members, "mode", _STRING, where) or "MODE_UNSPECIFIED").upper()
    allowed = take(members, "allowedFunctionNames", _NAMES, where) or []
    mode = _MODES.get(word)
    if mode is None:
        # VALIDATED: may call or not, but as the schema says. Without a mode it is as if nothing was said.
        choice = ToolChoice(ToolChoiceMode.AUTO) if word == "VALIDATED" else None
        return choice, word == "MODE_UNSPECIFIED" and not allowed and not members
    if mode is ToolChoiceMode.ANY and len(allowed) == 1:
        return ToolChoice(ToolChoiceMode.NAMED, allowed[0]), not members
    return ToolChoice(mode), not allowed and not members
