"""The pacer: on target, whatever the currency."""

import random

import pytest
from hypothesis import given, strategies as st

from burnish.stats.pacer import MAX_PRICE, MIN_PRICE, PacerState, step

ARMS = ((0.55, 0.02), (0.70, 0.30), (0.78, 1.5))


def spend(target: float, seed: int, currency: float = 1.0) -> float:
    rng, state, total = random.Random(seed), PacerState(), 0.0
    for _ in range(2000):
        price = state.price_per_dollar(target * currency)
        _, usual = max((quality + rng.gauss(0, 0.03) - price * cost * currency, cost) for quality, cost in ARMS)
        cost = usual * currency * rng.lognormvariate(-0.5, 1.0)
        total += cost
        state = step(state, cost=cost, target=target * currency)
    return total / 2000 / (target * currency)


@pytest.mark.parametrize("target", [0.1, 0.2, 0.5, 1.0])
def test_spend_is_within_three_percent_of_target(target: float) -> None:
    realised = [spend(target, seed) for seed in range(5)]
    assert sum(realised) / 5 == pytest.approx(1.0, abs=0.03)


def test_the_currency_does_not_matter() -> None:
    assert spend(0.2, 1) == pytest.approx(spend(0.2, 1, currency=150.0), rel=1e-9)


def test_a_generous_target_is_not_spent_for_its_own_sake() -> None:
    state = PacerState()
    for _ in range(500):
        state = step(state, cost=0.1, target=10.0)
    assert state.price == MIN_PRICE


@given(st.lists(st.floats(0.0, 1e4), max_size=80))
def test_the_price_stays_in_bounds(costs: list[float]) -> None:
    state = PacerState()
    for cost in costs:
        state = step(state, cost=cost, target=1.0)
        assert MIN_PRICE <= state.price <= MAX_PRICE


@given(st.floats(1.01, 100.0), st.floats(0.0, 0.99))
def test_the_price_follows_spend(above: float, below: float) -> None:
    assert step(PacerState(), cost=above, target=1.0).price > PacerState().price
    assert step(PacerState(), cost=below, target=1.0).price < PacerState().price


def test_overspending_is_paid_back() -> None:
    state = step(PacerState(), cost=101.0, target=1.0)
    assert state.debt == 100.0
    for _ in range(100):
        state = step(state, cost=0.0, target=1.0)
    assert state.debt == pytest.approx(0.0)
