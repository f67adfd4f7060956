"""Money of a call: a safe upper bound held before it is sent, the actual cost settled when it ended. Nano-dollars.

docs/decisions/0005 says what is charged when the provider does not say.
"""

import msgspec

from waypost.conversation.faults import ErrorKind, Refused
from waypost.conversation.reply import Usage
from waypost.dialects.dialect import Glance
from waypost.gateway.call import Call, Clamp, Course, Lost, Standing
from waypost.gateway.gateway import Gateway, Lane
from waypost.gateway.passage import BYTES_A_TOKEN
from waypost.governance.allowances import Allowance, Denied, Reservation, affordable, reserve_all
from waypost.governance.money import dollars
from waypost.governance.pricing import Price, cost, output_within, upper_bound
from waypost.ledger.records import Outcome

LEAST_OUTPUT = 1024  # a limit set on the caller's behalf never goes below this: 402 is clearer than a stump
SHARE = 16  # such a call may hold a sixteenth of what a budget has left, so that others fit beside it
_AROUND_TOOLS = 1024  # tokens that providers add around tool definitions
_AROUND_TEXT = 256  # … and around everything else
UNKNOWN_WINDOW = 1_000_000  # input that bytes don't bound (media by URL) is bounded by the context window


def around(needs: frozenset[str]) -> int:
    """Tokens that a provider may read beyond a body's bytes, for a call that needs these capabilities."""
    return _AROUND_TOOLS if "tools" in needs else _AROUND_TEXT


def bound(call: Call, glance: Glance, standing: Standing) -> Clamp:
    """The most that the call can read and write, in tokens, over all candidates of the plan."""
    size = len(call.body) + around(glance.needs)
    if glance.unbounded_input:
        windows = [lane.candidate.context_window or UNKNOWN_WINDOW for lane in standing.lanes]
        size = max(size, *windows)
    if call.counting:
        return Clamp(0, 0)
    ceiling = standing.found.plan.settings.max_output_tokens
    asked = glance.max_output
    if asked is not None and (ceiling is None or asked <= ceiling):
        return Clamp(size, asked * glance.choices)
    if ceiling is not None:
        return Clamp(size, ceiling * glance.choices, ceiling)
    return Clamp(size, standing.default_output * glance.choices)


def reserve(course: Course, allowances: tuple[Allowance, ...], at_s: float) -> tuple[Reservation, Clamp]:
    """Holds the dearest candidate's upper bound. Raises Refused(OVER_BUDGET) when it does not fit.

    A call without an output limit of its own gets one here, so that what is held is a bound and not a guess.
    """
    glance, clamp, decision = course.glance, course.clamp, course.decision
    if glance.max_output is not None or clamp.max_output is not None:
        amount = max([decision.bounds[index] or 0 for index in decision.order])
    else:
        served = [course.lanes[index].candidate.price_at(at_s) for index in decision.order]
        prices = [price for price in served if price is not None]
        clamp = limited(glance, clamp, prices, affordable(allowances, at_s) or 0)
        amount = max(upper_bound(price, clamp.input_bound, clamp.output_bound) for price in prices)
    held = reserve_all(allowances, amount, at_s)
    if isinstance(held, Denied):
        raise over_budget(held, amount, at_s)
    return held, clamp


