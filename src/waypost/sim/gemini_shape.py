"""The shape of a Gemini request: which members there are, by their names in JSON (`camelCase`).

Follows https://ai.google.dev/api/generate-content and .../api/caching. Protocol Buffers' JSON takes each name in
`snake_case`, too: `rename` puts all into one.
"""

import re
from typing import Any

from waypost.sim.exchange import Rejected
from waypost.sim.shape import Flaw, FlawKind, Kind, Many, Record, Shape, record

_BLOB = record("", "mimeType", "data", mimeType=Kind.TEXT, data=Kind.TEXT, displayName=Kind.TEXT)
_FILE = record("", "fileUri", mimeType=Kind.TEXT, fileUri=Kind.TEXT, displayName=Kind.TEXT)
DATA = ("text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult")
PART = record(
    "videoMetadata mediaResolution partMetadata toolCall toolResponse",
    text=Kind.TEXT,
    thought=Kind.FLAG,
    thoughtSignature=Kind.TEXT,
    inlineData=_BLOB,
    fileData=_FILE,
    functionCall=record("", "name", id=Kind.TEXT, name=Kind.TEXT, args=Kind.OBJECT),
    functionResponse=record(
        "",
        "name",
        "response",
        id=Kind.TEXT,
        name=Kind.TEXT,
        response=Kind.OBJECT,
        willContinue=Kind.FLAG,
        scheduling=Kind.TEXT,
        parts=Many(record("", inlineData=_BLOB, fileData=_FILE)),
    ),
    executableCode=record("", language=Kind.TEXT, code=Kind.TEXT, id=Kind.TEXT),
    codeExecutionResult=record("", outcome=Kind.TEXT, output=Kind.TEXT, id=Kind.TEXT),
)
CONTENT = record("", role=Kind.TEXT, parts=Many(PART))
_FUNCTION = record(
    "parametersJsonSchema responseJsonSchema",
    "name",
    name=Kind.TEXT,
    description=Kind.TEXT,
    behavior=Kind.TEXT,
    parameters=Kind.OBJECT,
    response=Kind.OBJECT,
)
_TOOL = record(
    "googleSearch googleSearchRetrieval codeExecution urlContext computerUse fileSearch googleMaps mcpServers "
    "enterpriseWebSearch retrieval",
    functionDeclarations=Many(_FUNCTION),
)
_GENERATION = record(
    "responseJsonSchema speechConfig mediaResolution imageConfig routingConfig modelSelectionConfig",
    stopSequences=Many(Kind.TEXT),
    responseMimeType=Kind.TEXT,
    responseSchema=Kind.OBJECT,
    responseModalities=Many(Kind.TEXT),
    candidateCount=Kind.WHOLE,
    maxOutputTokens=Kind.WHOLE,
    temperature=Kind.NUMBER,
    topP=Kind.NUMBER,
    topK=Kind.NUMBER,
    seed=Kind.WHOLE,
    presencePenalty=Kind.NUMBER,
    frequencyPenalty=Kind.NUMBER,
    responseLogprobs=Kind.FLAG,
    logprobs=Kind.WHOLE,
    enableEnhancedCivicAnswers=Kind.FLAG,
    audioTimestamp=Kind.FLAG,
    thinkingConfig=record("", includeThoughts=Kind.FLAG, thinkingBudget=Kind.WHOLE, thinkingLevel=Kind.TEXT),
)
BODY = record(
    "labels serviceTier store",
    model=Kind.TEXT,
    contents=Many(CONTENT),
    systemInstruction=CONTENT,
    tools=Many(_TOOL),
    toolConfig=record(
        "retrievalConfig includeServerSideToolInvocations",
        functionCallingConfig=record("", mode=Kind.TEXT, allowedFunctionNames=Many(Kind.TEXT)),
    ),
    safetySettings=Many(record("", "category", "threshold", category=Kind.TEXT, threshold=Kind.TEXT, method=Kind.TEXT)),
    generationConfig=_GENERATION,
    cachedContent=Kind.TEXT,
    modelArmorConfig=Kind.OBJECT,
)
COUNTED = record("", model=Kind.TEXT, contents=Many(CONTENT), generateContentRequest=BODY)
_SCHEMA_TEXT = """
    type format title description nullable enum maxItems minItems properties required minProperties maxProperties
    minLength maxLength pattern example anyOf propertyOrdering default items minimum maximum
"""
_SCHEMA = frozenset(_SCHEMA_TEXT.split())
_TYPES = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL", "TYPE_UNSPECIFIED"})
_DEEPEST = 64
_HUMP = re.compile(r"_([a-z0-9])")


