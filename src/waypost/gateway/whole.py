"""Requests as a candidate's dialect wants them, and whole answers as the caller's dialect wants them."""

from collections.abc import Mapping

import msgspec

from waypost.config.model import DroppedParameters
from waypost.conversation.faults import ErrorKind, Fault, FaultKind, Refused, UpstreamFault
from waypost.conversation.reply import Usage
from waypost.conversation.request import Request
from waypost.dialects.dialect import Dialect, Edits, Shape
from waypost.gateway.answer import answer_headers, cost_header, told_headers
from waypost.gateway.call import Call, Course
from waypost.gateway.gateway import Gateway, Lane
from waypost.gateway.headers import media_type
from waypost.gateway.interfaces import Incoming
from waypost.gateway.keyring import without_keys
from waypost.gateway.memory import body_at_home
from waypost.gateway.passage import BYTES_A_TOKEN
from waypost.gateway.settlement import settle
from waypost.ledger.records import Outcome
from waypost.upstream.lines import Line
from waypost.upstream.pool import Outgoing

MOST_REPLY_BYTES = 256 * 1024 * 1024
# What a caller says to its provider in headers, and no one else: versions and betas of the protocol.
PASSED_REQUEST_HEADERS = ("anthropic-version", "anthropic-beta", "openai-beta")
# Whose account pays: the caller's to say only of a key of its own.
PASSED_WITH_OWN_KEY = ("openai-organization", "openai-project")
NO_STREAM_OPTIONS = "no_stream_options"  # the provider refuses the request for usage, and tells it unasked
VERSION = "anthropic-version"
ANTHROPIC_VERSION = (VERSION, "2023-06-01")

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def request_for(call: Call, course: Course, lane: Lane) -> Outgoing:
    """The call as this candidate is to get it. Raises Refused where the route rejects what can't be carried."""
    relayed = speak_alike(lane.dialect, call.dialect)
    body = edited_body(call, course, lane) if relayed else translated_body(call, course, lane)
    call.line = lane.line if call.options.api_key is None else own_line(lane, call.options.api_key)
    path = path_of(lane.dialect, streamed=course.glance.stream, counting=call.counting)
    return outgoing(call, course, lane, path, body, relayed=relayed)


def outgoing(call: Call, course: Course, lane: Lane, path: str, body: bytes, *, relayed: bool) -> Outgoing:
    """A request over `call.line`. `relayed`: in the caller's own protocol, so what it says beside its body goes too."""
    timeouts = course.timeouts
    return (call.line or lane.line).outgoing(
        path,
        lane.candidate.model,
        query_for(call, lane, relayed=relayed, streamed=course.glance.stream),
        request_headers(call.exchange.headers, lane, relayed, own_key=call.options.api_key is not None),
        body,
        connect_s=timeouts.connect_s,
        first_byte_s=timeouts.first_byte_s,
        stall_s=timeouts.stall_s,
        deadline=course.deadline,
    )


def query_for(call: Call, lane: Lane, *, relayed: bool, streamed: bool) -> str:
    """The caller's own where it is relayed. The form of a relayed stream is the one that the caller asked for."""
    form = (call.dialect if relayed else lane.dialect).stream_query if streamed else ""
    given = without_keys(call.exchange.query, call.dialect.passes) if relayed else ""
    return f"{given}&{form}" if given and form else given or form


def speak_alike(one: Dialect, other: Dialect) -> bool:
    """Whether bytes may pass as they are. By name: one protocol may have more than one form of stream."""
    return one.name == other.name


def path_of(dialect: Dialect, *, streamed: bool, counting: bool = False) -> str:
    """Where a provider is asked."""
    if counting and dialect.count_path is not None:
        return dialect.count_path
    return dialect.stream_path if streamed and dialect.stream_path is not None else dialect.path


