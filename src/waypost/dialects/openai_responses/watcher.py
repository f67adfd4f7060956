"""The copy of a relayed stream that is only watched. Most events are known by their name, and are not decoded."""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.reply import Usage
from waypost.dialects.dialect import Seen
from waypost.dialects.openai_errors import read_error
from waypost.dialects.openai_responses.faults import malformed
from waypost.dialects.openai_responses.reply import IncompleteDetails, stop_of_parts
from waypost.dialects.openai_responses.words import CALLS, read_usage
from waypost.dialects.wire_json import ABSENT, ShapeError, decode, told
from waypost.wire.frames import Frame

DONE = b"[DONE]"


class _Item(Struct, gc=False):
    type: str | None = None


class _Event(Struct, gc=False):
    type: str = ""
    item: _Item | None = None
    error: Raw = ABSENT


class _Response(Struct, gc=False):
    status: str | None = None
    incomplete_details: IncompleteDetails | None = None
    output: list[_Item] | None = None
    usage: Raw = ABSENT


class _Over(Struct, gc=False):
    response: _Response


_event_decoder = Decoder(_Event)
_over_decoder = Decoder(_Over)

_NOTHING = Seen()
_CONTENT = Seen(content=True)
_OVER = frozenset(("response.completed", "response.incomplete", "response.cancelled"))
_ITEMS = frozenset(("response.output_item.added", "response.output_item.done"))
_ERRORS = frozenset(("error", "response.failed", ""))
# Events that carry nothing of the answer. Any other one does, or what it tells again has been told already.
_EMPTY = frozenset(
    (
        *("response.created", "response.in_progress", "response.queued"),
        *("response.content_part.added", "response.reasoning_part.added", "response.reasoning_summary_part.added"),
        *("keepalive", "ping", "codex.rate_limits"),
    )
)
_QUIET_ITEMS = frozenset(("message", "reasoning"))  # that one begins says nothing yet
_QUIET_ENDS = (".in_progress", ".searching", ".generating", ".interpreting", ".compacting")


class StreamWatcher:
    """Satisfies `Watcher`. Usage needs no hiding: this protocol tells it unasked, in the event that ends it."""

    __slots__ = ("_called",)

    def __init__(self, hide_usage: bool) -> None:
        self._called = False

    def see(self, frame: Frame) -> Seen:
        data = frame.data
        if data is None:
            return _NOTHING
        name = frame.event
        if name is not None and name.endswith(".delta"):
            # Not decoded, but a delta that is cut short or is no object at all shows at its ends.
            return _CONTENT if data[:1] == b"{" and data[-1:] == b"}" else _broken("a delta is not a JSON object")
        if data == DONE:
            return _NOTHING
        try:
            return self._see(name, data)
        except ShapeError as error:
            return _broken(str(error))

    def _see(self, name: str | None, data: bytes) -> Seen:
        event: _Event | None = None
        if name is None or name in _ITEMS or name in _ERRORS or not name.startswith("response."):
            event = decode(_event_decoder, data, "")
            name = event.type
        if name in _OVER:
            return self._over(data)
        if name in _EMPTY:
            return _NOTHING
        if name in _ERRORS:
            failed = name != "" or (event is not None and told(event.error))
            return Seen(fault=read_error(data)) if failed else _NOTHING
        if name in _ITEMS:
            kind = event.item.type if event is not None and event.item is not None else None
            self._called = self._called or kind in CALLS
            quiet = name == "response.output_item.added" and kind in _QUIET_ITEMS
            return _NOTHING if quiet else _CONTENT
        return _NOTHING if name.endswith(_QUIET_ENDS) else _CONTENT

    def _over(self, data: bytes) -> Seen:
        response = decode(_over_decoder, data, "").response
        output = response.output or []
        self._called = self._called or any(item.type in CALLS for item in output)
        usage: Usage | None = read_usage(response.usage)
        stop = stop_of_parts(response.status, response.incomplete_details, self._called)
        return Seen(content=bool(output), usage=usage, stop=stop, finished=True)


def _broken(reason: str) -> Seen:
    return Seen(fault=malformed(f"the stream is not one of a response: {reason}"))
