"""What a call costs: prices by provider, model and date; the exact cost of a usage, and a safe upper bound.

Prices are nano-dollars per million tokens, money is nano-dollars, and every cost is rounded up to a whole one, so that
limits hold. A price or a usage that is not known is None, never 0. This module knows no limits and reads no clock: the
table is bytes that it is given, the date is an argument.

The table is built from the `genai-prices` package by tools/build_prices.py and follows its rules: the first model whose
clause matches wins; of dated prices the last active one; a tier applies to ALL tokens of a call once the call's whole
input (cached tokens included) is above the tier's start; a kind without a price of its own costs as its parent kind.
"""

import re
from pathlib import Path

import msgspec
from msgspec import Struct

from waypost.config.model import PriceOverride, Provider
from waypost.conversation.reply import Usage
from waypost.governance.money import dollars

MILLION = 1_000_000
_DAY_S = 86_400
_MOST_CACHED = 4096
_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


class Price(Struct, frozen=True, array_like=True, gc=False):
    """One model's price at one moment, every kind resolved. Nano-dollars per million tokens, except `request`.

    `request` is nano-dollars per call. `other_input` and `other_output` are the dearest audio, image or video token:
    usage does not tell these apart, so they raise the upper bound and not the cost. `tiers` are (start, price) in
    ascending order, each a whole price without tiers of its own.
    """

    input: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    output: int
    reasoning: int
    request: int = 0
    other_input: int = 0
    other_output: int = 0
    tiers: tuple[tuple[int, "Price"], ...] = ()


class DatedPrice(Struct, frozen=True, array_like=True, gc=False):
    """A price from the start of a UTC day (`from_day` counts days since 1970) or between two seconds of every UTC day.

    None in all three: always. An interval whose end is before its start spans midnight. `price` None: not known.
    """

    price: Price | None
    from_day: int | None = None
    from_second: int | None = None
    to_second: int | None = None

    def active(self, at_s: float) -> bool:
        if self.from_day is not None:
            return at_s // _DAY_S >= self.from_day
        start, end = self.from_second, self.to_second
        if start is None or end is None:
            return True
        second = at_s % _DAY_S
        return (second >= start or second < end) if end < start else start <= second < end


class PriceSeries(Struct, frozen=True, gc=False):
    """All prices of one model over time. `source` is the provider id in the table, or "configuration"."""

    source: str
    model: str
    context_window: int | None
    prices: tuple[DatedPrice, ...]

    @property
    def units(self) -> tuple[int, int, int] | None:
        """(dearest input token, dearest output token, a call) where there is one price for all times and sizes."""
        price = self.prices[0].price if len(self.prices) == 1 else None
        return None if price is None or price.tiers else (*_dearest_units(price), price.request)

    def at(self, at_s: float) -> Price | None:
        """The price at `at_s` (seconds since 1970): the last active one, else the first."""
        prices = self.prices
        if len(prices) == 1:
            return prices[0].price
        for dated in reversed(prices):
            if dated.active(at_s):
                return dated.price
        return prices[0].price if prices else None


class Priced(Struct, frozen=True, gc=False):
    """A price that was found, and where."""

    price: Price
    source: str
    model: str
    context_window: int | None


class _Model(Struct, frozen=True, array_like=True, gc=False):
    id: str
    match: list[object]
    context_window: int | None
    prices: tuple[DatedPrice, ...]


class _Source(Struct, frozen=True, gc=False):
    """`fallbacks` are the sources asked, one step deep, for models that this one does not have."""

    id: str
    fallbacks: tuple[str, ...]
    models: tuple[_Model, ...]


