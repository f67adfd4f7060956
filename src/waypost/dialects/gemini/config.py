"""`generationConfig`: JSON → the neutral parameters. What has no neutral name is left, as "generationConfig.…"."""

import msgspec
from msgspec import Raw, Struct

from waypost.conversation.blocks import Json
from waypost.conversation.request import OutputFormat, Reasoning
from waypost.dialects.gemini.schema import read_schema
from waypost.dialects.gemini.wire_json import Members, members_of, take
from waypost.dialects.wire_json import ShapeError

_NUMBER = msgspec.json.Decoder(float)
_COUNT = msgspec.json.Decoder(int, strict=False)
_FLAG = msgspec.json.Decoder(bool)
_STRING = msgspec.json.Decoder(str)
_STRINGS: msgspec.json.Decoder[list[str]] = msgspec.json.Decoder(list[str])

KNOWN = frozenset(
    (
        *(
            "maxOutputTokens",
            "temperature",
            "topP",
            "topK",
            "frequencyPenalty",
            "presencePenalty",
            "seed",
            "stopSequences",
        ),
        *("stopSequences", "candidateCount", "responseLogprobs", "logprobs", "responseMimeType", "responseSchema"),
        *(
            "responseJsonSchema",
            "thinkingConfig",
            "responseModalities",
            "speechConfig",
            "mediaResolution",
            "audioTimestamp",
        ),
        *(
            "imageConfig",
            "enableEnhancedCivicAnswers",
            "routingConfig",
            "modelSelectionConfig",
            "enableAffectiveDialog",
        ),
    )
)
_THINKING = frozenset(("includeThoughts", "thinkingBudget", "thinkingLevel"))
_JSON = "application/json"
_UNSPECIFIED = "THINKING_LEVEL_UNSPECIFIED"
_ONLY_TEXT = ("TEXT",)


class Config(Struct, frozen=True):
    """Names and meanings are those of `Request`."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    choices: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning: Reasoning | None = None
    output: OutputFormat | None = None
    extra: tuple[tuple[str, Json], ...] = ()


class _Plain(Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    """What most callers say, in the spelling that most use."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop_sequences: list[str] = []
    candidate_count: int | None = None


_PLAIN = msgspec.json.Decoder(_Plain)


def read_config(raw: Raw) -> Config:
    """Raises ShapeError."""
    try:
        plain = _PLAIN.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_any(raw)
    return Config(
        _checked(plain.max_output_tokens),
        plain.temperature,
        plain.top_p,
        _whole(plain.top_k),
        plain.frequency_penalty,
        plain.presence_penalty,
        plain.seed,
        tuple(plain.stop_sequences),
        plain.candidate_count,
    )


def _checked(limit: int | None) -> int | None:
    if limit is not None and limit < 1:
        raise ShapeError("generationConfig.maxOutputTokens: must be at least 1")
    return limit


def _whole(top_k: int | float | None) -> int | None:
    """Google's clients send it as a number with a point."""
    if top_k is None or isinstance(top_k, int):
        return top_k
    if not top_k.is_integer():
        raise ShapeError("generationConfig.topK: must be a whole number")
    return int(top_k)


def _read_any(raw: Raw) -> Config:
    where = "generationConfig"
    members = members_of(raw, where, KNOWN)
    limit = _checked(take(members, "maxOutputTokens", _COUNT, where))
    thinking = members.pop("thinkingConfig", None)
    reasoning = _reasoning(thinking, members) if thinking is not None else None
    output = _output(members)
    modalities = members.get("responseModalities")
    if modalities is not None and not _plain_text(_strings(members, "responseModalities")):
        members["responseModalities"] = modalities
    return Config(
        limit,
        take(members, "temperature", _NUMBER, where),
        take(members, "topP", _NUMBER, where),
        take(members, "topK", _COUNT, where),
        take(members, "frequencyPenalty", _NUMBER, where),
        take(members, "presencePenalty", _NUMBER, where),
        take(members, "seed", _COUNT, where),
        _strings(members, "stopSequences"),
        take(members, "candidateCount", _COUNT, where),
        take(members, "responseLogprobs", _FLAG, where),
        take(members, "logprobs", _COUNT, where),
        reasoning,
        output,
        tuple([(f"{where}.{name}", value) for name, value in members.items()]),
    )


def _strings(members: Members, name: str) -> tuple[str, ...]:
    told = take(members, name, _STRINGS, "generationConfig")
    return tuple(told) if told else ()


def _plain_text(modalities: tuple[str, ...]) -> bool:
    return all(modality.upper() in _ONLY_TEXT for modality in modalities)


def _reasoning(raw: Raw, left: Members) -> Reasoning | None:
    where = "generationConfig.thinkingConfig"
    members = members_of(raw, where, _THINKING)
    shown = take(members, "includeThoughts", _FLAG, where)
    budget = take(members, "thinkingBudget", _COUNT, where)
    level = (take(members, "thinkingLevel", _STRING, where) or _UNSPECIFIED).upper()
    left.update({f"thinkingConfig.{name}": value for name, value in members.items()})
    effort = None if level == _UNSPECIFIED else level.lower()
    display = None if shown is None else "summarized" if shown else "omitted"
    if budget is not None and budget == 0:
        return Reasoning(False, effort=effort, display=display)
    if budget is not None and budget < 0:  # as much as the model thinks fit
        return Reasoning(True, True, None, effort, display)
    if budget is None and effort is None and display is None:
        return None
    return Reasoning(None if budget is None else True, None, budget, effort, display)


def _output(members: Members) -> OutputFormat | None:
    where = "generationConfig"
    kind = take(members, "responseMimeType", _STRING, where)
    own = members.pop("responseSchema", None)
    schema = members.pop("responseJsonSchema", None)
    if schema is None and own is not None:
        schema = read_schema(own, f"{where}.responseSchema")
    if kind is None or kind == _JSON:
        return OutputFormat(schema=schema) if schema is not None or kind is not None else None
    if kind != "text/plain":  # an enumeration's bare word, say
        members["responseMimeType"] = Raw(msgspec.json.encode(kind))
        if schema is not None:
            members["responseJsonSchema"] = schema
        return None
    return OutputFormat(schema=schema) if schema is not None else None
