"""The decision: which candidates may serve a call, and in which order they are tried.

First every candidate gets a verdict on what is known of it and of the call; the strategy orders the viable ones (a
target's credentials shuffled, fallbacks after all targets); the breakers vote last. If they would leave nobody, the one
that recovers soonest is tried all the same. Pure: the same plan, facts, views and seed give the same decision, so one
that was recorded can be made again.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct

from waypost.config.model import Strategy
from waypost.conversation.faults import ErrorKind, Refused
from waypost.governance.money import nanodollars
from waypost.governance.policy import ALLOW_ALL, Author, Denial, constrained, denial
from waypost.governance.pricing import units_bound, upper_bound
from waypost.routing.candidates import Candidate, Plan, grouped
from waypost.routing.chance import uniform
from waypost.routing.facts import Facts
from waypost.routing.health import View
from waypost.routing.strategies import STRATEGIES

Groups = tuple[tuple[Candidate, ...], ...]

_CREDENTIALS_FROM = 1_000  # positions of the seed below this belong to the strategy


class Verdict(StrEnum):
    """What became of a candidate. In the order in which the questions are asked."""

    POLICY_CLASS = "policy_class"
    POLICY_REGION = "policy_region"
    POLICY_PROVIDER = "policy_provider"
    PROFILE_NOT_ASKED = "profile_not_asked"
    CAPABILITY_MISSING = "capability_missing"
    CONTEXT_TOO_SMALL = "context_too_small"
    LATENCY_OVER_CONSTRAINT = "latency_over_constraint"
    NO_PRICE_UNDER_BUDGET = "no_price_under_budget"
    PRICE_OVER_CONSTRAINT = "price_over_constraint"
    RATE_LIMITED = "rate_limited"
    BREAKER_OPEN = "breaker_open"
    LAST_RESORT = "last_resort"  # its breaker is open, but nobody else is left: tried as a probe
    VIABLE = "viable"


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`order`: indices into the plan's candidates, in the order to try them. Empty: nobody may serve this call.

    By candidate: `verdicts` (empty: all viable), `propensities` (the exact probability, over all seeds, of being
    first), `views` (empty: all well) and `bounds` (the most the call can cost there in nano-dollars, None: price not
    known; empty: nobody asked). `last_resort`: the only one in `order` is admitted as a probe even before its cooldown
    is over.
    """

    plan: str
    strategy: Strategy
    seed: int
    order: tuple[int, ...]
    propensities: tuple[float, ...]
    facts: Facts
    verdicts: tuple[Verdict, ...] = ()
    views: tuple[View, ...] = ()
    bounds: tuple[int | None, ...] = ()
    last_resort: bool = False

    def verdict(self, index: int) -> Verdict:
        return self.verdicts[index] if self.verdicts else Verdict.VIABLE


def decide(plan: Plan, facts: Facts, views: Sequence[View], seed: int) -> Decision:
    """`views`: each candidate's health, or nothing where all are well (`health.observe`). `seed`: any 53 random bits.

    Raises Refused(BAD_REQUEST) for a `max_cost_usd` that is not an amount.
    """
    constraints = facts.constraints
    asks_cost = facts.budgeted or (constraints is not None and constraints.max_cost_usd is not None)
    return decide_with(plan, facts, tuple(views), seed, bounds_of(plan, facts) if asks_cost else ())


def bounds_of(plan: Plan, facts: Facts) -> tuple[int | None, ...]:
    """The most that the call can cost at each candidate, in nano-dollars; None where the price is not known."""
    bounds: list[int | None] = []
    for candidate in plan.candidates:
        if (units := candidate.units) is not None:
            bounds.append(units_bound(units, facts.input_bound, facts.output_bound))
            continue
        price = None if candidate.prices is None else candidate.prices.at(facts.at_s)
        bounds.append(None if price is None else upper_bound(price, facts.input_bound, facts.output_bound))
    return tuple(bounds)


