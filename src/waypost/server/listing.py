"""What this key may call, in the shape of each protocol's own listing: OpenAI's, Anthropic's, Gemini's, Bedrock's.

What is not known of a model is left out, never guessed: a route is known to have what all that it may lead to have.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
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
VERSION = "anthropic-version"  # a header by which callers of that protocol are known
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
    """A protocol's listing: its path, one entry by name, all of them."""

    dialect: str
    path: str
    entry: Callable[[Model], Entry]
    page: Callable[[Sequence[Model]], Entry]


def listing_at(path: str, headers: Mapping[str, str]) -> Listing | None:
    """Two protocols have theirs at the same path, and are told apart by a header that one of them always sends."""
    for listing in (ANTHROPIC if VERSION in headers else OPENAI, GEMINI, BEDROCK):
        if path == listing.path or path.startswith(f"{listing.path}/"):
            return listing
    return None


def listed(gateway: Gateway, caller: Caller, listing: Listing, path: str) -> bytes:
    """All models, or the one that the path names. Raises Refused(UNKNOWN_MODEL)."""
    wanted = unquote(path[len(listing.path) + 1 :])
    at_s = gateway.clock.wall_ns() / 1e9
    if not wanted:
        return msgspec.json.encode(listing.page(models(gateway, caller, at_s)))
    for model in models(gateway, caller, at_s):
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


OPENAI = Listing("openai_chat", "/v1/models", _openai, _openai_page)
ANTHROPIC = Listing("anthropic", "/v1/models", _anthropic, _anthropic_page)
GEMINI = Listing("gemini", "/v1beta/models", _gemini, _gemini_page)
BEDROCK = Listing("bedrock", "/foundation-models", _bedrock_single, _bedrock_page)
