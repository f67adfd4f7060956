"""`messages` read into turns. Raises ShapeError that names the place; what is only unknown is carried as it is."""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import Block, Json, Role, Text, ToolResult
from waypost.conversation.request import Turn
from waypost.dialects.cohere.content import WireCall, read_calls, read_content, tool_plan, with_citations
from waypost.dialects.wire_json import ABSENT, ShapeError, decode

ROLES = {"system": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
_NAMED = frozenset(("role", "content", "tool_calls", "tool_plan", "tool_call_id", "citations"))


class _Message(Struct, gc=False):
    role: str
    content: Raw = ABSENT
    tool_calls: list[WireCall] | None = None
    tool_plan: str | None = None
    tool_call_id: str | None = None
    citations: list[Raw] | None = None


_message_decoder = Decoder(_Message)
_members_decoder = Decoder(dict[str, Raw])


def read_messages(messages: list[Raw]) -> tuple[Turn, ...]:
    """Tool messages in a row are the results of one user turn."""
    turns: list[Turn] = []
    results: list[Block] = []
    for i, raw in enumerate(messages):
        where = f"messages[{i}]"
        message = decode(_message_decoder, raw, where)
        if message.role == "tool":
            if message.tool_call_id is None:
                raise ShapeError(f"{where}.tool_call_id: is missing")
            blocks = read_content(message.content, f"{where}.content")
            results.append(ToolResult(message.tool_call_id, tuple(blocks)))
            continue
        if results:
            turns.append(Turn(Role.USER, tuple(results)))
            results = []
        turns.append(_read_turn(message, raw, where, i))
    if results:
        turns.append(Turn(Role.USER, tuple(results)))
    return tuple(turns)


def _read_turn(message: _Message, raw: Raw, where: str, place: int) -> Turn:
    role = ROLES.get(message.role)
    if role is None:
        raise ShapeError(f"{where}.role: {message.role!r} is not a role")
    blocks = read_content(message.content, f"{where}.content")
    members = decode(_members_decoder, raw, where)
    if len(members) == 2 and "content" in members:  # as in most messages
        return Turn(role, tuple(blocks))
    extra = [(name, Json(bytes(value))) for name, value in members.items() if name not in _NAMED]
    if role is Role.ASSISTANT:
        if message.citations:
            placed = with_citations(blocks, message.citations)
            if placed is None:
                extra.append(("citations", Json(bytes(members["citations"]))))
            else:
                blocks = placed
        if message.tool_plan:
            blocks.append(tool_plan(message.tool_plan))
        blocks += read_calls(message.tool_calls or (), str(place), f"{where}.tool_calls")
    return Turn(role, tuple(blocks), None, tuple(extra))


def with_documents(turns: tuple[Turn, ...], documents: tuple[Block, ...]) -> tuple[Turn, ...] | None:
    """Documents are given beside the messages: the user shows them with the last words. None if there are none."""
    for i in range(len(turns) - 1, -1, -1):
        turn = turns[i]
        if turn.role is Role.USER and any(not isinstance(block, ToolResult) for block in turn.blocks):
            shown = Turn(turn.role, documents + turn.blocks, turn.name, turn.extra)
            return (*turns[:i], shown, *turns[i + 1 :])
    return None


def is_plain(blocks: tuple[Block, ...]) -> bool:
    """Whether a text says it all."""
    return len(blocks) == 1 and type(blocks[0]) is Text and not blocks[0].citations