def camel(name: str) -> str:
    return _HUMP.sub(lambda found: found[1].upper(), name)


def rename(value: Any, shape: Shape, depth: int = 0) -> Any:
    """The same value with the names of its records' members in camel case, and a lone object where a list is due
    inside one. Names that no record has stay as they are."""
    if depth > _DEEPEST:
        return value
    match shape:
        case Many(of=each):
            items = [value] if isinstance(value, dict) else value
            return [rename(item, each, depth + 1) for item in items] if isinstance(items, list) else value
        case Record(members=members) if isinstance(value, dict):
            return {
                known: rename(member, members[known], depth + 1) if known in members else member
                for known, member in ((_known(name, members), member) for name, member in value.items())
            }
        case _:
            return value


def _known(name: str, members: Any) -> str:
    known = camel(name)
    return known if known in members else name


def complain(flaw: Flaw) -> Rejected:
    """What Google says of a flaw."""
    place = show(flaw.path)
    match flaw.kind:
        case FlawKind.UNKNOWN:
            return unknown_name(flaw.name, place)
        case FlawKind.MISSING:
            full = ".".join(filter(None, ("GenerateContentRequest", place, flaw.name)))
            return Rejected(400, f"* {full}: Required field is not set.\n")
        case _:
            return Rejected(400, f"Invalid value at '{place}' ({flaw.expected}), {flaw.found!r:.100}")


def unknown_name(name: str, place: str) -> Rejected:
    at = f" at '{place}'" if place else ""
    return Rejected(400, f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.')


def show(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def check_schema(schema: Any, path: str, depth: int = 0) -> None:
    """An OpenAPI schema as far as Gemini knows it, which is less than JSON Schema: no references, no lists of types."""
    if depth > _DEEPEST or not isinstance(schema, dict):
        raise Rejected(400, f"Invalid value at '{path}' (object), {schema!r:.100}")
    for name, value in schema.items():
        known = camel(name)
        if known not in _SCHEMA:
            raise unknown_name(name, path)
        match known:
            case "type" if not isinstance(value, str):
                raise Rejected(400, f"Proto field is not repeating, cannot start list. ('{path}.type')")
            case "type" if value.upper() not in _TYPES:
                raise Rejected(400, f"Invalid value at '{path}.type' (type.googleapis.com/Type), \"{value}\"")
            case "enum" if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise Rejected(400, f"Invalid value at '{path}.enum' (TYPE_STRING), {value!r:.100}")
            case "properties":
                for member, inner in value.items() if isinstance(value, dict) else ():
                    check_schema(inner, f"{path}.properties[{member}]", depth + 1)
            case "items":
                check_schema(value, f"{path}.items", depth + 1)
            case "anyOf":
                for index, inner in enumerate(value if isinstance(value, list) else ()):
                    check_schema(inner, f"{path}.any_of[{index}]", depth + 1)


def plain_schema(schema: Any, depth: int = 0) -> Any:
    """The JSON schema that such a schema is: types in lower case."""
    if depth > _DEEPEST or not isinstance(schema, dict):
        return schema
    plain: dict[str, Any] = {}
    for name, value in schema.items():
        match camel(name):
            case "type":
                plain["type"] = value.lower()
            case "properties" if isinstance(value, dict):
                plain["properties"] = {member: plain_schema(inner, depth + 1) for member, inner in value.items()}
            case "items":
                plain["items"] = plain_schema(value, depth + 1)
            case "anyOf" if isinstance(value, list):
                plain["anyOf"] = [plain_schema(inner, depth + 1) for inner in value]
            case known:
                plain[known] = int(value) if known.startswith(("min", "max")) and isinstance(value, str) else value
    return plain
