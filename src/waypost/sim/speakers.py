"""The protocols that are spoken, each as a Speaker: how it reads and writes, and its words for what is refused.

Knows headers and keys. Refuses to know paths, faults and answers.
"""

import re
from urllib.parse import parse_qs

from waypost.sim import (
    anthropic_write,
    bedrock_write,
    cohere_write,
    embedding_read,
    embedding_write,
    eventstream,
    gemini_write,
    openai_write,
    responses_write,
)
from waypost.sim.anthropic_read import read_anthropic
from waypost.sim.bedrock_read import read_bedrock
from waypost.sim.cohere_read import read_cohere
from waypost.sim.connection import Received
from waypost.sim.exchange import Rejected
from waypost.sim.gemini_read import read_count, read_gemini
from waypost.sim.openai_read import read_openai
from waypost.sim.responses_read import read_responses
from waypost.sim.speaker import Speaker, bearer

CREATED = 1_750_000_000  # when every answer says it was made: answers must not depend on a clock
_EVENT_STREAM = b"application/vnd.amazon.eventstream"
_CREDENTIAL = re.compile(r"Credential=([\w+=,.@-]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request(?:,|\Z)")


def _openai_head(request_id: str, remaining: int) -> bytes:
    return (
        b"x-request-id: %s\r\n"
        b"openai-organization: waypost-sim\r\nopenai-processing-ms: 1\r\nopenai-version: 2020-10-01\r\n"
        b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: %d\r\n"
        b"x-ratelimit-reset-requests: 6ms\r\nx-ratelimit-limit-tokens: 2000000\r\n"
        b"x-ratelimit-remaining-tokens: %d\r\nx-ratelimit-reset-tokens: 1ms\r\n"
    ) % (request_id.encode(), remaining, remaining * 200)


def _anthropic_head(request_id: str, remaining: int) -> bytes:
    return (
        b"request-id: %s\r\nanthropic-organization-id: waypost-sim\r\n"
        b"anthropic-ratelimit-requests-limit: 10000\r\nanthropic-ratelimit-requests-remaining: %d\r\n"
        b"anthropic-ratelimit-requests-reset: 2025-06-15T15:06:41Z\r\n"
        b"anthropic-ratelimit-tokens-limit: 2000000\r\nanthropic-ratelimit-tokens-remaining: %d\r\n"
        b"anthropic-ratelimit-tokens-reset: 2025-06-15T15:06:41Z\r\n"
    ) % (request_id.encode(), remaining, remaining * 200)


def _gemini_head(request_id: str, remaining: int) -> bytes:
    return b"server: scaffolding on HTTPServer2\r\nserver-timing: gfet4t7; dur=1\r\nx-content-type-options: nosniff\r\n"


def _cohere_head(request_id: str, remaining: int) -> bytes:
    return (
        b"x-debug-trace-id: %s\r\nx-endpoint-monthly-call-limit: 10000\r\n"
        b"x-trial-endpoint-call-limit: 10000\r\nx-trial-endpoint-call-remaining: %d\r\n"
    ) % (request_id.encode(), remaining)


def _bedrock_head(request_id: str, remaining: int) -> bytes:
    return b"x-amzn-requestid: %s\r\n" % request_id.encode()


def _anthropic_key(received: Received) -> str | None:
    key = received.header("x-api-key")
    return bearer(received) if key is None else key


def _gemini_key(received: Received) -> str | None:
    """The header, the query, or what Vertex AI takes: a bearer token."""
    key = received.header("x-goog-api-key")
    if key is None:
        key = next(iter(parse_qs(received.path.partition("?")[2]).get("key", ())), None)
    return bearer(received) if key is None else key


def _bedrock_key(received: Received) -> str | None:
    """A bearer key, or the access key id of a signature, which is looked at but not verified."""
    authorization = received.header("authorization") or ""
    if not authorization.startswith("AWS4-"):
        return bearer(received)
    found = _CREDENTIAL.search(authorization)
    signed = "SignedHeaders=" in authorization and re.search(r"Signature=[0-9a-f]{64}\Z", authorization)
    if not authorization.startswith("AWS4-HMAC-SHA256 ") or found is None or not signed:
        raise Rejected(403, "Authorization header is not a whole signature.", kind="IncompleteSignatureException")
    if received.header("x-amz-date") is None:
        message = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        raise Rejected(403, message, kind="IncompleteSignatureException")
    if found[4] != "bedrock":
        message = f"Credential should be scoped to correct service: 'bedrock', not '{found[4]}'."
        raise Rejected(403, message, kind="InvalidSignatureException")
    return found[1]


