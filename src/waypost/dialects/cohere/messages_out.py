"""Turns written as `messages`. Knows what a message of each role can hold, and where the rest goes."""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import assert_never

from waypost.conversation.blocks import (
    Audio,
    Block,
    Document,
    Image,
    Json,
    Opaque,
    RedactedThinking,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from waypost.conversation.request import Turn
from waypost.dialects.cohere.content import Members, is_own_citation, plan_of, write_call, write_document
from waypost.dialects.cohere.messages import is_plain
from waypost.dialects.cohere.words import NAME

Lose = Callable[[str], None]

ROLES = {role: "system" if role is Role.DEVELOPER else role.value for role in Role}


class MessagesOut:
    """`home`: the turns were read from this dialect. `lose` is told what can't be carried.

    `documents` are those of the user's turns, which stand beside the messages here.
    """

    __slots__ = ("_home", "_lose", "documents")

    def __init__(self, home: bool, lose: Lose) -> None:
        self._home = home
        self._lose = lose
        self.documents: list[Members] = []

    def write(self, turns: Iterable[Turn]) -> list[Members]:
        messages: list[Members] = []
        for turn in turns:
            if is_plain(turn.blocks) and not turn.extra and turn.name is None:  # as most are
                text = turn.blocks[0]
                messages.append({"role": ROLES[turn.role], "content": text.text if isinstance(text, Text) else ""})
            elif turn.role is Role.ASSISTANT:
                messages += self._assistant(turn)
            else:
                messages += self._spoken(turn)
        return messages

    def _spoken(self, turn: Turn) -> list[Members]:
        """Tool results first, each a message of its own. What a tool showed the user says after the results."""
        messages: list[Members] = []
        shown: list[Block] = []
        rest: list[Block] = []
        for block in turn.blocks:
            if isinstance(block, ToolResult):
                messages.append(self._result(block, shown))
            else:
                rest.append(block)
        before = len(self.documents)
        content = self._content([*shown, *rest])
        if not content and len(self.documents) > before:
            content = "."  # documents are shown with words, and an empty message is refused
        if content or not messages:
            role = "user" if turn.role is Role.USER else "system"
            messages.append(self._completed({"role": role, "content": content or ""}, turn))
        return messages

    def _result(self, result: ToolResult, shown: list[Block]) -> Members:
        """A result holds text and documents of text."""
        parts: list[object] = []
        for block in result.blocks:
            if isinstance(block, Text | Refusal):
                parts.append({"type": "text", "text": block.text})
            elif isinstance(block, Document) and (text := text_of(block)) is not None:
                parts.append({"type": "document", "document": write_document(block.name, text)})
            elif isinstance(block, Opaque) and block.dialect == NAME:
                parts.append(block.raw)
            else:
                shown.append(block)
        if result.is_error:
            self._lose("tool_result.is_error")
        only = result.blocks[0] if len(result.blocks) == 1 else None
        content: object = only.text if isinstance(only, Text) else parts or ""
        return {"role": "tool", "tool_call_id": result.call_id, "content": content}

    def _assistant(self, turn: Turn) -> list[Members]:
        content: list[object] = []
        calls: list[Members] = []
        citations: list[Json] = []
        message: Members = {"role": "assistant"}
        for block in turn.blocks:
            if isinstance(block, ToolCall):
                calls.append(write_call(block))
            elif isinstance(block, Opaque) and (plan := plan_of(block)) is not None:
                message["tool_plan"] = plan
            else:
                if isinstance(block, Text) and block.citations:
                    citations += [each for each in block.citations if self._home or is_own_citation(each)]
                content += self._parts([block], said_by_model=True)
        if content:
            message["content"] = content
        if calls:
            message["tool_calls"] = calls
        if citations:
            message["citations"] = citations
        if not content and not calls:
            if not self._home:
                return []  # nothing is left of it, and an empty message is refused
            message["content"] = ""
        return [self._completed(message, turn)]

    def _completed(self, message: Members, turn: Turn) -> Members:
        for name, raw in turn.extra:
            if self._home:
                message[name] = raw
            else:
                self._lose(f"messages.{name}")
        if turn.name is not None:
            self._lose("messages.name")
        return message

    def _content(self, blocks: list[Block]) -> object:
        """The plainest form that holds it all; nothing for nothing."""
        parts = self._parts(blocks, said_by_model=False)
        texts = [block for block in blocks if isinstance(block, Text)]
        return texts[0].text if len(parts) == 1 and len(texts) == 1 and texts[0].text else parts

    def _parts(self, blocks: Iterable[Block], *, said_by_model: bool) -> list[object]:
        return [part for part in [self._part(block, said_by_model) for block in blocks] if part is not None]

    def _part(self, block: Block, said_by_model: bool) -> object | None:
        match block:
            case Text(text=text) | Refusal(text=text):
                return {"type": "text", "text": text} if text else None
            case Image():
                return self._image(block, said_by_model)
            case Document():
                self._document(block)
                return None
            case Thinking():
                return self._thought(block, said_by_model)
            case Opaque():
                if block.dialect == NAME:
                    return block.raw
                self._lose(block.kind)
                return None
            case Audio():
                self._lose("input_audio")
                return None
            case RedactedThinking():
                self._lose("redacted_thinking")
                return None
            case ToolCall() | ToolResult():
                return None  # written where they belong; nobody else says them
            case _:
                assert_never(block)

    def _thought(self, block: Thinking, said_by_model: bool) -> Members | None:
        """Thoughts are unsigned here, so what another provider signed was another model's."""
        if block.signature is not None and block.origin not in (None, NAME):
            self._lose("thinking")
            return None
        return {"type": "thinking", "thinking": block.text} if said_by_model and block.text else None

    def _image(self, image: Image, said_by_model: bool) -> Members | None:
        source = image.source
        url = source.url
        if source.data is not None:
            url = f"data:{source.media_type or 'image/png'};base64,{source.data}"
        if url is None or said_by_model:
            self._lose("image_url")
            return None
        shown: Members = {"url": url}
        if image.detail is not None:
            shown["detail"] = image.detail
        return {"type": "image_url", "image_url": shown}

    def _document(self, document: Document) -> None:
        text = text_of(document)
        if text is None:
            self._lose("document")
            return
        if document.context is not None:
            self._lose("document.context")
        self.documents.append(write_document(document.name, text))


def text_of(document: Document) -> str | None:
    """The text of a document that is one, given as such or in base64."""
    source = document.source
    if document.text is not None:
        return document.text
    if source.data is None or source.media_type is None or not source.media_type.startswith("text/"):
        return None
    try:
        return base64.b64decode(source.data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
