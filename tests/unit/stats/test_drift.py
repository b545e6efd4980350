"""Drift evidence: quiet without a change, quick with one."""

import random
import statistics

import pytest
from hypothesis import given, strategies as st

from burnish.stats.drift import BETS, DROP, DriftState, update

UNIT = st.floats(0.0, 1.0)
RICH = st.floats(1.0, 1e6)
Wealth = tuple[float, float, float]


def runs_to_alarm(seed: int, before: float, after: float, change: int, most: int) -> int | None:
    rng, state = random.Random(seed), DriftState()
    for run in range(most):
        rate = before if run < change else after
        state = update(state, predicted=before, observed=float(rng.random() < rate))
        if state.alarmed():
            return run
    return None


@given(UNIT, st.tuples(RICH, RICH, RICH), UNIT)
def test_evidence_is_a_fair_bet_against_the_tolerated_level(predicted: float, wealth: Wealth, odds: float) -> None:
    level = min(max(predicted - DROP, 0.02), 0.98)
    state = DriftState(wealth)
    bad, good = (update(state, predicted=predicted, observed=x).wealth for x in (0.0, 1.0))
    mean = [(1 - level) * b + level * g for b, g in zip(bad, good, strict=True)]
    assert mean == pytest.approx(list(wealth))
    assert all(g >= w * (1 - max(BETS)) - 1e-9 for g, w in zip(good, wealth, strict=True))
    between = update(state, predicted=predicted, observed=odds).evidence
    assert min(sum(good), sum(bad)) / 3 - 1e-6 <= between <= max(sum(good), sum(bad)) / 3 + 1e-6


@given(st.lists(st.tuples(UNIT, UNIT), max_size=60))
def test_wealth_never_goes_below_zero(steps: list[tuple[float, float]]) -> None:
    state = DriftState()
    for predicted, observed in steps:
        state = update(state, predicted=predicted, observed=observed)
        assert min(state.wealth) >= 0.0


def test_performing_as_predicted_never_alarms() -> None:
    state = DriftState()
    for _ in range(1000):
        state = update(state, predicted=0.6, observed=0.6)
    assert state.evidence <= 1.0


def test_a_dead_arm_is_noticed_within_a_dozen_runs() -> None:
    state, runs = DriftState(), 0
    while not state.alarmed():
        state, runs = update(state, predicted=0.7, observed=0.0), runs + 1
    assert runs <= 12


def test_a_loss_of_forty_percent_is_noticed_in_forty_runs() -> None:
    delays = [(runs_to_alarm(seed, 0.7, 0.42, 100, 2000) or 2000) - 99 for seed in range(150)]
    assert statistics.median(delays) <= 40


@pytest.mark.parametrize("rate", [0.5, 0.7, 0.9])
def test_false_alarms_are_rarer_than_one_in_three_thousand_runs(rate: float) -> None:
    alarms = sum(runs_to_alarm(seed, rate, rate, 0, 3000) is not None for seed in range(40))
    assert alarms / 40 < 0.75  # a mean of 3,000 runs to an alarm would be 1 − 1/e = .63 of streams
