"""A request that is relayed: what a decision must know of it, and the few changes made to its bytes.

The path tells model and stream. Of the contents only the kinds of their media are looked at; the rest stays unread.
"""

from typing import NoReturn

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.faults import ErrorKind, Refused
from waypost.conversation.options import CallOptions
from waypost.dialects.dialect import Edits, Glance
from waypost.dialects.json_edit import (
    LONG,
    MOST_ASKED,
    check_unique,
    edit_beside,
    edit_members,
    member_of,
    unique_members,
)
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told


class _Body(Struct, gc=False, rename="camel"):
    contents: Raw = ABSENT
    generation_config: Raw = ABSENT
    generation_config_snake: Raw = msgspec.field(default=ABSENT, name="generation_config")
    system_instruction: Raw = ABSENT
    system_instruction_snake: Raw = msgspec.field(default=ABSENT, name="system_instruction")
    tools: Raw = ABSENT
    cached_content: Raw = ABSENT
    cached_content_snake: Raw = msgspec.field(default=ABSENT, name="cached_content")
    service_tier: Raw = ABSENT
    service_tier_snake: Raw = msgspec.field(default=ABSENT, name="service_tier")
    waypost: CallOptions | None = None


class _Thinking(Struct, gc=False, rename="camel"):
    include_thoughts: bool | None = None
    include_thoughts_snake: bool | None = msgspec.field(default=None, name="include_thoughts")
    thinking_budget: int | None = None
    thinking_budget_snake: int | None = msgspec.field(default=None, name="thinking_budget")
    thinking_level: str | None = None
    thinking_level_snake: str | None = msgspec.field(default=None, name="thinking_level")


class _Config(Struct, gc=False, rename="camel"):
    max_output_tokens: int | None = None
    max_output_tokens_snake: int | None = msgspec.field(default=None, name="max_output_tokens")
    candidate_count: int | None = None
    candidate_count_snake: int | None = msgspec.field(default=None, name="candidate_count")
    response_mime_type: str | None = None
    response_mime_type_snake: str | None = msgspec.field(default=None, name="response_mime_type")
    response_schema: Raw = ABSENT
    response_schema_snake: Raw = msgspec.field(default=ABSENT, name="response_schema")
    response_json_schema: Raw = ABSENT
    response_json_schema_snake: Raw = msgspec.field(default=ABSENT, name="response_json_schema")
    response_modalities: list[str] | None = None
    response_modalities_snake: list[str] | None = msgspec.field(default=None, name="response_modalities")
    thinking_config: _Thinking | None = None
    thinking_config_snake: _Thinking | None = msgspec.field(default=None, name="thinking_config")


class _Media(Struct, gc=False, rename="camel"):
    mime_type: str | None = None
    mime_type_snake: str | None = msgspec.field(default=None, name="mime_type")


class _Part(Struct, gc=False, rename="camel"):
    inline_data: _Media | None = None
    inline_data_snake: _Media | None = msgspec.field(default=None, name="inline_data")
    file_data: _Media | None = None
    file_data_snake: _Media | None = msgspec.field(default=None, name="file_data")
    function_response: Raw = ABSENT
    function_response_snake: Raw = msgspec.field(default=ABSENT, name="function_response")


class _Parts(Struct, gc=False):
    parts: list[_Part] | None = None


_BODY = msgspec.json.Decoder(_Body)
_CONFIG = msgspec.json.Decoder(_Config, strict=False)
_CONTENTS = msgspec.json.Decoder(list[_Parts])
_PARTS = msgspec.json.Decoder(_Parts)
_TOOLS = msgspec.json.Decoder(list[dict[str, Raw]])

_NONE: frozenset[str] = frozenset()
_FUNCTIONS = frozenset(("functionDeclarations", "function_declarations"))
_MARKS = (b'"inlineData"', b'"inline_data"', b'"fileData"', b'"file_data"', b"\\u00")
_PAIRS = (
    ("generationConfig", "generation_config"),
    ("systemInstruction", "system_instruction"),
    ("cachedContent", "cached_content"),
    ("serviceTier", "service_tier"),
)
_CONFIG_PAIRS = (
    ("maxOutputTokens", "max_output_tokens"),
    ("candidateCount", "candidate_count"),
    ("thinkingConfig", "thinking_config"),
    ("responseModalities", "response_modalities"),
)
# Which of two a provider would obey can't be known, and money, policy or routing hangs on each of these.
_ACTED_ON = unique_members("contents", "tools", "waypost", *[name for pair in _PAIRS for name in pair])
_ACTED_ON_IN_CONFIG = unique_members(*[name for pair in _CONFIG_PAIRS for name in pair])
_RARE = frozenset(_Body.__struct_encode_fields__) - {"contents", "systemInstruction", "generationConfig"}
_RARE_IN_CONFIG = frozenset(_Config.__struct_encode_fields__) - {"maxOutputTokens", "candidateCount"}
_PLAIN = ("TEXT",)
_NO_CONFIG = _Config()


