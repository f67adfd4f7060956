"""What is reported, and how rounds become one figure. Values and arithmetic only."""

from collections.abc import Iterable, Sequence
from statistics import median

from msgspec import Struct

from waypost.bench.load import Load


class Sample(Struct, frozen=True):
    """One subject in one round: CPU seconds that its processes used under `load`, and a call alone on its way.

    `alone` is at concurrency 1, `direct` the same call to the upstream without the subject.
    """

    cpu_s: float
    load: Load
    alone: Load
    direct: Load

    @property
    def failed(self) -> int:
        return self.load.failed + self.alone.failed + self.direct.failed

    @property
    def cpu_us(self) -> float | None:
        """Microseconds a good answer. None if a call failed: refusing is cheaper than answering."""
        return None if self.failed or not self.load.good else self.cpu_s * 1e6 / self.load.good

    @property
    def rate(self) -> float | None:
        return None if self.failed else self.load.good / self.load.seconds

    @property
    def added_p50_us(self) -> float | None:
        return None if self.failed else _less(self.alone.p50_us, self.direct.p50_us)

    @property
    def added_p99_us(self) -> float | None:
        return None if self.failed else _less(self.alone.p99_us, self.direct.p99_us)


class Subject(Struct, frozen=True):
    """Medians over the rounds, None where any call failed. `ratio_to_nginx` is of CPU; None without nginx."""

    name: str
    ratio_to_nginx: float | None
    cpu_us_per_request: float | None
    requests_per_second: float | None
    added_p50_us: float | None
    added_p99_us: float | None
    failed: int


class Report(Struct, frozen=True):
    """The whole measurement. `subjects`: the gateway's two kinds of call; `references`: nginx with the same calls."""

    machine: str
    method: str
    rounds: int
    seconds: float
    subjects: tuple[Subject, ...]
    references: tuple[Subject, ...]
    ready_s: float
    idle_mib: float
    loaded_mib: float
    notes: tuple[str, ...]

    @property
    def failed(self) -> int:
        return sum(each.failed for each in (*self.subjects, *self.references))


def subject(name: str, samples: Sequence[Sample], references: Sequence[Sample]) -> Subject:
    """`references` are nginx's samples of the same rounds, none where it was not measured."""
    pairs = zip(samples, references, strict=True) if references else ()
    return Subject(
        name=name,
        ratio_to_nginx=middle((_over(mine.cpu_us, its.cpu_us) for mine, its in pairs), 2),
        cpu_us_per_request=middle((each.cpu_us for each in samples), 1),
        requests_per_second=middle((each.rate for each in samples), 0),
        added_p50_us=middle((each.added_p50_us for each in samples), 1),
        added_p99_us=middle((each.added_p99_us for each in samples), 1),
        failed=sum(each.failed for each in samples),
    )


def middle(values: Iterable[float | None], digits: int) -> float | None:
    """The median; None if there is nothing, or if anything is missing: one void round voids the figure."""
    known = list(values)
    sound = [value for value in known if value is not None]
    return round(median(sound), digits) if sound and len(sound) == len(known) else None


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _over(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other
