"""A request that is relayed: what a decision must know of it, and the few changes made to its bytes.

The path tells model and stream. Of the messages only the kinds of their blocks are looked at; the rest stays unread.
"""

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.faults import UpstreamFault
from waypost.conversation.options import CallOptions
from waypost.conversation.reply import Usage
from waypost.dialects.bedrock.faults import is_error, malformed, read_exception
from waypost.dialects.bedrock.request import OWN_METADATA
from waypost.dialects.bedrock.words import WireUsage, read_usage
from waypost.dialects.dialect import Edits, Glance
from waypost.dialects.json_edit import (
    LONG,
    MOST_ASKED,
    check_unique,
    decode,
    edit_beside,
    edit_members,
    member_of,
    members,
    refuse,
    unique_members,
)
from waypost.dialects.wire_json import ABSENT, ShapeError, told
from waypost.dialects.wire_json import decode as decode_reply


class _Inference(Struct, frozen=True, rename="camel"):
    max_tokens: int | None = None


class _Tool(Struct, frozen=True, rename="camel"):
    tool_spec: Raw = ABSENT
    system_tool: Raw = ABSENT
    cache_point: Raw = ABSENT


class _ToolConfig(Struct, frozen=True):
    tools: list[_Tool] | None = None


class _Thinking(Struct, frozen=True):
    type: str | None = None


class _Output(Struct, frozen=True, rename="camel"):
    text_format: Raw = ABSENT
    effort: Raw = ABSENT


class _Tier(Struct, frozen=True):
    type: str | None = None


class _Performance(Struct, frozen=True):
    latency: str | None = None


class _Body(Struct, frozen=True, rename="camel"):
    messages: Raw = ABSENT
    system: Raw = ABSENT
    inference_config: Raw = ABSENT
    tool_config: _ToolConfig | None = None
    additional_model_request_fields: dict[str, Raw] | None = None
    output_config: _Output | None = None
    prompt_variables: Raw = ABSENT
    request_metadata: dict[str, Raw] | None = None
    service_tier: _Tier | None = None
    performance_config: _Performance | None = None
    waypost: CallOptions | None = None


class _Source(Struct, frozen=True):
    text: Raw = ABSENT
    content: Raw = ABSENT


class _Document(Struct, frozen=True):
    source: _Source | None = None


class _Result(Struct, frozen=True):
    content: "list[_Part] | None" = None


class _Guarded(Struct, frozen=True):
    image: Raw = ABSENT


class _Part(Struct, frozen=True, rename="camel"):
    image: Raw = ABSENT
    document: _Document | None = None
    video: Raw = ABSENT
    audio: Raw = ABSENT
    tool_result: _Result | None = None
    guard_content: _Guarded | None = None


class _Message(Struct, frozen=True):
    content: list[_Part] | None = None


class _Reply(Struct, frozen=True):
    output: Raw = ABSENT
    usage: WireUsage | None = None


_BODY = msgspec.json.Decoder(_Body)
_INFERENCE = msgspec.json.Decoder(_Inference)
_MESSAGES = msgspec.json.Decoder(list[_Message])
_PARTS = msgspec.json.Decoder(list[_Part])
_THINKING = msgspec.json.Decoder(_Thinking)
_STRING = msgspec.json.Decoder(str)
_REPLY = msgspec.json.Decoder(_Reply)

_NONE: frozenset[str] = frozenset()
_UNBOUNDED = "unbounded"
_ONLY_UNBOUNDED = frozenset((_UNBOUNDED,))
# Which of two a provider would obey can't be known, and money, policy or routing hangs on each of these.
_ACTED_ON = unique_members(*_Body.__struct_encode_fields__)
_PLAIN = frozenset(("messages", "system", "inferenceConfig"))
_RARE = frozenset(_Body.__struct_encode_fields__) - _PLAIN
# Where none of these is spelt there is no media, and nothing to look for.
_MEDIA = (b'"image"', b'"document"', b'"video"', b'"audio"', b"\\u00")
_LIMIT = "maxTokens"
_SERVED = ("tools", "mcp_servers", "container")  # of a model's own fields: what may add to the input


def glance(body: bytes) -> Glance:
    """Raises Refused(BAD_REQUEST) that names the field."""
    seen = decode(_BODY, body)
    names = check_unique(body, _ACTED_ON, seen.messages)
    limit = _limit(seen.inference_config) if told(seen.inference_config) else None
    needs = _NONE
    image, document, video, audio, escaped = _MEDIA
    if image in body or document in body or video in body or audio in body or escaped in body:
        needs = _media(seen)
    unbounded = _UNBOUNDED in needs or not told(seen.messages)
    if needs:
        needs -= _ONLY_UNBOUNDED
    if _RARE.isdisjoint(names):
        return Glance("", False, limit, 1, True, unbounded, None, needs)
    task, combination_id = _labels(seen.request_metadata)
    return Glance(
        model="",
        max_output=limit,
        asked_usage=True,
        unbounded_input=unbounded or _served(seen),
        unpriced=_unpriced(seen),
        needs=needs | _features(seen),
        options=seen.waypost,
        task=task,
        combination_id=combination_id,
    )


def _limit(inference: Raw) -> int | None:
    raw = bytes(inference)
    limit = decode(_INFERENCE, raw).max_tokens
    doubtful = raw.count(b'"maxTokens"') > 1 or b"\\" in raw
    if doubtful and [member.name for member in members(raw)].count(_LIMIT) > 1:
        refuse("`inferenceConfig.maxTokens` is given twice")
    if limit is not None and not 0 <= limit <= MOST_ASKED:
        refuse(f"`inferenceConfig.maxTokens` is {'negative' if limit < 0 else f'above {MOST_ASKED}'}")
    return limit


