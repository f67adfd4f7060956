"""The tally in Prometheus' text form. Loaded at the first scrape: a quiet gateway does not carry the library."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from waypost.telemetry.tally import BUCKETS_S, OVERHEAD_BUCKETS_US, CallSeries, Tally

CALL_LABELS = ("route", "provider", "model", "outcome", "error")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Gauges = Callable[[], Iterable[tuple[str, str, Sequence[tuple[dict[str, str], float]]]]]


def _buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    total, cumulative = 0, []
    for bound, count in zip((*bounds, float("inf")), counts, strict=True):
        total += count
        cumulative.append(("+Inf" if bound == float("inf") else repr(float(bound)), float(total)))
    return cumulative


class TallyCollector(Collector):
    def __init__(self, tally: Tally, gauges: Gauges) -> None:
        self._tally = tally
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        yield from self._calls()
        failures = CounterMetricFamily(
            "waypost_attempt_failures", "Failed attempts at a provider.", labels=("provider", "model", "error")
        )
        for labels, count in self._tally.failures():
            failures.add_metric(labels, count)
        yield failures
        yield CounterMetricFamily("waypost_unauthorized", "Requests without a known key.", self._tally.unauthorized)
        yield CounterMetricFamily(
            "waypost_budget_overshoots",
            "Calls whose provider reported more than the safe upper bound.",
            self._tally.overshoots,
        )
        for name, documentation, values in self._gauges():
            family = GaugeMetricFamily(name, documentation, labels=tuple(values[0][0]) if values else ())
            for gauge_labels, value in values:
                family.add_metric(tuple(gauge_labels.values()), value)
            yield family

    def _calls(self) -> Iterator[Metric]:
        counters: tuple[tuple[str, str, Callable[[CallSeries], float]], ...] = (
            ("waypost_calls", "Calls by what they came to.", lambda series: series.calls),
            ("waypost_input_tokens", "Tokens read, cached ones included.", lambda series: series.input),
            ("waypost_output_tokens", "Tokens written, reasoning included.", lambda series: series.output),
            ("waypost_cost_usd", "Dollars, where the price is known.", lambda series: series.cost / 1e9),
            ("waypost_unpriced_calls", "Calls whose cost is not known.", lambda series: series.unpriced),
        )
        for name, documentation, read in counters:
            family = CounterMetricFamily(name, documentation, labels=CALL_LABELS)
            for labels, series in self._tally.calls():
                family.add_metric(labels, read(series))
            yield family
        seconds = HistogramMetricFamily("waypost_call_seconds", "Duration of a call.", labels=CALL_LABELS)
        overhead = HistogramMetricFamily(
            "waypost_overhead_microseconds", "Time of a call spent in Waypost.", labels=CALL_LABELS
        )
        for labels, series in self._tally.calls():
            seconds.add_metric(labels, _buckets(BUCKETS_S, series.durations), series.duration_us / 1e6)
            overhead.add_metric(labels, _buckets(OVERHEAD_BUCKETS_US, series.overheads), series.overhead_us)
        yield seconds
        yield overhead


def exposition(tally: Tally, gauges: Gauges) -> bytes:
    """The body of `/metrics`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(TallyCollector(tally, gauges))
    return generate_latest(registry)
