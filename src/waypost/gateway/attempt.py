"""One attempt at one candidate, and the loop over them: one deadline, one budget of attempts, no switch once committed.

An attempt either answers the caller or raises. What a fault means for the loop and for the breakers is for the fault
table to say (`routing/faults.py`), never for this file.
"""

from collections.abc import Awaitable
from itertools import chain

from msgspec import Struct

from waypost.conversation.faults import CallerError, ErrorKind, Fault, Refused, UpstreamFault
from waypost.dialects.dialect import Dialect
from waypost.gateway.answer import error_headers, fault_headers
from waypost.gateway.call import Call, Course
from waypost.gateway.embedding import answer_embedding, calls_needed, first_batch
from waypost.gateway.gateway import Gateway, Lane
from waypost.gateway.headers import passed_headers
from waypost.gateway.interfaces import Incoming
from waypost.gateway.order import counts
from waypost.gateway.passage import Passage, Relay, Translation
from waypost.gateway.refusal import ProviderRefusal, read_refusal
from waypost.gateway.streaming import stream_answer, without_secrets
from waypost.gateway.whole import answer_whole, request_for, speak_alike
from waypost.ledger.records import Attempt, Outcome
from waypost.routing.faults import consequence, worth_trying_after_overflow
from waypost.upstream.pool import DeadlinePassed


class Sent(Struct, frozen=True):
    """An attempt under way: when it was sent, in loop time, and what will have come of it."""

    at: float
    answer: Awaitable[Incoming]


async def attempt_all(gateway: Gateway, call: Call, course: Course, sent: Sent | None = None) -> None:
    """Tries the candidates in the decision's order. Raises Refused when none answered.

    `sent`: the first has been admitted, and sent the call.
    """
    order = course.decision.order
    overflowed: list[int] = []
    last: tuple[Lane, UpstreamFault] | None = None
    again: list[int] = []
    for index in chain(order, again):
        lane = course.lanes[index]
        if len(call.attempts) >= course.plan.settings.max_attempts:
            break
        if call.counting and not counts(call, lane):
            continue
        window = lane.candidate.context_window
        if overflowed and not worth_trying_after_overflow(window, max(overflowed)):
            continue
        own_key = call.options.api_key is not None
        if own_key and any(each.model == lane.candidate.model for each in call.attempts):
            continue  # another of our logins would be tried with the same key
        calls = 1 if call.embedding is None else calls_needed(call.embedding, lane)
        if (
            sent is None
            and not own_key
            and not lane.health.admit(gateway.clock.now(), last_resort=course.decision.last_resort, calls=calls)
        ):
            continue
        try:
            under_way, sent = sent, None
            await attempt(gateway, call, course, lane, under_way)
        except UpstreamFault as failure:
            last = (lane, failure)
            then = consequence(failure.fault.kind)
            if not then.try_next:
                break
            if then.larger_window:
                overflowed.append(window or 0)
            if then.retry_here and index == order[-1] and not again:
                again.append(index)
        else:
            return
    give_up(gateway, call, course, last)


async def attempt(gateway: Gateway, call: Call, course: Course, lane: Lane, sent: Sent | None = None) -> None:
    """Answers the caller from one candidate. Whatever happens, the attempt is noted and the breakers are told."""
    clock = gateway.clock
    started = clock.now() if sent is None else sent.at
    outcome, fault, status, first_byte_at = Outcome.CANCELLED, None, None, None
    call.lane = lane
    call.tries += 1
    try:
        if sent is None:
            outgoing = (
                request_for(call, course, lane)
                if call.embedding is None
                else first_batch(gateway, call, course, lane, call.embedding)
            )
            sent = Sent(clock.now(), gateway.upstream.send(outgoing))
        try:
            incoming = await sent.answer
        finally:
            first_byte_at = clock.now()
            call.provider_s += first_byte_at - sent.at
        try:
            status = incoming.status
            if status != 200:
                await read_refusal(call, lane, incoming)
            elif call.embedding is not None:
                await answer_embedding(gateway, call, course, lane, call.embedding, incoming)
            elif course.glance.stream:
                spoken, through = passage(call, course, lane)
                await stream_answer(call, incoming, spoken, through, course.timeouts, started, clock)
            else:
                await answer_whole(gateway, call, course, lane, incoming)
        finally:
            incoming.close()
        outcome, fault = call.outcome or Outcome.OK, call.fault
    except UpstreamFault as failure:
        failure.fault = without_secrets(call, failure.fault)
        call.said += (failure.fault.message,)
        outcome, fault = Outcome.FAILED, failure.fault
        raise
    except DeadlinePassed:
        outcome, fault = Outcome.FAILED, None
        raise Refused(ErrorKind.DEADLINE, "The call's deadline passed before a provider had answered.") from None
    except Refused:
        outcome = Outcome.REFUSED
        raise
    finally:
        note(gateway, call, lane, outcome, fault, status, started, first_byte_at)


