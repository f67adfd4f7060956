"""Parts: JSON → neutral blocks, for the contents of a request and of a candidate alike.

A part of a kind without a neutral form (code that the provider runs, its result, a film) becomes `Opaque`, whole.
A signature on a part that is no thought becomes `Thinking("", signature)` right before it.
"""

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.blocks import (
    Audio,
    Block,
    Document,
    Image,
    Opaque,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from waypost.dialects.gemini.wire_json import Members, listed, members_of
from waypost.dialects.gemini.words import NAME, signature_in
from waypost.dialects.wire_json import ABSENT, ShapeError, decode, text_of, told

CallId = Callable[[str, str], str]  # name and arguments → the id of a call that came without one
ResultId = Callable[[str], str]  # name → the id of the call that a result without one answers


class Part(Struct, gc=False, rename="camel"):
    """Both spellings of what has a neutral form; the rest is looked for by name."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    thought_signature_snake: str | None = msgspec.field(default=None, name="thought_signature")
    inline_data: Raw = ABSENT
    inline_data_snake: Raw = msgspec.field(default=ABSENT, name="inline_data")
    file_data: Raw = ABSENT
    file_data_snake: Raw = msgspec.field(default=ABSENT, name="file_data")
    function_call: Raw = ABSENT
    function_call_snake: Raw = msgspec.field(default=ABSENT, name="function_call")
    function_response: Raw = ABSENT
    function_response_snake: Raw = msgspec.field(default=ABSENT, name="function_response")

    @property
    def signature(self) -> str | None:
        return self.thought_signature or self.thought_signature_snake or None


class _Blob(Struct, gc=False, rename="camel"):
    data: str | None = None
    mime_type: str | None = None
    mime_type_snake: str | None = msgspec.field(default=None, name="mime_type")
    display_name: str | None = None
    display_name_snake: str | None = msgspec.field(default=None, name="display_name")


class _File(Struct, gc=False, rename="camel"):
    file_uri: str | None = None
    file_uri_snake: str | None = msgspec.field(default=None, name="file_uri")
    mime_type: str | None = None
    mime_type_snake: str | None = msgspec.field(default=None, name="mime_type")
    display_name: str | None = None
    display_name_snake: str | None = msgspec.field(default=None, name="display_name")


class _Call(Struct, gc=False):
    name: str | None = None
    id: str | None = None
    args: Raw = ABSENT


class _Response(Struct, gc=False):
    name: str | None = None
    id: str | None = None
    response: Raw = ABSENT
    parts: Raw = ABSENT


class _Resolution(Struct, gc=False):
    level: str | None = None


PART = msgspec.json.Decoder(Part)
_BLOB = msgspec.json.Decoder(_Blob)
_FILE = msgspec.json.Decoder(_File)
_CALL = msgspec.json.Decoder(_Call)
_RESPONSE = msgspec.json.Decoder(_Response)
_RESOLUTION = msgspec.json.Decoder(_Resolution | str)
_STRING = msgspec.json.Decoder(str)

# What may stand on a part beside the one member that says of which kind it is.
_ASIDE = frozenset(("thought", "thoughtSignature", "mediaResolution", "partMetadata", "videoMetadata"))
_KINDS = frozenset(("text", "inlineData", "fileData", "functionCall", "functionResponse"))
_KNOWN = _ASIDE | _KINDS | {"executableCode", "codeExecutionResult", "toolCall", "toolResponse"}
_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "l16": "pcm16", "x-flac": "flac"}
_DETAILS = {"MEDIA_RESOLUTION_LOW": "low", "MEDIA_RESOLUTION_HIGH": "high"}
_OWN_FILES = ("https://generativelanguage.googleapis.com/", "gs://", "files/")
_ANSWERS = ("output", "result")


class PartReader:
    """Reads the parts of one place. `call_id` and `result_id` find the ids that Gemini need not tell.

    `returned`: a caller gives back what it was given, other providers' signatures among it.
    """

    __slots__ = ("_call_id", "_result_id", "_returned")

    def __init__(self, call_id: CallId, result_id: ResultId, *, returned: bool = False) -> None:
        self._returned = returned
        self._call_id = call_id
        self._result_id = result_id

    def read(self, raws: list[Raw], where: str) -> list[Block]:
        """Raises ShapeError."""
        blocks: list[Block] = []
        for place, raw in enumerate(raws):
            at = f"{where}[{place}]"
            self.read_part(decode(PART, raw, at), raw, at, blocks)
        return blocks

    def read_part(self, part: Part, raw: Raw, where: str, blocks: list[Block]) -> None:
        """Adds what the part says to `blocks`."""
        signature, origin = part.signature, NAME
        if self._returned and signature is not None:
            signature, origin = signature_in(signature)
        text = part.text
        if text is not None:
            if part.thought:
                _think(Thinking(text, signature, origin), blocks)
                return
            if signature is not None:
                blocks.append(Thinking("", signature, origin))
            if text:
                blocks.append(Text(text))
            return
        block = self._read_other(part, raw, where)
        if signature is not None and not isinstance(block, Opaque):
            blocks.append(Thinking("", signature, origin))
        if block is not None:
            blocks.append(block)

    def _read_other(self, part: Part, raw: Raw, where: str) -> Block | None:
        """None for a part that holds nothing."""
        call = part.function_call or part.function_call_snake
        if told(call):
            return self._read_call(call, raw, f"{where}.functionCall")
        response = part.function_response or part.function_response_snake
        if told(response):
            return self._read_result(decode(_RESPONSE, response, f"{where}.functionResponse"), where)
        blob = part.inline_data or part.inline_data_snake
        if told(blob):
            return _read_blob(decode(_BLOB, blob, f"{where}.inlineData"), raw, where)
        file = part.file_data or part.file_data_snake
        if told(file):
            return _read_file(decode(_FILE, file, f"{where}.fileData"), raw, where)
        members = members_of(raw, where, _KNOWN)
        kind = next((name for name in members if name not in _ASIDE), None)
        if kind is None and "videoMetadata" in members:
            kind = "videoMetadata"  # some clients say which part of a film in a part of its own
        return None if kind is None else Opaque(NAME, kind, raw)

    def _read_call(self, raw: Raw, part: Raw, where: str) -> Block:
        call = decode(_CALL, raw, where)
        if not call.name:  # a piece of a call whose arguments are streamed, say
            return Opaque(NAME, "functionCall", part)
        arguments = text_of(call.args) if told(call.args) else "{}"
        return ToolCall(call.id or self._call_id(call.name, arguments), call.name, arguments)

    def _read_result(self, result: _Response, where: str) -> ToolResult:
        if not result.name and not result.id:
            raise ShapeError(f"{where}.functionResponse.name: is missing")
        name = result.name or ""
        blocks, is_error = _read_response(result.response, f"{where}.functionResponse.response")
        if told(result.parts):
            at = f"{where}.functionResponse.parts"
            blocks += self.read(listed(result.parts, at), at)
        return ToolResult(result.id or self._result_id(name), tuple(blocks), is_error, name or None)


def _think(thinking: Thinking, blocks: list[Block]) -> None:
    """Thoughts that come in pieces are one, which ends with its signature."""
    last = blocks[-1] if blocks else None
    if isinstance(last, Thinking) and last.text and last.signature is None:
        blocks[-1] = Thinking(last.text + thinking.text, thinking.signature, thinking.origin)
    elif thinking.text or thinking.signature:
        blocks.append(thinking)


def _read_response(raw: Raw, where: str) -> tuple[list[Block], bool | None]:
    """What a function returned, and whether it failed: that Google tells by the names `output` and `error`."""
    if not told(raw):
        return [], None
    members = decode(_MEMBERS, raw, where)
    if not members:
        return [], None
    if len(members) == 1:
        [(name, value)] = members.items()
        is_text = bytes(value).startswith(b'"')
        if name == "error":
            return [Text(decode(_STRING, value, f"{where}.error") if is_text else text_of(raw))], True
        if name in _ANSWERS and is_text:
            return [Text(decode(_STRING, value, f"{where}.{name}"))], None
    return [Text(text_of(raw))], None


_MEMBERS = msgspec.json.Decoder(Members)


def _read_blob(blob: _Blob, raw: Raw, where: str) -> Block:
    if blob.data is None:
        raise ShapeError(f"{where}.inlineData.data: is missing")
    source = Source(blob.mime_type or blob.mime_type_snake, data=_standard(blob.data))
    return _media(source, blob.display_name or blob.display_name_snake, raw, where)


def _standard(data: str) -> str:
    """Google's own clients send base64 in the alphabet for URLs, which nobody else takes."""
    if "-" not in data and "_" not in data:
        return data
    padding = "=" * (-len(data) % 4)
    return data.replace("-", "+").replace("_", "/") + padding


def _read_file(file: _File, raw: Raw, where: str) -> Block:
    uri = file.file_uri or file.file_uri_snake
    if not uri:
        raise ShapeError(f"{where}.fileData.fileUri: is missing")
    kind = file.mime_type or file.mime_type_snake
    own = uri.startswith(_OWN_FILES)
    source = Source(kind, file_id=uri) if own else Source(kind, url=uri)
    return _media(source, file.display_name or file.display_name_snake, raw, where)


def _media(source: Source, name: str | None, raw: Raw, where: str) -> Block:
    family, _, kind = (source.media_type or "").partition(";")[0].lower().partition("/")
    match family:
        case "image":
            return Image(source, detail=_detail(raw, where))
        case "audio":
            return Audio(source, _FORMATS.get(kind, kind) or None)
        case "video":
            return Opaque(NAME, "video", raw)
        case "" if source.data is None:
            return Opaque(NAME, "fileData", raw)  # only Google can find out what it is
        case _:
            return Document(source, name)


def _detail(raw: Raw, where: str) -> str | None:
    if b"esolution" not in bytes(raw):
        return None
    told_resolution = members_of(raw, where, _KNOWN).get("mediaResolution")
    if told_resolution is None:
        return None
    resolution = decode(_RESOLUTION, told_resolution, f"{where}.mediaResolution")
    level = resolution if isinstance(resolution, str) else resolution.level
    return _DETAILS.get(level or "")
