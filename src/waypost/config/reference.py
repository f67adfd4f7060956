"""The reference of waypost.yaml and of the provider catalogue, printed from the tables that read them.

`python -m waypost.config.reference configuration` and `… providers` print docs/configuration.md and docs/providers.md.
"""

import sys
from collections.abc import Iterator

from msgspec import Struct

from waypost.config import catalogue
from waypost.config.credentials import AWS_VARIABLES
from waypost.config.fields import Field, Section, anchor
from waypost.config.model import Address, Auth, ProviderClass
from waypost.config.provider_sections import QUIRKS
from waypost.config.sections import SECTIONS

_OPENING = """# Configuration

*Printed by `python -m waypost.config.reference configuration`; a test fails while this page is not current.*

One YAML file: `--config FILE`, else `$WAYPOST_CONFIG`, else `./waypost.yaml`. Without a file, providers are taken from
the usual environment variables ([which](providers.md)); naming a key there is the consent to call that vendor.

`waypost init` writes a first file, `waypost check` reads one exactly as start-up does and prints everything that is
wrong with it, `waypost doctor` looks at what surrounds it.

**Read strictly.** An unknown key, a key given twice, a name that leads nowhere, a wrong unit: each is an error, all are
reported at once with file, line and path, and nothing starts. Numbers and `true`/`false` are plain words; text is taken
as it is written, so that `no`, `off`, `012` and `1:30` mean what they say. Anchors, aliases, tags, merge keys and
further documents are refused. At most 1 MiB, 24 levels deep, UTF-8, indented with spaces.

**References.** A secret (`api_key`, `keys[].key`) is `${NAME}`, `file:PATH` or, if it must be, the value itself.
`${NAME}` may also stand inside any other text (`base_url: https://${HOST}/v1`). A reference without a value behind
it is an error. Only the reference is kept: a secret is in no log, row, error or read-out. Paths are relative to the
working directory.

**Revision.** What a file means has a revision, 16 hex digits, which every row carries. Comments, spacing and the order
of names do not change it; secrets count by their reference.
"""

_UNITS = """
## Units

| written | meaning |
|---|---|
| seconds | a number without a unit: `0.5`, `30` |
| size | bytes, or a whole number with `B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`: `32KiB` |
| rate | `COUNT/UNIT` with `s`, `sec`, `second`, `min`, `minute`, `hour`, `day`: `1200/min` |
| dollars | a number, exact to nine decimals: `0.0375` |
| address | `HOST:PORT`; IPv6 in brackets: `127.0.0.1:8080`, `[::1]:8080` |
| tags | a mapping `{project: search}`, or a list `[project=search, batch]` |
"""

_PROVIDERS = """# Providers

*Printed by `python -m waypost.config.reference providers`; a test fails while this page is not current.*

A provider's `kind` names its entry here. Each is a file of ten to twenty lines in `src/waypost/upstream/providers/`:
one that speaks a known protocol is added without Python. Every fact can be overridden in the configuration.

Where a provider speaks several dialects, a caller who speaks one of them is passed through byte for byte; all others
are translated to the first. The further ones hold at the address given here: at a `base_url` of your own a provider
speaks the first one, or what [`dialect` or `dialects`](configuration.md#providersname) say.

Without a configuration file, a hosted provider is there if one of its variables for a key is set (and, where the
address is yours, the one for that), a local one if its address variable is. Bedrock is there if a region is set, and
either its bearer token or an access key id with its secret; the two kinds of Vertex AI need a file.
"""

_NOTES = """
## Regions

A region is given only where the vendor states that calls to that base URL are processed there. It holds for that base
URL only. A provider whose region is unknown is denied by a policy that lists regions: state `region` yourself where
your contract or endpoint settles it.

## Quirks

How a provider's protocol differs from the common ground. A parameter that would need a quirk that is not there is
dropped, as the route says.
"""


_RULE = "|---|---|---|---|---|---|---|\n"


def configuration() -> str:
    """docs/configuration.md."""
    return "".join([_OPENING, *_sections(), _UNITS])


def providers() -> str:
    """docs/providers.md."""
    entries = catalogue.entries()
    hosted = [entry for entry in entries if entry.provider_class is ProviderClass.HOSTED]
    local = [entry for entry in entries if entry.provider_class is ProviderClass.LOCAL]
    quirks = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in sorted(QUIRKS.items()))
    remarks = "".join(f"- **{entry.name}**: {entry.note}\n" for entry in entries if entry.note)
    return "".join(
        [
            _PROVIDERS,
            "\n## Hosted\n\n| kind | vendor | dialects | base URL | variables | region | quirks |\n",
            _RULE,
            *(_entry(entry, _variables(entry)) for entry in hosted),
            "\n## Local\n\n| kind | server | dialects | base URL | address variable | region | quirks |\n",
            _RULE,
            *(_entry(entry, entry.base_url_variables) for entry in local),
            "\n## Remarks\n\n",
            remarks,
            _NOTES,
            "\n| quirk | meaning |\n|---|---|\n",
            quirks,
        ]
    )


def _variables(entry: catalogue.Entry) -> tuple[str, ...]:
    login = entry.api_key_variables
    if entry.auth is Auth.SIGV4:
        login = (*login, *AWS_VARIABLES.values())
    return (*login, *entry.base_url_variables, *entry.region_variables)


def _entry(entry: catalogue.Entry, variables: tuple[str, ...]) -> str:
    regional = entry.regional_base_url and entry.regional_base_url.replace("{region}", "REGION")
    base_url = f"`{entry.base_url}`" if entry.base_url else f"yours: `{regional or entry.base_url_example}`"
    dialects = ", ".join(f"`{dialect}`" for dialect in (entry.dialect, *entry.also))
    names = ", ".join(f"`{name}`" for name in variables) or "none"
    quirks = ", ".join(f"`{quirk}`" for quirk in sorted(entry.quirks)) or "none"
    region = entry.region or "not stated"
    return f"| `{entry.name}` | {entry.title} | {dialects} | {base_url} | {names} | {region} | {quirks} |\n"


def _sections() -> Iterator[str]:
    for section in SECTIONS:
        yield f"\n## {section.path}\n" if section.path else "\n## The file\n"
        yield f"\n{section.meaning}\n\n| key | value | default | meaning |\n|---|---|---|---|\n"
        defaults = section.defaults()
        for field in section.fields:
            yield f"| `{field.key}` | {field.kind.label} | {_default(field, section, defaults)} | {field.meaning} |\n"


def _default(field: Field, section: Section, defaults: dict[str, object]) -> str:
    if field.required:
        return "**required**"
    if field.default is not None:
        return field.default
    value = defaults.get(field.member)
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case int():
            return f"`{_size(value)}`" if field.kind.label == "size" else f"`{value}`"
        case float():
            return f"`{value:g}`"
        case str() | Address():
            return f"`{value}`"
        case Struct():
            return f"as in [{field.key}](#{anchor(f'{section.path}.{field.key}'.lstrip('.'))})"
        case _:
            return "none"


def _size(value: int) -> str:
    return f"{value // 1024**2}MiB" if value % 1024**2 == 0 else f"{value // 1024}KiB"


def main(arguments: list[str]) -> int:
    pages = {"configuration": configuration, "providers": providers}
    if len(arguments) != 1 or arguments[0] not in pages:
        sys.stderr.write(f"usage: python -m waypost.config.reference {{{','.join(pages)}}}\n")
        return 2
    sys.stdout.write(pages[arguments[0]]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
