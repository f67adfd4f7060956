"""Where a call may go: the whole list of candidates, decided on and put on record before anyone is called."""

from hashlib import blake2b

import msgspec

from waypost.conversation.faults import ErrorKind, Refused
from waypost.dialects.dialect import Glance
from waypost.gateway.answer import answer_headers
from waypost.gateway.call import Call, Course
from waypost.gateway.gateway import Gateway, Lane
from waypost.gateway.settlement import bound, reserve
from waypost.ledger.records import Accepted, Charge, Outcome
from waypost.routing.decision import decide, encode_decision
from waypost.routing.explain import refusal
from waypost.routing.facts import Facts
from waypost.routing.health import View, observe


def order(gateway: Gateway, call: Call, glance: Glance) -> Course:
    """Decides. Raises Refused where no candidate may serve the call, naming the rule."""
    options, caller = call.options, call.caller
    standing = gateway.standing(caller, glance.model, options.task or glance.task, call.dialect.name, call.service)
    found = call.found = standing.found
    plan = found.plan
    if found.misfit:
        gateway.log("task_misfit", task=found.task, route=found.route, call=call.id)
    if not call.counting:
        tags = call.tags
        call.allowances = gateway.budgets.match(caller.name, caller.team, tags) if tags else standing.allowances
    if glance.unpriced is not None and call.allowances:
        raise Refused(
            ErrorKind.OVER_BUDGET, f"A budget counts this call, and the price of {glance.unpriced} is not known."
        )
    clamp = bound(call, glance, standing)
    constraints = options.constraints
    facts = Facts(
        call.started_ns / 1e9,
        clamp.input_bound,
        clamp.output_bound,
        glance.stream,
        bool(call.allowances),
        glance.needs,
        constraints,
        standing.key_policy,
        options.profile,
    )
    now = call.exchange.received_at
    views: tuple[View, ...] = ()
    if options.api_key is not None:
        pass  # a caller's own key is not held back by how ours fare
    elif constraints is not None or not standing.single or not standing.healths[0].is_well:
        latency = constraints is not None and constraints.max_latency_ms is not None
        views = observe(standing.healths, now, latency=latency)
    session = options.session
    decision = decide(plan, facts, views, gateway.dice() if session is None else seed_of(session))
    timeouts = plan.settings.timeouts
    allowed_s = timeouts.total_s if options.timeout_s is None else min(options.timeout_s, timeouts.total_s)
    course = call.course = Course(glance, plan, decision, standing.lanes, clamp, timeouts, now + allowed_s)
    if not decision.order:
        raise refusal(plan, decision)
    if call.counting and not any(counts(call, lane) for lane in standing.lanes):
        raise Refused(
            ErrorKind.UNKNOWN_MODEL, f"No provider of {plan.name!r} counts tokens; the call itself tells them."
        )
    if options.api_key is not None and len({candidate.provider for candidate in plan.candidates}) > 1:
        raise Refused(
            ErrorKind.BAD_REQUEST,
            f"{plan.name!r} has more than one provider; a key of your own goes to one: ask for 'provider/model'.",
        )
    return course


def counts(call: Call, lane: Lane) -> bool:
    """Whether it counts tokens in the caller's own dialect: no other's count is worth translating."""
    return lane.counts_tokens and lane.dialect.name == call.dialect.name


def seed_of(session: str) -> int:
    """53 bits, the same ones for the same session, so that a conversation stays where it is."""
    return int.from_bytes(blake2b(session.encode("utf-8", "replace"), digest_size=8).digest()) >> 11


def accept(gateway: Gateway, call: Call, course: Course) -> Course:
    """Holds the money and writes the call's beginning: from here on it has a row, whatever happens.

    Raises Refused(OVER_BUDGET), JournalUnavailable. The course it returns has the output limit that was held for.
    """
    caller, found = call.caller, call.found
    reserved: tuple[Charge, ...] = ()
    if call.allowances:
        held, clamp = reserve(course, call.allowances, call.started_ns / 1e9)
        call.reservation = held
        reserved = held.charges(held.amount)
        if clamp is not course.clamp:
            course = call.course = msgspec.structs.replace(course, clamp=clamp)
    if course.plan.id not in gateway.planned:
        gateway.write_plan(course.plan)
    gateway.journal.accept(
        Accepted(
            call.id,
            call.started_ns,
            caller.name,
            caller.team,
            dict(call.tags) if call.tags else {},
            None if found is None else found.task,
            course.plan.route,
            gateway.config.revision,
            call.dialect.name,
            reserved,
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
