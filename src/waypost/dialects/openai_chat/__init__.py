"""OpenAI's Chat Completions protocol, as OpenAI and its many followers speak it."""

from waypost.dialects.dialect import Dialect, Door
from waypost.dialects.json_edit import rename_model
from waypost.dialects.openai_chat.edit import edit, glance
from waypost.dialects.openai_chat.reply import glance_reply, read_reply, write_reply
from waypost.dialects.openai_chat.request import read_request
from waypost.dialects.openai_chat.request_out import write_request
from waypost.dialects.openai_chat.stream import ChatReader, ChatWatcher
from waypost.dialects.openai_chat.words import NAME
from waypost.dialects.openai_chat.writer import ChatWriter
from waypost.dialects.openai_errors import read_fault, write_fault
from waypost.dialects.openai_limits import LIMITS
from waypost.wire.sse import SseFraming

DIALECT = Dialect(
    name=NAME,
    doors=(Door("/v1/chat/completions"),),
    path="/chat/completions",
    stream_type="text/event-stream",
    ends_without_mark=True,
    framing=SseFraming,
    glance=glance,
    edit=edit,
    rename=rename_model,
    glance_reply=glance_reply,
    watcher=ChatWatcher,
    read_request=read_request,
    write_request=write_request,
    read_reply=read_reply,
    write_reply=write_reply,
    reader=ChatReader,
    writer=ChatWriter,
    read_fault=read_fault,
    write_fault=write_fault,
    limits=LIMITS,
)
