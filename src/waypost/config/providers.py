"""A provider as configured, completed from its catalogue entry. Knows which facts of an entry hold at another address.

An entry's region and its further dialects hold at its own base URL only; its price source and output field do not hold
for a server of one's own (`class: local`) that merely speaks its protocol. A dialect that the entry does not speak at
that address brings the auth of the vendor who invented it.
"""

from typing import Any

from msgspec.structs import replace

from waypost.config import catalogue
from waypost.config.credentials import read_credentials
from waypost.config.dialects import DIALECTS
from waypost.config.fields import Reading, nearest
from waypost.config.model import Auth, PriceOverride, Provider, ProviderClass
from waypost.config.urls import is_own_host, split_url

_NOTHING = catalogue.Also()


def complete(reading: Reading, name: str, values: dict[str, Any], path: str) -> Provider | None:
    """The provider that these members describe, or None once it is reported why there is none."""
    kind = values.get("kind")
    if kind is None:
        return None
    entry = catalogue.find(kind)
    if entry is None:
        known = tuple(known.name for known in catalogue.entries())
        reading.report(f"{path}.kind", f"unknown kind{nearest(kind, known)} (one of {', '.join(known)})")
        return None
    values = _at_known_place(values, entry)
    base_url = _base_url(reading, values, entry, path)
    provider_class = _class(reading, values, entry, base_url, path)
    dialects = _dialects(reading, values, entry, base_url, path)
    facts = [_facts(values, entry, provider_class, base_url or "", dialect) for dialect in dialects]
    credentials = read_credentials(reading, values, entry, provider_class, facts[0]["auth"], base_url, path)
    prices = _prices(reading, values, path)
    if base_url is None:
        return None
    first, *others = (
        Provider(
            **each,
            name=name,
            kind=kind,
            provider_class=provider_class,
            credentials=credentials,
            prices=prices,
            models=values.get("models"),
            rate_limit=values.get("rate_limit"),
            default_max_output=values.get("default_max_output"),
            query=values.get("query", ()),
            proxy=values.get("proxy"),
            ca_file=values.get("ca_file"),
        )
        for each in facts
    )
    return replace(first, also=tuple(others))


def _at_known_place(values: dict[str, Any], entry: catalogue.Entry) -> dict[str, Any]:
    """A base URL that is the vendor's own for a further dialect says that this one is spoken."""
    base_url = values.get("base_url")
    if entry.base_url is None or base_url in (None, entry.base_url) or "dialect" in values or "also" in values:
        return values
    for dialect, more in entry.also.items():
        if base_url == _place(entry.base_url, more, entry.dialect, dialect):
            return {**values, "base_url": entry.base_url, "dialect": dialect}
    return values


def _first(values: dict[str, Any], entry: catalogue.Entry) -> str:
    """The dialect that it speaks where the caller's is not among its own."""
    listed: tuple[str, ...] = values.get("also") or (values.get("dialect", entry.dialect),)
    return listed[0]


def _vendor(dialect: str) -> catalogue.Entry:
    vendor = catalogue.find(DIALECTS[dialect].vendor)
    assert vendor is not None
    return vendor


def _dialects(
    reading: Reading, values: dict[str, Any], entry: catalogue.Entry, base_url: str | None, path: str
) -> tuple[str, ...]:
    """Those it speaks, the preferred one first."""
    if reading.knows(f"{path}.dialect") and reading.knows(f"{path}.dialects"):
        reading.report(f"{path}.dialects", "dialect or dialects, not both")
    if values.get("also"):
        return tuple(values["also"])
    if "dialect" in values:
        return (values["dialect"],)
    # a path of one's own is one dialect's, and says that this is not the vendor's usual place
    further = entry.also if base_url and entry.is_own_address(base_url) and "path" not in values else ()
    return (entry.dialect, *further)


