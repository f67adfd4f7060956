"""OpenAI's embeddings request and answer: what callers send and get, whoever serves them.

Follows "Create embeddings" of OpenAI's API. Beside its members `input_type` is read, which OpenAI's followers added.
"""

from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import Json
from waypost.conversation.options import CallOptions
from waypost.conversation.reply import Usage
from waypost.dialects.dialect import Edits, Glance
from waypost.dialects.embeddings.embedder import EmbeddingRequest, Encoding, InputType, Tokens
from waypost.dialects.embeddings.vectors import encoded
from waypost.dialects.json_edit import (
    MOST_ASKED,
    check_unique,
    decode,
    edit_members,
    member_of,
    quote,
    refuse,
    rename_model,
    unique_members,
)

T = TypeVar("T")

PATH = "/v1/embeddings"
MOST_INPUTS = 2048  # of one request, as OpenAI has it: each may be a call of its own elsewhere

_Positive = Annotated[int, Meta(ge=1, le=MOST_ASKED)]
_Token = Annotated[int, Meta(ge=0, le=MOST_ASKED)]
_ABSENT = Raw()


class _Metadata(Struct, gc=False):
    task: str | None = None
    combination_id: str | None = None


class _Seen(Struct, gc=False):
    model: Annotated[str, Meta(min_length=1)]
    input: Raw = _ABSENT
    metadata: Raw = _ABSENT
    waypost: CallOptions | None = None


class _Body(Struct, gc=False):
    model: Annotated[str, Meta(min_length=1)]
    input: Raw = _ABSENT
    dimensions: _Positive | None = None
    encoding_format: str | None = None
    input_type: str | None = None
    user: str | None = None


class InputGlance(Struct, frozen=True):
    """`call` is what every call's decision needs. `inputs`: how many; `tokens`: they are lists of token ids."""

    call: Glance
    inputs: int
    tokens: bool


_seen_decoder = Decoder(_Seen)
_body_decoder = Decoder(_Body)
_metadata_decoder = Decoder(_Metadata)
_members_decoder = Decoder(dict[str, Raw])
_text_decoder = Decoder(str)
_list_decoder = Decoder(list[Raw])
_texts_decoder = Decoder(list[str])
_tokens_decoder: Decoder[list[int]] = Decoder(list[_Token])
_token_lists_decoder: Decoder[list[list[int]]] = Decoder(list[list[_Token]])
_encode = msgspec.json.Encoder().encode

_OUR_LABELS = ("task", "combination_id")
_OURS = frozenset(("waypost", "metadata", *_Body.__struct_fields__))
_ACTED_ON = unique_members("model", "input", "metadata", "waypost")
_TYPES = {
    **{each.value: each for each in InputType},
    "document": InputType.DOCUMENT,
    "passage": InputType.DOCUMENT,
    "query": InputType.QUERY,
}


def glance(body: bytes) -> InputGlance:
    """Refused(BAD_REQUEST), naming the field. An embedding puts out no tokens: the limit on them is 0."""
    seen = decode(_seen_decoder, body)
    check_unique(body, _ACTED_ON, seen.input)
    inputs, tokens = _shape(bytes(seen.input))
    metadata = _Metadata()
    if bytes(seen.metadata).startswith(b"{"):
        metadata = decode(_metadata_decoder, bytes(seen.metadata))
    call = Glance(
        model=seen.model,
        max_output=0,
        asked_usage=True,
        options=seen.waypost,
        task=metadata.task,
        combination_id=metadata.combination_id,
    )
    return InputGlance(call, inputs, tokens)


def _shape(given: bytes) -> tuple[int, bool]:
    """How many inputs, and whether they are token ids. What they hold is not looked at."""
    if given.startswith(b'"'):
        return 1, False
    if not given.startswith(b"["):
        refuse("`input`: neither a text nor a list" if given else "`input` is missing")
    items = decode(_list_decoder, given)
    first = bytes(items[0])[:1] if items else b""
    if first == b'"':
        return len(items), False
    return (len(items), True) if first == b"[" else (min(1, len(items)), True)


