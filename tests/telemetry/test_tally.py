"""Counts of what calls came to: exact, bounded, and readable by Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from waypost.ledger.records import Attempt, Ended, Kind, Outcome
from waypost.telemetry.prometheus import exposition
from waypost.telemetry.tally import AT_ONCE, MOST_SERIES, Tally

FAILED = Attempt("openai", "gpt", "default", Outcome.FAILED, "server_error", 500, 10, 20)


def call(number: int, **members: object) -> Ended:
    told = {
        "route": "fast",
        "provider": "openai",
        "model": "gpt",
        "input": 10,
        "cache_read": 5,
        "output": 2,
        "cost_nano": 1_500_000,
        "total_us": 300_000,
        "overhead_us": 120,
    } | members
    kind = Kind(**{name: told.pop(name) for name in Kind.__struct_fields__ if name in told})  # type: ignore[arg-type]
    return Ended(f"call_{number}", 1, kind=kind, **told)  # type: ignore[arg-type]


def samples(tally: Tally) -> dict[str, float]:
    text = exposition(tally, lambda: [("waypost_in_flight", "Calls under way.", [({}, 3.0)])]).decode()
    return {
        sample.name + (f"[{sample.labels['le']}]" if "le" in sample.labels else ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_everything_noted_is_counted_whenever_it_is_asked_for() -> None:
    tally = Tally()
    for number in range(AT_ONCE + 3):
        tally.note(call(number))
    told = samples(tally)
    assert told["waypost_calls_total"] == AT_ONCE + 3
    assert told["waypost_input_tokens_total"] == 15 * (AT_ONCE + 3)
    assert told["waypost_output_tokens_total"] == 2 * (AT_ONCE + 3)
    assert abs(told["waypost_cost_usd_total"] - 0.0015 * (AT_ONCE + 3)) < 1e-9
    assert told["waypost_call_seconds_bucket[0.25]"] == 0
    assert told["waypost_call_seconds_bucket[0.5]"] == told["waypost_call_seconds_count"] == AT_ONCE + 3
    assert told["waypost_overhead_microseconds_bucket[100.0]"] == 0
    assert told["waypost_in_flight"] == 3


def test_calls_noted_with_their_series_count_as_any_other() -> None:
    one, other = Tally(), Tally()
    series = other.series("fast", "openai", "gpt")
    for number in range(AT_ONCE + 3):
        one.note(call(number))
        series.note((15, 2, 1_500_000, 300_000, 120))
    assert samples(other) == samples(one)
    assert other.series("fast", "openai", "gpt") is series


def test_failed_attempts_count_also_where_a_fallback_answered() -> None:
    tally = Tally()
    served = Attempt("claude", "haiku", "default", Outcome.OK, None, 200, 10, 20)
    tally.note(call(1, attempts=(FAILED, served)))
    tally.note(call(2, outcome=Outcome.FAILED, error="upstream_failed", attempts=(FAILED,), cost_nano=None))
    assert dict(tally.failures()) == {("openai", "gpt", "server_error"): 2}
    assert samples(tally)["waypost_unpriced_calls_total"] == 1


def test_names_that_callers_invent_do_not_grow_memory() -> None:
    tally = Tally()
    for number in range(MOST_SERIES * 2):
        tally.note(call(number, model=f"invented-{number}"))
    series = dict(tally.calls())
    assert len(series) <= MOST_SERIES + 1
    assert sum(each.calls for each in series.values()) == MOST_SERIES * 2
