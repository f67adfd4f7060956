"""A request that is relayed: what a decision must know of it, and the few changes made to its bytes.

Of the messages only the kinds of their parts are looked at; the rest of the body stays unread.
"""

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.faults import UpstreamFault
from waypost.conversation.options import CallOptions
from waypost.conversation.reply import Usage
from waypost.dialects.anthropic.faults import malformed, read_error_event
from waypost.dialects.anthropic.foreign import without_foreign
from waypost.dialects.anthropic.request import OWN_METADATA
from waypost.dialects.anthropic.words import WireUsage, read_usage
from waypost.dialects.dialect import Edits, Glance
from waypost.dialects.json_edit import (
    LONG,
    MOST_ASKED,
    check_unique,
    decode,
    edit_beside,
    edit_members,
    quote,
    refuse,
    rename_model,
    replace_value,
    unique_members,
)
from waypost.dialects.wire_json import ABSENT, ShapeError, told
from waypost.dialects.wire_json import decode as decode_reply


class _Metadata(Struct, frozen=True):
    task: str | None = None
    combination_id: str | None = None


class _Kind(Struct, frozen=True):
    type: str | None = None


class _Config(Struct, frozen=True):
    format: Raw = ABSENT


class _Body(Struct, frozen=True):
    model: str
    messages: Raw = ABSENT
    max_tokens: int | None = None
    stream: bool | None = None
    tools: list[_Kind] | None = None
    thinking: _Kind | None = None
    output_config: _Config | None = None
    output_format: Raw = ABSENT
    metadata: _Metadata | None = None
    mcp_servers: Raw = ABSENT
    container: Raw = ABSENT
    thread: Raw = ABSENT
    speed: Raw = ABSENT
    waypost: CallOptions | None = None


class _Source(Struct, frozen=True):
    type: str | None = None
    content: Raw = ABSENT


class _Part(Struct, frozen=True):
    type: str | None = None
    source: Raw = ABSENT
    content: Raw = ABSENT


class _Message(Struct, frozen=True):
    content: str | list[_Part] | None = None


class _Reply(Struct, frozen=True):
    type: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: WireUsage | None = None


class _WithMetadata(Struct, frozen=True):
    metadata: dict[str, Raw] | None = None


_BODY = msgspec.json.Decoder(_Body)
_MESSAGES = msgspec.json.Decoder(list[_Message])
_PARTS = msgspec.json.Decoder(str | list[_Part])
_SOURCE = msgspec.json.Decoder(_Source)
_REPLY = msgspec.json.Decoder(_Reply)
_METADATA = msgspec.json.Decoder(_WithMetadata)

_NONE: frozenset[str] = frozenset()
# Which of two a provider would obey can't be known, and money, policy or routing hangs on each of these.
_ACTED_ON = unique_members(
    *("model", "messages", "max_tokens", "stream", "tools", "metadata", "waypost"),
    *("mcp_servers", "container", "thread"),
)
_RARE = frozenset(_Body.__struct_fields__) - {"model", "messages", "max_tokens", "stream"}
_UNBOUNDED = "unbounded"
_ONLY_UNBOUNDED = frozenset((_UNBOUNDED,))
_LOOKED_AT = frozenset(("image", "document", "tool_result", "container_upload"))
VERTEX_VERSION = b'"vertex-2023-10-16"'  # what Vertex AI has in place of the model's name, which its path holds
_DEEPEST = 4  # a document made of content within a tool result within a message


def glance(body: bytes) -> Glance:
    """Raises Refused(BAD_REQUEST) that names the field."""
    seen = decode(_BODY, body)
    if not seen.model:
        refuse("`model` is empty")
    limit = seen.max_tokens
    if limit is not None and not 0 <= limit <= MOST_ASKED:
        refuse("`max_tokens` is negative" if limit < 0 else f"`max_tokens` is above {MOST_ASKED}")
    names = check_unique(body, _ACTED_ON, seen.messages)
    needs = _media(seen.messages)
    unbounded = _UNBOUNDED in needs
    if unbounded:
        needs -= _ONLY_UNBOUNDED
    if _RARE.isdisjoint(names):
        return Glance(seen.model, seen.stream is True, limit, 1, True, unbounded, None, needs)
    metadata = seen.metadata or _Metadata()
    return Glance(
        model=seen.model,
        stream=seen.stream is True,
        max_output=limit,
        asked_usage=True,
        unbounded_input=unbounded or _served(seen),
        unpriced="speed: fast" if seen.speed and bytes(seen.speed) == b'"fast"' else None,
        needs=needs | _features(seen),
        options=seen.waypost,
        task=metadata.task,
        combination_id=metadata.combination_id,
    )


