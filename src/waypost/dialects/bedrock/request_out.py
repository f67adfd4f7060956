"""A neutral request → a Converse request. What can't be carried is reported by the caller's name for it, once each.

Choices made for callers of other protocols:
- Leading system and developer turns become `system`. Later ones stay in their place as the user's words: few models
  take the role `system` within `messages`. A conversation of system turns alone is said by the user.
- Neighbouring turns of one role are one turn here, tool results first; an assistant's opening gets "." said before it,
  and so does a document that came without words.
- Blank texts, which are refused, are left out.
"""

from collections.abc import Iterator

import msgspec

from waypost.conversation.blocks import (
    Audio,
    Block,
    CacheMark,
    Document,
    Image,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from waypost.conversation.request import Request, Turn
from waypost.dialects.bedrock.blocks_out import BlockWriter, Lose, cache_out, text_out
from waypost.dialects.bedrock.blocks_out import Written as WrittenBlock
from waypost.dialects.bedrock.models import Abilities, abilities
from waypost.dialects.bedrock.parameters_out import frame, sampling, write_parameters
from waypost.dialects.bedrock.tools_out import write_tools
from waypost.dialects.bedrock.words import NAME
from waypost.dialects.dialect import Shape, Written
from waypost.dialects.plain import Form, in_turns, said_plainly

Members = dict[str, object]
Blocks = list[WrittenBlock]

_encode = msgspec.json.Encoder().encode
_FORM = Form("assistant", "content", {}, {"role": "user", "content": [{"text": "."}]})
_SYSTEM = (Role.SYSTEM, Role.DEVELOPER)
_SOMETHING: WrittenBlock = {"text": "."}


def write_request(request: Request, shape: Shape) -> Written:
    """Never fails: what Bedrock would refuse for its own reasons is left for it to refuse."""
    said = said_plainly(request)
    if said is not None and request.dialect != NAME:
        return _write_plainly(said, request, shape)
    dropped: list[str] = []
    writer = _Writer(request, abilities(shape.model), dropped.append)
    body = writer.turns(request.turns)
    body.update(write_tools(request, writer.able, dropped.append))
    body.update(write_parameters(request, shape, writer.able, dropped.append))
    return Written(_encode(body), tuple(dict.fromkeys(dropped)) if dropped else ())


def _write_plainly(said: list[tuple[Role, str]], request: Request, shape: Shape) -> Written:
    system, messages = in_turns(said, _FORM)
    body: Members = {"system": system} if system else {}
    body["messages"] = messages
    dropped: list[str] = []
    inference = frame(request, shape)
    if request.temperature is not None or request.top_p is not None:
        inference.update(sampling(request, abilities(shape.model), False, dropped.append))
    if inference:
        body["inferenceConfig"] = inference
    return Written(_encode(body), tuple(dropped))


class _Writer:
    """Writes the turns of one request."""

    __slots__ = ("_blocks", "_home", "_lose", "able")

    def __init__(self, request: Request, able: Abilities, lose: Lose) -> None:
        self._home = request.dialect == NAME
        self._lose = lose
        self.able = able
        self._blocks = BlockWriter(lose, home=self._home, status=able.result_status)

    def turns(self, turns: tuple[Turn, ...]) -> Members:
        count = self._leading_system(turns)
        members: Members = {}
        system = [written for turn in turns[:count] for written in self._system(turn)]
        if system:
            members["system"] = system
        if self._home:
            messages = [{"role": turn.role.value, "content": self._content(turn.blocks)} for turn in turns[count:]]
        else:
            messages = [{"role": role.value, "content": content} for role, content in self._merged(turns[count:])]
        members["messages"] = messages
        return members

    def _leading_system(self, turns: tuple[Turn, ...]) -> int:
        """How many turns are `system`: of a conversation of nothing else the last one is said by the user."""
        count = 0
        for turn in turns:
            if turn.role not in _SYSTEM or (self._home and count):
                return count
            count += 1
        return max(0, count - 1)

    def _system(self, turn: Turn) -> Iterator[WrittenBlock]:
        for block in turn.blocks:
            if self._home:
                yield from self._said(block)
            elif not isinstance(block, Text):
                self._lose("messages.content")
            elif block.text.strip():
                written = text_out(block.text)
                if written is not None:
                    yield written
                yield from self._mark(block.cache)

    def _merged(self, turns: tuple[Turn, ...]) -> list[tuple[Role, Blocks]]:
        """Turns as this protocol has them: two roles in turns, a user's tool results before all else it says."""
        merged: list[tuple[Role, list[Block]]] = []
        for turn in turns:
            role: Role = Role.ASSISTANT if turn.role is Role.ASSISTANT else Role.USER
            blocks = self._kept(turn.blocks, role)
            for name, _ in turn.extra:
                self._lose(f"messages.{name}")
            if turn.name is not None:
                self._lose("messages.name")
            if merged and merged[-1][0] is role:
                merged[-1][1].extend(blocks)
            elif blocks:
                merged.append((role, blocks))
        said: list[tuple[Role, Blocks]] = []
        for role, blocks in merged:
            if role is Role.USER and len(blocks) > 1:
                blocks.sort(key=lambda block: not isinstance(block, ToolResult))
            content = self._with_words(blocks, self._content(blocks))
            if content and said and said[-1][0] is role:
                said[-1][1].extend(content)
            elif content:
                said.append((role, content))
        if not said or said[0][0] is not Role.USER:
            said.insert(0, (Role.USER, [_SOMETHING]))
        return said

    def _kept(self, blocks: tuple[Block, ...], role: Role) -> list[Block]:
        """Those that can be said. What asks to be cached up to a blank text asks for all that came before it."""
        kept: list[Block] = []
        for block in blocks:
            if self._sayable(block, role):
                kept.append(block)
            elif isinstance(block, Text) and block.cache is not None:
                last = kept[-1] if kept else None
                if isinstance(last, Text | Image | Document | ToolCall | ToolResult):
                    kept[-1] = msgspec.structs.replace(last, cache=last.cache or block.cache)
                else:
                    self._lose("cache_control")
        return kept

    def _sayable(self, block: Block, role: Role) -> bool:
        """False for blank texts, which are refused, and an assistant's media."""
        match block:
            case Text() | Refusal():
                return bool(block.text.strip())
            case Image() | Document() | Audio() if role is Role.ASSISTANT:
                self._lose({Image: "image_url", Document: "file", Audio: "input_audio"}[type(block)])
                return False
            case _:
                return True

    def _with_words(self, blocks: list[Block], content: Blocks) -> Blocks:
        """A document must come with some text."""
        kinds = set(map(type, blocks))
        if Document in kinds and Text not in kinds and any("document" in written for written in map(_names, content)):
            return [*content, _SOMETHING]
        return content

    def _content(self, blocks: tuple[Block, ...] | list[Block]) -> Blocks:
        content: Blocks = []
        for block in blocks:
            written = self._blocks.write(block)
            if written is not None:
                content.append(written)
            mark = _mark_of(block)
            if mark is not None:
                content += self._mark(mark)
        return content

    def _said(self, block: Block) -> Iterator[WrittenBlock]:
        """A block, and the cache point after it."""
        written = self._blocks.write(block)
        if written is not None:
            yield written
        yield from self._mark(_mark_of(block))

    def _mark(self, cache: CacheMark | None) -> Iterator[WrittenBlock]:
        if cache is None:
            return
        if not self._home:
            if not self.able.caches:
                self._lose("cache_control")
                return
            if cache.ttl is not None and not self.able.cache_lifetimes:
                self._lose("cache_control.ttl")
                cache = CacheMark()
        yield cache_out(cache)


def _names(written: WrittenBlock) -> frozenset[str]:
    return frozenset(written) if isinstance(written, dict) else frozenset()


def _mark_of(block: Block) -> CacheMark | None:
    """A mark within a tool's result, where no cache point can be, counts from the result on."""
    match block:
        case Text() | Image() | Document() | ToolCall():
            return block.cache
        case ToolResult():
            return block.cache or next((mark for inner in block.blocks if (mark := _mark_of(inner)) is not None), None)
        case _:
            return None
