"""Where a call may go: the whole list of candidates, decided on and put on record before anyone is called."""

from dataclasses import replace
from hashlib import blake2b

import msgspec

from waypost.config.model import Policy
from waypost.conversation.faults import ErrorKind, Refused
from waypost.dialects.dialect import Glance
from waypost.gateway.answer import answer_headers
from waypost.gateway.call import Call, Course
from waypost.gateway.gateway import Gateway
from waypost.gateway.settlement import bound, reserve
from waypost.ledger.records import Accepted, Outcome
from waypost.routing.decision import decide, encode_decision
from waypost.routing.explain import refusal
from waypost.routing.facts import Facts
from waypost.routing.health import observe

NOTHING_NARROWED = Policy()


def order(gateway: Gateway, call: Call, glance: Glance) -> Course:
    """Decides. Raises Refused where no candidate may serve the call, naming the rule."""
    options, caller = call.options, call.caller
    found = gateway.tables.find(glance.model, options.task or glance.task)
    call.found = found
    if caller.routes is not None and found.plan.name not in caller.routes and glance.model not in caller.routes:
        raise Refused(ErrorKind.POLICY_DENIED, f"Key {caller.name!r} may not call {found.plan.name!r}.")
    if found.misfit:
        gateway.log("task_misfit", task=found.task, route=found.route, call=call.id)
    plan = found.plan
    lanes = gateway.lanes(plan)
    clamp = bound(call, glance, plan, lanes)
    at_s = call.started_ns / 1e9
    allowances = gateway.budgets.match(caller.name, caller.team, call.tags)
    constraints = options.constraints
    facts = Facts(
        at_s=at_s,
        input_bound=clamp.input_bound,
        output_bound=clamp.output_bound,
        stream=glance.stream,
        budgeted=bool(allowances) and not call.counting,
        needs=glance.needs,
        constraints=constraints,
        key_policy=None if caller.policy == NOTHING_NARROWED else caller.policy,
        profile=options.profile,
    )
    latency = constraints is not None and constraints.max_latency_ms is not None
    views = observe([lane.health for lane in lanes], gateway.clock.now(), latency=latency)
    decision = decide(plan, facts, views, seed(gateway, options.session))
    timeouts = plan.settings.timeouts
    allowed_s = timeouts.total_s if options.timeout_s is None else min(options.timeout_s, timeouts.total_s)
    course = Course(glance, plan, decision, lanes, clamp, timeouts, call.exchange.received_at + allowed_s)
    call.course = course
    if not decision.order:
        raise refusal(plan, decision)
    if options.api_key is not None and len({candidate.provider for candidate in plan.candidates}) > 1:
        raise Refused(
            ErrorKind.BAD_REQUEST,
            f"{plan.name!r} has more than one provider; a key of your own goes to one: ask for 'provider/model'.",
        )
    return course


def seed(gateway: Gateway, session: str | None) -> int:
    """53 random bits; the same ones for the same session, so that a conversation stays where it is."""
    if session is None:
        return gateway.dice()
    return int.from_bytes(blake2b(session.encode("utf-8", "replace"), digest_size=8).digest()) >> 11


def accept(gateway: Gateway, call: Call, course: Course) -> Course:
    """Holds the money and writes the call's beginning: from here on it has a row, whatever happens.

    Raises Refused(OVER_BUDGET), JournalUnavailable. The course it returns has the output limit that was held for.
    """
    caller, at_s = call.caller, call.started_ns / 1e9
    allowances = gateway.budgets.match(caller.name, caller.team, call.tags)
    if allowances and not call.counting:
        served = [course.lanes[index].candidate.price_at(at_s) for index in course.decision.order]
        prices = [price for price in served if price is not None]
        call.reservation, clamp = reserve(course, allowances, prices, at_s)
        if clamp is not course.clamp:
            course = call.course = replace(course, clamp=clamp)
    gateway.write_plan(course.plan)
    found = call.found
    gateway.journal.accept(
        Accepted(
            call.id,
            call.started_ns,
            caller.name,
            caller.team,
            dict(call.tags),
            None if found is None else found.task,
            None if found is None else found.route,
            gateway.config.revision,
            call.dialect.name,
            () if call.reservation is None else call.reservation.charges(call.reservation.amount),
        )
    )
    call.accepted = True
    if course.plan.settings.store_bodies:
        call.replied = []
    return course


def answer_dry_run(gateway: Gateway, call: Call, course: Course) -> None:
    """The decision, and nobody called. Leaves no row: nothing was asked of a provider."""
    call.unrecorded = True
    call.outcome = Outcome.OK
    decision = course.decision
    body = {
        "dry_run": True,
        "call_id": call.id,
        "order": [course.plan.candidates[index].target_key for index in decision.order],
        "decision": msgspec.Raw(encode_decision(decision)),
        "plan": msgspec.Raw(course.plan.statics),
    }
    headers = answer_headers(call, gateway.clock.now())
    headers.append(("content-type", "application/json"))
    call.exchange.respond(200, headers, msgspec.json.encode(body))
