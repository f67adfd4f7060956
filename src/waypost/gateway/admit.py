"""Who is it, may they, and what do they say about the call. May refuse; calls nobody."""

from collections.abc import Mapping

import msgspec

from waypost.conversation.faults import ErrorKind, Refused
from waypost.conversation.options import CallOptions
from waypost.dialects.dialect import Glance
from waypost.gateway.call import NO_OPTIONS, Address, Call
from waypost.gateway.embedding import look_at
from waypost.gateway.gateway import Gateway

MOST_TAGS = 32
LONGEST_LABEL = 256
TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off", ""})
CACHE_MODES = frozenset({"off", "on", "read_only", "write_only"})


def admit(gateway: Gateway, call: Call, glance: Glance | None = None) -> Glance:
    """`glance`: the body's, if known. Raises Refused: UNAUTHORIZED for a stranger, BAD_REQUEST for what is no call."""
    headers = call.exchange.headers
    try:
        caller = call.caller = gateway.keyring.identify(call.exchange, call.started_ns / 1e9)
    except Refused:
        call.unrecorded = True
        gateway.tally.unauthorized += 1
        raise
    if glance is None:
        glance = call.dialect.glance(call.exchange.body) if call.embedding is None else look_at(call, call.embedding)
        if call.address is not None:
            glance = addressed(glance, call.address)
    if glance.combination_id is not None:
        raise Refused(ErrorKind.BAD_REQUEST, "metadata.combination_id is not served by this release; leave it out.")
    if glance.task is not None and len(glance.task) > LONGEST_LABEL:
        raise Refused(ErrorKind.BAD_REQUEST, f"metadata.task is longer than {LONGEST_LABEL} characters.")
    options = glance.options or NO_OPTIONS
    if any_options(headers):
        options = with_headers(options, headers)
    if options is not NO_OPTIONS:
        check(options)
        call.options = options
    call.tags = tags_of(caller.tags, options)
    return glance


def addressed(glance: Glance, address: Address) -> Glance:
    """The glance with what the path says in place of what the body does not."""
    model = glance.model if address.model is None else address.model
    stream = glance.stream if address.stream is None else address.stream
    return msgspec.structs.replace(glance, model=model, stream=stream)


def any_options(headers: Mapping[str, str]) -> bool:
    """Whether some header starts with `x-waypost-`; rarely also where one only holds it."""
    return "x-waypost-" in "\n".join(headers)


def with_headers(options: CallOptions, headers: Mapping[str, str]) -> CallOptions:
    """The options with those that were given as headers. What the body says wins over a header."""
    given = {name[10:]: value for name, value in headers.items() if name.startswith("x-waypost-")}
    changes: dict[str, object] = {}
    for header, member in HEADERS.items():
        if header in given and getattr(options, member) is None:
            changes[member] = given[header]
    if "timeout" in given and options.timeout_s is None:
        changes["timeout_s"] = seconds(given["timeout"])
    if "dry-run" in given and not options.dry_run:
        changes["dry_run"] = truth(given["dry-run"])
    if "tags" in given and options.tags is None:
        changes["tags"] = tuple(tag.strip() for tag in given["tags"].split(",") if tag.strip())
    return msgspec.structs.replace(options, **changes) if changes else options


HEADERS = {
    "task": "task",
    "combination": "combination_id",
    "cache": "cache",
    "profile": "profile",
    "session": "session",
    "provider-key": "api_key",
}


def seconds(text: str) -> float:
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        raise Refused(ErrorKind.BAD_REQUEST, f"x-waypost-timeout: {text[:40]!r} is not a number of seconds.") from None


def truth(text: str) -> bool:
    word = text.strip().lower()
    if word not in TRUE and word not in FALSE:
        raise Refused(ErrorKind.BAD_REQUEST, f"x-waypost-dry-run: {text[:40]!r} is neither true nor false.")
    return word in TRUE


def check(options: CallOptions) -> None:
    """What this release can't do is refused and not ignored: a caller would believe that it holds."""
    if options.timeout_s is not None and not 0 < options.timeout_s < 86_400:
        raise Refused(ErrorKind.BAD_REQUEST, "waypost.timeout_s must be above 0 and below 86400 seconds.")
    if options.cache is not None and options.cache not in CACHE_MODES:
        raise Refused(ErrorKind.BAD_REQUEST, f"waypost.cache must be one of {', '.join(sorted(CACHE_MODES))}.")
    for member in ("combination_id", "variables"):
        if getattr(options, member) is not None:
            raise Refused(ErrorKind.BAD_REQUEST, f"waypost.{member} is not served by this release; leave it out.")
    for label in (options.task, options.session, options.profile):
        if label is not None and len(label) > LONGEST_LABEL:
            raise Refused(ErrorKind.BAD_REQUEST, f"waypost: a label is longer than {LONGEST_LABEL} characters.")
    asked = options.constraints
    for names in () if asked is None else (asked.regions, asked.classes, asked.capabilities):
        if names is not None and (len(names) > MOST_TAGS or any(len(name) > LONGEST_LABEL for name in names)):
            raise Refused(
                ErrorKind.BAD_REQUEST,
                f"waypost.constraints: at most {MOST_TAGS} names in a list, each at most {LONGEST_LABEL} characters.",
            )


def tags_of(own: tuple[tuple[str, str], ...], options: CallOptions) -> tuple[tuple[str, str], ...]:
    """The caller's tags and the key's: what the operator gave a key can't be overwritten. `name` or `name=value`."""
    given = options.tags
    if not given:
        return own
    if isinstance(given, dict):
        tags = dict(given)
    else:
        pairs = [tag.partition("=") for tag in given]
        tags = {name.strip(): value.strip() for name, _, value in pairs}
    longest = max((len(text) for pair in tags.items() for text in pair), default=0)
    if len(tags) > MOST_TAGS or longest > LONGEST_LABEL:
        raise Refused(
            ErrorKind.BAD_REQUEST, f"waypost.tags: at most {MOST_TAGS}, each at most {LONGEST_LABEL} characters."
        )
    tags.update(own)
    return tuple(tags.items())
