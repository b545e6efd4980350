"""The price table: what it knows, how it finds it, and that its sums are right."""

from __future__ import annotations

import math
import time
import tomllib
from datetime import date
from decimal import Decimal
from importlib import resources
from typing import Any

import pytest
from anthropic.types import Message
from hypothesis import given, strategies as st

from burnish.capture.prices import REMEMBERED, Price, PriceTable
from burnish.capture.providers import CallFacts, read_reply
from burnish.errors import InvalidValue

TABLE = PriceTable.load()
SHIPPED = tomllib.loads(resources.files("burnish.capture").joinpath("prices.toml").read_text(encoding="utf-8"))
COUNTS = st.integers(0, 2_000_000)


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("gpt-5.4", "gpt-5.4"),
        ("GPT-5-4", "gpt-5.4"),
        (" gpt-5.4-2026-03-05 ", "gpt-5.4"),
        ("openai/gpt-5.4-mini-2026-03-17", "gpt-5.4-mini"),
        ("azure/gpt-4.1", "gpt-4.1"),
        ("gpt-4o-2024-11-20", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-5.6", "gpt-5.6-sol"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("claude-sonnet-4-6[1m]", "claude-sonnet-4-6"),
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("openrouter/anthropic/claude-opus-4.8", "claude-opus-4-8"),
        ("vertex_ai/claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("bedrock/converse/anthropic.claude-haiku-5-5", "claude-haiku-5-5"),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5"),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-4-7", "claude-opus-4-7"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("minimax/minimax-m2.7", "MiniMax-M2.7"),
        ("x-ai/grok-4.7", "grok-4.7"),
        ("openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("together_ai/openai/gpt-oss-20b", "together_ai/openai/gpt-oss-20b"),
    ],
)
def test_a_model_is_found_by_every_name_it_goes_by(name: str, canonical: str) -> None:
    price = TABLE.price(name)
    assert price is not None
    assert price.model == canonical


@pytest.mark.parametrize(
    "name",
    ["", "mine", "gpt", "gpt-5.4-turbo", "ft:gpt-4o-2024-08-06:me", "fireworks/deepseek-v4-pro", "/", "x" * 10_000],
)
def test_a_model_that_is_not_listed_has_no_price(name: str) -> None:
    assert TABLE.price(name) is None
    assert TABLE.cost(CallFacts(model=name, prompt_tokens=1, completion_tokens=1)) is None


def test_the_table_covers_the_makers_and_says_where_each_number_is_from() -> None:
    assert len(TABLE.models()) >= 100
    makers = {"openai", "anthropic", "google", "deepseek", "mistral", "alibaba", "minimax", "moonshot", "zhipu", "xai"}
    assert makers | {"groq", "together"} == {group["provider"] for group in SHIPPED["groups"].values()}
    for group in SHIPPED["groups"].values():
        assert len(group["source"]) > 40
        assert date.fromisoformat(group["checked"]) <= date.fromisoformat(TABLE.as_of)