def glance(body: bytes) -> Glance:
    """Raises Refused(BAD_REQUEST) that names the field."""
    try:
        if not body.isascii():
            check_text(body)
        seen = decode(_BODY, body, "")
        names = check_unique(body, _ACTED_ON, seen.contents, b'"contents"')
        return _glance(body, seen, _RARE.isdisjoint(names))
    except ShapeError as error:
        refuse(error)


def refuse(error: ShapeError) -> NoReturn:
    raise Refused(ErrorKind.BAD_REQUEST, str(error).replace(" | null`", "`")) from error


def _glance(body: bytes, seen: _Body, plain: bool) -> Glance:
    """`plain`: none of `_RARE` is there."""
    if not plain:
        for name, other in _PAIRS:
            if told(getattr(seen, other)) and told(getattr(seen, f"{other}_snake")):
                raise ShapeError(f"{name}: is given twice")
    needs: set[str] = set()
    raw = seen.generation_config or seen.generation_config_snake
    config = _read_config(raw, needs) if told(raw) else _NO_CONFIG
    unbounded = not plain and (told(seen.cached_content) or told(seen.cached_content_snake))
    if (b'Data"' in body or b'_data"' in body or b"\\u00" in body) and any(mark in body for mark in _MARKS):
        unbounded = _media(seen.contents, needs) or unbounded
    if not plain and told(seen.tools) and bytes(seen.tools) != b"[]":
        unbounded = _look_at_tools(seen.tools, needs) or unbounded
    limit = _first(config.max_output_tokens, config.max_output_tokens_snake)
    choices = _first(config.candidate_count, config.candidate_count_snake)
    return Glance(
        "",
        False,
        limit if limit is None else _checked("maxOutputTokens", limit),
        1 if choices is None else _checked("candidateCount", choices),
        True,
        unbounded,
        _unpriced(seen, config),
        frozenset(needs) if needs else _NONE,
        seen.waypost,
    )


def _first(one: int | None, other: int | None) -> int | None:
    return other if one is None else one


def _checked(name: str, count: int) -> int:
    if not 1 <= count <= MOST_ASKED:
        raise ShapeError(f"generationConfig.{name}: must be at least 1 and at most {MOST_ASKED}")
    return count


def _read_config(raw: Raw, needs: set[str]) -> _Config:
    """Adds the needs that it brings."""
    config = decode(_CONFIG, raw, "generationConfig")
    try:
        names = check_unique(bytes(raw), _ACTED_ON_IN_CONFIG, ABSENT)
    except Refused as refused:
        raise ShapeError(f"generationConfig: {refused}") from refused
    if _RARE_IN_CONFIG.isdisjoint(names):
        return config
    for name, other in _CONFIG_PAIRS:
        if getattr(config, other) is not None and getattr(config, f"{other}_snake") is not None:
            raise ShapeError(f"generationConfig.{name}: is given twice")
    _look_at_config(config, needs)
    return config


def _look_at_config(config: _Config, needs: set[str]) -> None:
    kind = config.response_mime_type or config.response_mime_type_snake
    schemas = (
        config.response_schema,
        config.response_schema_snake,
        config.response_json_schema,
        config.response_json_schema_snake,
    )
    if kind not in (None, "text/plain") or any(told(schema) for schema in schemas):
        needs.add("structured")
    thinking = config.thinking_config or config.thinking_config_snake
    if thinking is not None:
        budget = _first(thinking.thinking_budget, thinking.thinking_budget_snake)
        level = thinking.thinking_level or thinking.thinking_level_snake
        shown = thinking.include_thoughts or thinking.include_thoughts_snake
        if budget != 0 and (budget is not None or level is not None or shown):
            needs.add("reasoning")


