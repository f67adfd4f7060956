"""The dialects that are spoken here, by name: those that `config.dialects` lists, each from the folder of that name."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from waypost.config.dialects import DIALECTS as SPOKEN
from waypost.dialects.dialect import Dialect


def _load(name: str) -> Dialect:
    dialect = import_module(f"waypost.dialects.{name}").DIALECT
    assert isinstance(dialect, Dialect)
    assert dialect.name == name
    return dialect


DIALECTS: Mapping[str, Dialect] = MappingProxyType({name: _load(name) for name in SPOKEN})