def passage(call: Call, course: Course, lane: Lane) -> tuple[Dialect, Passage]:
    """What the provider's stream is spoken in, and how it gets to the caller.

    A relayed call took the caller's own query along, so its stream is of the form that the caller asked for.
    """
    asked = course.glance.asked_usage
    if speak_alike(lane.dialect, call.dialect):
        return call.dialect, Relay(call.dialect, hide_usage=not asked)
    created = call.started_ns // 1_000_000_000
    return lane.dialect, Translation(lane.dialect, call.dialect, lane.candidate.model, asked, call.id, created)


def note(
    gateway: Gateway,
    call: Call,
    lane: Lane,
    outcome: Outcome,
    fault: Fault | None,
    status: int | None,
    started: float,
    first_byte_at: float | None,
) -> None:
    """Adds the attempt to the call's record and tells the breakers what they may know."""
    now = gateway.clock.now()
    if call.options.api_key is not None:
        pass  # it asked no breaker and took no probe: what a caller's own key meets is nobody else's
    elif call.counting:
        lane.health.abandon(now)  # what an endpoint for counting does says nothing about the model
    elif fault is not None:
        lane.health.failed(fault, now, gateway.dice() / (1 << 53))
    elif outcome is Outcome.OK:
        lane.health.succeeded(now, (now - started) * 1e3)
    else:
        lane.health.abandon(now)
    candidate = lane.candidate
    call.attempts += (
        Attempt(
            candidate.provider,
            candidate.model,
            candidate.credential,
            outcome,
            None if fault is None else fault.kind.value,
            status,
            None if status is None or first_byte_at is None else int((first_byte_at - started) * 1e6),
            int((now - started) * 1e6),
        ),
    )


def give_up(gateway: Gateway, call: Call, course: Course, last: tuple[Lane, UpstreamFault] | None) -> None:
    """No candidate answered. Passes on what the caller must mend; else raises `upstream_failed` with every attempt."""
    if last is not None:
        lane, failure = last
        then = consequence(failure.fault.kind)
        if not then.try_next or then.larger_window:
            call.fault = failure.fault
            pass_on(gateway, call, lane, failure)
            return
    call.fault = None if last is None else last[1].fault
    now = gateway.clock.now()
    waits = [wait for each in course.lanes if (wait := each.health.view(now).wait_s) is not None]
    soonest = min(waits) if waits and len(waits) == len(course.lanes) else None
    told = list(zip(call.attempts, call.said, strict=False))
    tried = "; ".join(f"{each.provider}/{each.model} ({each.error or each.outcome}): {said}" for each, said in told)
    raise Refused(
        ErrorKind.UPSTREAM_FAILED,
        f"Every candidate failed: {tried}"
        if tried
        else "Every candidate is resting after failures, or has no room at its rate limit; none was called.",
        retry_after_s=soonest,
        detail={
            "attempts": [
                {
                    "provider": each.provider,
                    "model": each.model,
                    "profile": each.profile,
                    "error": each.error or each.outcome.value,
                    "status": each.status,
                    "message": said,
                }
                for each, said in told
            ],
            "retry_after_s": soonest,
        },
    )


def pass_on(gateway: Gateway, call: Call, lane: Lane, failure: UpstreamFault) -> None:
    """A provider's refusal that the caller must mend: as it came in its own protocol, else translated."""
    fault = failure.fault
    status = fault.status if fault.status is not None and 400 <= fault.status < 500 else 400
    error = CallerError(kind=ErrorKind.BAD_REQUEST, message=fault.message, status=status, cause=fault)
    call.outcome, call.error, call.status = Outcome.FAILED, error.kind, status
    headers = error_headers(call, error, gateway.clock.now())
    headers.append(("content-type", "application/json"))
    if isinstance(failure, ProviderRefusal) and speak_alike(lane.dialect, call.dialect) and failure.body:
        headers.extend(passed_headers(failure.headers))
        call.exchange.respond(status, headers, failure.body)
    else:
        headers.extend(fault_headers(call.dialect, error))
        call.exchange.respond(status, headers, call.dialect.write_fault(error))