def own_line(lane: Lane, key: str) -> Line:
    """The provider dialled with the caller's own key."""
    try:
        return lane.line.with_secret(key)
    except ValueError:
        raise Refused(ErrorKind.BAD_REQUEST, "waypost.api_key holds a character that no header can carry.") from None


def edited_body(call: Call, course: Course, lane: Lane) -> bytes:
    """The caller's own bytes, with the few members changed that must be."""
    glance = course.glance
    edits = Edits(
        model=lane.candidate.model,
        want_usage=glance.stream and not glance.asked_usage and NO_STREAM_OPTIONS not in lane.line.provider.quirks,
        max_output=output_limit(call, course, lane),
        max_output_field=lane.line.provider.max_output_field,
        remove_options=glance.options is not None,
        quirks=lane.line.provider.quirks,
        counting=call.counting,
    )
    return call.dialect.edit(body_at_home(call), glance, edits)


def output_limit(call: Call, course: Course, lane: Lane) -> int | None:
    """The limit that the body must be given, if any, in the provider's own field."""
    limit = course.clamp.max_output
    if limit is None and call.reservation is not None and knows_old_limit_only(lane):
        return course.glance.max_output
    return limit


def knows_old_limit_only(lane: Lane) -> bool:
    """Such a provider overlooks a caller's `max_completion_tokens`, and money was held for that limit."""
    return lane.line.provider.max_output_field == "max_tokens"


def translated_body(call: Call, course: Course, lane: Lane) -> bytes:
    if call.request is None:
        call.request = read_request(call)
        if call.dialect.memory is not None and course.plan.settings.store_responses is not None:
            call.request = msgspec.structs.replace(call.request, store=None)  # what is to be kept, is kept here
        if call.dialect.for_request is not None:
            call.dialect = call.dialect.for_request(call.dialect, call.request)
    written = lane.dialect.write_request(call.request, shape_of(lane, course.clamp.max_output))
    tell_dropped(call, course, lane, written.dropped)
    return written.body


def tell_dropped(call: Call, course: Course, lane: Lane, dropped: tuple[str, ...]) -> None:
    """What this candidate can't carry is told, or Refused, or neither, as the route says."""
    policy = course.plan.settings.dropped_parameters
    if dropped and policy is DroppedParameters.REJECT:
        names = ", ".join(dropped)
        raise Refused(
            ErrorKind.BAD_REQUEST,
            f"{lane.candidate.target_key} can't carry: {names}. Leave these out, or let the route warn.",
        )
    call.dropped = dropped if policy is DroppedParameters.WARN else ()


def read_request(call: Call) -> Request:
    """The neutral form of the call, with what its path says. Raises Refused."""
    request, address = call.dialect.read_request(call.body), call.address
    if says_nothing(request):
        raise Refused(ErrorKind.BAD_REQUEST, "The conversation is empty: say something that can be answered.")
    if address is None:
        return request
    model = request.model if address.model is None else address.model
    stream = request.stream if address.stream is None else address.stream
    return msgspec.structs.replace(request, model=model, stream=stream)


def says_nothing(request: Request) -> bool:
    """Relayed, a provider answers it as it likes; another one's protocol has no words for it."""
    return not any(turn.blocks for turn in request.turns)


def shape_of(lane: Lane, max_output: int | None) -> Shape:
    """What the candidate's dialect must know to write for it. `max_output`: the limit that is to be set, if any."""
    provider = lane.line.provider
    return Shape(
        model=lane.candidate.model,
        quirks=provider.quirks,
        max_output=max_output,
        max_output_field=provider.max_output_field,
        default_max_output=provider.default_max_output or 4096,
    )


