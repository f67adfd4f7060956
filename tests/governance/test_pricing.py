import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.config.model import PriceOverride, Provider, ProviderClass
from waypost.conversation.reply import Usage
from waypost.governance.pricing import (
    DatedPrice,
    Price,
    PriceSeries,
    PriceTable,
    cost,
    describe,
    output_within,
    overridden,
    packaged_prices,
    upper_bound,
)

DAY = 86_400
CHEAP = Price(37_500_000, 37_500_000, 37_500_000, 37_500_000, 150_000_000, 150_000_000)
LONG = Price(2, 2, 2, 2, 3, 3)
TIERED = Price(
    1_000_000, 100_000, 1_250_000, 2_000_000, 5_000_000, 6_000_000, request=7, tiers=((100, LONG), (200, CHEAP))
)
EVERY_KIND = Usage(input=10, cache_read=20, cache_write=30, cache_write_1h=10, output=4, reasoning=5)


@pytest.mark.parametrize(
    ("price", "usage", "expected"),
    [
        (CHEAP, Usage(input=1, output=0), 38),
        (CHEAP, Usage(input=2, output=0), 75),
        (CHEAP, Usage(input=1_000_000, output=1_000_000), 187_500_000),
        (CHEAP, Usage(input=0, output=0), 0),
        (CHEAP, Usage(input=None, output=5), None),
        (CHEAP, Usage(input=5, output=None), None),
        (CHEAP, Usage(input=5, cache_read=None, output=0, reasoning=None), 188),
        (TIERED, EVERY_KIND, 10 + 2 + 25 + 20 + 20 + 30 + 7),
        (TIERED, Usage(input=40, cache_read=60, output=0), 40 + 6 + 7),
        (TIERED, Usage(input=40, cache_read=61, output=0), 1),
        (TIERED, Usage(input=1, cache_write_1h=9, output=0), 1 + 18 + 7),
    ],
)  # fmt: skip
def test_costs_are_exact_and_rounded_up(price: Price, usage: Usage, expected: int | None) -> None:
    assert cost(price, usage) == expected


def test_the_tier_of_the_whole_input_applies_to_every_token() -> None:
    assert cost(TIERED, Usage(input=201, output=1_000_000)) == cost(CHEAP, Usage(input=201, output=1_000_000))


units = st.tuples(*[st.integers(0, 10**10)] * 9)


def tiered(base: tuple[int, ...], tiers: dict[int, tuple[int, ...]]) -> Price:
    above = [[start, each] for start, each in sorted(tiers.items())]
    return msgspec.convert([*base, above], Price)


prices = st.builds(tiered, units, st.dictionaries(st.integers(0, 3000), units, max_size=2))


@given(prices, st.data())
def test_no_usage_within_the_bounds_costs_more_than_the_upper_bound(price: Price, data: st.DataObject) -> None:
    tokens = data.draw(st.tuples(*[st.integers(0, 2000)] * 5))
    plain, read, write, output, reasoning = tokens
    usage = Usage(
        input=plain, cache_read=read, cache_write=write, output=output, reasoning=reasoning,
        cache_write_1h=data.draw(st.integers(0, write)),
    )  # fmt: skip
    charged = cost(price, usage)
    spare = data.draw(st.integers(0, 100))
    assert charged is not None
    assert charged <= upper_bound(price, plain + read + write + spare, output + reasoning + spare)


@given(prices, st.integers(0, 5000), st.integers(0, 10**9))
def test_the_output_that_fits_an_amount_is_the_most_that_does(price: Price, tokens: int, amount: int) -> None:
    output = output_within(price, tokens, amount)
    if output is None:
        assert upper_bound(price, tokens, 10**12) <= amount
    elif output < 0:
        assert upper_bound(price, tokens, 0) > amount
    else:
        assert upper_bound(price, tokens, output) <= amount < upper_bound(price, tokens, output + 1)


@pytest.mark.parametrize(
    ("at_s", "expected"),
    [(0, "old"), (10 * DAY - 1, "old"), (10 * DAY, "new"), (20 * DAY + 5, "newest"), (25 * DAY, "newest")],
)
def test_the_last_price_that_has_begun_applies(at_s: int, expected: str) -> None:
    named = {"old": CHEAP, "new": LONG, "newest": TIERED}
    series = PriceSeries("s", "m", None, (DatedPrice(CHEAP), DatedPrice(LONG, 10), DatedPrice(TIERED, 20)))
    assert series.at(at_s) is named[expected]


@pytest.mark.parametrize(
    ("interval", "second", "inside"),
    [
        ((3600, 7200), 3599, False),
        ((3600, 7200), 3600, True),
        ((3600, 7200), 7200, False),
        ((79_200, 3600), 80_000, True),
        ((79_200, 3600), 10, True),
        ((79_200, 3600), 3600, False),
    ],
)
def test_prices_by_the_hour_may_span_midnight(interval: tuple[int, int], second: int, inside: bool) -> None:
    series = PriceSeries("s", "m", None, (DatedPrice(CHEAP), DatedPrice(LONG, None, *interval)))
    assert series.at(40 * DAY + second) is (LONG if inside else CHEAP)


