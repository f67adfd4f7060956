"""Google's Gemini protocol (`generateContent`, `streamGenerateContent`), as a record of functions."""

import msgspec

from waypost.dialects.dialect import Dialect, Door
from waypost.dialects.gemini.edit import edit, glance, rename
from waypost.dialects.gemini.faults import read_fault, write_fault
from waypost.dialects.gemini.reply import glance_reply, read_reply, write_reply
from waypost.dialects.gemini.request import read_request
from waypost.dialects.gemini.request_out import write_request
from waypost.dialects.gemini.stream import StreamReader, StreamWatcher
from waypost.dialects.gemini.stream_out import StreamWriter, array_writer
from waypost.dialects.gemini.words import NAME
from waypost.wire.jsonarray import AnyFraming

_WHOLE = "/v1beta/models/{model}:generateContent"
_STREAM = "/v1beta/models/{model}:streamGenerateContent"
_COUNT = "/v1beta/models/{model}:countTokens"
_SYSTEM = frozenset(("alt", "callback", "fields", "quotaUser", "uploadType", "upload_protocol", "userProject"))
_VERSIONS = ("v1beta", "v1")  # Google's SDK went from the one to the other; both are asked the same


def _for_query(query: str) -> Dialect:
    """Server-sent events are asked for by name; unasked, a stream is one JSON array."""
    return DIALECT if "alt=sse" in query.split("&") else ARRAY


def _passes(name: str) -> bool:
    """Not what makes an answer another one than is read here (part of it, without its usage; no JSON), or a request.

    Google calls these system parameters; with a dollar sign they are meant for every one of its services.
    """
    return name not in _SYSTEM and not name.startswith("$")


DIALECT = Dialect(
    name=NAME,
    doors=tuple(
        Door(path.replace("v1beta", version), stream, counts=path is _COUNT)
        for version in _VERSIONS
        for path, stream in ((_WHOLE, False), (_STREAM, True), (_COUNT, False))
    ),
    path=_WHOLE,
    stream_path=_STREAM,
    stream_query="alt=sse",
    count_path=_COUNT,
    for_query=_for_query,
    passes=_passes,
    stream_type="text/event-stream",
    ends_without_mark=True,
    framing=AnyFraming,
    glance=glance,
    edit=edit,
    rename=rename,
    glance_reply=glance_reply,
    watcher=StreamWatcher,
    read_request=read_request,
    write_request=write_request,
    read_reply=read_reply,
    write_reply=write_reply,
    reader=StreamReader,
    writer=StreamWriter,
    read_fault=read_fault,
    write_fault=write_fault,
)
# The array's bracket is an end mark: without it a caller can't read what came.
ARRAY = msgspec.structs.replace(
    DIALECT,
    stream_type="application/json",
    stream_query="",
    ends_without_mark=False,
    writer=array_writer,
)
