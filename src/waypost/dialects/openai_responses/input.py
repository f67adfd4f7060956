"""`input` read into turns. What is malformed is refused by its place; what is only unknown is carried as it is."""

from typing import Literal

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import Block, Json, Role, Text
from waypost.conversation.request import Turn
from waypost.dialects.openai_responses.items import NO_SPACES, Spaces, kind_of, read_content, read_item, read_message
from waypost.dialects.wire_json import ShapeError, decode, told

_input_decoder = Decoder(str | list[Raw])
_members_decoder = Decoder(dict[str, Raw])

_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.DEVELOPER,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
}
# An item's id and status are the provider's own book-keeping: nothing in the conversation refers to them.
_NAMED = frozenset(("type", "role", "content", "id", "status"))


def read_input(raw: Raw, instructions: str | None, spaces: Spaces = NO_SPACES) -> tuple[Turn, ...]:
    """What one speaker says in a row is one turn, a message of its own aside. `spaces`: as in `read_item`.

    Raises ShapeError.
    """
    turns = _Turns()
    if instructions:
        turns.say(Role.SYSTEM, [Text(instructions)], ())
    told_input = decode(_input_decoder, raw, "input") if told(raw) else []
    if isinstance(told_input, str):
        turns.say(Role.USER, [Text(told_input)] if told_input else [], ())
        return turns.finished()
    for i, item in enumerate(told_input):
        where = f"input[{i}]"
        kind = kind_of(item, where)
        match kind:
            case "message":
                _read_message(item, where, turns)
            case "item_reference":
                raise ShapeError(
                    f"{where}: an `item_reference` names an item that only the provider which made it holds; "
                    "send the item itself"
                )
            case "function_call_output" | "custom_tool_call_output":
                turns.add(Role.USER, read_item(kind, item, where, asked=True, spaces=spaces))
            case "function_call" | "custom_tool_call" | "reasoning":
                turns.add(Role.ASSISTANT, read_item(kind, item, where, asked=True, spaces=spaces))
            case _:
                turns.add(None, read_item(kind, item, where, asked=True, spaces=spaces))
    return turns.finished()


class _PlainPart(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    type: Literal["input_text", "output_text", "text"]
    text: str


class PlainMessage(Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """Nothing but text, as most are. What is more than that does not fit."""

    role: Role
    content: str | list[_PlainPart]
    type: Literal["message"] | None = None
    id: str | None = None
    status: str | None = None


_plain_decoder = Decoder(PlainMessage)


def read_plain_input(told_input: str | list[PlainMessage], instructions: str | None) -> tuple[Turn, ...]:
    """As `read_input`."""
    turns = [Turn(Role.SYSTEM, (Text(instructions),))] if instructions else []
    if isinstance(told_input, str):
        turns.append(Turn(Role.USER, (Text(told_input),) if told_input else ()))
        return tuple(turns)
    last = None
    for message in told_input:
        role, blocks = message.role, _said(message)
        if role is last is Role.ASSISTANT:
            turns[-1] = Turn(role, turns[-1].blocks + blocks)
        else:
            turns.append(Turn(role, blocks))
        last = role
    return tuple(turns)


def _said(message: PlainMessage) -> tuple[Text, ...]:
    content = message.content
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple([Text(part.text) for part in content])


def _read_message(raw: Raw, where: str, turns: "_Turns") -> None:
    try:
        plain = _plain_decoder.decode(raw)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        _read_any_message(raw, where, turns)
        return
    turns.say(plain.role, list(_said(plain)), ())


def _read_any_message(raw: Raw, where: str, turns: "_Turns") -> None:
    message = read_message(raw, where)
    role = _ROLES.get(message.role or "")
    if role is None:
        raise ShapeError(
            f"{where}.role: {'is missing' if message.role is None else 'must be user, assistant, system or developer'}"
        )
    blocks = read_content(message.content, f"{where}.content")
    members = decode(_members_decoder, raw, where)
    extra: tuple[tuple[str, Json], ...] = ()
    if not _NAMED.issuperset(members):
        extra = tuple([(name, value) for name, value in members.items() if name not in _NAMED and told(value)])
    turns.say(role, blocks, extra)


class _Turns:
    """Turns as they grow. The calls of an answer and the words around them are one turn, as are their results."""

    __slots__ = ("_blocks", "_done", "_extra", "_open", "_role")

    def __init__(self) -> None:
        self._done: list[Turn] = []
        self._open = False  # more items may belong to the turn
        self._role = Role.USER
        self._blocks: list[Block] = []
        self._extra: tuple[tuple[str, Json], ...] = ()

    def say(self, role: Role, blocks: list[Block], extra: tuple[tuple[str, Json], ...]) -> None:
        if role is not Role.ASSISTANT:
            self._close()
            self._done.append(Turn(role, tuple(blocks), extra=extra))
            return
        self.add(role, blocks)
        self._extra = self._extra or extra

    def add(self, role: Role | None, blocks: list[Block]) -> None:
        """`role` None: whoever is speaking, the provider if nobody is."""
        if not self._open or (role is not None and role is not self._role):
            self._close()
            self._open = True
            self._role = role or Role.ASSISTANT
        self._blocks += blocks

    def finished(self) -> tuple[Turn, ...]:
        self._close()
        return tuple(self._done)

    def _close(self) -> None:
        if self._open:
            self._done.append(Turn(self._role, tuple(self._blocks), extra=self._extra))
            self._open = False
            self._blocks = []
            self._extra = ()