def decide_with(
    plan: Plan, facts: Facts, views: tuple[View, ...], seed: int, bounds: tuple[int | None, ...]
) -> Decision:
    """As `decide`, with the bounds given: what a recorded decision is made again by."""
    verdicts: tuple[Verdict, ...] = ()
    last_resort = False
    if _nothing_stands_out(plan, facts, views, bounds):
        if plan.single_order is not None:
            order, propensities = plan.single_order, _certain(len(plan.candidates))
        else:
            order = _arrange(plan, plan.groups, facts, seed)
            propensities = _propensities(plan, plan.groups, facts)
    else:
        judged = _judge_all(plan, facts, views, bounds)
        viable = [each for each, verdict in zip(plan.candidates, judged, strict=True) if verdict is Verdict.VIABLE]
        order = _arrange(plan, grouped(viable), facts, seed)
        if views:
            order, last_resort = _breakers_vote(order, views, judged)
        contenders = _contenders(viable, views, last_resort)
        propensities = _propensities(plan, grouped(contenders), facts)
        verdicts = tuple(judged)
    return Decision(
        plan=plan.id,
        strategy=plan.strategy,
        seed=seed,
        order=order,
        propensities=propensities,
        facts=facts,
        verdicts=verdicts,
        views=views,
        bounds=bounds,
        last_resort=last_resort,
    )


def _nothing_stands_out(plan: Plan, facts: Facts, views: tuple[View, ...], bounds: tuple[int | None, ...]) -> bool:
    """Whether all candidates are certainly viable: the common case, told without asking each of them."""
    return (
        not views
        and not plan.any_denied
        and facts.constraints is None
        and (facts.key_policy is None or facts.key_policy is ALLOW_ALL)
        and facts.profile is None
        and (not facts.needs or plan.capabilities is None or facts.needs <= plan.capabilities)
        and None not in bounds
    )


def _judge_all(plan: Plan, facts: Facts, views: tuple[View, ...], bounds: tuple[int | None, ...]) -> list[Verdict]:
    ceiling = _cost_ceiling(facts)
    return [
        _on_policy(candidate, facts)
        or _on_abilities(candidate, facts)
        or _on_cost(facts, ceiling, bounds[candidate.index] if bounds else None)
        or _on_load(facts, views[candidate.index] if views else None)
        or Verdict.VIABLE
        for candidate in plan.candidates
    ]


def denial_of(candidate: Candidate, facts: Facts) -> Denial | None:
    """The first rule that forbids a candidate: the operator's, the key's, the caller's."""
    if candidate.denied is not None:
        return candidate.denied
    kind, region = candidate.provider_class, candidate.region
    if facts.key_policy is not None:
        denied = denial(facts.key_policy, Author.KEY, kind, region, candidate.provider)
        if denied is not None:
            return denied
    return None if facts.constraints is None else constrained(facts.constraints, kind, region)


def _on_policy(candidate: Candidate, facts: Facts) -> Verdict | None:
    denied = denial_of(candidate, facts)
    if denied is not None:
        return Verdict(denied.rule.value)
    if facts.profile is not None and facts.profile not in (candidate.credential, candidate.credential_key):
        return Verdict.PROFILE_NOT_ASKED
    return None


def _on_abilities(candidate: Candidate, facts: Facts) -> Verdict | None:
    constraints = facts.constraints
    if candidate.capabilities is not None:
        asked = facts.needs
        if constraints is not None and constraints.capabilities is not None:
            asked = asked.union(constraints.capabilities)
        if not asked <= candidate.capabilities:
            return Verdict.CAPABILITY_MISSING
    if constraints is not None and constraints.min_context is not None:
        window = candidate.context_window
        if window is None or window < constraints.min_context:
            return Verdict.CONTEXT_TOO_SMALL
    return None


def _on_cost(facts: Facts, ceiling: int | None, bound: int | None) -> Verdict | None:
    if bound is None:
        if facts.budgeted:
            return Verdict.NO_PRICE_UNDER_BUDGET
        return None if ceiling is None else Verdict.PRICE_OVER_CONSTRAINT
    return Verdict.PRICE_OVER_CONSTRAINT if ceiling is not None and bound > ceiling else None


