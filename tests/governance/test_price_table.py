"""The committed table against the package it was built from: current, and of the same opinion on every model."""

import importlib.util
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import types as genai
from genai_prices.data_snapshot import get_snapshot

from waypost.conversation.reply import Usage
from waypost.governance.pricing import PriceTable, cost, packaged_prices

ROOT = Path(__file__).parents[2]
PROVIDERS = get_snapshot().providers
MOMENTS = [
    datetime(2026, 11, 21, 2, 30, tzinfo=UTC),
    datetime(2025, 1, 1, 12, tzinfo=UTC),
    datetime(2027, 6, 1, 23, tzinfo=UTC),
]
# (input, cache read, cache write, output): below, between and above the tiers.
USAGES = [(1000, 0, 0, 500), (10, 2000, 30, 7), (150_000, 40_000, 10_000, 1), (300_000, 300_000, 0, 64_000)]


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return packaged_prices()


def build_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_prices", ROOT / "tools" / "build_prices.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_table_is_current() -> None:
    tool: Any = build_tool()
    assert tool.TABLE.read_bytes() == tool.build(), "run: .venv/bin/python tools/build_prices.py"


def exact_names(clause: genai.MatchLogic) -> list[str]:
    if isinstance(clause, genai.ClauseEquals):
        return [clause.equals]
    return [name for part in clause.or_ for name in exact_names(part)] if isinstance(clause, genai.ClauseOr) else []


def names(provider: genai.Provider) -> set[str]:
    return {name for model in provider.models for name in (model.id, *exact_names(model.match))}


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.id)
def test_every_name_means_the_same_model_and_costs_the_same(provider: genai.Provider, table: PriceTable) -> None:
    for name in sorted(names(provider)):
        theirs = provider.find_model(name, all_providers=PROVIDERS)
        ours = table.series(provider.id, name)
        assert (None if theirs is None else theirs.id) == (None if ours is None else ours.model), name
        if theirs is None or ours is None:
            continue
        assert ours.context_window == theirs.context_window
        for moment in MOMENTS:
            price = ours.at(moment.timestamp())
            told = theirs.get_prices(moment)
            if price is None:
                assert told.input_mtok is None or told.output_mtok is None, name
                continue
            for plain, read, write, output in USAGES:
                usage = TheirUsage(
                    input_tokens=plain + read + write,
                    cache_read_tokens=read,
                    cache_write_tokens=write,
                    output_tokens=output,
                )
                mine = cost(price, Usage(input=plain, cache_read=read, cache_write=write, output=output))
                assert mine is not None
                nano = told.calc_price(usage)["total_price"] * Decimal(10**9)
                assert -1 < mine - nano < 2, (name, moment, mine, nano)


@pytest.mark.parametrize(
    ("source", "model", "least"),
    [("anthropic", "claude-haiku-4-5-20251001", 200_000), ("openai", "gpt-5-mini", 400_000)],
)
def test_models_of_the_day_have_a_price_and_a_window(table: PriceTable, source: str, model: str, least: int) -> None:
    found = table.find(source, model, MOMENTS[0].timestamp())
    assert found is not None
    assert found.price.input > 0
    assert found.context_window is not None
    assert found.context_window >= least


def test_an_hour_of_anthropics_cache_costs_twice_the_input_wherever_claude_is_sold(table: PriceTable) -> None:
    for source, model in (("anthropic", "claude-haiku-4-5"), ("openrouter", "anthropic/claude-haiku-4.5")):
        found = table.find(source, model, MOMENTS[0].timestamp())
        assert found is not None
        assert found.price.cache_write_1h == 2 * found.price.input
