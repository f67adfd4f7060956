"""The shape of JSON, as data: which members an object may and must have, and of which type. Finds the first flaw.

Knows JSON types. Refuses to know protocols: what is said of a flaw, each says in its own words.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, assert_never

from msgspec import Struct

_DEEPEST = 64


class Kind(StrEnum):
    TEXT = "string"
    WHOLE = "integer"
    NUMBER = "number"
    FLAG = "boolean"
    OBJECT = "object"  # of any members
    ANY = "value"


class Many(Struct, frozen=True):
    of: "Shape"


class Record(Struct, frozen=True):
    """`required` members must be there and not null; with `union`, exactly one member must be."""

    members: Mapping[str, "Shape"]
    required: tuple[str, ...] = ()
    union: bool = False


Shape = Kind | Many | Record


class FlawKind(StrEnum):
    MISSING = "missing"
    UNKNOWN = "unknown"
    TYPE = "type"
    UNION = "union"


class Flaw(Struct, frozen=True):
    """`path`: to the object for UNKNOWN, MISSING and UNION (`name` is the member), to the value for TYPE."""

    kind: FlawKind
    path: tuple[str | int, ...]
    name: str = ""
    expected: str = ""
    found: Any = None


def record(untyped: str, /, *required: str, union: bool = False, **shapes: Shape) -> Record:
    """Members named in `untyped` may be of any type; `shapes` says of which the others are."""
    members: dict[str, Shape] = {**dict.fromkeys(untyped.split(), Kind.ANY), **shapes}
    return Record(members, required, union)


def find_flaw(value: Any, shape: Shape, *, strict: bool, path: tuple[str | int, ...] = ()) -> Flaw | None:
    """`strict`: members that no record names are flaws, too. A null counts as a member left out."""
    if len(path) > _DEEPEST:
        return Flaw(FlawKind.TYPE, path, expected="a shallower value")
    match shape:
        case Kind():
            return None if _is(value, shape) else Flaw(FlawKind.TYPE, path, expected=shape.value, found=value)
        case Many(of=each):
            if not isinstance(value, list):
                return Flaw(FlawKind.TYPE, path, expected="array", found=value)
            flaws = (find_flaw(item, each, strict=strict, path=(*path, index)) for index, item in enumerate(value))
            return next((flaw for flaw in flaws if flaw is not None), None)
        case Record():
            return _find_in_record(value, shape, strict, path)
        case _:
            assert_never(shape)


def _find_in_record(value: Any, shape: Record, strict: bool, path: tuple[str | int, ...]) -> Flaw | None:
    if not isinstance(value, dict):
        return Flaw(FlawKind.TYPE, path, expected="object", found=value)
    for name, member in value.items():
        known = shape.members.get(name)
        if known is None:
            if strict:
                return Flaw(FlawKind.UNKNOWN, path, name)
        elif member is not None:
            flaw = find_flaw(member, known, strict=strict, path=(*path, name))
            if flaw is not None:
                return flaw
    for name in shape.required:
        if value.get(name) is None:
            return Flaw(FlawKind.MISSING, path, name)
    if shape.union and sum(member is not None for member in value.values()) != 1:
        return Flaw(FlawKind.UNION, path, ", ".join(shape.members))
    return None


def _is(value: Any, kind: Kind) -> bool:
    match kind:
        case Kind.TEXT:
            return isinstance(value, str)
        case Kind.WHOLE:
            return isinstance(value, int) and not isinstance(value, bool)
        case Kind.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case Kind.FLAG:
            return isinstance(value, bool)
        case Kind.OBJECT:
            return isinstance(value, dict)
        case Kind.ANY:
            return True
        case _:
            assert_never(kind)
