"""What each provider's own published types say of a request's body. Knows the official SDKs and nothing of Waypost.

The types are those of the SDKs, made strict: members that they don't know are refused, at every depth.
"""

import binascii
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import pydantic
from pydantic_core import SchemaValidator, ValidationError

Check = Callable[[bytes], None]

_TAKE_SAMPLERS = ("sonnet-4", "haiku-4", "opus-4-5", "3-")
_MOST_SHOWN = 6  # errors of one body


def check(dialect: str, body: bytes) -> None:
    """AssertionError that names what the provider's types refuse."""
    _CHECKS[dialect](body)


def accepts(dialect: str, body: bytes) -> bool:
    try:
        check(dialect, body)
    except AssertionError:
        return False
    return True


def _validate(validator: SchemaValidator, body: bytes) -> None:
    try:
        validator.validate_json(body, strict=True)
    except ValidationError as error:
        told = error.errors(include_url=False, include_context=False)
        told.sort(key=lambda each: -len(each["loc"]))
        shown = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}: {each['input']!r:.80}" for each in told]
        raise AssertionError("\n".join(shown[:_MOST_SHOWN])) from None


def _strict(kind: Any) -> SchemaValidator:
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(kind)
    return SchemaValidator(_closed(adapter.core_schema), {"val_json_bytes": "base64"})


def _closed(schema: Any) -> Any:
    """A schema in which objects have no members but their own, and lists are looked into (lazy ones are not)."""
    if isinstance(schema, list | tuple):
        return type(schema)(_closed(each) for each in schema)
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(inner) for name, inner in schema.items()}
    kind = closed.get("type")
    if kind in ("typed-dict", "model-fields") and "fields" in closed:
        closed["extra_behavior"] = "forbid"
        closed.pop("extras_schema", None)
        closed.pop("extras_keys_schema", None)
    elif kind in ("function-before", "function-wrap"):
        return closed["schema"]  # they only make more of what is given than JSON can say
    elif kind == "generator":
        closed["type"] = "list"
    elif kind == "model":
        # A model would be looked at by its own, open validator: only what it says of its members is kept.
        inner: dict[str, Any] = closed["schema"]
        return {**inner, "ref": closed["ref"]} if "ref" in closed else inner
    return closed


@cache
def _openai_chat() -> SchemaValidator:
    from openai.types.chat import CompletionCreateParams

    return _strict(CompletionCreateParams)


@cache
def _openai_responses() -> SchemaValidator:
    from openai.types.responses import ResponseCreateParams

    return _strict(ResponseCreateParams)


@cache
def _anthropic(samplers: bool) -> SchemaValidator:
    """The SDK has given up the samplers with the models that refuse them; earlier models take them as ever."""
    from anthropic.types import MessageCreateParams

    closed = _closed(pydantic.TypeAdapter(MessageCreateParams).core_schema)
    if samplers:
        number = {"type": "typed-dict-field", "schema": {"type": "float"}, "required": False}
        for fields in _fields_with(closed, "max_tokens"):
            fields.update(temperature=number, top_p=number, top_k=number)
    return SchemaValidator(closed)


def _fields_with(schema: Any, name: str) -> Iterator[dict[str, Any]]:
    """The fields of each object that has one of that name."""
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    fields = schema.get("fields") if isinstance(schema, dict) else None
    if isinstance(fields, dict) and name in fields:
        yield fields
    for each in inner:
        yield from _fields_with(each, name)


def _claude(body: bytes) -> None:
    model = json.loads(body)["model"]
    _validate(_anthropic(any(word in model for word in _TAKE_SAMPLERS)), body)


@cache
def _cohere() -> SchemaValidator:
    """The members are the parameters of the SDK's own `chat`, and `stream`, which it sets by the method."""
    from cohere.v2.client import V2Client

    told = inspect.signature(V2Client.chat).parameters
    fields: dict[str, Any] = {
        name: (each.annotation, ... if name in ("model", "messages") else None)
        for name, each in told.items()
        if name not in ("self", "request_options")
    }
    return _strict(pydantic.create_model("Chat", stream=(bool | None, None), **fields))


@cache
def _gemini() -> SchemaValidator:
    """As it is over the wire: what the SDK's callers give in one configuration stands in several members here."""
    from google.genai import types

    members: dict[str, Any] = {
        "contents": (list[types.Content], ...),
        "systemInstruction": (types.Content | None, None),
        "tools": (list[types.Tool] | None, None),
        "toolConfig": (types.ToolConfig | None, None),
        "safetySettings": (list[types.SafetySetting] | None, None),
        "generationConfig": (types.GenerationConfig | None, None),
        "cachedContent": (str | None, None),
        "serviceTier": (str | None, None),
        "labels": (dict[str, str] | None, None),
    }
    return _strict(pydantic.create_model("GenerateContent", **members))


def _bedrock(body: bytes) -> None:
    from dialects.bedrock.service import check_request

    try:
        check_request(json.loads(body))
    except binascii.Error as error:
        raise AssertionError(f"bytes that are not base64: {error}") from None


_CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "openai_chat": lambda body: _validate(_openai_chat(), body),
        "openai_responses": lambda body: _validate(_openai_responses(), body),
        "anthropic": _claude,
        "gemini": lambda body: _validate(_gemini(), body),
        "cohere": lambda body: _validate(_cohere(), body),
        "bedrock": _bedrock,
    }
)
