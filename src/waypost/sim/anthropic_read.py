"""Reads and judges an Anthropic Messages request as the provider does: what is asked, or a 400 in its words.

Follows https://docs.claude.com/en/api/messages and the messages that the live service gives.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from waypost.sim.anthropic_messages import check_pairs, read_mark, read_message, read_text
from waypost.sim.exchange import Choose, Media, Question, Rejected, Tool
from waypost.sim.faults import read_markers, words_wanted
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
        said, seen, told = read_message(message, f"messages.{index}", tally)
        if message["role"] == "user":
            text, media, results = said, tuple(seen), tuple(told)
    check_pairs(messages)
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
        words=words_wanted(settings),
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
        read_mark(tool, tally)
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
                read_text(block["text"], f"system.{index}", tally)
                read_mark(block, tally)
        case _:
            raise Rejected(400, "system: Input should be a valid string or list")
