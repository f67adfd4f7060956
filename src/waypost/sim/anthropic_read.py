"""Reads and judges an Anthropic Messages request as the provider does: what is asked, or a 400 in its words.

Follows https://docs.claude.com/en/api/messages and the messages that the live service gives.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from waypost.sim.exchange import Choose, Media, Question, Rejected, Tool
from waypost.sim.faults import read_markers
from waypost.sim.tally import Tally

_COUNTED_TEXT = """
    cache_control messages model output_config output_format speed system thinking tool_choice tools user_profile_id
    workspace_id mcp_servers context_management betas
"""
_COUNTED = frozenset(_COUNTED_TEXT.split())
_KNOWN_TEXT = """
    container diagnostics inference_geo max_tokens metadata service_tier stop_sequences stream temperature top_k
    top_p billing_policy compaction fallback_credit_token fallbacks thread
"""
_KNOWN = _COUNTED | frozenset(_KNOWN_TEXT.split())
_MOST_MARKS = 4
_LEAST_THINKING = 1024


def sign_thinking(text: str) -> str:
    """The signature of a thinking block: any simulator knows its own kind's and no other."""
    return base64.b64encode(b"sim\x01" + blake2b(text.encode(), digest_size=32, key=b"waypost sim").digest()).decode()


def read_anthropic(
    body: Mapping[str, Any], model: str, *, strict: bool, size: int, count_only: bool = False
) -> Question:
    """`model`: the name without faults; `size`: bytes of the body. `count_only`: judged as a count_tokens request."""
    _check_members(body, strict, count_only)
    messages = body["messages"]
    tally = Tally()
    tools = _read_tools(body, tally)
    choose, chosen, parallel = _read_choice(body, tools)
    reasoning = _read_thinking(body, choose)
    _read_system(body.get("system"), tally)
    text = ""
    media: tuple[Media, ...] = ()
    results: tuple[str, ...] = ()
    for index, message in enumerate(messages):
        said, seen, told = _read_message(message, f"messages.{index}", tally)
        if message["role"] == "user":
            text, media, results = said, tuple(seen), tuple(told)
    _check_pairs(messages)
    if "cache_control" in body:
        tally.mark()
    if len(tally.marks) > _MOST_MARKS:
        raise Rejected(400, f"A maximum of 4 blocks with cache_control may be provided. Found {len(tally.marks)}.")
    read, written = tally.split_cache(any(message["role"] == "assistant" for message in messages))
    _, settings = read_markers(text)
    schema = _read_format(body)
    return Question(
        model=model,
        text=text,
        results=results,
        media=media,
        tools=tools,
        choose=choose,
        chosen=chosen,
        parallel=parallel,
        schema=schema,
        json=schema is not None,
        max_output=body.get("max_tokens"),
        stops=tuple(body.get("stop_sequences") or ()),
        reasoning=reasoning,
        show_reasoning=(body.get("thinking") or {}).get("display") != "omitted",
        stream=body.get("stream") is True,
        include_usage=True,
        refuse="refuse" in settings,
        words=int(settings["words"])
        if settings.get("words", "").isascii() and settings.get("words", "").isdigit()
        else None,
        input_tokens=min(tally.tokens, size),
        cache_read=read,
        cache_write=written,
    )


def _check_members(body: Mapping[str, Any], strict: bool, count_only: bool) -> None:
    for name in ("messages",) if count_only else ("max_tokens", "messages"):
        if body.get(name) is None:
            raise Rejected(400, f"{name}: Field required")
    known = _COUNTED if count_only else _KNOWN
    if strict and not known.issuperset(body):
        name = next(name for name in body if name not in known)
        raise Rejected(400, f"{name}: Extra inputs are not permitted")
    messages = body["messages"]
    if not isinstance(messages, list):
        raise Rejected(400, "messages: Input should be a valid list")
    if not messages:
        raise Rejected(400, "messages: at least one message is required")
    limit = body.get("max_tokens")
    if not count_only and (isinstance(limit, bool) or not isinstance(limit, int)):
        raise Rejected(400, "max_tokens: Input should be a valid integer")
    if isinstance(limit, int) and limit < 1:
        raise Rejected(400, "max_tokens: Input should be greater than or equal to 1")
    for name in ("temperature", "top_p"):
        value = body.get(name)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise Rejected(400, f"{name}: Input should be a valid number")
        if value is not None and not 0 <= value <= 1:
            raise Rejected(400, f"{name}: range: 0..1")
    for stop in body.get("stop_sequences") or ():
        if not isinstance(stop, str) or not stop.strip():
            raise Rejected(400, "stop_sequences: each stop sequence must contain non-whitespace")


def _read_tools(body: Mapping[str, Any], tally: Tally) -> tuple[Tool, ...]:
    read: list[Tool] = []
    for index, tool in enumerate(body.get("tools") or ()):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            raise Rejected(400, f"tools.{index}.custom.name: Field required")
        hosted = tool.get("type", "custom") != "custom"
        if not hosted and not isinstance(tool.get("input_schema"), dict):
            raise Rejected(400, f"tools.{index}.custom.input_schema: Field required")
        if any(one.name == tool["name"] for one in read):
            raise Rejected(400, "tools: Tool names must be unique.")
        read.append(Tool(tool["name"], tool.get("input_schema") or {"type": "object"}))
        tally.add_json({name: value for name, value in tool.items() if name != "cache_control"})
        _mark(tool, tally)
    return tuple(read)


