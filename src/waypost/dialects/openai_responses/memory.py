"""Answers that are kept here for providers of other protocols: a request put together with what was said before it, and
answers written under an id of ours. Where they are kept is for others to know.
"""

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.events import Started
from waypost.conversation.faults import ErrorKind, Refused
from waypost.conversation.reply import Reply
from waypost.conversation.signatures import recovered
from waypost.dialects.dialect import Dialect, Memory
from waypost.dialects.json_edit import edit_members, quote
from waypost.dialects.openai_responses.output import ResponseObject
from waypost.dialects.openai_responses.reply import write_reply
from waypost.dialects.openai_responses.words import NAME
from waypost.dialects.openai_responses.writer import StreamWriter
from waypost.dialects.wire_json import ABSENT, ShapeError, check_text, decode, told

PREFIX = "resp_waypost_"
Keep = Callable[[bytes], bool]


class _Request(Struct, gc=False):
    input: Raw = ABSENT
    store: bool | None = None


class _Answer(Struct, gc=False):
    output: Raw = ABSENT


class _Item(Struct, gc=False):
    type: str | None = None
    encrypted_content: str | None = None


_request_decoder = Decoder(_Request)
_answer_decoder = Decoder(_Answer)
_text_decoder = Decoder(str)
_items_decoder = Decoder(list[Raw])
_item_decoder = Decoder(_Item)
_encode = msgspec.json.encode
_SPACE, _BRACKET = b" \t\r\n", ord("[")


def wanted(request: bytes) -> bool:
    """Said by nothing, as at OpenAI; refused by `store: false`."""
    return _read(request).store is not False


def said(request: bytes) -> bytes:
    """`input` as a list of items. Instructions are none: they hold for one answer only."""
    given = _read(request).input
    if not told(given):
        return b"[]"
    if memoryview(given)[0] == _BRACKET:
        return bytes(given)
    try:
        text = decode(_text_decoder, given, "input")
    except ShapeError as error:
        raise Refused(ErrorKind.BAD_REQUEST, str(error)) from error
    part = {"type": "input_text", "text": text}
    return _encode([{"type": "message", "role": "user", "content": [part]}])


def continued(request: bytes, earlier: bytes, answer: bytes, at_home: bool) -> bytes:
    """The request with the conversation before it in `input`. `earlier` and `answer` are what was kept."""
    output = bytes(_answer_decoder.decode(answer).output) or b"[]"
    before = [earlier, output]
    if at_home:
        before = [_known(items) for items in before]
    whole = b",".join([items for each in (*before, said(request)) if (items := each.strip(_SPACE)[1:-1].strip(_SPACE))])
    return edit_members(request, {"previous_response_id": None, "input": b"[%b]" % whole})


def _known(items: bytes) -> bytes:
    """Without the reasoning that a provider of this protocol can't know: without a secret, or with another's."""
    return _encode([item for item in _items_decoder.decode(items) if not _is_foreign(item)])


def _is_foreign(raw: Raw) -> bool:
    try:
        item = _item_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if item.type != "reasoning":
        return False
    secret, origin = recovered(item.encrypted_content or None, NAME)
    return secret is None or (origin is not None and origin != NAME)


def _read(request: bytes) -> _Request:
    try:
        check_text(request)
        return decode(_request_decoder, request, "")
    except ShapeError as error:
        raise Refused(ErrorKind.BAD_REQUEST, str(error)) from error


class KeptWriter(StreamWriter):
    """Writes a stream under an id of ours; the response is kept before the event that ends the stream tells it."""

    __slots__ = ("_identity", "_keep", "_previous")

    def __init__(self, model: str, include_usage: bool, identity: str, previous: str | None, keep: Keep) -> None:
        super().__init__(model, include_usage)
        self._identity = identity
        self._previous = previous
        self._keep = keep

    def _start(self, event: Started) -> bytes:
        return super()._start(Started(self._identity, event.model, event.created))

    def _shown(self, response: ResponseObject) -> ResponseObject:
        response.store, response.previous_response_id = True, self._previous
        if response.status != "in_progress" and not self._keep(_encode(response)):
            response.store = False
        return response


def keeping(dialect: Dialect, identity: str, previous: str | None, keep: Keep) -> Dialect:
    """As `Memory` says."""

    def writer(model: str, include_usage: bool) -> KeptWriter:
        return KeptWriter(model, include_usage, identity, previous, keep)

    def write(reply: Reply, model: str) -> bytes:
        body = write_reply(msgspec.structs.replace(reply, id=identity), model)
        named = b"null" if previous is None else quote(previous)
        shown = edit_members(body, {"store": b"true", "previous_response_id": named})
        return shown if keep(shown) else edit_members(shown, {"store": b"false"})

    return msgspec.structs.replace(dialect, writer=writer, write_reply=write)


MEMORY = Memory(
    prefix=PREFIX,
    not_found="previous_response_not_found",
    wanted=wanted,
    said=said,
    continued=continued,
    keeping=keeping,
)
