"""The relay's view of a request: the few fields that a decision needs, and surgery on the bytes.

Knows which top-level members money, policy and routing hang on; leaves every other byte unread.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.json import Decoder

from waypost.conversation.options import CallOptions
from waypost.dialects.dialect import Edits, Glance
from waypost.dialects.json_edit import (
    LONG,
    MOST_ASKED,
    check_unique,
    decode,
    edit_beside,
    edit_members,
    may_hold,
    member_of,
    quote,
    rename_model,
    replace_value,
    unique_members,
)
from waypost.dialects.labels import labels_of, without_labels

Limit = Annotated[int, Meta(ge=1, le=MOST_ASKED)]

LIMIT_FIELDS = ("max_completion_tokens", "max_tokens")


_ABSENT = Raw()  # what holds nothing is no JSON: a member that is not there


class _StreamOptions(Struct, gc=False):
    include_usage: bool | None = None


class _Seen(Struct, gc=False):
    model: Annotated[str, Meta(min_length=1)]
    messages: Raw = _ABSENT
    stream: bool | None = None
    max_tokens: Limit | None = None
    max_completion_tokens: Limit | None = None
    n: Limit | None = None
    stream_options: _StreamOptions | None = None
    waypost: CallOptions | None = None
    metadata: Raw | UnsetType = UNSET


class _Rare(Struct, gc=False):
    tools: Raw | UnsetType = UNSET
    functions: Raw | UnsetType = UNSET
    response_format: Raw | UnsetType = UNSET
    reasoning_effort: Raw | UnsetType = UNSET
    reasoning: Raw | UnsetType = UNSET
    thinking: Raw | UnsetType = UNSET
    web_search_options: Raw | UnsetType = UNSET
    plugins: Raw | UnsetType = UNSET
    search_parameters: Raw | UnsetType = UNSET
    enable_search: Raw | UnsetType = UNSET
    data_sources: Raw | UnsetType = UNSET
    modalities: Raw | UnsetType = UNSET
    service_tier: Raw | UnsetType = UNSET


class _Tool(Struct, gc=False):
    type: str | None = None


class _Thinking(Struct, gc=False):
    type: str | None = None
    enabled: bool | None = None
    effort: str | None = None


class _ResponseFormat(Struct, gc=False):
    type: str | None = None


class _Kind(Struct, gc=False):
    type: str | None = None


class _Message(Struct, gc=False):
    content: str | list[_Kind | str] | None = None


_decoder = Decoder(_Seen)
_rare_decoder = Decoder(_Rare)
_parts_decoder = Decoder(list[_Message])
_tools_decoder = Decoder(list[_Tool])
_thinking_decoder = Decoder(_Thinking)
_format_decoder = Decoder(_ResponseFormat)

_IMAGES = frozenset(("image_url", "video_url"))
_DOCUMENTS = frozenset(("file", "document_url"))
_NOTHING: frozenset[str] = frozenset()
_NULL = b"null"
# Which of two a provider would obey can't be known, and money, policy or routing hangs on each of these.
_ACTED_ON = unique_members(
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "waypost",
    "metadata",
    *_Rare.__struct_fields__,
)
_RARE_NAMES = frozenset(_Rare.__struct_fields__)


def glance(body: bytes) -> Glance:
    """Refused(BAD_REQUEST), naming the field, for what is here but not as the protocol says, or is here twice."""
    seen = decode(_decoder, body)
    messages = seen.messages
    names = check_unique(body, _ACTED_ON, messages)
    task = combination_id = None
    if seen.metadata is not UNSET:
        task, combination_id = labels_of(bytes(seen.metadata))
    needs, unbounded = _NOTHING, False
    if messages and (b'"type"' in body or b"\\u00" in body):
        needs, unbounded = _part_needs(messages)
    unpriced = None
    if not _RARE_NAMES.isdisjoint(names):
        rare = decode(_rare_decoder, body, is_text=True)
        needs, unbounded = _rare_needs(rare, needs, unbounded)
        if rare.service_tier is not UNSET and bytes(rare.service_tier) == b'"priority"':
            unpriced = "service_tier: priority"
    limit = seen.max_tokens
    if (other := seen.max_completion_tokens) is not None:
        limit = other if limit is None else max(limit, other)
    options = seen.stream_options
    return Glance(
        seen.model,
        seen.stream is True,
        limit,
        seen.n or 1,
        options is not None and options.include_usage is True,
        unbounded,
        unpriced,
        needs,
        seen.waypost,
        task,
        combination_id,
    )


def edit(body: bytes, glance: Glance, edits: Edits) -> bytes:
    """`body` itself if nothing has to change."""
    if len(body) > LONG:
        return edit_beside(body, _decoder.decode(body).messages, b'"messages"', lambda rest: _edit(rest, glance, edits))
    return _edit(body, glance, edits)


def _edit(body: bytes, glance: Glance, edits: Edits) -> bytes:
    changes: dict[str, bytes | None] = {}
    if edits.want_usage and glance.stream and not glance.asked_usage:
        changes["stream_options"] = _with_usage(body)
    if edits.max_output is not None:
        body = _limited(body, glance, edits.max_output, edits.max_output_field, changes)
    if edits.remove_options and may_hold(body, "waypost"):
        changes["waypost"] = None
    if glance.task is not None or glance.combination_id is not None:
        changes["metadata"] = without_labels(body)
    if changes:
        body = edit_members(body, changes)
    if edits.model != glance.model:
        body = rename_model(body, quote(glance.model), quote(edits.model))
    return body


def _rare_needs(seen: _Rare, parts: frozenset[str], unbounded: bool) -> tuple[frozenset[str], bool]:
    """What the rare parameters add to what the messages' parts need, and to whether bytes bound the input's tokens."""
    needs = set(parts)
    if seen.tools is not UNSET or seen.functions is not UNSET:
        unbounded = _tool_needs(seen, needs) or unbounded
    if seen.modalities is not UNSET and b'"audio"' in bytes(seen.modalities):
        needs.add("audio")
    if seen.response_format is not UNSET and bytes(seen.response_format) != _NULL:
        form = decode(_format_decoder, bytes(seen.response_format)).type
        if form not in (None, "text"):
            needs.add("structured")
    if _thinks(seen):
        needs.add("reasoning")
    return frozenset(needs), unbounded or _searches(seen)


def _searches(seen: _Rare) -> bool:
    """Whether the provider is asked to add what it finds to the input: OpenAI, OpenRouter, xAI, Qwen, Azure."""
    return any(
        asked is not UNSET
        for asked in (
            *(seen.web_search_options, seen.plugins, seen.search_parameters),
            *(seen.enable_search, seen.data_sources),
        )
    )


def _part_needs(messages: Raw) -> tuple[frozenset[str], bool]:
    """Capabilities, and whether some part's tokens have nothing to do with its bytes, as a picture's have not.

    Messages of another shape are taken to hold everything.
    """
    try:
        kinds = {part.type for message in _parts_decoder.decode(messages) for part in _parts(message)}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        kinds = {"image_url", "file", "input_audio"}
    needs: set[str] = set()
    if not kinds.isdisjoint(_IMAGES):
        needs.add("images")
    if not kinds.isdisjoint(_DOCUMENTS):
        needs.add("documents")
    unbounded = bool(needs)
    if "input_audio" in kinds:
        needs.add("audio")
    return (frozenset(needs) if needs else _NOTHING), unbounded


def _parts(message: _Message) -> list[_Kind]:
    return [part for part in message.content if isinstance(part, _Kind)] if isinstance(message.content, list) else []


def _tool_needs(seen: _Rare, needs: set[str]) -> bool:
    if seen.functions is not UNSET and bytes(seen.functions) not in (b"[]", _NULL):
        needs.add("tools")
    if seen.tools is UNSET or bytes(seen.tools) in (b"[]", _NULL):
        return False
    tools = decode(_tools_decoder, bytes(seen.tools))
    if tools:
        needs.add("tools")
    return any(tool.type not in (None, "function", "custom") for tool in tools)


def _thinks(seen: _Rare) -> bool:
    if seen.reasoning_effort is not UNSET and bytes(seen.reasoning_effort) not in (_NULL, b'"none"'):
        return True
    for asked in (seen.reasoning, seen.thinking):
        if asked is UNSET or not bytes(asked).startswith(b"{"):
            continue
        thinking = decode(_thinking_decoder, bytes(asked))
        if thinking.enabled is not False and thinking.type != "disabled" and thinking.effort != "none":
            return True
    return False


def _with_usage(body: bytes) -> bytes:
    there = member_of(body, "stream_options")
    if there is None or body[there.value : there.end] == _NULL:
        return b'{"include_usage":true}'
    return edit_members(body[there.value : there.end], {"include_usage": b"true"})


def _limited(
    body: bytes, glance: Glance, max_output: int, wanted: str | None, changes: dict[str, bytes | None]
) -> bytes:
    """Lowers both limits where a caller gave both; moves the caller's to the field that the provider wants."""
    limit = max_output if glance.max_output is None else min(max_output, glance.max_output)
    value = b"%d" % limit
    used = [field for field in LIMIT_FIELDS if may_hold(body, field)]
    if glance.max_output is not None and len(used) == 1 and wanted in (None, used[0]):
        if limit == glance.max_output:
            return body
        return replace_value(body, used[0], b"%d" % glance.max_output, value)
    there = {field: member for field in used if (member := member_of(body, field)) is not None}
    used = list(there)
    if wanted in there and limit == glance.max_output and body[there[wanted].value : there[wanted].end] != _NULL:
        return body  # it has one in the field that it obeys, and the larger of the two is allowed
    kept = [wanted] if wanted is not None else used or ["max_tokens"]
    changes.update((field, None) for field in used if field not in kept)
    changes.update((field, value) for field in kept)
    return body
