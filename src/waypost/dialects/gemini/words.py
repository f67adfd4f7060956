"""Small words of the protocol that replies, streams and requests share: stop reasons, usage, ids, times, signatures."""

import base64
import binascii
import hashlib
from datetime import UTC, datetime

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from waypost.conversation.reply import MOST_TOKENS, Count, Stop, StopKind, Usage
from waypost.conversation.signatures import carried, recovered

NAME = "gemini"
PROMPT = "prompt:"  # before the reason why a prompt was blocked, in the word of a stop

_KINDS = {
    "STOP": StopKind.END,
    "MAX_TOKENS": StopKind.LENGTH,
    "SAFETY": StopKind.REFUSAL,
    "RECITATION": StopKind.REFUSAL,
    "BLOCKLIST": StopKind.REFUSAL,
    "PROHIBITED_CONTENT": StopKind.REFUSAL,
    "SPII": StopKind.REFUSAL,
    "MODEL_ARMOR": StopKind.REFUSAL,
    "IMAGE_SAFETY": StopKind.REFUSAL,
    "IMAGE_PROHIBITED_CONTENT": StopKind.REFUSAL,
    "IMAGE_RECITATION": StopKind.REFUSAL,
}
_STOPS: dict[str | int | None, Stop] = {word: Stop(kind, word) for word, kind in _KINDS.items()}
_CALLED = Stop(StopKind.TOOL, "STOP")
_WORDS = {
    StopKind.END: "STOP",
    StopKind.LENGTH: "MAX_TOKENS",
    StopKind.TOOL: "STOP",
    StopKind.STOP_SEQUENCE: "STOP",
    StopKind.REFUSAL: "SAFETY",
    StopKind.PAUSE: "OTHER",
    StopKind.OTHER: "OTHER",
}
_UNSPECIFIED = "FINISH_REASON_UNSPECIFIED"
# Where enumerations were asked for as numbers; beyond these the two Google APIs number differently.
_NUMBERED = (_UNSPECIFIED, "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER")


def read_stop(told: str | int | None, called: bool) -> Stop | None:
    """`called`: the candidate calls tools. Gemini has no word for that: it just stops."""
    stop = _STOPS.get(told)
    if stop is not None and not called:
        return stop
    word = told
    if isinstance(word, int):
        word = _NUMBERED[word] if 0 <= word < len(_NUMBERED) else str(word)
    if not word or word == _UNSPECIFIED:
        return None
    if called and word == "STOP":
        return _CALLED
    return _STOPS.get(word) or Stop(StopKind.OTHER, word)


def blocked(reason: str) -> Stop:
    """Why no candidate came: the prompt was not let in."""
    return Stop(StopKind.REFUSAL, PROMPT + reason)


def blocked_reason(stop: Stop | None) -> str | None:
    """The reason that `blocked` was given, if the stop is of its making."""
    if stop is None or stop.raw is None or not stop.raw.startswith(PROMPT):
        return None
    return stop.raw[len(PROMPT) :]


def stop_word(stop: Stop, *, refused: bool = False) -> str:
    """Gemini's own word where the stop came with one, else the word for its kind: never another protocol's."""
    if refused and stop.kind is StopKind.END:
        return _WORDS[StopKind.REFUSAL]
    word = stop.raw
    return word if word is not None and _KINDS.get(word) is stop.kind else _WORDS[stop.kind]


class WireUsage(Struct, gc=False, omit_defaults=True, rename="camel"):
    """`usageMetadata` as sent. The prompt holds its cached part; thoughts and tool prompts are beside the rest."""

    prompt_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    candidates_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None
    total_token_count: Count | None = None


_Counts = msgspec.defstruct(
    "_Counts", [(name, int | None, None) for name in WireUsage.__struct_fields__], rename="camel", gc=False
)
_usage_decoder = Decoder(WireUsage | None, strict=False)
_counts_decoder = Decoder(_Counts, strict=False)


