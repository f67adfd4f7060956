"""OpenAI's Responses protocol, as OpenAI and those who followed it speak it."""

from waypost.dialects.dialect import Dialect, Door
from waypost.dialects.json_edit import rename_model
from waypost.dialects.openai_errors import read_fault, write_fault
from waypost.dialects.openai_limits import LIMITS
from waypost.dialects.openai_responses.edit import edit, glance
from waypost.dialects.openai_responses.form_writer import for_request
from waypost.dialects.openai_responses.memory import MEMORY
from waypost.dialects.openai_responses.reply import glance_reply, read_reply, write_reply
from waypost.dialects.openai_responses.request import read_request
from waypost.dialects.openai_responses.request_out import write_request
from waypost.dialects.openai_responses.stream import StreamReader
from waypost.dialects.openai_responses.watcher import StreamWatcher
from waypost.dialects.openai_responses.words import NAME
from waypost.dialects.openai_responses.writer import StreamWriter
from waypost.wire.sse import SseFraming

DIALECT = Dialect(
    name=NAME,
    doors=(Door("/v1/responses"),),
    path="/responses",
    stream_type="text/event-stream",
    for_request=for_request,
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
    limits=LIMITS,
    memory=MEMORY,
)