def request_headers(
    given: Mapping[str, str], lane: Lane, relayed: bool, *, own_key: bool = False
) -> list[tuple[str, str]]:
    headers: list[tuple[str, str]] = []
    if relayed:
        names = PASSED_REQUEST_HEADERS + PASSED_WITH_OWN_KEY if own_key else PASSED_REQUEST_HEADERS
        headers = [(name, given[name]) for name in names if name in given]
    if lane.dialect.name == "anthropic":
        told = any(name == VERSION for name, _ in lane.line.provider.headers)
        if told:  # said with every call to it; said twice, it would be no version
            headers = [pair for pair in headers if pair[0] != VERSION]
        elif not any(name == VERSION for name, _ in headers):
            headers.append(ANTHROPIC_VERSION)
    return headers


async def answer_whole(gateway: Gateway, call: Call, course: Course, lane: Lane, incoming: Incoming) -> None:
    """Reads the whole answer, looks at it, and gives it to the caller. Raises UpstreamFault if it is none."""
    body = await read_whole(gateway, call, incoming)
    if call.counting:
        check_count(call.dialect, body)
    else:
        call.usage, body = looked_at(call.dialect, lane, body, call.id, call.started_ns)
    respond(gateway, call, incoming, body)


async def read_whole(gateway: Gateway, call: Call, incoming: Incoming) -> bytes:
    """Raises UpstreamFault, also for what does not call itself JSON."""
    asked = gateway.clock.now()
    try:
        body = await incoming.read(MOST_REPLY_BYTES)
    finally:
        call.provider_s += gateway.clock.now() - asked
    require_json(incoming)
    return body


def looked_at(dialect: Dialect, lane: Lane, body: bytes, identity: str, started_ns: int) -> tuple[Usage | None, bytes]:
    """What a candidate's answer says was used, and its bytes in the caller's dialect. Raises UpstreamFault."""
    return (
        (dialect.glance_reply(body), body)
        if speak_alike(lane.dialect, dialect)
        else translated(dialect, lane, body, identity, started_ns)
    )


def check_count(dialect: Dialect, body: bytes) -> None:
    """Raises UpstreamFault for what is no count of tokens: no object, or an error told with status 200."""
    try:
        members = _MEMBERS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = "the count of tokens is no JSON object"
        raise UpstreamFault(Fault(kind=FaultKind.MALFORMED, status=200, message=message)) from None
    if "error" in members:
        raise UpstreamFault(dialect.read_fault(200, {}, body))


def translated(dialect: Dialect, lane: Lane, body: bytes, identity: str, started_ns: int) -> tuple[Usage | None, bytes]:
    """As `looked_at`, for a candidate that speaks another dialect. The call's id and time stand in for its answer's."""
    reply = lane.dialect.read_reply(body)
    if reply.created is None or reply.id is None:  # not every protocol tells
        created = started_ns // 1_000_000_000 if reply.created is None else reply.created
        reply = msgspec.structs.replace(reply, id=reply.id or identity, created=created)
    return reply.usage, dialect.write_reply(reply, lane.candidate.model)


def respond(gateway: Gateway, call: Call, incoming: Incoming, body: bytes) -> None:
    """The cost is settled first, so that the answer can tell it."""
    call.outcome = Outcome.OK
    call.status = 200
    call.committed = True
    call.seen_output = len(body) // BYTES_A_TOKEN + 1 if call.embedding is None else 0
    if call.replied is not None:
        call.replied.append(body)
    settle(gateway, call)
    call.first_byte_at = now = gateway.clock.now()
    headers = answer_headers(call, now)
    headers.append(cost_header(call))
    headers.append(("content-type", "application/json"))
    headers.extend(told_headers(call, incoming, now))
    call.exchange.respond(200, headers, body)


def is_json(headers: Mapping[str, str]) -> bool:
    return "json" in headers.get("content-type", "application/json")


def require_json(incoming: Incoming) -> None:
    """A 200 that is not JSON (a proxy's login page, say) is no answer."""
    if not is_json(incoming.headers):
        kind = media_type(incoming.headers["content-type"])
        raise UpstreamFault(Fault(kind=FaultKind.MALFORMED, status=200, message=f"the answer is {kind}, not JSON"))