def limited(glance: Glance, clamp: Clamp, prices: list[Price], room: int) -> Clamp:
    """The same bounds with a limit on output set for the caller: less than the default only when money is short."""
    wanted = clamp.output_bound // glance.choices
    share = max(room // SHARE, 0)
    for price in prices:
        fits = output_within(price, clamp.input_bound, share)
        if fits is not None:
            wanted = min(wanted, max(LEAST_OUTPUT, fits // glance.choices))
    return Clamp(clamp.input_bound, wanted * glance.choices, wanted)


def over_budget(denied: Denied, amount: int, now_s: float) -> Refused:
    left = max(0, denied.limit - denied.spent - denied.reserved)
    resets = None if denied.resets_at is None else round(max(0.0, denied.resets_at - now_s), 3)
    return Refused(
        ErrorKind.OVER_BUDGET,
        f"Budget {denied.name!r} has ${dollars(left)} left of ${dollars(denied.limit)}, and this call may cost up to "
        f"${dollars(amount)}. Lower its output limit, or wait for the budget's reset, or raise it.",
        detail={
            "budget": denied.name,
            "limit_usd": dollars(denied.limit),
            "spent_usd": dollars(denied.spent),
            "reserved_usd": dollars(denied.reserved),
            "needed_usd": dollars(amount),
            "resets_in_s": resets,
        },
    )


def settle(gateway: Gateway, call: Call) -> None:
    """Turns what was used into what it cost, and the reservation into a charge. To be called once."""
    call.settled = True
    if call.counting:
        call.cost = 0 if call.outcome is Outcome.OK else None
        return
    usage, lane = call.usage, call.lane
    if call.committed and (
        usage is None or call.outcome is not Outcome.OK or usage.input is None or usage.output is None
    ):
        usage = call.usage = estimate(call, usage)
        call.estimated = True
    course = call.course
    if lane is not None and course is not None and course.glance.unpriced is None:
        price = call.price = lane.candidate.price_at(call.started_ns / 1e9)
        if price is not None and usage is not None:
            call.cost = cost(price, usage)
    if call.lost is not None:
        add_lost(call, call.lost)
    if call.reservation is not None:
        charge(gateway, call, call.reservation)


def add_lost(call: Call, lost: Lost) -> None:
    """What attempts that failed had used is part of what the call used and cost; where nobody answered, all of it."""
    used = call.usage or Usage(input=0, output=0)
    call.usage = msgspec.structs.replace(used, input=(used.input or 0) + lost.tokens)
    answered = call.cost if call.committed else 0
    call.cost = None if answered is None or lost.cost is None else answered + lost.cost


def note_lost(call: Call, lane: Lane, tokens: int) -> None:
    """An attempt at this candidate fails although it answered, if not for the whole of the call."""
    lost = call.lost = call.lost or Lost()
    price = lane.candidate.price_at(call.started_ns / 1e9)
    price_paid = None if price is None else cost(price, Usage(input=tokens, output=0))
    lost.tokens += tokens
    lost.cost = None if lost.cost is None or price_paid is None else lost.cost + price_paid


def hold_lost(gateway: Gateway, call: Call) -> None:
    """Holds what failed attempts cost beside the call's bound, which is for the next. Raises Refused(OVER_BUDGET)."""
    held, lost = call.reservation, call.lost
    if held is None or lost is None or lost.cost is None:
        return
    at_s, more = gateway.clock.wall_ns() / 1e9, lost.cost - lost.held
    denied = held.extend(more, at_s)
    if denied is not None:
        raise over_budget(denied, more, at_s)
    lost.held = lost.cost


def charge(gateway: Gateway, call: Call, held: Reservation) -> None:
    """Charges the budgets. What a provider reports beyond the safe bound is charged as far as the limits allow."""
    now_s = gateway.clock.wall_ns() / 1e9
    owed = call.cost or 0
    if owed > held.amount:
        if call.estimated:
            owed = call.cost = held.amount
        else:
            gateway.tally.overshoots += 1
            gateway.log("budget_overshoot", call=call.id, reserved_nano=held.amount, cost_nano=owed)
            owed = min(owed, held.amount + held.room(now_s))
    if owed:
        call.charges = held.charges(owed)
    held.settle(owed, now_s)


def estimate(call: Call, told: Usage | None) -> Usage:
    """For content whose usage the provider did not tell, or not to the end: at least what was seen to pass."""
    read = len(call.body) // BYTES_A_TOKEN + 1
    if told is None:
        return Usage(input=read, output=call.seen_output)
    return Usage(
        input=read if told.input is None else told.input,
        cache_read=told.cache_read,
        cache_write=told.cache_write,
        output=max(told.output or 0, call.seen_output),
        reasoning=told.reasoning,
        cache_write_1h=told.cache_write_1h,
    )
