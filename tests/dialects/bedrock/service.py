"""What Amazon's own model of the service says of a body: the types, bounds, patterns and words that it accepts."""

import base64
import re
from functools import cache
from typing import Any

import pytest

LEGAL_ELSEWHERE = {"Document"}  # JSON of any shape


@cache
def model() -> Any:
    session = pytest.importorskip("botocore.session")
    return session.get_session().get_service_model("bedrock-runtime")


def check_request(body: dict[str, Any]) -> None:
    validate = pytest.importorskip("botocore.validate")
    shape = model().operation_model("Converse").input_shape
    params = converted(body, shape, "")
    report = validate.ParamValidator().validate({**params, "modelId": "m"}, shape)
    assert not report.has_errors(), report.generate_report()


def check_reply(body: dict[str, Any]) -> None:
    converted(body, model().operation_model("Converse").output_shape, "")


def converted(value: Any, shape: Any, where: str) -> Any:
    """As boto3 takes it: bytes for base64. Checks what boto3 leaves to the service: names, patterns, words, bounds."""
    kind = shape.type_name
    if shape.name in LEGAL_ELSEWHERE or getattr(shape, "is_document_type", False):
        return value
    if kind == "structure":
        assert isinstance(value, dict), where
        unknown = set(value) - set(shape.members)
        assert not unknown, f"{where}: {unknown}"
        return {name: converted(inner, shape.members[name], f"{where}.{name}") for name, inner in value.items()}
    if kind == "list":
        assert isinstance(value, list), where
        return [converted(inner, shape.member, f"{where}[{place}]") for place, inner in enumerate(value)]
    if kind == "map":
        return {name: converted(inner, shape.value, f"{where}.{name}") for name, inner in value.items()}
    if kind == "blob":
        return base64.b64decode(value, validate=True)
    if kind == "string":
        assert isinstance(value, str), where
        told = shape.metadata
        assert not shape.enum or value in shape.enum, f"{where}: {value}"
        assert "pattern" not in told or re.fullmatch(told["pattern"], value), f"{where}: {value}"
        assert told.get("min", 0) <= len(value) <= told.get("max", len(value)), f"{where}: {value}"
    return value
