"""How Claude is asked to think, by whichever protocol it is reached. Knows its rules, and no protocol's words."""

from waypost.conversation.blocks import Role, Thinking, ToolResult
from waypost.conversation.request import Reasoning, Turn

EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_SHARES = {"minimal": 0.2, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.9, "max": 0.9}
_LEAST_BUDGET = 1024  # tokens; fewer are refused


def thinking_budget(reasoning: Reasoning, limit: int) -> int | None:
    """Tokens, below the output limit they count towards; None if that leaves too few."""
    share = _SHARES.get(reasoning.effort or "medium", 0.5)
    wanted = reasoning.budget_tokens if reasoning.budget_tokens is not None else int(limit * share)
    budget = max(_LEAST_BUDGET, wanted)
    return budget if budget < limit else None


def in_unthought_tool_loop(turns: tuple[Turn, ...], dialect: str) -> bool:
    """Whether the last turn answers tool calls that no thinking led to which was signed in this dialect.

    Thinking can't be switched on there.
    """
    if not turns or not any(isinstance(block, ToolResult) for block in turns[-1].blocks):
        return False
    for turn in reversed(turns):
        if turn.role is Role.ASSISTANT:
            return not any(isinstance(b, Thinking) and b.signature and b.origin == dialect for b in turn.blocks)
    return True
