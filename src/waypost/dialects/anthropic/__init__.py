"""Anthropic's Messages protocol, as a record of functions."""

from waypost.dialects.anthropic.edit import edit, glance, glance_reply
from waypost.dialects.anthropic.faults import read_fault, write_fault
from waypost.dialects.anthropic.foreign import rename
from waypost.dialects.anthropic.limits import LIMITS
from waypost.dialects.anthropic.reply import read_reply, write_reply
from waypost.dialects.anthropic.request import read_request
from waypost.dialects.anthropic.request_out import write_request
from waypost.dialects.anthropic.stream import StreamReader, StreamWatcher
from waypost.dialects.anthropic.stream_out import StreamWriter
from waypost.dialects.anthropic.words import NAME
from waypost.dialects.dialect import Dialect, Door
from waypost.wire.sse import SseFraming

DIALECT = Dialect(
    name=NAME,
    doors=(Door("/v1/messages"), Door("/v1/messages/count_tokens", counts=True)),
    path="/v1/messages",
    count_path="/v1/messages/count_tokens",
    stream_type="text/event-stream",
    framing=SseFraming,
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
    limits=LIMITS,
)
