from collections import Counter
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.building import FACTS, plan_of, provider, targets
from waypost.config.model import Policy, PriceOverride, ProviderClass, Strategy
from waypost.conversation.faults import ErrorKind, Refused
from waypost.conversation.options import Constraints
from waypost.routing.breaker import BreakerState
from waypost.routing.candidates import Plan
from waypost.routing.decision import Decision, Verdict, decide, encode_decision, read_decision
from waypost.routing.explain import refusal, verify
from waypost.routing.facts import Facts
from waypost.routing.health import View

OPEN = BreakerState.OPEN
PROVIDERS = (
    provider("acme", "a", "b", source="acme", region="us", capabilities=frozenset({"tools", "images"})),
    provider("home", kind=ProviderClass.LOCAL, region="eu", prices=(("*", PriceOverride(input=0, output=0)),)),
    provider("dark", "d", source="acme"),
)
PLAN = plan_of(PROVIDERS, targets("acme/large*3", "home/qwen*1"), targets("dark/small", "acme/free"), Strategy.WEIGHTED)
LARGE_A, LARGE_B, HOME, SMALL, FREE_A, FREE_B = range(6)
# 1000 tokens in and 100 out, at 3 and 9 dollars a million: 3,000,000 + 900,000 nano-dollars.
LARGE_BOUND = 3_900_000


def facts(**members: object) -> Facts:
    return msgspec.structs.replace(FACTS, **members)


def asking(**members: object) -> Facts:
    return facts(constraints=Constraints(**members))  # type: ignore[arg-type]


