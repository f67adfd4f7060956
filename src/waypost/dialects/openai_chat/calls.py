"""The tool calls of one streamed choice, given out one after the other though they may arrive interleaved.

The first call streams as it comes. The next one begins once the arguments before it are whole JSON; until then its
parts are held. So the blocks never overlap, and nothing that comes late for an earlier call is lost.
"""

from io import StringIO

import msgspec

from waypost.conversation.blocks import ToolCall
from waypost.conversation.events import BlockEnded, BlockStarted, Delta, Event
from waypost.conversation.faults import Fault, FaultKind, UpstreamFault
from waypost.dialects.openai_chat.reply import Function, read_arguments
from waypost.dialects.openai_chat.words import call_id

HELD_LIMIT = 16 * 1024 * 1024  # characters of arguments of one choice
_PIECE = 64  # characters that a piece that has to wait counts for beside its own, and so does a call


class _Call:
    __slots__ = ("checked", "ended", "id", "index", "name", "place", "said", "started", "told_id", "waiting")

    def __init__(self, place: int) -> None:
        self.place = place  # among the calls of the choice
        self.index = -1  # of the block, once started
        self.id = ""
        self.told_id: str | None = None
        self.name = ""
        self.said: StringIO | None = StringIO()  # all its arguments, until they are known to be whole
        self.waiting: list[str] = []  # pieces that are not out yet
        self.checked = 0  # characters of `said` that are known not to be whole JSON yet
        self.started = False
        self.ended = False

    def end(self) -> None:
        self.ended = True
        self.said = None


class PendingCalls:
    __slots__ = ("_by_index", "_calls", "_choice", "_current", "_held", "_reply")

    def __init__(self, choice: int, reply: str | None) -> None:
        self._choice = choice
        self._reply = reply
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._current = 0  # place of the call that streams
        self._held = 0

    @property
    def any(self) -> bool:
        return bool(self._calls)

    def take(self, index: int | None, told_id: str | None, function: Function, place: int, events: list[Event]) -> int:
        """One delta. `place` is the index that the next block gets; returns what it is afterwards."""
        call = self._find(index, told_id, function.name)
        if told_id and not call.told_id:
            call.told_id = told_id
        if function.name and not call.name:
            call.name = function.name
        arguments = read_arguments(function.arguments)
        if arguments:
            if call.ended:
                message = "the stream goes on with a tool call that it had finished"
                raise UpstreamFault(Fault(kind=FaultKind.MALFORMED, message=message))
            self._held += len(arguments) if call.place == self._current else len(arguments) + _PIECE
            call.waiting.append(arguments)
            if call.said is not None:
                call.said.write(arguments)
        if self._held > HELD_LIMIT:
            message = f"the arguments of the tool calls are longer than {HELD_LIMIT} characters"
            raise UpstreamFault(Fault(kind=FaultKind.MALFORMED, message=message))
        return self._advance(place, events)

    def flush(self, place: int, events: list[Event]) -> int:
        """Gives out and ends all that is here: something else follows."""
        for call in self._calls[self._current :]:
            if call.name or call.told_id:
                place = self._stream(call, place, events)
                events.append(BlockEnded(call.index, self._choice))
            call.end()
        self._current = len(self._calls)
        return place

    def _find(self, index: int | None, told_id: str | None, name: str | None) -> _Call:
        """By index; but a new id with a name under a known index is a new call (Gemini counts all of them as 0)."""
        call = self._by_index.get(index) if index is not None else None
        if call is None and index is None and self._calls and (not told_id or told_id == self._calls[-1].told_id):
            return self._calls[-1]
        if call is None or (told_id and name and call.told_id and told_id != call.told_id):
            call = _Call(len(self._calls))
            self._calls.append(call)
            self._held += _PIECE
            if index is not None:
                self._by_index[index] = call
        return call

    def _advance(self, place: int, events: list[Event]) -> int:
        while self._current < len(self._calls):
            call = self._calls[self._current]
            if call.name:
                place = self._stream(call, place, events)
            if self._current + 1 == len(self._calls) or not (call.started and _is_whole(call)):
                return place
            events.append(BlockEnded(call.index, self._choice))
            call.end()
            self._current += 1
        return place

    def _stream(self, call: _Call, place: int, events: list[Event]) -> int:
        if not call.started:
            call.started = True
            call.index = place
            place += 1
            call.id = call.told_id or call_id(self._reply, self._choice, call.place)
            events.append(BlockStarted(call.index, ToolCall(call.id, call.name, ""), self._choice))
        if call.waiting:
            events += [Delta(call.index, self._choice, arguments=piece) for piece in call.waiting]
            call.waiting = []
        return place


def _is_whole(call: _Call) -> bool:
    """Asked again only once there is more, so that holding costs linear time."""
    if call.said is None or call.checked == call.said.tell():
        return False
    call.checked = call.said.tell()
    try:
        msgspec.json.decode(call.said.getvalue())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True