def test_no_two_models_share_a_name() -> None:
    names = [
        name.lower().replace(".", "-")
        for group in SHIPPED["groups"].values()
        for model, fields in group["models"].items()
        for name in (model, *fields.get("aliases", []))
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("model", TABLE.models())
def test_every_price_is_plausible(model: str) -> None:
    price = TABLE.price(model)
    assert price is not None
    assert 0 < price.input <= price.output <= 1_000
    assert price.cached_input is None or price.cached_input < price.input
    assert price.cache_write is None or price.input / 2 < price.cache_write <= 2 * price.input
    if price.long_above is not None:
        assert price.input < (price.long_input or 0) <= 5 * price.input
        assert price.output < (price.long_output or 0) <= 5 * price.output


def test_a_real_reply_costs_what_a_hand_computation_says() -> None:
    usage = {"input_tokens": 1_000, "cache_read_input_tokens": 40_000, "cache_creation_input_tokens": 2_000}
    reply = Message.model_validate(
        {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5-20250929",
            "content": [],
            "usage": usage | {"output_tokens": 500},
        }
    )
    # 1,000 x 3 + 40,000 x 0.30 + 2,000 x 3.75 + 500 x 15 = 3,000 + 12,000 + 7,500 + 7,500 = 30,000 micro-dollars
    assert TABLE.cost(read_reply(reply)) == pytest.approx(0.03)
    # the same call by GPT-5.4: 3,000 x 2.5 + 40,000 x 0.25 + 500 x 15, as it publishes no price for cache writes
    assert TABLE.cost(read_reply(reply), model="gpt-5.4") == pytest.approx(0.025)


def test_a_long_prompt_is_billed_at_the_long_prices_throughout() -> None:
    short = CallFacts(model="claude-haiku-5-5", prompt_tokens=100_000, completion_tokens=1_000)
    longer = CallFacts(model="claude-haiku-5-5", prompt_tokens=100_001, completion_tokens=1_000)
    assert TABLE.cost(short) == pytest.approx((100_000 * 0.1 + 1_000 * 0.5) / 1e6)
    assert TABLE.cost(longer) == pytest.approx((100_001 * 0.5 + 1_000 * 2.5) / 1e6)


@given(model=st.sampled_from(TABLE.models()), fresh=COUNTS, cached=COUNTS, written=COUNTS, out=COUNTS)
def test_cost_equals_the_sum_over_kinds_of_tokens(model: str, fresh: int, cached: int, written: int, out: int) -> None:
    price, prompt = TABLE.price(model), fresh + cached + written
    assert price is not None
    prefix = "long_" if price.long_above is not None and prompt > price.long_above else ""

    def rate(kind: str) -> Decimal:
        given_rate = getattr(price, prefix + kind)
        return Decimal(str(getattr(price, f"{prefix}input") if given_rate is None else given_rate))

    kinds = (("input", fresh), ("cached_input", cached), ("cache_write", written), ("output", out))
    expected = sum((count * rate(kind) for kind, count in kinds), Decimal(0)) / 1_000_000
    facts = CallFacts(prompt_tokens=prompt, completion_tokens=out, cached_tokens=cached, cache_write_tokens=written)
    assert TABLE.cost(facts, model=model) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize(
    "facts",
    [
        CallFacts(model="gpt-5.4"),
        CallFacts(model="gpt-5.4", prompt_tokens=1),
        CallFacts(model="gpt-5.4", completion_tokens=1),
        CallFacts(prompt_tokens=1, completion_tokens=1),
    ],
)
def test_a_call_without_its_model_or_tokens_has_no_cost(facts: CallFacts) -> None:
    assert TABLE.cost(facts) is None


def test_more_cached_tokens_than_prompt_never_make_a_cost_negative() -> None:
    facts = CallFacts(model="gpt-5.4", prompt_tokens=1, completion_tokens=0, cached_tokens=50)
    assert TABLE.cost(facts) == pytest.approx(50 * 0.25 / 1e6)


def test_an_override_wins_for_the_model_and_all_its_names() -> None:
    table = PriceTable.load({"GPT-5.6-Sol": {"input": 1, "output": 2}, "mine": {"input": 0, "output": 0}})
    for name in ("gpt-5.6-sol", "gpt-5.6", "openai/gpt-5-6-sol-2026-07-09"):
        assert table.price(name) == Price(model="GPT-5.6-Sol", input=1, output=2)
    assert table.cost(CallFacts(model="mine", prompt_tokens=5, completion_tokens=5)) == 0
    assert "mine" in table.models()
    assert TABLE.price("mine") is None


def test_an_override_of_one_route_or_snapshot_leaves_the_others() -> None:
    table = PriceTable.load(
        {"azure/gpt-5.4": {"input": 9, "output": 9}, "gpt-5.4-2026-03-05": {"input": 8, "output": 8}}
    )
    found = {name: table.price(name) for name in ("azure/gpt-5.4", "gpt-5.4-2026-03-05", "gpt-5.4", "openai/gpt-5.4")}
    assert [price.input for price in found.values() if price] == [9, 8, 2.5, 2.5]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"output": 1}, "prices.m.input"),
        ({"input": 1}, "prices.m.output"),
        ({"input": 1, "output": -1}, "prices.m.output"),
        ({"input": math.nan, "output": 1}, "prices.m.input"),
        ({"input": 1, "output": math.inf}, "prices.m.output"),
        ({"input": True, "output": 1}, "prices.m.input"),
        ({"input": "1", "output": 1}, "prices.m.input"),
        ({"input": 1, "output": 10**9}, "prices.m.output"),
        ({"input": 1, "output": 1, "model": 1}, "prices.m.model"),
        ({"input": 1, "output": 1, "prompt": 1}, "prices.m.prompt"),
        ({"input": 1, "output": 1, "long_input": 2}, "prices.m.long_above"),
        ({"input": 1, "output": 1, "long_above": 1.5}, "prices.m.long_above"),
        (3, "prices.m"),
    ],
)
def test_an_override_that_cannot_be_is_refused_by_name(fields: Any, field: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        PriceTable.load({"m": fields})
    assert refused.value.field == field


def test_looking_up_a_known_name_takes_under_a_microsecond() -> None:
    def lap() -> float:
        start = time.perf_counter()
        for _ in range(10_000):
            TABLE.price("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0")
        return (time.perf_counter() - start) / 10_000

    assert min(lap() for _ in range(7)) < 1e-6


def test_made_up_names_do_not_fill_the_memory() -> None:
    table = PriceTable.load()
    for number in range(2 * REMEMBERED):
        table.price(f"model-{number}")
    assert len(table._found) <= REMEMBERED
    assert table.price("gpt-5.4") == TABLE.price("gpt-5.4")
