"""How faults are named and when they are due; how long things take; how a script is read."""

from typing import Any

import pytest

from waypost.sim import Fault, FaultKind, Fixed, Lognormal, Model, Script, ScriptError, Simulator, Uniform, read_script
from waypost.sim.dice import draw, fraction
from waypost.sim.faults import UnknownFault, is_due, parse_fault, read_markers, split_model
from waypost.sim.latency import Distribution, draw_seconds

from .conftest import Ask


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("429", Fault(kind=FaultKind.STATUS_429)),
        ("status_503", Fault(kind=FaultKind.STATUS_503)),
        ("429(retry_after=2.5)", Fault(kind=FaultKind.STATUS_429, retry_after=2.5)),
        ("stall_mid(after=4; probability=0.5)", Fault(kind=FaultKind.STALL_MID, after=4, probability=0.5)),
        ("500(first=2,beyond=1)", Fault(kind=FaultKind.STATUS_500, first=2, beyond=1)),
        ("huge_header()", Fault(kind=FaultKind.HUGE_HEADER)),
    ],
)
def test_faults_are_named(call: str, fault: Fault) -> None:
    assert parse_fault(call) == fault


@pytest.mark.parametrize(
    "call", ["", "explode", "418", "429(", "429(soon=1)", "stall_mid(after=x)", "connect_refused", "Reset_Before"]
)
def test_what_is_no_fault(call: str) -> None:
    with pytest.raises(UnknownFault):
        parse_fault(call)


def test_models_and_prompts_name_faults() -> None:
    assert split_model("gpt-sim") == ("gpt-sim", [])
    name, faults = split_model("vendor/gpt-sim~500(first=1)~no_done")
    assert (name, [fault.kind for fault in faults]) == (
        "vendor/gpt-sim",
        [FaultKind.STATUS_500, FaultKind.NO_DONE],
    )
    marked, settings = read_markers("a [[sim:no_done]] b [[sim:words=9]] [[other]] [[sim:refuse]]")
    assert ([fault.kind for fault in marked], settings) == ([FaultKind.NO_DONE], {"words": "9", "refuse": ""})


@pytest.mark.parametrize(
    ("narrowing", "due"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"first": 2}, [1, 2]),
        ({"beyond": 4}, [5, 6]),
        ({"beyond": 2, "first": 2}, [3, 4]),
        ({"every": 3}, [3, 6]),
        ({"calls": (2, 5)}, [2, 5]),
        ({"probability": 0.0}, []),
    ],
)
def test_when_faults_are_due(narrowing: Any, due: list[int]) -> None:
    fault = Fault(kind=FaultKind.STATUS_500, **narrowing)
    assert [number for number in range(1, 7) if is_due(fault, number, draw(1, number))] == due


def test_probability_is_kept() -> None:
    fault = Fault(kind=FaultKind.STATUS_500, probability=0.3)
    hits = [is_due(fault, number, draw(1, number)) for number in range(1, 2001)]
    assert 0.26 < sum(hits) / 2000 < 0.34
    assert hits != [is_due(fault, number, draw(2, number)) for number in range(1, 2001)]


def test_draws() -> None:
    assert draw(1, "a", 2) == draw(1, "a", 2)
    assert len({draw(1, "a", 2), draw(2, "a", 2), draw(1, "a2"), draw(1, "a", 3)}) == 4
    assert all(0 <= fraction(draw(1, number), number % 8) < 1 for number in range(100))


@pytest.mark.parametrize(
    ("distribution", "median", "high"),
    [
        (40.0, 0.040, 0.040),
        (Fixed(ms=40), 0.040, 0.040),
        (Uniform(min_ms=10, max_ms=50), 0.030, 0.048),
        (Lognormal(median_ms=50, p95_ms=200), 0.050, 0.200),
    ],
)
def test_distributions(distribution: Distribution, median: float, high: float) -> None:
    drawn = sorted(draw_seconds(distribution, draw(3, number)) for number in range(4000))
    assert drawn[2000] == pytest.approx(median, rel=0.08)
    assert drawn[3800] == pytest.approx(high, rel=0.12)


