"""Counts of what calls came to, in plain integers: cheap to add to, read only when someone asks.

Labels are bounded: names that a caller can invent (a direct model name, say) fall into "other" once `MOST_SERIES`
series exist, so that no caller can grow the gateway's memory.
"""

from bisect import bisect_left
from collections.abc import Iterator

from waypost.ledger.records import Attempt, Ended, Outcome

MOST_SERIES = 2000
AT_ONCE = 64  # calls: few enough to weigh nothing
BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
BUCKETS_US = tuple(int(seconds * 1_000_000) for seconds in BUCKETS_S)
OVERHEAD_BUCKETS_US = (50, 100, 200, 500, 1_000, 2_000, 5_000, 20_000, 100_000)

Noted = tuple[int, int, int, int, int]  # input and output tokens of all kinds, nano-dollars, microseconds: all, our own
CallLabels = tuple[str, str, str, str, str]  # route, provider, model, outcome, error
AttemptLabels = tuple[str, str, str]  # provider, model, error


class CallSeries:
    """Sums over the calls with the same labels. Money in nano-dollars, `durations` and `overheads` by bucket."""

    __slots__ = (
        "calls",
        "cost",
        "duration_us",
        "durations",
        "input",
        "output",
        "overhead_us",
        "overheads",
        "unpriced",
        "waiting",
    )

    def __init__(self) -> None:
        self.calls = 0
        self.input = 0
        self.output = 0
        self.cost = 0
        self.unpriced = 0
        self.durations = [0] * (len(BUCKETS_US) + 1)
        self.duration_us = 0
        self.overheads = [0] * (len(OVERHEAD_BUCKETS_US) + 1)
        self.overhead_us = 0
        self.waiting: list[Noted] = []

    def note(self, noted: "Noted") -> None:
        """A priced call that is added up later, with others."""
        self.waiting.append(noted)
        if len(self.waiting) >= AT_ONCE:
            self.add_up()

    def add_up(self) -> None:
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        read, written, costs, totals, overheads = zip(*waiting, strict=True)
        self.calls += len(waiting)
        self.input += sum(read)
        self.output += sum(written)
        self.cost += sum(costs)
        self.duration_us += sum(totals)
        self.overhead_us += sum(overheads)
        for total_us in totals:
            self.durations[bisect_left(BUCKETS_US, total_us)] += 1
        for overhead_us in overheads:
            self.overheads[bisect_left(OVERHEAD_BUCKETS_US, overhead_us)] += 1


class Tally:
    """Calls are noted at once and added up in batches: on many in a row the same work costs a third."""

    __slots__ = ("_attempts", "_calls", "_noted", "overshoots", "unauthorized")

    def __init__(self) -> None:
        self._noted: list[Ended] = []
        self._calls: dict[CallLabels, CallSeries] = {}
        self._attempts: dict[AttemptLabels, int] = {}
        self.overshoots = 0
        self.unauthorized = 0

    def note(self, ended: Ended) -> None:
        self._noted.append(ended)
        if len(self._noted) >= AT_ONCE:
            self._add_noted()

    def series(self, route: str | None, provider: str, model: str) -> CallSeries:
        """That of the calls that went well, for who makes many of the same kind."""
        labels = (route or "", provider, model, Outcome.OK, "")
        return self._calls.get(labels) or self._new_series(labels)

    def add_up(self) -> None:
        """Brings the counts up to date."""
        for series in self._calls.values():
            series.add_up()
        self._add_noted()

    def _add_noted(self) -> None:
        noted, self._noted = self._noted, []
        for ended in noted:
            self._add(ended)

    def _add(self, ended: Ended) -> None:
        kind = ended.kind
        labels = (kind.route or "", kind.provider or "", kind.model or "", kind.outcome, kind.error or "")
        series = self._calls.get(labels)
        if series is None:
            series = self._new_series(labels)
        total_us, overhead_us = ended.total_us or 0, ended.overhead_us or 0
        series.calls += 1
        if ended.cost_nano is not None:
            series.cost += ended.cost_nano
        else:
            series.unpriced += 1
        if ended.input is not None:
            series.input += ended.input
        if ended.output is not None:
            series.output += ended.output
        if ended.cache_read is not None or ended.cache_write is not None or ended.reasoning is not None:
            series.input += (ended.cache_read or 0) + (ended.cache_write or 0)
            series.output += ended.reasoning or 0
        series.durations[bisect_left(BUCKETS_US, total_us)] += 1
        series.duration_us += total_us
        series.overheads[bisect_left(OVERHEAD_BUCKETS_US, overhead_us)] += 1
        series.overhead_us += overhead_us
        if kind.outcome is not Outcome.OK or len(ended.attempts) > 1:
            for attempt in ended.attempts:
                if attempt.error is not None:
                    self._note_failure(attempt)

    def _new_series(self, labels: CallLabels) -> CallSeries:
        if len(self._calls) >= MOST_SERIES:
            labels = ("other", labels[1], "other", labels[3], labels[4])
        return self._calls.setdefault(labels, CallSeries())

    def _note_failure(self, attempt: Attempt) -> None:
        labels = (attempt.provider, attempt.model, attempt.error or "")
        if labels not in self._attempts and len(self._attempts) >= MOST_SERIES:
            labels = (attempt.provider, "other", labels[2])
        self._attempts[labels] = self._attempts.get(labels, 0) + 1

    def calls(self) -> Iterator[tuple[CallLabels, CallSeries]]:
        self.add_up()
        return iter(self._calls.items())

    def failures(self) -> Iterator[tuple[AttemptLabels, int]]:
        self.add_up()
        return iter(self._attempts.items())
