"""The size of an effect: an interval one may watch, right under ramp and drift; Welch's t as SciPy computes it."""

import math
import random
import time

import numpy as np
import pytest
import ville  # type: ignore[import-untyped]  # it ships no types
from hypothesis import assume, given, strategies as st
from scipy import stats as scipy_stats  # type: ignore[import-untyped]  # it ships no types

from burnish.stats.comparison import Comparison
from burnish.stats.effect import Effect, effect_interval, student_p, welch

RAMP = ((0.01, 250), (0.05, 250), (0.10, 500), (0.25, 1000), (0.50, 3000))
Log = tuple[list[float], list[bool | None], list[float], list[float]]


def canary(seed: int, effect: float, shares: list[float], drift: float = 0.0) -> Log:
    """Log of 0/1 losses of mean .4 falling by `drift` over the runs, the candidate's higher by `effect`."""
    rng = random.Random(seed)
    losses, arms = [], []
    for run, p in enumerate(shares):
        arm = rng.random() < p
        losses.append(float(rng.random() < 0.4 - drift * run / len(shares) + (effect if arm else 0.0)))
        arms.append(arm)
    return losses, [*arms], shares, [1.0 - p for p in shares]


def whole_ramp() -> list[float]:
    return [p for p, runs in RAMP for _ in range(runs)]


def test_the_interval_holds_the_truth_however_often_it_is_looked_at() -> None:
    missed = sum(
        not effect.low <= -0.1 <= effect.high
        for effect in (effect_interval(*canary(seed, -0.1, [0.3] * 800)) for seed in range(60))
    )
    assert missed <= 7  # of 60; at most 3 expected


def test_under_a_ramp_and_a_drift_the_interval_is_right_and_welch_is_wrong() -> None:
    wrong, pooled_wrong = 0, 0
    for seed in range(12):
        log = canary(seed, 0.0, whole_ramp(), drift=0.35)
        effect = effect_interval(*log)
        wrong += not effect.low <= 0.0 <= effect.high
        assert abs(effect.estimate) < 0.06
        arms = [[loss for loss, arm in zip(*log[:2], strict=True) if arm is which] for which in (True, False)]
        pooled_wrong += welch(*arms).p < 0.05
    assert wrong <= 2
    assert pooled_wrong == 12


def test_the_interval_excludes_zero_exactly_when_the_evidence_says_so() -> None:
    for seed in range(8):
        log = canary(seed, -0.08, [0.5] * 1500)
        comparison = Comparison()
        for loss, arm, p1, p0 in zip(*log, strict=True):
            comparison.update(loss, candidate=arm, p_candidate=p1, p_control=p0)
        effect = effect_interval(*log, alpha=0.1)
        assert (effect.high < 0.0) == (comparison.best_promote >= 20.0)
        assert (effect.low > 0.0) == (comparison.best_rollback >= 20.0)


def test_it_agrees_with_another_implementation_of_the_betting_test() -> None:
    for seed, effect, p in ((1, -0.1, 0.5), (2, 0.15, 0.5), (3, 0.0, 0.2), (4, 0.2, 0.2)):
        losses, arms, p1, p0 = canary(seed, effect, [p] * 2000)
        ours = effect_interval(losses, arms, p1, p0)
        theirs = ville.BettingABTest(propensity=p, grid=4000).fit(losses, [float(bool(arm)) for arm in arms])
        low, high = theirs.interval()
        assert max(ours.low, low) < min(ours.high, high)
        assert 0.5 < (ours.high - ours.low) / (high - low) < 1.2
        assert ours.estimate == pytest.approx(float(theirs.estimate_[-1]), abs=0.005)


def test_categories_narrow_the_interval() -> None:
    rng = random.Random(5)
    losses, arms, names = [], [], []
    for _ in range(1500):
        arm, name = rng.random() < 0.5, rng.choice(["easy", "hard"])
        losses.append(float(rng.random() < (0.1 if name == "easy" else 0.9)))
        arms.append(arm)
        names.append(name)
    half = [0.5] * 1500
    plain = effect_interval(losses, arms, half, half)
    split = effect_interval(losses, arms, half, half, names)
    assert split.high - split.low < 0.8 * (plain.high - plain.low)


def test_units_of_other_arms_say_nothing_about_the_effect() -> None:
    rng = random.Random(6)
    arms = [rng.choice([True, False, None]) for _ in range(3000)]
    losses = [float(rng.random() < {True: 0.5, False: 0.3, None: 0.9}[arm]) for arm in arms]
    third = [1 / 3] * 3000
    effect = effect_interval(losses, arms, third, third)
    assert effect.low <= 0.2 <= effect.high
    assert effect.estimate == pytest.approx(0.2, abs=0.06)


def test_five_thousand_runs_take_less_than_a_second() -> None:
    log = canary(7, 0.0, whole_ramp())
    effect_interval(*canary(7, 0.0, [0.5] * 10))
    started = time.process_time()
    effect_interval(*log)
    assert time.process_time() - started < 1.0


def test_no_units_say_nothing() -> None:
    assert effect_interval([], [], [], []) == Effect(0.0, -1.0, 1.0)
    assert effect_interval([0.5], [None], [0.1], [0.1]) == Effect(0.0, -1.0, 1.0)


def test_logs_of_unlike_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        effect_interval([0.5, 0.5], [True], [0.5, 0.5], [0.5, 0.5])


@given(st.floats(-40.0, 40.0), st.floats(1.0, 1e5))
def test_the_tail_of_students_t_is_scipys(t: float, degrees: float) -> None:
    assert student_p(t, degrees) == pytest.approx(2 * scipy_stats.t.sf(abs(t), degrees), rel=1e-7, abs=1e-250)


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=40), st.lists(st.floats(0.0, 1.0), min_size=2, max_size=40))
def test_welch_is_scipys(first: list[float], second: list[float]) -> None:
    assume(min(np.std(first), np.std(second)) > 1e-3)
    ours, theirs = welch(first, second), scipy_stats.ttest_ind(first, second, equal_var=False)
    assert ours.difference == pytest.approx(np.mean(first) - np.mean(second), abs=1e-12)
    assert ours.t == pytest.approx(theirs.statistic, rel=1e-6, abs=1e-9)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([], [0.1], (0.0, 0.0, 1.0)),
        ([0.5], [0.1, 0.2], (0.35, 0.0, 1.0)),
        ([0.5, 0.5], [0.5, 0.5], (0.0, 0.0, 1.0)),
        ([0.5, 0.5], [0.25, 0.25], (0.25, math.inf, 0.0)),
        ([0.25, 0.25], [0.5, 0.5], (-0.25, -math.inf, 0.0)),
    ],
)
def test_welch_of_too_little_is_defined(
    first: list[float], second: list[float], expected: tuple[float, float, float]
) -> None:
    assert welch(first, second) == pytest.approx(expected)
