"""Schemas: Google's own dialect of them (a part of OpenAPI 3.0, types in capitals) → JSON schema.

Writing needs no way back: what is JSON schema goes into the members that take JSON schema.
"""

from typing import Any

import msgspec
from msgspec import Raw

from waypost.conversation.blocks import Json
from waypost.dialects.gemini.wire_json import camel
from waypost.dialects.wire_json import ShapeError

_NAMES_OF_SCHEMAS = frozenset(("properties", "$defs", "defs"))
_SCHEMAS = frozenset(("items", "additionalProperties"))
_LISTS_OF_SCHEMAS = frozenset(("anyOf", "oneOf", "allOf", "prefixItems"))
_COUNTS = frozenset(("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"))
_SPELT = frozenset(
    (
        *(
            "any_of",
            "prefix_items",
            "additional_properties",
            "property_ordering",
            "min_items",
            "max_items",
            "min_length",
        ),
        *("min_length", "max_length", "min_properties", "max_properties"),
    )
)
_TYPES = frozenset(("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"))
_MARKS = tuple(
    f'"{name}"'.encode() for name in (*_TYPES, *_SPELT, "nullable", "propertyOrdering")
)  # without any of these it is JSON schema as it stands
_LIMIT = 100  # levels
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def read_schema(raw: Json, where: str) -> Json:
    """As received where it is JSON schema already. Raises ShapeError."""
    text = bytes(raw)
    if not any(mark in text for mark in _MARKS):
        return raw
    try:
        value: Any = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ShapeError(f"{where}: not valid JSON: {error}") from error
    converted = _converted(value, where, 0)
    if converted == value:
        return raw
    try:
        return Raw(_encode(converted))
    except (msgspec.EncodeError, OverflowError, UnicodeEncodeError) as error:
        raise ShapeError(f"{where}: {error}") from error


def _converted(schema: Any, where: str, depth: int) -> Any:
    if depth > _LIMIT:
        raise ShapeError(f"{where}: nested too deeply")
    if not isinstance(schema, dict):
        return schema
    written: dict[str, Any] = {}
    for name, value in schema.items():
        spelt = camel(name) if name in _SPELT else name
        if spelt in _NAMES_OF_SCHEMAS and isinstance(value, dict):
            written[spelt] = {key: _converted(inner, where, depth + 1) for key, inner in value.items()}
        elif spelt in _LISTS_OF_SCHEMAS and isinstance(value, list):
            written[spelt] = [_converted(inner, where, depth + 1) for inner in value]
        elif spelt in _SCHEMAS:
            written[spelt] = _converted(value, where, depth + 1)
        elif spelt == "type" and isinstance(value, str):
            written[spelt] = value.lower() if value in _TYPES else value
        elif spelt in _COUNTS and isinstance(value, str) and value.isdecimal():
            written[spelt] = int(value)  # 64-bit counts are strings in Google's JSON
        elif spelt not in ("nullable", "propertyOrdering"):
            written[spelt] = value
    if schema.get("nullable") is True:
        _allow_null(written)
    return written


def _allow_null(schema: dict[str, Any]) -> None:
    kind = schema.get("type")
    if isinstance(kind, str):
        schema["type"] = [kind, "null"]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"].append({"type": "null"})
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
