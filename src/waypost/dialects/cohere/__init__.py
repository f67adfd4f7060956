"""Cohere's v2 chat protocol, as a record of functions."""

from waypost.dialects.cohere.edit import edit, glance
from waypost.dialects.cohere.faults import read_fault, write_fault
from waypost.dialects.cohere.reply import glance_reply, read_reply, write_reply
from waypost.dialects.cohere.request import read_request
from waypost.dialects.cohere.request_out import write_request
from waypost.dialects.cohere.stream import StreamReader, StreamWatcher
from waypost.dialects.cohere.stream_out import StreamWriter
from waypost.dialects.cohere.words import NAME
from waypost.dialects.dialect import Dialect, Door
from waypost.dialects.json_edit import rename_model
from waypost.wire.sse import SseFraming

DIALECT = Dialect(
    name=NAME,
    doors=(Door("/v2/chat"),),
    path="/v2/chat",
    stream_type="text/event-stream",
    ends_without_mark=True,
    framing=SseFraming,
    glance=glance,
    edit=edit,
    rename=rename_model,
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
