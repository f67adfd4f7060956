"""Reads and judges the input of a Responses request: messages, tool calls and their outputs, reasoning."""

from collections.abc import Mapping, Sequence
from typing import Any

from waypost.sim.exchange import Media, Rejected
from waypost.sim.openai_messages import data_size, wrong_type
from waypost.sim.shape import Flaw, FlawKind, Kind, Many, Record, find_flaw, record
from waypost.sim.signing import Signer, is_sealed
from waypost.sim.tally import Tally

_ROLES = ("assistant", "system", "developer", "user")
_PARTS: dict[str, Record] = {
    "input_text": record("type", "text", text=Kind.TEXT, prompt_cache_breakpoint=Kind.OBJECT),
    "input_image": record(
        "type", image_url=Kind.TEXT, file_id=Kind.TEXT, detail=Kind.TEXT, prompt_cache_breakpoint=Kind.OBJECT
    ),
    "input_file": record(
        "type",
        file_data=Kind.TEXT,
        file_id=Kind.TEXT,
        file_url=Kind.TEXT,
        filename=Kind.TEXT,
        detail=Kind.TEXT,
        prompt_cache_breakpoint=Kind.OBJECT,
    ),
    "input_audio": record(
        "type", "input_audio", input_audio=record("", "data", "format", data=Kind.TEXT, format=Kind.TEXT)
    ),
    "output_text": record("type annotations logprobs", "text", text=Kind.TEXT),
    "refusal": record("type", "refusal", refusal=Kind.TEXT),
}
_SAID_BY = {"assistant": ("output_text", "refusal")}
_HEARD = ("input_text", "input_image", "input_file", "input_audio")
_PASSED = "internal_chat_message_metadata_passthrough"  # Codex sends it to OpenAI with every item
_ITEMS: dict[str, Record] = {
    "message": record(f"type content id phase {_PASSED}", "role", "content", role=Kind.TEXT, status=Kind.TEXT),
    "function_call": record(
        f"type caller {_PASSED}",
        "call_id",
        "name",
        "arguments",
        call_id=Kind.TEXT,
        name=Kind.TEXT,
        arguments=Kind.TEXT,
        id=Kind.TEXT,
        status=Kind.TEXT,
        namespace=Kind.TEXT,
    ),
    "function_call_output": record(
        f"type output caller {_PASSED}", "call_id", "output", call_id=Kind.TEXT, id=Kind.TEXT, status=Kind.TEXT
    ),
    "custom_tool_call": record(
        f"type caller {_PASSED}",
        "call_id",
        "name",
        "input",
        call_id=Kind.TEXT,
        name=Kind.TEXT,
        input=Kind.TEXT,
        id=Kind.TEXT,
        status=Kind.TEXT,
        namespace=Kind.TEXT,
    ),
    "custom_tool_call_output": record(
        f"type output caller {_PASSED}", "call_id", "output", call_id=Kind.TEXT, id=Kind.TEXT, status=Kind.TEXT
    ),
    "reasoning": record(
        f"type {_PASSED}",
        "summary",
        id=Kind.TEXT,
        encrypted_content=Kind.TEXT,
        status=Kind.TEXT,
        summary=Many(record("type", "text", text=Kind.TEXT)),
        content=Many(record("type", "text", text=Kind.TEXT)),
    ),
    "item_reference": record("type", "id", id=Kind.TEXT),
}
# Items of tools that the provider runs itself, and what comes of them: taken as they are.
_HOSTED_TEXT = """
    file_search_call computer_call computer_call_output web_search_call image_generation_call code_interpreter_call
    local_shell_call local_shell_call_output shell_call shell_call_output apply_patch_call apply_patch_call_output
    mcp_list_tools mcp_approval_request mcp_approval_response mcp_call compaction tool_search_call tool_search_output
    additional_tools
"""
_HOSTED = frozenset(_HOSTED_TEXT.split())


def check_items(items: Sequence[Any], strict: bool) -> None:
    """Every item has its shape, every output its call, and every call its output."""
    calls: set[str] = set()
    answered: set[str] = set()
    for index, item in enumerate(items):
        path = ("input", index)
        if not isinstance(item, dict):
            raise wrong_type(f"input[{index}]", "an object", item)
        kind = kind_of(item)
        if kind in _HOSTED:
            continue
        shape = _ITEMS.get(kind)
        if shape is None:
            raise _no_value(kind, [*_ITEMS, *sorted(_HOSTED)], f"input[{index}]")
        refuse(find_flaw(item, shape, strict=strict, path=path))
        if kind.endswith("_call_output"):
            if item["call_id"] not in calls:
                raise Rejected(
                    400, f"No tool call found for function call output with call_id {item['call_id']}.", param="input"
                )
            answered.add(item["call_id"])
        elif kind.endswith("_call"):
            calls.add(item["call_id"])
        elif kind == "reasoning":
            _check_reasoning(item, index)
    for identity in sorted(calls - answered):
        raise Rejected(400, f"No tool output found for function call {identity}.", param="input")


