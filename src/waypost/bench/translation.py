"""What each dialect's readers and writers cost by themselves, in microseconds of CPU, relaying beside translating.

In this process and without a socket, with what `conversations` says. The least of several repetitions counts: what
else the machine does can only add to it. What a call costs in all is measured by `pairs`.
"""

import gc
from collections.abc import Callable, Sequence
from time import process_time

from msgspec import Struct

from waypost.bench import conversations
from waypost.conversation.request import Request
from waypost.dialects.dialect import Dialect, Edits, Shape
from waypost.dialects.registry import DIALECTS
from waypost.gateway.passage import Relay, Translation

REPETITIONS = 7
LONG_S = 0.004  # one repetition takes about this, so that the clock's own steps do not count
DELTAS = 500
CLAMP = 500  # output tokens: less than the requests ask for, so that the body has to be changed
Work = Callable[[], object]


class Step(Struct, frozen=True):
    """`relay` and `translate` are µs of CPU: the latter of reading in this dialect and writing in each other, by name.

    `limited` is `relay` where a budget lowers the output limit as well; None where there is no such case.
    """

    dialect: str
    what: str
    bytes: int
    relay: float
    translate: dict[str, float]
    limited: float | None = None


def measure_steps(repetitions: int, tell: Callable[[str], None]) -> tuple[Step, ...]:
    """`tell` hears what is under way."""
    steps: list[Step] = []
    requests = (
        ("request, one line", conversations.plain_request()),
        ("request with tools", conversations.tool_request()),
        ("request of 1 MB", conversations.large_request()),
    )
    for dialect in DIALECTS.values():
        tell(f"reading and writing {dialect.name}")
        others = [other for other in DIALECTS.values() if other is not dialect]
        steps += [request_step(dialect, others, what, request, repetitions) for what, request in requests]
        steps += [reply_step(dialect, others, repetitions), chunk_step(dialect, others, repetitions)]
    return tuple(steps)


def request_step(dialect: Dialect, others: Sequence[Dialect], what: str, request: Request, repetitions: int) -> Step:
    body = conversations.request_bytes(dialect, request)
    edits, limited = Edits(model="another-2"), Edits(model="another-2", max_output=CLAMP)
    shape = Shape(model="another-2")

    def relay(edits: Edits) -> Work:
        return lambda: dialect.edit(body, dialect.glance(body), edits)

    def translate(other: Dialect) -> Work:
        return lambda: (dialect.glance(body), other.write_request(dialect.read_request(body), shape))

    return Step(
        dialect.name,
        what,
        len(body),
        least(relay(edits), repetitions),
        {other.name: least(translate(other), repetitions) for other in others},
        least(relay(limited), repetitions),
    )


def reply_step(dialect: Dialect, others: Sequence[Dialect], repetitions: int) -> Step:
    body = conversations.reply_bytes(dialect, conversations.plain_reply())

    def translate(other: Dialect) -> Work:
        return lambda: other.write_reply(dialect.read_reply(body), conversations.MODEL)

    return Step(
        dialect.name,
        "whole answer",
        len(body),
        least(lambda: dialect.glance_reply(body), repetitions),
        {other.name: least(translate(other), repetitions) for other in others},
    )


def chunk_step(dialect: Dialect, others: Sequence[Dialect], repetitions: int) -> Step:
    """Per chunk of a stream of one text: its framing, and what a passage of the gateway does with it."""
    chunks = conversations.stream_chunks(dialect, DELTAS)

    def pass_on(passage: Callable[[], Relay | Translation]) -> Work:
        def work() -> None:
            framing, way = dialect.framing(), passage()
            for chunk in chunks:
                way.take(framing.feed(chunk))

        return work

    def through(other: Dialect) -> Callable[[], Translation]:
        return lambda: Translation(dialect, other, conversations.MODEL, True, "call", 0)

    translated = {other.name: least(pass_on(through(other)), repetitions) / len(chunks) for other in others}
    relayed = least(pass_on(lambda: Relay(dialect, False)), repetitions) / len(chunks)
    return Step(dialect.name, "chunk of a stream", len(chunks[len(chunks) // 2]), relayed, translated)


def least(work: Work, repetitions: int = REPETITIONS) -> float:
    """µs of CPU of one `work`, the least of so many repetitions, each of as many as take long enough."""
    work()
    began = process_time()
    work()
    times = max(1, int(LONG_S / max(process_time() - began, 1e-6)))
    collecting = gc.isenabled()
    gc.disable()  # or its runs would fall on whoever is at work
    try:
        return min(_timed(work, times) for _ in range(max(1, repetitions))) * 1e6
    finally:
        if collecting:
            gc.enable()


def _timed(work: Work, times: int) -> float:
    began = process_time()
    for _ in range(times):
        work()
    return (process_time() - began) / times
