"""Embeddings as OpenAI and its followers give them: the callers' own form. A request of one batch is relayed."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.reply import Usage
from waypost.dialects.embeddings.embedder import Batch, Calls, Embedder, EmbeddingRequest, Encoding, Outgoing
from waypost.dialects.embeddings.vectors import always, batches_of, checked, decoded, token_count

PATH = "/embeddings"
LARGEST_BATCH = 2048

_ABSENT = Raw()
_encode = msgspec.json.Encoder().encode


class _Datum(Struct, gc=False):
    embedding: Raw
    index: int | None = None


class _Usage(Struct, gc=False):
    prompt_tokens: int | float | None = None
    total_tokens: int | float | None = None


class _Answer(Struct, gc=False):
    data: list[_Datum]
    usage: Raw = _ABSENT


class _Glanced(Struct, gc=False):
    data: Raw
    usage: Raw = _ABSENT


_answer_decoder = Decoder(_Answer)
_glance_decoder = Decoder(_Glanced)
_usage_decoder = Decoder(_Usage | None)


def write(request: EmbeddingRequest, model: str, batch: int) -> Calls:
    """Nothing is lost: it is the form that the request was read from."""
    rest: dict[str, object] = {}
    if request.dimensions is not None:
        rest["dimensions"] = request.dimensions
    if request.encoding is not Encoding.FLOAT:
        rest["encoding_format"] = request.encoding
    if request.input_type is not None:
        rest["input_type"] = request.input_type
    if request.user is not None:
        rest["user"] = request.user
    rest.update(request.extra)
    inputs: tuple[object, ...] = request.inputs
    return Calls(
        tuple(
            [
                Outgoing(PATH, _encode({"model": model, "input": some, **rest}), len(some))
                for some in batches_of(inputs, batch)
            ]
        )
    )


def read(call: Outgoing, headers: Mapping[str, str], body: bytes) -> Batch:
    answer = decoded(_answer_decoder, body)
    data = answer.data
    if all(datum.index is not None for datum in data):
        data = sorted(data, key=lambda datum: datum.index or 0)
    return Batch(checked([datum.embedding for datum in data], call.count), _tokens(answer.usage))


def glance_reply(body: bytes) -> Usage | None:
    """What a relayed answer used. UpstreamFault(MALFORMED) if it is none; its vectors stay unread."""
    tokens = _tokens(decoded(_glance_decoder, body).usage)
    return None if tokens is None else Usage(input=tokens, output=0)


def _tokens(raw: Raw) -> int | None:
    """Usage that is not as it should be is unknown: it never breaks the answer it came with."""
    if not raw:
        return None
    try:
        usage = _usage_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if usage is None:
        return None
    return token_count(usage.total_tokens if usage.prompt_tokens is None else usage.prompt_tokens)


def largest_batch(model: str) -> int:
    return LARGEST_BATCH


EMBEDDER = Embedder(
    path=PATH,
    relays=True,
    takes_tokens=True,
    serves=always,
    largest_batch=largest_batch,
    write=write,
    read=read,
)
