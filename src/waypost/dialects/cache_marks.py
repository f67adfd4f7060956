"""Which parts of a request ask to be cached. Knows the neutral form, and no dialect's way of asking."""

from waypost.conversation.blocks import Audio, Block, Opaque, RedactedThinking, Refusal, Thinking, ToolResult
from waypost.conversation.request import HostedTool, Request, Tool

_NEVER_MARKED = (Audio, Opaque, RedactedThinking, Refusal, Thinking)


def marked_kinds(request: Request) -> frozenset[type[Block] | type[Tool]]:
    """The kinds of block that carry a mark somewhere, and `Tool` if a tool does; most requests give the empty set."""
    kinds: set[type[Block] | type[Tool]] = set()
    for turn in request.turns:
        for block in turn.blocks:
            if isinstance(block, _NEVER_MARKED):
                continue
            if block.cache is not None:
                kinds.add(type(block))
            if isinstance(block, ToolResult):
                kinds.update(
                    type(inner)
                    for inner in block.blocks
                    if not isinstance(inner, _NEVER_MARKED) and inner.cache is not None
                )
    if any(not isinstance(tool, HostedTool) and tool.cache is not None for tool in request.tools):
        kinds.add(Tool)
    return frozenset(kinds)
