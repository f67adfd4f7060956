"""Amazon Bedrock's Converse protocol, as a record of functions."""

from waypost.dialects.bedrock.edit import edit, glance, glance_reply, rename
from waypost.dialects.bedrock.faults import fault_headers, read_fault, write_fault
from waypost.dialects.bedrock.reply import read_reply, write_reply
from waypost.dialects.bedrock.request import read_request
from waypost.dialects.bedrock.request_out import write_request
from waypost.dialects.bedrock.stream import StreamReader, StreamWatcher
from waypost.dialects.bedrock.stream_out import StreamWriter
from waypost.dialects.bedrock.words import NAME
from waypost.dialects.dialect import Dialect, Door
from waypost.wire.eventstream import CONTENT_TYPE, EventStreamFraming

DIALECT = Dialect(
    name=NAME,
    doors=(Door("/model/{model}/converse", stream=False), Door("/model/{model}/converse-stream", stream=True)),
    path="/model/{model}/converse",
    stream_path="/model/{model}/converse-stream",
    stream_type=CONTENT_TYPE,
    ends_without_mark=True,
    framing=EventStreamFraming,
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
    fault_headers=fault_headers,
)
