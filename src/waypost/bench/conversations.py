"""Conversations, answers and streams of our own making, and what they look like in each dialect.

Made once in the neutral form and written by each dialect's own writer, so that all dialects are measured with the same
thing said. Generated, the same each time: no dice, no recordings.
"""

from collections.abc import Iterator

import msgspec

from waypost.conversation.blocks import Json, Role, Text, ToolCall, ToolResult
from waypost.conversation.events import BlockEnded, BlockStarted, Delta, Event, Finished, Reported, Started, Stopped
from waypost.conversation.reply import Choice, Reply, Stop, StopKind, Usage
from waypost.conversation.request import Request, Tool, Turn
from waypost.dialects.dialect import Dialect, Shape

MODEL = "measured-1"
LARGE = 1_000_000  # characters: about 200,000 tokens
_NEUTRAL = "neutral"  # no dialect's name: what only one dialect could carry is not in here
_CREATED = 1_700_000_000
_WORDS = (
    "The pump in hall 4 lost pressure at 06:12; the second valve, «B», opened late.\n"
    'Log: {"level": "warn", "place": "hall 4"}\tand nothing since – see C:\\logs\\pump.txt. '
)
_SCHEMA = Json(
    b'{"type":"object","properties":{"place":{"type":"string","description":"A hall, by its number"},'
    b'"hours":{"type":"integer","minimum":1}},"required":["place"]}'
)
TOOLS = tuple(Tool(name, f"Reads the {name} of a hall.", _SCHEMA) for name in ("pressure", "logs", "plans"))
_USAGE = Usage(input=9, output=12)


def plain_request(*, stream: bool = False) -> Request:
    """One short question: the call that the overhead is measured with."""
    turns = (Turn(Role.USER, (Text("hello"),)),)
    return Request(_NEUTRAL, MODEL, turns, stream=stream, usage_in_stream=stream, max_tokens=16)


def tool_request(rounds: int = 2, words: str = _WORDS) -> Request:
    """A system prompt, three tools, and rounds of a question, a call, its result and an answer."""
    turns = [Turn(Role.SYSTEM, (Text("You watch over the pumps of a mine. Be brief."),))]
    for number in range(rounds):
        turns += _round(number, words)
    turns.append(Turn(Role.USER, (Text("And now?"),)))
    return Request(_NEUTRAL, MODEL, tuple(turns), max_tokens=1024, temperature=0.5, tools=TOOLS)


def large_request(characters: int = LARGE) -> Request:
    """The same with long texts: a session of an agent that has read many files."""
    words = _WORDS * 16
    each = 3 * len(words)
    return tool_request(rounds=characters // each, words=words)


def _round(number: int, words: str) -> Iterator[Turn]:
    call = f"call_{number:04}"
    arguments = msgspec.json.encode({"place": f"hall {number}", "hours": 6}).decode()
    yield Turn(Role.USER, (Text(words),))
    yield Turn(Role.ASSISTANT, (Text(words), ToolCall(call, "logs", arguments)))
    yield Turn(Role.USER, (ToolResult(call, (Text(words),), name="logs"),))


def plain_reply() -> Reply:
    return Reply(
        _NEUTRAL,
        "answer-1",
        MODEL,
        (Choice((Text("The pump in hall 4 lost pressure."),), Stop(StopKind.END)),),
        _USAGE,
        _CREATED,
    )


def tool_reply() -> Reply:
    blocks = (Text(_WORDS), ToolCall("call_1", "logs", '{"place":"hall 4","hours":6}'))
    return Reply(_NEUTRAL, "answer-1", MODEL, (Choice(blocks, Stop(StopKind.TOOL)),), _USAGE, _CREATED)


def events(deltas: int) -> Iterator[Event]:
    """A stream of one text."""
    yield Started("answer-1", MODEL, _CREATED)
    yield BlockStarted(0, Text(""))
    for number in range(deltas):
        yield Delta(0, text=" pump" if number % 4 else " pressure,")
    yield BlockEnded(0)
    yield Stopped(Stop(StopKind.END))
    yield Reported(_USAGE)
    yield Finished()


def request_bytes(dialect: Dialect, request: Request) -> bytes:
    return dialect.write_request(request, Shape(model=request.model)).body


def reply_bytes(dialect: Dialect, reply: Reply) -> bytes:
    return dialect.write_reply(reply, MODEL)


def stream_chunks(dialect: Dialect, deltas: int) -> list[bytes]:
    """The stream as its writer cuts it: a chunk for each delta, with what comes before the first and after the last."""
    writer = dialect.writer(MODEL, True)
    return [written for event in events(deltas) if (written := writer.write(event))]