def _facts(
    values: dict[str, Any],
    entry: catalogue.Entry,
    provider_class: ProviderClass,
    base_url: str,
    dialect: str,
) -> dict[str, Any]:
    """What is true of the provider as it speaks this dialect."""
    own_address = entry.is_own_address(base_url)
    further = entry.also.get(dialect) if own_address else None
    foreign = dialect != entry.dialect and further is None
    speaker = _vendor(dialect) if foreign else entry
    more = further or _NOTHING
    is_first = dialect == _first(values, entry)
    is_imitation = foreign or (provider_class is ProviderClass.LOCAL and entry.provider_class is ProviderClass.HOSTED)
    facts: dict[str, Any] = {
        "dialect": dialect,
        "base_url": _place(base_url, more, entry.dialect if own_address else _first(values, entry), dialect),
        "auth": values.get("auth", more.auth or speaker.auth),
        "auth_header": values.get("auth_header", more.auth_header or speaker.auth_header),
        "auth_prefix": values.get("auth_prefix", speaker.auth_prefix if more.auth_prefix is None else more.auth_prefix),
        "headers": _headers({**speaker.headers, **more.headers}, values.get("headers", ())),
        "region": values.get("region", entry.region if own_address else None),
        "path": more.path if further else None if foreign else entry.path,
        "stream_path": more.stream_path if further else None if foreign else entry.stream_path,
        "price_source": values.get("price_source", entry.price_source if not is_imitation or foreign else None),
        "capabilities": values.get("capabilities", None if is_imitation else entry.capabilities),
    }
    of_entry: catalogue.Entry | catalogue.Also = more if further else entry
    facts["quirks"] = frozenset() if is_imitation else of_entry.quirks
    facts["max_output_field"] = None if is_imitation else of_entry.max_output_field
    facts["count_tokens"] = not foreign and of_entry.count_tokens
    if facts["auth"] is not Auth.QUERY:
        facts["auth_header"] = facts["auth_header"].lower()
    if is_first:  # what is said of a provider is said of the dialect that it is known by
        for member in ("quirks", "max_output_field", "count_tokens"):
            facts[member] = values.get(member, facts[member])
        if "path" in values:
            facts["path"], facts["stream_path"] = values["path"], values.get("stream_path")
        else:
            facts["stream_path"] = values.get("stream_path", facts["stream_path"])
    return facts


def _place(base_url: str, more: catalogue.Also, first: str, dialect: str) -> str:
    """Where a dialect is spoken: its own place, else at `base_url`, which is the `first` one's, as its SDK has it."""
    if more.base_url is not None:
        return f"{base_url}{more.base_url}" if more.base_url.startswith("/") else more.base_url
    of_first, of_this = DIALECTS[first].version, DIALECTS[dialect].version
    return base_url if of_first == of_this else base_url.removesuffix(of_first) + of_this


def _headers(of_vendor: dict[str, str], given: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    merged = {**of_vendor, **{name.lower(): value for name, value in given}}
    return tuple(merged.items())


def _base_url(reading: Reading, values: dict[str, Any], entry: catalogue.Entry, path: str) -> str | None:
    given = values.get("base_url")
    if given is None and not reading.knows(f"{path}.base_url"):
        region = values.get("region")
        spoken = (entry.dialect, *entry.also)
        strange = [name for name in (*values.get("also", ()), values.get("dialect")) if name and name not in spoken]
        if entry.regional_base_url is not None:
            if region is None and not reading.knows(f"{path}.region"):
                reading.report(path, f"region is missing: kind {entry.name} needs it, or base_url")
            return None if region is None else entry.regional_base_url.replace("{region}", region)
        if entry.base_url is None:
            reading.report(path, f"base_url is missing: kind {entry.name} needs it, as in {entry.base_url_example}")
        elif strange:
            member = "dialect" if reading.knows(f"{path}.dialect") else "dialects"
            told = f"needs base_url: kind {entry.name} speaks {', '.join(spoken)} at its own"
            reading.report(f"{path}.{member}", told)
        elif values.get("provider_class") == ProviderClass.LOCAL and entry.provider_class is ProviderClass.HOSTED:
            reading.report(f"{path}.class", f"local needs base_url: {entry.title} itself is hosted")
        return entry.base_url
    return str(given) if given is not None else None


def _class(
    reading: Reading, values: dict[str, Any], entry: catalogue.Entry, base_url: str | None, path: str
) -> ProviderClass:
    given: ProviderClass | None = values.get("provider_class")
    if given is not None:
        return given
    parts = split_url(base_url) if base_url is not None else None
    if entry.provider_class is ProviderClass.LOCAL and parts is not None and not is_own_host(parts.hostname or ""):
        reading.report(f"{path}.base_url", "is this your own machine or a vendor's? say class: local or class: hosted")
    return entry.provider_class


def _prices(reading: Reading, values: dict[str, Any], path: str) -> tuple[tuple[str, PriceOverride], ...]:
    prices: tuple[tuple[str, PriceOverride], ...] = values.get("prices", ())
    models = values.get("models")
    for model, _ in prices:
        at = reading.path_below(f"{path}.prices", model)
        if "*" in model and model != "*":
            reading.report(at, 'a model\'s whole name, or "*" for all others')
        elif models is not None and model != "*" and model not in models:
            reading.report(at, f"not one of this provider's models{nearest(model, models)}")
    return tuple(sorted(prices, key=lambda pair: pair[0] == "*"))
