"""One call's walk through the house, in reading order: admit, recall, order, attempt, answer, record.

There is nothing to recall yet: a cache will answer between `admit` and `order`, and skip the provider and nothing else.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from waypost.conversation.faults import CallerError, ErrorKind, Refused
from waypost.dialects.dialect import Dialect, Glance
from waypost.gateway.admit import admit
from waypost.gateway.answer import error_headers, fault_headers
from waypost.gateway.attempt import Sent, attempt_all
from waypost.gateway.call import Address, Call, Course, Embedding
from waypost.gateway.gateway import Gateway
from waypost.gateway.memory import go_on, keep_answer
from waypost.gateway.order import accept, answer_dry_run, order
from waypost.gateway.record import record
from waypost.ledger.errors import JournalUnavailable
from waypost.ledger.records import Outcome
from waypost.wire.exchange import Exchange


async def walk(
    gateway: Gateway,
    exchange: Exchange,
    dialect: Dialect,
    glance: Glance | None = None,
    *,
    address: Address | None = None,
    identity: str | None = None,
    counting: bool = False,
    embedding: bool = False,
) -> None:
    """Answers one call. Every call that gets past the door leaves exactly one row.

    `glance`: the body's, if known. `address`: what the path says of the call. `identity`: its id, if it has one
    already.
    """
    started_ns = gateway.clock.wall_ns()
    identity = identity or call_id(started_ns, gateway.dice())
    embeds = Embedding() if embedding else None
    call = Call(exchange, dialect, identity, started_ns, counting=counting, address=address, embedding=embeds)
    gateway.calls[call.id] = call
    await see_through(gateway, call, steps(gateway, call, glance))


async def resume(gateway: Gateway, call: Call, course: Course, sent: Sent | None) -> None:
    """The rest of a walk that has come as far as its first attempt: on record, and `sent` if that is under way."""
    await see_through(gateway, call, attempt_all(gateway, call, course, sent))


async def steps(gateway: Gateway, call: Call, glance: Glance | None) -> None:
    glance = admit(gateway, call, glance)
    if glance.previous is not None:
        glance = await go_on(gateway, call, glance)
    course = order(gateway, call, glance)
    if call.options.dry_run:
        answer_dry_run(gateway, call, course)
        return
    course = accept(gateway, call, course)
    if course.plan.settings.store_responses is not None:
        keep_answer(gateway, call, course)
    await attempt_all(gateway, call, course)


async def see_through(gateway: Gateway, call: Call, steps: Coroutine[Any, Any, None]) -> None:
    """Whatever comes of the steps, the call is answered and recorded."""
    try:
        await steps
    except Refused as refusal:
        refuse(gateway, call, refusal.error)
    except JournalUnavailable as failure:
        gateway.log("journal_unavailable", call=call.id, problem=str(failure))
        refuse(gateway, call, UNAVAILABLE)
    except (asyncio.CancelledError, ConnectionAbortedError):
        call.outcome = Outcome.CANCELLED
        raise
    except Exception:
        call.outcome, call.error, call.status = Outcome.FAILED, ErrorKind.INTERNAL, 500
        raise
    finally:
        del gateway.calls[call.id]
        record(gateway, call)


UNAVAILABLE = CallerError(
    kind=ErrorKind.UNAVAILABLE,
    message="The journal can't be written, so no call is accepted: none may go unrecorded.",
    status=503,
    retry_after_s=5.0,
)


def call_id(started_ns: int, chance: int) -> str:
    """Ordered by time: Unix milliseconds, then 53 random bits."""
    return f"call_{started_ns // 1_000_000:012x}{chance:014x}"


def refuse(gateway: Gateway, call: Call, error: CallerError) -> None:
    """Answers with a typed error. Only before content: after it, streams end with an error event of their own."""
    call.outcome = Outcome.REFUSED if not call.attempts else Outcome.FAILED
    call.error, call.status = error.kind, error.status
    headers = error_headers(call, error, gateway.clock.now())
    headers.append(("content-type", "application/json"))
    headers.extend(fault_headers(call.dialect, error))
    body = call.dialect.write_fault(error)
    if not call.accepted:
        # No entry tells of this call yet, and whoever reads its id in an answer may look for its row.
        record(gateway, call)
        call.unrecorded = True
    call.exchange.respond(error.status, headers, body)