def _labels(metadata: dict[str, Raw] | None) -> tuple[str | None, str | None]:
    """Task and combination, which are Waypost's own; the rest of the metadata is the caller's."""
    found = [None if metadata is None else metadata.get(name) for name in OWN_METADATA]
    task, combination_id = [None if raw is None else decode(_STRING, bytes(raw)) for raw in found]
    return task, combination_id


def _unpriced(seen: _Body) -> str | None:
    if seen.performance_config is not None and seen.performance_config.latency == "optimized":
        return "performanceConfig: optimized"
    tier = seen.service_tier
    if tier is not None and tier.type not in (None, "default"):
        return f"serviceTier: {tier.type}"[:100]
    return None


def _features(seen: _Body) -> frozenset[str]:
    features = {"tools"} if seen.tool_config is not None and seen.tool_config.tools else set()
    if seen.output_config is not None and told(seen.output_config.text_format):
        features.add("structured")
    fields = seen.additional_model_request_fields or {}
    effort = seen.output_config is not None and told(seen.output_config.effort)
    if effort or "reasoning_effort" in fields or any(_thinks(fields.get(name)) for name in _THINKING_FIELDS):
        features.add("reasoning")
    return frozenset(features)


_THINKING_FIELDS = ("thinking", "reasoning_config", "reasoningConfig")


def _thinks(raw: Raw | None) -> bool:
    if raw is None:
        return False
    try:
        return _THINKING.decode(raw).type != "disabled"
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return True


def _served(seen: _Body) -> bool:
    """Whether the provider may add to the input: its own tools, a stored prompt."""
    if told(seen.prompt_variables):
        return True
    tools = seen.tool_config.tools if seen.tool_config is not None else None
    if tools and not all(told(tool.tool_spec) or told(tool.cache_point) for tool in tools):
        return True
    fields = seen.additional_model_request_fields
    return bool(fields) and any(name in fields for name in _SERVED) if fields else False


def _media(seen: _Body) -> frozenset[str]:
    """The needs that the media bring, and `_UNBOUNDED`: also if the messages can't be understood."""
    found: set[str] = set()
    try:
        for message in _MESSAGES.decode(seen.messages) if told(seen.messages) else ():
            _look(message.content or (), found)
        _look(_PARTS.decode(seen.system) if told(seen.system) else (), found)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _ONLY_UNBOUNDED
    return frozenset(found)


def _look(parts: "list[_Part] | tuple[()]", found: set[str]) -> None:
    """A picture's or a PDF's tokens have nothing to do with its bytes: any but plain text may be more."""
    for part in parts:
        if told(part.image) or (part.guard_content is not None and told(part.guard_content.image)):
            found.update(("images", _UNBOUNDED))
        if part.document is not None:
            found.add("documents")
            source = part.document.source
            if source is None or not (told(source.text) or told(source.content)):
                found.add(_UNBOUNDED)
        if told(part.audio):
            found.update(("audio", _UNBOUNDED))
        if told(part.video):
            found.add(_UNBOUNDED)
        if part.tool_result is not None:
            _look(part.tool_result.content or (), found)


def edit(body: bytes, seen: Glance, edits: Edits) -> bytes:
    """The path has the model, and usage is always told: neither changes a byte. The limit has one field."""
    labelled = seen.task is not None or seen.combination_id is not None
    if edits.max_output is None and not (edits.remove_options or labelled):
        return body
    if len(body) > LONG:
        return edit_beside(body, _BODY.decode(body).messages, b'"messages"', lambda rest: _edit(rest, seen, edits))
    return _edit(body, seen, edits)


def _edit(body: bytes, seen: Glance, edits: Edits) -> bytes:
    limit = edits.max_output
    if limit is not None and (seen.max_output is None or limit < seen.max_output):
        body = _with_limit(body, b"%d" % limit)
    if edits.remove_options:
        body = edit_members(body, {"waypost": None})
    if seen.task is not None or seen.combination_id is not None:
        body = _without_own_metadata(body)
    return body


def rename(body: bytes, old: bytes, new: bytes) -> bytes:
    return body


def _with_limit(body: bytes, limit: bytes) -> bytes:
    found = member_of(body, "inferenceConfig")
    inference = b"{}" if found is None else body[found.value : found.end]
    if inference == b"null":
        inference = b"{}"
    return edit_members(body, {"inferenceConfig": edit_members(inference, {_LIMIT: limit})})


def _without_own_metadata(body: bytes) -> bytes:
    found = member_of(body, "requestMetadata")
    if found is None:
        return body
    rest = edit_members(body[found.value : found.end], dict.fromkeys(OWN_METADATA))
    return edit_members(body, {"requestMetadata": rest if members(rest) else None})


def glance_reply(body: bytes) -> Usage | None:
    """Raises UpstreamFault if the body is no JSON object, or is an error under a status of success."""
    try:
        reply = decode_reply(_REPLY, body, "")
    except ShapeError as error:
        raise UpstreamFault(malformed(f"the answer is not one of Converse: {error}")) from error
    if not reply.output and is_error(body):
        raise UpstreamFault(read_exception(None, body))
    return None if reply.usage is None else read_usage(reply.usage)
