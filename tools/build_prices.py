"""Builds src/waypost/governance/prices.jsonl from the installed `genai-prices`. Run it when that package is updated.

A header line, then one line a provider: {"id", "fallbacks", "models": [[id, clause, context window, dated prices]…]},
in the array forms of governance/pricing.py. Only what a token-priced call needs is kept: batch, priority and other
variants that depend on a request's context are left out, so the standard price applies.
"""

import re
import sys
from datetime import time
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.metadata import version
from pathlib import Path

import msgspec
from genai_prices import types
from genai_prices.data_snapshot import get_snapshot

from waypost.governance.pricing import DatedPrice, Price

TABLE = Path(__file__).parent.parent / "src/waypost/governance/prices.jsonl"
_NANO = 1_000_000_000
_OTHER_INPUT = re.compile(r"(input|cache)_(audio|image|video|text|tool)\w*_mtok")
_OTHER_OUTPUT = re.compile(r"output_(?!reasoning)\w+_mtok")


def build() -> bytes:
    """The whole table, ending in a line feed."""
    header = {"source": "genai-prices", "version": version("genai-prices")}
    lines = [header, *(_provider(provider) for provider in get_snapshot().providers)]
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def _provider(provider: types.Provider) -> dict[str, object]:
    return {
        "id": provider.id,
        "fallbacks": provider.fallback_model_providers or [],
        "models": [
            [model.id, _clause(model.match), model.context_window, _dated_prices(model)] for model in provider.models
        ],
    }


def _clause(match: types.MatchLogic) -> list[object]:
    match match:
        case types.ClauseEquals():
            return ["=", match.equals.lower()]
        case types.ClauseStartsWith():
            return ["^", match.starts_with.lower()]
        case types.ClauseEndsWith():
            return ["$", match.ends_with.lower()]
        case types.ClauseContains():
            return ["*", match.contains.lower()]
        case types.ClauseRegex():
            return ["~", match.regex]
        case types.ClauseOr():
            return ["|", *(_clause(part) for part in match.or_)]
        case types.ClauseAnd():
            return ["&", *(_clause(part) for part in match.and_)]


def _dated_prices(model: types.ModelInfo) -> list[DatedPrice]:
    if isinstance(model.prices, types.ModelPrice):
        return [DatedPrice(_price(model, model.prices))]
    return [_dated(conditional, _price(model, conditional.prices)) for conditional in model.prices]


def _dated(conditional: types.ConditionalPrice, price: Price | None) -> DatedPrice:
    match conditional.constraint:
        case None:
            return DatedPrice(price)
        case types.StartDateConstraint(start_date=day):
            return DatedPrice(price, from_day=day.toordinal() - 719_163)
        case types.TimeOfDateConstraint(start_time=start, end_time=end):
            if any(moment.tzinfo is not None and moment.utcoffset() for moment in (start, end)):
                raise ValueError(f"the interval is not in UTC: {conditional!r:.200}")
            return DatedPrice(price, from_second=_second(start), to_second=_second(end))


def _second(moment: time) -> int:
    return moment.hour * 3600 + moment.minute * 60 + moment.second


def _price(model: types.ModelInfo, told: types.ModelPrice) -> Price | None:
    """None where text tokens have no price. A name in `:free` without prices is free; an embedding has no output."""
    prices = {key: value for key, value in vars(told).items() if value is not None}
    if not prices and model.id.endswith(":free"):
        return Price(0, 0, 0, 0, 0, 0)
    if "input_mtok" not in prices:
        return None
    if "output_mtok" not in prices and any(_OTHER_OUTPUT.fullmatch(key) for key in prices):
        return None
    starts = sorted(
        {t.start for value in prices.values() if isinstance(value, types.TieredPrices) for t in value.tiers}
    )
    tiers = tuple((start, _flat(model, prices, start)) for start in starts)
    return msgspec.structs.replace(_flat(model, prices, -1), tiers=tiers)


def _flat(model: types.ModelInfo, prices: dict[str, Decimal | types.TieredPrices], start: int) -> Price:
    """The price of a call whose input is just above `start` tokens."""
    unit = {key: _nano(_above(value, start)) for key, value in prices.items() if key.endswith("_mtok")}
    cache_write = unit.get("cache_write_mtok", unit.get("cache_write_5m_mtok", unit["input_mtok"]))
    hour = unit.get("cache_write_1h_mtok")
    if hour is None:
        # Anthropic's rule, where a reseller's row does not state it: writing for an hour costs twice the input.
        hour = (
            max(cache_write, 2 * unit["input_mtok"])
            if "claude" in model.id and "cache_write_mtok" in unit
            else cache_write
        )
    output = unit.get("output_mtok", 0)
    request = prices.get("requests_kcount")
    return Price(
        input=unit["input_mtok"],
        cache_read=unit.get("cache_read_mtok", unit["input_mtok"]),
        cache_write=cache_write,
        cache_write_1h=hour,
        output=output,
        reasoning=unit.get("output_reasoning_mtok", output),
        request=0 if request is None else _nano(_above(request, start)) // 1000,
        other_input=max((value for key, value in unit.items() if _OTHER_INPUT.fullmatch(key)), default=0),
        other_output=max((value for key, value in unit.items() if _OTHER_OUTPUT.fullmatch(key)), default=0),
    )


def _above(value: Decimal | types.TieredPrices, start: int) -> Decimal:
    if not isinstance(value, types.TieredPrices):
        return value
    return next((tier.price for tier in reversed(value.tiers) if start >= tier.start), value.base)


def _nano(price: Decimal) -> int:
    """To whole nano-dollars; what is cut are the last bits of numbers that passed through a float at their source."""
    return int((price * _NANO).to_integral_value(ROUND_HALF_EVEN))


if __name__ == "__main__":
    sys.stdout.write(f"{TABLE.write_bytes(build())} bytes\n")
