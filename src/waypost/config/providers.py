"""A provider as configured, completed from its catalogue entry. Knows which facts of an entry hold at another address.

An entry's region holds at its own base URL only; its price source and output field do not hold for a server of one's
own
(`class: local`) that merely speaks its protocol. A dialect that is not the kind's own brings the auth of the vendor who
invented it.
"""

from typing import Any

from waypost.config import catalogue
from waypost.config.fields import Reading, nearest
from waypost.config.model import Credential, PriceOverride, Provider, ProviderClass, Secret
from waypost.config.secrets import resolve
from waypost.config.urls import is_loopback, is_own_host, split_url
from waypost.conversation.faults import WaypostError

_VENDORS = {"openai_chat": "openai", "anthropic": "anthropic"}


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
    base_url = _base_url(reading, values, entry, path)
    provider_class = _class(reading, values, entry, base_url, path)
    credentials = _credentials(reading, values, entry, provider_class, base_url, path)
    prices = _prices(reading, values, path)
    if base_url is None:
        return None
    facts = _facts(values, entry, provider_class, base_url)
    return Provider(
        **facts,
        name=name,
        kind=kind,
        base_url=base_url,
        provider_class=provider_class,
        credentials=credentials,
        prices=prices,
        models=values.get("models"),
        rate_limit=values.get("rate_limit"),
        default_max_output=values.get("default_max_output"),
        query=values.get("query", ()),
        path=values.get("path"),
        proxy=values.get("proxy"),
        ca_file=values.get("ca_file"),
    )


def _facts(
    values: dict[str, Any], entry: catalogue.Entry, provider_class: ProviderClass, base_url: str
) -> dict[str, Any]:
    dialect = values.get("dialect", entry.dialect)
    foreign = dialect != entry.dialect
    speaker = catalogue.find(_VENDORS[dialect]) if foreign else entry
    assert speaker is not None
    is_imitation = foreign or (provider_class is ProviderClass.LOCAL and entry.provider_class is ProviderClass.HOSTED)
    own_address = base_url == entry.base_url
    return {
        "dialect": dialect,
        "auth_header": values.get("auth_header", speaker.auth_header).lower(),
        "auth_prefix": values.get("auth_prefix", speaker.auth_prefix),
        "headers": _headers(speaker.headers, values.get("headers", ())),
        "region": values.get("region", entry.region if own_address else None),
        "quirks": values.get("quirks", frozenset() if is_imitation else entry.quirks),
        "max_output_field": values.get("max_output_field", None if is_imitation else entry.max_output_field),
        "count_tokens": values.get("count_tokens", not foreign and entry.count_tokens),
        "price_source": values.get("price_source", entry.price_source if not is_imitation or foreign else None),
        "capabilities": values.get("capabilities", None if is_imitation else entry.capabilities),
    }


def _headers(of_vendor: dict[str, str], given: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    merged = {**of_vendor, **{name.lower(): value for name, value in given}}
    return tuple(merged.items())


def _base_url(reading: Reading, values: dict[str, Any], entry: catalogue.Entry, path: str) -> str | None:
    given = values.get("base_url")
    if given is None and not reading.knows(f"{path}.base_url"):
        if entry.base_url is None:
            reading.report(path, f"base_url is missing: kind {entry.name} needs it, as in {entry.base_url_example}")
        elif values.get("dialect", entry.dialect) != entry.dialect:
            reading.report(f"{path}.dialect", f"needs base_url: kind {entry.name} speaks {entry.dialect} at its own")
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


def _credentials(
    reading: Reading,
    values: dict[str, Any],
    entry: catalogue.Entry,
    provider_class: ProviderClass,
    base_url: str | None,
    path: str,
) -> tuple[Credential, ...]:
    if reading.knows(f"{path}.api_key") and reading.knows(f"{path}.profiles"):
        reading.report(f"{path}.profiles", "api_key or profiles, not both")
    if reading.knows(f"{path}.profiles"):
        if not values.get("credentials") and reading.is_good(f"{path}.profiles"):
            reading.report(f"{path}.profiles", "needs at least one profile")
        return tuple(Credential(name=name, api_key=secret) for name, secret in values.get("credentials", ()))
    if reading.knows(f"{path}.api_key"):
        return (Credential(name="default", api_key=values.get("api_key")),)
    usual = _usual_key(reading, entry) if base_url == entry.base_url else None
    if usual is None and provider_class is ProviderClass.HOSTED and base_url is not None and not _on_loopback(base_url):
        variable = entry.api_key_variables[0] if entry.api_key_variables else "NAME"
        reading.report(path, f"api_key is missing, as in api_key: ${{{variable}}}")
    return (Credential(name="default", api_key=usual),)


def _usual_key(reading: Reading, entry: catalogue.Entry) -> Secret | None:
    """The variable in which people keep this vendor's key: taken at the vendor's own address, never sent elsewhere."""
    for variable in entry.api_key_variables:
        secret = Secret(f"${{{variable}}}")
        try:
            resolve(secret, reading.environ)
        except WaypostError:
            continue
        return secret
    return None


def _on_loopback(base_url: str) -> bool:
    parts = split_url(base_url)
    return parts is not None and is_loopback(parts.hostname or "")


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
