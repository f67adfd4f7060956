"""What a message holds, in a request as in an answer: parts, tool calls, the tool plan, citations.

Raises ShapeError for what is malformed; a part that is only unknown is carried as it is.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.blocks import (
    Block,
    Document,
    Image,
    Json,
    Opaque,
    Source,
    Text,
    Thinking,
    ToolCall,
)
from waypost.dialects.cohere.words import NAME, TOOL_PLAN, call_id
from waypost.dialects.wire_json import ABSENT, ShapeError, decode, told

Members = dict[str, object]

_encode = msgspec.json.Encoder().encode


class _ImageUrl(Struct, gc=False):
    url: str
    detail: str | None = None


class _Part(Struct, gc=False):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    image_url: _ImageUrl | str | None = None
    document: Raw = ABSENT


class _Document(Struct, gc=False):
    data: Raw = ABSENT
    id: str | None = None


class _DocumentText(Struct, gc=False, forbid_unknown_fields=True):
    text: str


class Function(Struct, gc=False):
    name: str | None = None
    arguments: Raw = ABSENT


class WireCall(Struct, gc=False):
    id: str | None = None
    type: str | None = None
    function: Function | None = None


class _CitationPlace(Struct, gc=False):
    content_index: int | None = None


class _OwnCitation(Struct, gc=False):
    start: int
    end: int
    text: str
    sources: list[Raw] | None = None


_text_decoder = Decoder(str)
_parts_decoder = Decoder(list[Raw])
_part_decoder = Decoder(_Part)
_document_decoder = Decoder(_Document)
_document_text_decoder = Decoder(_DocumentText)
_object_decoder = Decoder(dict[str, Raw])
_place_decoder = Decoder(_CitationPlace)
_own_citation_decoder = Decoder(_OwnCitation)


def read_content(content: Raw, where: str) -> list[Block]:
    """A text or a list of parts; an empty text says nothing."""
    body = bytes(content)
    if body[:1] == b'"':
        text = decode(_text_decoder, body, where)
        return [Text(text)] if text else []
    if body in (b"", b"null"):
        return []
    if body[:1] != b"[":
        raise ShapeError(f"{where}: neither text nor a list of parts")
    parts = decode(_parts_decoder, body, where)
    blocks = [_read_part(part, f"{where}[{i}]") for i, part in enumerate(parts)]
    return [block for block in blocks if block is not None]


def _read_part(raw: Raw, where: str) -> Block | None:
    if bytes(raw).startswith(b'"'):
        text = decode(_text_decoder, raw, where)
        return Text(text) if text else None
    part = decode(_part_decoder, raw, where)
    match part.type:
        case "text" | None if part.text is not None:
            return Text(part.text) if part.text else None
        case "thinking" if part.thinking is not None:
            return Thinking(part.thinking) if part.thinking else None
        case "image_url" if part.image_url is not None:
            image = part.image_url
            url, detail = (image, None) if isinstance(image, str) else (image.url, image.detail)
            return Image(read_source(url), detail)
        case "document" if told(part.document):
            return read_document(part.document, f"{where}.document")
        case "text" | "thinking" | "image_url" | "document" as kind:
            raise ShapeError(f"{where}.{kind}: is missing")
        case None:
            raise ShapeError(f"{where}.type: is missing")
        case kind:
            return Opaque(NAME, kind, Json(bytes(raw)))


def read_source(url: str) -> Source:
    """A data URL's base64, or the URL."""
    if url.startswith("data:"):
        head, mark, data = url[5:].partition(";base64,")
        if mark:
            return Source(head.partition(";")[0] or None, data=data)
    return Source(url=url)


def read_document(raw: Raw, where: str) -> Document:
    """A text, or an id and an object of texts. An object of more than a text is carried as its JSON."""
    if bytes(raw).startswith(b'"'):
        return _document(decode(_text_decoder, raw, where), None)
    document = decode(_document_decoder, raw, where)
    data = bytes(document.data)
    if data[:1] == b'"':
        return _document(decode(_text_decoder, data, f"{where}.data"), document.id)
    if data[:1] != b"{":
        raise ShapeError(f"{where}.data: neither text nor an object")
    try:
        return _document(_document_text_decoder.decode(data).text, document.id)
    except msgspec.ValidationError:
        return _document(data.decode(), document.id)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ShapeError(f"{where}.data: {error}") from error


def _document(text: str, name: str | None) -> Document:
    return Document(Source("text/plain"), name, text=text)


def write_document(name: str | None, text: str) -> Members:
    """What `read_document` read. `name` becomes the id that citations of it tell."""
    document: Members = {"data": _object_of(text) or {"text": text}}
    if name is not None:
        document["id"] = name
    return document


def _object_of(text: str) -> Raw | None:
    if not text.startswith("{"):
        return None
    try:
        raw = text.encode()
        return Raw(raw) if _object_decoder.decode(raw) else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def read_calls(calls: Iterable[WireCall], reply: str | None, where: str) -> list[Block]:
    blocks: list[Block] = []
    for i, call in enumerate(calls):
        blocks.append(read_call(call, reply, i, f"{where}[{i}]"))
    return blocks


def read_call(call: WireCall, reply: str | None, place: int, where: str) -> ToolCall:
    """`reply` and `place` make the id of a call that has none."""
    function = call.function
    if function is None or not function.name:
        raise ShapeError(f"{where}.function.name: is missing")
    arguments = read_arguments(function.arguments, f"{where}.function.arguments")
    return ToolCall(call.id or call_id(reply, place), function.name, arguments)


def read_arguments(raw: Raw, where: str) -> str:
    """The text the model wrote; some servers give the object itself."""
    if not told(raw):
        return ""
    return decode(_text_decoder, raw, where) if bytes(raw).startswith(b'"') else bytes(raw).decode()


def write_call(call: ToolCall) -> Members:
    arguments = call.arguments if call.arguments.strip() else "{}"
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def tool_plan(plan: str) -> Opaque:
    return Opaque(NAME, TOOL_PLAN, Json(_encode(plan)))


def plan_of(block: Opaque) -> str | None:
    """The plan's text, if it is one of this dialect."""
    if block.dialect != NAME or block.kind != TOOL_PLAN:
        return None
    return _text_decoder.decode(block.raw)


def with_citations(blocks: list[Block], citations: list[Raw]) -> list[Block] | None:
    """Each citation at the text it is of, else at the first one; None if nothing was said."""
    texts = [i for i, block in enumerate(blocks) if isinstance(block, Text)]
    if not texts:
        return None
    placed = list(blocks)
    for raw in citations:
        try:
            told_place = _place_decoder.decode(raw).content_index
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            told_place = None
        place = told_place if told_place is not None and told_place in texts else texts[0]
        text = placed[place]
        if isinstance(text, Text):
            placed[place] = Text(text.text, text.cache, (*text.citations, Json(bytes(raw))))
    return placed


def is_own_citation(citation: Json) -> bool:
    """Cohere's have start, end and text at their top; no other protocol's citations have."""
    try:
        _own_citation_decoder.decode(citation)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
