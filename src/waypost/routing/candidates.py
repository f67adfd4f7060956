"""A candidate is one target with one credential; a plan is every candidate of a route, compiled when it is loaded.

What is known before a call comes is here: names, prices, what the operator's policy says. What a call brings is in
`decision`; what the last minutes taught is in `health`.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import msgspec
from msgspec import Raw, Struct

from waypost.config.model import Policy, Provider, Route, Strategy, TargetRef
from waypost.governance.policy import Author, Denial, denial
from waypost.governance.pricing import DatedPrice, Price, PriceSeries, PriceTable, describe

DEFAULT_CREDENTIAL = "default"


class Candidate(Struct, frozen=True, kw_only=True):
    """`tier` 0: a target of the route; 1, 2, …: its fallbacks in order. `target`: which target of the plan it is of.

    `denied` is the operator's policy; `capabilities` and `context_window` None: not known. `target_key` and
    `credential_key` name its breakers.
    """

    index: int
    target: int
    tier: int
    provider: str
    model: str
    credential: str
    target_key: str
    credential_key: str
    provider_class: str
    region: str | None = None
    weight: float = 1.0
    capabilities: frozenset[str] | None = None
    context_window: int | None = None
    denied: Denial | None = None
    prices: PriceSeries | None = None
    dialect: str | None = None  # the only one to speak, where the target says so
    units: tuple[int, int, int] | None = None  # of `prices`, where they are one price for all times and sizes

    def price_at(self, at_s: float) -> Price | None:
        """The price of a call made at `at_s`, seconds since 1970; None: not known."""
        return None if self.prices is None else self.prices.at(at_s)


class Plan(Struct, frozen=True, kw_only=True):
    """A route, or a target that was named directly (`route` None), ready to decide by.

    `id` is a hash of `statics`, the JSON object that records the plan once for all decisions made by it. The last
    four members prepare the common case: a call about which nothing stands out.
    """

    id: str
    name: str  # what a caller puts into "model" to come here
    route: str | None
    settings: Route
    strategy: Strategy
    candidates: tuple[Candidate, ...]
    statics: bytes
    groups: tuple[tuple[Candidate, ...], ...]  # the candidates of each target
    capabilities: frozenset[str] | None  # that all candidates are known to have; None: nobody's are known
    any_denied: bool
    single_order: tuple[int, ...] | None  # the order, where strategy and credentials leave no choice

    @property
    def raw_statics(self) -> Raw:
        """`statics` to be put into other JSON as it is."""
        return Raw(self.statics)


class CandidateRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A candidate in the record: all that a decision reads of it."""

    provider: str
    model: str
    credential: str
    target: int
    tier: int
    provider_class: str = msgspec.field(name="class")
    weight: float = 1.0
    region: str | None = None
    capabilities: frozenset[str] | None = None
    context_window: int | None = None
    denied: Denial | None = None
    prices: tuple[dict[str, str], ...] = ()
    dialect: str | None = None


class PlanRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A plan in the record."""

    name: str
    route: str | None
    strategy: Strategy
    revision: str
    candidates: tuple[CandidateRecord, ...]


def compile_plan(
    settings: Route,
    route: str | None,
    providers: dict[str, Provider],
    policy: Policy,
    prices: PriceTable,
    revision: str,
) -> Plan:
    """Every target and fallback of `settings`, each with every credential of its provider, in configured order."""
    candidates: list[Candidate] = []
    tiers = [(reference, 0) for reference in settings.targets]
    tiers += [(reference, tier) for tier, reference in enumerate(settings.fallbacks, 1)]
    for target, (reference, tier) in enumerate(tiers):
        candidates.extend(
            _candidates(reference, target, tier, len(candidates), providers[reference.provider], policy, prices)
        )
    return _plan(settings, route, candidates, revision)


def narrowed(plan: Plan, kept: Sequence[int], revision: str) -> Plan:
    """The plan for calls that only the candidates `kept` can serve, which must be some: itself if these are all."""
    if len(kept) == len(plan.candidates):
        return plan
    candidates = [msgspec.structs.replace(plan.candidates[place], index=index) for index, place in enumerate(kept)]
    return _plan(plan.settings, plan.route, candidates, revision)


def _plan(settings: Route, route: str | None, candidates: Sequence[Candidate], revision: str) -> Plan:
    strategy, groups = settings.strategy, grouped(candidates)
    statics = msgspec.json.encode(
        PlanRecord(
            name=settings.name,
            route=route,
            strategy=strategy,
            revision=revision,
            candidates=tuple(_record(candidate) for candidate in candidates),
        ),
        order="deterministic",
    )
    drawn = strategy is not Strategy.ORDERED and sum(group[0].tier == 0 for group in groups) > 1
    fixed = len(candidates) == len(groups) and not drawn
    return Plan(
        id=blake2b(statics, digest_size=8).hexdigest(),
        name=settings.name,
        route=route,
        settings=settings,
        strategy=strategy,
        candidates=tuple(candidates),
        statics=statics,
        groups=groups,
        capabilities=_common(candidates),
        any_denied=any(candidate.denied for candidate in candidates),
        single_order=tuple(range(len(candidates))) if fixed else None,
    )


def restore_plan(statics: bytes) -> Plan:
    """A plan as a record tells it: enough to decide by again. Prices are text there; a decision records its bounds."""
    record = msgspec.json.decode(statics, type=PlanRecord)
    candidates = tuple(
        Candidate(
            index=index,
            target=each.target,
            tier=each.tier,
            provider=each.provider,
            model=each.model,
            credential=each.credential,
            target_key=f"{each.provider}/{each.model}",
            credential_key=f"{each.provider}/{each.credential}",
            provider_class=each.provider_class,
            region=each.region,
            weight=each.weight,
            capabilities=each.capabilities,
            context_window=each.context_window,
            denied=each.denied,
            dialect=each.dialect,
        )
        for index, each in enumerate(record.candidates)
    )
    return Plan(
        id=blake2b(statics, digest_size=8).hexdigest(),
        name=record.name,
        route=record.route,
        settings=Route(name=record.name, targets=(), strategy=record.strategy),
        strategy=record.strategy,
        candidates=candidates,
        statics=statics,
        groups=grouped(candidates),
        capabilities=_common(candidates),
        any_denied=any(candidate.denied for candidate in candidates),
        single_order=None,
    )


def grouped(candidates: Iterable[Candidate]) -> tuple[tuple[Candidate, ...], ...]:
    """Candidates by the target that they are of, in the order given."""
    groups: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.target, []).append(candidate)
    return tuple(tuple(group) for group in groups.values())


def _common(candidates: Sequence[Candidate]) -> frozenset[str] | None:
    known = [candidate.capabilities for candidate in candidates if candidate.capabilities is not None]
    return frozenset.intersection(*known) if known else None


def _candidates(
    reference: TargetRef, target: int, tier: int, start: int, provider: Provider, policy: Policy, prices: PriceTable
) -> list[Candidate]:
    names = [credential.name for credential in provider.credentials] or [DEFAULT_CREDENTIAL]
    series = prices.series_for(provider, reference.model)
    kind = provider.provider_class.value
    return [
        Candidate(
            index=start + offset,
            target=target,
            tier=tier,
            provider=provider.name,
            model=reference.model,
            credential=name,
            target_key=f"{provider.name}/{reference.model}",
            credential_key=f"{provider.name}/{name}",
            provider_class=kind,
            region=provider.region,
            weight=reference.weight,
            capabilities=provider.capabilities,
            context_window=None if series is None else series.context_window,
            denied=denial(policy, Author.OPERATOR, kind, provider.region, provider.name),
            prices=series,
            units=None if series is None else series.units,
            dialect=reference.dialect,
        )
        for offset, name in enumerate(names)
    ]


def _record(candidate: Candidate) -> CandidateRecord:
    series = candidate.prices
    return CandidateRecord(
        provider=candidate.provider,
        model=candidate.model,
        credential=candidate.credential,
        target=candidate.target,
        tier=candidate.tier,
        provider_class=candidate.provider_class,
        weight=candidate.weight,
        region=candidate.region,
        capabilities=candidate.capabilities,
        context_window=candidate.context_window,
        denied=candidate.denied,
        prices=() if series is None else tuple(_price_record(dated) for dated in series.prices),
        dialect=candidate.dialect,
    )


def _price_record(dated: DatedPrice) -> dict[str, str]:
    told = {} if dated.price is None else describe(dated.price)
    if dated.from_day is not None:
        told["from_day"] = str(dated.from_day)
    if dated.from_second is not None:
        told["between_seconds"] = f"{dated.from_second}-{dated.to_second}"
    return told
