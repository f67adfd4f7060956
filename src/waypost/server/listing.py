"""What this key may call, in the shape of each protocol's own listing: OpenAI's and each other one's.

What is not known of a model is left out, never guessed: a route is known to have what all that it may lead to have.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from waypost.config.model import Policy
from waypost.conversation.faults import ErrorKind, Refused
from waypost.gateway.gateway import Gateway
from waypost.gateway.keyring import Caller
from waypost.governance.policy import Author, denial
from waypost.governance.pricing import describe
from waypost.routing.candidates import Candidate

EPOCH = datetime.fromtimestamp(0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
VERSION = "anthropic-version"
SDK_NAME = "x-fern-sdk-name"
GOOGLES = ("x-goog-api-key", "x-goog-api-client")
ARN = "arn:waypost:bedrock:::foundation-model/"
Entry = dict[str, Any]


class Model(Struct, frozen=True):
    """One name that may be called. None: not known. `pricing`: dollars per million tokens, decimal strings.

    `targets` are the `provider/model`s that it leads to, itself if it is one.
    """

    name: str
    targets: tuple[str, ...]
    context_window: int | None = None
    capabilities: tuple[str, ...] | None = None
    pricing: Mapping[str, str] | None = None


class Listing(Struct, frozen=True):
    """A protocol's listing: one entry by name, all of them."""

    dialect: str
    entry: Callable[[Model], Entry]
    page: Callable[[Sequence[Model]], Entry]


class Place(Struct, frozen=True):
    """A listing at a path. `name`: the one model that is asked for; "" for all."""

    listing: Listing
    name: str


def place_of(path: str, headers: Mapping[str, str]) -> Place | None:
    """Several protocols have theirs at one path. There they are told apart by the headers that their SDKs send."""
    for start, listing in LISTINGS.items():
        if path == start or path.startswith(f"{start}/"):
            name = unquote(path[len(start) + 1 :])
            return Place(_by_headers(headers) if listing is OPENAI else listing, name)
    return None


def _by_headers(headers: Mapping[str, str]) -> Listing:
    if VERSION in headers:
        return ANTHROPIC
    if any(name in headers for name in GOOGLES):
        return GEMINI
    return COHERE if headers.get(SDK_NAME) == "cohere" else OPENAI


def listed(gateway: Gateway, caller: Caller, place: Place) -> bytes:
    """All models, or the one by that name. Raises Refused(UNKNOWN_MODEL)."""
    listing, wanted = place.listing, place.name
    found = models(gateway, caller, gateway.clock.wall_ns() / 1e9)
    if not wanted:
        return msgspec.json.encode(listing.page(found))
    for model in found:
        if model.name == wanted:
            return msgspec.json.encode(listing.entry(model))
    raise Refused(ErrorKind.UNKNOWN_MODEL, f"No route and no listed model is named {wanted[:200]!r} here.")


def models(gateway: Gateway, caller: Caller, at_s: float) -> list[Model]:
    """Every name that this key may put into "model" and that leads to a provider which it may call."""
    names = gateway.tables.names()
    if caller.routes is not None:
        names = (*(name for name in names if name in caller.routes), *sorted(caller.routes.difference(names)))
    found = (_model(gateway, caller.policy, name, at_s) for name in names)
    return [model for model in found if model is not None]


def _model(gateway: Gateway, policy: Policy, name: str, at_s: float) -> Model | None:
    try:
        plan = gateway.tables.find(name).plan
    except Refused:
        return None
    allowed = [each for each in plan.candidates if _may_be_called(each, policy)]
    if not allowed:
        return None
    windows = [each.context_window for each in allowed]
    capabilities = [each.capabilities for each in allowed]
    prices = {each.price_at(at_s) for each in allowed}
    price = prices.pop() if len(prices) == 1 else None
    known = [window for window in windows if window is not None]
    common = [each for each in capabilities if each is not None]
    return Model(
        name,
        tuple(dict.fromkeys(each.target_key for each in allowed)),
        min(known) if len(known) == len(windows) else None,
        tuple(sorted(frozenset.intersection(*common))) if len(common) == len(capabilities) else None,
        None if price is None else describe(price),
    )


def _may_be_called(candidate: Candidate, policy: Policy) -> bool:
    key = denial(policy, Author.KEY, candidate.provider_class, candidate.region, candidate.provider)
    return candidate.denied is None and key is None


def _known(**members: object) -> Entry:
    return {name: value for name, value in members.items() if value is not None}


def _openai(model: Model) -> Entry:
    owner = model.name.partition("/")[0] if "/" in model.name else "waypost"
    told = _known(context_window=model.context_window, capabilities=model.capabilities, pricing=model.pricing)
    return {"id": model.name, "object": "model", "created": 0, "owned_by": owner, "targets": model.targets, **told}


def _openai_page(models: Sequence[Model]) -> Entry:
    return {"object": "list", "data": [_openai(model) for model in models]}


def _anthropic(model: Model) -> Entry:
    told = _known(max_input_tokens=model.context_window, waypost=_waypost(model))
    return {
        "type": "model",
        "id": model.name,
        "display_name": model.name,
        "created_at": EPOCH,
        "lifecycle": "active",
        **told,
    }


def _anthropic_page(models: Sequence[Model]) -> Entry:
    first, last = (models[0].name, models[-1].name) if models else (None, None)
    return {"data": [_anthropic(model) for model in models], "first_id": first, "last_id": last, "has_more": False}


def _gemini(model: Model) -> Entry:
    reasons = None if model.capabilities is None else "reasoning" in model.capabilities
    return {
        "name": f"models/{model.name}",
        "displayName": model.name,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent"],
        **_known(inputTokenLimit=model.context_window, thinking=reasons),
        "waypost": _waypost(model),
    }


def _gemini_page(models: Sequence[Model]) -> Entry:
    return {"models": [_gemini(model) for model in models]}


def _cohere(model: Model) -> Entry:
    return {
        "name": model.name,
        "endpoints": ["chat"],
        **_known(context_length=model.context_window),
        "waypost": _waypost(model),
    }


def _cohere_page(models: Sequence[Model]) -> Entry:
    return {"models": [_cohere(model) for model in models]}


def _bedrock(model: Model) -> Entry:
    sees = model.capabilities is not None and "images" in model.capabilities
    return {
        "modelArn": f"{ARN}{model.name}",
        "modelId": model.name,
        "modelName": model.name,
        "providerName": model.targets[0].partition("/")[0],
        "inputModalities": ["TEXT", "IMAGE"] if sees else ["TEXT"],
        "outputModalities": ["TEXT"],
        "responseStreamingSupported": True,
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE"},
        "waypost": _waypost(model),
    }


def _bedrock_page(models: Sequence[Model]) -> Entry:
    return {"modelSummaries": [_bedrock(model) for model in models]}


def _bedrock_single(model: Model) -> Entry:
    return {"modelDetails": _bedrock(model)}


def _waypost(model: Model) -> Entry:
    """What a protocol has no member of its own for."""
    told = _known(context_window=model.context_window, capabilities=model.capabilities, pricing=model.pricing)
    return {"targets": model.targets, **told}


OPENAI = Listing("openai_chat", _openai, _openai_page)
ANTHROPIC = Listing("anthropic", _anthropic, _anthropic_page)
GEMINI = Listing("gemini", _gemini, _gemini_page)
COHERE = Listing("cohere", _cohere, _cohere_page)
BEDROCK = Listing("bedrock", _bedrock_single, _bedrock_page)
LISTINGS = MappingProxyType({"/v1/models": OPENAI, "/v1beta/models": GEMINI, "/foundation-models": BEDROCK})