def _read_choice(body: Mapping[str, Any], tools: Sequence[Tool]) -> tuple[Choose, str | None, bool]:
    choice = body.get("tool_choice")
    if choice is None:
        return Choose.AUTO, None, True
    if not tools:
        raise Rejected(400, "tool_choice may only be specified while providing tools")
    parallel = not (isinstance(choice, dict) and choice.get("disable_parallel_tool_use") is True)
    match choice:
        case {"type": "auto"}:
            return Choose.AUTO, None, parallel
        case {"type": "any"}:
            return Choose.ANY, None, parallel
        case {"type": "none"}:
            return Choose.NONE, None, parallel
        case {"type": "tool", "name": str(name)}:
            if all(tool.name != name for tool in tools):
                raise Rejected(400, f"Tool '{name}' not found in provided tools")
            return Choose.ANY, name, parallel
        case _:
            raise Rejected(
                400, "tool_choice: Input tag does not match any of the expected tags: 'auto', 'any', 'tool', 'none'"
            )


def _read_thinking(body: Mapping[str, Any], choose: Choose) -> bool:
    match body.get("thinking"):
        case None | {"type": "disabled"}:
            return False
        case {"type": "enabled", "budget_tokens": int(budget)}:
            if budget < _LEAST_THINKING:
                raise Rejected(400, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
            if budget >= (body.get("max_tokens") or 1 << 62):
                raise Rejected(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")
        case {"type": "enabled"}:
            raise Rejected(400, "thinking.enabled.budget_tokens: Field required")
        case {"type": "adaptive" | "between_tools"}:
            pass
        case _:
            raise Rejected(
                400, "thinking: Input tag does not match any of the expected tags: 'disabled', 'enabled', 'adaptive'"
            )
    if choose is Choose.ANY:
        raise Rejected(400, "Thinking may not be enabled when tool_choice forces tool use.")
    if body.get("temperature") not in (None, 1):
        raise Rejected(400, "`temperature` may only be set to 1 when thinking is enabled.")
    return True


def _read_format(body: Mapping[str, Any]) -> Any:
    config = body.get("output_config")
    wanted = (config.get("format") if isinstance(config, dict) else None) or body.get("output_format")
    match wanted:
        case None:
            return None
        case {"type": "json_schema", "schema": dict(schema)}:
            return schema
        case _:
            raise Rejected(400, "output_config.format.schema: Field required")


def _read_system(system: Any, tally: Tally) -> None:
    match system:
        case None:
            return
        case str():
            tally.add_text(system)
        case list():
            for index, block in enumerate(system):
                if not isinstance(block, dict) or not isinstance(block.get("text"), str):
                    raise Rejected(400, f"system.{index}.text: Field required")
                _read_text(block["text"], f"system.{index}", tally)
                _mark(block, tally)
        case _:
            raise Rejected(400, "system: Input should be a valid string or list")


def _read_message(message: Any, path: str, tally: Tally) -> tuple[str, list[Media], list[str]]:
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
        _read_text(content, path, tally)
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
            _read_text(text, path, tally)
        case {"type": "image" | "document" as kind, "source": dict(source)}:
            media.append(Media(kind, _source_size(source, f"{path}.{kind}.source", tally)))
        case {"type": "thinking", "thinking": str(thinking), "signature": str(signature)}:
            # An omitted thought is signed as what it was, which is not told.
            if thinking and not hmac.compare_digest(signature.encode(), sign_thinking(thinking).encode()):
                raise Rejected(400, f"{path}: Invalid `signature` in `thinking` block")
            tally.add_text(thinking)
        case {"type": "tool_use", "id": str(), "name": str(name), "input": dict(arguments)}:
            tally.add_text(name)
            tally.add_json(arguments)
        case {"type": "tool_result", "tool_use_id": str()}:
            told.append(_read_result(block.get("content"), f"{path}.tool_result.content", tally, media))
        case {"type": "text" | "image" | "document" | "thinking" | "tool_use" | "tool_result" as kind}:
            raise Rejected(400, f"{path}.{kind}: Field required")
        case {"type": "redacted_thinking" | "search_result" | "server_tool_use"} | {"type": str()} if _is_hosted(block):
            tally.add_json({name: value for name, value in block.items() if name != "cache_control"})
        case _:
            kind = block.get("type") if isinstance(block, dict) else None
            raise Rejected(
                400, f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
            )
    _mark(block, tally)


def _is_hosted(block: Mapping[str, Any]) -> bool:
    kind = block["type"]
    return kind in ("redacted_thinking", "search_result", "server_tool_use", "container_upload") or kind.endswith(
        "_tool_result"
    )


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


def _read_text(text: str, path: str, tally: Tally) -> None:
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


def _check_pairs(messages: Sequence[Mapping[str, Any]]) -> None:
    """Tool calls are answered in the very next message, and only calls of the message before are."""
    if messages[0]["role"] != "user":
        raise Rejected(400, 'messages: first message must use the "user" role')
    before: set[str] = set()
    for index, message in enumerate(messages):
        blocks = (
            [block for block in message["content"] if isinstance(block, dict)]
            if isinstance(message["content"], list)
            else []
        )
        answered = [block["tool_use_id"] for block in blocks if block.get("type") == "tool_result"]
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
        before = {block["id"] for block in blocks if block.get("type") == "tool_use"}
    if before:
        raise Rejected(
            400,
            f"messages.{len(messages) - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(sorted(before))}. Each `tool_use` block must have a corresponding `tool_result` block in the "
            "next message.",
        )


def _mark(block: Mapping[str, Any], tally: Tally) -> None:
    control = block.get("cache_control")
    if control is None:
        return
    if not isinstance(control, dict) or control.get("type") != "ephemeral":
        raise Rejected(400, "cache_control: Input should be {'type': 'ephemeral'}")
    tally.mark()
