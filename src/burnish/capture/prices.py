"""What a call cost, by list price: a table of models, looked up by whatever name a reply or a user gives one.

Does not know what you really pay: a cost that the reply itself states (`CallFacts.cost_usd`) is better than this one,
and so is an override with your own price.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from burnish.errors import InvalidValue

if TYPE_CHECKING:
    from burnish.capture.providers import CallFacts

MILLION = 1_000_000
LIMIT = 2**53
MAX_RATE = 1_000_000.0  # a dollar a token; more is a unit mixed up
LONGEST_NAME = 256
REMEMBERED = 4_096  # names whose lookup is kept; a host that makes names up cannot fill the memory

_DOTTED = re.compile(r"(?<=\d)\.(?=\d)")
_ARN = re.compile(r"^arn:.*/")
_REGION = re.compile(r"^(?:(?:us|eu|apac|global|jp|au|ca|us-gov)\.)?(?:anthropic|meta|mistral|deepseek|openai|qwen)\.")
_SUFFIXES = (
    re.compile(r"\[1m\]$"),  # an agent's note of a long context window
    re.compile(r"-v\d+(?::\d+)?(?::\d+k)?$"),  # Bedrock's version
    re.compile(r"[-@]20\d{2}-?[01]\d-?[0-3]\d$"),  # a dated snapshot
)


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """List price of one model, in US dollars per million tokens.

    Absent cache prices mean the input price. With `long_above`, a prompt of more tokens is billed at the long prices,
    every token of the call; absent long cache prices mean the long input price.
    """

    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None
    long_above: int | None = None
    long_input: float | None = None
    long_output: float | None = None
    long_cached_input: float | None = None
    long_cache_write: float | None = None
    model: str = ""
    provider: str | None = None

    def cost(self, prompt: int, completion: int, cached: int = 0, written: int = 0) -> float:
        """Cost in US dollars; `cached` and `written` are parts of `prompt`, as in `CallFacts`."""
        fresh = max(prompt - cached - written, 0)
        rates = (self.input, self.output, self.cached_input, self.cache_write)
        if self.long_above is not None and prompt > self.long_above:
            rates = (self.long_input or 0.0, self.long_output or 0.0, self.long_cached_input, self.long_cache_write)
        per_input, per_output, per_cached, per_written = rates
        total = fresh * per_input + completion * per_output
        total += cached * (per_input if per_cached is None else per_cached)
        total += written * (per_input if per_written is None else per_written)
        return total / MILLION


RATES = Price.__struct_fields__[:-2]
"""Names of the prices that an override may give."""


class _Listed(msgspec.Struct, frozen=True):
    """The shipped table: prices by plain name, and the prefixes that do not change a price."""

    as_of: str
    prices: dict[str, Price]
    prefixes: frozenset[str]


class PriceTable:
    """Prices by model name. Immutable but for its memory of lookups; safe to share between threads."""

    def __init__(self, listed: _Listed, own: Mapping[str, Price]) -> None:
        self.as_of = listed.as_of
        """The day, YYYY-MM-DD, on which the shipped prices were last gone through."""
        self._listed = listed.prices
        self._prefixes = listed.prefixes
        self._own = dict(own)
        self._found: dict[str, Price | None] = {}

    @classmethod
    def load(cls, overrides: Mapping[str, Mapping[str, float]] | None = None) -> PriceTable:
        """Load the table that ships with this release.

        Args:
            overrides: Prices by model name that win over the table, also for the model's dated snapshots and aliases;
                each the whole price, with the fields of `Price`, `input` and `output` required.

        Raises:
            InvalidValue: An override has an unknown field, lacks one, or is not a number of dollars per million
                tokens from 0 to 1,000,000. Names the model and the field.
        """
        return cls(_shipped(), {_plain(name): _price(name, fields) for name, fields in (overrides or {}).items()})

    def price(self, model: str) -> Price | None:
        """Price of a model by any of its names, or None when it is not known.

        Dated snapshots, Bedrock and Vertex names, and prefixes such as `openai/` find their model. A name under any
        other prefix (`fireworks/…`) is only found whole, because hosts of open models set their own prices.
        """
        try:
            return self._found[model]
        except KeyError:
            return self._look_up(model)

    def cost(self, facts: CallFacts, model: str | None = None) -> float | None:
        """Cost of a call in US dollars by list price; None when the model or its tokens are not known.

        `model` prices the call as if that model had answered. A cost that the reply states is not considered.
        """
        name = model or facts.model
        price = self.price(name) if name else None
        if price is None or facts.prompt_tokens is None or facts.completion_tokens is None:
            return None
        cached, written = facts.cached_tokens or 0, facts.cache_write_tokens or 0
        return price.cost(facts.prompt_tokens, facts.completion_tokens, cached, written)

    def models(self) -> tuple[str, ...]:
        """Canonical names of all models with a price, sorted."""
        return tuple(sorted({price.model for price in (*self._listed.values(), *self._own.values())}))

    def _look_up(self, model: str) -> Price | None:
        if len(model) > LONGEST_NAME:
            return None
        names = list(_names(model, self._prefixes))
        listed = next((self._listed[name] for name in names if name in self._listed), None)
        if listed is not None:
            names.append(_plain(listed.model))
        price = next((self._own[name] for name in names if name in self._own), listed)
        if len(self._found) >= REMEMBERED:
            self._found = {}
        self._found[model] = price
        return price


def _names(model: str, prefixes: frozenset[str]) -> Iterator[str]:
    """Names under which a model may be listed, the most exact first."""
    name = _plain(model)
    yield from _without_suffixes(name)
    name = _ARN.sub("bedrock/", name)
    while name.partition("/")[0] in prefixes and "/" in name:
        name = name.partition("/")[2]
        yield from _without_suffixes(name)
    if _REGION.match(name):
        yield from _without_suffixes(_REGION.sub("", name))


def _without_suffixes(name: str) -> Iterator[str]:
    yield name
    for suffix in _SUFFIXES:
        shorter = suffix.sub("", name)
        if shorter != name:
            yield shorter
        name = shorter


def _plain(model: str) -> str:
    """One spelling: lower case, dashes between digits (4.5 and 4-5 are the same version)."""
    return _DOTTED.sub("-", model.strip().lower())


@cache
def _shipped() -> _Listed:
    import tomllib
    from importlib import resources

    table = tomllib.loads(resources.files("burnish.capture").joinpath("prices.toml").read_text(encoding="utf-8"))
    prices: dict[str, Price] = {}
    for group in table["groups"].values():
        for model, fields in group["models"].items():
            names = (model, *fields.pop("aliases", []))
            prices |= dict.fromkeys(map(_plain, names), _price(model, fields, group["provider"]))
    return _Listed(table["as_of"], prices, frozenset(table["prefixes"]))


def _price(model: str, fields: Mapping[str, object], provider: str | None = None) -> Price:
    if not isinstance(fields, Mapping):
        raise InvalidValue(f"prices.{model}", fields, 'give a mapping such as {"input": 2.5, "output": 15.0}')
    for name, rate in fields.items():
        _check_rate(f"prices.{model}.{name}", name, rate)
    for name in ("input", "output"):
        if fields.get(name) is None:
            raise InvalidValue(f"prices.{model}.{name}", None, "give it, in US dollars per million tokens")
    price = msgspec.convert({**fields, "model": model, "provider": provider}, Price)
    _check_long(price)
    return price


def _check_rate(field: str, name: str, rate: object) -> None:
    if name not in RATES:
        raise InvalidValue(field, rate, f"there is no such price; the prices are {', '.join(RATES)}")
    tokens = name == "long_above"
    kinds, top, what = (int, LIMIT, "a whole number of tokens") if tokens else ((int, float), MAX_RATE, "dollars")
    if isinstance(rate, bool) or not isinstance(rate, kinds) or not 0 <= rate <= top:
        remedy = f"give {what} from 0 to {top:,.0f}" + ("" if tokens else " per million tokens")
        raise InvalidValue(field, rate, remedy)


def _check_long(price: Price) -> None:
    needed = (price.long_above, price.long_input, price.long_output)
    given = (*needed, price.long_cached_input, price.long_cache_write)
    if None in needed and any(part is not None for part in given):
        remedy = "give long_above, long_input and long_output together, or none of the long prices"
        raise InvalidValue(f"prices.{price.model}.long_above", price.long_above, remedy)
