"""`provider/model`, as routes and tasks name it. Knows its grammar; whether there is such a provider is checked
elsewhere.
"""

import re
from typing import Any

from waypost.config.dialects import DIALECTS
from waypost.config.fields import Field, Kind, Reading, Section, list_of, read_section
from waypost.config.kinds import choice, number, read_text
from waypost.config.model import TargetRef
from waypost.config.yaml_source import Node, Scalar

EXPECTED = "provider/model, such as openai/gpt-5-mini"
_REFERENCE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._:@+-]{0,127})/([\x21-\x7e]{1,256})")


def split_reference(text: str) -> tuple[str, str] | None:
    """Provider and model; the model part may have slashes of its own. None where it is not `provider/model`."""
    match = _REFERENCE.fullmatch(text)
    return (match[1], match[2]) if match is not None else None


def _reference(reading: Reading, node: Node, path: str) -> tuple[str, str] | None:
    text = read_text(reading, node, path, EXPECTED)
    if text is None:
        return None
    found = split_reference(text)
    if found is None:
        reading.report(path, f"must be {EXPECTED}")
    return found


REFERENCE = Kind("`provider/model`", _reference)

TARGET_SECTION = Section(
    path="routes.NAME.targets[]",
    meaning="A target with a weight or a dialect. Without either, `provider/model` alone will do.",
    struct=None,
    fields=(
        Field(
            key="model", kind=REFERENCE, required=True, meaning="`provider/model`; the model's part may have slashes."
        ),
        Field(
            key="weight",
            kind=number(maximum=1_000_000),
            default="`1`",
            meaning=(
                "Its share of calls, relative to the other targets' weights; read by `weighted`. 0 keeps it "
                "for fallback."
            ),
        ),
        Field(
            key="dialect",
            kind=choice(tuple(DIALECTS)),
            default="the caller's own, if the provider speaks it",
            meaning="The only protocol to speak with it; one of those that its provider speaks.",
        ),
    ),
)


def _target(reading: Reading, node: Node, path: str) -> TargetRef | None:
    if isinstance(node, Scalar):
        found = _reference(reading, node, path)
        return TargetRef(*found) if found is not None else None
    values: dict[str, Any] = read_section(reading, node, path, TARGET_SECTION)
    if "model" not in values:
        return None
    provider, model = values["model"]
    return TargetRef(provider, model, values.get("weight", 1.0), values.get("dialect"))


def _targets(reading: Reading, node: Node, path: str) -> tuple[tuple[str, TargetRef], ...]:
    """Each target with the path at which it stands: items that could not be read leave gaps in the counting."""
    listed = list_of(Kind("target", lambda reading, node, at: (at, _target(reading, node, at))))
    return tuple((at, target) for at, target in listed.read(reading, node, path) if target is not None)


TARGETS = Kind(f"list of `provider/model` or [{TARGET_SECTION.path}](#routesnametargets)", _targets)
