"""The smallest instance that a JSON schema accepts, for the keywords that callers use. Never recurses without end."""

from collections.abc import Callable, Mapping
from typing import Any

_DEEPEST = 24
_FORMATS = {
    "date-time": "2025-01-01T00:00:00Z",
    "date": "2025-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "sim@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

Words = Callable[[], str]


def build_instance(schema: Any, word: Words) -> Any:
    """An instance of `schema`: required members only, shortest arrays, `word()` where any string will do."""
    return _instance(schema, schema, word, 0)


def _instance(schema: Any, root: Any, word: Words, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if isinstance(schema.get("$ref"), str):
        return _instance(_resolve(schema["$ref"], root), root, word, depth + 1)
    for union in ("anyOf", "oneOf"):
        if schema.get(union):
            return _instance(_simplest(schema[union]), root, word, depth + 1)
    if schema.get("allOf"):
        return _instance(_merge(schema, root), root, word, depth + 1)
    return _typed(schema, root, word, depth)


def _typed(schema: Mapping[str, Any], root: Any, word: Words, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    match kind or _implied(schema):
        case "object":
            members = schema.get("properties") or {}
            return {
                name: _instance(members.get(name, {"type": "string"}), root, word, depth + 1)
                for name in schema.get("required") or ()
            }
        case "array":
            return [_instance(schema.get("items"), root, word, depth + 1) for _ in range(_least(schema, "minItems"))]
        case "string":
            return _string(schema, word)
        case "integer":
            return int(_number(schema, whole=True))
        case "number":
            return _number(schema, whole=False)
        case "boolean":
            return True
        case _:
            return None


def _implied(schema: Mapping[str, Any]) -> str:
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _string(schema: Mapping[str, Any], word: Words) -> str:
    text = _FORMATS.get(schema.get("format", "")) or word()
    while len(text) < _least(schema, "minLength"):
        text += " " + word()
    longest = schema.get("maxLength")
    return text[:longest] if isinstance(longest, int) else text


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    step = schema.get("multipleOf")
    value: float = 1
    least, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    most, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if most is not None and value > most:
        value = most
    if below is not None and value >= below:
        value = below - (1 if whole else 0.5)
    if least is not None and value < least:
        value = least
    if above is not None and value <= above:
        value = above + (1 if whole or below is None else (below - above) / 2)
    if step and value % step:
        value += step - value % step
    return value


def _least(schema: Mapping[str, Any], name: str) -> int:
    value = schema.get(name, 0)
    return min(value, 1000) if isinstance(value, int) else 0


def _simplest(choices: list[Any]) -> Any:
    """The first branch that is not null: an answer that says something."""
    return next((one for one in choices if not (isinstance(one, Mapping) and one.get("type") == "null")), choices[0])


def _merge(schema: Mapping[str, Any], root: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in [*schema["allOf"], {name: value for name, value in schema.items() if name != "allOf"}]:
        branch = _resolve(part["$ref"], root) if isinstance(part, Mapping) and "$ref" in part else part
        for name, value in branch.items() if isinstance(branch, Mapping) else ():
            if name == "properties":
                value = {**merged.get(name, {}), **value}
            elif name == "required":
                value = [*merged.get(name, ()), *(one for one in value if one not in merged.get(name, ()))]
            merged[name] = value
    return merged


def _resolve(reference: str, root: Any) -> Any:
    found = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
    return found
