"""What is allowed and yet probably not meant. Knows a valid configuration; changes and refuses nothing."""

from collections.abc import Iterator

from waypost.config.model import Config, Policy, Provider, Route
from waypost.config.secrets import is_reference


def advise(config: Config) -> tuple[str, ...]:
    """One sentence a thing, each with the path it is about. No sentence holds a secret."""
    return (*_literals(config), *_regions(config), *_denied_routes(config), *_budgets(config), *_tasks(config))


def _literals(config: Config) -> Iterator[str]:
    for provider in config.providers:
        for credential in provider.credentials:
            if not all(is_reference(secret) for secret in credential.secrets):
                yield f"providers.{provider.name}: a key is written in the file; ${{NAME}} or file:PATH keeps it out"
    for key in config.keys:
        if key.key is not None and not is_reference(key.key):
            yield f"keys: {key.name} is written in the file; its hash will do"


def _regions(config: Config) -> Iterator[str]:
    if config.policy.regions is None:
        return
    for provider in config.providers:
        if provider.region is None:
            yield f"providers.{provider.name}: its region is not known, so the policy denies it; set region if you know"


def _denied_routes(config: Config) -> Iterator[str]:
    providers = {provider.name: provider for provider in config.providers}
    for route in config.routes:
        if not any(_allows(config.policy, providers[name]) for name in _providers_of(route)):
            yield f"routes.{route.name}: the policy denies every target and fallback"


def _providers_of(route: Route) -> set[str]:
    return {target.provider for target in (*route.targets, *route.fallbacks)}


def _allows(policy: Policy, provider: Provider) -> bool:
    return (
        (policy.classes is None or provider.provider_class in policy.classes)
        and (policy.regions is None or provider.region in policy.regions)
        and (policy.providers is None or provider.name in policy.providers)
    )


def _budgets(config: Config) -> Iterator[str]:
    teams = {key.team for key in config.keys}
    for budget in config.budgets:
        if budget.match.team is not None and budget.match.team not in teams:
            yield f"budgets: {budget.name} counts nothing: no key has team {budget.match.team}"
    if not config.budgets:
        return
    for provider in config.providers:
        if provider.price_source is None and not provider.prices:
            free = '{"*": {input: 0, output: 0}}'
            yield f"providers.{provider.name}: no price is known, so calls under a budget are refused; prices: {free}?"


def _tasks(config: Config) -> Iterator[str]:
    if config.tasks and "default" not in dict(config.tasks):
        yield "tasks: without default, a call of an unknown task type goes by its model alone"
