"""The providers that are known by name, each a TOML file of facts. Knows their shape; refuses to know any provider.

The files are data beside the code that calls providers (`upstream/providers/`), read one by one as they are asked for.
"""

import tomllib
from pathlib import Path

from msgspec import Struct, convert

from waypost.config.model import ProviderClass

_FOLDER = Path(__file__).parent.parent / "upstream" / "providers"


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"provider_class": "class"}):
    """What is true of a provider wherever it is used.

    `base_url` None: each customer has their own. `api_key_variables` are the environment variables in which people keep
    its key, `base_url_variables` those that say where it is; `base_url_suffix` turns the latter into what the dialect
    needs. `region` only where the vendor states that calls are processed there.
    """

    name: str
    title: str
    dialect: str
    provider_class: ProviderClass
    base_url: str | None = None
    base_url_variables: tuple[str, ...] = ()
    base_url_suffix: str = ""
    base_url_example: str | None = None
    api_key_variables: tuple[str, ...] = ()
    auth_header: str = "authorization"
    auth_prefix: str = "Bearer "
    headers: dict[str, str] = {}
    region: str | None = None
    max_output_field: str | None = None
    count_tokens: bool = False
    price_source: str | None = None
    quirks: frozenset[str] = frozenset()
    capabilities: frozenset[str] | None = None
    suggested: dict[str, str] = {}
    note: str = ""


def find(kind: str) -> Entry | None:
    """The entry of a kind, or None for a kind that is not in the catalogue."""
    path = _FOLDER / f"{kind.replace('.', '-')}.toml"
    if not kind.replace("-", "").replace(".", "").isalnum() or not path.is_file():
        return None
    entry = _read(path)
    return entry if entry.name == kind else None


def entries() -> tuple[Entry, ...]:
    """Every entry, by name."""
    return tuple(sorted((_read(path) for path in _FOLDER.glob("*.toml")), key=lambda entry: entry.name))


def _read(path: Path) -> Entry:
    return convert(tomllib.loads(path.read_text(encoding="utf-8")), Entry)