class PriceTable:
    """Prices by source and model. A source's line is decoded when it is first asked for; lookups are kept, bounded."""

    __slots__ = ("_found", "_lines", "_names", "_sources")

    def __init__(self, table: bytes) -> None:
        """`table`: one JSON line a source after a header line, as tools/build_prices.py writes it."""
        self._lines = dict(_labelled(line) for line in table.splitlines()[1:])
        self._sources: dict[str, _Source] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._found: dict[tuple[str, str], PriceSeries | None] = {}

    def find(self, source: str | None, model: str, at_s: float) -> Priced | None:
        """The price of `model` at `source` at that time; None where either is not known."""
        series = self.series(source, model)
        price = None if series is None else series.at(at_s)
        if series is None or price is None:
            return None
        return Priced(price, series.source, series.model, series.context_window)

    def find_for(self, provider: Provider, model: str, at_s: float) -> Priced | None:
        """As `find`, for a configured provider: its own prices come first (the model's, then "*")."""
        series = self.series_for(provider, model)
        price = None if series is None else series.at(at_s)
        if series is None or price is None:
            return None
        return Priced(price, series.source, series.model, series.context_window)

    def series(self, source: str | None, model: str) -> PriceSeries | None:
        """All prices of a model over time; None where the table does not know it."""
        if source is None:
            return None
        key = (source, model)
        try:
            return self._found[key]
        except KeyError:
            pass
        if len(self._found) >= _MOST_CACHED:
            self._found.pop(next(iter(self._found)))
        series = self._found[key] = self._search(source, model)
        return series

    def series_for(self, provider: Provider, model: str) -> PriceSeries | None:
        override = override_of(provider, model)
        if override is None:
            return self.series(provider.price_source, model)
        window = self.context_window(provider.price_source, model)
        return PriceSeries("configuration", model, window, (DatedPrice(overridden(override)),))

    def context_window(self, source: str | None, model: str) -> int | None:
        """The most input tokens the model takes; None where not known."""
        series = self.series(source, model)
        return None if series is None else series.context_window

    def names(self, source: str | None) -> frozenset[str]:
        """The exact model names that a source lists (ids, and names that match by equality alone)."""
        if source is None or source not in self._lines:
            return frozenset()
        names = self._names.get(source)
        if names is None:
            models = self._source(source).models
            names = frozenset(name for model in models for name in (model.id, *_exact_names(model.match)))
            self._names[source] = names
        return names

    def _source(self, source: str) -> _Source:
        decoded = self._sources.get(source)
        if decoded is None:
            decoded = self._sources[source] = msgspec.json.decode(self._lines[source], type=_Source)
        return decoded

    def _search(self, source: str, model: str) -> PriceSeries | None:
        if source not in self._lines:
            return None
        name = model.lower()
        dashed = _COMPACT_DATE.sub(r"-\1-\2-\3", name)
        for spelling in (name, dashed) if dashed != name else (name,):
            for candidate in (source, *self._source(source).fallbacks):
                if candidate in self._lines and (found := _first_match(self._source(candidate), spelling)):
                    return PriceSeries(candidate, found.id, found.context_window, found.prices)
        return None


def packaged_prices() -> PriceTable:
    """The table that ships with Waypost. Reads one file of about 300 kB; decodes none of it yet."""
    return PriceTable(Path(__file__).with_name("prices.jsonl").read_bytes())


def override_of(provider: Provider, model: str) -> PriceOverride | None:
    """The operator's own price for a model: by its name, else by "*"."""
    for wanted in (model, "*"):
        for name, override in provider.prices:
            if name == wanted:
                return override
    return None


def overridden(override: PriceOverride) -> Price:
    """An operator's price with its gaps filled: cache kinds as input, reasoning as output."""
    write = override.input if override.cache_write is None else override.cache_write
    return Price(
        input=override.input,
        cache_read=override.input if override.cache_read is None else override.cache_read,
        cache_write=write,
        cache_write_1h=write,
        output=override.output,
        reasoning=override.output if override.reasoning is None else override.reasoning,
    )


