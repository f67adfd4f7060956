"""May this provider be called at all? The operator's policy, the key's, the caller's constraints: each only narrows.

When in doubt, no call: a provider without a region is denied wherever regions are listed. Knows rules; knows no health,
no price and no capability.
"""

from collections.abc import Collection
from enum import StrEnum

from msgspec import Struct

from waypost.config.model import Policy, Provider
from waypost.conversation.options import Constraints


class Rule(StrEnum):
    """Which kind of rule denied."""

    CLASS = "policy_class"
    REGION = "policy_region"
    PROVIDER = "policy_provider"


class Author(StrEnum):
    """Whose rule it was."""

    OPERATOR = "policy"
    KEY = "key"
    CALLER = "caller"


class Denial(Struct, frozen=True):
    rule: Rule
    author: Author


ALLOW_ALL = Policy()


def verdict(policy: Policy, key_policy: Policy, constraints: Constraints | None, provider: Provider) -> Denial | None:
    """The first rule that forbids `provider`, widest author first; None: it may be called."""
    kind, region, name = provider.provider_class.value, provider.region, provider.name
    return (
        denial(policy, Author.OPERATOR, kind, region, name)
        or denial(key_policy, Author.KEY, kind, region, name)
        or (constraints and constrained(constraints, kind, region))
        or None
    )


def denial(policy: Policy, author: Author, kind: str, region: str | None, provider: str) -> Denial | None:
    """What one policy says of a provider of this class and region."""
    if policy.classes is not None and kind not in policy.classes:
        return Denial(Rule.CLASS, author)
    if _outside(region, policy.regions):
        return Denial(Rule.REGION, author)
    if policy.providers is not None and provider not in policy.providers:
        return Denial(Rule.PROVIDER, author)
    return None


def constrained(constraints: Constraints, kind: str, region: str | None) -> Denial | None:
    """What the caller's own constraints say of a provider of this class and region."""
    if constraints.classes is not None and kind not in constraints.classes:
        return Denial(Rule.CLASS, Author.CALLER)
    return Denial(Rule.REGION, Author.CALLER) if _outside(region, constraints.regions) else None


def _outside(region: str | None, regions: Collection[str] | None) -> bool:
    return regions is not None and (region is None or region not in regions)
