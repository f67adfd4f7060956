"""The shape of a Bedrock Converse request: which members there are, which must be, which exclude each other.

Follows https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.
"""

from waypost.sim.exchange import Rejected
from waypost.sim.shape import Flaw, FlawKind, Kind, Many, Record, record

_S3 = record("", "uri", uri=Kind.TEXT, bucketOwner=Kind.TEXT)
_SOURCE = record("", union=True, bytes=Kind.TEXT, s3Location=_S3)
_IMAGE = record("error", "format", "source", format=Kind.TEXT, source=_SOURCE)
_DOCUMENT = record(
    "citations",
    "name",
    "source",
    name=Kind.TEXT,
    format=Kind.TEXT,
    context=Kind.TEXT,
    source=record("", union=True, bytes=Kind.TEXT, s3Location=_S3, text=Kind.TEXT, content=Many(Kind.OBJECT)),
)
_MEDIUM = record("error", "format", "source", format=Kind.TEXT, source=_SOURCE)
CACHE_POINT = record("", "type", type=Kind.TEXT, ttl=Kind.TEXT)
_TOOL_RESULT = record(
    "",
    "toolUseId",
    "content",
    toolUseId=Kind.TEXT,
    status=Kind.TEXT,
    type=Kind.TEXT,
    content=Many(
        record("json searchResult", union=True, text=Kind.TEXT, image=_IMAGE, document=_DOCUMENT, video=_MEDIUM)
    ),
)
_BLOCK = record(
    "",
    union=True,
    text=Kind.TEXT,
    image=_IMAGE,
    document=_DOCUMENT,
    video=_MEDIUM,
    audio=_MEDIUM,
    toolUse=record("input", "toolUseId", "name", "input", toolUseId=Kind.TEXT, name=Kind.TEXT, type=Kind.TEXT),
    toolResult=_TOOL_RESULT,
    guardContent=Kind.OBJECT,
    cachePoint=CACHE_POINT,
    reasoningContent=record(
        "",
        union=True,
        reasoningText=record("", "text", text=Kind.TEXT, signature=Kind.TEXT),
        redactedContent=Kind.TEXT,
    ),
    citationsContent=record("content citations"),
    searchResult=Kind.OBJECT,
)
_TOOL = record(
    "",
    union=True,
    toolSpec=record(
        "strict",
        "name",
        "inputSchema",
        name=Kind.TEXT,
        description=Kind.TEXT,
        inputSchema=record("", union=True, json=Kind.OBJECT),
    ),
    systemTool=record("", "name", name=Kind.TEXT),
    cachePoint=CACHE_POINT,
)
_JSON_SCHEMA = record("", "schema", schema=Kind.TEXT, name=Kind.TEXT, description=Kind.TEXT)
BODY: Record = record(
    "additionalModelRequestFields guardrailConfig promptVariables requestMetadata performanceConfig serviceTier",
    messages=Many(record("", "role", "content", role=Kind.TEXT, content=Many(_BLOCK))),
    system=Many(record("guardContent", union=True, text=Kind.TEXT, cachePoint=CACHE_POINT)),
    inferenceConfig=record(
        "", maxTokens=Kind.WHOLE, temperature=Kind.NUMBER, topP=Kind.NUMBER, stopSequences=Many(Kind.TEXT)
    ),
    toolConfig=record(
        "",
        "tools",
        tools=Many(_TOOL),
        toolChoice=record("", union=True, auto=record(""), any=record(""), tool=record("", "name", name=Kind.TEXT)),
    ),
    additionalModelResponseFieldPaths=Many(Kind.TEXT),
    outputConfig=record(
        "effort",
        textFormat=record(
            "",
            "type",
            "structure",
            type=Kind.TEXT,
            structure=record("", union=True, jsonSchema=_JSON_SCHEMA),
        ),
    ),
)


def complain(flaw: Flaw) -> Rejected:
    """What Amazon says of a flaw."""
    place = ".".join(str(step + 1 if isinstance(step, int) else step) for step in flaw.path)
    name = f"{place}.{flaw.name}".strip(".")
    match flaw.kind:
        case FlawKind.UNKNOWN:
            return Rejected(400, f"The model returned the following errors: extraneous key [{name}] is not permitted")
        case FlawKind.MISSING:
            return Rejected(
                400,
                f"1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must not be null",
            )
        case FlawKind.UNION:
            return Rejected(400, f"Exactly one member of the union at '{place}' must be set: {flaw.name}.")
        case _:
            # What it can't deserialise has another name, and no more words than these.
            return Rejected(
                400, f"Unexpected type at '{place}': expected {flaw.expected}.", kind="SerializationException"
            )