def cost(price: Price, usage: Usage) -> int | None:
    """Nano-dollars of a call, rounded up; None if its input or output is not known. Other unknown kinds count as 0."""
    plain, output = usage.input, usage.output
    if plain is None or output is None:
        return None
    total = plain * price.input + output * price.output
    if price.tiers or usage.cache_read or usage.cache_write or usage.cache_write_1h or usage.reasoning:
        price, total = _in_full(price, usage, plain, output)
    return -(-total // MILLION) + price.request


def _in_full(price: Price, usage: Usage, plain: int, output: int) -> tuple[Price, int]:
    """The price that applies, and what all kinds of tokens cost by it in nano-dollars times a million."""
    read, write, write_1h = usage.cache_read or 0, usage.cache_write or 0, usage.cache_write_1h or 0
    write = max(write, write_1h)
    price = tier_of(price, plain + read + write)
    cached = read * price.cache_read + (write - write_1h) * price.cache_write + write_1h * price.cache_write_1h
    spoken = output * price.output + (usage.reasoning or 0) * price.reasoning
    return price, plain * price.input + cached + spoken


def tier_of(price: Price, input_tokens: int) -> Price:
    """The price that applies to a call with so many input tokens, cached ones included."""
    applied = price
    for start, tier in price.tiers:
        if input_tokens <= start:
            break
        applied = tier
    return applied


def upper_bound(price: Price, input_tokens: int, output_tokens: int) -> int:
    """The most a call can cost, in nano-dollars: every token at the dearest kind, in the dearest tier within reach."""
    most = _dearest(price, input_tokens, output_tokens)
    for start, tier in price.tiers:
        if input_tokens <= start:
            break
        most = max(most, _dearest(tier, input_tokens, output_tokens))
    return most


def units_bound(units: tuple[int, int, int], input_tokens: int, output_tokens: int) -> int:
    """`upper_bound` where there is one price for all sizes, by its `PriceBook.units`."""
    unit_in, unit_out, request = units
    return -(-(input_tokens * unit_in + output_tokens * unit_out) // MILLION) + request


def output_within(price: Price, input_tokens: int, amount: int) -> int | None:
    """The most output tokens whose upper bound stays within `amount` nano-dollars; None: any number (output is free).

    Negative where the input alone does not fit.
    """
    room: int | None = None
    for start, tier in ((-1, price), *price.tiers):
        if input_tokens <= start:
            break
        unit = _dearest_output(tier)
        left = (amount - tier.request) * MILLION - input_tokens * _dearest_input(tier)
        if left < 0:
            return -1
        if unit:
            room = left // unit if room is None else min(room, left // unit)
    return room


def describe(price: Price) -> dict[str, str]:
    """The applied price as a record shows it: dollars per million tokens as decimal strings.

    Kinds without a price of their own are left out; `request` is dollars per call.
    """
    told = {"input": dollars(price.input), "output": dollars(price.output)}
    if price.cache_read != price.input:
        told["cache_read"] = dollars(price.cache_read)
    if price.cache_write != price.input:
        told["cache_write"] = dollars(price.cache_write)
    if price.cache_write_1h != price.cache_write:
        told["cache_write_1h"] = dollars(price.cache_write_1h)
    if price.reasoning != price.output:
        told["reasoning"] = dollars(price.reasoning)
    if price.request:
        told["request"] = dollars(price.request)
    for start, tier in price.tiers:
        told.update({f"{kind}_above_{start}": amount for kind, amount in describe(tier).items()})
    return told


def _dearest_input(price: Price) -> int:
    return max(price.input, price.cache_read, price.cache_write, price.cache_write_1h, price.other_input)


def _dearest_output(price: Price) -> int:
    return max(price.output, price.reasoning, price.other_output)


def _dearest_units(price: Price) -> tuple[int, int]:
    return _dearest_input(price), _dearest_output(price)


def _dearest(price: Price, input_tokens: int, output_tokens: int) -> int:
    unit_in, unit_out = _dearest_units(price)
    return units_bound((unit_in, unit_out, price.request), input_tokens, output_tokens)


def _labelled(line: bytes) -> tuple[str, bytes]:
    """A source's id and its undecoded line: the line starts with `{"id":"…"`."""
    return line[7 : line.index(b'"', 7)].decode(), line


def _first_match(source: _Source, name: str) -> _Model | None:
    for model in source.models:
        if _matches(model.match, name):
            return model
    return None


def _matches(clause: list[object], name: str) -> bool:
    """`clause` is [operator, operand…]; texts are lower-case, as `name` is."""
    operator = clause[0]
    if operator == "|" or operator == "&":
        results = (_matches(part, name) for part in clause[1:] if isinstance(part, list))
        return any(results) if operator == "|" else all(results)
    text = clause[1]
    if not isinstance(text, str):
        raise TypeError("a price clause compares with text")
    match operator:
        case "=":
            return name == text
        case "^":
            return name.startswith(text)
        case "$":
            return name.endswith(text)
        case "*":
            return text in name
        case "~":
            return re.search(text, name) is not None
        case _:
            raise ValueError(f"unknown operator in the price table: {operator!r}")


def _exact_names(clause: list[object]) -> tuple[str, ...]:
    if clause[0] == "=":
        return (str(clause[1]),)
    if clause[0] == "|":
        return tuple(name for part in clause[1:] if isinstance(part, list) for name in _exact_names(part))
    return ()
