"""The providers that are known by name, each a TOML file of facts. Knows their shape; refuses to know any provider.

The files are data beside the code that calls providers (`upstream/providers/`), read one by one as they are asked for.
"""

import tomllib
from pathlib import Path

from msgspec import Struct, convert

from waypost.config.model import Auth, ProviderClass

_FOLDER = Path(__file__).parent.parent / "upstream" / "providers"


class Also(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further dialect that a provider speaks at its own address. What is None is as in the entry.

    `base_url`: in place of the entry's, or, where it begins with a slash, appended to it.
    """

    base_url: str | None = None
    path: str | None = None
    stream_path: str | None = None
    auth: Auth | None = None
    auth_header: str | None = None
    auth_prefix: str | None = None
    headers: dict[str, str] = {}
    max_output_field: str | None = None
    count_tokens: bool = False
    quirks: frozenset[str] = frozenset()


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"provider_class": "class"}):
    """What is true of a provider wherever it is used.

    `base_url` None: each customer has their own. `api_key_variables` are the environment variables in which people keep
    its key, `base_url_variables` those that say where it is; `base_url_suffix` turns the latter into what the dialect
    needs. `regional_base_url` is its address in a `{region}`, which `region_variables` may say. `region` only where the
    vendor states that calls are processed there. `also`: further dialects, by name.
    """

    name: str
    title: str
    dialect: str
    provider_class: ProviderClass
    base_url: str | None = None
    base_url_variables: tuple[str, ...] = ()
    base_url_suffix: str = ""
    base_url_example: str | None = None
    regional_base_url: str | None = None
    region_variables: tuple[str, ...] = ()
    path: str | None = None
    stream_path: str | None = None
    auth: Auth = Auth.HEADER
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
    also: dict[str, Also] = {}

    def is_own_address(self, base_url: str) -> bool:
        """Whether this is the vendor's own; where each customer has their own, any is taken for it."""
        if self.regional_base_url is not None:
            before, _, after = self.regional_base_url.partition("{region}")
            return base_url.startswith(before) and base_url.endswith(after) and "/" not in base_url[len(before) :]
        return self.base_url is None or base_url == self.base_url


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