def kind_of(item: Mapping[str, Any]) -> str:
    return str(item.get("type") or "message")


def _check_reasoning(item: Mapping[str, Any], index: int) -> None:
    content = item.get("encrypted_content")
    if content is not None and not is_sealed(Signer.RESPONSES, content):
        raise Rejected(
            400,
            f"The encrypted content {content[:12]}... could not be verified. Reason: Encrypted content could not be "
            "decrypted or parsed.",
            param=f"input[{index}].encrypted_content",
            code="invalid_encrypted_content",
        )


def read_item(item: Mapping[str, Any], path: str, tally: Tally, strict: bool) -> tuple[str, list[Media]]:
    """What was said and shown in an item. Everything is judged and counted."""
    media: list[Media] = []
    match kind_of(item):
        case "message":
            role = item["role"]
            if role not in _ROLES:
                raise _no_value(role, _ROLES, f"{path}.role")
            return _read_parts(item["content"], f"{path}.content", role, tally, media, strict), media
        case "function_call" | "custom_tool_call":
            tally.add_text(item["name"])
            tally.add_text(item.get("arguments") or item.get("input") or "")
            return "", media
        case "function_call_output" | "custom_tool_call_output":
            return _read_parts(item["output"], f"{path}.output", "user", tally, media, strict), media
        case "reasoning":
            for part in item["summary"]:
                tally.add_text(part["text"])
            return "", media
        case _:
            tally.add_json(item)
            return "", media


def _read_parts(content: Any, path: str, role: str, tally: Tally, media: list[Media], strict: bool) -> str:
    if isinstance(content, str):
        tally.add_text(content)
        return content
    if not isinstance(content, list):
        raise wrong_type(path, "one of a string or array of objects", content)
    allowed = _SAID_BY.get(role, _HEARD)
    said = []
    for index, part in enumerate(content):
        place = f"{path}[{index}]"
        kind = str(part.get("type") if isinstance(part, dict) else None)
        if kind not in allowed:
            raise _no_value(kind, allowed, place)
        refuse(find_flaw(part, _PARTS[kind], strict=strict, path=(place,)))
        said.append(_read_part(kind, part, place, tally, media))
        if part.get("prompt_cache_breakpoint") is not None:
            tally.mark()
    return "\n".join(text for text in said if text)


def _read_part(kind: str, part: Mapping[str, Any], path: str, tally: Tally, media: list[Media]) -> str:
    match kind:
        case "input_text" | "output_text":
            tally.add_text(part["text"])
            return str(part["text"])
        case "refusal":
            tally.add_text(part["refusal"])
        case "input_image":
            held = part.get("image_url")
            if held is None and part.get("file_id") is None:
                raise Rejected(400, f"Missing required parameter: '{path}.image_url'.", param=f"{path}.image_url")
            _show("image", held, f"{path}.image_url", tally, media)
        case "input_file":
            held = part.get("file_data")
            if held is None and part.get("file_id") is None and part.get("file_url") is None:
                raise Rejected(400, f"Missing required parameter: '{path}.file_id'.", param=f"{path}.file_id")
            _show("document", held, f"{path}.file_data", tally, media)
        case _:
            _show("recording", "data:;base64," + part["input_audio"]["data"], f"{path}.input_audio", tally, media)
    return ""


def _show(kind: str, held: str | None, path: str, tally: Tally, media: list[Media]) -> None:
    size = None if held is None else data_size(held, path)
    media.append(Media(kind, size))
    tally.add_media(len(held or "") if size is None else size)


def refuse(flaw: Flaw | None) -> None:
    """Raises what OpenAI says of a flaw."""
    if flaw is None:
        return
    path = dotted((*flaw.path, flaw.name) if flaw.name else flaw.path)
    match flaw.kind:
        case FlawKind.MISSING:
            code = "missing_required_parameter"
            raise Rejected(400, f"Missing required parameter: '{path}'.", param=path, code=code)
        case FlawKind.UNKNOWN:
            raise Rejected(400, f"Unknown parameter: '{path}'.", param=path, code="unknown_parameter")
        case _:
            article = "an" if flaw.expected[:1] in "aeio" else "a"
            raise wrong_type(path, f"{article} {flaw.expected}", flaw.found)


def dotted(path: Sequence[str | int]) -> str:
    shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return shown.removeprefix(".")


def _no_value(value: Any, supported: Sequence[str], path: str) -> Rejected:
    shown = ", ".join(f"'{one}'" for one in supported[:-1])
    return Rejected(
        400,
        f"Invalid value: '{value}'. Supported values are: {shown}, and '{supported[-1]}'.",
        param=path,
        code="invalid_value",
    )
