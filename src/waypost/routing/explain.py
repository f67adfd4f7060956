"""Reads recorded decisions: makes one again to see that it comes out the same, and tells it to a person.

Works from the plan's record and the decision's record alone; asks no running part of the gateway.
"""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from waypost.config.model import Strategy
from waypost.conversation.faults import ErrorKind, Refused
from waypost.governance.money import dollars
from waypost.governance.policy import Author
from waypost.routing.breaker import BreakerState
from waypost.routing.candidates import Candidate, Plan, restore_plan
from waypost.routing.decision import Decision, Verdict, decide_with, denial_of, read_decision

_WORDS: MappingProxyType[Verdict, str] = MappingProxyType(
    {
        Verdict.VIABLE: "viable",
        Verdict.LAST_RESORT: "its breaker is open, but nobody else was left: tried as a probe",
        Verdict.BREAKER_OPEN: "its breaker is open",
        Verdict.RATE_LIMITED: "its provider's rate_limit has no room",
        Verdict.POLICY_CLASS: "its class is not allowed",
        Verdict.POLICY_REGION: "its region is not allowed",
        Verdict.POLICY_PROVIDER: "its provider is not allowed",
        Verdict.PROFILE_NOT_ASKED: "the call is pinned to another profile",
        Verdict.CAPABILITY_MISSING: "it lacks a capability that the call needs",
        Verdict.CONTEXT_TOO_SMALL: "its context window is too small, or not known",
        Verdict.LATENCY_OVER_CONSTRAINT: "it has been slower than the call allows",
        Verdict.NO_PRICE_UNDER_BUDGET: "its price is not known, and a budget counts this call",
        Verdict.PRICE_OVER_CONSTRAINT: "it could cost more than the call allows",
    }
)
_AUTHORS: MappingProxyType[Author, str] = MappingProxyType(
    {Author.OPERATOR: "the policy", Author.KEY: "the key's policy", Author.CALLER: "the call's own constraints"}
)
_REFUSALS: MappingProxyType[Verdict, ErrorKind] = MappingProxyType(
    {
        Verdict.RATE_LIMITED: ErrorKind.RATE_LIMITED,
        Verdict.NO_PRICE_UNDER_BUDGET: ErrorKind.OVER_BUDGET,
        Verdict.CAPABILITY_MISSING: ErrorKind.BAD_REQUEST,
        Verdict.PROFILE_NOT_ASKED: ErrorKind.BAD_REQUEST,
    }
)
_SERIOUSNESS = {verdict: place for place, verdict in enumerate(Verdict)}


class Verified(Struct, frozen=True):
    """`differences`: what came out otherwise, in words; none where `ok`. `chosen`: the first's `provider/model`."""

    ok: bool
    chosen: str | None
    recomputed: Decision
    differences: tuple[str, ...] = ()


def verify(statics: bytes, decision: bytes) -> Verified:
    """Makes a recorded decision again. Raises msgspec.ValidationError or DecodeError for what are not such records."""
    plan, recorded = restore_plan(statics), read_decision(decision)
    again = decide_with(plan, recorded.facts, recorded.views, recorded.seed, recorded.bounds)
    differences = tuple(
        f"{name}: recorded {before!r}, now {after!r}"
        for name, before, after in (
            ("plan", recorded.plan, again.plan),
            ("strategy", recorded.strategy, again.strategy),
            ("order", recorded.order, again.order),
            ("verdicts", _verdicts(plan, recorded), _verdicts(plan, again)),
            ("propensities", recorded.propensities, again.propensities),
            ("last resort", recorded.last_resort, again.last_resort),
        )
        if before != after
    )
    chosen = plan.candidates[again.order[0]].target_key if again.order else None
    return Verified(not differences, chosen, again, differences)


def refusal(plan: Plan, decision: Decision) -> Refused:
    """What a caller is told when `decision.order` is empty: each verdict, by the one that came nearest to a yes."""
    nearest = max(_verdicts(plan, decision), key=lambda verdict: _SERIOUSNESS[verdict])
    said = tuple(
        dict.fromkeys(f"{candidate.target_key}: {_reason(candidate, decision)}" for candidate in plan.candidates)
    )
    waits = [view.rate_wait_s for view in decision.views if view.rate_wait_s is not None]
    return Refused(
        _REFUSALS.get(nearest, ErrorKind.POLICY_DENIED),
        f"No candidate of {plan.name!r} may serve this call. {'; '.join(said)}.",
        retry_after_s=min(waits) if waits and nearest is Verdict.RATE_LIMITED else None,
        detail={"rule": nearest.value, "candidates": list(said)},
    )


