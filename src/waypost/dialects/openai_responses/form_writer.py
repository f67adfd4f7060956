"""Answers to a caller whose tools are no plain functions: calls to them, said as it knows them.

A call in such a form is given out whole: what a custom tool is given can be told from the whole of its arguments alone.
"""

from io import StringIO

import msgspec
from msgspec import Raw

from waypost.conversation.blocks import Block, Opaque, ToolCall
from waypost.conversation.events import BlockEnded, BlockStarted, Delta, Event
from waypost.conversation.faults import CallerError, UpstreamFault
from waypost.conversation.reply import Reply
from waypost.conversation.request import Request, ToolForm
from waypost.dialects.dialect import Dialect, Writer
from waypost.dialects.openai_responses.faults import malformed
from waypost.dialects.openai_responses.forms import NO_FORMS, Forms, Members, forms_of, named, text_of
from waypost.dialects.openai_responses.words import NAME, item_id

MOST_HELD = 16 * 1024 * 1024  # characters of one call's arguments


def for_request(dialect: Dialect, request: Request) -> Dialect:
    """`dialect` as this request's caller wants to be answered."""
    forms = forms_of(request) if request.tools else NO_FORMS
    if not forms:
        return dialect
    write, writer = dialect.write_reply, dialect.writer
    return msgspec.structs.replace(
        dialect,
        write_reply=lambda reply, model: write(restored(reply, forms), model),
        writer=lambda model, include_usage: FormWriter(writer(model, include_usage), forms),
    )


def restored(reply: Reply, forms: Forms) -> Reply:
    """The answer with each call in its tool's form."""
    choices = [
        msgspec.structs.replace(choice, blocks=tuple([_in_form(block, forms) for block in choice.blocks]))
        for choice in reply.choices
    ]
    return msgspec.structs.replace(reply, choices=tuple(choices))


def _in_form(block: Block, forms: Forms) -> Block:
    form = forms.get(block.name) if isinstance(block, ToolCall) else None
    return block if form is None or not isinstance(block, ToolCall) else call_in_form(block, form)


def call_in_form(call: ToolCall, form: ToolForm) -> Opaque:
    kind, prefix = ("function_call", "fc") if form.custom is None else ("custom_tool_call", "ctc")
    item: Members = {"id": item_id(prefix, call.id, 0), "type": kind, "status": "completed", "call_id": call.id}
    if form.custom is None:
        item["arguments"] = call.arguments or "{}"
    else:
        item["input"] = text_of(call.arguments)
    return Opaque(NAME, kind, Raw(msgspec.json.encode(named(item, form))))


class FormWriter:
    """Satisfies `Writer`: holds a call back whose tool has a form, and passes on all else."""

    __slots__ = ("_call", "_choice", "_form", "_forms", "_said", "_writer")

    def __init__(self, writer: Writer, forms: Forms) -> None:
        self._writer = writer
        self._forms = forms
        self._call: ToolCall | None = None  # the one that is held
        self._choice = 0
        self._form: ToolForm | None = None
        self._said = StringIO()

    def write(self, event: Event) -> bytes:
        """Raises UpstreamFault for a call that grows beyond all measure."""
        match event:
            case BlockStarted(block=ToolCall() as call) if (form := self._forms.get(call.name)) is not None:
                self._call, self._choice, self._form = call, event.choice, form
                self._said = StringIO()
                self._said.write(call.arguments)
                return b""
            case Delta() if self._call is not None and event.choice == self._choice:
                self._said.write(event.arguments or "")
                if self._said.tell() > MOST_HELD:
                    raise UpstreamFault(malformed(f"a call's arguments are longer than {MOST_HELD} characters"))
                return b""
            case BlockEnded() if self._call is not None and event.choice == self._choice:
                return self._whole(self._call, event)
            case _:
                return self._writer.write(event)

    def fail(self, error: CallerError) -> bytes:
        return self._writer.fail(error)

    def _whole(self, call: ToolCall, event: BlockEnded) -> bytes:
        form, self._call = self._form, None
        assert form is not None
        said = msgspec.structs.replace(call, arguments=self._said.getvalue())
        begun = self._writer.write(BlockStarted(event.index, call_in_form(said, form), event.choice))
        return begun + self._writer.write(event)
