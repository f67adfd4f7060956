"""Reads and judges the messages of an Anthropic request: roles, blocks, tool calls and their results, cache marks."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from waypost.sim.exchange import Media, Rejected
from waypost.sim.signing import Signer, is_signed
from waypost.sim.tally import Tally


def read_message(message: Any, path: str, tally: Tally) -> tuple[str, list[Media], list[str]]:
    """What was said, shown, and answered by tools. Every block is judged and counted."""
    if not isinstance(message, dict):
        raise Rejected(400, f"{path}: Input should be a valid dictionary")
    role = message.get("role")
    if role == "system":
        raise Rejected(
            400,
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" '
            "as an input message role.",
        )
    if role not in ("user", "assistant"):
        raise Rejected(400, f"{path}.role: Input should be 'user' or 'assistant'")
    content = message.get("content")
    if isinstance(content, str):
        read_text(content, path, tally)
        return content, [], []
    if not isinstance(content, list):
        raise Rejected(
            400,
            f"{path}.content: Field required" if content is None else f"{path}.content: Input should be a valid list",
        )
    if not content and role == "user":
        raise Rejected(
            400, f"{path}: all messages must have non-empty content except for the optional final assistant message"
        )
    said: list[str] = []
    media: list[Media] = []
    told: list[str] = []
    for index, block in enumerate(content):
        _read_block(block, f"{path}.content.{index}", tally, said, media, told)
    return "\n".join(said), media, told


def _read_block(block: Any, path: str, tally: Tally, said: list[str], media: list[Media], told: list[str]) -> None:
    match block:
        case {"type": "text", "text": str(text)}:
            said.append(text)
            read_text(text, path, tally)
        case {"type": "image" | "document" as kind, "source": dict(source)}:
            media.append(Media(kind, _source_size(source, f"{path}.{kind}.source", tally)))
        case {"type": "thinking", "thinking": str(thinking), "signature": str(signature)}:
            # An omitted thought is signed as what it was, which is not told.
            if thinking and not is_signed(Signer.ANTHROPIC, thinking, signature):
                raise Rejected(400, f"{path}: Invalid `signature` in `thinking` block")
            tally.add_text(thinking)
        case {"type": "tool_use", "id": str(), "name": str(name), "input": dict(arguments)}:
            tally.add_text(name)
            tally.add_json(arguments)
        case {"type": "tool_result", "tool_use_id": str()}:
            told.append(_read_result(block.get("content"), f"{path}.tool_result.content", tally, media))
        case {"type": "text" | "image" | "document" | "thinking" | "tool_use" | "tool_result" as kind}:
            raise Rejected(400, f"{path}.{kind}: Field required")
        case {"type": str()} if _is_hosted(block["type"]):
            tally.add_json({name: value for name, value in block.items() if name != "cache_control"})
        case _:
            kind = block.get("type") if isinstance(block, dict) else None
            raise Rejected(
                400, f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
            )
    read_mark(block, tally)


def _is_hosted(kind: str) -> bool:
    """Blocks that only the provider itself makes: taken as they are."""
    made = ("redacted_thinking", "search_result", "server_tool_use", "container_upload")
    return kind in made or kind.endswith("_tool_result")


def _read_result(content: Any, path: str, tally: Tally, media: list[Media]) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        tally.add_text(content)
        return content
    said: list[str] = []
    for index, block in enumerate(content if isinstance(content, list) else ()):
        _read_block(block, f"{path}.{index}", tally, said, media, [])
    return "\n".join(said)


def read_text(text: str, path: str, tally: Tally) -> None:
    if not text:
        raise Rejected(400, f"{path}: text content blocks must be non-empty")
    tally.add_text(text)


def _source_size(source: Mapping[str, Any], path: str, tally: Tally) -> int | None:
    """Bytes of a medium; None if it is only referred to."""
    match source:
        case {"type": "base64", "media_type": str(), "data": str(data)}:
            try:
                size = len(base64.b64decode(data, validate=True))
            except (binascii.Error, ValueError):
                raise Rejected(400, f"{path}.base64.data: Invalid base64 data") from None
        case {"type": "text", "data": str(data)}:
            size = len(data.encode())
        case {"type": "url", "url": str(url)}:
            tally.add_media(len(url))
            return None
        case {"type": "file", "file_id": str(identity)}:
            tally.add_media(len(identity))
            return None
        case {"type": "content"}:
            tally.add_json(source.get("content"))
            return None
        case _:
            raise Rejected(400, f"{path}: Input tag does not match any of the expected tags: 'base64', 'url', 'file'")
    tally.add_media(size)
    return size


def check_pairs(messages: Sequence[Mapping[str, Any]]) -> None:
    """Tool calls are answered in the very next message, and only calls of the message before are."""
    if messages[0]["role"] != "user":
        raise Rejected(400, 'messages: first message must use the "user" role')
    before: set[str] = set()
    for index in range(len(messages) + 1):  # one more than there are: the last message's calls must be answered too
        content = messages[index]["content"] if index < len(messages) else ()
        blocks = content if isinstance(content, list) else ()
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        for identity in answered:
            if identity not in before:
                raise Rejected(
                    400,
                    f"messages.{index}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {identity}. "
                    "Each `tool_result` block must have a corresponding `tool_use` block in the previous message.",
                )
        missing = sorted(before.difference(answered))
        if missing:
            raise Rejected(
                400,
                f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message.",
            )
        before = {block["id"] for block in blocks if block["type"] == "tool_use"}


def read_mark(block: Mapping[str, Any], tally: Tally) -> None:
    control = block.get("cache_control")
    if control is None:
        return
    if not isinstance(control, dict) or control.get("type") != "ephemeral":
        raise Rejected(400, "cache_control: Input should be {'type': 'ephemeral'}")
    tally.mark()