def read_usage(raw: Raw, whole: bool) -> Usage | None:
    """Usage that is absent or not as it should be is unknown: it never breaks the answer that it came with.

    `whole`: all is said. Google leaves out counts that are 0, so only then, and if the sum agrees, is one that is
    missing known: of a stream that goes on it may as well not have been counted yet.
    """
    if not raw:
        return None
    try:
        wire = _usage_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_doubtful(raw, whole)
    return None if wire is None else usage_of(wire, whole)


def _read_doubtful(raw: Raw, whole: bool) -> Usage | None:
    """A count that can't be one (negative, absurd) is unknown, and the others may still be known."""
    try:
        counts = msgspec.structs.asdict(_counts_decoder.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    untold = counts["candidates_token_count"] is None
    wire = WireUsage(*[told if told is None or 0 <= told <= MOST_TOKENS else None for told in counts.values()])
    return usage_of(wire, whole and untold)


def usage_of(wire: WireUsage, whole: bool) -> Usage:
    """As `read_usage`."""
    prompt, cached, output = wire.prompt_token_count, wire.cached_content_token_count, wire.candidates_token_count
    thoughts, searched = wire.thoughts_token_count, wire.tool_use_prompt_token_count
    if prompt is None:
        return Usage(None, cached, None, output, thoughts)
    if output is None and whole and wire.total_token_count is not None:
        rest = wire.total_token_count - prompt - (thoughts or 0) - (searched or 0)
        output = rest if rest >= 0 else None
    if cached is not None:
        cached = min(cached, prompt)
        prompt -= cached
    return Usage(prompt if searched is None else prompt + searched, cached, None, output, thoughts)


def write_usage(usage: Usage | None) -> WireUsage | None:
    """None where nothing is known. What is written to a cache is a part of the prompt here like any other."""
    if usage is None:
        return None
    prompt, read, output, thoughts = usage.input, usage.cache_read, usage.output, usage.reasoning
    if prompt is None:
        wire = WireUsage(None, read, output, thoughts)
        return None if wire == WireUsage() else wire
    prompt += (read or 0) + (usage.cache_write or 0)
    total = None if output is None else prompt + output + (thoughts or 0)
    return WireUsage(prompt, read, output, thoughts, None, total)


def call_id(*seed: object) -> str:
    """An id for a tool call whose provider gave none: the same for the same call at the same place."""
    text = "/".join(map(str, seed))
    return "call_" + hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


_PREFIXES = ("msg_", "resp_")


def response_id(given: str | None) -> str:
    """An id for an answer, the same for the same answer; another protocol's prefix is shed."""
    if not given:
        return "waypost"
    if given.startswith("chatcmpl-"):
        return given[9:] or given
    if given.startswith(_PREFIXES):
        return given.partition("_")[2] or given
    return given


def read_time(told: str | None) -> int | None:
    """RFC 3339 → Unix seconds."""
    if not told:
        return None
    try:
        return int(datetime.fromisoformat(told).timestamp())
    except (ValueError, OverflowError, OSError):
        return None


def write_time(created: int) -> datetime | None:
    """Encoded, it is RFC 3339."""
    try:
        return datetime.fromtimestamp(created, UTC)
    except (ValueError, OverflowError, OSError):
        return None


_MARKED = "d2F5cG9zdC"  # how base64 begins for what `carried` marks: a signature is bytes to Google's clients


def signature_out(signature: str | None, origin: str | None) -> str | None:
    """A signature of any dialect, as a caller of this one can hold it."""
    said = carried(signature, origin, NAME)
    if said is None or said == signature:
        return said
    return base64.b64encode(said.encode("utf-8", "surrogatepass")).decode()


def signature_in(told: str) -> tuple[str, str]:
    """(signature, the dialect it is of), from what a caller of this dialect sent back."""
    if not told.startswith(_MARKED):
        return told, NAME
    try:
        padded = told.translate(_STANDARD).rstrip("=")
        marked = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        return told, NAME
    signature, origin = recovered(marked, NAME)
    return (told, NAME) if signature is None or origin is None or signature == marked else (signature, origin)


_STANDARD = str.maketrans("-_", "+/")
