"""A request that is relayed: what a decision must know of it, and the few changes made to its bytes.

Of the messages only the kinds of their parts are looked at; the rest of the body stays unread.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.options import CallOptions
from waypost.dialects.cohere.request import OWN_METADATA
from waypost.dialects.dialect import Edits, Glance
from waypost.dialects.json_edit import (
    LONG,
    MOST_ASKED,
    check_unique,
    decode,
    edit_beside,
    edit_members,
    member_of,
    quote,
    rename_model,
    replace_value,
    unique_members,
)
from waypost.dialects.wire_json import ABSENT

Limit = Annotated[int, Meta(ge=0, le=MOST_ASKED)]


class _Metadata(Struct, gc=False):
    task: str | None = None
    combination_id: str | None = None


class _Kind(Struct, gc=False):
    type: str | None = None


class _Body(Struct, gc=False):
    model: Annotated[str, Meta(min_length=1)]
    messages: Raw = ABSENT
    stream: bool | None = None
    max_tokens: Limit | None = None
    tools: list[_Kind] | None = None
    response_format: _Kind | None = None
    thinking: _Kind | None = None
    metadata: Raw = ABSENT
    waypost: CallOptions | None = None


class _Message(Struct, gc=False):
    content: str | list[_Kind | str] | None = None


_body_decoder = Decoder(_Body)
_messages_decoder = Decoder(list[_Message])
_metadata_decoder = Decoder(_Metadata)

_NONE: frozenset[str] = frozenset()
_IMAGES = frozenset(("images",))
# Which of two a provider would obey can't be known, and money, policy or routing hangs on each of these.
_ACTED_ON = unique_members(*_Body.__struct_fields__)
_RARE = frozenset(_Body.__struct_fields__) - {"model", "messages", "stream", "max_tokens"}
_BOUNDED = frozenset(("text", "thinking", "document", "tool_result"))


def glance(body: bytes) -> Glance:
    """Refused(BAD_REQUEST), naming the field, for what is here but not as the protocol says, or is here twice."""
    seen = decode(_body_decoder, body)
    messages = seen.messages
    names = check_unique(body, _ACTED_ON, messages)
    needs, unbounded = _NONE, False
    if messages and (b'"type"' in body or b"\\u00" in body):
        needs, unbounded = _part_needs(messages)
    if _RARE.isdisjoint(names):
        return Glance(seen.model, seen.stream is True, seen.max_tokens, 1, True, unbounded, None, needs)
    metadata = _Metadata()
    if bytes(seen.metadata).startswith(b"{"):  # the caller's own: only an object says anything to us
        metadata = decode(_metadata_decoder, bytes(seen.metadata))
    return Glance(
        model=seen.model,
        stream=seen.stream is True,
        max_output=seen.max_tokens,
        asked_usage=True,
        unbounded_input=unbounded or any(tool.type not in (None, "function") for tool in seen.tools or ()),
        needs=needs | _features(seen),
        options=seen.waypost,
        task=metadata.task,
        combination_id=metadata.combination_id,
    )


def _features(seen: _Body) -> frozenset[str]:
    features = {"tools"} if seen.tools else set()
    if seen.thinking is not None and seen.thinking.type != "disabled":
        features.add("reasoning")
    if seen.response_format is not None and seen.response_format.type not in (None, "text"):
        features.add("structured")
    return frozenset(features)


def _part_needs(messages: Raw) -> tuple[frozenset[str], bool]:
    """Capabilities, and whether some part's tokens have nothing to do with its bytes, as a picture's have not.

    Messages of another shape are taken to hold everything.
    """
    try:
        decoded = _messages_decoder.decode(messages)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _IMAGES, True
    needs, unbounded = _NONE, False
    for message in decoded:
        content = message.content
        if not isinstance(content, list):
            continue
        for part in content:
            if isinstance(part, str) or part.type in _BOUNDED:
                continue
            unbounded = True
            if part.type == "image_url":
                needs = _IMAGES
    return needs, unbounded


def edit(body: bytes, seen: Glance, edits: Edits) -> bytes:
    """Usage is always told here: `want_usage` asks for nothing. The limit has one field: `max_output_field` is moot."""
    if len(body) > LONG:
        return edit_beside(
            body, _body_decoder.decode(body).messages, b'"messages"', lambda rest: _edit(rest, seen, edits)
        )
    return _edit(body, seen, edits)


def _edit(body: bytes, seen: Glance, edits: Edits) -> bytes:
    if edits.model != seen.model:
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
        body = edit_members(body, {"metadata": _without_labels(body)})
    return body


def _without_labels(body: bytes) -> bytes | None:
    """`metadata` without what is said to us alone; None, so that it goes too, where nothing else is in it."""
    there = member_of(body, "metadata")
    if there is None:
        return None
    rest = edit_members(body[there.value : there.end], dict.fromkeys(OWN_METADATA))
    return rest if rest.strip(b"{} \t\r\n") else None