async def test_latency_is_waited_for(simulator: Simulator, ask: Ask, waits: list[float]) -> None:
    simulator.script = read_script("models: {sim-echo: {latency: {first_byte: 50, per_token_ms: 5}}}")
    await ask("sim-echo", "one two three")
    assert waits == [pytest.approx(0.065)]
    waits.clear()
    await ask("sim-echo", "one two three", stream=True)
    assert waits == [0.05, 0.005, 0.005, 0.005]
    waits.clear()
    await ask("sim-echo~500", "one two three")
    assert waits == [0.05]
    waits.clear()
    await ask("sim-small", "one two three")
    assert waits == []


async def test_faults_by_model_and_call_number(simulator: Simulator, ask: Ask) -> None:
    simulator.script = read_script("""
        models:
          flaky: {faults: [{kind: status_500, first: 2}, {kind: status_503, calls: [4]}]}
          "*": {faults: [{kind: status_429, first: 1}]}
    """)
    assert [(await ask("flaky")).status for _ in range(5)] == [500, 500, 200, 503, 200]
    assert [(await ask("other")).status for _ in range(2)] == [429, 200]
    assert [(await ask("third~500(first=1)")).status for _ in range(2)] == [500, 200]
    assert (await ask("flaky", "Now [[sim:529]]")).status == 529


async def test_chance_depends_on_the_seed_only(ask: Ask, simulator: Simulator) -> None:
    script = read_script("models: {m: {faults: [{kind: status_500, probability: 0.5}]}}")

    async def play(seed: int) -> list[int]:
        fresh = Simulator(script, seed=seed)
        simulator.script, simulator.seed, simulator._calls = fresh.script, fresh.seed, fresh._calls
        return [(await ask("m")).status for _ in range(20)]

    first = await play(1)
    assert first == await play(1)
    assert first != await play(2)
    assert set(first) == {200, 500}


def test_a_script_is_read() -> None:
    script = read_script("""
        keys: [sk-a, sk-b]
        models:
          gpt-sim:
            words: 40
            faults:
              - {kind: status_500, first: 3}
              - {kind: reset_before, probability: 0.1}
            latency:
              first_byte: {distribution: lognormal, median_ms: 50, p95_ms: 200}
              per_token_ms: 5
    """)
    model = script.models["gpt-sim"]
    assert script.keys == ("sk-a", "sk-b")
    assert model.faults[1] == Fault(kind=FaultKind.RESET_BEFORE, probability=0.1)
    assert model.latency.first_byte == Lognormal(median_ms=50, p95_ms=200)
    assert model.words == 40
    assert read_script("") == Script()
    assert Script(models={"m": Model()}).models["m"] == Model()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [", "expected"),
        ("[]", "object"),
        ("modles: {}", "modles"),
        ("models: {m: {fault: []}}", "fault"),
        ("models: {m: {faults: [{kind: explode}]}}", "explode"),
        ("models: {m: {faults: [{kind: connect_refused}]}}", "property of an address"),
        ("models: {m: {faults: [{kind: status_500, probability: 2}]}}", "probability"),
        ("models: {m: {latency: {first_byte: -1}}}", "models.m.latency.first_byte: must not be negative"),
        ("models: {m: {latency: {first_byte: {distribution: uniform, min_ms: 2, max_ms: 1}}}}", "min_ms"),
        ("models: {m: {latency: {per_token_ms: {distribution: lognormal, median_ms: 0, p95_ms: 1}}}}", "median_ms"),
        ("models: {m: {latency: {first_byte: {distribution: gamma}}}}", "gamma"),
    ],
)
def test_a_bad_script_is_refused(text: str, message: str) -> None:
    with pytest.raises(ScriptError, match=message):
        read_script(text)
