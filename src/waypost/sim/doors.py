"""Which protocol is spoken at which path, and what a path says by itself: a model, whether to stream.

Knows every protocol's paths. Refuses to know bodies.
"""

import re
from enum import StrEnum
from urllib.parse import parse_qs, unquote

from msgspec import Struct

from waypost.sim.connection import Received
from waypost.sim.speaker import Speaker
from waypost.sim.speakers import ANTHROPIC, BEDROCK, COHERE, GEMINI, GEMINI_ARRAY, OPENAI, RESPONSES


class Act(StrEnum):
    CONVERSE = "converse"
    COUNT = "count"
    EMBED = "embed"
    LIST = "list"
    DESCRIBE = "describe"
    NOWHERE = "nowhere"


class Door(Struct, frozen=True):
    """`model` and `stream`: None where the body says it."""

    speaker: Speaker
    act: Act
    method: str = "POST"
    model: str | None = None
    stream: bool | None = None


_FIXED = {
    "/v1/chat/completions": Door(OPENAI, Act.CONVERSE),
    "/v1/responses": Door(RESPONSES, Act.CONVERSE),
    "/v1/messages": Door(ANTHROPIC, Act.CONVERSE),
    "/v1/messages/count_tokens": Door(ANTHROPIC, Act.COUNT),
    "/v2/chat": Door(COHERE, Act.CONVERSE),
    "/v1/embeddings": Door(OPENAI, Act.EMBED),
    "/v2/embed": Door(COHERE, Act.EMBED),
    "/v1beta/models": Door(GEMINI, Act.LIST, "GET"),
}
_MODELS = "/v1/models"
# The second is how Vertex AI has the same protocol.
_GEMINI = re.compile(r"/v1(?:beta1?)?(?:/projects/[^/]+/locations/[^/]+/publishers/google)?/models/(.+):(\w+)\Z")
_GEMINI_MODEL = re.compile(r"/v1beta/models/([^:]+)\Z")
_BEDROCK = re.compile(r"/model/([^/]+)/(converse|converse-stream|invoke)\Z")


def find_door(received: Received) -> Door:
    """By the path; where several protocols have it, or none, by the headers that only one's callers send."""
    path, _, query = received.path.partition("?")
    door = _FIXED.get(path) or _find_gemini(path, query) or _find_bedrock(path)
    if door is not None:
        return door
    speaker = _speaker_of(received)
    if path == _MODELS:
        return Door(speaker, Act.LIST, "GET")
    if path.startswith(_MODELS + "/"):
        return Door(speaker, Act.DESCRIBE, "GET", unquote(path.removeprefix(_MODELS + "/")))
    return Door(_speaker_near(path, speaker), Act.NOWHERE)


def _find_gemini(path: str, query: str) -> Door | None:
    matched = _GEMINI.match(unquote(path))
    if matched is None:
        described = _GEMINI_MODEL.match(unquote(path))
        return None if described is None else Door(GEMINI, Act.DESCRIBE, "GET", described[1])
    model, method = matched.groups()
    match method:
        case "generateContent":
            return Door(GEMINI, Act.CONVERSE, model=model, stream=False)
        case "streamGenerateContent":
            speaker = GEMINI if parse_qs(query).get("alt") == ["sse"] else GEMINI_ARRAY
            return Door(speaker, Act.CONVERSE, model=model, stream=True)
        case "countTokens":
            return Door(GEMINI, Act.COUNT, model=model, stream=False)
        case "batchEmbedContents":
            return Door(GEMINI, Act.EMBED, model=model, stream=False)
        case _:
            return Door(GEMINI, Act.NOWHERE)


def _find_bedrock(path: str) -> Door | None:
    matched = _BEDROCK.match(path)
    if matched is None:
        return None
    if matched[2] == "invoke":
        return Door(BEDROCK, Act.EMBED, model=unquote(matched[1]), stream=False)
    return Door(BEDROCK, Act.CONVERSE, model=unquote(matched[1]), stream=matched[2] == "converse-stream")


def _speaker_of(received: Received) -> Speaker:
    if received.header("anthropic-version") is not None:
        return ANTHROPIC
    return OPENAI if received.header("x-goog-api-key") is None else GEMINI


def _speaker_near(path: str, usual: Speaker) -> Speaker:
    """Whose words tell that there is nothing at a path."""
    for start, speaker in (("/v1/messages", ANTHROPIC), ("/v1beta", GEMINI), ("/v2/", COHERE), ("/model/", BEDROCK)):
        if path.startswith(start):
            return speaker
    return usual
