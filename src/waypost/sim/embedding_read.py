"""Reads and judges requests for embeddings as each provider does: what is to be embedded, or a refusal in its words.

Follows https://platform.openai.com/docs/api-reference/embeddings, https://ai.google.dev/api/embeddings,
https://docs.cohere.com/reference/embed and Amazon's page on Titan text embeddings.
"""

from collections.abc import Mapping
from typing import Any

from waypost.sim import bedrock_shape, gemini_shape
from waypost.sim.cohere_read import refuse
from waypost.sim.embedding import Input, Inputs
from waypost.sim.exchange import Rejected
from waypost.sim.openai_messages import wrong_type
from waypost.sim.openai_read import check_range
from waypost.sim.shape import Kind, Many, find_flaw, record

_OPENAI = frozenset({"model", "input", "dimensions", "encoding_format", "user"})
_OPENAI_MOST, _GEMINI_MOST, _COHERE_MOST = 2048, 100, 96
_MOST_DIMENSIONS = 8192
_TITAN_DIMENSIONS = (256, 512, 1024)

_CONTENT = record("role", "parts", parts=Many(record("", "text", text=Kind.TEXT)))
_GEMINI_REQUEST = record(
    "",
    "content",
    model=Kind.TEXT,
    content=_CONTENT,
    taskType=Kind.TEXT,
    title=Kind.TEXT,
    outputDimensionality=Kind.WHOLE,
)
_GEMINI = record("", requests=Many(_GEMINI_REQUEST))
_TASKS_TEXT = """
    TASK_TYPE_UNSPECIFIED RETRIEVAL_QUERY RETRIEVAL_DOCUMENT SEMANTIC_SIMILARITY CLASSIFICATION CLUSTERING
    QUESTION_ANSWERING FACT_VERIFICATION CODE_RETRIEVAL_QUERY
"""
_TASKS = frozenset(_TASKS_TEXT.split())
_COHERE_MEMBERS: Mapping[str, Any] = {
    "texts": Many(Kind.TEXT),
    "input_type": Kind.TEXT,
    "embedding_types": Many(Kind.TEXT),
    "output_dimension": Kind.WHOLE,
    "max_tokens": Kind.WHOLE,
    "truncate": Kind.TEXT,
    "priority": Kind.WHOLE,
}
_COHERE = record("images inputs", model=Kind.TEXT, **_COHERE_MEMBERS)
_COHERE_AT_BEDROCK = record("images inputs", **_COHERE_MEMBERS)
_COHERE_TYPES = ("search_document", "search_query", "classification", "clustering", "image")
_TITAN = record(
    "", "inputText", inputText=Kind.TEXT, dimensions=Kind.WHOLE, normalize=Kind.FLAG, embeddingTypes=Many(Kind.TEXT)
)


