"""Calls that go on from an earlier answer, where that is kept here because its provider keeps none.

Knows when to keep and when to look; how such bodies look is the dialect's, where answers are kept is the store's.
"""

import asyncio

from waypost.config.model import StoredResponses
from waypost.conversation.faults import ErrorKind, Refused
from waypost.dialects.dialect import Glance, Memory
from waypost.gateway.call import Call, Course
from waypost.gateway.gateway import Gateway
from waypost.ledger.responses import ResponsesUnavailable, StoredResponse, new_token


async def go_on(gateway: Gateway, call: Call, glance: Glance) -> Glance:
    """The glance of the call with all that was said before; as it is where a provider is to know the earlier answer.

    Raises Refused where nobody can: BAD_REQUEST, or UNAVAILABLE while the store can't be read.
    """
    previous, memory = glance.previous, call.dialect.memory
    if previous is None or memory is None:
        return glance
    standing = gateway.standing(call.caller, glance.model, call.options.task or glance.task, call.dialect.name)
    kept = standing.found.plan.settings.store_responses is not None and gateway.responses is not None
    if not previous.startswith(memory.prefix):
        if kept and not any(lane.dialect.name == call.dialect.name for lane in standing.lanes):
            raise not_found(memory, previous)
        return glance
    if not kept:
        raise Refused(
            ErrorKind.BAD_REQUEST,
            f"{standing.found.plan.name!r} does not go on from responses that are stored here (`store_responses` of a "
            "route). Ask the route that answered, or send the whole conversation.",
            code=memory.not_found,
        )
    earlier = await look_up(gateway, previous, call.caller.name)
    if earlier is None:
        raise not_found(memory, previous)
    call.earlier = earlier
    call.continued = memory.continued(call.exchange.body, earlier.input, earlier.response, False)
    return call.dialect.glance(call.continued)


async def look_up(gateway: Gateway, id_: str, owner: str | None) -> StoredResponse | None:
    """Off the event loop, which a slow disk must not stop. Raises Refused(UNAVAILABLE)."""
    if gateway.responses is None:
        return None
    try:
        return await asyncio.to_thread(gateway.responses.find, id_, owner)
    except ResponsesUnavailable as failure:
        raise unreadable(gateway, failure) from None


def unreadable(gateway: Gateway, failure: ResponsesUnavailable) -> Refused:
    gateway.log("responses_unavailable", problem=str(failure))
    return Refused(
        ErrorKind.UNAVAILABLE,
        "The stored responses can't be read now. Try again, or send the whole conversation.",
        retry_after_s=1.0,
    )


def not_found(memory: Memory, id_: str) -> Refused:
    """The same for what never was, what has expired and what is another key's: which of them is nobody's business."""
    return Refused(
        ErrorKind.BAD_REQUEST,
        f"Previous response with id {id_[:100]!r} not found: none by this id is stored here for this key, or no "
        "longer. Send the whole conversation in `input`.",
        code=memory.not_found,
    )


def keep_answer(gateway: Gateway, call: Call, course: Course) -> None:
    """Has the call's answer kept, if a provider of another protocol gives it and the caller does not forbid it."""
    settings, memory, responses = course.plan.settings.store_responses, call.dialect.memory, gateway.responses
    if settings is None or memory is None or responses is None or not memory.wanted(call.body):
        return
    identity = memory.prefix + new_token()

    def keep(answer: bytes) -> bool:
        stored = to_store(gateway, call, settings, identity, memory.said(call.body), answer)
        if stored.size > settings.max_bytes:
            gateway.log("response_not_stored", call=call.id, bytes=stored.size, most=settings.max_bytes)
            return False
        responses.keep(stored)
        return True

    previous = None if call.earlier is None else call.earlier.id
    call.dialect = memory.keeping(call.dialect, identity, previous, keep)


def to_store(
    gateway: Gateway, call: Call, settings: StoredResponses, identity: str, said: bytes, answer: bytes
) -> StoredResponse:
    now_s = gateway.clock.wall_ns() / 1e9
    return StoredResponse(
        id=identity,
        owner=call.caller.name,
        team=call.caller.team,
        created_s=now_s,
        expires_s=now_s + settings.expire_s,
        input=said,
        response=answer,
    )


def body_at_home(call: Call) -> bytes:
    """What a provider of the caller's own protocol is asked."""
    earlier, memory = call.earlier, call.dialect.memory
    if earlier is None or memory is None:
        return call.exchange.body
    return memory.continued(call.exchange.body, earlier.input, earlier.response, True)