def explain_text(statics: bytes, decision: bytes, row: Mapping[str, object]) -> str:
    """A decision for a person. `row` is the call's row as the contract shows it; members it lacks are left out."""
    plan, made = restore_plan(statics), read_decision(decision)
    lines = [
        f"call      {row.get('id', '')}",
        f"went to   {_route_text(plan, row)}",
        f"revision  {row.get('revision', '')}",
        f"strategy  {made.strategy.value}, seed {made.seed}",
        f"facts     {_facts_text(made)}",
        "",
        "candidates, in the order they were to be tried:",
    ]
    rest = [index for index in range(len(plan.candidates)) if index not in made.order]
    for place, index in enumerate((*made.order, *rest), 1):
        mark = f"{place:>3}." if index in made.order else "  - "
        lines.append(f"{mark} {_candidate_text(plan.candidates[index], made)}")
    if not made.order:
        lines.append("nobody could serve this call, and nothing was sent.")
    lines += ["", *_attempts_text(row)]
    return "\n".join(lines).rstrip() + "\n"


def _verdicts(plan: Plan, decision: Decision) -> tuple[Verdict, ...]:
    return decision.verdicts or (Verdict.VIABLE,) * len(plan.candidates)


def _route_text(plan: Plan, row: Mapping[str, object]) -> str:
    where = f"route {plan.route}" if plan.route is not None else f"{plan.name}, named directly"
    return f"{where} (task {row['task']})" if row.get("task") else where


def _facts_text(decision: Decision) -> str:
    facts = decision.facts
    told = [f"input at most {facts.input_bound} tokens", f"output at most {facts.output_bound}"]
    told += ["streamed"] if facts.stream else []
    told += ["under a budget"] if facts.budgeted else []
    told += [f"needs {', '.join(sorted(facts.needs))}"] if facts.needs else []
    told += [f"profile {facts.profile}"] if facts.profile else []
    if facts.constraints is not None:
        asked = {name: getattr(facts.constraints, name) for name in facts.constraints.__struct_fields__}
        told += [f"{name} {_value_text(value)}" for name, value in asked.items() if value is not None]
    return "; ".join(told)


def _value_text(value: object) -> str:
    return ", ".join(str(each) for each in value) if isinstance(value, tuple) else str(value)


def _candidate_text(candidate: Candidate, decision: Decision) -> str:
    share = decision.propensities[candidate.index]
    first = f", first with probability {share:.4g}" if decision.verdict(candidate.index) in _TRIED else ""
    bound = decision.bounds[candidate.index] if decision.bounds else None
    most = f", at most ${dollars(bound)}" if bound is not None else ""
    tier = f" (fallback {candidate.tier})" if candidate.tier else ""
    weight = f" weight {candidate.weight:g}" if decision.strategy is Strategy.WEIGHTED and not candidate.tier else ""
    name = f"{candidate.target_key} [{candidate.credential}]{tier}{weight}"
    verdict = decision.verdict(candidate.index)
    why = "" if verdict is Verdict.VIABLE else f" - {_reason(candidate, decision)}"
    return f"{name}: {verdict.value}{why}{first}{most}"


_TRIED = frozenset({Verdict.VIABLE, Verdict.LAST_RESORT})


def _reason(candidate: Candidate, decision: Decision) -> str:
    verdict = decision.verdict(candidate.index)
    words = _WORDS[verdict]
    denied = denial_of(candidate, decision.facts)
    if denied is not None:
        place = candidate.region or "unknown"
        found = {Verdict.POLICY_CLASS: candidate.provider_class, Verdict.POLICY_REGION: f"region {place}"}
        told = found.get(verdict, f"provider {candidate.provider}")
        return f"{words} by {_AUTHORS[denied.author]} ({told})"
    view = decision.views[candidate.index] if decision.views else None
    if verdict is Verdict.BREAKER_OPEN and view is not None and view.wait_s is not None:
        states = {"target": view.target, "credential": view.credential, "pair": view.pair}
        whose = ", ".join(name for name, state in states.items() if state is not BreakerState.CLOSED)
        return f"{words} ({whose}) for another {view.wait_s:.1f} s"
    return words


def _attempts_text(row: Mapping[str, object]) -> list[str]:
    attempts = row.get("attempts")
    lines = ["attempts:"] if attempts else ["no provider was called."]
    for each in attempts if isinstance(attempts, list | tuple) else ():
        error = f" ({each['error']})" if each.get("error") else ""
        took = f" in {each['total_ms']} ms" if each.get("total_ms") is not None else ""
        lines.append(
            f"  {each.get('provider')}/{each.get('model')} [{each.get('profile')}]: {each.get('outcome')}{error}{took}"
        )
    if row.get("outcome"):
        lines.append(f"outcome   {row['outcome']}")
    return lines