def test_a_series_without_a_usable_price_has_none() -> None:
    assert PriceSeries("s", "m", 5, (DatedPrice(None),)).at(0) is None
    assert PriceSeries("s", "m", 5, ()).at(0) is None


TABLE = b"""{"source":"test"}
{"id":"one","fallbacks":["two"],"models":[["a",["|",["=","a"],["=","a-2026-01-02"]],100,[[[1,1,1,1,2,2,0,0,0,[]],null,null,null]]],["ab",["&",["^","a"],["$","b"]],null,[[[2,2,2,2,4,4,0,0,0,[]],null,null,null]]],["none",["=","none"],9,[[null,null,null,null]]]]}
{"id":"two","fallbacks":["three"],"models":[["c",["*","cc"],7,[[[3,3,3,3,6,6,0,0,0,[]],null,null,null]]],["d",["~","^d\\\\d$"],8,[[[4,4,4,4,8,8,0,0,0,[]],null,null,null]]]]}
{"id":"three","fallbacks":[],"models":[["e",["=","e"],1,[[[5,5,5,5,9,9,0,0,0,[]],null,null,null]]]]}
"""


@pytest.mark.parametrize(
    ("source", "model", "found"),
    [
        ("one", "a", "a"),
        ("one", "A", "a"),
        ("one", "a-20260102", "a"),
        ("one", "a-20260102-x", None),
        ("one", "axb", "ab"),
        ("one", "ax", None),
        ("one", "xccx", "c"),
        ("one", "d4", "d"),
        ("one", "d44", None),
        ("one", "e", None),
        ("two", "e", "e"),
        ("two", "a", None),
        ("one", "none", None),
        ("four", "a", None),
        (None, "a", None),
    ],
)
def test_models_are_found_by_their_clauses(source: str | None, model: str, found: str | None) -> None:
    table = PriceTable(TABLE)
    for _ in range(2):  # the second time from memory
        priced = table.find(source, model, 0)
        assert (None if priced is None else priced.model) == found


def test_context_windows_are_known_even_where_prices_are_not() -> None:
    table = PriceTable(TABLE)
    assert table.context_window("one", "none") == 9
    assert table.context_window("one", "ab") is None
    assert table.context_window("one", "nothing") is None


def test_exact_names_are_listed_and_patterns_are_not() -> None:
    table = PriceTable(TABLE)
    assert table.names("one") == {"a", "a-2026-01-02", "ab", "none"}
    assert table.names("four") == frozenset()
    assert table.names(None) == frozenset()


def test_lookups_are_remembered_within_bounds() -> None:
    table = PriceTable(TABLE)
    for number in range(10_000):
        table.find("one", f"x{number}", 0)
    assert len(table._found) <= 4096


def provider(prices: tuple[tuple[str, PriceOverride], ...]) -> Provider:
    return Provider(
        name="p", kind="k", base_url="http://h", dialect="openai_chat", auth_header="authorization",
        auth_prefix="Bearer ", provider_class=ProviderClass.HOSTED, price_source="one", prices=prices,
    )  # fmt: skip


def test_the_operators_own_price_comes_first_and_its_gaps_are_filled() -> None:
    named, other = PriceOverride(input=10, output=20, cache_read=1), PriceOverride(input=0, output=0)
    table = PriceTable(TABLE)
    found = table.find_for(provider((("*", other), ("a", named))), "a", 0)
    assert found is not None
    assert (found.price, found.source, found.context_window) == (Price(10, 1, 10, 10, 20, 20), "configuration", 100)
    anything = table.find_for(provider((("a", named), ("*", other))), "zzz", 0)
    assert anything is not None
    assert anything.price == overridden(other)
    listed = table.find_for(provider((("b", named),)), "a", 0)
    assert listed is not None
    assert listed.source == "one"


def test_a_price_tells_itself_in_dollars() -> None:
    assert describe(CHEAP) == {"input": "0.0375", "output": "0.15"}
    price = Price(10**9, 10**8, 10**9, 2 * 10**9, 3 * 10**9, 4 * 10**9, request=5_000_000, tiers=((9, CHEAP),))
    assert describe(price) == {
        "input": "1",
        "output": "3",
        "cache_read": "0.1",
        "cache_write_1h": "2",
        "reasoning": "4",
        "request": "0.005",
        "input_above_9": "0.0375",
        "output_above_9": "0.15",
    }


def test_the_packaged_table_is_light_until_it_is_asked() -> None:
    table = packaged_prices()
    assert table._sources == {}
    assert table.find("openai", "gpt-4o", 1_790_000_000) is not None
    assert set(table._sources) == {"openai"}
    assert sum(map(len, table._lines.values())) < 1_000_000