def _unpriced(seen: _Body, config: _Config) -> str | None:
    """Tiers and kinds of output that cost otherwise than a model's text."""
    tier = seen.service_tier or seen.service_tier_snake
    if tier and bytes(tier).lower() == b'"priority"':
        return "serviceTier: priority"
    for modality in config.response_modalities or config.response_modalities_snake or ():
        if modality.upper() not in _PLAIN:
            return f"responseModalities: {modality}"
    return None


def _look_at_tools(raw: Raw, needs: set[str]) -> bool:
    """Whether the provider runs tools of its own, whose prompts and results add to the input."""
    needs.add("tools")
    text = bytes(raw)
    for tool in decode(_TOOLS, text if text.startswith(b"[") else b"[%b]" % text, "tools"):
        if any(told(value) for name, value in tool.items() if name not in _FUNCTIONS):
            return True
    return False


def _media(contents: Raw, needs: set[str]) -> bool:
    """Adds the needs that the contents' media bring. Whether some of their tokens have nothing to do with their bytes.

    Contents that can't be understood are taken to hold such.
    """
    if not told(contents):
        return False
    text = bytes(contents)
    unbounded = False
    try:
        for content in _CONTENTS.decode(text if text.startswith(b"[") else b"[%b]" % text):
            for part in content.parts or ():
                unbounded = _look_at_part(part, needs, True) or unbounded
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    return unbounded


def _look_at_part(part: _Part, needs: set[str], nested: bool) -> bool:
    unbounded = False
    inline = part.inline_data or part.inline_data_snake
    if inline is not None:
        unbounded = _look_at_media(inline, needs)
    file = part.file_data or part.file_data_snake
    if file is not None:
        _look_at_media(file, needs)
        unbounded = True
    result = part.function_response or part.function_response_snake
    if nested and result and b'"parts"' in bytes(result):
        for inner in _PARTS.decode(result).parts or ():
            unbounded = _look_at_part(inner, needs, False) or unbounded
    return unbounded


def _look_at_media(media: _Media, needs: set[str]) -> bool:
    """Text and sound have at most a token a byte; a picture, a film or a document's pages have not."""
    family = (media.mime_type or media.mime_type_snake or "").partition("/")[0].lower()
    if family == "audio":
        needs.add("audio")
        return False
    if family != "video":
        needs.add("images" if family == "image" else "documents")
    return family != "text"


def edit(body: bytes, seen: Glance, edits: Edits) -> bytes:
    """The path names the model, usage is always told, and the limit has one field: it alone may have to change.

    What is to be counted may be a whole request, and that names its model once more.
    """
    if edits.max_output is None and not (edits.remove_options or edits.counting):
        return body
    if len(body) > LONG:
        return edit_beside(body, _BODY.decode(body).contents, b'"contents"', lambda rest: _edit(rest, seen, edits))
    return _edit(body, seen, edits)


def _edit(body: bytes, seen: Glance, edits: Edits) -> bytes:
    limit = edits.max_output
    if limit is not None and (seen.max_output is None or limit < seen.max_output):
        body = _limited(body, b"%d" % limit)
    if edits.remove_options:
        body = edit_members(body, {"waypost": None})
    return _named(body, edits.model) if edits.counting else body


def _named(body: bytes, model: str) -> bytes:
    for name in ("generateContentRequest", "generate_content_request"):
        there = member_of(body, name)
        if there is not None and body[there.value : there.value + 1] == b"{":
            request = edit_members(body[there.value : there.end], {"model": msgspec.json.encode(f"models/{model}")})
            return body[: there.value] + request + body[there.end :]
    return body


def _limited(body: bytes, limit: bytes) -> bytes:
    for name in ("generationConfig", "generation_config"):
        there = member_of(body, name)
        if there is None:
            continue
        config = body[there.value : there.end]
        if not config.startswith(b"{"):
            return edit_members(body, {name: b'{"maxOutputTokens":%b}' % limit})
        used = "max_output_tokens" if member_of(config, "max_output_tokens") else "maxOutputTokens"
        return body[: there.value] + edit_members(config, {used: limit}) + body[there.end :]
    return edit_members(body, {"generationConfig": b'{"maxOutputTokens":%b}' % limit})


def rename(body: bytes, old: bytes, new: bytes) -> bytes:
    """The path names the model: there is nothing to change."""
    return body
