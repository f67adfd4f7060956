"""What the parts of a configuration mean together: references that lead nowhere, names given twice, listeners without
keys.

Knows only members that were read well; a part that was broken is known by name, so that references to it are not
reported
a second time.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from waypost.config.fields import Reading, nearest
from waypost.config.model import (
    Address,
    Breaker,
    Budget,
    Key,
    Match,
    Policy,
    Route,
    Server,
    Strategy,
    TargetRef,
)
from waypost.config.secrets import digest_of, resolve
from waypost.config.targets import split_reference
from waypost.config.urls import is_loopback
from waypost.conversation.faults import WaypostError

Known = Mapping[str, tuple[str, ...] | None]  # provider name → the models it lists, None for any


def make_routes(reading: Reading, parts: Iterable[tuple[str, dict[str, Any]]], known: Known) -> tuple[Route, ...]:
    """The routes whose targets could all be read; what is wrong with the others is reported."""
    routes = []
    for name, values in parts:
        route = _make_route(reading, name, values, known)
        if route is not None:
            routes.append(route)
    return tuple(routes)


def _make_route(reading: Reading, name: str, values: dict[str, Any], known: Known) -> Route | None:
    path = reading.path_below("routes", name)
    if "targets" not in values:
        return None
    if not values["targets"] and reading.is_good(f"{path}.targets"):
        reading.report(f"{path}.targets", "needs at least one target")
    for member in ("targets", "fallbacks"):
        _check_targets(reading, values.get(member, ()), known)
    targets = tuple(target for _, target in values.pop("targets"))
    fallbacks = tuple(target for _, target in values.pop("fallbacks", ()))
    weighted = any(reading.knows(f"{path}.targets[{index}].weight") for index in range(len(targets)))
    strategy = values.pop("strategy", Strategy.WEIGHTED if weighted else Strategy.ORDERED)
    if targets and strategy is Strategy.WEIGHTED and not any(target.weight for target in targets):
        reading.report(f"{path}.targets", "every weight is 0: nothing could be chosen")
    return Route(name=name, targets=targets, fallbacks=fallbacks, strategy=strategy, **values) if targets else None


def _check_targets(reading: Reading, targets: Iterable[tuple[str, TargetRef]], known: Known) -> None:
    seen = set()
    for path, target in targets:
        at = f"{path}.model" if reading.knows(f"{path}.model") else path
        check_target(reading, at, target.provider, target.model, known)
        if str(target) in seen:
            reading.report(at, "given twice")
        seen.add(str(target))


def check_target(reading: Reading, path: str, provider: str, model: str, known: Known) -> None:
    """Reports a provider that is not configured, and a model that its provider does not list."""
    if provider not in known:
        reading.report(path, f"no provider has this name{nearest(provider, tuple(known))}")
        return
    models = known[provider]
    if models is not None and model not in models:
        reading.report(path, f"provider {provider} does not list this model{nearest(model, models)}")


def check_dialects(
    reading: Reading, routes: Iterable[tuple[str, dict[str, Any]]], spoken: Mapping[str, tuple[str, ...]]
) -> None:
    """Reports a target whose dialect its provider does not speak. `spoken`: of the providers that could be read."""
    for _, values in routes:
        for path, target in (*values.get("targets", ()), *values.get("fallbacks", ())):
            known = spoken.get(target.provider)
            if target.dialect is not None and known is not None and target.dialect not in known:
                reading.report(f"{path}.dialect", f"provider {target.provider} speaks {', '.join(known)}")


def check_tasks(
    reading: Reading, tasks: Iterable[tuple[str, str]], routes: tuple[str, ...], known: Known
) -> tuple[tuple[str, str], ...]:
    """The tasks as they are, each leading to a route or to `provider/model`."""
    tasks = tuple(tasks)
    for name, target in tasks:
        check_callable(reading, reading.path_below("tasks", name), target, routes, known)
    return tasks


def check_callable(reading: Reading, path: str, name: str, routes: tuple[str, ...], known: Known) -> None:
    """Reports a name that is no route, no `provider/model` that can be called, and no model that a provider lists."""
    listing = [provider for provider, models in known.items() if models is not None and name in models]
    reference = split_reference(name)
    if name in routes or len(listing) == 1:
        return
    if reference is not None:
        check_target(reading, path, *reference, known)
    elif listing:
        reading.report(path, f"more than one provider lists this model: {', '.join(listing)}; say provider/model")
    else:
        reading.report(path, f"no route has this name, and no provider lists it{nearest(name, routes)}")


def make_keys(
    reading: Reading, parts: Iterable[dict[str, Any]], routes: tuple[str, ...], known: Known
) -> tuple[Key, ...]:
    """The keys, each with one of hash and key, and no key twice."""
    keys = []
    names: dict[str, str] = {}
    digests: dict[str, str] = {}
    for index, values in enumerate(parts):
        path = f"keys[{index}]"
        _check_unique(reading, f"{path}.name", values.get("name"), names)
        _check_one_of_hash_and_key(reading, path)
        _check_unique(reading, *_digest_and_path(reading, path, values), digests)
        for name in sorted(values.get("routes", ())):
            check_callable(reading, reading.path_of_item(f"{path}.routes", name), name, routes, known)
        check_policy(reading, f"{path}.policy", values.get("policy"), known)
        if "name" in values:
            keys.append(Key(**values))
    return tuple(keys)


def _check_unique(reading: Reading, path: str, value: str | None, seen: dict[str, str]) -> None:
    if value is None:
        return
    if value in seen:
        reading.report(path, f"the same as {seen[value]}")
    seen.setdefault(value, path)


def _check_one_of_hash_and_key(reading: Reading, path: str) -> None:
    given = [member for member in ("hash", "key") if reading.knows(f"{path}.{member}")]
    if len(given) == 2:
        reading.report(f"{path}.key", "hash or key, not both")
    elif not given:
        reading.report(path, "hash or key is missing")


def _digest_and_path(reading: Reading, path: str, values: dict[str, Any]) -> tuple[str, str | None]:
    if "digest" in values:
        return f"{path}.hash", values["digest"]
    if "key" not in values:
        return path, None
    if not reading.with_secrets:
        return f"{path}.key", digest_of(values["key"].source)
    try:
        return f"{path}.key", digest_of(resolve(values["key"], reading.environ))
    except WaypostError:
        return path, None


def make_budgets(reading: Reading, parts: Iterable[dict[str, Any]], keys: frozenset[str]) -> tuple[Budget, ...]:
    """The budgets, each with a name of its own; a budget on a key needs that key."""
    budgets = []
    names: dict[str, str] = {}
    for index, values in enumerate(parts):
        path = f"budgets[{index}]"
        _check_unique(reading, f"{path}.name", values.get("name"), names)
        match = values.get("match", Match())
        if match.key is not None and match.key not in keys:
            reading.report(f"{path}.match.key", f"no key has this name{nearest(match.key, keys)}")
        if reading.knows(f"{path}.match.tag") and reading.knows(f"{path}.match.tags"):
            reading.report(f"{path}.match.tags", "tag or tags, not both")
        if "name" in values and "limit" in values:
            budgets.append(Budget(**values))
    return tuple(budgets)


def check_policy(reading: Reading, path: str, policy: Policy | None, known: Known) -> None:
    for provider in sorted(policy.providers or ()) if policy is not None else ():
        if provider not in known:
            at = reading.path_of_item(f"{path}.providers", provider)
            reading.report(at, f"no provider has this name{nearest(provider, tuple(known))}")


def check_server(reading: Reading, server: Server, has_keys: bool) -> None:
    """One worker; two listeners that don't meet; nothing but loopback without keys."""
    if server.workers > 1:
        reading.report("server.workers", "this release runs one worker")
    if server.listen.port != 0 and _meet(server.listen, server.admin):
        reading.report("server.admin", "the same address as server.listen")
    for member, address in (("listen", server.listen), ("admin", server.admin)):
        if not has_keys and not is_loopback(address.host):
            reading.report(f"server.{member}", "any address but loopback needs keys: nobody would be asked for one")


def _meet(one: Address, other: Address) -> bool:
    everywhere = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to
    same_host = one.host == other.host or one.host in everywhere or other.host in everywhere
    return one.port == other.port and same_host


def check_breaker(reading: Reading, breaker: Breaker) -> None:
    if breaker.max_cooldown_s < breaker.cooldown_s:
        member = "max_cooldown_s" if reading.knows("breaker.max_cooldown_s") else "cooldown_s"
        reading.report(f"breaker.{member}", "the longest cooldown must not be shorter than the first")