def _on_load(facts: Facts, view: View | None) -> Verdict | None:
    if view is None:
        return None
    slowest = None if facts.constraints is None else facts.constraints.max_latency_ms
    if slowest is not None and view.latency_ms is not None and view.latency_ms > slowest:
        return Verdict.LATENCY_OVER_CONSTRAINT
    return None if view.rate_wait_s is None else Verdict.RATE_LIMITED


def _cost_ceiling(facts: Facts) -> int | None:
    """The caller's `max_cost_usd` in nano-dollars."""
    told = None if facts.constraints is None else facts.constraints.max_cost_usd
    if told is None:
        return None
    try:
        return nanodollars(told)
    except ValueError as error:
        raise Refused(ErrorKind.BAD_REQUEST, f"waypost.constraints.max_cost_usd: {error}") from error


def _arrange(plan: Plan, groups: Groups, facts: Facts, seed: int) -> tuple[int, ...]:
    """The viable candidates, grouped by target, in the order to try them; breakers not asked yet."""
    if len(groups) > 1 and groups[1][0].tier == 0:
        groups = _by_strategy(plan, groups, facts, seed)
    order: list[int] = []
    for group in groups:
        if len(group) == 1:
            order.append(group[0].index)
        else:
            drawn = sorted((uniform(seed, _CREDENTIALS_FROM + each.index), each.index) for each in group)
            order += [index for _, index in drawn]
    return tuple(order)


def _by_strategy(plan: Plan, groups: Groups, facts: Facts, seed: int) -> Groups:
    """The targets as the strategy orders them, the fallbacks after them as they are."""
    first = {group[0].index: group for group in groups}
    targets = [group[0] for group in groups if group[0].tier == 0]
    ordered = STRATEGIES[plan.strategy].order(targets, facts, seed)
    return (*[first[candidate.index] for candidate in ordered], *groups[len(targets) :])


def _propensities(plan: Plan, contenders: Groups, facts: Facts) -> tuple[float, ...]:
    """By candidate, the probability of being first among the contenders. Sums to 1 unless there are none."""
    shares = [0.0] * len(plan.candidates)
    if not contenders:
        return tuple(shares)
    targets = [group[0] for group in contenders if group[0].tier == 0]
    by_target = STRATEGIES[plan.strategy].shares(targets, facts) if len(targets) > 1 else (1.0,)
    for group, share in zip(contenders, by_target, strict=False):
        for candidate in group:
            shares[candidate.index] = share / len(group)
    return tuple(shares)


def _breakers_vote(
    order: tuple[int, ...], views: tuple[View, ...], judged: list[Verdict]
) -> tuple[tuple[int, ...], bool]:
    """Leaves out whom a breaker holds back; if that is all, keeps the one that recovers soonest. Writes verdicts."""
    waiting = [(wait, place, index) for place, index in enumerate(order) if (wait := views[index].wait_s) is not None]
    for _, _, index in waiting:
        judged[index] = Verdict.BREAKER_OPEN
    if len(waiting) < len(order) or not waiting:
        return tuple(index for index in order if judged[index] is Verdict.VIABLE), False
    kept = min(waiting)[2]
    judged[kept] = Verdict.LAST_RESORT
    return (kept,), True


def _contenders(viable: list[Candidate], views: tuple[View, ...], last_resort: bool) -> list[Candidate]:
    """Who could have been first with another seed: those not held back, or all that recover soonest."""
    if not views:
        return viable
    if not last_resort:
        return [candidate for candidate in viable if views[candidate.index].wait_s is None]
    waits = [wait for candidate in viable if (wait := views[candidate.index].wait_s) is not None]
    soonest = min(waits)
    return [candidate for candidate in viable if views[candidate.index].wait_s == soonest]


def _certain(count: int) -> tuple[float, ...]:
    return (1.0,) if count == 1 else (1.0, *((0.0,) * (count - 1)))


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Decision)


def encode_decision(decision: Decision) -> bytes:
    """Compact JSON for the ledger: all that entered the decision but the plan, which has its own record."""
    return _ENCODER.encode(decision)


def read_decision(record: bytes) -> Decision:
    """Raises msgspec.ValidationError or DecodeError for what is no decision."""
    return _DECODER.decode(record)