LACKS, DEAR, REGION = "capability_missing", "price_over_constraint", "policy_region"
OWNER, PROFILE = "policy_provider", "profile_not_asked"
CASES = {
    "nothing stands out": (facts(), set(range(6)), {}),
    "class": (asking(classes=("local",)), {HOME}, {LARGE_A: "policy_class", SMALL: "policy_class"}),
    "region": (asking(regions=("us",)), {LARGE_A, LARGE_B, FREE_A, FREE_B}, {HOME: REGION, SMALL: REGION}),
    "key's providers": (
        facts(key_policy=Policy(providers=frozenset({"dark"}))), {SMALL}, {HOME: OWNER, FREE_A: OWNER},
    ),
    "profile": (facts(profile="b"), {LARGE_B, FREE_B}, {LARGE_A: PROFILE, HOME: PROFILE}),
    "profile of a provider": (facts(profile="dark/d"), {SMALL}, {LARGE_A: PROFILE}),
    "needs": (facts(needs=frozenset({"audio"})), {HOME, SMALL}, {LARGE_A: LACKS, FREE_B: LACKS}),
    "needs that all have": (facts(needs=frozenset({"images"})), set(range(6)), {}),
    "capabilities": (asking(capabilities=("tools", "audio")), {HOME, SMALL}, {LARGE_A: LACKS}),
    "context": (
        asking(min_context=9000), {LARGE_A, LARGE_B}, {SMALL: "context_too_small", HOME: "context_too_small"},
    ),
    "budget": (facts(budgeted=True), {LARGE_A, LARGE_B, HOME, SMALL}, {FREE_A: "no_price_under_budget"}),
    "cost": (asking(max_cost_usd="0.0038"), {HOME, SMALL}, {LARGE_A: DEAR, FREE_A: DEAR}),
    "cost that just fits": (asking(max_cost_usd=0.0039), {LARGE_A, LARGE_B, HOME, SMALL}, {FREE_A: DEAR}),
    "nobody": (asking(classes=("local",), regions=("us",)), set(), {HOME: REGION, LARGE_A: "policy_class"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_candidate_gets_its_verdict(case: str) -> None:
    told, viable, verdicts = CASES[case]
    for seed in range(8):
        decision = decide(PLAN, told, (), seed)
        assert set(decision.order) == viable
        assert len(decision.order) == len(viable)
        assert {index: decision.verdict(index).value for index in verdicts} == verdicts
        assert {index for index in range(6) if decision.verdict(index) is Verdict.VIABLE} == viable
        assert verify(PLAN.statics, encode_decision(decision)).ok


def test_the_operators_policy_is_part_of_the_plan() -> None:
    plan = plan_of(PROVIDERS, targets("acme/large", "home/qwen"), policy=Policy(regions=frozenset({"eu"})))
    decision = decide(plan, facts(), (), 1)
    assert [decision.verdict(index).value for index in range(3)] == ["policy_region", "policy_region", "viable"]
    assert decision.order == (2,)


def test_bounds_are_told_where_somebody_asked() -> None:
    assert decide(PLAN, facts(), (), 1).bounds == ()
    bounds = decide(PLAN, facts(budgeted=True), (), 1).bounds
    assert bounds == (LARGE_BOUND, LARGE_BOUND, 0, 1_200_000, None, None)


@pytest.mark.parametrize("amount", ["much", "-1", float("nan")])
def test_a_cost_limit_that_is_no_amount_is_a_bad_request(amount: str | float) -> None:
    with pytest.raises(Refused) as refused:
        decide(PLAN, asking(max_cost_usd=amount), (), 1)
    assert refused.value.error.kind is ErrorKind.BAD_REQUEST
    assert "max_cost_usd" in refused.value.error.message


def views(**waits: float) -> tuple[View, ...]:
    return tuple(View(target=OPEN, wait_s=waits[f"c{index}"]) if f"c{index}" in waits else View() for index in range(6))


def test_open_breakers_drop_out_and_the_others_keep_their_order() -> None:
    for seed in range(20):
        before = decide(PLAN, facts(), (), seed).order
        after = decide(PLAN, facts(), views(c0=3.0, c3=1.0), seed)
        assert list(after.order) == [index for index in before if index not in (LARGE_A, SMALL)]
        assert after.verdict(LARGE_A) is Verdict.BREAKER_OPEN
        assert not after.last_resort
        assert after.propensities == pytest.approx((0, 0.75, 0.25, 0, 0, 0))


def test_the_last_one_is_probed_all_the_same() -> None:
    everyone = {f"c{index}": 9.0 - index for index in range(6)}
    decision = decide(PLAN, facts(), views(**everyone), 1)
    assert decision.order == (FREE_B,)
    assert decision.last_resort
    assert decision.verdict(FREE_B) is Verdict.LAST_RESORT
    assert decision.propensities[FREE_B] == 1
    only_viable = decide(PLAN, asking(regions=("us",), min_context=9000), views(**everyone), 1)
    assert only_viable.order == (LARGE_B,)
    assert only_viable.verdict(FREE_B) is Verdict.CONTEXT_TOO_SMALL


def test_of_those_that_recover_at_the_same_time_the_strategy_picks() -> None:
    tied = views(c0=5.0, c1=5.0, c2=5.0, c3=5.0, c4=7.0, c5=7.0)
    firsts = Counter(decide(PLAN, facts(), tied, seed).order for seed in range(4000))
    shares = decide(PLAN, facts(), tied, 1).propensities
    assert shares == pytest.approx((0.375, 0.375, 0.25, 0, 0, 0))
    for index, share in enumerate(shares):
        assert firsts[(index,)] / 4000 == pytest.approx(share, abs=0.03)


def test_a_rate_without_room_and_a_slow_candidate_are_not_viable() -> None:
    told = (View(rate_wait_s=4.0), View(latency_ms=900), View(latency_ms=100), View(), View(rate_wait_s=2.0), View())
    decision = decide(PLAN, asking(max_latency_ms=500), told, 1)
    assert [decision.verdict(index).value for index in range(6)] == [
        "rate_limited", "latency_over_constraint", "viable", "viable", "rate_limited", "viable",
    ]  # fmt: skip


BUSY = tuple(View(rate_wait_s=5.0 - index) for index in range(6))


@pytest.mark.parametrize(
    ("told", "health", "kind", "retry"),
    [
        (asking(regions=("mars",)), (), ErrorKind.POLICY_DENIED, None),
        (facts(profile="nobody"), (), ErrorKind.BAD_REQUEST, None),
        (asking(capabilities=("tools",), regions=("us",), max_cost_usd=0), (), ErrorKind.POLICY_DENIED, None),
        (asking(min_context=10**9), (), ErrorKind.POLICY_DENIED, None),
        (asking(regions=("us",)), BUSY, ErrorKind.RATE_LIMITED, 0.0),
    ],
)  # fmt: skip
def test_a_call_that_nobody_may_serve_is_told_why(
    told: Facts, health: tuple[View, ...], kind: ErrorKind, retry: float | None
) -> None:
    decision = decide(PLAN, told, health, 1)
    assert decision.order == ()
    assert sum(decision.propensities) == 0
    error = refusal(PLAN, decision).error
    assert (error.kind, error.retry_after_s) == (kind, retry)
    assert "acme/large" in error.message
    assert verify(PLAN.statics, encode_decision(decision)).ok


def test_an_unknown_price_under_a_budget_is_told_as_such() -> None:
    plan = plan_of(PROVIDERS, targets("acme/free"))
    error = refusal(plan, decide(plan, facts(budgeted=True), (), 1)).error
    assert error.kind is ErrorKind.OVER_BUDGET
    assert error.detail is not None
    assert error.detail["rule"] == "no_price_under_budget"


def test_one_well_candidate_takes_the_short_way_to_the_same_answer() -> None:
    plan = plan_of(PROVIDERS, targets("dark/large"), targets("home/qwen"))
    assert plan.single_order == (0, 1)
    short, long = decide(plan, facts(), (), 7), decide(plan, facts(), (View(), View()), 7)
    assert (short.order, short.propensities) == (long.order, long.propensities) == ((0, 1), (1.0, 0.0))


constraints = st.builds(
    Constraints,
    max_cost_usd=st.none() | st.sampled_from([0, "0.001", "0.0039", 1.5]),
    max_latency_ms=st.none() | st.floats(1, 1000),
    min_context=st.none() | st.sampled_from([1, 8000, 8001, 200_000]),
    regions=st.none() | st.lists(st.sampled_from(["us", "eu"]), max_size=2).map(tuple),
    classes=st.none() | st.lists(st.sampled_from(["local", "hosted"]), max_size=2).map(tuple),
    capabilities=st.none() | st.lists(st.sampled_from(["tools", "audio"]), max_size=2).map(tuple),
)
policies = st.builds(
    Policy,
    classes=st.none() | st.frozensets(st.sampled_from(["local", "hosted"])),
    regions=st.none() | st.frozensets(st.sampled_from(["us", "eu"])),
    providers=st.none() | st.frozensets(st.sampled_from(["acme", "home", "dark"])),
)
any_facts = st.builds(
    Facts,
    at_s=st.floats(0, 2e9),
    input_bound=st.integers(0, 10**6),
    output_bound=st.integers(0, 10**5),
    stream=st.booleans(),
    budgeted=st.booleans(),
    needs=st.frozensets(st.sampled_from(["tools", "images", "audio"])),
    constraints=st.none() | constraints,
    key_policy=st.none() | policies,
    profile=st.none() | st.sampled_from(["a", "b", "home/default", "nobody"]),
)
any_view = st.builds(
    View,
    target=st.sampled_from(BreakerState),
    credential=st.sampled_from(BreakerState),
    wait_s=st.none() | st.sampled_from([1.5, 3.0]) | st.floats(0.001, 100),
    rate_wait_s=st.none() | st.none() | st.floats(0.001, 100),
    latency_ms=st.none() | st.floats(0, 2000),
)
names = st.sampled_from(["acme/large", "acme/small", "acme/free", "home/qwen", "dark/small", "dark/large"])


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    wanted = [
        f"{name}*{draw(st.sampled_from([0, 1, 0.5, 20, 80]))}" for name in draw(st.lists(names, min_size=1, max_size=4))
    ]
    fallbacks = draw(st.lists(names, max_size=3))
    return plan_of(
        PROVIDERS,
        targets(*wanted),
        targets(*fallbacks),
        draw(st.sampled_from(Strategy)),
        draw(policies | st.just(Policy())),
    )


@st.composite
def decisions(draw: st.DrawFn) -> tuple[Plan, Decision]:
    plan = draw(plans())
    count = len(plan.candidates)
    health = draw(st.just(()) | st.lists(any_view, min_size=count, max_size=count).map(tuple))
    return plan, decide(plan, draw(any_facts), health, draw(st.integers(0, 2**53 - 1)))


@given(decisions())
def test_any_decision_is_made_again_from_its_record(made: tuple[Plan, Decision]) -> None:
    plan, decision = made
    record = encode_decision(decision)
    assert read_decision(record) == decision
    again = verify(plan.statics, record)
    assert again.ok, again.differences
    assert again.chosen == (plan.candidates[decision.order[0]].target_key if decision.order else None)


@given(decisions())
def test_an_order_holds_each_viable_candidate_once_and_fallbacks_after_targets(made: tuple[Plan, Decision]) -> None:
    plan, decision = made
    wanted = {Verdict.LAST_RESORT} if decision.last_resort else {Verdict.VIABLE}
    viable = [index for index in range(len(plan.candidates)) if decision.verdict(index) in wanted]
    assert sorted(decision.order) == viable
    tiers = [plan.candidates[index].tier for index in decision.order]
    assert tiers == sorted(tiers)
    for one, other in pairwise(decision.order):  # credentials of a target stay together
        if plan.candidates[one].target != plan.candidates[other].target:
            rest = decision.order[decision.order.index(other) :]
            assert all(plan.candidates[index].target != plan.candidates[one].target for index in rest)


@given(decisions())
def test_propensities_sum_to_one_and_the_chosen_had_one(made: tuple[Plan, Decision]) -> None:
    _, decision = made
    if decision.order:
        assert sum(decision.propensities) == pytest.approx(1)
        assert decision.propensities[decision.order[0]] > 0
    else:
        assert sum(decision.propensities) == 0


@given(plans(), any_facts, st.data())
def test_first_places_come_as_often_as_the_propensity_says(plan: Plan, told: Facts, data: st.DataObject) -> None:
    count = len(plan.candidates)
    health = data.draw(st.lists(st.just(View()) | any_view, min_size=count, max_size=count).map(tuple))
    seeds = range(400)
    made = [decide(plan, told, health, seed * 7919) for seed in seeds]
    if made[0].order:
        firsts = Counter(decision.order[0] for decision in made)
        for index, share in enumerate(made[0].propensities):
            assert firsts[index] / len(seeds) == pytest.approx(share, abs=0.13)  # five standard deviations


@given(decisions())
def test_a_budgeted_call_never_goes_where_the_price_is_not_known(made: tuple[Plan, Decision]) -> None:
    plan, decision = made
    if decision.facts.budgeted:
        assert all(decision.bounds[index] is not None for index in decision.order)
        assert all(plan.candidates[index].price_at(decision.facts.at_s) is not None for index in decision.order)