def edit(body: bytes, seen: Glance, edits: Edits) -> bytes:
    """For a relay: the model, and what is said to Waypost alone. `body` itself if nothing has to change."""
    if edits.model != seen.model:
        body = rename_model(body, quote(seen.model), quote(edits.model))
    if edits.remove_options:
        body = edit_members(body, {"waypost": None})
    if seen.task is not None or seen.combination_id is not None:
        there = member_of(body, "metadata")
        if there is not None:
            rest = edit_members(body[there.value : there.end], dict.fromkeys(_OUR_LABELS))
            body = edit_members(body, {"metadata": rest if rest.strip(b"{} \t\r\n") else None})
    return body


def read_request(body: bytes) -> EmbeddingRequest:
    """Refused(BAD_REQUEST) names the member that is malformed."""
    seen = decode(_body_decoder, body)
    inputs = _inputs(bytes(seen.input))
    if not inputs:
        refuse("`input` is empty")
    if len(inputs) > MOST_INPUTS:
        refuse(f"`input`: {len(inputs)} inputs, of which {MOST_INPUTS} are allowed")
    encoding = Encoding.FLOAT
    if seen.encoding_format is not None:
        if seen.encoding_format not in frozenset(Encoding):
            refuse(f"`encoding_format`: {seen.encoding_format!r} is neither float nor base64")
        encoding = Encoding(seen.encoding_format)
    members = decode(_members_decoder, body)
    extra = [(name, Json(bytes(raw))) for name, raw in members.items() if name not in _OURS and bytes(raw) != b"null"]
    extra += _others_metadata(members.get("metadata"))
    input_type = None
    if seen.input_type is not None:
        input_type = _TYPES.get(seen.input_type.lower())
        if input_type is None:
            extra.append(("input_type", Json(bytes(members["input_type"]))))
    return EmbeddingRequest(seen.model, inputs, seen.dimensions, encoding, input_type, seen.user, tuple(extra))


def _others_metadata(raw: Raw | None) -> list[tuple[str, Json]]:
    """Metadata without what is said to us alone."""
    if raw is None or not bytes(raw).startswith(b"{"):
        return []
    rest = {name: value for name, value in decode(_members_decoder, bytes(raw)).items() if name not in _OUR_LABELS}
    return [("metadata", Json(_encode(rest)))] if rest else []


def _inputs(given: bytes) -> tuple[str, ...] | tuple[Tokens, ...]:
    count, tokens = _shape(given)
    if not tokens:
        texts = [_in_input(_text_decoder, given)] if given.startswith(b'"') else _in_input(_texts_decoder, given)
        if texts == [""]:
            return ()
        if "" in texts:
            refuse(f"`input[{texts.index('')}]` is empty")
        return tuple(texts)
    if not count:
        return ()
    if bytes(_in_input(_list_decoder, given)[0]).startswith(b"["):
        lists = _in_input(_token_lists_decoder, given)
        if [] in lists:
            refuse(f"`input[{lists.index([])}]` is empty")
        return tuple([tuple(each) for each in lists])
    tokens_given: list[int] = _in_input(_tokens_decoder, given)
    return (tuple(tokens_given),)


def _in_input(decoder: "Decoder[T]", given: bytes) -> T:
    try:
        return decoder.decode(given)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        refuse(f"`input`: {error}")


def write_reply(vectors: Sequence[Json], usage: Usage | None, encoding: Encoding, model: str) -> bytes:
    """Usage that is not known is left out. UpstreamFault(MALFORMED) if a vector is not what it should be."""
    data = [
        {"object": "embedding", "index": i, "embedding": encoded(vector, encoding)} for i, vector in enumerate(vectors)
    ]
    body: dict[str, object] = {"object": "list", "data": data, "model": model}
    if usage is not None and usage.input is not None:
        body["usage"] = {"prompt_tokens": usage.input, "total_tokens": usage.input}
    return _encode(body)
