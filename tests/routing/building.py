"""Small configurations and plans for the tests of routing."""

from waypost.config.model import (
    Config,
    Credential,
    Policy,
    PriceOverride,
    Provider,
    ProviderClass,
    Route,
    Strategy,
    TargetRef,
)
from waypost.governance.policy import ALLOW_ALL
from waypost.governance.pricing import PriceTable
from waypost.routing.candidates import Plan, compile_plan
from waypost.routing.facts import Facts

TABLE = b"""{"source":"test"}
{"id":"acme","fallbacks":[],"models":[["large",["=","large"],200000,[[[3000000000,3000000000,3000000000,3000000000,9000000000,9000000000,0,0,0,[]],null,null,null]]],["small",["=","small"],8000,[[[1000000000,1000000000,1000000000,1000000000,2000000000,2000000000,0,0,0,[]],null,null,null]]]]}
{"id":"other","fallbacks":[],"models":[["small",["=","small"],8000,[[[1000000000,1000000000,1000000000,1000000000,2000000000,2000000000,0,0,0,[]],null,null,null]]],["only",["=","only"],null,[[null,null,null,null]]]]}
"""
PRICES = PriceTable(TABLE)
FACTS = Facts(at_s=1_790_000_000, input_bound=1000, output_bound=100)


def provider(
    name: str,
    *credentials: str,
    region: str | None = None,
    kind: ProviderClass = ProviderClass.HOSTED,
    models: tuple[str, ...] | None = None,
    prices: tuple[tuple[str, PriceOverride], ...] = (),
    source: str | None = None,
    capabilities: frozenset[str] | None = None,
) -> Provider:
    return Provider(
        name=name,
        kind=name,
        base_url="http://127.0.0.1:1",
        dialect="openai_chat",
        auth_header="authorization",
        auth_prefix="Bearer ",
        provider_class=kind,
        region=region,
        credentials=tuple(Credential(name=each, api_key=None) for each in credentials),
        models=models,
        prices=prices,
        price_source=source,
        capabilities=capabilities,
    )


def targets(*references: str) -> tuple[TargetRef, ...]:
    """Each `provider/model` or `provider/model*weight`."""
    built = []
    for reference in references:
        name, _, weight = reference.partition("*")
        owner, _, model = name.partition("/")
        built.append(TargetRef(owner, model, float(weight or 1)))
    return tuple(built)


def plan_of(
    providers: tuple[Provider, ...],
    wanted: tuple[TargetRef, ...],
    fallbacks: tuple[TargetRef, ...] = (),
    strategy: Strategy = Strategy.ORDERED,
    policy: Policy = ALLOW_ALL,
) -> Plan:
    settings = Route(name="fast", targets=wanted, fallbacks=fallbacks, strategy=strategy)
    return compile_plan(settings, "fast", {each.name: each for each in providers}, policy, PRICES, "r1")


def config_of(providers: tuple[Provider, ...], routes: tuple[Route, ...] = (), **members: object) -> Config:
    return Config(revision="r1", providers=providers, routes=routes, **members)  # type: ignore[arg-type]
