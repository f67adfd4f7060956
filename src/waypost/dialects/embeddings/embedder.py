"""What an embeddings protocol is: a frozen record of pure functions from texts to calls, and from answers to vectors.

Callers speak OpenAI's form (`form`), whoever serves them. Knows no provider, and nothing of who makes the calls.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from waypost.conversation.blocks import Json
from waypost.conversation.reply import Usage

Tokens = tuple[int, ...]


class Encoding(StrEnum):
    FLOAT = "float"
    BASE64 = "base64"  # of 32-bit floats, little-endian


class InputType(StrEnum):
    """What the texts are for, where the caller says so: many models embed a query otherwise than what it looks for."""

    DOCUMENT = "search_document"
    QUERY = "search_query"
    CLASSIFICATION = "classification"
    CLUSTERING = "clustering"


class EmbeddingRequest(Struct, frozen=True):
    """`inputs` are all texts or all lists of token ids. `extra` are members without a name here, as received."""

    model: str
    inputs: tuple[str, ...] | tuple[Tokens, ...]
    dimensions: int | None = None
    encoding: Encoding = Encoding.FLOAT
    input_type: InputType | None = None
    user: str | None = None
    extra: tuple[tuple[str, Json], ...] = ()


class Outgoing(Struct, frozen=True):
    """One call to a provider. `path` goes after its base URL, `{model}` in it standing for the name; `count` inputs."""

    path: str
    body: bytes
    count: int


class Calls(Struct, frozen=True):
    """What is to be called, in the order of the inputs, and the caller's parameters that could not be carried."""

    calls: tuple[Outgoing, ...]
    dropped: tuple[str, ...] = ()


class Batch(Struct, frozen=True):
    """What one call gave, in the order of its inputs.

    A vector is JSON as received: a list of numbers, or a text that is their base64. `tokens` None: it was not told.
    """

    vectors: tuple[Json, ...]
    tokens: int | None = None


class Embedder(Struct, frozen=True, kw_only=True):
    """A provider's way of embedding.

    `relays`: it speaks the callers' own form, so that a request of one batch is relayed as bytes. `takes_tokens`: token
    ids may stand for texts. `serves(model)`: whether there is a form for that model. `largest_batch(model)`: inputs of
    one call. `write(request, model, batch)`: Refused(BAD_REQUEST) for inputs that it can't take. `read(call, headers,
    body)`: header names are lower-case; UpstreamFault(MALFORMED) unless there is a vector for each input.
    """

    path: str
    relays: bool = False
    takes_tokens: bool = False
    serves: Callable[[str], bool]
    largest_batch: Callable[[str], int]
    write: Callable[[EmbeddingRequest, str, int], Calls]
    read: Callable[[Outgoing, Mapping[str, str], bytes], Batch]


def joined(batches: Sequence[Batch]) -> tuple[tuple[Json, ...], Usage | None]:
    """All vectors in order, and what they used: nothing is put out, and one batch untold leaves the sum unknown."""
    vectors = tuple([vector for batch in batches for vector in batch.vectors])
    told = [batch.tokens for batch in batches if batch.tokens is not None]
    if not batches or len(told) < len(batches):
        return vectors, None
    return vectors, Usage(input=sum(told), output=0)