def read_openai(body: Mapping[str, Any], model: str, strict: bool) -> Inputs:
    if strict and not _OPENAI.issuperset(body):
        name = next(name for name in body if name not in _OPENAI)
        raise Rejected(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    dimensions = body.get("dimensions")
    if dimensions is not None:
        check_range("dimensions", dimensions, 1, _MOST_DIMENSIONS)
    form = body.get("encoding_format")
    if form not in (None, "float", "base64"):
        raise Rejected(
            400, f"Invalid value: '{form}'. Supported values are: 'float' and 'base64'.", param="encoding_format"
        )
    return Inputs(
        inputs=_openai_inputs(body.get("input")),
        dimensions=dimensions or (3072 if "large" in model else 1536),
        packed=form == "base64",
    )


def _openai_inputs(given: Any) -> tuple[Input, ...]:
    if given is None:
        raise Rejected(400, "Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    listed = [given] if isinstance(given, str) or _is_tokens(given) else given
    if not isinstance(listed, list):
        raise wrong_type("input", "a string or an array", given)
    if len(listed) > _OPENAI_MOST:
        raise Rejected(
            400,
            f"Invalid 'input': array too long. Expected an array with maximum length {_OPENAI_MOST}, but got an array "
            f"with length {len(listed)} instead.",
            param="input",
            code="array_above_max_length",
        )
    texts = [each for each in listed if isinstance(each, str) and each]
    tokens = [tuple(each) for each in listed if _is_tokens(each)]
    if not listed or len(listed) not in (len(texts), len(tokens)):
        raise Rejected(
            400, "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."
        )
    return tuple(texts) or tuple(tokens)


def _is_tokens(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(type(each) is int and each >= 0 for each in given)


def read_gemini(body: Mapping[str, Any], model: str, strict: bool) -> Inputs:
    body = gemini_shape.rename(body, _GEMINI)
    flaw = find_flaw(body, _GEMINI, strict=strict)
    if flaw is not None:
        raise gemini_shape.complain(flaw)
    requests = body.get("requests") or []
    if not requests:
        raise Rejected(400, "* BatchEmbedContentsRequest.requests: requests is not specified\n")
    if len(requests) > _GEMINI_MOST:
        raise Rejected(
            400, f"* BatchEmbedContentsRequest.requests: at most {_GEMINI_MOST} requests can be in one batch\n"
        )
    texts = []
    for index, each in enumerate(requests):
        place = f"BatchEmbedContentsRequest.requests[{index}]"
        if each.get("model", "").partition("~")[0] != f"models/{model}":
            raise Rejected(400, f"* {place}.model: unexpected model name format or mismatch with the path\n")
        if each.get("taskType") not in (None, *_TASKS):
            raise Rejected(400, f"Invalid value at 'requests[{index}].task_type' (TaskType), \"{each['taskType']}\"")
        text = "".join([part["text"] for part in each["content"].get("parts") or ()])
        if not text:
            raise Rejected(400, f"* {place}.content: contents is not specified\n")
        texts.append(text)
    widths = {each.get("outputDimensionality") or 3072 for each in requests}
    if len(widths) > 1 or not 0 < max(widths) <= _MOST_DIMENSIONS:
        raise Rejected(400, "* BatchEmbedContentsRequest.requests: output_dimensionality is out of range\n")
    return Inputs(inputs=tuple(texts), dimensions=widths.pop())


def read_cohere(body: Mapping[str, Any], model: str, strict: bool) -> Inputs:
    return _cohere_inputs(body, _COHERE, strict)


def _cohere_inputs(body: Mapping[str, Any], shape: Any, strict: bool) -> Inputs:
    refuse(find_flaw(body, shape, strict=strict))
    texts = body.get("texts") or []
    if not texts:
        raise Rejected(400, "invalid request: at least one text, image or input must be given.")
    if len(texts) > _COHERE_MOST:
        raise Rejected(
            400, f"invalid request: total number of texts must be at most {_COHERE_MOST} - received {len(texts)}."
        )
    if body.get("input_type") not in _COHERE_TYPES:
        raise Rejected(400, "invalid request: valid input_type must be provided with the provided model.")
    if any(kind != "float" for kind in body.get("embedding_types") or ()):
        raise Rejected(400, "invalid request: the simulator knows embedding_types [float] only.")
    width = body.get("output_dimension") or 1536
    if width not in (256, 512, 1024, 1536):
        raise Rejected(400, "invalid request: output_dimension must be one of 256, 512, 1024, 1536.")
    return Inputs(inputs=tuple(texts), dimensions=width)


def read_bedrock(body: Mapping[str, Any], model: str, strict: bool) -> Inputs:
    """`InvokeModel`, whose body is that of the model's maker."""
    if "cohere.embed" in model:
        return _cohere_inputs(body, _COHERE_AT_BEDROCK, strict)
    if "titan-embed-text" not in model:
        raise Rejected(400, "Malformed input request: the simulator invokes models that embed only.")
    flaw = find_flaw(body, _TITAN, strict=strict)
    if flaw is not None:
        raise bedrock_shape.complain(flaw)
    if not body["inputText"]:
        raise Rejected(
            400, "Malformed input request: expected minLength: 1, actual: 0, please reformat your input and try again."
        )
    width = body.get("dimensions")
    first = "titan-embed-text-v1" in model
    if width is not None and (first or width not in _TITAN_DIMENSIONS):
        raise Rejected(
            400,
            f"Malformed input request: {width} is not a valid enum value, please reformat your input and try again.",
        )
    return Inputs(inputs=(body["inputText"],), dimensions=1536 if first else width or 1024)
