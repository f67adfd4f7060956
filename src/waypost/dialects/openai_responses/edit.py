"""The relay's view of a request: the few fields that a decision needs, and surgery on the bytes.

Knows which top-level members money, policy and routing hang on; of the input only the kinds of its items and parts.
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
    quote,
    rename_model,
    replace_value,
    unique_members,
)
from waypost.dialects.labels import labels_of, without_labels
from waypost.dialects.wire_json import ABSENT, told

Limit = Annotated[int, Meta(ge=1, le=MOST_ASKED)]


class _Seen(Struct, gc=False):
    model: Annotated[str, Meta(min_length=1)]
    input: Raw = ABSENT
    stream: bool | None = None
    max_output_tokens: Limit | None = None
    waypost: CallOptions | None = None
    metadata: Raw | UnsetType = UNSET


class _Rare(Struct, gc=False):
    tools: Raw = ABSENT
    text: Raw = ABSENT
    reasoning: Raw = ABSENT
    previous_response_id: Raw = ABSENT
    conversation: Raw = ABSENT
    prompt: Raw = ABSENT
    background: Raw = ABSENT
    service_tier: Raw = ABSENT


class _Kind(Struct, gc=False):
    type: str | None = None


class _Reasoning(Struct, gc=False):
    effort: str | None = None
    summary: str | None = None


class _Text(Struct, gc=False):
    format: _Kind | None = None


class _Item(Struct, gc=False):
    """`output` of another shape than a function's is another tool's, whose parts are not looked at."""

    type: str | None = None
    content: str | list[_Kind] | None = None
    output: Raw = ABSENT


_decoder = Decoder(_Seen)
_rare_decoder = Decoder(_Rare)
_items_decoder = Decoder(str | list[_Item] | None)
_parts_decoder = Decoder(list[_Kind])
_tools_decoder = Decoder(list[_Kind])
_reasoning_decoder = Decoder(_Reasoning)
_text_decoder = Decoder(_Text)

_NOTHING: frozenset[str] = frozenset()
_QUOTE, _BRACKET = b'"['
_MEDIA = {"input_image": "images", "input_file": "documents", "input_audio": "audio"}
# Which of two a provider would obey can't be known, and money, policy or routing hangs on each of these.
_ACTED_ON = unique_members(
    *("model", "input", "stream", "max_output_tokens", "waypost", "metadata"),
    *_Rare.__struct_fields__,
)
_RARE_NAMES = frozenset(_Rare.__struct_fields__)
# Items that bring what their bytes do not bound: an earlier item by its id, tools, a compacted conversation.
_BOUNDLESS = frozenset(("item_reference", "additional_tools", "compaction", "mcp_list_tools", "computer_call_output"))


def glance(body: bytes) -> Glance:
    """Refused(BAD_REQUEST), naming the field, for what is here but not as the protocol says, or is here twice."""
    seen = decode(_decoder, body)
    names = check_unique(body, _ACTED_ON, seen.input, b'"input"')
    task = combination_id = previous = None
    if seen.metadata is not UNSET:
        task, combination_id = labels_of(bytes(seen.metadata))
    needs, unbounded = _input_needs(seen.input)
    unpriced = None
    if not _RARE_NAMES.isdisjoint(names):
        rare = decode(_rare_decoder, body, is_text=True)
        needs, unbounded = _rare_needs(rare, needs, unbounded)
        previous = _previous(rare.previous_response_id)
        if bytes(rare.service_tier) == b'"priority"':
            unpriced = "service_tier: priority"
        elif bytes(rare.background) == b"true":
            unpriced = "background: true"  # what it used is only told to who asks for it later
    return Glance(
        seen.model,
        seen.stream is True,
        seen.max_output_tokens,
        1,
        True,  # this protocol always tells usage
        unbounded,
        unpriced,
        needs,
        seen.waypost,
        task,
        combination_id,
        previous,
    )


def _previous(raw: Raw) -> str | None:
    """None for what is no id: whoever the call goes to says so."""
    if not raw or memoryview(raw)[0] != _QUOTE:
        return None
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _input_needs(raw: Raw) -> tuple[frozenset[str], bool]:
    """Capabilities, and whether something's tokens have nothing to do with its bytes, as a picture's have not.

    Input of another shape is taken to hold everything.
    """
    if not raw or memoryview(raw)[0] == _QUOTE:
        return _NOTHING, False
    try:
        items = _items_decoder.decode(raw)
        if items is None or isinstance(items, str):
            return _NOTHING, False
        kinds: set[str | None] = set()
        for item in items:
            if isinstance(item.content, list):
                kinds.update([part.type for part in item.content])
            if item.type is not None:
                kinds.add(item.type)
                if item.type.endswith("_output") and item.output and memoryview(item.output)[0] == _BRACKET:
                    kinds.update([part.type for part in _parts_decoder.decode(item.output)])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        kinds = set(_MEDIA)
    needs = frozenset([need for kind, need in _MEDIA.items() if kind in kinds])
    return needs or _NOTHING, bool(needs - {"audio"}) or not _BOUNDLESS.isdisjoint(kinds)


def _rare_needs(rare: _Rare, needs: frozenset[str], unbounded: bool) -> tuple[frozenset[str], bool]:
    """What the rarer parameters add to what the input needs, and to whether bytes bound the input's tokens."""
    added = set(needs)
    if told(rare.tools):
        tools = decode(_tools_decoder, bytes(rare.tools))
        if tools:
            added.add("tools")
        unbounded = unbounded or any(tool.type not in (None, "function", "custom") for tool in tools)
    if told(rare.text):
        form = decode(_text_decoder, bytes(rare.text)).format
        if form is not None and form.type not in (None, "text"):
            added.add("structured")
    if told(rare.reasoning):
        asked = decode(_reasoning_decoder, bytes(rare.reasoning))
        if asked.effort != "none" and (asked.effort or asked.summary):
            added.add("reasoning")
    state = told(rare.previous_response_id) or told(rare.conversation) or told(rare.prompt)
    return frozenset(added), unbounded or state


def edit(body: bytes, glance: Glance, edits: Edits) -> bytes:
    """`body` itself if nothing has to change.

    Usage is always told here: `want_usage` asks for nothing. The limit has one field: `max_output_field` is moot.
    """
    if len(body) > LONG:
        return edit_beside(body, _decoder.decode(body).input, b'"input"', lambda rest: _edit(rest, glance, edits))
    return _edit(body, glance, edits)


def _edit(body: bytes, glance: Glance, edits: Edits) -> bytes:
    changes: dict[str, bytes | None] = {}
    limit, asked = edits.max_output, glance.max_output
    if limit is not None:
        if asked is None:
            changes["max_output_tokens"] = b"%d" % limit
        elif limit < asked:
            body = replace_value(body, "max_output_tokens", b"%d" % asked, b"%d" % limit)
    if edits.remove_options and may_hold(body, "waypost"):
        changes["waypost"] = None
    if glance.task is not None or glance.combination_id is not None:
        changes["metadata"] = without_labels(body)
    if changes:
        body = edit_members(body, changes)
    if edits.model != glance.model:
        body = rename_model(body, quote(glance.model), quote(edits.model))
    return body
