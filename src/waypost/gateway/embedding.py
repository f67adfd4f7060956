"""Embeddings: a call like any other, but that an attempt may ask for its inputs in batches and joins what they give.

The first batch goes out as every call does; the others follow it, a few at a time. One that fails fails the attempt:
vectors of two models never mix. Forms and protocols are known to `dialects/embeddings`.
"""

import asyncio
from collections.abc import Mapping

import msgspec

from waypost.conversation.faults import ErrorKind
from waypost.dialects.dialect import Glance
from waypost.dialects.embeddings import form, openai
from waypost.dialects.embeddings.embedder import Batch, Embedder, joined
from waypost.dialects.embeddings.embedder import Outgoing as Asked
from waypost.dialects.embeddings.vectors import encoded
from waypost.gateway.call import Call, Course, Embedding
from waypost.gateway.gateway import Gateway, Lane, Service
from waypost.gateway.interfaces import Incoming
from waypost.gateway.passage import BYTES_A_TOKEN
from waypost.gateway.refusal import read_refusal
from waypost.gateway.settlement import hold_lost, note_lost
from waypost.gateway.whole import (
    MOST_REPLY_BYTES,
    edited_body,
    outgoing,
    own_line,
    read_whole,
    require_json,
    respond,
    tell_dropped,
)
from waypost.upstream.pool import Outgoing

MOST_AT_ONCE = 8  # batches of one call, beside which others want to be served too

OF_TEXTS = Service(
    lambda lane: lane.embedder is not None, ErrorKind.UNKNOWN_MODEL, "No provider of {name!r} is known to embed."
)
OF_TOKENS = Service(
    lambda lane: (embedder := lane.embedder) is not None and embedder.takes_tokens,
    ErrorKind.BAD_REQUEST,
    "`input`: no provider of {name!r} takes token ids; send texts.",
)


def look_at(call: Call, embedding: Embedding) -> Glance:
    """Raises Refused(BAD_REQUEST), naming the field."""
    seen = form.glance(call.exchange.body)
    embedding.inputs = seen.inputs
    call.service = OF_TOKENS if seen.tokens else OF_TEXTS
    return seen.call


def calls_needed(embedding: Embedding, lane: Lane) -> int:
    """How many calls of its provider this candidate takes."""
    return max(1, -(-embedding.inputs // lane.batch))


def embedder_of(lane: Lane) -> Embedder:
    """Of a candidate that gives the service."""
    embedder = lane.embedder
    assert embedder is not None
    return embedder


def first_batch(gateway: Gateway, call: Call, course: Course, lane: Lane, embedding: Embedding) -> Outgoing:
    """All that this attempt is to send is worked out, and its first request given.

    Raises Refused for what can't be carried, and where the budgets have no room for another attempt.
    """
    hold_lost(gateway, call)
    call.line = lane.line if call.options.api_key is None else own_line(lane, call.options.api_key)
    embedder = embedder_of(lane)
    embedding.relayed = embedder.relays and embedding.inputs <= lane.batch
    if embedding.relayed:
        call.dropped = ()
        embedding.batches = (Asked(embedder.path, edited_body(call, course, lane), embedding.inputs),)
    else:
        if embedding.request is None:
            embedding.request = form.read_request(call.exchange.body)
        written = embedder.write(embedding.request, lane.candidate.model, lane.batch)
        tell_dropped(call, course, lane, written.dropped)
        embedding.batches = written.calls
    return request_for(call, course, lane, embedding.batches[0])


def request_for(call: Call, course: Course, lane: Lane, batch: Asked) -> Outgoing:
    return outgoing(call, course, lane, batch.path, batch.body, relayed=embedder_of(lane).relays)


async def answer_embedding(
    gateway: Gateway, call: Call, course: Course, lane: Lane, embedding: Embedding, incoming: Incoming
) -> None:
    """`incoming` answers the first batch. Raises UpstreamFault and DeadlinePassed, as any batch may."""
    body = await read_whole(gateway, call, incoming)
    if embedding.relayed:
        call.usage = openai.glance_reply(body)
        respond(gateway, call, incoming, body)
        return
    batches, answers = embedding.batches, {}
    try:
        answers[0] = read_batch(embedding, lane, batches[0], incoming.headers, body)
        if len(batches) > 1:
            incoming.close()  # so that its connection serves the next batch
            await ask_for_rest(gateway, call, course, lane, embedding, answers)
        vectors, usage = joined([answers[index] for index in range(len(batches))])
        written = form.write_reply(vectors, usage, embedding.encoding, lane.candidate.model)
    except BaseException:
        for index, answer in answers.items():
            call.estimated = call.estimated or answer.tokens is None
            seen = len(batches[index].body) // BYTES_A_TOKEN + 1
            note_lost(call, lane, seen if answer.tokens is None else answer.tokens)
        raise
    call.usage = usage
    respond(gateway, call, incoming, written)


def read_batch(embedding: Embedding, lane: Lane, batch: Asked, headers: Mapping[str, str], body: bytes) -> Batch:
    """Its vectors as the caller wants them: each batch by itself, so that no large answer is worked on in one go."""
    answer, wanted = embedder_of(lane).read(batch, headers, body), embedding.encoding
    return msgspec.structs.replace(answer, vectors=tuple([encoded(each, wanted) for each in answer.vectors]))


async def ask_for_rest(
    gateway: Gateway, call: Call, course: Course, lane: Lane, embedding: Embedding, answers: dict[int, Batch]
) -> None:
    """Adds to `answers` what all batches but the first give. The first failure ends those under way and is raised."""
    batches = embedding.batches
    waiting = iter(range(1, len(batches)))

    async def ask_in_turn() -> None:
        for index in waiting:
            answers[index] = await ask(gateway, call, course, lane, embedding, batches[index])

    asked = gateway.clock.now()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(MOST_AT_ONCE, len(batches) - 1)):
                group.create_task(ask_in_turn())
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        call.provider_s += gateway.clock.now() - asked


async def ask(gateway: Gateway, call: Call, course: Course, lane: Lane, embedding: Embedding, batch: Asked) -> Batch:
    incoming = await gateway.upstream.send(request_for(call, course, lane, batch))
    try:
        if incoming.status != 200:
            await read_refusal(call, lane, incoming)
        require_json(incoming)
        body = await incoming.read(MOST_REPLY_BYTES)
        return read_batch(embedding, lane, batch, incoming.headers, body)
    finally:
        incoming.close()