def _features(seen: _Body) -> frozenset[str]:
    features = {"tools"} if seen.tools else set()
    if seen.thinking is not None and seen.thinking.type != "disabled":
        features.add("reasoning")
    if told(seen.output_format) or (seen.output_config is not None and told(seen.output_config.format)):
        features.add("structured")
    return frozenset(features)


def _served(seen: _Body) -> bool:
    """Whether the provider may add to the input: its own tools (with prompts and results), its own state."""
    for member in (seen.mcp_servers, seen.container, seen.thread):
        if told(member) and bytes(member) != b"[]":
            return True
    return any(tool.type is not None and tool.type != "custom" for tool in seen.tools or ())


def _media(messages: Raw) -> frozenset[str]:
    """The needs that the messages' media bring, and `_UNBOUNDED`: also if the messages can't be understood."""
    found: set[str] | None = None
    try:
        for message in _MESSAGES.decode(messages) if messages else ():
            content = message.content
            if isinstance(content, list):
                found = set() if found is None else found
                _look(content, found, 1)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _ONLY_UNBOUNDED
    return frozenset(found) if found else _NONE


def _look(parts: list[_Part], found: set[str], depth: int) -> None:
    """A picture's or a PDF's tokens have nothing to do with its bytes: any but plain text may be more."""
    if depth > _DEEPEST:
        found.add(_UNBOUNDED)
        return
    for part in parts:
        kind = part.type
        if kind not in _LOOKED_AT:
            continue
        if kind == "image":
            found.add("images")
            found.add(_UNBOUNDED)
        elif kind == "document":
            found.add("documents")
            _look_at_document(part.source, found, depth)
        elif kind == "tool_result":
            _look_into(part.content, found, depth)
        elif kind == "container_upload":
            found.add(_UNBOUNDED)


def _look_at_document(source: Raw, found: set[str], depth: int) -> None:
    kind = _SOURCE.decode(source) if told(source) else _Source()
    if kind.type == "content":
        _look_into(kind.content, found, depth)
    elif kind.type != "text":
        found.add(_UNBOUNDED)


def _look_into(content: Raw, found: set[str], depth: int) -> None:
    parts = _PARTS.decode(content) if told(content) else ""
    if not isinstance(parts, str):
        _look(parts, found, depth + 1)


def edit(body: bytes, seen: Glance, edits: Edits) -> bytes:
    """Usage is always told here: `want_usage` asks for nothing. The limit has one field: `max_output_field` is moot."""
    body = without_foreign(body)
    if len(body) > LONG:
        return edit_beside(body, _BODY.decode(body).messages, b'"messages"', lambda rest: _edit(rest, seen, edits))
    return _edit(body, seen, edits)


def _edit(body: bytes, seen: Glance, edits: Edits) -> bytes:
    if "vertex" in edits.quirks:
        body = edit_members(body, {"model": None, "anthropic_version": VERTEX_VERSION})
    elif edits.model != seen.model:
        body = rename_model(body, quote(seen.model), quote(edits.model))
    limit = edits.max_output
    if limit is not None:
        if seen.max_output is None:
            body = edit_members(body, {"max_tokens": b"%d" % limit})
        elif limit < seen.max_output:
            body = replace_value(body, "max_tokens", b"%d" % seen.max_output, b"%d" % limit)
    if edits.remove_options:
        body = edit_members(body, {"waypost": None})
    if seen.task is not None or seen.combination_id is not None:
        body = _without_own_metadata(body)
    return body


def _without_own_metadata(body: bytes) -> bytes:
    """Anthropic refuses metadata that it does not know."""
    metadata = decode(_METADATA, body).metadata or {}
    rest = {name: raw for name, raw in metadata.items() if name not in OWN_METADATA}
    return edit_members(body, {"metadata": msgspec.json.encode(rest) if rest else None})


def glance_reply(body: bytes) -> Usage | None:
    """Raises UpstreamFault if the body is no JSON object, or is an error under a status of success."""
    try:
        reply = decode_reply(_REPLY, body, "")
    except ShapeError as error:
        raise UpstreamFault(malformed(f"the answer is not a message: {error}")) from error
    if reply.type == "error":
        raise UpstreamFault(read_error_event(body))
    return None if reply.usage is None else read_usage(reply.usage)