def _openai_unknown_model(name: str) -> Rejected:
    return Rejected(404, f"The model `{name}` does not exist or you do not have access to it.", code="model_not_found")


OPENAI = Speaker(
    name="openai",
    read=lambda body, model, strict, size: read_openai(body, model, strict=strict, size=size),
    whole=lambda told: openai_write.write_whole(told.question, told.answer, told.model, CREATED, tell_usage=told.usage),
    stream=lambda told: openai_write.write_stream(
        told.question, told.answer, told.model, CREATED, tell_usage=told.usage
    ),
    error=lambda rejected, _: openai_write.write_rejected(rejected),
    error_event=lambda _, status, message: lambda before: openai_write.write_error_event(status, message),
    head=_openai_head,
    key=bearer,
    no_key=lambda: Rejected(401, "You didn't provide an API key."),
    wrong_key=lambda: Rejected(401, "Incorrect API key provided.", code="invalid_api_key"),
    no_model="you must provide a model parameter",
    bad_json="We could not parse the JSON body of your request. The OpenAI API expects a JSON payload.",
    unknown_model=_openai_unknown_model,
    too_long=lambda tokens, most: (
        f"This model's maximum context length is {most} tokens. However, your messages resulted in {tokens} tokens. "
        "Please reduce the length of the messages."
    ),
    models=openai_write.write_models,
    model=openai_write.write_model,
    read_inputs=embedding_read.read_openai,
    embedded=embedding_write.write_openai,
)
RESPONSES = Speaker(
    name="responses",
    read=lambda body, model, strict, size: read_responses(body, model, strict=strict, size=size),
    whole=lambda told: responses_write.write_whole(told, CREATED),
    stream=lambda told: responses_write.write_stream(told, CREATED),
    error=OPENAI.error,
    error_event=lambda told, _, message: responses_write.write_error_event(told, message, CREATED),
    head=_openai_head,
    key=bearer,
    no_key=OPENAI.no_key,
    wrong_key=OPENAI.wrong_key,
    no_model="Missing required parameter: 'model'.",
    bad_json=OPENAI.bad_json,
    unknown_model=_openai_unknown_model,
    too_long=lambda tokens, most: (
        "Your input exceeds the context window of this model. Please adjust your input and try again."
    ),
    models=openai_write.write_models,
    model=openai_write.write_model,
)
ANTHROPIC = Speaker(
    name="anthropic",
    read=lambda body, model, strict, size: read_anthropic(body, model, strict=strict, size=size),
    whole=lambda told: anthropic_write.write_whole(told.question, told.answer, told.model, tell_usage=told.usage),
    stream=lambda told: anthropic_write.write_stream(told.question, told.answer, told.model, tell_usage=told.usage),
    error=anthropic_write.write_rejected,
    error_event=lambda told, status, message: (
        lambda before: anthropic_write.write_error_event(status, message, told.request_id)
    ),
    head=_anthropic_head,
    key=_anthropic_key,
    no_key=lambda: Rejected(401, "x-api-key header is required", kind="authentication_error"),
    wrong_key=lambda: Rejected(401, "invalid x-api-key", kind="authentication_error"),
    no_model="model: Field required",
    bad_json="The request body is not valid JSON",
    unknown_model=lambda name: Rejected(404, f"model: {name}"),
    too_long=lambda tokens, most: f"prompt is too long: {tokens} tokens > {most} maximum",
    models=anthropic_write.write_models,
    model=anthropic_write.write_model,
    count=lambda body, model, strict, size: read_anthropic(body, model, strict=strict, size=size, count_only=True),
    counted=anthropic_write.write_count,
)
GEMINI = Speaker(
    name="gemini",
    read=lambda body, model, strict, size: read_gemini(body, model, strict=strict, size=size),
    whole=gemini_write.write_whole,
    stream=gemini_write.write_events,
    error=lambda rejected, _: gemini_write.write_error(rejected),
    error_event=lambda _, status, message: gemini_write.write_error_event(Rejected(status, message)),
    head=_gemini_head,
    key=_gemini_key,
    no_key=lambda: Rejected(
        403, "Method doesn't allow unregistered callers. Please use API Key or other form of API consumer identity."
    ),
    wrong_key=lambda: Rejected(400, "API key not valid. Please pass a valid API key.", code="API_KEY_INVALID"),
    no_model="model is required",
    bad_json="Invalid JSON payload received. Parser terminated before end of string",
    unknown_model=lambda name: Rejected(
        404, f"models/{name} is not found for API version v1beta, or is not supported for generateContent."
    ),
    too_long=lambda tokens, most: (
        f"The input token count ({tokens}) exceeds the maximum number of tokens allowed ({most})."
    ),
    models=gemini_write.write_models,
    model=gemini_write.write_model,
    count=lambda body, model, strict, size: read_count(body, model, strict=strict, size=size),
    counted=gemini_write.write_count,
    content_type=b"application/json; charset=UTF-8",
    stream_type=b"text/event-stream",
    read_inputs=embedding_read.read_gemini,
    embedded=embedding_write.write_gemini,
)
GEMINI_ARRAY = Speaker(
    **{
        **{name: getattr(GEMINI, name) for name in Speaker.__struct_fields__},
        "stream": gemini_write.write_array,
        "error": lambda rejected, _: gemini_write.write_error_array(rejected),
        "error_event": lambda _, status, message: gemini_write.write_error_element(Rejected(status, message)),
        "stream_type": GEMINI.content_type,
        "malform": gemini_write.break_element,
    }
)
COHERE = Speaker(
    name="cohere",
    read=lambda body, model, strict, size: read_cohere(body, model, strict=strict, size=size),
    whole=cohere_write.write_whole,
    stream=cohere_write.write_stream,
    error=cohere_write.write_error,
    error_event=lambda _, status, message: cohere_write.write_error_event(message),
    head=_cohere_head,
    key=bearer,
    no_key=lambda: Rejected(401, "no api key supplied"),
    wrong_key=lambda: Rejected(401, "invalid api token"),
    no_model="invalid request: model is a required field.",
    bad_json="invalid request: body is not a JSON object.",
    unknown_model=lambda name: Rejected(
        404,
        f"model '{name}' not found, make sure the correct model ID was used and that you have access to the model.",
    ),
    too_long=lambda tokens, most: (
        f"too many tokens: total number of tokens in the prompt cannot exceed {most} - received {tokens}. "
        "Try using a shorter prompt."
    ),
    models=openai_write.write_models,
    model=openai_write.write_model,
    read_inputs=embedding_read.read_cohere,
    embedded=embedding_write.write_cohere,
)
BEDROCK = Speaker(
    name="bedrock",
    read=lambda body, model, strict, size: read_bedrock(body, model, strict=strict, size=size),
    whole=bedrock_write.write_whole,
    stream=bedrock_write.write_stream,
    error=lambda rejected, _: bedrock_write.write_error(rejected),
    error_event=lambda _, status, message: bedrock_write.write_exception(Rejected(status, message)),
    error_head=bedrock_write.name_error,
    head=_bedrock_head,
    key=_bedrock_key,
    no_key=lambda: Rejected(403, "Missing Authentication Token", kind="MissingAuthenticationTokenException"),
    wrong_key=lambda: Rejected(
        403, "The security token included in the request is invalid.", kind="UnrecognizedClientException"
    ),
    no_model="The provided model identifier is invalid.",
    bad_json="The request body is not valid JSON.",
    unknown_model=lambda _: Rejected(400, "The provided model identifier is invalid."),
    too_long=lambda tokens, most: (
        f"The model returned the following errors: prompt is too long: {tokens} tokens > {most} maximum"
    ),
    models=openai_write.write_models,
    model=openai_write.write_model,
    stream_type=_EVENT_STREAM,
    malform=eventstream.malform,
    read_inputs=embedding_read.read_bedrock,
    embedded=embedding_write.write_bedrock,
)
